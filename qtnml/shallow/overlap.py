"""Exact <target|circuit> and its gradient by all gates at once, in one scan.

The scan is along the chain by a sliding window, or on the state vector for few qubits. The way with the
smaller array is taken.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import Array, NDArray
from qtnml.shallow.state_vector import (
    MOST_IN_TABLES,
    VectorWalk,
    dense_vector,
    permuted,
    vector_walk,
    walked,
)
from qtnml.shallow.window import Pair, Window, window_of


class Scanned(NamedTuple):
    """A window's tables and the target's tensors, as the scan takes them."""

    gates: Array
    rows: Array
    back: Array
    leaving_rows: Array
    leaving_back: Array
    leaves: Array
    tensors: Array

    @property
    def num_places(self) -> Array:
        """Of the chain."""
        return self.leaves.sum()


class Dense(NamedTuple):
    """The circuit on a whole state vector, and the target's conjugate amplitudes."""

    walk: VectorWalk
    target: Array

    @property
    def num_places(self) -> int:
        """Qubits."""
        return int(self.target.shape[0]).bit_length() - 1


Data = Scanned | Dense


def beside(num_places: int, pairs: tuple[Pair, ...], tensors: Sequence[NDArray]) -> Data:
    """A target beside a circuit: on the state vector where that is no larger than the window."""
    window = window_of(num_places, pairs)
    bond = max(max(tensor.shape[0], tensor.shape[2]) for tensor in tensors)
    if num_places > MOST_IN_TABLES or 2**num_places > 2**window.width * bond:
        return scanned(window, tensors)
    return dense(num_places, pairs, tensors)


def dense(num_places: int, pairs: tuple[Pair, ...], tensors: Sequence[NDArray]) -> Dense:
    """A target's state vector beside gates on all qubits."""
    return Dense(vector_walk(num_places, pairs), dense_vector(tensors).conj())


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


def log_overlap(gates: Array, data: Data) -> tuple[Array, Array]:
    """Of <target|circuit|0...0> the logarithm of the absolute value and the phase.

    Args:
        gates: (gates, 4, 4), the first qubit's level varying slowest.
        data: Target beside the circuit.
    """
    if isinstance(data, Dense):
        last = (data.target * walked(gates, data.walk)).sum()
        return jnp.log(jnp.abs(last)), last / jnp.abs(last)
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
