"""Circuits in the gates of a device: one translation for all samples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.exceptions import QiskitError
from qiskit.transpiler import Target

from qtnml.arrays import NDArray
from qtnml.compile import BoundCircuits
from qtnml.errors import BackendError

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


class Translator:
    """Translates circuits for a device, each template once.

    Args:
        backend: A Qiskit backend, or None to leave every circuit as it is.
        optimization_level: Of Qiskit's transpiler, 0 to 3.
        seed: Of its search for qubits.
        scheduling: "alap" or "asap" writes idle times into the circuit as delays.
        finish: Applied to each translated circuit last.
    """

    def __init__(
        self,
        backend: Any,
        *,
        optimization_level: int = 3,
        seed: int = 0,
        scheduling: str | None = None,
        finish: Any = None,
    ) -> None:
        self._backend, self._finish = backend, finish
        self._options = {
            "optimization_level": optimization_level,
            "seed_transpiler": seed,
            "scheduling_method": scheduling,
        }
        self._translated: dict[int, tuple[QuantumCircuit, QuantumCircuit]] = {}

    def groups(self, circuits: Sequence[QuantumCircuit]) -> Iterator[Group]:
        """Circuits in order, translated, those of one template together."""
        if isinstance(circuits, BoundCircuits):
            yield _group(circuits, self.translated(circuits.template))
            return
        for circuit in circuits:
            yield Group(self.translated(circuit), (), _ONE_ROW)

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
        options = {name: value for name, value in self._options.items() if value is not None}
        if is_native(circuit, getattr(self._backend, "target", None)):
            options |= {"optimization_level": 0, "layout_method": "trivial"}
            if self._options["scheduling_method"] is None:
                return self._finished(circuit)
        try:
            return self._finished(transpile(circuit, self._backend, **options))
        except QiskitError as error:
            raise BackendError(
                f"Qiskit cannot translate the circuit for this device: {error.message}"
            ) from error

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
