"""What `noise=` of an estimator may be, and what it becomes."""

from dataclasses import dataclass
from typing import Any

from qiskit.transpiler import Target

from qtnml.backends.ibm import fake_device
from qtnml.compile import CompiledCircuit
from qtnml.contract import Model, Parameters
from qtnml.errors import InvalidInputError
from qtnml.noise import Channel, DeviceNoise, NoiseSchedule, NoisyCircuit, WireNoise, layer_noise
from qtnml.noise.training import generic_circuit, scheduled_noise


@dataclass(frozen=True)
class NoisyTraining:
    """`fit(noise=...)`.

    Attributes:
        noise: A `DeviceNoise`, a `Channel`, a Qiskit backend or its name, or a `NoiseSchedule` of one.
        reuse_qubits, num_qubits: The circuit that is meant, as for `compile`.
    """

    noise: Any
    reuse_qubits: bool = False
    num_qubits: int | None = None

    @property
    def ramp(self) -> tuple[float, int]:
        """Strength at the start, and epochs until it is 1."""
        scheduled = isinstance(self.noise, NoiseSchedule)
        return (self.noise.start, self.noise.epochs) if scheduled else (1.0, 0)

    def on_wires(self, model: Model, parameters: Parameters) -> WireNoise:
        """The noise of a model's circuit, for the contraction."""
        noise = self.noise.noise if isinstance(self.noise, NoiseSchedule) else self.noise
        return wire_noise(noise, model, parameters, self.reuse_qubits, self.num_qubits)


def wire_noise(
    noise: Any, model: Model, parameters: Parameters, reuse_qubits: bool, num_qubits: int | None
) -> WireNoise:
    """Noise on the wires of a model; of a Qiskit backend that on the qubits the compiler chooses there."""
    if isinstance(noise, Channel):
        if reuse_qubits or num_qubits is not None:
            raise InvalidInputError(
                "a channel acts between the layers of a network, whatever its circuit; leave "
                "reuse_qubits and num_qubits out, or give a DeviceNoise"
            )
        return layer_noise(model.topology, noise)
    circuit = {"reuse_qubits": reuse_qubits, "num_qubits": num_qubits}
    if isinstance(noise, DeviceNoise):
        return scheduled_noise(model, parameters, noise, **circuit)  # type: ignore[arg-type]
    device = _qiskit_device(noise)
    compiled = generic_circuit(model, parameters, target=device, **circuit)
    there = DeviceNoise.from_backend(device, compiled.layout)
    return scheduled_noise(model, parameters, there, schedule=compiled.schedule)


def noisy_circuit(estimator: Any, noise: Any, reuse_qubits: bool, num_qubits: int | None) -> NoisyCircuit:
    """The circuit of a fitted estimator under a device's noise.

    Args:
        estimator: Has `compile`.
        noise: A `DeviceNoise` for the circuit's own qubits, or a Qiskit backend or the name of one: the
            circuit is then compiled for it, and its calibration is the noise.
        reuse_qubits, num_qubits: As for `compile`.
    """
    circuit = {"reuse_qubits": reuse_qubits, "num_qubits": num_qubits}
    if isinstance(noise, DeviceNoise):
        return NoisyCircuit(estimator.compile(**circuit), noise)
    device = _qiskit_device(noise)
    return NoisyCircuit(estimator.compile(target=device, **circuit), DeviceNoise.from_backend(device))


def known_noise(backend: Any, compiled: CompiledCircuit) -> DeviceNoise | None:
    """The noise of a backend, where it tells: a `DeviceNoise` of Aer's, or a calibration."""
    noise = getattr(getattr(backend, "simulator", None), "device_noise", None)
    if isinstance(noise, DeviceNoise):
        return noise
    target = getattr(backend, "target", None)
    if compiled.device is not None and target is compiled.device.target:
        return DeviceNoise.from_backend(target)
    return None


def _qiskit_device(device: Any) -> Any:
    """A Qiskit backend or `Target`; a name such as "fake:torino" becomes the backend."""
    if isinstance(device, str):
        return fake_device(device)
    if isinstance(device, Target) or isinstance(getattr(device, "target", None), Target):
        return device
    raise InvalidInputError(
        "noise must be a qtnml.noise.DeviceNoise or Channel, a Qiskit backend, or a name such as "
        f"'fake:torino', got {device!r}"
    )
