"""Extrapolation learnt from exact examples: a small network maps noisy to noise-free expectations.

It is trained on circuits with known noise-free values, as in arXiv:2403.07025. There the values come from
small simulations. Here the exact contraction of noisy trees gives any number of them, at any size.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.ansatz import TensorNetwork
from qtnml.arrays import Array, NDArray, full_precision, namespace
from qtnml.compile import compile_network
from qtnml.encoding import AngleEncoding
from qtnml.errors import InvalidInputError, ModelFileError
from qtnml.mitigation.extrapolation import checked_factors, z_expectations
from qtnml.mitigation.folding import folded
from qtnml.noise import DeviceNoise, NoisyCircuit
from qtnml.storage import MITIGATION, load_archive, save_archive
from qtnml.structure import Topology, balanced_tree, mps
from qtnml.train import RiemannianAdam

_HIDDEN = 48
_LEVELS, _NO_LEVEL = 4, 1e-3  # sources of noise; what counts as none of one
_PRIOR = 0.05  # variance of expectations that a slope of 1 counts for
_SAMPLES = 64  # of each circuit that is learnt from


@dataclass(frozen=True, eq=False)
class LearnedExtrapolation:
    """A neural network that scales and shifts the expectation at the first factor.

    Its inputs are the expectations at all factors, and how the expectations of many samples at one factor
    depend on those at another. So the effect of noise on all samples is known much better than from the shots
    of one sample. Noise levels by the device's calibration are inputs as well, if they are known. The network
    was trained with calibrations that are wrong by up to a third, and without calibrations, and with 1 to 64
    samples at a time. The result for a sample depends on the samples measured together with it; more samples
    make it better.

    Attributes:
        factors: Folding factors; the first is 1.
        weights: Matrices and offsets of its layers, in alternation.
        residual: Root mean square error on unseen circuits and noise, with infinitely many shots.
    """

    factors: tuple[float, ...]
    weights: tuple[NDArray, ...] = field(repr=False)
    residual: float

    def extrapolate(
        self, factors: NDArray, values: NDArray, variances: NDArray, levels: NDArray | None = None
    ) -> tuple[NDArray, NDArray]:
        """See `Extrapolation.extrapolate`; achieved factors must be close to those used in training."""
        self.check_factors(factors)
        found, spread = np.ones(values.shape[1:]), np.zeros(values.shape[1:])
        for string in range(1, values.shape[-1]):
            mine = values[..., string].reshape(len(factors), -1)
            own = variances[..., string].reshape(len(factors), -1)
            shared = np.concatenate([pooled(mine, own), _level_features(levels)])
            predicted = _predict(self.weights, mine, shared)
            total = np.full(predicted.shape, self.residual**2)
            for k in range(len(factors)):
                step = np.zeros((len(factors), 1))
                step[k] = 1e-4
                slope = (_predict(self.weights, mine + step, shared) - predicted) / 1e-4
                total += slope**2 * own[k]
            found[..., string] = np.clip(predicted, -1, 1).reshape(found.shape[:-1])
            spread[..., string] = total.reshape(found.shape[:-1])
        return found, spread

    def check_factors(self, factors: NDArray) -> None:
        """Refuse factors that are far from those used in training."""
        if len(factors) != len(self.factors) or not np.allclose(factors, self.factors, rtol=0.2):
            raise InvalidInputError(
                f"this network learnt with folding factors {self.factors}, the circuit was folded by "
                f"{tuple(np.round(factors, 2).tolist())}; train one for these"
            )

    def save(self, path: str | Path) -> None:
        """Write the network to one file, atomically."""
        arrays = {f"weights_{k}": array for k, array in enumerate(self.weights)}
        header = {"factors": list(self.factors), "residual": self.residual}
        save_archive(Path(path), header, arrays, kind=MITIGATION)

    @classmethod
    def load(cls, path: str | Path) -> "LearnedExtrapolation":
        """Read a network written by `save`.

        Raises:
            ModelFileError: The file is missing, damaged or foreign.
        """
        header, arrays = load_archive(Path(path), kind=MITIGATION)
        try:
            weights = tuple(np.asarray(arrays[f"weights_{k}"], dtype=np.float64) for k in range(len(arrays)))
            found = cls(checked_factors(header["factors"]), weights, float(header["residual"]))
            shapes = [w.shape for w in _started(len(found.factors), np.random.default_rng(0))]
            if [w.shape for w in weights] != shapes or not all(np.isfinite(w).all() for w in weights):
                raise ValueError("its weights do not fit")
        except Exception as error:
            raise ModelFileError(f"{path} is damaged: {type(error).__name__}: {error}") from error
        return found

    @classmethod
    def pretrained(cls) -> "LearnedExtrapolation":
        """The pretrained network of the package; `experiments/mitigation/train.py` makes it."""
        return cls.load(str(files("qtnml.mitigation") / "learned.qtnml"))

    @classmethod
    def trained(
        cls,
        examples: "Examples",
        unseen: "Examples",
        *,
        steps: int = 8000,
        learning_rate: float = 3e-3,
        seed: int = 0,
    ) -> "LearnedExtrapolation":
        """Learn from exact examples.

        Args:
            examples: Training examples; shots are drawn anew at every step.
            unseen: Circuits and noise for `residual`.
            steps: Number of Adam steps, each on all circuits.
            learning_rate: Learning rate of the first step; it falls to zero along a half cosine.
            seed: Seed of weights and shots.
        """
        start = _started(len(examples.factors), np.random.default_rng(seed))
        weights = _trained(tuple(map(jnp.asarray, start)), examples, steps, learning_rate, seed)
        final = tuple(np.asarray(w, dtype=np.float64) for w in weights)
        off = []
        for noisy, clean, levels in zip(unseen.noisy, unseen.clean, unseen.levels, strict=True):
            shared = np.concatenate([pooled(noisy, np.zeros(noisy.shape)), _level_features(levels)])
            off.append(_predict(final, noisy, shared) - clean)
        return cls(examples.factors, final, float(np.sqrt(np.mean(np.square(off)))))


@dataclass(frozen=True, eq=False)
class Examples:
    """Exact expectations of <Z> at the root.

    Attributes:
        factors: Folding factors.
        noisy: Shape (circuits, factors, samples).
        clean: Shape (circuits, samples).
        levels: Of the noise (circuits, levels).
    """

    factors: tuple[float, ...]
    noisy: NDArray
    clean: NDArray
    levels: NDArray


def random_examples(
    circuits: int,
    rng: np.random.Generator,
    *,
    factors: tuple[float, ...] = (1.0, 3.0, 5.0),
    on_circuit: Callable[[int], None] | None = None,
) -> Examples:
    """Random trees and chains of 8 to 64 leaves under random device noise without read-out errors."""
    noisy, clean, levels = [], [], []
    for number in range(circuits):
        topology, noise = random_topology(rng), random_device(rng)
        network = TensorNetwork.random(topology, rng, scale=float(rng.uniform(0.2, 1.4)))
        compiled = compile_network(network, AngleEncoding())
        angles = np.pi * rng.random((_SAMPLES, topology.num_data_qubits))
        at = [NoisyCircuit(folded(compiled, f).compiled, noise).evaluate(angles)[0] for f in factors]
        ideal = NoisyCircuit(compiled, DeviceNoise()).evaluate(angles)[0]
        levels.append(noise_levels(NoisyCircuit(compiled, noise)))
        noisy.append([z_expectations(outcomes)[:, 1] for outcomes in at])
        clean.append(z_expectations(ideal)[:, 1])
        if on_circuit is not None:
            on_circuit(number + 1)
    return Examples(checked_factors(factors), np.array(noisy), np.array(clean), np.array(levels))


def random_topology(rng: np.random.Generator) -> Topology:
    """A tree or a chain."""
    leaves = int(rng.choice([8, 16, 32, 64]))
    return balanced_tree(leaves) if rng.random() < 0.7 or leaves > 16 else mps(leaves)


def random_device(rng: np.random.Generator) -> DeviceNoise:
    """From today's better superconducting devices to ones ten times worse."""
    t1 = float(np.exp(rng.uniform(np.log(40e-6), np.log(400e-6))))
    return DeviceNoise(
        t1=t1,
        t2=float(rng.uniform(0.3, 1.6)) * t1,
        one_qubit_time=35e-9,
        two_qubit_time=float(rng.uniform(60e-9, 400e-9)),
        reset_time=float(rng.uniform(0.3e-6, 1.5e-6)),
        readout_time=1e-6,
        one_qubit_error=float(np.exp(rng.uniform(np.log(1e-4), np.log(1e-3)))),
        two_qubit_error=float(np.exp(rng.uniform(np.log(1e-3), np.log(2e-2)))),
        reset_error=float(rng.uniform(0, 0.02)),
        excited_population=float(rng.uniform(0, 0.02)),
    )


