"""Check that a circuit equals its network: gate-by-gate simulation against the contraction."""

from typing import TYPE_CHECKING, Literal

import numpy as np
from qiskit import QuantumCircuit
from qiskit.quantum_info import DensityMatrix

from qtnml.ansatz import FullUnitary
from qtnml.arrays import NDArray
from qtnml.compile.factorised import circuit_operations, measured_qubits, probabilities_of
from qtnml.compile.pennylane import pennylane_probabilities
from qtnml.contract import Model, Parameters
from qtnml.errors import InvalidInputError

if TYPE_CHECKING:
    from qtnml.compile.compiled import CompiledCircuit

_DENSE_QUBITS, _DENSE_SAMPLES = 8, 4


def verify(compiled: "CompiledCircuit", X: NDArray, sdk: str) -> float:
    """See `CompiledCircuit.verify`."""
    if sdk not in ("qiskit", "pennylane"):
        raise InvalidInputError(f"sdk must be 'qiskit' or 'pennylane', got {sdk!r}")
    expected = network_probabilities(compiled, X)
    if not len(expected):
        raise InvalidInputError("nothing to compare: give at least one sample")
    angles = compiled.angles(X)
    simulated = circuit_probabilities if sdk == "qiskit" else pennylane_probabilities
    deviation = float(np.abs(simulated(compiled, angles) - expected).max())
    is_small = compiled.circuit.num_qubits <= _DENSE_QUBITS
    if sdk == "qiskit" and is_small and not compiled.postselected:
        dense = np.array(
            [_dense_probabilities(circuit) for circuit in compiled.bind_angles(angles[:_DENSE_SAMPLES])]
        )
        deviation = max(deviation, float(np.abs(dense - expected[:_DENSE_SAMPLES]).max()))
    return deviation


def network_probabilities(compiled: "CompiledCircuit", X: NDArray) -> NDArray:
    """Outcome probabilities of the network that was compiled, (samples, outcomes)."""
    network = compiled.network
    if network is None:
        raise InvalidInputError(
            "no network to compare with: the weights were changed, or the circuit was read from a file; "
            "compile the model again"
        )
    discard: Literal["trace", "postselect"] = "postselect" if compiled.postselected else "trace"
    model = Model(network.topology, compiled.encoding, FullUnitary(), discard)
    X = np.asarray(X, dtype=np.float64)
    scaled = X if compiled.scaler is None else compiled.scaler(X)
    return model.predict(Parameters(network.unitaries, compiled.encoding_parameters), scaled)[0]


def circuit_probabilities(compiled: "CompiledCircuit", angles: NDArray) -> NDArray:
    """Exact outcome probabilities of the Qiskit circuit at data angles (samples, data qubits)."""
    circuit = compiled.trained_circuit
    measured = measured_qubits(circuit)
    return probabilities_of(lambda part: circuit_operations(circuit, compiled.x, part), measured, angles)


def _dense_probabilities(circuit: QuantumCircuit) -> NDArray:
    """Of a bound circuit, through Qiskit's density matrix of all its qubits."""
    measured = measured_qubits(circuit)
    unmeasured = circuit.remove_final_measurements(inplace=False)
    # Qiskit counts the first of `qargs` as the least significant.
    return np.asarray(DensityMatrix(unmeasured).probabilities(list(reversed(measured))))
