"""A submitted job: its status, its result, and how to cancel it."""

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
    """Status of a job. With several submissions, it is the status of the one that is furthest behind."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    INCOMPLETE = "incomplete"  # the backend returned fewer shots than were asked for: `result` buys the rest


@dataclass(frozen=True, eq=False)
class Job:
    """A submitted job, returned by `submit`. It is in the ledger: the same call elsewhere gives the same job.

    Args:
        store: The store that holds its ledger.
        request: The circuits and shots that were requested.
        made: Function by which a model turns the counts into its own result.
        numbers: Numbers of the submissions it was sent in.
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
        """Numbers of its open submissions in the ledger."""
        return self.store.ledger.claimed(self.request.jobs)

    def status(self) -> Status:
        """Current status; results that are ready are stored."""
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
        """Wait for the result.

        If the vendor returned too few shots, the missing shots are submitted. Shots that another process has
        submitted are waited for.

        Args:
            timeout: Seconds; None waits until the result is ready.

        Raises:
            ResultTimeoutError: The result is not ready after this time; the job goes on.
            JobError: A submission failed, is lost, or was cancelled. It is not submitted again.
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
        """Cancel the submissions that have not ended.

        Raises:
            JobError: The backend cannot cancel it, it may run unknown to us, or another job needs it too.
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
