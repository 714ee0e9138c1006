"""Transfer maps of nodes gate by gate, with noise in between, from the last gate to the first."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from qtnml.arrays import Array, namespace
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
    count, dtype = operations[0][1].shape[0], noise[0].dtype
    identity = xp.broadcast_to(xp.eye(4, dtype=dtype), (count, 4, 4))
    pending, joined = [identity] * num_qubits, []
    # What happens to single qubits is multiplied into the next operation on several.
    for (qubits, _), maps in zip(operations, _noisy_maps(operations, noise), strict=True):
        if len(qubits) == 1:
            pending[qubits[0]] = xp.matmul(maps, pending[qubits[0]])
            continue
        before = pending[qubits[0]]
        for qubit in qubits[1:]:
            before = _kron(before, pending[qubit])
        joined.append((qubits, xp.matmul(maps, before)))
        for qubit in qubits:
            pending[qubit] = identity
    tensor: Any = pending[0]
    for qubit in range(1, num_qubits):  # of a qubit that is traced out the first row is left
        tensor = _kron(tensor, pending[qubit] if qubit < width else pending[qubit][:, :1])
    tensor = tensor.reshape(count, 4**width, *[4] * num_qubits)
    for qubits, maps in reversed(joined):
        axes, ends = [2 + q for q in qubits], list(range(-len(qubits), 0))
        moved = xp.moveaxis(tensor, axes, ends)
        flat = xp.matmul(moved.reshape(count, -1, 4 ** len(qubits)), maps)
        tensor = xp.moveaxis(flat.reshape(moved.shape), ends, axes)
    for qubit in range(num_qubits - fresh, num_qubits):
        tensor = xp.take(tensor, np.array([0, 3]), axis=2 + qubit)
    return tensor.reshape(count, 4**width, -1)  # type: ignore[no-any-return]


def _kron(first: Any, second: Any) -> Any:
    """Kronecker products of stacks (count, rows, columns)."""
    joined = first[:, :, None, :, None] * second[:, None, :, None, :]
    rows, columns = first.shape[1] * second.shape[1], first.shape[2] * second.shape[2]
    return joined.reshape(first.shape[0], rows, columns)


def _noisy_maps(operations: Operations, noise: Sequence[Array]) -> list[Array]:
    """Map of each operation with its noise after it; all of one size are made at once."""
    xp = namespace(operations[0][1])
    found: dict[int, Array] = {}
    for size in {len(qubits) for qubits, _ in operations}:
        places = [k for k, (qubits, _) in enumerate(operations) if len(qubits) == size]
        unitaries = xp.concat([operations[k][1] for k in places])
        maps = pauli_transfer_maps(unitaries, size, 0, "IXYZ", ("IXYZ",) * size)
        both = xp.matmul(xp.concat([noise[k] for k in places]), maps)
        split = both.reshape(len(places), -1, *both.shape[1:])
        found |= {k: split[number] for number, k in enumerate(places)}
    return [found[k] for k in range(len(operations))]
