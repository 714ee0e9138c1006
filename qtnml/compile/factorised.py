"""Exact outcome probabilities of a circuit, gate by gate, on groups of entangled qubits.

Qubits that no gate has joined have separate density matrices. A qubit that is reset next, or never used
again, is traced out at once. Gates that make a SWAP only rename qubits. So the circuit of a tree is simulated
exactly, with resets, at any number of qubits; density matrices are no larger than the widest node. The
simulation uses the operations only, not the tree or the schedule, so it checks the compiler independently.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterExpression, ParameterVector

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError

_SWAP = np.eye(4)[[0, 2, 1, 3]]
_SWAP_TOLERANCE = 1e-10
_CHUNK = 64  # samples simulated side by side
_MOST_QUBITS = 12  # of one density matrix: 4**12 complex numbers are 268 MB


@dataclass(frozen=True)
class Operation:
    """A gate, or a reset where there is no matrix.

    Attributes:
        qubits: Where it acts, the first the most significant of the matrix index.
        matrix: (d, d), or one for each sample (samples, d, d); None resets.
        is_swap: Exchanges its two qubits, as a change of names.
        is_projection: Not unitary: what follows is conditional on it.
    """

    qubits: tuple[int, ...]
    matrix: NDArray | None
    is_swap: bool = False
    is_projection: bool = False


def projection(qubits: tuple[int, ...]) -> Operation:
    """A qubit found in |0>."""
    return Operation(qubits, np.diag([1.0, 0.0]), is_projection=True)


@dataclass
class _Group:
    """Entangled qubits: rho of shape (samples, 2, ..., 2): a ket axis each, then a bra axis each."""

    qubits: list[int]
    rho: NDArray


def outcome_probabilities(operations: Sequence[Operation], measured: Sequence[int], samples: int) -> NDArray:
    """Probabilities (samples, 2**len(measured)); the first measured qubit is the most significant.

    Where operations project, these are conditional on success.

    Raises:
        InvalidInputError: More than 12 qubits are entangled at once.
    """
    operations = swaps_as_names(operations)
    ends = _last_uses(operations, measured)
    groups: dict[int, _Group] = {}
    for number, operation in enumerate(operations):
        if operation.is_swap:
            _rename(groups, *operation.qubits)
            for qubit in operation.qubits:
                if (number, qubit) in ends and qubit in groups:
                    _trace_out(groups, groups[qubit], qubit)
        elif operation.matrix is None:
            groups.pop(operation.qubits[0], None)  # traced out after its last use
        else:
            group = _joined(groups, operation.qubits, samples)
            _apply(group, operation)
            for qubit in operation.qubits:
                if (number, qubit) in ends:
                    _trace_out(groups, group, qubit)
    group = _joined(groups, measured, samples)
    for qubit in set(group.qubits) - set(measured):
        _trace_out(groups, group, qubit)
    size, order = len(measured), [group.qubits.index(qubit) for qubit in measured]
    axes = [0, *(1 + k for k in order), *(1 + size + k for k in order)]
    rho = group.rho.transpose(axes).reshape(samples, 2**size, 2**size)
    found = np.asarray(np.einsum("baa->ba", rho).real)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def probabilities_of(
    operations: Callable[[NDArray], list[Operation]], measured: Sequence[int], angles: NDArray
) -> NDArray:
    """Outcome probabilities (samples, outcomes) at data angles (samples, data qubits), a chunk at a time."""
    found = [np.empty((0, 2 ** len(measured)))]
    for start in range(0, len(angles), _CHUNK):
        part = angles[start : start + _CHUNK]
        found.append(outcome_probabilities(operations(part), measured, len(part)))
    return np.concatenate(found)


def circuit_operations(circuit: QuantumCircuit, x: ParameterVector, angles: NDArray) -> list[Operation]:
    """Gates and resets of a circuit whose only parameters are `x`, at the angles (samples, data qubits).

    A measurement into a register `postselect` becomes a projection on |0>.
    """
    operations = []
    checks = success_bits(circuit)
    for instruction in circuit.data:
        qubits = tuple(circuit.find_bit(bit).index for bit in instruction.qubits)
        operation = instruction.operation
        if operation.name == "reset":
            operations.append(Operation(qubits, None))
        elif operation.name == "measure" and instruction.clbits[0] in checks:
            operations.append(projection(qubits))
        elif operation.name not in ("measure", "barrier", "delay"):
            operations.append(Operation(qubits, _reversed(_matrices(operation, x, angles))))
    return operations


def success_bits(circuit: QuantumCircuit) -> set[Any]:
    """Classical bits that are 0 in shots that count."""
    return {bit for register in circuit.cregs if register.name == "postselect" for bit in register}


def measured_qubits(circuit: QuantumCircuit) -> list[int]:
    """Qubits measured as the outcome, that of the last classical bit first: the most significant."""
    checks = success_bits(circuit)
    places = {
        circuit.find_bit(instruction.clbits[0]).index: circuit.find_bit(instruction.qubits[0]).index
        for instruction in circuit.data
        if instruction.operation.name == "measure" and instruction.clbits[0] not in checks
    }
    return [places[bit] for bit in sorted(places, reverse=True)]


def _matrices(operation: Any, x: ParameterVector, angles: NDArray) -> NDArray:
    free = [p for p in operation.params if isinstance(p, ParameterExpression) and p.parameters]
    if not free:
        return np.asarray(operation.to_matrix())
    places = {parameter: k for k, parameter in enumerate(x)}
    rows = []
    for row in angles:
        values = [_bound(parameter, places, row) for parameter in operation.params]
        rows.append(operation.base_class(*values).to_matrix())
    return np.array(rows)


def _bound(parameter: Any, places: dict[Any, int], row: NDArray) -> float:
    if not isinstance(parameter, ParameterExpression):
        return float(parameter)
    return float(parameter.bind({free: row[places[free]] for free in parameter.parameters}))


def _reversed(matrices: NDArray) -> NDArray:
    """Qiskit's first qubit is the least significant; here it is the most."""
    if matrices.shape[-1] == 2:
        return matrices
    size = matrices.shape[-1].bit_length() - 1
    lead = matrices.ndim - 2
    axes = [*range(lead), *reversed(range(lead, lead + size)), *reversed(range(lead + size, lead + 2 * size))]
    split = matrices.reshape(*matrices.shape[:lead], *[2] * (2 * size))
    return split.transpose(axes).reshape(matrices.shape)


