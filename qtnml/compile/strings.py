"""Independent simulation of generative circuits: gates, resets and read-outs as they are in the circuit.

The probability of a string is followed through the circuit, instruction by instruction. Qubits that gates
have joined are held together as one state vector. A measurement projects on the string's bit and separates
the qubit from the others. The network that the circuit was made from is not used.
"""

from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import IfElseOp

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError

_MOST_TOGETHER = 20  # qubits of one state vector
_LEFT = 1e-9  # probability of |1> that a reset may throw away


class _States:
    """State vectors of groups of qubits, one row for each string."""

    def __init__(self, strings: int, num_qubits: int) -> None:
        start = np.zeros((strings, 2), dtype=np.complex128)
        start[:, 0] = 1
        self.logs = np.zeros(strings)
        self._groups: dict[int, list[int]] = {qubit: [qubit] for qubit in range(num_qubits)}
        self._vectors: dict[int, NDArray] = {qubit: start.copy() for qubit in range(num_qubits)}

    def _joined(self, qubits: list[int]) -> list[int]:
        """The group of all of these qubits."""
        first = self._groups[qubits[0]]
        for qubit in qubits[1:]:
            other = self._groups[qubit]
            if other is first:
                continue
            if len(first) + len(other) > _MOST_TOGETHER:
                raise InvalidInputError(
                    f"{len(first) + len(other)} qubits of this circuit are entangled at once, more than "
                    f"{_MOST_TOGETHER}; compile with reuse_qubits=True"
                )
            mine, its = self._vectors.pop(first[0]), self._vectors.pop(other[0])
            first += other
            self._vectors[first[0]] = np.einsum("ba,bc->bac", mine, its).reshape(len(mine), -1)
            for member in other:
                self._groups[member] = first
        return first

    def apply(self, matrix: NDArray, qubits: list[int]) -> None:
        """A gate by its matrix in Qiskit's order: the first qubit is the least significant."""
        group = self._joined(qubits)
        vector = self._vectors[group[0]].reshape(-1, *[2] * len(group))
        axes = [1 + group.index(qubit) for qubit in reversed(qubits)]
        gate = matrix.reshape([2] * 2 * len(qubits))
        moved = np.tensordot(vector, gate, (axes, range(len(qubits), 2 * len(qubits))))
        moved = np.moveaxis(moved, range(moved.ndim - len(qubits), moved.ndim), axes)
        self._vectors[group[0]] = moved.reshape(len(vector), -1)

    def project(self, qubit: int, bits: NDArray) -> None:
        """Onto one value of a qubit for each string, which then stands alone."""
        group = self._groups[qubit]
        vector = self._vectors.pop(group[0]).reshape(-1, *[2] * len(group))
        vector = np.moveaxis(vector, 1 + group.index(qubit), 1).reshape(len(vector), 2, -1)
        kept = vector[np.arange(len(bits)), bits]
        weight = np.einsum("bi,bi->b", kept, kept.conj()).real
        with np.errstate(divide="ignore"):
            self.logs += np.log(weight)
        rest = [other for other in group if other != qubit]
        if rest:
            self._vectors[rest[0]] = kept / np.sqrt(np.where(weight > 0, weight, 1))[:, None]
            for other in rest:
                self._groups[other] = rest
        self._groups[qubit] = [qubit]
        self._vectors[qubit] = (bits[:, None] == np.arange(2)).astype(np.complex128)

    def flip(self, qubit: int, where: NDArray) -> None:
        """X in the strings where a bit is 1."""
        group = self._groups[qubit]
        vector = self._vectors[group[0]].reshape(-1, *[2] * len(group))
        flipped = np.flip(vector, 1 + group.index(qubit))
        chosen = where.astype(bool).reshape(-1, *[1] * len(group))
        self._vectors[group[0]] = np.where(chosen, flipped, vector).reshape(len(vector), -1)

    def reset(self, qubit: int) -> None:
        """Back to |0>; what was there must be known."""
        if len(self._groups[qubit]) > 1:
            before = self.logs.copy()
            self.project(qubit, np.zeros(len(before), dtype=np.int64))
            if (before - self.logs > _LEFT)[np.isfinite(before)].any():
                raise InvalidInputError(f"the circuit resets qubit {qubit} while its state still matters")
        self._vectors[qubit][:] = [1, 0]


def _flipping_bit(operation: IfElseOp, place: dict[Any, int]) -> int:
    """The classical bit of `if (bit) x`."""
    body, condition = operation.blocks[0], operation.condition
    if (
        len(operation.blocks) > 1
        or [entry.operation.name for entry in body.data] != ["x"]
        or condition[1] != 1
    ):
        raise InvalidInputError("only an X that depends on one bit can be followed here; simulate it on Aer")
    return place[condition[0]]


def log_probabilities(circuit: QuantumCircuit, bits: NDArray) -> NDArray:
    """ln P of classical bits (strings, bits) that a circuit without free parameters reads, nats, (strings,).

    Raises:
        InvalidInputError: The circuit resets a qubit that was not read, measures a bit twice or some never.
    """
    index = {bit: k for k, bit in enumerate(circuit.qubits)}
    place = {bit: k for k, bit in enumerate(circuit.clbits)}
    states, read = _States(len(bits), circuit.num_qubits), list[int]()
    for instruction in circuit.data:
        qubits, name = [index[q] for q in instruction.qubits], instruction.operation.name
        if name == "measure":
            read.append(place[instruction.clbits[0]])
            states.project(qubits[0], bits[:, read[-1]])
        elif name == "reset":
            states.reset(qubits[0])
        elif isinstance(instruction.operation, IfElseOp):
            bit = _flipping_bit(instruction.operation, place)
            states.flip(qubits[0], bits[:, bit])
        elif name not in ("barrier", "delay"):
            states.apply(np.asarray(instruction.operation.to_matrix()), qubits)
    if sorted(read) != list(range(len(circuit.clbits))):
        raise InvalidInputError(f"the circuit reads the bits {sorted(read)}, not each of {len(place)} once")
    return states.logs
