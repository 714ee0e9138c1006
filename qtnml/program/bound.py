"""Many circuits that differ only in the values of their parameters."""

from collections.abc import Sequence
from typing import overload

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qtnml.arrays import NDArray


class BoundCircuits(Sequence[QuantumCircuit]):
    """One circuit per row of parameter values, made on request.

    A backend may use the template and the values instead, to translate one circuit for all rows.

    Attributes:
        template: The circuit with free parameters.
        parameters: The parameter of each column of `values`. Translation for a device may find that some
            have no effect; the template then does not contain them.
        values: Shape (circuits, parameters), radians.
    """

    def __init__(self, template: QuantumCircuit, parameters: tuple[Parameter, ...], values: NDArray) -> None:
        self.template, self.parameters, self.values = template, parameters, values

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return (
            f"BoundCircuits({len(self)} circuits on {self.template.num_qubits} qubits, "
            f"{len(self.parameters)} parameters each)"
        )

    @overload
    def __getitem__(self, place: int) -> QuantumCircuit: ...
    @overload
    def __getitem__(self, place: slice) -> "BoundCircuits": ...
    def __getitem__(self, place: int | slice) -> "QuantumCircuit | BoundCircuits":
        if isinstance(place, slice):
            return BoundCircuits(self.template, self.parameters, self.values[place])
        return self.template.assign_parameters(
            dict(zip(self.parameters, self.values[place], strict=True)), strict=False
        )

    def rows(self, places: Sequence[int]) -> "BoundCircuits":
        """Some of the circuits, given by their row indices, in this order."""
        return BoundCircuits(self.template, self.parameters, self.values[list(places)])
