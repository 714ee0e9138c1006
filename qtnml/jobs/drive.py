"""Completes one submission under a lease: send, look for a lost answer, wait, store."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from qiskit import QuantumCircuit

from qtnml.backends import Backend, JobStatus
from qtnml.backends.base import checked_result
from qtnml.backends.secrets import cause_of, without_secrets
from qtnml.errors import (
    BackendBusyError,
    BackendError,
    JobError,
    ResultTimeoutError,
    UnknownSubmissionError,
)
from qtnml.jobs.patience import Patience
from qtnml.jobs.plan import calibration_of
from qtnml.ledger import Ledger, State, Submission
from qtnml.ledger.leases import Lease
from qtnml.ledger.transitions import SupersededError, moment

log = logging.getLogger("qtnml.jobs")
_FIRST_POLL, _LONGEST_POLL = 0.05, 10.0
_LONGEST_LOOK = 15.0  # seconds between two looks for a lost job
#: Statuses of jobs that have ended.
FINISHED = (JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED)

Tell = Callable[[str], None]


def silent(_: str) -> None:
    """Tells nobody."""


class Driver:
    """Sends and collects submissions of one ledger. Whoever calls holds the lease.

    Args:
        ledger: What is written down.
        patience: With a busy backend.
    """

    def __init__(self, ledger: Ledger, patience: Patience) -> None:
        self._ledger, self._patience = ledger, patience

    def send(
        self,
        found: Submission,
        lease: Lease,
        backend: Backend,
        circuits: Sequence[QuantumCircuit] | None = None,
        tell: Tell = silent,
        deadline: float | None = None,
    ) -> str:
        """Give a prepared submission to the backend; return what the backend calls it.

        Args:
            found: The submission.
            lease: Of it.
            backend: Where it goes.
            circuits: Its circuits, if they are at hand: a backend knows a template again that it has
                translated before, and none that was read from the ledger.
            tell: Called with a word on what is waited for.
            deadline: By `time.monotonic()`, for what is waited for.

        Raises:
            JobError: It was refused, or it is not known whether it was accepted.
            BackendBusyError: The backend takes nothing for now; the submission stays prepared.
            SupersededError: Somebody else has taken it over.
        """
        if circuits is None:
            circuits = self._ledger.circuits(found.id)
        noted = not is_free(backend)  # of a simulator nothing is noted before there are results

        def submit() -> str:
            if noted:
                self._ledger.sending(lease)
            self._ledger.leases.call(lease)
            try:
                return backend.submit(circuits, shots=found.shots, seed=found.seed, tag=found.tag)
            except BackendBusyError as error:
                log.info("s%d: %s is busy (%s)", found.id, backend.name, without_secrets(str(error)))
                if noted:
                    self._ledger.unsent(lease, str(error))
                raise

        try:
            vendor_id = self._patience.ask(submit, deadline)
        except UnknownSubmissionError as error:
            if not backend.capabilities.paid:  # costs nothing, and its seed makes it the same job
                if noted:
                    self._ledger.again(lease, str(error))
                vendor_id = self._patience.ask(submit, deadline)
            else:
                vendor_id = self.look_for(found, lease, backend, str(error), tell, deadline)
        except BackendBusyError:
            raise
        except BackendError as error:
            self._ledger.refused(lease, str(error))
            raise JobError(without_secrets(f"submission s{found.id} was refused: {error}")) from cause_of(
                error
            )
        if noted:
            self._note_answer(found, lease, backend, vendor_id)
        return vendor_id

    def _note_answer(self, found: Submission, lease: Lease, backend: Backend, vendor_id: str) -> None:
        """Write down what the backend calls a submission: the one fact that nobody else knows."""
        for attempt in range(3):
            try:
                self._ledger.submitted(lease, vendor_id)
                return
            except SupersededError:
                break
            except JobError as error:  # the ledger cannot be written to
                if attempt == 2:
                    raise JobError(
                        f"submission s{found.id} was accepted as {vendor_id}, which could not be noted "
                        f"({error}); `qtnml jobs fetch s{found.id} --vendor-id {vendor_id}` fetches it"
                    ) from error
                time.sleep(self._patience.first_wait)
        if self._ledger.late_answer(found.id, vendor_id):
            raise SupersededError(f"submission s{found.id} was taken over while it was sent")
        with suppress(BackendError):
            backend.cancel(vendor_id)
        raise JobError(
            f"submission s{found.id} was stopped, or sent again by hand, while it was sent; it was accepted "
            f"as {vendor_id}, which was told to stop"
        )

    def look_for(
        self,
        found: Submission,
        lease: Lease,
        backend: Backend,
        reason: str,
        tell: Tell = silent,
        deadline: float | None = None,
    ) -> str:
        """What the vendor calls a submission that may have been accepted.

        Raises:
            ResultTimeoutError: It is not found by the deadline, and may still be listed.
            JobError: The vendor does not know it, or cannot be asked: it is lost.
        """
        if not backend.capabilities.searchable:
            lost = (
                f"{reason}. It was sent at {moment(found.sent or time.time())} and {backend.name} cannot be "
                f"searched: look for a job of {found.jobs} circuits, {found.shots} shots, at the vendor's, "
                f"then {cures(found)}"
            )
        else:
            known = self._searched(found, lease, backend, tell, deadline)
            if known is not None:
                log.info("s%d: found as %s", found.id, known)
                return known
            lost = (
                f"{reason}. It was sent at {moment(found.sent or time.time())}, and {backend.name} lists no "
                f"job tagged {found.tag} {self._patience.search_for:.0f} s later: look for a job of "
                f"{found.jobs} circuits, {found.shots} shots, at the vendor's, then {cures(found)}"
            )
        self._ledger.lost(lease, lost)
        raise JobError(f"submission s{found.id} may or may not have been bought; {without_secrets(lost)}")

    def _searched(
        self, found: Submission, lease: Lease, backend: Backend, tell: Tell, deadline: float | None
    ) -> str | None:
        """Look by tag until the vendor must know it, twice at least."""
        sent = self._ledger.submission(found.id).sent
        age = 0.0 if sent is None else max(self._ledger.now() - sent, 0.0)
        left = self._patience.search_for - age
        began, wait, looks = time.monotonic(), min(self._patience.first_wait, 1.0), 0
        while True:
            known = self._patience.ask(lambda: backend.find(found.tag), deadline)
            looks += 1
            self._ledger.leases.call(lease)
            remaining = left - (time.monotonic() - began)
            if known is not None or (remaining <= 0 and looks > 1):
                return known
            if deadline is not None and time.monotonic() >= deadline:
                raise ResultTimeoutError(
                    f"submission s{found.id} may have been accepted, and {backend.name} does not list it "
                    "yet; ask again later"
                )
            tell(f"looking for s{found.id} at the vendor's")
            log.info("s%d: %s does not list it yet", found.id, backend.name)
            time.sleep(min(wait, max(remaining, 0.0)) or min(wait, 0.05))
            wait = min(1.5 * wait, _LONGEST_LOOK)

    def collect(
        self,
        found: Submission,
        lease: Lease,
        backend: Backend,
        vendor_id: str,
        tell: Tell = silent,
        deadline: float | None = None,
    ) -> None:
        """Wait for a job and store its result.

        Args:
            found: The submission.
            lease: Of it.
            backend: Where it is.
            vendor_id: What it is called there.
            tell: Called with a word on where the job stands while it is waited for.
            deadline: By `time.monotonic()`.

        Raises:
            JobError: It failed, or was cancelled.
            BackendBusyError: The backend cannot be asked for now; the job goes on.
            ResultTimeoutError: It has not ended by then; the job goes on.
            SupersededError: Somebody else has taken it over.
        """
        status = self._awaited(found, lease, backend, vendor_id, tell, deadline)
        if status is JobStatus.CANCELLED:
            self._ledger.cancelled(lease, "cancelled at the backend", never_sent=False)
            raise JobError(f"submission s{found.id} ({vendor_id}) was cancelled")
        self._ledger.leases.call(lease)
        try:
            result = self._patience.ask(lambda: backend.fetch(vendor_id), deadline)
        except BackendBusyError:
            raise
        except BackendError as error:
            self._not_fetched(found, lease, backend, vendor_id, error)
            raise JobError(
                without_secrets(f"submission s{found.id} ({vendor_id}) has no result: {error}")
            ) from cause_of(error)
        except Exception as error:  # of a simulator: out of memory, say; it is computed anew when asked again
            if is_free(backend):
                self._ledger.refused(lease, f"{type(error).__name__}: {error}")
            raise
        try:
            result = checked_result(result, found.jobs, backend.name)
        except BackendError as error:  # nothing is stored: once the backend is mended it can be fetched
            raise JobError(f"submission s{found.id} ({vendor_id}) cannot be read: {error}") from error
        if result.calibration is None and backend.capabilities.paid:
            with suppress(BackendError):
                result = replace(result, calibration=calibration_of(backend))
        self._ledger.done(lease, result)

    def _awaited(
        self,
        found: Submission,
        lease: Lease,
        backend: Backend,
        vendor_id: str,
        tell: Tell,
        deadline: float | None,
    ) -> JobStatus:
        """Poll until the job has ended; one in this process is simply fetched."""
        if not backend.capabilities.durable and deadline is None:
            return JobStatus.DONE
        wait, begun = _FIRST_POLL, found.state is State.RUNNING
        while True:
            self._ledger.leases.call(lease)
            status = known_status(self._patience.ask(lambda: backend.status(vendor_id), deadline), backend)
            if status in FINISHED:
                return status
            tell(f"s{found.id} ({vendor_id}) {status}")
            log.debug("s%d (%s): %s at %s", found.id, vendor_id, status, backend.name)
            if status is JobStatus.RUNNING and not begun:
                self._ledger.running(lease)
                begun = True
            if deadline is not None and time.monotonic() >= deadline:
                raise ResultTimeoutError(
                    f"submission s{found.id} ({vendor_id}) is still {status}; it goes on: ask again later"
                )
            time.sleep(wait if deadline is None else min(wait, max(deadline - time.monotonic(), 0.001)))
            wait = min(1.5 * wait, _LONGEST_POLL)

    def _not_fetched(
        self, found: Submission, lease: Lease, backend: Backend, vendor_id: str, error: BackendError
    ) -> None:
        """What failed lets its jobs go; what may have a result keeps them, to be read later."""
        can = backend.capabilities
        if can.paid and not can.durable:
            self._ledger.lost(lease, f"its result could not be read ({error}); see the vendor's own list")
        elif can.durable and self._patience.ask(lambda: backend.status(vendor_id)) is JobStatus.DONE:
            log.warning("s%d: its result cannot be read now (%s)", found.id, without_secrets(str(error)))
        elif is_free(backend):
            self._ledger.refused(lease, str(error))
        else:
            self._ledger.failed(lease, str(error))


def is_free(backend: Backend) -> bool:
    """Whether what was sent may be sent again: a simulator in this process, whose shots cost nothing."""
    can = backend.capabilities
    return not can.paid and not can.durable


def cures(found: Submission) -> str:
    """What a person does about a submission that may or may not have been bought."""
    return (
        f"`qtnml jobs fetch s{found.id} --vendor-id ID` if it is there, "
        f"`qtnml jobs resume s{found.id} --send-again` if it is not"
    )


def known_status(status: Any, backend: Backend) -> JobStatus:
    """A status that a backend of one's own gave.

    Raises:
        JobError: There is no such one.
    """
    try:
        return JobStatus(status)
    except ValueError:
        raise JobError(
            f"backend {backend.name!r} calls the status of a job {status!r}, which is none of "
            f"{[str(each) for each in JobStatus]}"
        ) from None
