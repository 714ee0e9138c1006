"""Recovery of submissions that no process drives: take over, adopt by hand, cancel."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from qiskit import QuantumCircuit

from qtnml.backends import Backend, JobStatus
from qtnml.errors import BackendBusyError, BackendError, JobError, QtnmlError, ResultTimeoutError
from qtnml.jobs.drive import FINISHED, Driver, Tell, cures, is_free, silent
from qtnml.jobs.patience import Patience
from qtnml.ledger import OPEN, Ledger, State, Submission
from qtnml.ledger.leases import Lease
from qtnml.ledger.transitions import SupersededError

log = logging.getLogger("qtnml.jobs")


class Recovery:
    """Goes on where somebody else stopped.

    Args:
        ledger: What is written down.
        driver: Sends and collects.
        patience: With a busy backend.
    """

    def __init__(self, ledger: Ledger, driver: Driver, patience: Patience) -> None:
        self._ledger, self._driver, self._patience = ledger, driver, patience

    def see_to(
        self, number: int, backend: Backend, tell: Tell = silent, deadline: float | None = None
    ) -> None:
        """Bring a submission to its end: whoever drives it is waited for, what nobody drives is taken over.

        Raises:
            JobError: It failed, or is lost.
            ResultTimeoutError: It has not ended by the deadline.
        """
        wait = 0.02
        while (found := self._ledger.submission(number)).state in OPEN:
            lease = self._ledger.leases.take(number)
            if lease is not None:
                with self._ledger.leases.held(lease, limited=not is_free(backend)):
                    try:
                        self.go_on(self._ledger.submission(number), lease, backend, tell, deadline)
                    except SupersededError:
                        continue  # look again at what became of it
                return
            if wait < 0.03:
                log.info("s%d: waiting for whoever drives it, or for the end of its lease", number)
            # It is driven by somebody whose lease ends unless it is renewed: this waits for no dead process.
            if deadline is not None and time.monotonic() >= deadline:
                raise ResultTimeoutError(f"submission s{number} is still {found.state}; ask again later")
            tell(f"waiting for whoever drives s{number} (or for the end of its lease)")
            time.sleep(wait)
            wait = min(1.5 * wait, 1.0)

    def go_on(
        self,
        found: Submission,
        lease: Lease,
        backend: Backend,
        tell: Tell = silent,
        deadline: float | None = None,
        *,
        send_again: bool = False,
    ) -> None:
        """Bring a submission to its end under a lease, without buying it twice.

        Args:
            found: As it is now.
            lease: Of it.
            backend: The one it was prepared for.
            tell: Called with a word on what is waited for.
            deadline: By `time.monotonic()`.
            send_again: A person has made sure that a lost submission was never accepted.

        Raises:
            JobError: It failed, or it cannot be known whether it was bought.
        """
        tell(f"going on with s{found.id}")
        if send_again and found.state in (State.SENDING, State.LOST):
            known = self._known_after_all(found, backend)
            if known is not None:
                self._ledger.submitted(lease, known)
                self._driver.collect(self._ledger.submission(found.id), lease, backend, known, tell, deadline)
                return
            if found.state is State.SENDING:
                self._ledger.lost(lease, "it is sent again by hand")
            self._ledger.again(lease, "sent again by hand")
            found = self._ledger.submission(found.id)
        if is_free(backend):
            self._simulate_again(found, lease, backend, tell, deadline)
            return
        if found.state is State.SENDING and not backend.capabilities.paid:
            self._ledger.again(lease, "its process has ended; sending it again costs nothing")
            found = self._ledger.submission(found.id)
        vendor_id = found.vendor_id
        if found.state is State.PREPARED:
            vendor_id = self._driver.send(found, lease, backend, tell=tell, deadline=deadline)
        elif found.state is State.SENDING:
            vendor_id = self._driver.look_for(
                found,
                lease,
                backend,
                "whoever sent it was stopped before the answer was noted",
                tell,
                deadline,
            )
            self._ledger.submitted(lease, vendor_id)
        elif found.state is State.LOST:
            vendor_id = self._looked_for_again(found, lease, backend)
        elif not backend.capabilities.durable and backend.find(found.tag) != vendor_id:
            self._lost_with_its_process(found, lease, backend)
        self._driver.collect(
            self._ledger.submission(found.id), lease, backend, str(vendor_id), tell, deadline
        )

    def _known_after_all(self, found: Submission, backend: Backend) -> str | None:
        """What the backend calls a submission that a person wants sent once more; None if it lacks it."""
        known = backend.find(found.tag) if backend.capabilities.searchable else None
        if known is None and found.vendor_id is not None and backend.capabilities.durable:
            with suppress(BackendError):
                backend.status(found.vendor_id)
                known = found.vendor_id
        if known is not None:
            log.warning("s%d: %s has it as %s, so that it is not sent again", found.id, backend.name, known)
        return known

    def _looked_for_again(self, found: Submission, lease: Lease, backend: Backend) -> str:
        """A lost submission that the vendor lists after all."""
        if backend.capabilities.searchable:
            known = self._patience.ask(lambda: backend.find(found.tag))
            if known is not None:
                self._ledger.submitted(lease, known)
                return known
        raise JobError(f"submission s{found.id} holds some of these jobs and is lost: {found.error}")

    def _simulate_again(
        self,
        found: Submission,
        lease: Lease,
        backend: Backend,
        tell: Tell,
        deadline: float | None,
    ) -> None:
        """Of a simulator: fetched if it is in this process, else computed once more."""
        here = None if found.state is State.PREPARED else backend.find(found.tag)
        if here is None:
            if found.state is not State.PREPARED:
                self._ledger.again(lease, "its process has ended; it is computed again")
            circuits = self._kept_circuits(found)
            if circuits is None:
                self._ledger.cancelled(lease, "its circuits were not kept", never_sent=True)
                return
            self._ledger.sending(lease)
            here = self._driver.send(found, lease, backend, circuits, tell)
            self._ledger.submitted(lease, here)
        self._driver.collect(found, lease, backend, here, tell, deadline)

    def _kept_circuits(self, found: Submission) -> Sequence[QuantumCircuit] | None:
        return None if self._ledger.database.in_memory else self._ledger.circuits(found.id)

    def _lost_with_its_process(self, found: Submission, lease: Lease, backend: Backend) -> None:
        reason = (
            f"it was accepted as {found.vendor_id}, its process ended, and the client of {backend.name} "
            "cannot fetch a job of another process: read the counts at the vendor's; "
            f"`qtnml jobs resume s{found.id} --send-again` buys it again"
        )
        self._ledger.lost(lease, reason)
        raise JobError(f"submission s{found.id} is lost: {reason}")

    def push(self, number: int, backend: Backend) -> None:
        """Send what is prepared and driven by nobody; look once for what may have been sent; never wait."""
        lease = self._ledger.leases.take(number)
        if lease is None:
            return
        now = time.monotonic()
        with self._ledger.leases.held(lease, limited=not is_free(backend)):
            found = self._ledger.submission(number)
            try:
                if found.state is State.PREPARED and not is_free(backend):
                    self._driver.send(found, lease, backend, deadline=now)
                elif found.state is State.SENDING and not is_free(backend):
                    reason = "whoever sent it was stopped before the answer was noted"
                    known = self._driver.look_for(found, lease, backend, reason, deadline=now)
                    self._ledger.submitted(lease, known)
            except (SupersededError, ResultTimeoutError):
                return

    def resume(self, found: Submission, backend: Backend, *, send_again: bool = False) -> None:
        """Bring an open submission that nobody drives to its end, and note why where that cannot be now."""
        lease = self._ledger.leases.take(found.id)
        if lease is None:
            return
        with self._ledger.leases.held(lease, limited=not is_free(backend)):
            try:
                self.go_on(self._ledger.submission(found.id), lease, backend, send_again=send_again)
            except SupersededError:
                pass
            except BackendBusyError as error:
                self._ledger.note(found.id, f"for now: {error}")
            except QtnmlError as error:
                if self._ledger.submission(found.id).state not in (State.LOST, State.FAILED, State.CANCELLED):
                    self._ledger.note(found.id, str(error))

    def fetch_ready(self, found: Submission, backend: Backend) -> None:
        """Store the result of a submitted job if it is there; wait for nothing, send nothing."""
        vendor_id = found.vendor_id
        if not backend.capabilities.durable:
            vendor_id = backend.find(found.tag)
            if vendor_id is None:
                return
        now = time.monotonic()  # one attempt: whoever waits asks again
        status = self._patience.ask(lambda: backend.status(str(vendor_id)), now)
        if status not in FINISHED:
            if status is JobStatus.RUNNING and found.state is State.SUBMITTED:
                self._with_lease(found, self._ledger.running)
            return
        self._with_lease(found, lambda lease: self._driver.collect(found, lease, backend, str(vendor_id)))

    def _with_lease(self, found: Submission, act: Callable[[Lease], None]) -> None:
        lease = self._ledger.leases.take(found.id)
        if lease is None:
            return
        with self._ledger.leases.held(lease):
            try:
                act(lease)
            except SupersededError:
                return

    def adopt(self, found: Submission, vendor_id: str, backend: Backend) -> None:
        """Fetch a lost submission by the id it has at the vendor's.

        Raises:
            JobError: Somebody drives it, or the job cannot be fetched: it is lost as before.
        """
        lease = self._ledger.leases.take(found.id)
        if lease is None:
            raise JobError(
                f"submission s{found.id} is driven by another process or thread now; its lease ends within "
                f"{self._ledger.leases.term:.0f} s of its last sign of life: try again then"
            )
        with self._ledger.leases.held(lease):
            found = self._ledger.submission(found.id)  # as it is under the lease
            self._check_adoptable(found, vendor_id, backend)
            self._ledger.submitted(lease, vendor_id)
            try:
                self._driver.collect(self._ledger.submission(found.id), lease, backend, vendor_id)
            except QtnmlError as error:
                reason = (
                    f"{vendor_id} could not be fetched ({error}); its fate is as unknown as before: "
                    f"{cures(found)}"
                )
                with suppress(SupersededError):  # the vendor says that it failed
                    self._ledger.lost(lease, reason, vendor_id=found.vendor_id)
                raise

    def _check_adoptable(self, found: Submission, vendor_id: str, backend: Backend) -> None:
        """Before anything is changed.

        Raises:
            JobError: It is not lost, the job is another's, or the backend knows no such job.
            BackendBusyError: The backend cannot be asked now.
        """
        if found.state is State.PREPARED:
            raise JobError(f"submission s{found.id} was never sent; `qtnml jobs resume s{found.id}` sends it")
        if found.state in (State.SUBMITTED, State.RUNNING):
            raise JobError(
                f"submission s{found.id} is on its way as {found.vendor_id}; `qtnml jobs fetch s{found.id}` "
                "asks for it"
            )
        other = self._ledger.called(found.backend, vendor_id)
        if other is not None:
            raise JobError(f"{vendor_id} is submission s{other}, not s{found.id}")
        try:
            self._patience.ask(lambda: backend.status(vendor_id))
        except BackendBusyError:
            raise
        except BackendError as error:
            raise JobError(
                f"{backend.name} cannot tell of {vendor_id} ({error}); submission s{found.id} is as it was"
            ) from error

    def give_up(self, found: Submission) -> None:
        """Let a lost submission go that was certainly never accepted, as a person has made sure.

        Raises:
            JobError: Somebody drives it, or it is not lost.
        """
        lease = self._ledger.leases.take(found.id)
        if lease is None:
            raise JobError(
                f"submission s{found.id} has ended, or is driven by another process or thread now; see "
                f"`qtnml jobs show s{found.id}`"
            )
        with self._ledger.leases.held(lease):
            found = self._ledger.submission(found.id)  # as it is under the lease
            if found.state is not State.LOST:
                raise JobError(
                    f"submission s{found.id} is {found.state}, not lost; `qtnml jobs cancel s{found.id}` "
                    "stops what is not"
                )
            self._ledger.cancelled(lease, "certainly never accepted, as a person has seen", never_sent=True)

    def cancel(self, found: Submission, backend: Backend) -> None:
        """Stop an open submission.

        Raises:
            JobError: It cannot be stopped, or it cannot be known whether there is anything to stop.
        """
        lease = self._ledger.leases.take(found.id)
        if lease is None:
            raise JobError(
                f"submission s{found.id} is being sent or fetched by another process or thread; stop that, "
                f"or try again (its lease ends within {self._ledger.leases.term:.0f} s of its last sign of "
                "life)"
            )
        with self._ledger.leases.held(lease):
            self._cancel(self._ledger.submission(found.id), lease, backend)

    def _cancel(self, found: Submission, lease: Lease, backend: Backend) -> None:
        if found.state is State.PREPARED:
            self._ledger.cancelled(lease, "cancelled before it was sent", never_sent=True)
            return
        vendor_id = found.vendor_id
        if is_free(backend):
            here = backend.find(found.tag)
            if here is not None:
                backend.cancel(here)
            self._ledger.cancelled(lease, "cancelled", never_sent=True)
            return
        if vendor_id is None:
            if not backend.capabilities.searchable:
                raise JobError(
                    f"submission s{found.id} may run at the vendor's, and {backend.name} cannot be searched: "
                    f"{found.error or 'look there, and cancel it there'}"
                )
            vendor_id = self._patience.ask(lambda: backend.find(found.tag))
            if vendor_id is None:
                listed_late = self._patience.search_for - (self._ledger.now() - (found.sent or 0.0))
                if listed_late > 0:
                    raise JobError(
                        f"submission s{found.id} was sent a moment ago, and {backend.name} may list it late; "
                        f"try again in {listed_late:.0f} s"
                    )
                self._ledger.cancelled(
                    lease, f"cancelled; {backend.name} lists no job tagged {found.tag}", never_sent=False
                )
                return
            self._ledger.submitted(lease, vendor_id)
            found = self._ledger.submission(found.id)
        if not backend.capabilities.durable and backend.find(found.tag) != vendor_id:
            self._ledger.cancelled(lease, "cancelled; its process has ended", never_sent=False)
            return
        self._patience.ask(lambda: backend.cancel(str(vendor_id)))
        status = self._patience.ask(lambda: backend.status(str(vendor_id)))
        if status is JobStatus.DONE:
            self._driver.collect(found, lease, backend, str(vendor_id))
        elif status in (JobStatus.CANCELLED, JobStatus.FAILED):
            self._ledger.cancelled(lease, "cancelled", never_sent=False)
        else:
            raise JobError(
                f"backend {backend.name!r} goes on with {vendor_id} (s{found.id}); try again later"
            )
