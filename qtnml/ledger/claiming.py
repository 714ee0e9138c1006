"""Records submissions: claims their jobs and reserves their budget in one transaction."""

import hashlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from qtnml.backends import Backend
from qtnml.backends.secrets import is_secret, without_secrets
from qtnml.errors import JobError
from qtnml.ledger.budgets import Amounts, lock, reserve
from qtnml.ledger.database import now
from qtnml.ledger.identity import backend_key, version_of
from qtnml.ledger.leases import Lease, Leases
from qtnml.ledger.schema import State, claims, entries, submissions, templates
from qtnml.ledger.stored import parts, stored_shots
from qtnml.ledger.submission import Draft, Order, Submission
from qtnml.ledger.transitions import tell
from qtnml.ledger.work import packed


class OutrunError(JobError):
    """Another process or thread claims the same jobs, or has bought shots of them in the meantime."""


def prepared(
    connection: sa.Connection,
    drafts: Sequence[Draft],
    order: Order,
    stored: Mapping[str, int],
    leases: Leases,
    *,
    keep_work: bool,
) -> list[tuple[Submission, Lease]]:
    """Write submissions down, each with a lease.

    Args:
        connection: In a transaction that writes.
        drafts: Of one run.
        order: What they have in common.
        stored: Shots of each job as they were counted before.
        leases: Of the ledger.
        keep_work: Keep the circuits, so that another process can send them.

    Raises:
        OutrunError: Somebody was quicker; the transaction is to be undone.
        BudgetError: The budget does not suffice; likewise.
    """
    ids = list(dict.fromkeys(job for draft in drafts for job in draft.ids))
    if order.budget is not None:
        lock(connection, order.budget)  # whoever takes from the same budget waits here
        # Before it is said that the budget does not suffice: somebody may have taken it for these very jobs.
        _check_unclaimed(connection, ids)
        _check_stored(connection, ids, stored)
    amounts = _amounts(connection, drafts, order, ids)
    if order.budget is not None:
        total = Amounts(
            sum(a.shots for a in amounts),
            sum(a.circuits for a in amounts),
            sum(a.seconds for a in amounts),
            sum(a.cost for a in amounts),
        )
        reserve(connection, order.budget, total, order.unknown(drafts))
    made = []
    for draft, amount in zip(drafts, amounts, strict=True):
        made.append(_written(connection, draft, order, stored, amount, leases, keep_work=keep_work))
    # Only now: whoever holds the claims is the only one to add shots.
    _check_stored(connection, ids, stored)
    return made


def _check_unclaimed(connection: sa.Connection, ids: Sequence[str]) -> None:
    for part in parts(ids):
        if connection.execute(sa.select(claims.c.job).where(claims.c.job.in_(part)).limit(1)).first():
            raise OutrunError("its jobs are claimed by somebody else")


def _check_stored(connection: sa.Connection, ids: Sequence[str], stored: Mapping[str, int]) -> None:
    """Somebody may have bought shots since they were counted."""
    wanted = set(ids)
    if stored_shots(connection, ids) != {job: n for job, n in stored.items() if n and job in wanted}:
        raise OutrunError("shots of its jobs were bought by somebody else")


def _amounts(
    connection: sa.Connection, drafts: Sequence[Draft], order: Order, ids: Sequence[str]
) -> list[Amounts]:
    """What each draft takes from the budget: a circuit counts once, however often its shots are topped up."""
    known: set[str] = set()
    if order.budget is not None:
        for part in parts(ids):
            query = (
                sa.select(entries.c.job)
                .join(submissions, entries.c.submission == submissions.c.id)
                .where(
                    entries.c.job.in_(part),
                    submissions.c.budget == order.budget.name,
                    submissions.c.refunded.is_(False),
                )
            )
            known |= set(connection.execute(query).scalars())
    found = []
    for draft in drafts:
        new = sum(job not in known for job in draft.ids) if draft.share == 0 else 0
        found.append(draft.amounts(new, order.price))
    return found


