"""One row of the ledger, as read or to be written."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qiskit import QuantumCircuit

from qtnml.backends import Backend
from qtnml.errors import JobError
from qtnml.ledger.budgets import Amounts, Budget, Price, price_of
from qtnml.ledger.schema import State, submissions


@dataclass(frozen=True)
class Submission:
    """One row of the ledger: jobs that were, or will be, sent together.

    Attributes:
        id: Number of the submission.
        tag: Tag stored with the vendor's job, if the vendor supports tags.
        backend, settings: Name for `get_backend`, and the settings that change what is measured.
        billing: Arguments of `get_backend` that change who pays or how the job is queued.
        version: Version of a simulator.
        state: See `State`.
        shots, seed, repeat: Values of each job.
        label: Label shown to people.
        jobs: Number of circuits.
        token: Token of the lease of the process that drives it; None if none does.
        lease_until: Time when this lease ends unless it is renewed.
        vendor_id: The vendor's id of the submission.
        created, sent, ended: Times in seconds since 1970; `sent` is written before the backend is called.
        calibration: Calibration of the device when it ran.
        seconds: Seconds charged by the vendor; None if it does not say.
        price: Price list by which it is charged.
        budget: Name of the budget that pays for it.
        refunded: Whether it was certainly never accepted.
        error: Why it has no result.
    """

    id: int
    tag: str
    backend: str
    settings: dict[str, Any]
    billing: dict[str, Any]
    version: str
    state: State
    shots: int
    seed: int | None
    repeat: int
    label: str
    jobs: int
    token: str | None
    lease_until: float | None
    vendor_id: str | None
    created: float
    sent: float | None
    ended: float | None
    calibration: str | None
    seconds: float | None
    price: Price | None
    budget: str | None
    refunded: bool
    error: str | None

    @property
    def cost(self) -> float | None:
        """Cost by its price; None without a price, or if it charges seconds that are not known."""
        if self.price is None or self.refunded:
            return None if self.price is None else 0.0
        return self.price.of(shots=self.shots * self.jobs, circuits=self.jobs, tasks=1, seconds=self.seconds)


COLUMNS = [submissions.c[name] for name in Submission.__dataclass_fields__]


def submission_of(row: Any, ledger: str) -> Submission:
    """The submission of a row of `COLUMNS`.

    Raises:
        JobError: It is damaged.
    """
    try:
        given = {name: getattr(row, name) for name in Submission.__dataclass_fields__}
        for name in ("settings", "billing"):
            given[name] = json.loads(given[name])
            if not isinstance(given[name], dict):
                raise ValueError(f"{name} {given[name]!r}")
        for name in ("created", "sent", "lease_until", "ended", "seconds"):
            if not isinstance(given[name], int | float | None):
                raise ValueError(f"{name} {given[name]!r}")
        if not all(isinstance(given[name], int) for name in ("jobs", "shots", "repeat")):
            raise ValueError("jobs, shots or repeat are no integers")
        if not all(isinstance(given[name], str) for name in ("backend", "label", "tag", "version")):
            raise ValueError("backend, label, tag or version are no text")
        given |= {"state": State(row.state), "price": price_of(row.price), "refunded": bool(row.refunded)}
        return Submission(**given)
    except (TypeError, ValueError) as error:
        raise JobError(
            f"the ledger {ledger} is damaged: submission s{row.id} cannot be read ({error}); restore it "
            "from a copy, or leave this submission alone"
        ) from error


@dataclass(frozen=True)
class Draft:
    """A submission that is to be written down.

    Attributes:
        circuits: Of its jobs.
        ids: Of its jobs.
        share: Which part of the jobs' shots it is: a vendor may want them in several submissions.
        shots: Of each circuit.
        seconds: Expected on the device; None if nobody can tell.
    """

    circuits: Sequence[QuantumCircuit]
    ids: Sequence[str]
    share: int
    shots: int
    seconds: float | None

    def amounts(self, new: int, price: Price | None) -> Amounts:
        """What it takes from a budget, `new` of its circuits being bought for the first time."""
        cost = None
        if price is not None:
            cost = price.of(
                shots=self.shots * len(self.ids), circuits=len(self.ids), tasks=1, seconds=self.seconds
            )
        return Amounts(self.shots * len(self.ids), new, self.seconds or 0.0, cost or 0.0)


@dataclass(frozen=True)
class Order:
    """What all submissions of a run have in common.

    Attributes:
        backend: Where they go.
        repeat, label: Of the run.
        budget: They are taken from; None for none.
        price: By which they are charged.
    """

    backend: Backend
    repeat: int = 0
    label: str = ""
    budget: Budget | None = None
    price: Price | None = None

    def unknown(self, drafts: Sequence[Draft]) -> tuple[str, ...]:
        """Amounts that nobody can tell beforehand."""
        if not self.backend.capabilities.paid:
            return ()
        timeless = any(draft.seconds is None for draft in drafts)
        priceless = self.price is None or (bool(self.price.per_second) and timeless)
        return (("seconds",) if timeless else ()) + (("cost",) if priceless else ())