def _last_uses(operations: Sequence[Operation], measured: Sequence[int]) -> set[tuple[int, int]]:
    """(operation, qubit) after which the qubit may be traced out."""
    needed, ends = set(measured), set()
    for number in reversed(range(len(operations))):
        for qubit in operations[number].qubits:
            if operations[number].matrix is None and not operations[number].is_swap:
                needed.discard(qubit)
            elif qubit not in needed:
                ends.add((number, qubit))
                needed.add(qubit)
    return ends


def swaps_as_names(operations: Sequence[Operation]) -> list[Operation]:
    """Runs of gates on two qubits whose product is a SWAP and rotations, written as such."""
    found: list[Operation] = []
    runs: dict[int, list[Operation]] = {}  # of each qubit in an open run, the run it shares with another

    def close(*qubits: int) -> None:
        for qubit in qubits:
            if qubit in runs:
                run = runs[qubit]
                for member in {q for operation in run for q in operation.qubits}:
                    del runs[member]
                found.extend(_rewritten(run))

    for operation in operations:
        matrix, qubits = operation.matrix, operation.qubits
        plain = matrix is not None and matrix.ndim == 2 and not operation.is_projection
        if plain and len(qubits) == 1 and qubits[0] in runs:
            runs[qubits[0]].append(operation)
        elif plain and len(qubits) == 2:
            if not (qubits[0] in runs and runs[qubits[0]] is runs.get(qubits[1])):
                close(*qubits)
                runs[qubits[0]] = runs[qubits[1]] = []
            runs[qubits[0]].append(operation)
        else:
            close(*qubits)
            found.append(operation)
    close(*list(runs))
    return found


