"""Transfer maps of nodes gate by gate, with noise in between, from the last gate to the first."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from qtnml.arrays import Array, NDArray, namespace
from qtnml.contract.pauli import pauli_transfer_maps

Operations = Sequence[tuple[tuple[int, ...], Array]]
"""(qubits, unitaries (nodes, 2**k, 2**k)), in order; the first qubit is the most significant."""


def operation_maps(
    operations: Operations, noise: Sequence[Array], num_qubits: int, width: int, fresh: int
) -> Array:
    """Maps (nodes, 4**width, 4**inputs * 2**fresh) of nodes made of operations.

    Args:
        operations: Of all nodes side by side.
        noise: After each operation, on its qubits: (nodes, 4**k, 4**k).
        num_qubits: Of a node.
        width: Number of kept qubits; the others are traced out.
        fresh: Number of trailing inputs of which only the labels I and Z are wanted.
    """
    xp = namespace(operations[0][1])
    count = operations[0][1].shape[0]
    dtype = noise[0].dtype
    tensor: Any = xp.broadcast_to(
        xp.asarray(_kept_rows(num_qubits, width), dtype=dtype), (count, 4**width, 4**num_qubits)
    )
    tensor = tensor.reshape(count, 4**width, *[4] * num_qubits)
    for (qubits, unitaries), after in zip(reversed(operations), reversed(noise), strict=True):
        size = len(qubits)
        maps = pauli_transfer_maps(unitaries, size, 0, "IXYZ", ("IXYZ",) * size)
        axes, ends = [2 + q for q in qubits], list(range(-size, 0))
        moved = xp.moveaxis(tensor, axes, ends)
        flat = xp.matmul(moved.reshape(count, -1, 4**size), xp.matmul(after, maps))
        tensor = xp.moveaxis(flat.reshape(moved.shape), ends, axes)
    for qubit in range(num_qubits - fresh, num_qubits):
        tensor = xp.take(tensor, np.array([0, 3]), axis=2 + qubit)
    return tensor.reshape(count, 4**width, -1)  # type: ignore[no-any-return]


@lru_cache(maxsize=64)
def _kept_rows(num_qubits: int, width: int) -> NDArray:
    """Every label on the kept qubits, I on the others."""
    rows: NDArray = np.eye(4**width)
    return np.kron(rows, np.eye(4 ** (num_qubits - width))[:1])