def noise_levels(noisy: NoisyCircuit) -> NDArray:
    """How much noise there is between leaves and root: (gate errors, relaxation in gates, waiting, resets).

    Each is the mean over the nodes of a level, summed over the levels of the tree.
    """
    rows, tree = noisy.instructions, noisy.tree
    rates = rows.decay + rows.coherence
    sources = [
        rows.depolarizing,
        (rates * (1 - rows.waiting)).sum(axis=1),
        (rates * rows.waiting).sum(axis=1),
        rows.reset_error,
    ]
    heights, owners = np.array(tree.topology.tree.heights), np.array(tree.owners)
    found = []
    for source in sources:
        by_node = np.bincount(owners[owners >= 0], weights=source[owners >= 0], minlength=len(heights))
        found.append(sum(by_node[heights == level].mean() for level in set(heights.tolist())))
    return np.array(found)


def _level_features(levels: NDArray | None) -> NDArray:
    """Logarithms of the levels, and whether they are known."""
    if levels is None:
        return np.zeros(_LEVELS + 1)
    return np.append(np.log(np.asarray(levels) + _NO_LEVEL), 1.0)


def pooled(values: Array, variances: Array, weights: Array | None = None) -> Array:
    """How values at each later factor depend on those at the first: (2 (factors - 1) + 1,).

    Slope and offset of a straight line through all samples, the spread that shots alone make taken off and
    drawn to a slope of 1 as if by one sample, and the number of samples (its inverse).

    Args:
        values, variances: Shape (factors, samples).
        weights: 1 for samples that count, 0 for others.
    """
    xp = namespace(values)
    weights = xp.ones_like(values[0]) if weights is None else weights
    count = xp.sum(weights)
    mean = xp.sum(values * weights, axis=-1) / count
    off = (values - mean[:, None]) * weights
    spread = xp.sum(off[0] ** 2)
    known = xp.maximum(spread - xp.sum(variances[0] * weights), 0.1 * spread)
    found = []
    for k in range(1, values.shape[0]):
        slope = (xp.sum(off[0] * off[k]) + _PRIOR) / (known + _PRIOR)
        slope = xp.clip(slope, -0.5, 1.5)
        found += [slope, mean[k] - slope * mean[0]]
    return xp.stack([*found, 1 / count])  # type: ignore[no-any-return]