def _rewritten(run: list[Operation]) -> list[Operation]:
    """A run as one SWAP and rotations if it is that, else as it was."""
    if sum(len(operation.qubits) == 2 for operation in run) > 3:
        return run  # routing makes SWAPs of three gates at most
    first, second = run[0].qubits
    product = np.eye(4, dtype=np.complex128)
    for operation in run:
        assert operation.matrix is not None
        matrix = operation.matrix
        if len(operation.qubits) == 1:
            matrix = (
                np.kron(matrix, np.eye(2)) if operation.qubits == (first,) else np.kron(np.eye(2), matrix)
            )
        elif operation.qubits != (first, second):
            matrix = _SWAP @ matrix @ _SWAP
        product = matrix @ product
    # product = (A (x) B) SWAP: an operator of Schmidt rank one, once the SWAP is taken off.
    pairs = (product @ _SWAP).reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(4, 4)
    left, values, right = np.linalg.svd(pairs)
    if values[1] > _SWAP_TOLERANCE:
        return run
    scale = np.sqrt(values[0])
    return [
        Operation((first, second), None, is_swap=True),
        Operation((first,), scale * left[:, 0].reshape(2, 2)),
        Operation((second,), scale * right[0].reshape(2, 2)),
    ]


def _rename(groups: dict[int, _Group], first: int, second: int) -> None:
    names = {first: second, second: first}
    held = {id(groups[q]): groups[q] for q in (first, second) if q in groups}
    for group in held.values():
        group.qubits = [names.get(qubit, qubit) for qubit in group.qubits]
    moved = {names[q]: groups.pop(q) for q in (first, second) if q in groups}
    groups.update(moved)


def _joined(groups: dict[int, _Group], qubits: Sequence[int], samples: int) -> _Group:
    """The group that holds all these qubits; new ones start in |0>."""
    for qubit in qubits:
        if qubit not in groups:
            rho = np.zeros((samples, 2, 2), dtype=np.complex128)
            rho[:, 0, 0] = 1
            groups[qubit] = _Group([qubit], rho)
    first = groups[qubits[0]]
    for qubit in qubits[1:]:
        other = groups[qubit]
        if other is not first:
            if len(first.qubits) + len(other.qubits) > _MOST_QUBITS:
                raise InvalidInputError(
                    f"more than {_MOST_QUBITS} qubits of this circuit are entangled at once; check it with "
                    "shots on a backend"
                )
            first.rho = _product(first, other)
            first.qubits = [*first.qubits, *other.qubits]
            for member in other.qubits:
                groups[member] = first
    return first


def _product(first: _Group, other: _Group) -> NDArray:
    n, m, samples = len(first.qubits), len(other.qubits), len(first.rho)
    a = first.rho.reshape(samples, 2**n, 1, 2**n, 1)
    b = other.rho.reshape(samples, 1, 2**m, 1, 2**m)
    return np.asarray((a * b).reshape(samples, *[2] * (2 * (n + m))))


def _apply(group: _Group, operation: Operation) -> None:
    """rho -> U rho U^+."""
    assert operation.matrix is not None
    size, width = len(group.qubits), len(operation.qubits)
    places = [group.qubits.index(qubit) for qubit in operation.qubits]
    for offset, matrix in ((1, operation.matrix), (1 + size, operation.matrix.conj())):
        axes = [offset + place for place in places]
        moved = np.moveaxis(group.rho, axes, range(1, 1 + width))
        flat = matrix @ moved.reshape(len(moved), 2**width, -1)
        group.rho = np.moveaxis(flat.reshape(moved.shape), range(1, 1 + width), axes)
    if operation.is_projection:  # or hundreds of them underflow
        dim = 2**size
        total = np.einsum("baa->b", group.rho.reshape(-1, dim, dim)).real
        group.rho = group.rho / total.reshape(-1, *[1] * (2 * size))


def _trace_out(groups: dict[int, _Group], group: _Group, qubit: int) -> None:
    place, size = group.qubits.index(qubit), len(group.qubits)
    group.rho = np.trace(group.rho, axis1=1 + place, axis2=1 + size + place)
    group.qubits.pop(place)
    groups.pop(qubit)
