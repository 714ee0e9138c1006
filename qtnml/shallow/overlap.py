"""<target|circuit> and its gradient by all gates at once, exactly, in one scan.

Along the chain by a sliding window, or, of few qubits, on the state vector: whichever array is smaller.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import Array, NDArray
from qtnml.shallow.window import Pair, Window, to_front, window_of

_MOST_DENSE = 14  # qubits: tables of 2**qubits rows for each gate
_TOGETHER = 4  # gates of one step on the state vector


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
    """The target's amplitudes, and tables of gates on the whole state vector.

    Attributes:
        gates: (steps, gates of a step); the number of gates stands for an identity.
        rows: Rows before each gate, (steps, gates of a step, 2**qubits).
        back: Their inverses.
        target: Conjugate amplitudes, in the order of rows after the last gate.
    """

    gates: Array
    rows: Array
    back: Array
    target: Array

    @property
    def num_places(self) -> int:
        """Qubits."""
        return int(self.target.shape[0]).bit_length() - 1


Data = Scanned | Dense


def beside(num_places: int, pairs: tuple[Pair, ...], tensors: Sequence[NDArray]) -> Data:
    """A target beside a circuit: on the state vector where that is no larger than the window."""
    if num_places > _MOST_DENSE:
        return scanned(window_of(num_places, pairs), tensors)
    window = window_of(num_places, pairs)
    bond = max(max(tensor.shape[0], tensor.shape[2]) for tensor in tensors)
    if 2**num_places > 2**window.width * bond:
        return scanned(window, tensors)
    return dense(num_places, pairs, tensors)


def dense(num_places: int, pairs: tuple[Pair, ...], tensors: Sequence[NDArray]) -> Dense:
    """A target's state vector beside gates on all qubits."""
    vector: NDArray = np.ones((1, 1))
    for tensor in tensors:
        vector = np.tensordot(vector, tensor, (1, 0)).reshape(-1, tensor.shape[2])
    steps = -(-max(1, len(pairs)) // _TOGETHER)
    gates = np.full(steps * _TOGETHER, len(pairs), np.int32)
    rows = np.tile(np.arange(2**num_places, dtype=np.int32), (len(gates), 1))
    back = rows.copy()
    axes = list(range(num_places))
    for gate, pair in enumerate(pairs):
        gates[gate] = gate
        rows[gate], axes = to_front(axes, pair)
        back[gate] = np.argsort(rows[gate])
    target = vector.reshape([2] * num_places).transpose(axes).reshape(-1).conj()
    shape = steps, _TOGETHER
    return Dense(gates.reshape(shape), rows.reshape(*shape, -1), back.reshape(*shape, -1), target)


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


def log_overlap(gates: Array, data: Data) -> tuple[Array, Array]:
    """Of <target|circuit|0...0> the logarithm of the absolute value and the phase.

    Args:
        gates: (gates, 4, 4), the first qubit's level varying slowest.
        data: Target beside the circuit.
    """
    if isinstance(data, Dense):
        return _log_overlap_of_vectors(gates, data)
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


def _log_overlap_of_vectors(gates: Array, data: Dense) -> tuple[Array, Array]:
    kind = jnp.result_type(gates, data.target)
    padded = jnp.concatenate([gates, jnp.eye(4, dtype=gates.dtype)[None]]).astype(kind)

    def step(vector: Any, now: Any) -> tuple[Any, None]:
        numbers, rows, back = now
        for k in range(numbers.shape[0]):
            vector = permuted(vector, rows[k], back[k])
            vector = (padded[numbers[k]] @ vector.reshape(4, -1)).reshape(-1)
        return vector, None

    start = jnp.zeros(data.target.shape, kind).at[0].set(1.0)
    vector, _ = jax.lax.scan(step, start, (data.gates, data.rows, data.back))
    last = (data.target * vector).sum()
    size = jnp.abs(last)
    return jnp.log(size), last / size
