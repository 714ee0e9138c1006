"""What `noise=` of an estimator may be, and what it becomes."""

from dataclasses import dataclass
from typing import Any

from qiskit.transpiler import Target

from qtnml.backends import get_backend
from qtnml.backends.ibm import fake_device
from qtnml.compile import can_compile_for
from qtnml.compile.compiled import Compiled
from qtnml.compile.wire_noise import generic_circuit, scheduled_noise
from qtnml.contract import Model, Parameters
from qtnml.errors import InvalidInputError
from qtnml.noise import NOISELESS, Channel, DeviceNoise, NoiseSchedule, NoisyCircuit, WireNoise, layer_noise


@dataclass(frozen=True)
class NoisyTraining:
    """Noise to train under.

    Attributes:
        noise: A `DeviceNoise`, a `Channel`, a Qiskit backend or its name, or a `NoiseSchedule` of one.
        reuse_qubits, num_qubits: The circuit that is meant, as for `compile`.
    """

    noise: Any
    reuse_qubits: bool = True
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
    noise: Any,
    model: Model,
    parameters: Parameters,
    reuse_qubits: bool = True,
    num_qubits: int | None = None,
) -> WireNoise:
    """Noise on the wires of a model; of a Qiskit backend that on the qubits the compiler chooses there."""
    if isinstance(noise, Channel):
        return layer_noise(model.topology, noise)
    circuit = {"reuse_qubits": reuse_qubits, "num_qubits": num_qubits}
    if isinstance(noise, DeviceNoise):
        return scheduled_noise(model, parameters, noise, **circuit)  # type: ignore[arg-type]
    device = qiskit_device(noise)
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
    device = qiskit_device(noise)
    calibration = DeviceNoise.from_backend(device)
    return NoisyCircuit(estimator.compile(target=device, **circuit), calibration)


def known_noise(backend: Any, compiled: Compiled) -> DeviceNoise | None:
    """The noise of a backend, where it tells: a `DeviceNoise` of Aer's, or a calibration."""
    simulator = getattr(backend, "simulator", None)
    noise = getattr(simulator, "device_noise", None)
    if isinstance(noise, DeviceNoise):
        return noise
    if simulator is not None and noise is None and backend.settings.get("noise") is None:
        return NOISELESS
    target = getattr(backend, "target", None)
    if compiled.device is not None and target is compiled.device.target:
        return DeviceNoise.from_backend(target)
    return None


def device_called(name: str) -> Any:
    """What `compile(target=name)` compiles for: a device's snapshot, or what a backend called so runs on."""
    if name.startswith("fake:"):
        return fake_device(name)
    backend = get_backend(name)
    if not can_compile_for(getattr(backend, "target", None)):
        raise InvalidInputError(
            f"backend {name!r} has no map of its qubits to compile for; leave target out, or choose a device "
            "such as 'fake:torino'"
        )
    return backend


def target_of(backend: Any) -> Any:
    """The backend, if its description has a map of qubits to compile for; else None."""
    return backend if can_compile_for(getattr(backend, "target", None)) else None


def qiskit_device(device: Any) -> Any:
    """A Qiskit backend or `Target`; a name such as "fake:torino" becomes the backend."""
    if isinstance(device, str):
        return fake_device(device)
    if isinstance(device, Target) or isinstance(getattr(device, "target", None), Target):
        return device
    raise InvalidInputError(
        "noise must be a qtnml.noise.DeviceNoise or Channel, a Qiskit backend, or a name such as "
        f"'fake:torino', got {device!r}"
    )
