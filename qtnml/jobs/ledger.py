"""What is written down: every change of the ledger is one transaction here."""

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from qiskit import QuantumCircuit
from sqlalchemy.exc import IntegrityError

from qtnml.backends import Backend, Counts, Result
from qtnml.backends.secrets import is_secret, without_secrets
from qtnml.errors import DamagedLedgerWarning, JobError, warn_user
from qtnml.jobs.database import Database
from qtnml.jobs.identity import backend_key
from qtnml.jobs.process import this_process
from qtnml.jobs.tables import OPEN, State, claims, entries, submissions, templates
from qtnml.jobs.work import packed, unpacked

_PARAMETERS = 500  # values in one SQL statement; SQLite has a limit


@dataclass(frozen=True)
class Submission:
    """One row of the ledger: what was, or is to be, sent in one go.

    Attributes:
        id: Its number.
        tag: Stored with the vendor's job, where the vendor can.
        backend, settings: What `get_backend` takes.
        state: See `State`.
        shots, seed, repeat: Of each job.
        label: For people.
        jobs: Number of circuits.
        owner: The process that drives it (see `process`).
        heartbeat: Its last sign of life.
        vendor_id: The vendor's name for it.
        created, sent, ended: Seconds since 1970; `sent` is written before the backend is called.
        calibration: Of the device, when it ran.
        seconds: Charged by the vendor.
        error: Why it has no result.
    """

    id: int
    tag: str
    backend: str
    settings: dict[str, Any]
    state: State
    shots: int
    seed: int | None
    repeat: int
    label: str
    jobs: int
    owner: str | None
    heartbeat: float | None
    vendor_id: str | None
    created: float
    sent: float | None
    ended: float | None
    calibration: str | None
    seconds: float | None
    error: str | None


_COLUMNS = [submissions.c[name] for name in Submission.__dataclass_fields__]


