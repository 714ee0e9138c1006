"""`qtnml jobs watch`, `budgets`, `prune`, `backup`: the ledger as a whole."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from qtnml.cli.app import Json
from qtnml.cli.jobs import Ledger, duration_of, jobs, moment, store_at
from qtnml.errors import InvalidInputError, JobError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


@jobs.command()
def watch(
    ledger: Ledger = None,
    label: Annotated[str | None, typer.Option(help="Only runs with this label.")] = None,
    interval: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two looks at the backends.")
    ] = 5.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, print, and stop.")] = False,
) -> None:
    """Follow open submissions until none is left, and store results that are ready. Ctrl-C stops watching.

    Example: qtnml jobs watch --interval 30
    """
    store = store_at(ledger)
    console = Console()
    if once or not console.is_terminal:
        _watch_in_lines(store, label, interval, once=once)
        return
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        first = _looked(store, label)
        seen = {found.id for found in first}
        while True:
            shown = [store.submission(number) for number in sorted(seen)]
            live.update(_table(store, shown))
            if not _moving(shown):
                break
            time.sleep(interval)
            seen |= {found.id for found in _looked(store, label)}
    _say_what_stays(shown)


def _watch_in_lines(store: Any, label: str | None, interval: float, *, once: bool) -> None:
    """For a file or a pipe: a line for each change."""
    known: dict[int, str] = {}
    while True:
        _looked(store, label)
        found = store.submissions(states=_open(), label=label)[::-1]
        numbers = sorted({*known, *(each.id for each in found)})
        rows = [store.submission(number) for number in numbers]
        for row in rows:
            if known.get(row.id) != row.state:
                known[row.id] = row.state
                note = f": {row.error}" if row.error else ""
                print(f"s{row.id} {row.state} ({row.jobs} circuits, {row.backend}){note}", flush=True)
        if once or not _moving(rows):
            if not rows:
                print("no submission is open")
            if not once:
                _say_what_stays(rows)
            return
        time.sleep(interval)


def _moving(rows: list[Any]) -> bool:
    """Whether something goes on: what is lost, or prepared and driven by nobody, waits for a person."""
    stuck = [row for row in rows if row.state == "lost" or (row.state == "prepared" and row.token is None)]
    return any(row.state in _open() and row not in stuck for row in rows)


def _say_what_stays(rows: list[Any]) -> None:
    """What a person has to do; the command then fails, so that a script notices."""
    left = [f"s{row.id} is {row.state}" for row in rows if row.state in _open()]
    if left:
        raise JobError(f"{', '.join(left)}: see `qtnml jobs show`, then `qtnml jobs resume`")


def _open() -> Any:
    from qtnml.ledger import OPEN

    return OPEN


def _looked(store: Any, label: str | None) -> list[Any]:
    """Open submissions, after results that are ready were stored."""
    found = store.submissions(states=_open(), label=label)
    ready = [each.id for each in found if each.state in ("submitted", "running")]
    if ready:
        store.fetch(ready)
    return found  # type: ignore[no-any-return]


def _table(store: Any, rows: list[Any]) -> Table:
    table = Table(box=SIMPLE, title=escape(f"Ledger {store.ledger}"), title_justify="left", show_edge=False)
    for name in ("id", "state", "backend", "circuits", "shots", "since", "took", "note"):
        table.add_column(name, justify="right" if name in ("circuits", "shots", "took") else "left")
    for row in rows:
        colour = {"done": "green", "failed": "red", "lost": "red", "running": "cyan"}.get(row.state, "white")
        waited = duration_of(row) or _readable(time.time() - (row.sent or row.created))
        cells = (f"{row.jobs:,}", f"{row.jobs * row.shots:,}", (moment(row.sent or row.created) or "")[5:16])
        table.add_row(
            f"s{row.id}",
            f"[{colour}]{row.state}[/{colour}]",
            escape(row.backend),
            *cells,
            waited,
            escape((row.error or row.label)[:60]),
        )
    if not rows:
        table.add_row("", "no submission is open", "", "", "", "", "", "")
    return table


def _readable(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


@jobs.command()
def budgets(ledger: Ledger = None, as_json: Json = False) -> None:
    """What was spent under each budget's name, and the limits it was last used with.

    Example: qtnml jobs budgets --jobs jobs.sqlite
    """
    found = [each for each in store_at(ledger).ledger.budgets() if not each["name"].startswith("run:")]
    if as_json:
        print(json.dumps(found))
        return
    if not found:
        print("no budget: JobStore(max_shots=..., budget=NAME) makes one")
        return
    table = Table(box=SIMPLE, show_edge=False)
    for name in ("budget", "shots", "circuits", "seconds", "money"):
        table.add_column(name, justify="left" if name == "budget" else "right")
    for each in found:
        cells = []
        for name in ("shots", "circuits", "seconds", "cost"):
            spent, limit = each[name], each["limits"].get(name)
            cells.append(_amount(spent) if limit is None else _of_limit(spent, limit))
        table.add_row(escape(each["name"]), *cells)
    Console().print(table)


def _amount(amount: float) -> str:
    return f"{amount:,}" if isinstance(amount, int) else f"{amount:,.2f}"


def _of_limit(spent: float, limit: float) -> str:
    """What was spent of a limit, and below it what is left."""
    return f"{_amount(spent)} of {limit:,}\n{_amount(max(limit - spent, 0))} left"


@jobs.command()
def prune(
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="What ended longer ago, such as 30d, 12h or 2w.")
    ],
    ledger: Ledger = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Also results that were paid for: they would have to be bought again."),
    ] = False,
    label: Annotated[str | None, typer.Option(help="Only runs with this label.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Delete old submissions and their results: those of simulators, unless --all is given.

    Example: qtnml jobs prune --older-than 30d
    """
    store, age = store_at(ledger), _age(older_than)
    if everything and not yes:
        if not sys.stdin.isatty():
            raise InvalidInputError("nobody can be asked whether to delete what was paid for; give --yes")
        typer.confirm("Delete results that were paid for?", abort=True, err=True)
    deleted = store.prune(before=store.ledger.now() - age, free_only=not everything, label=label)
    if as_json:
        print(json.dumps({"deleted": deleted}))
        return
    print(f"{deleted:,} submission{'' if deleted == 1 else 's'} deleted")


@jobs.command()
def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="The copy; it must not be there yet.")],
    ledger: Ledger = None,
) -> None:
    """Copy a SQLite ledger while others go on using it; PostgreSQL has pg_dump.

    Example: qtnml jobs backup copy.sqlite
    """
    store_at(ledger).back_up(target)
    print(f"copied to {target}")


def _age(text: str) -> float:
    """Seconds in a text such as 30d."""
    number, unit = text[:-1], text[-1:]
    try:
        seconds = float(number) * _UNITS[unit]
    except (KeyError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < 1e11:
        raise InvalidInputError(f"--older-than takes a number and one of {', '.join(_UNITS)}, got {text!r}")
    return seconds
