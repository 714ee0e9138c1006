"""Any PennyLane device with shots."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qtnml.arrays import NDArray
from qtnml.backends.base import Capabilities, Counts, version_of
from qtnml.backends.extras import require
from qtnml.backends.translation import Translator, active_qubits
from qtnml.compile.pennylane import measured_wires, quantum_function
from qtnml.errors import BackendError


class PennyLane:
    """Circuits become quantum functions of a PennyLane device.

    Args:
        device: Its short name, such as "default.qubit" or "lightning.qubit".
        options: Of `pennylane.device`, but for wires and shots.
    """

    def __init__(self, device: str = "default.qubit", **options: Any) -> None:
        require("pennylane", "pennylane")
        self.name = f"pennylane:{device}"
        self.settings: Mapping[str, Any] = options
        self.version = version_of("pennylane")
        self._device, self._options = device, options
        # default.qubit follows every branch of a reset; other devices would take a run for every shot.
        self._branches = device in ("default.qubit", "lightning.qubit")
        self.capabilities = Capabilities(
            resets=self._branches, mid_circuit_measurement=False, exact=True, seeds=device == "default.qubit"
        )
        self._open(1, None)  # an unknown device is told now

    def sample(self, circuits: Sequence[QuantumCircuit], shots: int, seed: int | None) -> list[Counts]:
        """Counts of each circuit."""
        found: list[Counts] = []
        for number, circuit in enumerate(_bound(circuits)):
            own = None if seed is None else (seed + 7919 * number) % 2**32
            samples = np.asarray(self._run(circuit, shots, own)).reshape(shots, -1)
            outcomes = samples.astype(np.int64) @ (1 << np.arange(samples.shape[1])[::-1])
            values, counts = np.unique(outcomes, return_counts=True)
            found.append({int(value): int(n) for value, n in zip(values, counts, strict=True)})
        return found

    def probabilities(self, circuits: Sequence[QuantumCircuit]) -> NDArray:
        """Exact outcome probabilities, shape (circuits, outcomes)."""
        return np.array([np.asarray(self._run(circuit, None, None)) for circuit in _bound(circuits)])

    def _run(self, circuit: QuantumCircuit, shots: int | None, seed: int | None) -> Any:
        import pennylane as qml

        wires = measured_wires(circuit)
        function = quantum_function(circuit)
        method = {"mcm_method": "tree-traversal"} if circuit.count_ops().get("reset") else {}
        if method and shots is None:
            # Without shots, resets are exact when each has a fresh wire.
            method = {"mcm_method": "deferred"}

        def measured() -> Any:
            function()
            return qml.probs(wires=wires) if shots is None else qml.sample(wires=wires)

        extra = int(circuit.count_ops().get("reset", 0)) if shots is None else 0
        try:
            node = qml.QNode(
                measured, self._open(circuit.num_qubits + extra, seed), diff_method=None, **method
            )
            return qml.set_shots(node, shots)() if shots is not None else node()
        except Exception as error:  # devices fail in whatever way they like
            raise BackendError(f"device {self._device!r} could not run the circuit: {error}") from error

    def _open(self, wires: int, seed: int | None) -> Any:
        import pennylane as qml

        options = dict(self._options) | (
            {} if seed is None or not self.capabilities.seeds else {"seed": seed}
        )
        try:
            return qml.device(self._device, wires=wires, **options)
        except Exception as error:  # devices fail in whatever way they like
            raise BackendError(f"PennyLane cannot open device {self._device!r}: {error}") from error


def _bound(circuits: Sequence[QuantumCircuit]) -> Any:
    """Bound circuits without the qubits nothing happens to."""
    for group in Translator(None).groups(circuits):
        for circuit in group.circuits():
            yield _compact(circuit)


def _compact(circuit: QuantumCircuit) -> QuantumCircuit:
    active = active_qubits(circuit)
    if len(active) == circuit.num_qubits:
        return circuit
    places = {q: k for k, q in enumerate(q for q in circuit.qubits if q in active)}
    small = QuantumCircuit(len(places), *circuit.cregs)
    for instruction in circuit.data:
        if set(instruction.qubits) <= places.keys():
            small.append(instruction.operation, [places[q] for q in instruction.qubits], instruction.clbits)
    return small