class Ledger:
    """The database behind a `JobStore`.

    Args:
        location: A file, a SQLAlchemy URL, or None for $QTNML_JOBS or else a file in the user's data folder.
    """

    def __init__(self, location: str | os.PathLike[str] | None = None) -> None:
        self.database = Database(location)

    def __str__(self) -> str:
        return str(self.database)

    def stored_shots(self, ids: Sequence[str]) -> dict[str, int]:
        """Shots counted so far of each job that has any."""
        found: dict[str, int] = {}
        with self.database.reading() as connection:
            for part in _parts(ids):
                query = (
                    sa.select(entries.c.job, sa.func.sum(entries.c.shots))
                    .where(entries.c.job.in_(part), entries.c.shots > 0)
                    .group_by(entries.c.job)
                )
                found |= {job: int(shots) for job, shots in connection.execute(query)}
        return found

    def counts(
        self, ids: Sequence[str], *, by_calibration: bool = False
    ) -> dict[str, dict[str | None, Counts]]:
        """Counts of each job added up, under the calibration time they ran under (None: all together)."""
        found: dict[str, dict[str | None, Counts]] = {job: {} for job in ids}
        with self.database.reading() as connection:
            for part in _parts(list(found)):
                query = (
                    sa.select(
                        entries.c.job,
                        entries.c.submission,
                        submissions.c.calibration,
                        entries.c.shots,
                        entries.c.counts,
                    )
                    .join(submissions, entries.c.submission == submissions.c.id)
                    .where(entries.c.job.in_(part), entries.c.counts.is_not(None))
                    .order_by(entries.c.submission)
                )
                for job, number, calibration, counted, text in connection.execute(query):
                    total = found[job].setdefault(calibration if by_calibration else None, {})
                    for outcome, shots in self._counts(text, job, number, counted).items():
                        total[outcome] = total.get(outcome, 0) + shots
        return found

    def _counts(self, text: Any, job: str, number: int, shots: Any = None) -> Counts:
        """Counts of a cell.

        Raises:
            JobError: It is damaged.
        """
        try:
            found = {int(outcome): int(shots) for outcome, shots in json.loads(text).items()}
            if min((*found, *found.values()), default=0) < 0:
                raise ValueError("negative numbers")
            if shots is not None and sum(found.values()) != shots:
                raise ValueError(f"{sum(found.values())} shots where {shots} were written")
        except (AttributeError, TypeError, ValueError) as error:
            raise JobError(
                f"the ledger {self} is damaged: the counts of job {str(job)[:12]} in submission s{number} "
                f"cannot be read ({error}); restore it from a copy, or measure anew with another repeat"
            ) from error
        return found

    def _submission(self, row: Any) -> Submission:
        """The submission of a row.

        Raises:
            JobError: It is damaged.
        """
        try:
            fields = {name: getattr(row, name) for name in Submission.__dataclass_fields__}
            settings = json.loads(row.settings)
            if not isinstance(settings, dict):
                raise ValueError(f"settings {row.settings!r}")
            for name in ("created", "sent", "heartbeat", "ended", "seconds"):
                if not isinstance(fields.get(name), int | float | None):
                    raise ValueError(f"{name} {fields[name]!r}")
            if not all(isinstance(fields[name], int) for name in ("jobs", "shots", "repeat")):
                raise ValueError("jobs, shots or repeat are no integers")
            if not all(isinstance(fields[name], str) for name in ("backend", "label", "tag")):
                raise ValueError("backend, label or tag are no text")
            return Submission(**fields | {"settings": settings, "state": State(row.state)})
        except (TypeError, ValueError) as error:
            raise JobError(
                f"the ledger {self} is damaged: submission s{row.id} cannot be read ({error}); restore it "
                "from a copy, or leave this submission alone"
            ) from error

    def prepare(
        self,
        circuits: Sequence[QuantumCircuit],
        ids: Sequence[str],
        backend: Backend,
        *,
        shots: int,
        stored: Sequence[int],
        repeat: int,
        label: str,
    ) -> Submission | None:
        """Write a submission down and claim its jobs; None if somebody was quicker with one of them."""
        _check_no_secrets(backend)
        work, circuits_of = packed(circuits)
        row = {
            "tag": f"qtnml-{secrets.token_hex(12)}",
            "backend": backend.name,
            "settings": json.dumps(dict(backend.settings), sort_keys=True, default=dict),
            "state": State.PREPARED,
            "shots": shots,
            "seed": _seed(ids, stored, shots) if backend.capabilities.seeds else None,
            "repeat": repeat,
            "label": label,
            "jobs": len(ids),
            "work": work,
            "owner": this_process(),
            "heartbeat": time.time(),
            "created": time.time(),
        }
        try:
            with self.database.writing() as connection:
                known = set(
                    connection.execute(
                        sa.select(templates.c.id).where(templates.c.id.in_(circuits_of))
                    ).scalars()
                )
                new = [
                    {"id": digest, "qpy": blob} for digest, blob in circuits_of.items() if digest not in known
                ]
                if new:
                    connection.execute(templates.insert(), new)
                (number,) = connection.execute(submissions.insert().values(row)).inserted_primary_key or (0,)
                connection.execute(
                    entries.insert(),
                    [{"submission": number, "position": k, "job": job} for k, job in enumerate(ids)],
                )
                connection.execute(claims.insert(), [{"job": job, "submission": number} for job in ids])
                # Only now: whoever holds the claims is the only one to add shots.
                self._check_stored(connection, ids, stored)
        except (IntegrityError, _Outrun):
            return None
        return self.submission(number)

    def _check_stored(self, connection: sa.Connection, ids: Sequence[str], stored: Sequence[int]) -> None:
        """Another process may have bought shots since they were counted."""
        for part in _parts(list(range(len(ids)))):
            wanted = {ids[k]: stored[k] for k in part}
            query = (
                sa.select(entries.c.job, sa.func.sum(entries.c.shots))
                .where(entries.c.job.in_(wanted))
                .group_by(entries.c.job)
            )
            if any(int(shots or 0) != wanted[job] for job, shots in connection.execute(query)):
                raise _Outrun

    def claimed(self, ids: Sequence[str]) -> list[int]:
        """Numbers of the open submissions that hold some of these jobs."""
        found: set[int] = set()
        with self.database.reading() as connection:
            for part in _parts(ids):
                query = sa.select(claims.c.submission).where(claims.c.job.in_(part)).distinct()
                found |= set(connection.execute(query).scalars())
        return sorted(found)

    def claimed_jobs(self, ids: Sequence[str]) -> set[str]:
        """Those of the jobs that an open submission holds."""
        found: set[str] = set()
        with self.database.reading() as connection:
            for part in _parts(ids):
                found |= set(
                    connection.execute(sa.select(claims.c.job).where(claims.c.job.in_(part))).scalars()
                )
        return found

    def submission(self, number: int) -> Submission:
        """One submission.

        Raises:
            JobError: There is none of this number.
        """
        with self.database.reading() as connection:
            row = connection.execute(sa.select(*_COLUMNS).where(submissions.c.id == number)).one_or_none()
        if row is None:
            raise JobError(f"the ledger {self} has no submission s{number}; see `qtnml jobs list`")
        return self._submission(row)

    def submissions(
        self, *, states: Sequence[State] | None = None, label: str | None = None, limit: int | None = None
    ) -> list[Submission]:
        """Submissions, the newest first; damaged ones are left out with a warning."""
        query = sa.select(*_COLUMNS).order_by(submissions.c.id.desc()).limit(limit)
        if states is not None:
            query = query.where(submissions.c.state.in_(states))
        if label is not None:
            query = query.where(submissions.c.label == label)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        found = []
        for row in rows:
            try:
                found.append(self._submission(row))
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
        """The submissions of a job and what came of it in each."""
        query = (
            sa.select(*_COLUMNS, entries.c.counts.label("counted"))
            .join(entries, entries.c.submission == submissions.c.id)
            .where(entries.c.job == job)
            .order_by(submissions.c.id)
        )
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        return [
            (self._submission(row), None if row.counted is None else self._counts(row.counted, job, row.id))
            for row in rows
        ]

    def results(self, number: int) -> list[tuple[str, Counts]]:
        """Jobs of a submission that were counted, and their counts."""
        query = (
            sa.select(entries.c.job, entries.c.counts)
            .where(entries.c.submission == number, entries.c.counts.is_not(None))
            .order_by(entries.c.position)
        )
        with self.database.reading() as connection:
            return [(job, self._counts(text, job, number)) for job, text in connection.execute(query)]

    def leave(self, found: Submission) -> None:
        """Let another process go on, if this one drives it and it has not ended."""
        self._change(found, {"owner": ""}, submissions.c.owner == this_process())

    def take_over(self, found: Submission) -> bool:
        """Become the process that drives a submission; False if another was quicker."""
        return self._change(
            found, {"owner": this_process(), "heartbeat": time.time()}, submissions.c.owner == found.owner
        )

    def beat(self, found: Submission, state: State | None = None) -> None:
        """Give a sign of life, and note that a job has begun."""
        values: dict[str, Any] = {"heartbeat": time.time()}
        if state is not None:
            values["state"] = state
        self._change(found, values)

    def sending(self, found: Submission) -> bool:
        """Note, before the call, that the backend will be called now; False if it is no longer ours."""
        return self._change(
            found,
            {"sent": time.time(), "vendor_id": None, "state": State.PREPARED},
            submissions.c.owner == this_process(),
        )

    def unsent(self, found: Submission) -> None:
        """Note that the backend has certainly not accepted it."""
        self._change(found, {"sent": None})

    def submitted(self, found: Submission, vendor_id: str) -> bool:
        """Note the vendor's id; False if the submission was cancelled in the meantime."""
        return self._change(found, {"vendor_id": vendor_id, "state": State.SUBMITTED, "error": None})

    def forget(self, found: Submission) -> None:
        """The vendor's id that was noted was not this submission's."""
        self._change(found, {"vendor_id": found.vendor_id})

    def lost(self, found: Submission, reason: str) -> None:
        """Note that the backend cannot tell whether it has the job: nobody buys it until a person decides."""
        self._change(found, {"state": State.LOST, "error": without_secrets(reason)})

    def note(self, found: Submission, reason: str) -> None:
        """Note why a submission could not be brought to its end now."""
        self._change(found, {"error": without_secrets(reason)})

    def ended(self, found: Submission, state: State, reason: str) -> bool:
        """A submission without a result lets its jobs go."""
        return self._end(found, {"state": state, "error": without_secrets(reason)}, ())

    def done(self, found: Submission, result: Result) -> bool:
        """Store a result; False if another process has stored it."""
        rows = [
            {
                "number": found.id,
                "place": place,
                "total": sum(counts.values()),
                "text": json.dumps({str(outcome): shots for outcome, shots in sorted(counts.items())}),
            }
            for place, counts in enumerate(result.counts[: found.jobs])
        ]
        values = {
            "state": State.DONE,
            "error": None,
            "calibration": result.calibration,
            "seconds": result.seconds,
        }
        return self._end(found, values, rows)

    def _end(self, found: Submission, values: dict[str, Any], rows: Sequence[dict[str, Any]]) -> bool:
        with self.database.writing() as connection:
            ended = connection.execute(
                submissions.update()
                .where(submissions.c.id == found.id, submissions.c.state.in_(OPEN))
                .values(ended=time.time(), **values)
            )
            if not ended.rowcount:
                return False
            if rows:
                connection.execute(
                    entries.update()
                    .where(
                        entries.c.submission == sa.bindparam("number"),
                        entries.c.position == sa.bindparam("place"),
                    )
                    .values(shots=sa.bindparam("total"), counts=sa.bindparam("text")),
                    rows,
                )
            connection.execute(claims.delete().where(claims.c.submission == found.id))
        return True

    def _change(self, found: Submission, values: dict[str, Any], *conditions: sa.ColumnElement[bool]) -> bool:
        with self.database.writing() as connection:
            changed = connection.execute(
                submissions.update()
                .where(submissions.c.id == found.id, submissions.c.state.in_(OPEN), *conditions)
                .values(**values)
            )
            return bool(changed.rowcount)


class _Outrun(Exception):  # noqa: N818
    """Another process has bought shots of the same jobs in the meantime."""


def _seed(ids: Sequence[str], stored: Sequence[int], shots: int) -> int:
    """From what is computed and what is stored: equal samples are never drawn twice."""
    text = json.dumps([list(ids), list(stored), shots])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little") >> 1


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _PARAMETERS):
        yield items[start : start + _PARAMETERS]


def _check_no_secrets(backend: Backend) -> None:
    def names(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield str(name)
                yield from names(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from names(inner)

    text = backend_key(backend)
    secret = [name for name in names(json.loads(text)["settings"]) if is_secret(name)]
    if not secret and without_secrets(text) != text:
        secret = ["a value"]
    if secret:
        raise JobError(
            f"the settings of backend {backend.name!r} hold a secret ({secret[0]}), which a ledger must not; "
            "give it by an environment variable or the vendor's own login"
        )
