"""States prepared by Qiskit circuits."""

from collections.abc import Iterator

import numpy as np
from qiskit import QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Operator

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.states.chains import Chain, check_bond, check_cutoff
from qtnml.states.evolution import MovingChain
from qtnml.states.state import State


def from_circuit(circuit: QuantumCircuit, *, max_bond: int | None = None, cutoff: float = 1e-12) -> State:
    """The state that a Qiskit circuit prepares from |0...0>, gate by gate on a matrix product state.

    Args:
        circuit: Bound gates on one and two qubits, no measurements or resets; qubit k is site k. For a gate
            between distant qubits, the qubits are swapped next to each other and back.
        max_bond: Largest bond; None keeps all singular values above `cutoff`.
        cutoff: Share of the norm below which singular values are dropped.

    Raises:
        InvalidInputError: Free parameters, measurements, resets, or gates on more than two qubits.

    >>> bell = QuantumCircuit(2)
    >>> _ = bell.h(0), bell.cx(0, 1)
    >>> np.abs(from_circuit(bell).to_vector()).round(3).tolist()
    [0.707, 0.0, 0.0, 0.707]
    """
    check_bond(max_bond)
    check_cutoff(cutoff)
    gates = gates_of_circuit(circuit)
    moving = MovingChain.zeros(circuit.num_qubits, max_bond, cutoff)
    for matrix, qubits in gates:
        if len(qubits) == 1:
            moving.apply_one(matrix, qubits[0])
        else:
            moving.apply(matrix, *qubits)
    return State(Chain(tuple(moving.tensors), tuple(range(circuit.num_qubits))).state())


def gates_of_circuit(circuit: QuantumCircuit) -> Iterator[tuple[NDArray, tuple[int, ...]]]:
    """Matrices of a circuit's gates and their qubits, in order of time; the first qubit varies slowest.

    Raises:
        InvalidInputError: No circuit, one with free parameters or without qubits; while it is read,
            measurements, resets, and gates on more than two qubits.
    """
    if not isinstance(circuit, QuantumCircuit):
        raise InvalidInputError(f"expected a QuantumCircuit, got {type(circuit).__name__}")
    if circuit.parameters:
        raise InvalidInputError("the circuit has free parameters; bind them first (assign_parameters)")
    if not circuit.num_qubits:
        raise InvalidInputError("the circuit has no qubits")
    return _gates(circuit)


def _gates(circuit: QuantumCircuit) -> Iterator[tuple[NDArray, tuple[int, ...]]]:
    for instruction in circuit.data:
        operation = instruction.operation
        if operation.name == "barrier":
            continue
        on = tuple(circuit.find_bit(qubit).index for qubit in instruction.qubits)
        if not 1 <= len(on) <= 2 or instruction.clbits or operation.name in ("reset", "delay", "initialize"):
            raise InvalidInputError(
                f"expected gates on one and two qubits, got {operation.name!r} on {len(on)}; translate the "
                "circuit first: transpile(circuit, basis_gates=['u', 'cx'])"
            )
        try:
            matrix = Operator(operation).reverse_qargs().data  # Qiskit's first qubit is the least significant
        except QiskitError as error:
            raise InvalidInputError(f"{operation.name!r} is no gate: {error}") from error
        yield np.asarray(matrix), on
