"""Leases: a process that drives a submission holds a lease for a limited time and renews it.

No process, host or container is asked whether it is alive. A lease that is not renewed ends, and then any
process may take the submission over. Each change of a submission needs a token. A process that comes back
late finds its token replaced.
"""

import contextlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from qtnml.errors import JobError
from qtnml.ledger.database import Database, now
from qtnml.ledger.schema import OPEN, State, submissions
from qtnml.ledger.transitions import tell

log = logging.getLogger("qtnml.jobs")


@dataclass(frozen=True)
class Lease:
    """The right to drive a submission.

    Attributes:
        submission: Its number.
        token: Of this attempt, and of no other.
    """

    submission: int
    token: str


class Leases:
    """Takes, renews and gives back leases of one ledger.

    Args:
        database: Of the ledger.
        term: Seconds that a lease lasts without being renewed.
        longest_call: Seconds after which a call to a backend counts as hung: its lease is no longer renewed.
    """

    def __init__(self, database: Database, term: float = 30.0, longest_call: float = 3600.0) -> None:
        self._database = database
        self.term = term
        self._longest_call = longest_call
        self._held: dict[str, float] = {}  # token -> when its present call began; infinity for no limit
        self._lock = threading.Lock()
        self._pid = 0
        self._renewer: threading.Thread | None = None

    def new(self, submission: int = 0) -> Lease:
        """A lease that is not yet written down."""
        return Lease(submission, secrets.token_hex(12))

    def take(self, number: int) -> Lease | None:
        """The lease of an open submission that nobody drives; None if somebody does, or it has ended."""
        lease = self.new(number)
        with self._database.writing() as connection:
            row = connection.execute(
                sa.select(
                    submissions.c.state, submissions.c.token, submissions.c.lease_until, now().label("now")
                )
                .where(submissions.c.id == number)
                .with_for_update()
            ).one_or_none()
            if row is None or State(row.state) not in OPEN:
                return None
            if row.token is not None and (row.lease_until or 0.0) > row.now:
                return None
            connection.execute(
                submissions.update()
                .where(submissions.c.id == number)
                .values(token=lease.token, lease_until=now() + self.term)
            )
            if row.token is not None:
                tell(connection, number, "taken over", "its lease had ended")
        return lease

    @contextlib.contextmanager
    def held(self, *leases: Lease, limited: bool = True) -> Iterator[None]:
        """Renew leases while the body runs, and give them back when it leaves.

        Args:
            leases: Taken before.
            limited: Stop renewing when one call takes too long.
        """
        began = time.monotonic() if limited else float("inf")
        with self._lock:
            for lease in leases:
                self._held[lease.token] = began
        self._renew_in_the_background()
        try:
            yield
        finally:
            with self._lock:
                left = [lease for lease in leases if self._held.pop(lease.token, None) is not None]
            if left:
                self.give_back(*left)

    def call(self, *leases: Lease) -> None:
        """A call to a backend begins: its time counts from now."""
        with self._lock:
            for lease in leases:
                if self._held.get(lease.token, float("inf")) < float("inf"):
                    self._held[lease.token] = time.monotonic()

    def ended(self, lease: Lease) -> None:
        """Its submission has ended, and the lease with it."""
        with self._lock:
            self._held.pop(lease.token, None)

    def give_back(self, *leases: Lease) -> None:
        """Let somebody else go on at once; without a ledger to write to, when the term has passed."""
        try:
            with self._database.writing() as connection:
                connection.execute(
                    submissions.update()
                    .where(submissions.c.token.in_([lease.token for lease in leases]))
                    .values(token=None, lease_until=None)
                )
        except JobError as error:
            log.warning("leases end by themselves in %.0f s (%s)", self.term, error)

    def _renew_in_the_background(self) -> None:
        with self._lock:
            # A thread does not survive a fork.
            if self._renewer is None or self._pid != os.getpid() or not self._renewer.is_alive():
                self._pid = os.getpid()
                self._renewer = threading.Thread(target=self._renew, name="qtnml leases", daemon=True)
                self._renewer.start()

    def _renew(self) -> None:
        idle = 0
        while idle < 3:
            time.sleep(self.term / 3)
            late = time.monotonic() - self._longest_call
            with self._lock:
                tokens = [token for token, began in self._held.items() if began > late]
                idle = 0 if self._held else idle + 1
                if idle >= 3:
                    self._renewer = None  # under the lock: whoever comes next starts another
            if not tokens:
                continue
            try:
                with self._database.writing() as connection:
                    connection.execute(
                        submissions.update()
                        .where(submissions.c.token.in_(tokens), submissions.c.state.in_(OPEN))
                        .values(lease_until=now() + self.term)
                    )
            except Exception as error:  # whatever ails the database: the next turn tries again
                log.warning("leases could not be renewed (%s)", error)
