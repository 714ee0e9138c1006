"""Circuits on a whole state vector; for few qubits by tables of rows, so only amplitudes are computed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import Array, NDArray
from qtnml.shallow.window import Pair, to_front

MOST_IN_TABLES = 14  # qubits: 2**qubits rows for each gate
_TOGETHER = 4  # gates of one step


class VectorWalk(NamedTuple):
    """Gates on all qubits: before each, its qubits move to the front; they stay where they are after it.

    Attributes:
        gates: (steps, gates of a step); the number of gates stands for an identity.
        rows: Rows before each gate, (steps, gates of a step, 2**qubits).
        back: Their inverses.
        last: Rows after the last gate that bring the qubits into order, (2**qubits,).
        last_back: Their inverse.
    """

    gates: Array
    rows: Array
    back: Array
    last: Array
    last_back: Array


def vector_walk(num_qubits: int, pairs: Sequence[Pair]) -> VectorWalk:
    """Of gates on these pairs in order of time; qubit 0 varies slowest."""
    steps = -(-max(1, len(pairs)) // _TOGETHER)
    gates = np.full(steps * _TOGETHER, len(pairs), np.int32)
    rows = np.tile(np.arange(2**num_qubits, dtype=np.int32), (len(gates), 1))
    back = rows.copy()
    axes = list(range(num_qubits))
    for gate, pair in enumerate(pairs):
        gates[gate] = gate
        rows[gate], axes = to_front(axes, pair)
        back[gate] = np.argsort(rows[gate])
    last, _ = to_front(axes, tuple(range(num_qubits)))
    shape = steps, _TOGETHER
    return VectorWalk(
        gates.reshape(shape),
        rows.reshape(*shape, -1),
        back.reshape(*shape, -1),
        last,
        np.argsort(last).astype(np.int32),
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


def walked(gates: Array, walk: VectorWalk) -> Array:
    """State vector (2**qubits,) of gates (gates, 4, 4) on |0...0>: a pure function."""
    padded = jnp.concatenate([gates, jnp.eye(4, dtype=gates.dtype)[None]])

    def step(vector: Any, now: Any) -> tuple[Any, None]:
        numbers, rows, back = now
        for k in range(numbers.shape[0]):
            vector = permuted(vector, rows[k], back[k])
            vector = (padded[numbers[k]] @ vector.reshape(4, -1)).reshape(-1)
        return vector, None

    start = jnp.zeros(walk.last.shape, gates.dtype).at[0].set(1.0)
    vector, _ = jax.lax.scan(step, start, (walk.gates, walk.rows, walk.back))
    return permuted(vector, walk.last, walk.last_back)


def dense_vector(tensors: Sequence[NDArray]) -> NDArray:
    """Amplitudes of a chain (left bond, level, right bond), its first place varying slowest."""
    vector: NDArray = np.ones((1, 1))
    for tensor in tensors:
        vector = np.tensordot(vector, tensor, (1, 0)).reshape(-1, tensor.shape[2])
    return vector.reshape(-1)
