"""Read-out mitigation: known states are read, which gives the matrix to invert."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit

from qtnml.arrays import NDArray
from qtnml.compile import CompiledCircuit
from qtnml.compile.factorised import measured_qubits
from qtnml.errors import InvalidInputError

_EVERY_STATE = 4  # measured qubits up to which all states are prepared; beyond, errors count as independent


@dataclass(frozen=True)
class ReadoutMitigation:
    """Invert the confusion matrix of the measured qubits.

    Up to four measured qubits, every state is prepared and the inverse is exact, including correlated errors.
    With more qubits, two states are prepared, all qubits in |0> and all in |1>, and errors are treated as
    independent.

    Attributes:
        shots: Shots of each calibration circuit; None takes four times the shots of a sample.
    """

    shots: int | None = None

    def __post_init__(self) -> None:
        is_integer = isinstance(self.shots, int | np.integer) and not isinstance(self.shots, bool)
        if self.shots is not None and not (is_integer and self.shots >= 1):
            raise InvalidInputError(f"shots must be an integer of at least 1 or None, got {self.shots!r}")

    def construct_circuits(self, compiled: CompiledCircuit) -> list[QuantumCircuit]:
        """Calibration circuits that prepare known states on the measured qubits and read them."""
        qubits = measured_qubits(compiled.circuit)[::-1]  # that of the least significant bit first
        states = range(2 ** len(qubits))
        chosen = states if len(qubits) <= _EVERY_STATE else (states[0], states[-1])
        return [_prepared(compiled, qubits, state) for state in chosen]

    def combine_results(self, frequencies: NDArray) -> "Confusion":
        """The confusion matrix from outcome frequencies (circuits, outcomes) of the calibration circuits."""
        circuits, outcomes = frequencies.shape
        if circuits == outcomes:
            return Confusion((frequencies.T,))
        bits = outcomes.bit_length() - 1
        split = frequencies.reshape(2, *[2] * bits)
        matrices = []
        for axis in range(bits):
            others = tuple(1 + k for k in range(bits) if k != axis)
            matrices.append(split.sum(axis=others).T)
        return Confusion(tuple(matrices))


@dataclass(frozen=True, eq=False)
class Confusion:
    """Probabilities [read, prepared] of all measured qubits together, or of each qubit, last bit first."""

    matrices: tuple[NDArray, ...]

    def __post_init__(self) -> None:
        for matrix in self.matrices:
            if np.linalg.cond(matrix) > 1e3:
                raise InvalidInputError(
                    "the read-out hardly tells states apart, so that its errors cannot be undone; "
                    "choose other qubits, or leave read-out mitigation out"
                )

    @property
    def inverse(self) -> NDArray:
        """Matrix (outcomes, outcomes) that turns read frequencies into quasi-probabilities."""
        found: NDArray = np.eye(1)
        for matrix in self.matrices:
            found = np.kron(found, np.linalg.inv(matrix))
        return found

    @property
    def error(self) -> float:
        """Mean probability of a wrong bit string."""
        diagonal = [np.diag(matrix) for matrix in self.matrices]
        product: NDArray = np.ones(1)
        for part in diagonal:
            product = np.kron(product, part)
        return float(1 - product.mean())


def _prepared(compiled: CompiledCircuit, qubits: list[int], state: int) -> QuantumCircuit:
    """A basis state on the measured qubits, as an integer of their bits."""
    given = compiled.circuit
    circuit = QuantumCircuit(*given.qregs, ClassicalRegister(len(qubits), "c"))
    for bit, qubit in enumerate(qubits):
        if state >> bit & 1:
            flip(circuit, qubit, compiled.device)
    circuit.measure(qubits, range(len(qubits)))
    return circuit


def flip(circuit: QuantumCircuit, qubit: int, device: Any) -> None:
    """Append an X, in gates that the device has."""
    names = {"x"} if device is None else set(device.target.operation_names)
    if "x" in names or "sx" not in names:
        circuit.x(qubit)
    else:
        circuit.sx(qubit)
        circuit.sx(qubit)