def _predict(weights: Any, values: Array, shared: Array) -> Array:
    """Noise-free expectations (samples,) of values (factors, samples)."""
    xp = namespace(values)
    alike = xp.broadcast_to(shared[:, None], (shared.shape[0], values.shape[1]))
    hidden = xp.concat([values, alike], axis=0)
    for layer in range(0, len(weights) - 2, 2):
        hidden = xp.tanh(xp.matmul(weights[layer], hidden) + weights[layer + 1][:, None])
    gain, shift = xp.matmul(weights[-2], hidden) + weights[-1][:, None]
    return values[0] * xp.exp(gain) + shift  # type: ignore[no-any-return]


def _started(factors: int, rng: np.random.Generator) -> tuple[NDArray, ...]:
    sizes = (factors + 2 * (factors - 1) + 1 + _LEVELS + 1, _HIDDEN, _HIDDEN, 2)
    weights: list[NDArray] = []
    for inputs, outputs in pairwise(sizes):
        weights += [rng.normal(size=(outputs, inputs)) / np.sqrt(inputs), np.zeros(outputs)]
    weights[-2] *= 0.1  # begin near doing nothing
    return tuple(weights)


def _trained(
    weights: tuple[jax.Array, ...], examples: Examples, steps: int, learning_rate: float, seed: int
) -> tuple[jax.Array, ...]:
    noisy, clean = jnp.asarray(examples.noisy), jnp.asarray(examples.clean)
    levels = jnp.asarray(examples.levels)
    adam = RiemannianAdam()

    def loss(weights: Any, key: jax.Array) -> jax.Array:
        shots_key, noise_key, level_key, known_key, size_key = jax.random.split(key, 5)
        # Half of the circuits with 256 to 16,384 shots, half with so many that they do not matter.
        shots = 2.0 ** jax.random.uniform(shots_key, (len(noisy), 1, 1), minval=8, maxval=14)
        shots = jnp.where(jnp.arange(len(noisy))[:, None, None] % 2 == 0, shots, 1e9)
        variances = jnp.clip(1 - noisy**2, 1e-3) / shots
        seen = noisy + jnp.sqrt(variances) * jax.random.normal(noise_key, noisy.shape)

        wrong = jnp.exp(jax.random.uniform(level_key, levels.shape, minval=-0.3, maxval=0.3))
        known = 1.0 * (jax.random.uniform(known_key, (len(noisy), 1)) < 0.7)
        features = jnp.hstack([known * jnp.log(wrong * levels + _NO_LEVEL), known])

        # All samples of most circuits, fewer of the others, down to one.
        most = noisy.shape[2]
        drawn = jax.random.uniform(size_key, (len(noisy), 1))
        sizes = jnp.where(drawn < 0.3, (most + 1.0) ** (drawn / 0.3), most)
        counted = 1.0 * (jnp.arange(noisy.shape[2]) < jnp.floor(sizes))

        def one(values: jax.Array, spread: jax.Array, own: jax.Array, count: jax.Array) -> Any:
            shared = jnp.asarray(pooled(values, spread, count))
            return _predict(weights, values, jnp.concatenate([shared, own]))

        off = (jax.vmap(one)(seen, variances, features, counted) - clean) ** 2
        return jnp.mean(jnp.sum(off * counted, axis=1) / jnp.sum(counted, axis=1))

    @jax.jit
    @full_precision
    def step(weights: Any, state: Any, number: jax.Array) -> tuple[Any, Any]:
        gradients = jax.grad(loss)(weights, jax.random.fold_in(jax.random.key(seed), number))
        rate = learning_rate * 0.5 * (1 + jnp.cos(jnp.pi * number / steps))
        return adam.update(gradients, state, weights, rate)

    state: Any = adam.init(weights)  # type: ignore[arg-type]
    for number in range(steps):
        weights, state = step(weights, state, jnp.asarray(number))
    return weights
