"""Plan of a run before it is submitted: shots, time and costs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from qiskit import QuantumCircuit

from qtnml.backends import Backend
from qtnml.backends.translation import Translator
from qtnml.compile import Expected
from qtnml.ledger import Amounts, Price
from qtnml.shown import PrintedHtml


@dataclass(frozen=True)
class Plan(PrintedHtml):
    """What a run still has to submit.

    Attributes:
        backend: Name of the backend.
        circuits: Number of different circuits requested.
        new_circuits: Number of circuits that lack shots.
        shots: Shots to submit, over all circuits.
        stored_shots: Requested shots that are already in the ledger.
        submissions: Jobs as the vendor counts them, over all rounds. A job with many shots may take several.
        seconds: Estimated time on the device. None for a simulator, or if the device gives no estimate.
        paid: Whether shots cost time or money on a quantum computer.
        has_price: Whether the store's price applies: paid, or a simulator that stands for what is.
        cost: Cost in money by the price of the store. None if there is no price, or if seconds are charged
            and not known.
        currency: Currency of the cost.
        expected: Exact outcome of the circuits under the backend's noise; None if it is not known.
        standard_error: Mean standard error of a probability with these shots; None if it is not known.
        remark: An additional remark of the caller.
        open_shots: Shots in submissions that are not complete yet; the run brings these to their end.
        refused: Why the store would refuse the plan: what its budget lacks. Empty if it would accept it.
    """

    backend: str
    circuits: int
    new_circuits: int
    shots: int
    stored_shots: int
    submissions: int
    seconds: float | None
    paid: bool
    cost: float | None = None
    currency: str = ""
    expected: Expected | None = None
    standard_error: float | None = None
    remark: str = ""
    open_shots: int = 0
    refused: str = ""
    has_price: bool = False

    def __str__(self) -> str:
        if not self.circuits:
            return f"nothing to run on {self.backend}: there are no circuits"
        underway = f"{self.open_shots:,} shots are in open submissions, which this run completes"
        if not self.shots and self.open_shots:
            return f"nothing to submit to {self.backend}: {underway} ({self.stored_shots:,} are stored)"
        if not self.shots:
            return f"nothing to run on {self.backend}: all {self.stored_shots:,} shots are stored"
        parts = [
            f"{self.new_circuits:,} of {self.circuits:,} circuits in {self.submissions} "
            f"submission{'' if self.submissions == 1 else 's'}",
            f"{self.shots:,} shots ({self.stored_shots:,} stored)",
        ]
        if self.seconds is not None:
            parts.append(f"about {readable(self.seconds)} on the device")
        if self.cost is not None:
            parts.append(f"{self.cost:,.2f} {self.currency}")
        lines = [f"on {self.backend}: " + ", ".join(parts)]
        if self.expected is not None:
            lines.append(f"expected there: {self.expected}")
        if self.standard_error is not None:
            lines.append(f"standard error of a probability about {self.standard_error:.2g}")
        if self.open_shots:
            lines.append(underway)
        if self.remark:
            lines.append(self.remark)
        if self.refused:
            lines.append(f"would be refused: {self.refused}")
        return "\n".join(lines)

    @property
    def amounts(self) -> Amounts:
        """Amounts that the plan would take from a budget."""
        return Amounts(self.shots, self.new_circuits, self.seconds or 0.0, self.cost or 0.0)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the amounts that cannot be known beforehand."""
        found = (("seconds", self.seconds), ("cost", self.cost))
        return tuple(name for name, amount in found if amount is None) if self.shots else ()

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON types."""
        expected = None if self.expected is None else self.expected.to_dict()
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"expected": expected}


def readable(seconds: float) -> str:
    """A time as a person says it."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


#: Between two shots IBM's devices wait so long for qubits to relax (default of `rep_delay`), seconds.
TYPICAL_PAUSE = 250e-6


def seconds_of(backend: Backend, circuits: Sequence[QuantumCircuit], shots: int) -> float | None:
    """Time on the device: shots times (duration of the translated circuit + pause between shots).

    Loading, compilation and calibration at the vendor's are not in it.
    """
    duration = getattr(backend, "seconds_per_shot", None)
    if duration is None or not backend.capabilities.has_price:
        return None
    total = 0.0
    for group in Translator(None).groups(circuits):
        each: Any = duration(group.template)
        if each is None:
            return None
        total += (each + TYPICAL_PAUSE) * shots * len(group.values)
    return total


def total_cost(
    price: Price | None, *, shots: int, circuits: int, tasks: int, seconds: float | None
) -> float | None:
    """In money; None without a price, or where it charges seconds that nobody knows."""
    if price is None:
        return None
    return price.of(shots=shots, circuits=circuits, tasks=tasks, seconds=seconds)


def calibration_of(backend: Backend) -> str | None:
    """When the device was calibrated last (ISO 8601); None where it does not say."""
    tell: Any = getattr(backend, "calibration_now", None)
    return tell() if callable(tell) else None
