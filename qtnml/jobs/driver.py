"""Brings one submission to its end: send, wait, store; and goes on where a killed process stopped."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from qiskit import QuantumCircuit
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random

from qtnml.backends import Backend, JobStatus
from qtnml.backends.base import checked_result
from qtnml.backends.secrets import cause_of, without_secrets
from qtnml.errors import BackendBusyError, BackendError, JobError, UnknownSubmissionError
from qtnml.jobs.ledger import Ledger, Submission
from qtnml.jobs.process import is_alive, this_process
from qtnml.jobs.tables import State

T = TypeVar("T")
_FIRST_POLL, _LONGEST_POLL = 0.05, 10.0


@dataclass(frozen=True)
class Patience:
    """How long a busy or silent backend is asked again.

    Attributes:
        attempts: Of one call, before it is given up for now.
        first_wait: Seconds before the second attempt; doubled each time, with some jitter.
        longest_wait: Seconds between two attempts at most.
    """

    attempts: int = 8
    first_wait: float = 1.0
    longest_wait: float = 60.0

    def ask(self, call: Callable[[], T]) -> T:
        """Call until the backend is no longer busy.

        Raises:
            BackendBusyError: It still was at the last attempt.
        """
        retrying = Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=wait_exponential(self.first_wait, self.longest_wait) + wait_random(0, self.first_wait),
            retry=retry_if_exception_type(BackendBusyError),
            reraise=True,
        )
        return retrying(call)


def _silent(_: str) -> None: ...


class Driver:
    """Sends and collects submissions of one ledger.

    Args:
        ledger: What is written down.
        patience: With a busy backend.
    """

    def __init__(self, ledger: Ledger, patience: Patience) -> None:
        self._ledger, self._patience = ledger, patience

    def send(
        self, found: Submission, backend: Backend, circuits: Sequence[QuantumCircuit] | None = None
    ) -> Submission:
        """Give a prepared submission to the backend and note what it calls it.

        Args:
            found: The submission.
            backend: Where it goes.
            circuits: Its circuits, if they are at hand: a backend knows a template again that it has
                translated before, and none that was read from the ledger.

        Raises:
            JobError: It was refused, or it is not known whether it was accepted.
            BackendBusyError: The backend takes nothing for now; the submission stays prepared.
        """
        if circuits is None:
            circuits = self._ledger.circuits(found.id)

        def submit() -> str:
            if not self._ledger.sending(found):
                raise JobError(
                    f"submission s{found.id} was taken over by another process; nothing was sent here"
                )
            try:
                return backend.submit(circuits, shots=found.shots, seed=found.seed, tag=found.tag)
            except BackendBusyError:
                self._ledger.unsent(found)
                raise

        try:
            with _driving(self._ledger, found):
                vendor_id = self._patience.ask(lambda: self._certainly(submit, found, backend))
                if not self._ledger.submitted(found, vendor_id):
                    backend.cancel(vendor_id)
                    raise JobError(f"submission s{found.id} was cancelled while it was sent")
        except (BackendBusyError, UnknownSubmissionError):
            raise
        except BackendError as error:
            self._ledger.ended(found, State.FAILED, str(error))
            raise JobError(without_secrets(f"submission s{found.id} was refused: {error}")) from cause_of(
                error
            )
        return self._ledger.submission(found.id)

    def _certainly(self, submit: Callable[[], str], found: Submission, backend: Backend) -> str:
        """Submit; when the answer is lost, ask under our tag before anything else is done."""
        try:
            return submit()
        except UnknownSubmissionError as error:
            known = self._asked_for(found, backend, str(error))
            if known is not None:
                return known
            self._ledger.unsent(found)
            raise BackendBusyError(f"{error}; it was not") from error

    def _asked_for(self, found: Submission, backend: Backend, reason: str) -> str | None:
        """The vendor's id of a submission that may have been accepted, None if it certainly was not.

        Raises:
            JobError: The backend cannot tell.
        """
        if backend.capabilities.searchable:
            # A job just accepted may take a moment to be listed.
            for attempt in range(3):
                known = self._patience.ask(lambda: backend.find(found.tag))
                if known is not None:
                    return known
                time.sleep(self._patience.first_wait * attempt)
            return None
        if not backend.capabilities.paid:
            return None  # sending it twice costs nothing, and its seed makes it the same job
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.sent))
        self._ledger.lost(
            found,
            f"{reason}. It was sent at {when} and {backend.name} cannot be searched: look for a job of "
            f"{found.jobs} circuits, {found.shots} shots, at the vendor's, then `qtnml jobs fetch "
            f"s{found.id} --vendor-id ID` if it is there, `qtnml jobs resume s{found.id} --send-again` "
            "if it is not",
        )
        raise JobError(
            f"submission s{found.id} may or may not have been bought; "
            f"{self._ledger.submission(found.id).error}"
        )

    def collect(self, found: Submission, backend: Backend, tell: Callable[[str], None] = _silent) -> None:
        """Wait for a submitted job and store its result.

        Args:
            found: The submission.
            backend: Where it is.
            tell: Called with a word on where the job stands while it is waited for.

        Raises:
            JobError: It failed, or was cancelled.
            BackendBusyError: The backend cannot be asked for now; the job goes on.
        """
        with _driving(self._ledger, found):
            self._collect(found, backend, tell)

    def _collect(self, found: Submission, backend: Backend, tell: Callable[[str], None]) -> None:
        vendor_id = str(found.vendor_id)
        status = self._awaited(found, backend, vendor_id, tell)
        if status is JobStatus.CANCELLED:
            self._ledger.ended(found, State.CANCELLED, "cancelled at the backend")
            raise JobError(f"submission s{found.id} ({vendor_id}) was cancelled")
        try:
            result = self._patience.ask(lambda: backend.fetch(vendor_id))
        except BackendBusyError:
            raise
        except BackendError as error:
            self._not_fetched(found, backend, vendor_id, error)
            raise JobError(
                without_secrets(f"submission s{found.id} ({vendor_id}) has no result: {error}")
            ) from cause_of(error)
        try:
            result = checked_result(result, found.jobs, backend.name)
        except BackendError as error:  # nothing is stored: once the backend is mended it can be fetched
            raise JobError(f"submission s{found.id} ({vendor_id}) cannot be read: {error}") from error
        self._ledger.done(found, result)

    def _awaited(
        self, found: Submission, backend: Backend, vendor_id: str, tell: Callable[[str], None]
    ) -> JobStatus:
        """Poll until the job has ended; one in this process is simply fetched."""
        if not backend.capabilities.durable:
            return JobStatus.DONE
        wait, noted = _FIRST_POLL, found.state
        while True:
            status = _known_status(self._patience.ask(lambda: backend.status(vendor_id)), backend)
            if status in (JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED):
                return status
            tell(f"s{found.id} ({vendor_id}) {status}")
            is_new = status is JobStatus.RUNNING and noted is not State.RUNNING
            self._ledger.beat(found, State.RUNNING if is_new else None)
            noted = State.RUNNING if is_new else noted
            time.sleep(wait)
            wait = min(1.5 * wait, _LONGEST_POLL)

    def _not_fetched(self, found: Submission, backend: Backend, vendor_id: str, error: BackendError) -> None:
        """What failed lets its jobs go; what may have a result keeps them, to be read later."""
        if backend.capabilities.paid and not backend.capabilities.durable:
            self._ledger.lost(found, f"its result could not be read ({error}); see the vendor's own list")
            return
        if (
            backend.capabilities.durable
            and self._patience.ask(lambda: backend.status(vendor_id)) is JobStatus.DONE
        ):
            self._ledger.beat(found)
            return
        self._ledger.ended(found, State.FAILED, str(error))

    def can_take(self, found: Submission) -> bool:
        """Whether nobody drives a submission: its process has ended, or is this one and has left it."""
        owner = found.owner or ""
        if owner == this_process():
            return not _is_driven(self._ledger, found)
        alive = is_alive(owner, time.time() - (found.heartbeat or 0.0)) if owner else False
        if alive is None:
            # A process elsewhere is silent. It may sleep before its call: sending now could buy twice.
            return found.sent is None or found.vendor_id is not None
        return not alive

    def resume(self, found: Submission, backend: Backend, *, send_again: bool = False) -> None:
        """Bring a submission whose process has gone to its end, without buying it twice.

        Args:
            found: An open submission.
            backend: The one it was prepared for.
            send_again: A person has made sure that a lost submission was never accepted.

        Raises:
            JobError: It failed, or it cannot be known whether it was bought.
        """
        if not self._ledger.take_over(found):
            raise JobError(f"submission s{found.id} was taken over by another process at this moment")
        found = self._ledger.submission(found.id)
        can = backend.capabilities
        if found.vendor_id is not None and not send_again:
            if can.durable or self._is_here(found, backend):
                self.collect(found, backend)
                return
            if can.paid:
                self._lost_with_its_process(found, backend)
        elif found.sent is not None and not send_again:
            known = self._asked_for(
                found, backend, "the process that sent it was killed before it noted the answer"
            )
            if known is not None:
                self._ledger.submitted(found, known)
                self.collect(self._ledger.submission(found.id), backend)
                return
        self.collect(self.send(found, backend), backend)

    def fetch_ready(self, found: Submission, backend: Backend) -> None:
        """Store the result of a submitted job if it is there."""
        if not backend.capabilities.durable and not self._is_here(found, backend):
            return
        status = self._patience.ask(lambda: backend.status(str(found.vendor_id)))
        if status in (JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED):
            self.collect(found, backend)

    def cancel(self, found: Submission, backend: Backend) -> None:
        """Stop an open submission.

        Raises:
            JobError: It cannot be stopped, or it cannot be known whether there is anything to stop.
        """
        vendor_id = found.vendor_id
        if vendor_id is None and found.sent is not None:
            if not self.can_take(found):
                raise JobError(f"submission s{found.id} is being sent by a living process; try again")
            if backend.capabilities.searchable:
                vendor_id = self._patience.ask(lambda: backend.find(found.tag))
                if vendor_id is not None:
                    self._ledger.submitted(found, vendor_id)
                    found = self._ledger.submission(found.id)
            elif backend.capabilities.paid:
                raise JobError(
                    f"submission s{found.id} may run at the vendor's, and {backend.name} cannot be searched: "
                    f"{found.error or 'look there, and cancel it there'}"
                )
        if vendor_id is None:
            self._ledger.ended(found, State.CANCELLED, "cancelled before it was known to be accepted")
            return
        self._cancel_job(found, backend, vendor_id)

    def _cancel_job(self, found: Submission, backend: Backend, vendor_id: str) -> None:
        if not backend.capabilities.durable and not self._is_here(found, backend):
            self._ledger.ended(found, State.CANCELLED, "cancelled; its process has ended")
            return
        self._patience.ask(lambda: backend.cancel(vendor_id))
        status = self._patience.ask(lambda: backend.status(vendor_id))
        if status is JobStatus.DONE:
            self.collect(found, backend)
        elif status in (JobStatus.CANCELLED, JobStatus.FAILED):
            self._ledger.ended(found, State.CANCELLED, "cancelled")
        else:
            raise JobError(
                f"backend {backend.name!r} goes on with {vendor_id} (s{found.id}); try again later"
            )

    def _is_here(self, found: Submission, backend: Backend) -> bool:
        return found.owner == this_process() and backend.find(found.tag) == found.vendor_id

    def _lost_with_its_process(self, found: Submission, backend: Backend) -> None:
        reason = (
            f"it was accepted as {found.vendor_id}, its process ended, and the client of {backend.name} "
            "cannot fetch a job of another process: read the counts at the vendor's; "
            f"`qtnml jobs resume s{found.id} --send-again` buys it again"
        )
        self._ledger.lost(found, reason)
        raise JobError(f"submission s{found.id} is lost: {reason}")


# Submissions that a thread of this process works on now.
_driven: set[tuple[str, int]] = set()
_lock = threading.Lock()


@contextmanager
def _driving(ledger: Ledger, found: Submission) -> Iterator[None]:
    key = (str(ledger), found.id)
    with _lock:
        _driven.add(key)
    try:
        yield
    except BaseException:
        # Whoever comes next may go on: this process lives, but no longer works on it.
        ledger.leave(found)
        raise
    finally:
        with _lock:
            _driven.discard(key)


def _is_driven(ledger: Ledger, found: Submission) -> bool:
    with _lock:
        return (str(ledger), found.id) in _driven


def _known_status(status: Any, backend: Backend) -> JobStatus:
    try:
        return JobStatus(status)
    except ValueError:
        raise JobError(
            f"backend {backend.name!r} calls the status of a job {status!r}, which is none of "
            f"{[str(each) for each in JobStatus]}"
        ) from None
