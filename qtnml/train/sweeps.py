"""Two-site sweeps: neighbouring cores are joined, improved, and split again by singular values.

As in arXiv:1605.05775. The label index travels with the joined pair; the cores around it are orthonormal,
so that a gradient step on the pair is well conditioned, and the split finds each bond's dimension: singular
values below `cutoff` times the largest are dropped. Amplitudes are linear in the pair, so that a search
along a direction needs them twice, not once for every step length tried.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import NDArray, full_precision
from qtnml.contract import AmplitudeModel, Parameters
from qtnml.errors import InvalidInputError
from qtnml.train.losses import CrossEntropy, Loss
from qtnml.train.records import TrainingSet, drawn_by_weight

_STEP_LENGTHS = np.concatenate([[0.0], np.geomspace(1e-5, 1.0, 24)])
_RIDGE = 1e-6  # of the mean of a covariance, so that directions without data can be inverted
_TINY = 1e-30


@dataclass(frozen=True)
class SweepOptions:
    """How to sweep.

    Attributes:
        max_bond: Largest bond dimension.
        cutoff: Singular values below this share of the largest are dropped.
        steps: Conjugate-gradient steps on every pair.
        batch_size: Samples of one sweep; the next sweep takes others.
        loss: Loss per sample.
    """

    max_bond: int = 32
    cutoff: float = 1e-4
    steps: int = 2
    batch_size: int = 4096
    loss: Loss = field(default_factory=CrossEntropy)


class SweepRecord(NamedTuple):
    """After one sweep (to the right end, to the left end, back to the middle): mean loss and accuracy of
    its samples with the bonds as they were cut, and the bond dimensions from left to right.
    """

    loss: float
    accuracy: float
    bond_dims: tuple[int, ...]


class _Chain:
    """Cores (D, 2, D) in double precision, padded with zeros; `centre` (D, 2, classes, D) at `site`."""

    def __init__(self, cores: list[NDArray], centre: NDArray, site: int) -> None:
        self.cores, self.centre, self.site = cores, centre, site

    @classmethod
    def from_parameters(cls, model: AmplitudeModel, parameters: Parameters, max_bond: int) -> "_Chain":
        """Cores in order of the sites, orthonormal towards the label site."""
        grow = max_bond - model.bond_dim
        if grow < 0:
            raise InvalidInputError(
                f"max_bond={max_bond} is below the model's bond dimension {model.bond_dim}"
            )
        left, right, centre = (np.asarray(stack, dtype=np.float64) for stack in parameters.nodes)
        pad = ((0, grow), (0, 0), (0, grow))
        cores = [np.pad(core, pad) for core in left]
        inner = [np.pad(core.transpose(2, 1, 0), pad) for core in right[::-1]]
        middle = np.pad(centre, ((0, grow), (0, 0), (0, 0), (0, grow)))
        chain = cls([*cores, np.zeros(0), *inner], middle, model.label_site)
        chain._orthonormalise()
        return chain

    def _orthonormalise(self) -> None:
        """QR from both ends to the label site."""
        carry = np.zeros((len(self.centre), len(self.centre)))
        carry[0, 0] = 1  # the outermost bonds use their first index only
        end, carry_right = carry, carry.copy()
        for k in range(self.site):
            core = np.einsum("ab,bsc->asc", end, self.cores[k])
            self.cores[k], end = _split_left(core)
        for k in reversed(range(self.site + 1, len(self.cores))):
            core = np.einsum("asb,bc->asc", self.cores[k], carry_right)
            flipped, carry_right = _split_left(core.transpose(2, 1, 0))
            self.cores[k], carry_right = flipped.transpose(2, 1, 0), carry_right.T
        self.centre = np.einsum("ab,bscd,de->asce", end, self.centre, carry_right)
        self.centre /= np.linalg.norm(self.centre)

    def to_parameters(self, encoding: tuple[Any, ...]) -> Parameters:
        """Stacks as `AmplitudeModel` has them; the label is at the middle site."""
        d = len(self.centre)
        left = np.array(self.cores[: self.site]).reshape(-1, d, 2, d)
        right = np.array([core.transpose(2, 1, 0) for core in self.cores[self.site + 1 :][::-1]])
        return Parameters((left, right.reshape(-1, d, 2, d), self.centre), encoding)

    def bond_dims(self) -> tuple[int, ...]:
        """Dimension of every bond, left to right."""
        dims = []
        for k in range(len(self.cores) - 1):
            core = self.cores[k] if k < self.site else (self.centre if k == self.site else self.cores[k])
            used = np.abs(core).max(axis=tuple(range(core.ndim - 1))) > 0
            dims.append(int(used.sum()))
        return tuple(dims)


def _split_left(core: NDArray) -> tuple[NDArray, NDArray]:
    """Orthonormal (in, data | out) and the rest (out, out), padded to the same shapes."""
    d = core.shape[0]
    left, values, right = np.linalg.svd(core.reshape(2 * d, core.shape[2]), full_matrices=False)
    keep = values > 1e-12 * max(values[0], _TINY)
    left, rest = left * keep, (values * keep)[:, None] * right
    return left.reshape(core.shape), rest


def sweep(
    model: AmplitudeModel,
    parameters: Parameters,
    data: TrainingSet,
    options: SweepOptions,
    rng: np.random.Generator,
) -> tuple[Parameters, SweepRecord]:
    """One sweep on a random batch: to the right end, to the left end, and back to the middle.

    Args:
        model: Its `bond_dim` must be `options.max_bond`, or less to grow; the encoding's trained values
            stay as they are.
        parameters: In double precision.
        data: Class indices as targets.
        options: How to sweep.
        rng: Chooses the batch.

    Returns:
        Parameters of `AmplitudeModel` with bond_dim=max_bond, and what the sweep showed.
    """
    if model.num_sites < 2:
        raise InvalidInputError("sweeps join two sites, got n_features = 1; train by gradient instead")
    chain = _Chain.from_parameters(model, parameters, options.max_bond)
    if len(data.y) > options.batch_size:
        counts = drawn_by_weight(data.weights, options.batch_size, rng)
        drawn = np.repeat(np.arange(len(counts)), counts)  # one shape, so that nothing is compiled again
        data = TrainingSet(data.X[drawn], data.y[drawn], np.ones(len(drawn)))
    environments = _Environments(model, parameters, chain, data.X)
    targets = (jnp.asarray(data.y, dtype=jnp.int32), jnp.asarray(data.weights, jnp.float32))
    last = model.num_sites - 1
    steps = [True] * (last - chain.site) + [False] * last + [True] * model.label_site
    for to_right in steps:
        _update_pair(chain, environments, targets, options, to_right=to_right)
    near, far = environments.left[chain.site], environments.right[chain.site]
    around = (near, environments.sites[chain.site], far)
    loss, accuracy = _judged(jnp.asarray(chain.centre, jnp.float32), around, targets, loss=options.loss)
    record = SweepRecord(float(loss), float(accuracy), chain.bond_dims())
    return chain.to_parameters(parameters.encoding), record


def grown(model: AmplitudeModel, parameters: Parameters, max_bond: int) -> tuple[AmplitudeModel, Parameters]:
    """The same amplitudes with room for bonds up to `max_bond`."""
    chain = _Chain.from_parameters(model, parameters, max_bond)
    wide = AmplitudeModel(model.num_features, model.num_classes, max_bond, model.encoding)
    return wide, chain.to_parameters(parameters.encoding)


class _Environments:
    """For every site the vectors (D, batch) that reach it from its left and from its right."""

    def __init__(self, model: AmplitudeModel, parameters: Parameters, chain: _Chain, X: NDArray) -> None:
        encoding = model.encoding
        if not encoding.is_real:
            raise InvalidInputError(
                f"sweeps need an encoding with real amplitudes, {encoding.name!r} has not"
            )
        zero, one = encoding.amplitudes(encoding.angles(X, parameters.encoding).T)
        self.sites = jnp.asarray(np.stack([zero, one], axis=1), dtype=jnp.float32)
        self._sites_count = len(chain.cores)
        start = jnp.zeros((len(chain.centre), X.shape[0]), dtype=jnp.float32).at[0].set(1.0)
        self.left: dict[int, jax.Array] = {0: start}
        self.right: dict[int, jax.Array] = {self._sites_count - 1: start}
        for k in range(chain.site):
            self.extend_left(k, chain.cores[k])
        for k in reversed(range(chain.site + 1, self._sites_count)):
            self.extend_right(k, chain.cores[k])

    def extend_left(self, site: int, core: NDArray) -> None:
        """Vectors behind a site whose core is orthonormal from the left."""
        self.left[site + 1] = _extended(self.left[site], self.sites[site], jnp.asarray(core, jnp.float32))

    def extend_right(self, site: int, core: NDArray) -> None:
        """Vectors before a site whose core is orthonormal from the right."""
        flipped = jnp.asarray(core.transpose(2, 1, 0), jnp.float32)
        self.right[site - 1] = _extended(self.right[site], self.sites[site], flipped)


@jax.jit
@full_precision
def _extended(vectors: jax.Array, site: jax.Array, core: jax.Array) -> jax.Array:
    joint = (vectors[:, None] * site[None]).reshape(-1, vectors.shape[-1])
    out = core.reshape(-1, core.shape[-1]).T @ joint
    return out / (jnp.max(jnp.abs(out), axis=0) + _TINY)


def _update_pair(
    chain: _Chain,
    environments: _Environments,
    targets: tuple[jax.Array, jax.Array],
    options: SweepOptions,
    *,
    to_right: bool,
) -> None:
    """Improve the label site and its neighbour, split them, move the label on.

    To the left the same is done on the mirrored chain.
    """
    here = chain.site
    there = here + 1 if to_right else here - 1
    near, far = (
        (environments.left[here], environments.right[there])
        if to_right
        else (environments.right[here], environments.left[there])
    )
    centre = chain.centre if to_right else chain.centre.transpose(3, 1, 2, 0)
    core = chain.cores[there] if to_right else chain.cores[there].transpose(2, 1, 0)
    pair = np.einsum("asck,ktb->asctb", centre, core)
    improved, moments = _improve(
        jnp.asarray(pair, jnp.float32),
        (near, environments.sites[here], environments.sites[there], far),
        targets,
        loss=options.loss,
        steps=options.steps,
    )
    pair, inner, outer = (np.asarray(array, dtype=np.float64) for array in (improved, *moments))
    kept, moved = _split_pair(pair, inner, outer, options.cutoff)
    if to_right:
        chain.cores[here], chain.centre = kept, moved
        environments.extend_left(here, kept)
    else:
        chain.cores[here], chain.centre = kept.transpose(2, 1, 0), moved.transpose(3, 1, 2, 0)
        environments.extend_right(here, chain.cores[here])
    chain.cores[there], chain.site = np.zeros(0), there


def _split_pair(pair: NDArray, inner: NDArray, outer: NDArray, cutoff: float) -> tuple[NDArray, NDArray]:
    """(in, data | bond) orthonormal and (bond, data, label, out), cut to dimension D and by `cutoff`.

    What is dropped should be missed least by the amplitudes of the data, not by the cores: the singular
    values are those of the pair seen by the data, S_in^(1/2) M S_out^(1/2) with S the second moments of
    the vectors that reach the pair from its two sides.
    """
    d, _, classes, _, out = pair.shape
    root_in, inverse_in = _square_roots(inner)
    root_out, _ = _square_roots(outer)
    matrix = pair.reshape(2 * d, classes, 2 * out)
    seen = (np.tensordot(root_in, matrix, 1) @ root_out).reshape(2 * d, -1)
    values, vectors = np.linalg.eigh(seen @ seen.T)  # squares of the singular values, rising
    values, vectors = values[::-1][:d], vectors[:, ::-1][:, :d]
    keep = values > cutoff**2 * max(values[0], _TINY)
    basis, rotation = np.linalg.qr((inverse_in @ vectors)[:, keep])
    moved = rotation @ vectors[:, keep].T @ root_in @ matrix.reshape(2 * d, -1)
    kept, padded = np.zeros((2 * d, d)), np.zeros((d, classes * 2 * out))
    kept[:, : keep.sum()], padded[: keep.sum()] = basis, moved
    centre = padded.reshape(d, classes, 2, out).transpose(0, 2, 1, 3)
    return kept.reshape(d, 2, d), centre / max(float(np.linalg.norm(centre)), _TINY)


def _square_roots(moments: NDArray) -> tuple[NDArray, NDArray]:
    """Square root of a second moment matrix, and its inverse, ridged."""
    values, vectors = np.linalg.eigh(moments)
    values = np.sqrt(np.maximum(values, 0) + _RIDGE * max(float(values.mean()), _TINY))
    return (vectors * values) @ vectors.T, (vectors / values) @ vectors.T


def _along(
    mean_loss: Callable[[jax.Array], jax.Array], base: jax.Array, slope: jax.Array, length: jax.Array
) -> jax.Array:
    return mean_loss(base + length * slope)


@partial(jax.jit, static_argnames=("loss", "steps"))
@full_precision
def _improve(
    pair: jax.Array,
    around: tuple[jax.Array, jax.Array, jax.Array, jax.Array],
    targets: tuple[jax.Array, jax.Array],
    *,
    loss: Loss,
    steps: int,
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Conjugate-gradient steps (Polak and Ribiere) with a search along each direction.

    Returns:
        The pair of norm 1, and second moments of the vectors that reach it from its two sides.
    """
    near, site, next_site, far = around
    y, weights = targets
    d, _, classes, _, out = pair.shape
    inner = (near[:, None] * site[None]).reshape(2 * d, -1)
    outer = (next_site[:, None] * far[None]).reshape(2 * out, -1)

    def amplitudes(pair: jax.Array) -> jax.Array:
        reached = pair.reshape(2 * d, -1).T @ inner
        return jnp.sum(reached.reshape(classes, 2 * out, -1) * outer, axis=1)

    mean_loss = partial(_mean_loss, loss=loss, y=y, weights=weights)
    gradient_of = jax.grad(lambda pair: mean_loss(amplitudes(pair)))
    direction = previous = jnp.zeros_like(pair)
    for step in range(steps):
        gradient = gradient_of(pair)
        gradient = gradient - pair * jnp.vdot(pair, gradient) / jnp.vdot(pair, pair)
        if step:
            change = jnp.vdot(gradient, gradient - previous) / (jnp.vdot(previous, previous) + _TINY)
            direction = jnp.maximum(change, 0.0) * direction - gradient
        else:
            direction = -gradient
        previous = gradient
        unit = direction * jnp.linalg.norm(pair) / (jnp.linalg.norm(direction) + _TINY)
        base, slope = amplitudes(pair), amplitudes(unit)
        lengths = jnp.asarray(_STEP_LENGTHS, dtype=pair.dtype)
        tried = jax.lax.map(partial(_along, mean_loss, base, slope), lengths)
        pair = pair + lengths[jnp.nanargmin(tried)] * unit
    f = amplitudes(pair)
    # Only ratios of a sample's amplitudes count: an error matters relative to their size.
    relative = inner / (jnp.linalg.norm(f, axis=0) + _TINY)
    share = weights / jnp.sum(weights)
    moments = ((relative * share) @ relative.T, (outer * share) @ outer.T)
    return pair / jnp.linalg.norm(pair), moments


def _mean_loss(f: jax.Array, *, loss: Loss, y: jax.Array, weights: jax.Array) -> jax.Array:
    """Of amplitudes (classes, batch)."""
    squares = f**2
    p = squares / (jnp.sum(squares, axis=0) + _TINY)
    return jnp.sum(loss(p, y) * weights) / jnp.sum(weights)


@partial(jax.jit, static_argnames=("loss",))
@full_precision
def _judged(
    centre: jax.Array,
    around: tuple[jax.Array, jax.Array, jax.Array],
    targets: tuple[jax.Array, jax.Array],
    *,
    loss: Loss,
) -> tuple[jax.Array, jax.Array]:
    """Mean loss and accuracy, given the vectors around the label site."""
    y, weights = targets
    f = jnp.einsum("ab,sb,ascd,db->cb", around[0], around[1], centre, around[2], optimize="optimal")
    correct = (jnp.argmax(f**2, axis=0) == y) * weights
    return _mean_loss(f, loss=loss, y=y, weights=weights), jnp.sum(correct) / jnp.sum(weights)
