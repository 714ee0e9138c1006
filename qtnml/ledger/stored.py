"""Measured shots and counts of jobs, of all times or within a window of time."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from qtnml.backends import Counts
from qtnml.errors import JobError
from qtnml.ledger.schema import entries, submissions

_PARAMETERS = 5000  # values in one SQL statement: SQLite takes 32,766, PostgreSQL 65,535


@dataclass(frozen=True)
class Window:
    """Which results count.

    Attributes:
        since, until: Those that ended between two times (seconds since 1970); None for any.
        calibration: Those under one calibration; None for any.
        began: And all that ended since then, whatever the rest says: a request counts what it buys.
    """

    since: float | None = None
    until: float | None = None
    calibration: str | None = None
    began: float | None = None

    def holds(self, ended: float, calibration: str | None) -> bool:
        """Whether a result counts."""
        if self.began is not None and ended >= self.began:
            return True
        late = self.since is None or ended >= self.since
        early = self.until is None or ended <= self.until
        return late and early and self.calibration in (None, calibration)


EVERYTHING = Window()


class Sample(NamedTuple):
    """Shots of a job in one submission."""

    job: str
    submission: int
    shots: int
    ended: float
    calibration: str | None


def parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """As many as one SQL statement takes."""
    for start in range(0, len(items), _PARAMETERS):
        yield items[start : start + _PARAMETERS]


def stored_shots(connection: sa.Connection, ids: Sequence[str]) -> dict[str, int]:
    """Shots counted so far of each job that has any."""
    found: dict[str, int] = {}
    for part in parts(ids):
        query = (
            sa.select(entries.c.job, sa.func.sum(entries.c.shots))
            .where(entries.c.job.in_(part), entries.c.shots > 0)
            .group_by(entries.c.job)
        )
        found |= {job: int(shots) for job, shots in connection.execute(query)}
    return found


def samples(connection: sa.Connection, ids: Sequence[str]) -> list[Sample]:
    """Shots counted so far, submission by submission."""
    found: list[Sample] = []
    for part in parts(ids):
        query = (
            sa.select(
                entries.c.job,
                entries.c.submission,
                entries.c.shots,
                submissions.c.ended,
                submissions.c.calibration,
            )
            .join(submissions, entries.c.submission == submissions.c.id)
            .where(entries.c.job.in_(part), entries.c.shots > 0)
        )
        found += [Sample(*row) for row in connection.execute(query)]
    return found


class Counted(NamedTuple):
    """Counts of a job in one submission."""

    job: str
    submission: int
    calibration: str | None
    counts: Counts


def counted(connection: sa.Connection, ids: Sequence[str], window: Window, ledger: str) -> Iterator[Counted]:
    """Counts of jobs, submission by submission."""
    for part in parts(ids):
        query = (
            sa.select(
                entries.c.job,
                entries.c.submission,
                submissions.c.calibration,
                submissions.c.ended,
                entries.c.shots,
                entries.c.counts,
            )
            .join(submissions, entries.c.submission == submissions.c.id)
            .where(entries.c.job.in_(part), entries.c.counts.is_not(None))
            .order_by(entries.c.submission)
        )
        for job, number, calibration, ended, shots, text in connection.execute(query):
            if window is not EVERYTHING and not window.holds(ended, calibration):
                continue
            yield Counted(job, number, calibration, counts_of(text, job, number, ledger, shots))


def counts_of(text: Any, job: str, number: int, ledger: str, shots: Any = None) -> Counts:
    """Counts of a cell.

    Raises:
        JobError: It is damaged.
    """
    try:
        found = {int(outcome): int(n) for outcome, n in json.loads(text).items()}
        if min((*found, *found.values()), default=0) < 0:
            raise ValueError("negative numbers")
        if shots is not None and sum(found.values()) != shots:
            raise ValueError(f"{sum(found.values())} shots where {shots} were written")
    except (AttributeError, TypeError, ValueError) as error:
        raise JobError(
            f"the ledger {ledger} is damaged: the counts of job {str(job)[:12]} in submission s{number} "
            f"cannot be read ({error}); restore it from a copy, or measure anew with another repeat"
        ) from error
    return found


def counts_cell(place: int, counts: Counts) -> dict[str, Any]:
    """Counts as the cells of an entry."""
    # By hand: JSON of thousands of small dictionaries takes longer than the simulation of their circuits.
    text = ", ".join(f'"{outcome}": {shots}' for outcome, shots in sorted(counts.items()))
    return {"place": place, "total": sum(counts.values()), "text": "{" + text + "}"}
