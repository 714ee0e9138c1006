"""Pareto fronts of circuits: no circuit is both shorter and closer than another; their value on a device."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from qtnml.compile import Expected, GenerativeCircuit
from qtnml.errors import InvalidInputError
from qtnml.shallow.approximation import Approximation
from qtnml.shown import PrintedHtml


@dataclass(frozen=True, eq=False)
class OnDevice:
    """A circuit of a front on a device.

    Attributes:
        circuit: The circuit compiled for the device.
        expected: Exact outcome: by how many nats the target's strings are less likely, from approximation and
            noise together. None if the circuit's exact distribution under noise is not known.
        estimated_success: Probability that nothing goes wrong. Circuits are ranked by its product with the
            fidelity if `expected` is not known.
    """

    circuit: GenerativeCircuit
    expected: Expected | None
    estimated_success: float | None


@dataclass(frozen=True, eq=False, repr=False)
class ParetoFront(PrintedHtml):
    """Pareto front of circuits, from few CX to many: none has both more CX and lower fidelity than another.

    Attributes:
        points: Approximations by increasing number of CX and fidelity.
        devices: Each point on a device; empty if no device was given.
    """

    points: tuple[Approximation, ...]
    devices: tuple[OnDevice, ...] = ()

    def best(
        self, *, max_two_qubit_gates: int | None = None, target_fidelity: float | None = None
    ) -> Approximation:
        """The best circuit with at most a number of CX, or the shortest circuit that reaches a fidelity."""
        fitting = [
            each
            for each in self.points
            if (max_two_qubit_gates is None or each.two_qubit_gates <= max_two_qubit_gates)
            and (target_fidelity is None or each.fidelity >= target_fidelity)
        ]
        if not fitting:
            raise InvalidInputError(
                f"no circuit of this front has at most {max_two_qubit_gates} two-qubit gates and a fidelity "
                f"of {target_fidelity}"
            )
        return fitting[0] if target_fidelity is not None else fitting[-1]

    def best_on_device(self) -> GenerativeCircuit:
        """The circuit that gives the target's strings the highest likelihood under the device's noise."""
        if not self.devices:
            raise InvalidInputError("this front was made for no device; give pareto(..., target=)")
        known = [each for each in self.devices if each.expected is not None]
        if known:
            return max(known, key=lambda each: each.expected.rank).circuit  # type: ignore[union-attr]
        return max(
            zip(self.devices, self.points, strict=True),
            key=lambda pair: (pair[0].estimated_success or 0.0) * pair[1].fidelity,
        )[0].circuit

    def rows(self) -> list[dict[str, Any]]:
        """One row for each point, as JSON types."""
        found = []
        for k, point in enumerate(self.points):
            row: dict[str, Any] = {
                "two_qubit_gates": point.two_qubit_gates,
                "two_qubit_depth": point.two_qubit_depth,
                "parameters": point.num_parameters,
                "infidelity": point.infidelity,
                "layout": point.layout,
                "blocks": point.blocks.kind,
            }
            if self.devices:
                there = self.devices[k]
                row["gates_on_device"] = there.circuit.two_qubit_gates
                row["excess_nats"] = None if there.expected is None else there.expected.excess_nll
                row["estimated_success"] = there.estimated_success
            found.append(row)
        return found

    def to_json(self) -> str:
        """The rows as JSON."""
        return json.dumps(self.rows())

    def __str__(self) -> str:
        head = f"{'CX':>5} {'depth':>6} {'angles':>7} {'1 - F':>9}  blocks"
        if self.devices:
            head += "   on the device: CX, nats off, success"
        lines = [head]
        for row in self.rows():
            line = (
                f"{row['two_qubit_gates']:>5} {row['two_qubit_depth']:>6} {row['parameters']:>7} "
                f"{row['infidelity']:>9.2e}  {row['blocks']:<7}"
            )
            if self.devices:
                nats = "?" if row["excess_nats"] is None else f"{row['excess_nats']:.3f}"
                line += f"  {row['gates_on_device']:>5}  {nats:>7}  {row['estimated_success']:.3f}"
            lines.append(line)
        return "\n".join(lines)

    __repr__ = __str__


def front_of(found: Iterable[Approximation]) -> tuple[Approximation, ...]:
    """Circuits than which none is both shorter and nearer."""
    best = list[Approximation]()
    for each in sorted(found, key=lambda each: (each.two_qubit_gates, -each.fidelity)):
        if not best or each.fidelity > best[-1].fidelity:
            best.append(each)
    return tuple(best)
