"""<target|circuit> and its gradient by all gates at once, exactly, in one scan along the chain."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import Array, NDArray
from qtnml.shallow.window import Window


class Scanned(NamedTuple):
    """A window's tables and the target's tensors, as the scan takes them."""

    gates: Array
    rows: Array
    back: Array
    leaving_rows: Array
    leaving_back: Array
    leaves: Array
    tensors: Array


def scanned(window: Window, tensors: Sequence[NDArray]) -> Scanned:
    """A target (left bond, level, right bond) beside a window; its tensors are padded to one bond."""
    tables = window.tables
    bond = max(max(tensor.shape[0], tensor.shape[2]) for tensor in tensors)
    kind = np.result_type(*tensors)
    whole = np.zeros((len(tensors), bond, 2, bond), kind)
    for place, tensor in enumerate(tensors):
        # The conjugate meets the circuit; bonds run the way the window does.
        turned = tensor.transpose(2, 1, 0) if window.is_reversed else tensor
        whole[place, : turned.shape[0], :, : turned.shape[2]] = turned.conj()
    return Scanned(
        tables.gates,
        tables.rows,
        tables.back,
        tables.leaving_rows,
        tables.leaving_back,
        tables.leaves,
        whole[tables.places].transpose(0, 2, 1, 3),
    )


@jax.custom_vjp
def permuted(array: Array, rows: Array, back: Array) -> Array:
    """Rows of an array in another order; `back` is the inverse permutation."""
    del back
    return array[rows]


def _permuted_forward(array: Array, rows: Array, back: Array) -> tuple[Array, Array]:
    return array[rows], back


def _permuted_backward(back: Array, cotangent: Array) -> tuple[Array, None, None]:
    # The transpose of a permutation is its inverse: rows are read, where a scatter would add them up.
    return cotangent[back], None, None


permuted.defvjp(_permuted_forward, _permuted_backward)


def log_overlap(gates: Array, data: Scanned) -> tuple[Array, Array]:
    """Of <target|circuit|0...0> the logarithm of the absolute value and the phase.

    Args:
        gates: (gates, 4, 4), the first qubit's level varying slowest.
        data: Target and window.
    """
    kind = jnp.result_type(gates, data.tensors)
    padded = jnp.concatenate([gates, jnp.eye(4, dtype=gates.dtype)[None]]).astype(kind)
    size, bond = data.leaving_rows.shape[1], data.tensors.shape[2]

    def step(array: Any, now: Any) -> tuple[Any, Any]:
        for k in range(now.gates.shape[0]):
            array = permuted(array, now.rows[k], now.back[k])
            array = (padded[now.gates[k]] @ array.reshape(4, -1)).reshape(size, bond)

        def leave(array: Array) -> Array:
            array = permuted(array, now.leaving_rows, now.leaving_back).reshape(2, size // 2, bond)
            rest = array[0] @ now.tensors[0] + array[1] @ now.tensors[1]
            return jnp.concatenate([rest, jnp.zeros_like(rest)])

        array = jax.lax.cond(now.leaves, leave, lambda array: array, array)
        scale = jax.lax.stop_gradient(jnp.sqrt((array.real**2 + array.imag**2).sum()))
        scale = jnp.where(scale > 0, scale, 1.0)
        return array / scale, jnp.log(scale)

    start = jnp.zeros((size, bond), kind).at[0, 0].set(1.0)
    array, logs = jax.lax.scan(step, start, data)
    last = array[0, 0]
    size_of_last = jnp.abs(last)
    return jnp.log(size_of_last) + logs.sum(), last / size_of_last
