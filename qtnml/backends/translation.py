"""Translates circuits into the gates of a device, once for all samples."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.exceptions import QiskitError
from qiskit.transpiler import Target

from qtnml.arrays import NDArray
from qtnml.compile import BoundCircuits
from qtnml.errors import BackendError
from qtnml.program.rotations import without_symbolic_phases

_KEPT = 16
_ONE_ROW: NDArray = np.empty((1, 0))


@dataclass(frozen=True)
class Group:
    """Circuits of one template.

    Attributes:
        template: With its parameters free.
        parameters: Of the columns, in the template's order.
        values: Shape (circuits, parameters), radians.
    """

    template: QuantumCircuit
    parameters: tuple[Parameter, ...]
    values: NDArray

    def binding(self) -> dict[Parameter, list[float]]:
        """The values as lists, one for each parameter."""
        return dict(zip(self.parameters, self.values.T.tolist(), strict=True))

    def circuits(self) -> Iterator[QuantumCircuit]:
        """One bound circuit after the other."""
        for row in self.values:
            yield self.template.assign_parameters(dict(zip(self.parameters, row, strict=True)))


def _group(circuits: BoundCircuits, template: QuantumCircuit) -> Group:
    """Circuits with a translated template, which may have lost parameters without effect."""
    columns = {parameter: column for column, parameter in enumerate(circuits.parameters)}
    parameters = tuple(template.parameters)
    return Group(template, parameters, circuits.values[:, [columns[p] for p in parameters]])


@dataclass(frozen=True)
class Translation:
    """How circuits are translated for a device by Qiskit's transpiler.

    Attributes:
        optimization_level: 0 to 3.
        transpiler_seed: Of its search for qubits.
        qubits: Physical qubits to use, that of the circuit's first qubit first; None chooses the best.
    """

    optimization_level: int = 3
    transpiler_seed: int = 0
    qubits: Sequence[int] | None = None

    def __post_init__(self) -> None:
        level, seed = self.optimization_level, self.transpiler_seed
        if isinstance(level, bool) or level not in (0, 1, 2, 3):
            raise BackendError(f"optimization_level must be 0, 1, 2 or 3, got {level!r}")
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
            raise BackendError(f"transpiler_seed must be an integer of at least 0, got {seed!r}")
        if self.qubits is not None:
            whole = all(isinstance(q, int | np.integer) and q >= 0 for q in self.qubits)
            if not whole or len(set(self.qubits)) != len(self.qubits):
                raise BackendError(
                    f"qubits must be different numbers of a device's qubits, got {self.qubits!r}"
                )

    def settings(self) -> dict[str, Any]:
        """What is not as usual, as JSON types."""
        usual = Translation()
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        changed = {name: value for name, value in given.items() if value != getattr(usual, name)}
        return changed | ({"qubits": list(self.qubits)} if self.qubits is not None else {})

    def target(self, device: Any) -> Any:
        """What to compile for: nothing in particular where the qubits are given."""
        return getattr(device, "target", None) if self.qubits is None else None


class Translator:
    """Translates circuits for a device, each template once.

    Args:
        backend: A Qiskit backend, or None to leave every circuit as it is.
        how: Options of the transpiler.
        scheduling: "alap" or "asap" writes idle times into the circuit as delays.
        finish: Applied to each translated circuit last.
    """

    def __init__(
        self,
        backend: Any,
        how: Translation | None = None,
        *,
        scheduling: str | None = None,
        finish: Callable[[QuantumCircuit], QuantumCircuit] | None = None,
    ) -> None:
        self._backend, self._how = backend, how or Translation()
        self._scheduling, self._finish = scheduling, finish
        self._translated: dict[int, tuple[QuantumCircuit, QuantumCircuit]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without the translations, which are known by ids of this process."""
        return {**vars(self), "_translated": {}}

    def groups(self, circuits: Sequence[QuantumCircuit]) -> Iterator[Group]:
        """Circuits in order, translated, those of one template together."""
        if isinstance(circuits, BoundCircuits):
            yield _group(circuits, self.translated(circuits.template))
            return
        # A list of circuits is the user's: what is the same object now may be changed before the next call.
        # Within the call each is kept beside its translation: as long as it lives, its id is no other's.
        found: dict[int, tuple[QuantumCircuit, QuantumCircuit]] = {}
        for circuit in circuits:
            if id(circuit) not in found:
                translated = circuit if self._backend is None else self._translate(circuit)
                found[id(circuit)] = (circuit, translated)
            yield Group(found[id(circuit)][1], (), _ONE_ROW)

    def translated(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """In the device's gates, on its qubits; one that is there already is left alone."""
        if self._backend is None:
            return circuit
        # The circuit is kept beside its translation: as long as it lives, its id is no other's.
        known = self._translated.get(id(circuit))
        if known is None:
            if len(self._translated) >= _KEPT:
                del self._translated[next(iter(self._translated))]
            self._translated[id(circuit)] = known = (circuit, self._translate(circuit))
        return known[1]

    def _translate(self, circuit: QuantumCircuit) -> QuantumCircuit:
        options: dict[str, Any] = {"seed_transpiler": self._how.transpiler_seed}
        if is_native(circuit, getattr(self._backend, "target", None)):
            if self._scheduling is None:
                return self._finished(circuit)
            options |= {"optimization_level": 0, "layout_method": "trivial"}
        else:
            options["optimization_level"] = self._how.optimization_level
            if self._how.qubits is not None:
                options["initial_layout"] = list(self._how.qubits)[: circuit.num_qubits]
        target = getattr(self._backend, "target", None)
        try:
            plain = without_symbolic_phases(circuit, target) if circuit.num_parameters else circuit
            found = transpile(plain, self._backend, scheduling_method=self._scheduling, **options)
        except QiskitError as error:
            raise BackendError(
                f"Qiskit cannot translate the circuit for this device: {error.message}"
            ) from error
        found.global_phase = 0.0
        return self._finished(found)

    def _finished(self, circuit: QuantumCircuit) -> QuantumCircuit:
        return circuit if self._finish is None else self._finish(circuit)


def is_native(circuit: QuantumCircuit, target: Target | None) -> bool:
    """Whether a circuit acts on a device's own qubits by its own gates."""
    if target is None or target.num_qubits is None or circuit.num_qubits != target.num_qubits:
        return False
    return all(
        instruction.operation.name == "barrier"
        or target.instruction_supported(
            instruction.operation.name, tuple(circuit.find_bit(q).index for q in instruction.qubits)
        )
        for instruction in circuit.data
    )


def active_qubits(circuit: QuantumCircuit) -> set[Any]:
    """Qubits on which something happens; a schedule has delays on all the others as well."""
    return {
        qubit
        for instruction in circuit.data
        if instruction.operation.name not in ("delay", "barrier")
        for qubit in instruction.qubits
    }