def _written(
    connection: sa.Connection,
    draft: Draft,
    order: Order,
    stored: Mapping[str, int],
    amounts: Amounts,
    leases: Leases,
    *,
    keep_work: bool,
) -> tuple[Submission, Lease]:
    backend, created = order.backend, time.time()
    free = not backend.capabilities.paid and not backend.capabilities.durable
    lease = leases.new()
    facts: dict[str, Any] = {
        "tag": f"qtnml-{secrets.token_hex(12)}",
        "backend": backend.name,
        "version": version_of(backend),
        # Of a simulator a second try costs nothing, so that nothing more is noted before it is called.
        "state": State.RUNNING if free else State.PREPARED,
        "shots": draft.shots,
        "seed": _seed(connection, draft, stored) if backend.capabilities.seeds else None,
        "repeat": order.repeat,
        "label": order.label,
        "jobs": len(draft.ids),
        "token": lease.token,
        "budget": None if order.budget is None else order.budget.name,
    }
    row = facts | {
        "settings": settings_cell(backend.settings),
        "billing": settings_cell(getattr(backend, "billing", {})),
        "price": None if order.price is None else order.price.to_json(),
        "work": _work(connection, draft) if keep_work else b"",
        "lease_until": now() + leases.term,
        "created": now(),
        "sent": now() if free else None,
        "paid": backend.capabilities.paid,
        "reserved_circuits": amounts.circuits,
        "reserved_seconds": amounts.seconds,
        "reserved_cost": amounts.cost,
    }
    (number,) = connection.execute(submissions.insert().values(row)).inserted_primary_key or (0,)
    connection.execute(
        entries.insert(),
        [{"submission": number, "position": k, "job": job} for k, job in enumerate(draft.ids)],
    )
    connection.execute(
        claims.insert(),
        [{"job": job, "share": draft.share, "submission": number} for job in draft.ids],
    )
    tell(connection, number, str(facts["state"]), f"{len(draft.ids)} circuits, {draft.shots} shots each")
    found = Submission(
        id=int(number),
        settings=dict(backend.settings),
        billing=dict(getattr(backend, "billing", {})),
        lease_until=None,
        vendor_id=None,
        created=created,
        sent=created if free else None,
        ended=None,
        calibration=None,
        seconds=None,
        price=order.price,
        refunded=False,
        error=None,
        **facts,
    )
    return found, Lease(found.id, lease.token)


def _work(connection: sa.Connection, draft: Draft) -> bytes:
    """The circuits as bytes, their templates written once."""
    work, circuits_of = packed(draft.circuits)
    known = set(
        connection.execute(sa.select(templates.c.id).where(templates.c.id.in_(circuits_of))).scalars()
    )
    new = [{"id": digest, "qpy": blob} for digest, blob in circuits_of.items() if digest not in known]
    if new:
        connection.execute(templates.insert(), new)
    return work


def _seed(connection: sa.Connection, draft: Draft, stored: Mapping[str, int]) -> int:
    """From what is computed and what is stored: equal samples are never drawn twice."""
    contents: list[Any] = [list(draft.ids), [stored.get(job, 0) for job in draft.ids], draft.shots]
    if draft.share:
        contents.append(draft.share)
    # What was pruned is no longer stored, so that the same numbers may come again: not beside what was kept.
    used: set[int] = set()
    for part in parts([job for job in draft.ids if stored.get(job)]):
        query = (
            sa.select(submissions.c.seed)
            .join(entries, entries.c.submission == submissions.c.id)
            .where(entries.c.job.in_(part))
            .distinct()
        )
        used |= set(connection.execute(query).scalars())
    attempt = 0
    while True:
        text = json.dumps([*contents, attempt] if attempt else contents)
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little") >> 1
        if seed not in used:
            return seed
        attempt += 1


def settings_cell(settings: Mapping[str, Any]) -> str:
    """Settings as a cell of the ledger."""
    return json.dumps(dict(settings), sort_keys=True, default=dict)


def check_no_secrets(backend: Backend) -> None:
    """Refuse settings that a ledger must not hold.

    Raises:
        JobError: There are some.
    """

    def names(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield str(name)
                yield from names(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from names(inner)

    text = backend_key(backend)
    given = json.loads(text)["settings"] | dict(getattr(backend, "billing", {}))
    secret = [name for name in names(given) if is_secret(name)]
    if not secret and without_secrets(text) != text:
        secret = ["a value"]
    if secret:
        raise JobError(
            f"the settings of backend {backend.name!r} hold a secret ({secret[0]}), which a ledger must not; "
            "give it by an environment variable or the vendor's own login"
        )
