"""A job that was submitted: where it stands, its result, and how to stop it."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from qtnml.errors import JobError, QtnmlError
from qtnml.jobs.request import Request
from qtnml.jobs.result import Result
from qtnml.ledger import OPEN, State

if TYPE_CHECKING:
    from qtnml.jobs.store import JobStore

log = logging.getLogger("qtnml.jobs")


class Status(StrEnum):
    """Where a job stands: of several submissions, that of the one that is furthest behind."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    INCOMPLETE = "incomplete"  # the backend returned fewer shots than were asked for: `result` buys the rest


@dataclass(frozen=True, eq=False)
class Job:
    """What `submit` returns. It is in the ledger: the same call in another process is the same job.

    Args:
        store: Its ledger.
        request: What was asked for.
        made: What a model makes of the result.
        numbers: Of the submissions it was sent in.
    """

    store: "JobStore"
    request: Request
    made: Callable[[Result], Result] | None = None
    numbers: tuple[int, ...] = ()

    def __repr__(self) -> str:
        circuits = len(self.request.shots)
        return f"<Job of {circuits:,} circuits on {self.request.backend.name}: {self.status()}>"

    @property
    def submissions(self) -> list[int]:
        """Numbers in the ledger of those that are open."""
        return self.store.ledger.claimed(self.request.jobs)

    def status(self) -> Status:
        """Where it stands now; results that are ready are stored."""
        self._look()
        missing, _, _ = self.request.missing(self.store.ledger)
        if not missing:
            return Status.DONE
        states = {self.store.submission(number).state for number in self.submissions}
        for state, status in (
            (State.LOST, Status.LOST),
            (State.PREPARED, Status.QUEUED),
            (State.SENDING, Status.QUEUED),
            (State.SUBMITTED, Status.QUEUED),
            (State.RUNNING, Status.RUNNING),
        ):
            if state in states:
                return status
        ended = {row.state for job in missing for row, _ in self.store.ledger.rows_of(job)}
        if State.FAILED in ended:
            return Status.FAILED
        return Status.CANCELLED if State.CANCELLED in ended else Status.INCOMPLETE

    def result(self, timeout: float | None = None) -> Result:
        """Wait for the result: what the vendor returned too little of is bought, what others began is waited
        for.

        Args:
            timeout: Seconds; None waits until it is there.

        Raises:
            ResultTimeoutError: It is not there by then; the job goes on.
            JobError: A submission failed, is lost, or was cancelled; nothing is bought in its place.
        """
        for number in self.numbers:
            row = self.store.submission(number)
            if row.state in (State.CANCELLED, State.FAILED):
                raise JobError(
                    f"submission s{number} of this job ended as {row.state} "
                    f"({row.error or 'no reason given'}); submit it again to buy it again"
                )
        found = self.store.result_of(self.request, timeout=timeout)
        return found if self.made is None else self.made(found)

    def cancel(self) -> Status:
        """Stop what has not ended.

        Raises:
            JobError: The backend cannot stop it, it may run unknown to us, or it serves another job as well.
        """
        errors: list[QtnmlError] = []
        wanted = set(self.request.jobs)
        for number in self.submissions:
            if not set(self.store.ledger.job_ids(number)) <= wanted:
                errors.append(
                    JobError(f"s{number} serves another job as well: `qtnml jobs cancel s{number}` stops it")
                )
                continue
            if self.store.submission(number).state in OPEN:
                try:
                    self.store.cancel(number, backend=self.request.backend)
                except QtnmlError as error:
                    errors.append(error)
        if errors:
            raise JobError(f"not all of it could be stopped: {errors[0]}") from errors[0]
        return self.status()

    def _look(self) -> None:
        """Fetch what is ready; a backend that cannot be asked now leaves the job where it stood."""
        numbers = self.submissions
        if numbers:
            with suppress(QtnmlError):
                self.store.fetch(numbers, backend=self.request.backend)
