"""The ledger: every change is one transaction in this module."""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from qiskit import QuantumCircuit
from sqlalchemy.exc import IntegrityError

from qtnml.backends import Backend, Counts, Result
from qtnml.backends.secrets import without_secrets
from qtnml.errors import DamagedLedgerWarning, JobError, warn_user
from qtnml.ledger.budgets import OF_ONE_RUN, Amounts, Budget, open_budget, rounded, settle, spent
from qtnml.ledger.claiming import OutrunError, check_no_secrets, prepared, settings_cell
from qtnml.ledger.database import Database, now
from qtnml.ledger.leases import Lease, Leases
from qtnml.ledger.schema import (
    OPEN,
    State,
    budgets,
    claims,
    entries,
    events,
    programs,
    submissions,
    templates,
)
from qtnml.ledger.stored import (
    EVERYTHING,
    Counted,
    Sample,
    Window,
    counted,
    counts_cell,
    counts_of,
    parts,
    samples,
    stored_shots,
)
from qtnml.ledger.submission import COLUMNS, Draft, Order, Submission, submission_of
from qtnml.ledger.transitions import move, tell
from qtnml.ledger.work import digests_of, unpacked


class Program(NamedTuple):
    """A compiled circuit as bytes, when and under which calibration it was kept, and what is known since."""

    content: bytes
    created: float
    calibration: str | None
    note: str


