"""Qiskit Aer: shots and exact probabilities on the local machine."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel

from qtnml.arrays import NDArray
from qtnml.backends.aer_noise import misread, noise_on_active_qubits
from qtnml.backends.base import DENSITY_MATRIX_QUBITS, Capabilities, Counts, measures_at_the_end, version_of
from qtnml.backends.given_noise import device_given, noise_setting
from qtnml.backends.translation import Group, Translation, Translator, active_qubits
from qtnml.errors import BackendError
from qtnml.noise import DeviceNoise
from qtnml.noise.aer import with_waiting

# Largest registers that each method is used for (16 bytes per amplitude; a density matrix has 4**n).
_DENSITY_MATRIX_EXACT = 13
_STATEVECTOR = 24
_WAITING = ("delay", "quantum_channel", "kraus")  # the last two: relaxation after a delay


class Aer:
    """Aer with the method chosen by circuit.

    Circuits with resets that are measured at their end run as a density matrix where that is small, which
    takes one pass for all shots; those that measure in the middle run shot by shot as state vectors; wide
    circuits without resets run as a matrix product state.

    Args:
        method: An Aer method to use for every circuit, such as "statevector", "density_matrix" or
            "matrix_product_state"; None chooses.
        noise: A `qtnml.noise.DeviceNoise`, which acts on the circuits as they are, on qubits that wait by
            their schedule as well; an Aer `NoiseModel`, which acts on gates alone; or a Qiskit backend, or
            the name of one such as "fake:torino": circuits are then translated to it, and its noise acts
            on the qubits they use, idle ones included.
        optimization_level, transpiler_seed, qubits: Of the translation for `noise`; see `Translation`.
        options: More options of `AerSimulator`, such as `device="GPU"`.
    """

    name = "aer"

    def __init__(
        self,
        method: str | None = None,
        noise: Any = None,
        optimization_level: int = 3,
        transpiler_seed: int = 0,
        qubits: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        self._method, self._options = method, options
        try:
            AerSimulator(**options, **({} if method is None else {"method": method}))
        except Exception as error:  # unknown names and values fail in Qiskit's and Aer's own ways
            raise BackendError(f"Aer does not take these options: {error}") from error
        self._device = None if isinstance(noise, NoiseModel) else device_given(noise)
        #: Whose noise is simulated; None for none, or numbers of one's own.
        self.described = self._device
        translation = Translation(optimization_level, transpiler_seed, qubits)
        self.target = translation.target(self._device)
        self._noise_model = noise if isinstance(noise, NoiseModel) else None
        #: A `DeviceNoise` whose circuits are left as they are; None for another noise, or none.
        self.device_noise = noise if isinstance(noise, DeviceNoise) else None
        self.version = version_of("qiskit-aer", ours=self.is_noisy)
        self._last: tuple[QuantumCircuit, QuantumCircuit, NoiseModel] | None = None
        self.capabilities = Capabilities(
            resets=True,
            exact=True,
            seeds=True,
            simulated_qubits=None if self._device is None else DENSITY_MATRIX_QUBITS,
        )
        scheduling = None if self._device is None else "alap"
        self._translator = Translator(self._device, translation, scheduling=scheduling)
        given = {"method": method, "noise": noise_setting(noise), **options, **translation.settings()}
        self.settings: Mapping[str, Any] = {name: value for name, value in given.items() if value is not None}

    @property
    def is_noisy(self) -> bool:
        """Whether there is noise."""
        return any(n is not None for n in (self._device, self._noise_model, self.device_noise))

    def sample(self, circuits: Sequence[QuantumCircuit], shots: int, seed: int | None) -> list[Counts]:
        """Counts of each circuit; templates are bound inside Aer."""
        found: dict[int, Counts] = {}
        for number, (places, group, noise_model, method) in enumerate(self._calls(circuits)):
            # Aer gives the circuits of one call seeds of their own, but not those of two calls.
            own = None if seed is None else (seed + 7919 * number) % 2**63
            result = self._result(group, noise_model, method, shots=shots, seed_simulator=own)
            for place_there, place in enumerate(places):
                counts = result.get_counts(place_there)
                found[place] = {int(bits.replace(" ", ""), 2): n for bits, n in counts.items()}
        return [found[place] for place in sorted(found)]

    def _calls(
        self, circuits: Sequence[QuantumCircuit]
    ) -> "Iterator[tuple[list[int], list[Group], NoiseModel | None, str]]":
        """What goes to Aer at once, so that it runs side by side: a template, or circuits of one method."""
        alike: dict[str, tuple[list[int], list[Group]]] = {}
        first = 0
        for group in self._translator.groups(circuits):
            template, noise_model = self._noisy(group.template)
            method = self._sampling_method(template)
            made = Group(template, group.parameters, group.values)
            places = list(range(first, first + len(group.values)))
            first += len(places)
            if group.parameters or self._device is not None or self.device_noise is not None:
                yield places, [made], noise_model, method
                continue
            kept = alike.setdefault(method, ([], []))
            kept[0].extend(places)
            kept[1].append(made)
        for method, (places, together) in alike.items():
            yield places, together, self._noise_model, method

    def probabilities(self, circuits: Sequence[QuantumCircuit]) -> NDArray:
        """Exact outcome probabilities, shape (circuits, outcomes).

        Raises:
            BackendError: A circuit with resets or noise on more than 13 qubits, or with anything after a
                measurement.
        """
        rows: list[NDArray] = []
        for group in self._translator.groups(circuits):
            template, noise_model = self._noisy(group.template)
            saving, measured = _saving_probabilities(template)
            bound = Group(saving, group.parameters, group.values)
            result = self._result([bound], noise_model, self._exact_method(template))
            found = np.array([result.data(k)["probabilities"] for k in range(len(group.values))])
            rows.append(found if noise_model is None else misread(found, measured, noise_model))
        return np.concatenate(rows)

    def _sampling_method(self, circuit: QuantumCircuit) -> str:
        return self._method or _sampling_method(circuit, noisy=self.is_noisy)

    def _exact_method(self, circuit: QuantumCircuit) -> str:
        method = _exact_method(circuit, noisy=self.is_noisy)
        if self._method not in (None, method) and method == "density_matrix":
            raise BackendError(
                f"method {self._method!r} samples resets and noise and has no exact probabilities of them; "
                "use method=None or 'density_matrix'"
            )
        return self._method or method

    def _noisy(self, template: QuantumCircuit) -> tuple[QuantumCircuit, NoiseModel | None]:
        """A translated circuit as it runs, and the noise of its gates."""
        if self._device is None and self.device_noise is None:
            return template, self._noise_model
        # The template is kept beside what was made of it: as long as it lives, its id is no other's.
        if self._last is None or self._last[0] is not template:
            if self.device_noise is None:
                self._last = (template, *noise_on_active_qubits(template, self._device))
            else:
                model = self.device_noise.to_aer(template.num_qubits, template)
                self._last = (template, with_waiting(template, self.device_noise), model)
        return self._last[1:]

    def _result(
        self, groups: list[Group], noise_model: NoiseModel | None, method: str, **run_options: Any
    ) -> Any:
        """Run one template with its values, or several circuits without free parameters."""
        group, template = groups[0], groups[0].template
        options = {"method": method, **_speed_options(method, template), **self._options}
        if noise_model is not None:
            options["noise_model"] = noise_model
        binding = {"parameter_binds": [group.binding()]} if group.parameters else {}
        copies = [template] if group.parameters else [g.template for g in groups for _ in g.values]
        try:
            result = AerSimulator(**options).run(copies, **binding, **run_options).result()
        except QiskitError as error:
            raise BackendError(f"Aer refused to run: {error.message}") from error
        if not result.success:
            raise BackendError(f"Aer could not run the circuits: {result.status}")
        return result


def _speed_options(method: str, circuit: QuantumCircuit) -> dict[str, Any]:
    """Run circuits side by side, and fuse the gates of a node, whatever the circuit's width.

    Aer by itself fuses from 14 qubits on. Measured: the density matrix of the 7-qubit tree at V=1
    is 2 times faster with fusion over two qubits; with nodes on four qubits, fusion over four makes
    its density matrix 2 and its state vector 10 times faster than fusion over two.
    """
    gates = circuit.count_ops()
    wide_nodes = gates.get("cx", 0) > 10 * gates.get("ry", 0)
    width = 4 if wide_nodes or method == "statevector" else 2
    return {"max_parallel_experiments": 0, "fusion_threshold": 1, "fusion_max_qubit": width}


def _has_reset(circuit: QuantumCircuit) -> bool:
    return bool(circuit.count_ops().get("reset", 0))


def _sampling_method(circuit: QuantumCircuit, *, noisy: bool = False) -> str:
    width = len(active_qubits(circuit))
    if width > _STATEVECTOR:
        return "matrix_product_state"
    mixes = noisy or _has_reset(circuit)
    # After a read-out in the middle every shot goes its own way: a state vector each is the least.
    if mixes and width <= DENSITY_MATRIX_QUBITS and measures_at_the_end(circuit, besides=_WAITING):
        return "density_matrix"
    return "statevector"


def _exact_method(circuit: QuantumCircuit, *, noisy: bool = False) -> str:
    width = len(active_qubits(circuit))
    if noisy or _has_reset(circuit):
        if width > _DENSITY_MATRIX_EXACT:
            raise BackendError(
                f"exact probabilities of a circuit with resets or noise need a density matrix; {width} "
                f"qubits are more than {_DENSITY_MATRIX_EXACT}; use shots, or compile with reuse_qubits=False"
            )
        return "density_matrix"
    return "statevector" if width <= _STATEVECTOR else "matrix_product_state"


def _saving_probabilities(circuit: QuantumCircuit) -> tuple[QuantumCircuit, list[int]]:
    """Replace the final measurement by the exact probabilities of its outcomes; the qubits of its bits."""
    qubit_of_bit: dict[int, int] = {}
    saving = circuit.copy_empty_like()
    for instruction in circuit.data:
        qubits = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
        name = instruction.operation.name
        if name == "measure":
            qubit_of_bit[circuit.find_bit(instruction.clbits[0]).index] = qubits[0]
        elif name == "barrier" or (set(qubits) & set(qubit_of_bit.values()) and name in _WAITING):
            continue  # what happens to a qubit that only waits after it was measured is not seen
        elif instruction.clbits or set(qubits) & set(qubit_of_bit.values()):
            raise BackendError(
                f"exact probabilities need all measurements at the end, but {name!r} follows one or depends "
                "on one; use shots"
            )
        else:
            saving.append(instruction)
    if len(qubit_of_bit) < circuit.num_clbits:
        raise BackendError(
            f"exact probabilities need every classical bit measured, got {len(qubit_of_bit)} of "
            f"{circuit.num_clbits}; use shots, or remove the unused bits"
        )
    measured = [qubit_of_bit[bit] for bit in sorted(qubit_of_bit)]
    saving.save_probabilities(measured)
    return saving, measured
