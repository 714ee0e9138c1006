"""Device noise for Qiskit Aer: an error after each gate, and channels where qubits wait."""

from typing import Any

from qiskit import QuantumCircuit

from qtnml.noise.channels import Channel, bit_flip
from qtnml.noise.device import DeviceNoise
from qtnml.program import timeline

_ONE = (
    "u",
    "u1",
    "u2",
    "u3",
    "ry",
    "rx",
    "rz",
    "p",
    "x",
    "y",
    "z",
    "h",
    "s",
    "sdg",
    "t",
    "tdg",
    "sx",
    "sxdg",
    "r",
    "id",
)
_TWO = ("cx", "cz", "ecr", "rzz", "swap")


def quantum_error(channel: Channel) -> Any:
    """A channel as an Aer `QuantumError`, on the same qubits in the same order."""
    from qiskit_aer.noise import QuantumError

    return QuantumError(channel.to_superop())


def noise_model(noise: DeviceNoise, num_qubits: int, circuit: QuantumCircuit | None = None) -> Any:
    """Errors of gates, resets and read-out as an Aer `NoiseModel`.

    Args:
        noise: Of the circuit's qubits.
        num_qubits: Of the circuit.
        circuit: Gates that it has; by default the usual ones on every qubit and pair.
    """
    from qiskit_aer.noise import NoiseModel, ReadoutError

    noise.check_qubits(num_qubits)
    model = NoiseModel()
    for name, qubits in sorted(_used(circuit, num_qubits)):
        channel = noise.gate_channel(name, qubits)
        if channel.average_fidelity < 1 - 1e-15:
            model.add_quantum_error(quantum_error(channel), name, list(qubits), warnings=False)
    for qubit in range(num_qubits):
        if noise.reset_probability:
            model.add_quantum_error(
                quantum_error(bit_flip(noise.reset_probability)), "reset", [qubit], warnings=False
            )
        up, down = noise.readout(qubit)
        if up or down:
            model.add_readout_error(ReadoutError([[1 - up, up], [down, 1 - down]]), [qubit], warnings=False)
    return model


def with_waiting(circuit: QuantumCircuit, noise: DeviceNoise) -> QuantumCircuit:
    """The circuit with a relaxation channel wherever a qubit waits in its schedule, as late as it can be.

    Qubits that may start in |1> are flipped before they are used.
    """
    waiting = circuit.copy_empty_like()
    waits = timeline(circuit, noise).waits
    started = set[Any]() if noise.start_probability else set(circuit.qubits)
    # Barriers are nothing that happens.
    happening = [entry for entry in circuit.data if entry.operation.name != "barrier"]
    for instruction, seconds in zip(happening, waits, strict=True):
        for qubit in instruction.qubits:
            if qubit not in started:
                started.add(qubit)
                waiting.append(quantum_error(bit_flip(noise.start_probability)).to_instruction(), [qubit])
        waiting.append(instruction)
        for qubit, wait in zip(instruction.qubits, seconds, strict=True):
            if wait > 0:
                channel = noise.relaxation(circuit.find_bit(qubit).index, wait)
                if channel.average_fidelity < 1 - 1e-15:
                    waiting.append(quantum_error(channel).to_instruction(), [qubit])
    return waiting


def _used(circuit: QuantumCircuit | None, num_qubits: int) -> set[tuple[str, tuple[int, ...]]]:
    """Gates (name, qubits) that may err."""
    if circuit is None:
        singles = {(name, (q,)) for name in _ONE for q in range(num_qubits)}
        pairs = {(n, (a, b)) for n in _TWO for a in range(num_qubits) for b in range(num_qubits) if a != b}
        return singles | pairs
    return {
        (instruction.operation.name, tuple(circuit.find_bit(q).index for q in instruction.qubits))
        for instruction in circuit.data
        if instruction.operation.name not in ("reset", "measure", "barrier", "delay")
    }
