"""Budgets as rows of the ledger: limits of spending under a name, and prices."""

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from qtnml.errors import BudgetError, InvalidInputError
from qtnml.ledger.database import Database
from qtnml.ledger.schema import budgets, submissions


@dataclass(frozen=True)
class Price:
    """Price list of a vendor; a cost is the sum of all given items.

    Attributes:
        per_shot: Price of one shot of one circuit.
        per_circuit: Price of one circuit, for any number of shots; Braket calls each circuit a task.
        per_task: Price of one submission, for any content.
        per_second: Price of one second that the vendor charges.
        currency: Currency shown to people.

    >>> Price(per_shot=0.0005, per_task=0.3).of(shots=2000, circuits=2, tasks=1, seconds=None)
    1.3
    """

    per_shot: float = 0.0
    per_circuit: float = 0.0
    per_task: float = 0.0
    per_second: float = 0.0
    currency: str = "USD"

    def __post_init__(self) -> None:
        for name in ("per_shot", "per_circuit", "per_task", "per_second"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < np.inf:
                raise InvalidInputError(f"{name} must be a number of at least 0, got {value!r}")
        if not isinstance(self.currency, str) or not self.currency.isprintable():
            raise InvalidInputError(f"currency must be a printable text, got {self.currency!r}")

    def of(self, *, shots: int, circuits: int, tasks: int, seconds: float | None) -> float | None:
        """The cost; None if seconds are charged and their number is not known.

        Args:
            shots: Number of shots over all circuits.
            circuits: Number of circuits.
            tasks: Number of submissions.
            seconds: Seconds that are charged.
        """
        if self.per_second and seconds is None:
            return None
        fixed = self.per_shot * shots + self.per_circuit * circuits + self.per_task * tasks
        return fixed + self.per_second * (seconds or 0.0)

    def to_json(self) -> str:
        """The price list as JSON text, for a cell of the ledger."""
        return json.dumps(asdict(self))


def price_of(cell: Any) -> Price | None:
    """The price in a cell of the ledger."""
    return None if cell is None else Price(**json.loads(cell))


@dataclass(frozen=True)
class Amounts:
    """Amounts of spending: shots over all circuits, circuits, seconds on the device, money."""

    shots: int = 0
    circuits: int = 0
    seconds: float = 0.0
    cost: float = 0.0


#: How names of budgets begin that are those of single runs of the command.
OF_ONE_RUN = "run:"
_NAMES = {"shots": "max_shots", "circuits": "max_jobs", "seconds": "max_seconds", "cost": "max_cost"}
_WORDS = {"shots": "shots", "circuits": "jobs", "seconds": "seconds on the device", "cost": "money"}


@dataclass(frozen=True)
class Budget:
    """Limits of spending under a name in one ledger; None means no limit.

    Threads, processes, hosts and later scripts that use the same name share what is left.
    """

    name: str
    shots: int | None = None
    circuits: int | None = None
    seconds: float | None = None
    cost: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isprintable() or not 0 < len(self.name) <= 200:
            raise InvalidInputError(f"a budget has a printable name of 1 to 200 letters, got {self.name!r}")
        of_one_run = self.name.lower().startswith(OF_ONE_RUN)
        if of_one_run and not re.fullmatch(f"{OF_ONE_RUN}[0-9a-f]{{12}}", self.name):
            raise InvalidInputError(
                f"names that begin with {OF_ONE_RUN!r} are those of single runs, got {self.name!r}"
            )
        for name, argument in _NAMES.items():
            limit, kind = getattr(self, name), (int if name in ("shots", "circuits") else int | float)
            if limit is None:
                continue
            if isinstance(limit, bool) or not isinstance(limit, kind) or not 0 <= limit < np.inf:
                whole = "an integer" if kind is int else "a number"
                raise InvalidInputError(f"{argument} must be None or {whole} of at least 0, got {limit!r}")

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set."""
        found = {name: getattr(self, name) for name in _NAMES}
        return {name: limit for name, limit in found.items() if limit is not None}

    def check(self, spent: Amounts, wanted: Amounts, unknown: tuple[str, ...] = ()) -> None:
        """Refuse amounts that would exceed the limits.

        Args:
            spent: Amounts spent so far.
            wanted: Additional amounts.
            unknown: Names of amounts that cannot be known beforehand.

        Raises:
            BudgetError: A limit would be exceeded, or a limited amount is unknown.
        """
        for name, limit in self.limits.items():
            argument, word = _NAMES[name], _WORDS[name]
            if not getattr(wanted, name) and name not in unknown:
                continue
            if name in unknown:
                raise BudgetError(
                    f"it cannot be told how many {word} this run needs, so that {argument}={limit:,} cannot "
                    f"be kept; nothing was bought: leave {argument} out"
                    + ("" if name == "seconds" else ", or give a price without per_second")
                )
            before, more = getattr(spent, name), getattr(wanted, name)
            if before + more > limit * (1 + 1e-12):
                raise BudgetError(
                    f"this run needs {_shown(more)} more {word}, but {argument}={_shown(limit)} leaves "
                    f"{_shown(limit - before)}; nothing more was bought: ask for less or raise {argument}"
                )


def _shown(amount: float) -> str:
    return f"{amount:,}" if isinstance(amount, int) else f"{amount:,.4g}"


def open_budget(database: Database, budget: Budget) -> Budget:
    """Make a budget's row, and note its limits; without limits, it takes those last noted."""
    limits = json.dumps(budget.limits)
    row = budgets.c.name == budget.name
    with database.writing() as connection:
        noted = connection.execute(sa.select(budgets.c.limits).where(row)).scalar()
        if noted is not None and not budget.limits:
            return Budget(budget.name, **json.loads(noted))
        if noted is not None:
            connection.execute(budgets.update().where(row).values(limits=limits))
            return budget
    # Another process may make it at this moment.
    with suppress(IntegrityError), database.writing() as connection:
        connection.execute(budgets.insert().values(name=budget.name, limits=limits))
    return budget


def spent(connection: sa.Connection, name: str) -> Amounts:
    """What was spent under a name, what is open included."""
    row = connection.execute(
        sa.select(budgets.c.shots, budgets.c.circuits, budgets.c.seconds, budgets.c.cost).where(
            budgets.c.name == name
        )
    ).one_or_none()
    return Amounts() if row is None else Amounts(int(row[0]), int(row[1]), rounded(row[2]), rounded(row[3]))


def rounded(amount: float) -> float:
    """Without what sums of floats leave over, and never -0."""
    return round(float(amount), 9) + 0.0


def lock(connection: sa.Connection, budget: Budget) -> None:
    """Keep a budget's row until the transaction ends.

    Raises:
        BudgetError: There is none.
    """
    if not connection.execute(_row(budget.name).values(shots=budgets.c.shots)).rowcount:
        raise BudgetError(f"the budget {budget.name!r} is no longer in the ledger; open the store again")


def reserve(connection: sa.Connection, budget: Budget, wanted: Amounts, unknown: tuple[str, ...]) -> None:
    """Take from a budget whose row is locked, in the transaction that claims what it is for.

    Raises:
        BudgetError: It does not suffice.
    """
    budget.check(spent(connection, budget.name), wanted, unknown)
    connection.execute(
        _row(budget.name).values({name: budgets.c[name] + getattr(wanted, name) for name in _NAMES})
    )


def give_back(connection: sa.Connection, name: str, amounts: Amounts) -> None:
    """Of what was reserved and certainly never bought."""
    connection.execute(_row(name).values({n: budgets.c[n] - getattr(amounts, n) for n in _NAMES}))


def settle(connection: sa.Connection, row: Any, seconds: float | None) -> None:
    """Put what the vendor charged in the place of what was reserved for a submission.

    Args:
        connection: In a transaction that writes.
        row: Of the submission.
        seconds: Charged; None if the vendor does not tell.
    """
    if row.budget is None or row.refunded or seconds is None:
        return
    price = price_of(row.price)
    cost = (
        None
        if price is None
        else price.of(shots=row.shots * row.jobs, circuits=row.jobs, tasks=1, seconds=seconds)
    )
    more = {"seconds": budgets.c.seconds + (seconds - row.reserved_seconds)}
    kept = {"reserved_seconds": seconds}
    if cost is not None:
        more["cost"] = budgets.c.cost + (cost - row.reserved_cost)
        kept["reserved_cost"] = cost
    connection.execute(_row(row.budget).values(more))
    connection.execute(submissions.update().where(submissions.c.id == row.id).values(kept))


def _row(name: str) -> sa.Update:
    return budgets.update().where(budgets.c.name == name)
