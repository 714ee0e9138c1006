"""What a run would buy, before it is bought."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from qiskit import QuantumCircuit

from qtnml.backends import Backend
from qtnml.backends.translation import Translator
from qtnml.compile import Expected
from qtnml.shown import PrintedHtml


@dataclass(frozen=True)
class Plan(PrintedHtml):
    """What is left to buy.

    Attributes:
        backend: Its name.
        circuits: Different circuits asked for.
        new_circuits: Those that lack shots.
        shots: To buy, over all circuits.
        stored_shots: Already in the ledger, of those asked for.
        submissions: Jobs as the vendor counts them.
        seconds: Estimated time on the device; None for a simulator, or where the device does not say.
        paid: Whether shots cost time or money on a quantum computer.
        expected: What the circuits will show under the backend's noise, exactly; None where it is not known.
        standard_error: Of a probability by these shots, on average; None where it is not known.
        remark: What else whoever asked wants to say of it.
    """

    backend: str
    circuits: int
    new_circuits: int
    shots: int
    stored_shots: int
    submissions: int
    seconds: float | None
    paid: bool
    expected: Expected | None = None
    standard_error: float | None = None
    remark: str = ""

    def __str__(self) -> str:
        if not self.circuits:
            return f"nothing to run on {self.backend}: there are no circuits"
        if not self.shots:
            return f"nothing to buy on {self.backend}: all {self.stored_shots:,} shots are stored"
        parts = [
            f"{self.new_circuits:,} of {self.circuits:,} circuits in {self.submissions} "
            f"submission{'' if self.submissions == 1 else 's'}",
            f"{self.shots:,} shots ({self.stored_shots:,} stored)",
        ]
        if self.seconds is not None:
            parts.append(f"about {_readable(self.seconds)} on the device")
        lines = [f"on {self.backend}: " + ", ".join(parts)]
        if self.expected is not None:
            lines.append(f"expected there: {self.expected}")
        if self.standard_error is not None:
            lines.append(f"standard error of a probability about {self.standard_error:.2g}")
        if self.remark:
            lines.append(self.remark)
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        expected = None if self.expected is None else self.expected.to_dict()
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"expected": expected}


def joined(plans: Sequence[Plan]) -> Plan:
    """Several runs on one backend as one plan."""
    seconds = [plan.seconds for plan in plans]
    return Plan(
        backend=plans[0].backend,
        circuits=sum(plan.circuits for plan in plans),
        new_circuits=sum(plan.new_circuits for plan in plans),
        shots=sum(plan.shots for plan in plans),
        stored_shots=sum(plan.stored_shots for plan in plans),
        submissions=sum(plan.submissions for plan in plans),
        seconds=None if None in seconds else sum(s for s in seconds if s is not None),
        paid=plans[0].paid,
    )


def _readable(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


#: Between two shots IBM's devices wait so long for qubits to relax (default of `rep_delay`), seconds.
TYPICAL_PAUSE = 250e-6


def estimated_seconds(
    backend: Backend, circuits: Sequence[QuantumCircuit], shots: Sequence[int]
) -> float | None:
    """Time on the device: shots times (duration of the translated circuit + pause between shots).

    Loading, compilation and calibration at the vendor's are not in it.
    """
    duration = getattr(backend, "seconds_per_shot", None)
    if duration is None or not backend.capabilities.paid:
        return None
    total, place = 0.0, 0
    for group in Translator(None).groups(circuits):
        each: Any = duration(group.template)
        if each is None:
            return None
        here = shots[place : place + len(group.values)]
        total += (each + TYPICAL_PAUSE) * sum(here)
        place += len(group.values)
    return total
