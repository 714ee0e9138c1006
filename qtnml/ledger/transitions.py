"""Allowed changes of a submission's state, and the one function that changes it."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from qtnml.backends.secrets import without_secrets
from qtnml.errors import JobError
from qtnml.ledger.budgets import Amounts, give_back, settle
from qtnml.ledger.database import now
from qtnml.ledger.schema import OPEN, State, claims, entries, events, submissions

log = logging.getLogger("qtnml.jobs")

#: What may follow each state. What may have been sent never goes back to `prepared` by itself: only where
#: sending again costs nothing, where the backend has said that it took nothing, or where a person says so.
LEGAL: Mapping[State, tuple[State, ...]] = {
    State.PREPARED: (State.SENDING, State.CANCELLED),
    State.SENDING: (
        State.PREPARED,
        State.SUBMITTED,
        State.FAILED,
        State.CANCELLED,
        State.LOST,
        State.DONE,  # a simulator, whose answer is the result
    ),
    State.SUBMITTED: (
        State.RUNNING,
        State.DONE,
        State.FAILED,
        State.CANCELLED,
        State.LOST,
        State.PREPARED,  # its process has ended, and shots cost nothing
    ),
    State.RUNNING: (State.DONE, State.FAILED, State.CANCELLED, State.LOST, State.PREPARED),
    State.LOST: (State.SUBMITTED, State.PREPARED, State.CANCELLED, State.LOST),
    State.DONE: (),
    State.FAILED: (),
    State.CANCELLED: (),
}


class SupersededError(JobError):
    """Somebody else drives the submission now, or it has ended: look again at what became of it."""


def move(
    connection: sa.Connection,
    number: int,
    token: str | None,
    to: State,
    *,
    note: str = "",
    refund: bool = False,
    counts: Sequence[Mapping[str, Any]] = (),
    **values: Any,
) -> None:
    """Move a submission on: its state, its budget and its claims in one transaction.

    Args:
        connection: In a transaction that writes.
        number: Of the submission.
        token: Of the lease under which it is moved; None moves one that nobody drives.
        to: The new state.
        note: What a person should know of it.
        refund: It was certainly never bought.
        counts: Cells of entries, where there are results: "place", "total", "text".
        values: Other columns.

    Raises:
        SupersededError: The lease is no longer ours, or another state came first.
    """
    row = connection.execute(
        sa.select(
            submissions.c.id,
            submissions.c.state,
            submissions.c.token,
            submissions.c.lease_until,
            submissions.c.shots,
            submissions.c.jobs,
            submissions.c.price,
            submissions.c.budget,
            submissions.c.reserved_circuits,
            submissions.c.reserved_seconds,
            submissions.c.reserved_cost,
            submissions.c.refunded,
            now().label("now"),
        )
        .where(submissions.c.id == number)
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise JobError(f"the ledger has no submission s{number}")
    driven = row.token is not None and (row.lease_until or 0.0) > row.now
    if (row.token != token) if token is not None else driven:
        raise SupersededError(f"submission s{number} is driven by another process or thread now")
    if to not in LEGAL[State(row.state)]:
        raise SupersededError(f"submission s{number} is {row.state}, and cannot become {to}")
    if to not in OPEN:
        values |= {"ended": now(), "token": None, "lease_until": None}
    if refund and not row.refunded:
        values["refunded"] = True
        if row.budget is not None:
            circuits = row.reserved_circuits - _passed_on(connection, row)
            amounts = Amounts(row.shots * row.jobs, circuits, row.reserved_seconds, row.reserved_cost)
            give_back(connection, row.budget, amounts)
    connection.execute(submissions.update().where(submissions.c.id == number).values(state=to, **values))
    if counts:
        connection.execute(
            entries.update()
            .where(entries.c.submission == number, entries.c.position == sa.bindparam("place"))
            .values(shots=sa.bindparam("total"), counts=sa.bindparam("text")),
            counts,
        )
    if to is State.DONE:
        settle(connection, row, values.get("seconds"))
    if to not in OPEN:
        connection.execute(claims.delete().where(claims.c.submission == number))
    tell(connection, number, str(to), note)


def _passed_on(connection: sa.Connection, row: Any) -> int:
    """Circuits of a submission that others buy under the same budget, which now reserve them."""
    if not row.reserved_circuits:
        return 0
    mine = sa.select(entries.c.job).where(entries.c.submission == row.id)
    query = (
        sa.select(entries.c.job, sa.func.min(entries.c.submission))
        .join(submissions, entries.c.submission == submissions.c.id)
        .where(
            entries.c.job.in_(mine),
            submissions.c.id != row.id,
            submissions.c.budget == row.budget,
            submissions.c.refunded.is_(False),
        )
        .group_by(entries.c.job)
    )
    found = connection.execute(query).all()[: row.reserved_circuits]
    for _, number in found:
        connection.execute(
            submissions.update()
            .where(submissions.c.id == number)
            .values(reserved_circuits=submissions.c.reserved_circuits + 1)
        )
    return len(found)


def tell(connection: sa.Connection, number: int, what: str, note: str = "") -> None:
    """Add to the record of what happened, and to the log."""
    shown = without_secrets(note) if note else ""
    connection.execute(events.insert().values(submission=number, at=now(), what=what, note=shown))
    level = logging.WARNING if what in (State.LOST, State.FAILED, "late answer") else logging.INFO
    log.log(level, "s%d %s%s", number, what, f": {shown}" if shown else "")


def moment(seconds: float | None) -> str:
    """A time as a person says it."""
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
