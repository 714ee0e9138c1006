"""Result of a job, with its provenance and its cost."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.backends import Counts
from qtnml.errors import JobError
from qtnml.jobs.request import Request, counting_window
from qtnml.ledger import Ledger
from qtnml.shown import PrintedHtml


@dataclass(frozen=True, eq=False)
class Result(PrintedHtml):
    """Counts of circuits, with their provenance and their cost.

    Attributes:
        counts: Counts of each circuit: outcomes and shots.
        shots: Number of shots of each circuit, (circuits,). It is larger than requested if more shots are
            stored.
        submissions: Numbers of the submissions in the ledger that measured them.
        vendor_ids: The vendor's ids of these submissions.
        calibrations: Times of the device calibrations they were measured under (ISO 8601), oldest first.
        measured: Times of the first and the last measurement (seconds since 1970); None without circuits.
        seconds: Seconds that the vendor charged for these submissions; None if it does not say.
        cost: Cost of these submissions, by the price at their time; None without a price.
        currency: Currency of the cost.
        probabilities: Probabilities that a model computes from the counts, (samples, ...); None for bare
            circuits.
        errors: Standard errors of the probabilities from the number of shots; None for bare circuits.
        mitigated: Result of mitigation; None without mitigation.
        samples: Records drawn by a Born machine, in its own columns; None for other models.
    """

    counts: list[Counts]
    shots: NDArray
    submissions: tuple[int, ...] = ()
    vendor_ids: tuple[str, ...] = ()
    calibrations: tuple[str, ...] = ()
    measured: tuple[float, float] | None = None
    seconds: float | None = None
    cost: float | None = None
    currency: str = ""
    probabilities: NDArray | None = None
    errors: NDArray | None = None
    mitigated: Any = field(default=None, repr=False)
    samples: Any = field(default=None, repr=False)

    def __str__(self) -> str:
        lines = [
            f"{len(self.counts):,} circuits, {int(self.shots.sum()):,} shots in {len(self.submissions)} "
            f"submission{'' if len(self.submissions) == 1 else 's'}"
        ]
        if self.calibrations:
            lines.append(f"calibrated {' and '.join(self.calibrations)}")
        if self.errors is not None:
            known = self.errors[np.isfinite(self.errors)]
            if known.size:
                lines.append(f"standard error of a probability {known.mean():.2g} on average")
        if self.seconds is not None:
            lines.append(f"{self.seconds:,.1f} s charged")
        if self.cost is not None:
            lines.append(f"{self.cost:,.2f} {self.currency}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON types, without the result of mitigation and without samples."""
        return {
            "counts": [{str(outcome): n for outcome, n in each.items()} for each in self.counts],
            "shots": self.shots.tolist(),
            "submissions": [f"s{number}" for number in self.submissions],
            "vendor_ids": list(self.vendor_ids),
            "calibrations": list(self.calibrations),
            "measured": None if self.measured is None else list(self.measured),
            "seconds": self.seconds,
            "cost": self.cost,
            "currency": self.currency,
            "probabilities": None if self.probabilities is None else self.probabilities.tolist(),
            "errors": None if self.errors is None else self.errors.tolist(),
        }


@dataclass(frozen=True)
class Measured:
    """Counts of a request.

    Attributes:
        total: Counts of each job that has any, added up.
        numbers: Of the submissions that brought them.
    """

    total: dict[str, Counts]
    numbers: tuple[int, ...]

    def missing(self, request: Request) -> dict[str, int]:
        """Shots that each job lacks."""
        lacking = {job: shots - sum(self.total.get(job, {}).values()) for job, shots in request.shots.items()}
        return {job: shots for job, shots in lacking.items() if shots > 0}

    def by_part(self, request: Request) -> list[list[Counts]]:
        """Counts of each circuit, part by part.

        Raises:
            JobError: A job has shots and no counts.
        """
        if missing := self.missing(request):
            raise JobError(
                f"the ledger is damaged: job {next(iter(missing))[:12]} has shots and no counts; restore it "
                "from a copy, or measure anew with another repeat"
            )
        # A caller may change what is its own: circuits that were asked for twice have counts of their own.
        return [[dict(self.total[job]) for job in ids] for ids in request.ids]


def measured(request: Request, ledger: Ledger) -> Measured:
    """What is stored for a request."""
    total: dict[str, Counts] = {}
    numbers: set[int] = set()
    for each in ledger.counted(request.jobs, counting_window(request)):
        numbers.add(each.submission)
        known = total.get(each.job)
        if known is None:
            total[each.job] = each.counts
            continue
        for outcome, shots in each.counts.items():
            known[outcome] = known.get(outcome, 0) + shots
    return Measured(total, tuple(sorted(numbers)))


def result_of(found: Measured, request: Request, ledger: Ledger) -> Result:
    """Counts with their provenance."""
    rows = [ledger.submission(number) for number in found.numbers]
    counts = [each for part in found.by_part(request) for each in part]
    ended = [row.ended for row in rows if row.ended is not None]
    return Result(
        counts=counts,
        shots=np.array([sum(each.values()) for each in counts], dtype=int),
        submissions=found.numbers,
        vendor_ids=tuple(row.vendor_id for row in rows if row.vendor_id is not None),
        calibrations=tuple(sorted({row.calibration for row in rows if row.calibration})),
        measured=(min(ended), max(ended)) if ended else None,
        seconds=_sum([row.seconds for row in rows]),
        cost=_sum([row.cost for row in rows]),
        currency=next((row.price.currency for row in rows if row.price is not None), ""),
    )


def _sum(amounts: Sequence[float | None]) -> float | None:
    """None if one of them is not known."""
    if not amounts or any(amount is None for amount in amounts):
        return None
    return float(sum(amount for amount in amounts if amount is not None))