class Ledger:
    """The database behind a `JobStore`.

    Args:
        location: A file, a SQLAlchemy URL, or None for $QTNML_JOBS or else a file in the user's data folder.
        term: Seconds that a lease lasts without a renewal.
        longest_call: Seconds after which a call to a backend counts as hung.
    """

    def __init__(
        self,
        location: str | os.PathLike[str] | None = None,
        *,
        term: float = 30.0,
        longest_call: float = 3600.0,
    ) -> None:
        self.database = Database(location)
        self.leases = Leases(self.database, term, longest_call)

    def __str__(self) -> str:
        return str(self.database)

    # What was measured.

    def holdings(self, ids: Sequence[str]) -> tuple[dict[str, int], set[str]]:
        """Measured shots of each job that has any, and the jobs that an open submission holds."""
        with self.database.reading() as connection:
            return stored_shots(connection, ids), _claimed_jobs(connection, ids)

    def samples(self, ids: Sequence[str]) -> list[Sample]:
        """Measured shots of jobs, submission by submission."""
        with self.database.reading() as connection:
            return samples(connection, ids)

    def counted(self, ids: Sequence[str], window: Window = EVERYTHING) -> list[Counted]:
        """Counts of jobs, submission by submission."""
        with self.database.reading() as connection:
            return list(counted(connection, ids, window, str(self)))

    def counts(
        self, ids: Sequence[str], *, by_calibration: bool = False
    ) -> dict[str, dict[str | None, Counts]]:
        """Sum of the counts of each job, by the time of their calibration (None: all together)."""
        found: dict[str, dict[str | None, Counts]] = {job: {} for job in ids}
        for each in self.counted(list(found)):
            total = found[each.job].setdefault(each.calibration if by_calibration else None, {})
            for outcome, shots in each.counts.items():
                total[outcome] = total.get(outcome, 0) + shots
        return found

    def results(self, number: int) -> list[tuple[str, Counts]]:
        """Measured jobs of a submission, and their counts."""
        query = (
            sa.select(entries.c.job, entries.c.counts)
            .where(entries.c.submission == number, entries.c.counts.is_not(None))
            .order_by(entries.c.position)
        )
        with self.database.reading() as connection:
            return [(job, counts_of(text, job, number, str(self))) for job, text in connection.execute(query)]

    # What is to be bought.

    def prepare(
        self, drafts: Sequence[Draft], order: Order, stored: Mapping[str, int]
    ) -> list[tuple[Submission, Lease]]:
        """Record submissions, claim their jobs and reserve their budget, all or nothing.

        Args:
            drafts: Drafts of one run.
            order: Values that they have in common.
            stored: Shots of each job that were already stored.

        Returns:
            Each submission with a lease.

        Raises:
            OutrunError: Another process claimed one of the jobs first; check again what is missing.
            BudgetError: The budget is not sufficient.
        """
        check_no_secrets(order.backend)
        # Without a file nobody else could send the circuits; of what is paid for, a later call may have to.
        can = order.backend.capabilities
        keep_work = not self.database.in_memory or can.paid or can.durable
        try:
            with self.database.writing() as connection:
                return prepared(connection, drafts, order, stored, self.leases, keep_work=keep_work)
        except IntegrityError as error:
            raise OutrunError(str(error.orig)) from error

    def open_budget(self, budget: Budget) -> Budget:
        """Create the row of a budget and record its limits; without limits, it takes the recorded ones."""
        return open_budget(self.database, budget)

    def spent(self, name: str) -> Amounts:
        """Amounts spent under a budget's name, including open submissions."""
        with self.database.reading() as connection:
            return spent(connection, name)

    def budgets(self) -> list[dict[str, Any]]:
        """Every budget as JSON types: its name, what was spent, and the limits it was last used with."""
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(budgets).order_by(budgets.c.name)).all()
        return [
            {
                "name": row.name,
                "shots": row.shots,
                "circuits": row.circuits,
                "seconds": rounded(row.seconds),
                "cost": rounded(row.cost),
                "limits": json.loads(row.limits),
            }
            for row in rows
        ]

    def bought(self, numbers: Sequence[int]) -> tuple[int, int]:
        """Shots of submissions and number of their different jobs, without refunded submissions.

        A submission is refunded if it was certainly never accepted.
        """
        shots, jobs = 0, set[str]()
        with self.database.reading() as connection:
            for part in parts(numbers):
                kept = (submissions.c.id.in_(part), submissions.c.refunded.is_(False))
                query = sa.select(sa.func.sum(submissions.c.shots * submissions.c.jobs)).where(*kept)
                shots += int(connection.execute(query).scalar() or 0)
                of = sa.select(entries.c.job).join(submissions, entries.c.submission == submissions.c.id)
                jobs |= set(connection.execute(of.where(*kept)).scalars())
        return shots, len(jobs)

    def claimed(self, ids: Sequence[str]) -> list[int]:
        """Numbers of the open submissions that hold some of these jobs."""
        found: set[int] = set()
        with self.database.reading() as connection:
            for part in parts(ids):
                query = sa.select(claims.c.submission).where(claims.c.job.in_(part)).distinct()
                found |= set(connection.execute(query).scalars())
        return sorted(found)

    # What is read.

    def submission(self, number: int) -> Submission:
        """One submission.

        Raises:
            JobError: There is no submission with this number.
        """
        with self.database.reading() as connection:
            row = connection.execute(sa.select(*COLUMNS).where(submissions.c.id == number)).one_or_none()
        if row is None:
            raise JobError(f"the ledger {self} has no submission s{number}; see `qtnml jobs list`")
        return submission_of(row, str(self))

    def submissions(
        self, *, states: Sequence[State] | None = None, label: str | None = None, limit: int | None = None
    ) -> list[Submission]:
        """Submissions, newest first; damaged ones are left out with a warning."""
        query = sa.select(*COLUMNS).order_by(submissions.c.id.desc()).limit(limit)
        if states is not None:
            query = query.where(submissions.c.state.in_(states))
        if label is not None:
            query = query.where(submissions.c.label == label)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        found = []
        for row in rows:
            try:
                found.append(submission_of(row, str(self)))
            except JobError as error:
                warn_user(str(error), DamagedLedgerWarning)
        return found

    def circuits(self, number: int) -> Sequence[QuantumCircuit]:
        """The circuits of a submission."""
        with self.database.reading() as connection:
            work = connection.execute(
                sa.select(submissions.c.work).where(submissions.c.id == number)
            ).scalar_one()

            def template(digest: str) -> bytes:
                return bytes(
                    connection.execute(
                        sa.select(templates.c.qpy).where(templates.c.id == digest)
                    ).scalar_one()
                )

            return unpacked(work, template)

    def job_ids(self, number: int) -> list[str]:
        """The jobs of a submission, in order."""
        query = sa.select(entries.c.job).where(entries.c.submission == number).order_by(entries.c.position)
        with self.database.reading() as connection:
            return list(connection.execute(query).scalars())

    def find_jobs(self, prefix: str, limit: int = 3) -> list[str]:
        """Ids of jobs that begin with a prefix."""
        query = sa.select(entries.c.job).where(entries.c.job.like(f"{prefix}%")).distinct().limit(limit)
        with self.database.reading() as connection:
            return list(connection.execute(query).scalars())

    def rows_of(self, job: str) -> list[tuple[Submission, Counts | None]]:
        """The submissions of a job, and its result in each."""
        query = (
            sa.select(*COLUMNS, entries.c.counts.label("counted"))
            .join(entries, entries.c.submission == submissions.c.id)
            .where(entries.c.job == job)
            .order_by(submissions.c.id)
        )
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        ledger = str(self)
        return [
            (
                submission_of(row, ledger),
                None if row.counted is None else counts_of(row.counted, job, row.id, ledger),
            )
            for row in rows
        ]

    def events(self, number: int) -> list[tuple[float, str, str]]:
        """History of a submission: time (seconds since 1970), event, and a note; oldest first."""
        query = (
            sa.select(events.c.at, events.c.what, events.c.note)
            .where(events.c.submission == number)
            .order_by(events.c.id)
        )
        with self.database.reading() as connection:
            return [(float(at), str(what), str(note)) for at, what, note in connection.execute(query)]

    def now(self) -> float:
        """Seconds since 1970 by the clock of the database."""
        with self.database.reading() as connection:
            return float(connection.execute(sa.select(now())).scalar_one())

    # What happens to a submission: each under the lease of whoever drives it (see `transitions.LEGAL`).

    def sending(self, lease: Lease) -> None:
        """Record, before the call, that the backend is called now."""
        self.database.check_in_place()
        self._move(lease, State.SENDING, sent=now(), vendor_id=None, error=None)

    def unsent(self, lease: Lease, why: str) -> None:
        """Record that the backend has certainly not accepted the submission."""
        self._move(lease, State.PREPARED, note=why, sent=None)

    def again(self, lease: Lease, why: str) -> None:
        """Allow sending again: the first one costs nothing, or a person is sure it was never accepted."""
        self._move(lease, State.PREPARED, note=why, sent=None, vendor_id=None, error=None)

    def submitted(self, lease: Lease, vendor_id: str) -> None:
        """Record the vendor's id."""
        self._move(lease, State.SUBMITTED, note=vendor_id, vendor_id=vendor_id, error=None)

    def running(self, lease: Lease) -> None:
        """Record that the job has begun."""
        self._move(lease, State.RUNNING)

    def lost(self, lease: Lease, reason: str, **values: Any) -> None:
        """Record that it may have been accepted or not: it is not sent again until a person decides."""
        shown = without_secrets(reason)
        self._move(lease, State.LOST, note=shown, error=shown, **values)

    def refused(self, lease: Lease, reason: str) -> None:
        """Record that the backend accepted nothing: the jobs are released and the budget is refunded."""
        shown = without_secrets(reason)
        self._move(lease, State.FAILED, note=shown, error=shown, refund=True)

    def failed(self, lease: Lease, reason: str) -> None:
        """Record that the vendor has no result; it is unknown whether it charges."""
        shown = without_secrets(reason)
        self._move(lease, State.FAILED, note=shown, error=shown)

    def cancelled(self, lease: Lease, reason: str, *, never_sent: bool) -> None:
        """Record that a submission is cancelled, and release its jobs."""
        self._move(lease, State.CANCELLED, note=reason, error=without_secrets(reason), refund=never_sent)

    def done(self, lease: Lease, result: Result) -> None:
        """Store a result."""
        self._move(
            lease,
            State.DONE,
            counts=[counts_cell(place, counts) for place, counts in enumerate(result.counts)],
            error=None,
            calibration=result.calibration,
            seconds=result.seconds,
        )

    def _move(self, lease: Lease, to: State, **how: Any) -> None:
        with self.database.writing() as connection:
            move(connection, lease.submission, lease.token, to, **how)
        if to not in OPEN:
            self.leases.ended(lease)

    def called(self, backend: str, vendor_id: str) -> int | None:
        """The submission that a backend's job belongs to, if it is known."""
        query = sa.select(submissions.c.id).where(
            submissions.c.backend == backend,
            submissions.c.vendor_id == vendor_id,
            submissions.c.state != State.LOST,
        )
        with self.database.reading() as connection:
            found = connection.execute(query.limit(1)).scalar()
        return None if found is None else int(found)

    def note(self, number: int, reason: str) -> None:
        """Record why a submission could not be completed now."""
        with self.database.writing() as connection:
            # What a lost submission says of the cure stays.
            noted = [state for state in OPEN if state is not State.LOST]
            connection.execute(
                submissions.update()
                .where(submissions.c.id == number, submissions.c.state.in_(noted))
                .values(error=without_secrets(reason))
            )
            tell(connection, number, "note", reason)

    def late_answer(self, number: int, vendor_id: str) -> bool:
        """Record a vendor's id that arrived after another process had taken the submission over.

        Returns:
            Whether the id is used; otherwise the submission was sent again or cancelled in the meantime.
        """
        wanted = (State.SENDING, State.LOST)
        with self.database.writing() as connection:
            changed = connection.execute(
                submissions.update()
                .where(submissions.c.id == number, submissions.c.state.in_(wanted))
                # Whoever looks for it at the vendor's finds its token gone, and looks here again.
                .values(state=State.SUBMITTED, vendor_id=vendor_id, token=None, lease_until=None, error=None)
            )
            if not changed.rowcount:
                known = connection.execute(
                    sa.select(submissions.c.vendor_id).where(submissions.c.id == number)
                ).scalar()
                if known == vendor_id:
                    return True  # whoever took over has found it
            tell(connection, number, "late answer", f"the backend calls it {vendor_id}")
        return bool(changed.rowcount)

    def charged(self, number: int, seconds: float) -> None:
        """Record what the vendor charged, when it reports it."""
        with self.database.writing() as connection:
            row = connection.execute(
                sa.select(submissions).where(submissions.c.id == number).with_for_update()
            ).one()
            connection.execute(submissions.update().where(submissions.c.id == number).values(seconds=seconds))
            settle(connection, row, seconds)

    def uncharged(self, backend: Backend, since: float, limit: int = 20) -> list[Submission]:
        """The newest submissions of a backend that ended since a time and whose charge is not known."""
        query = (
            sa.select(*COLUMNS)
            .where(
                submissions.c.backend == backend.name,
                submissions.c.settings == settings_cell(backend.settings),
                submissions.c.billing == settings_cell(getattr(backend, "billing", {})),
                submissions.c.ended >= since,
                submissions.c.state == State.DONE,
                submissions.c.seconds.is_(None),
                submissions.c.vendor_id.is_not(None),
            )
            .order_by(submissions.c.id.desc())
            .limit(limit)
        )
        with self.database.reading() as connection:
            return [submission_of(row, str(self)) for row in connection.execute(query)]

    # Compiled circuits.

    def program(self, key: str) -> Program | None:
        """A stored compiled circuit."""
        query = sa.select(programs.c.content, programs.c.created, programs.c.calibration, programs.c.note)
        with self.database.reading() as connection:
            row = connection.execute(query.where(programs.c.key == key)).one_or_none()
        return None if row is None else Program(bytes(row[0]), float(row[1]), row[2], str(row[3]))

    def keep_program(self, key: str, backend: str, content: bytes, calibration: str | None) -> Program:
        """Store a compiled circuit; if another process has stored one for the same key, return that one."""
        row = {"backend": backend, "content": content, "calibration": calibration, "created": now()}
        with contextlib.suppress(IntegrityError), self.database.writing() as connection:
            connection.execute(programs.insert().values(key=key, **row))
        found = self.program(key)
        if found is None:
            raise JobError(f"the ledger {self} does not keep a circuit; is its database damaged?")
        return found

    def replace_program(self, key: str, backend: str, content: bytes, calibration: str | None) -> None:
        """Replace a stored circuit."""
        row = {"backend": backend, "content": content, "calibration": calibration, "created": now()}
        with self.database.writing() as connection:
            connection.execute(programs.delete().where(programs.c.key == key))
            connection.execute(programs.insert().values(key=key, **row))

    def note_program(self, key: str, note: str) -> None:
        """Store a note about a circuit."""
        with self.database.writing() as connection:
            connection.execute(programs.update().where(programs.c.key == key).values(note=note))

    # Upkeep.

    def prune(self, *, before: float, free_only: bool, label: str | None) -> int:
        """Delete submissions that ended before a time, with results and history; return their number."""
        ended = [State.DONE, State.FAILED, State.CANCELLED]
        conditions = [submissions.c.state.in_(ended), submissions.c.ended < before]
        if free_only:
            conditions.append(submissions.c.paid.is_(False))
        if label is not None:
            conditions.append(submissions.c.label == label)
        with self.database.writing() as connection:
            numbers = list(connection.execute(sa.select(submissions.c.id).where(*conditions)).scalars())
            for part in parts(numbers):
                connection.execute(entries.delete().where(entries.c.submission.in_(part)))
                connection.execute(events.delete().where(events.c.submission.in_(part)))
                connection.execute(submissions.delete().where(submissions.c.id.in_(part)))
            is_open = sa.exists().where(submissions.c.budget == budgets.c.name, submissions.c.state.in_(OPEN))
            # Those of single runs of the command that have bought something and are done with it.
            names = connection.execute(
                sa.select(budgets.c.name).where(budgets.c.shots > 0, ~is_open)
            ).scalars()
            for name in [name for name in names if name.startswith(OF_ONE_RUN)]:
                connection.execute(budgets.delete().where(budgets.c.name == name))
            needed: set[str] = set()
            for (work,) in connection.execute(sa.select(submissions.c.work)):
                needed |= digests_of(work)
            kept = set(connection.execute(sa.select(templates.c.id)).scalars())
            for part in parts(sorted(kept - needed)):
                connection.execute(templates.delete().where(templates.c.id.in_(part)))
        return len(numbers)

    def back_up(self, target: Path) -> None:
        """Copy a SQLite ledger while other processes go on using it."""
        self.database.back_up(target)


def _claimed_jobs(connection: sa.Connection, ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for part in parts(ids):
        found |= set(connection.execute(sa.select(claims.c.job).where(claims.c.job.in_(part))).scalars())
    return found
