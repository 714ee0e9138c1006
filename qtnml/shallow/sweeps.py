"""Polar sweeps: each gate in turn is replaced by the best gate given all others (arXiv:2209.00595).

<target|circuit> is linear in each gate. The largest absolute value of sum E_ij G_ij is at the unitary polar
factor of conj(E), so that a sweep never lowers the fidelity. Environments come from the same walk as
gradients: one backward pass for what follows each gate, and one forward pass that replaces the gates.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import Array, NDArray
from qtnml.errors import InvalidInputError
from qtnml.shallow.blocks import Blocks, Point
from qtnml.shallow.optimise import OnIteration, Optimised
from qtnml.shallow.overlap import Scanned, log_overlap, scanned
from qtnml.shallow.window import window_of


def polar_sweeps(
    blocks: Blocks,
    tensors: Sequence[NDArray],
    points: Point,
    *,
    iterations: int,
    slow_down: float = 0.0,
    tolerance: float = 1e-4,
    on_iteration: OnIteration | None = None,
) -> Optimised:
    """Sweep over all gates of several circuits, so many times.

    Args:
        blocks: Whole ones ("su4", "so4").
        tensors: Target, (left bond, level, right bond) of each place.
        points: Where from, with a leading axis of circuits.
        iterations: Sweeps, at most.
        slow_down: Share of the old gate that stays in what the polar factor is taken of.
        tolerance: Ends when no loss has fallen by this share of itself in a sweep.
        on_iteration: Called after each.

    Raises:
        InvalidInputError: Blocks of CX and rotations.
    """
    if not blocks.is_whole:
        raise InvalidInputError(
            f"sweeps replace whole gates: blocks 'su4' or 'so4', got {blocks.kind!r}; take 'lbfgs'"
        )
    with jax.enable_x64(True):
        window = window_of(blocks.num_places, blocks.pairs)
        data: Any = jax.tree.map(jnp.asarray, scanned(window, tensors))
        whole = jnp.asarray(points.whole)
        losses = [np.asarray(_losses(data, whole))]
        for iteration in range(iterations):
            whole = _swept(data, whole, slow_down)
            losses.append(np.asarray(_losses(data, whole)))
            if on_iteration is not None and on_iteration(iteration + 1, losses[-1]):
                break
            if (losses[-2] - losses[-1] <= tolerance * np.abs(losses[-1])).all():
                break
        moved = points._replace(whole=np.asarray(whole))
    return Optimised(moved, losses[-1], np.stack(losses))


@jax.jit
@partial(jax.vmap, in_axes=(None, 0))
def _losses(data: Scanned, gates: Array) -> Array:
    return -2 * log_overlap(gates, data)[0] / data.num_places


@partial(jax.jit, static_argnames="slow_down")
@partial(jax.vmap, in_axes=(None, 0, None))
def _swept(data: Scanned, gates: Array, slow_down: float) -> Array:
    kind = jnp.result_type(gates, data.tensors)
    size, bond = data.leaving_rows.shape[1], data.tensors.shape[2]
    padded = jnp.concatenate([gates, jnp.eye(4, dtype=gates.dtype)[None]])

    def back(after: Any, now: Any) -> tuple[Any, Any]:
        """What follows a step, as a linear form of its amplitudes, and what follows each of its gates."""

        def leave(form: Array) -> Array:
            rest = form[: size // 2]  # the new tenant of the slot is |0>
            both = jnp.concatenate([rest @ now.tensors[0].T, rest @ now.tensors[1].T])
            return both[now.leaving_back]

        form = jax.lax.cond(now.leaves, leave, lambda form: form, after)
        forms = []
        for k in reversed(range(now.gates.shape[0])):
            forms.append(form)
            form = (padded[now.gates[k]].T @ form.reshape(4, -1)).reshape(size, bond)[now.back[k]]
        return _unit(form), jnp.stack(forms[::-1])

    last = jnp.zeros((size, bond), kind).at[0, 0].set(1.0)
    _, following = jax.lax.scan(back, last, data, reverse=True)

    def forth(carried: Any, now: Any) -> tuple[Any, None]:
        array, replaced = carried
        step, forms = now
        for k in range(step.gates.shape[0]):
            array = array[step.rows[k]]
            old = replaced[step.gates[k]]
            environment = forms[k].reshape(4, -1) @ array.reshape(4, -1).T
            best = _polar(environment, old, slow_down)
            gate = jnp.where(step.gates[k] < len(gates), best, old)
            replaced = replaced.at[step.gates[k]].set(gate)
            array = (gate @ array.reshape(4, -1)).reshape(size, bond)

        def leave(array: Array) -> Array:
            both = array[step.leaving_rows].reshape(2, size // 2, bond)
            rest = both[0] @ step.tensors[0] + both[1] @ step.tensors[1]
            return jnp.concatenate([rest, jnp.zeros_like(rest)])

        array = jax.lax.cond(step.leaves, leave, lambda array: array, array)
        return (_unit(array), replaced), None

    start = (jnp.zeros((size, bond), kind).at[0, 0].set(1.0), padded)
    (_, replaced), _ = jax.lax.scan(forth, start, (data, following))
    return replaced[:-1]


def _unit(array: Array) -> Array:
    scale = jnp.sqrt((array.real**2 + array.imag**2).sum())
    return array / jnp.where(scale > 0, scale, 1.0)


def _polar(environment: Array, old: Array, slow_down: float) -> Array:
    """The unitary G of largest |sum E_ij G_ij|; of real ones a rotation, whose determinant is 1."""
    if jnp.iscomplexobj(old):
        # The phase of the old gate's share of the overlap, so that both parts add up.
        now = (environment * old).sum()
        phase = jnp.where(jnp.abs(now) > 0, now / jnp.abs(now), 1.0)
        wanted = environment.conj() * phase
        left, _, right = jnp.linalg.svd((1 - slow_down) * wanted + slow_down * _like(wanted, old))
        return left @ right
    wanted = environment.real if jnp.iscomplexobj(environment) else environment
    wanted = wanted * jnp.where((wanted * old).sum() < 0, -1.0, 1.0)
    left, _, right = jnp.linalg.svd((1 - slow_down) * wanted + slow_down * _like(wanted, old))
    sign = jnp.linalg.det(left) * jnp.linalg.det(right)
    return left.at[:, -1].multiply(jnp.where(sign < 0, -1.0, 1.0)) @ right


def _like(wanted: Array, old: Array) -> Array:
    """The old gate with the norm of what is wanted."""
    scaled: Array = old * jnp.linalg.norm(wanted) / 2
    return scaled
