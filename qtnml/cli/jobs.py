"""`qtnml jobs`: what was sent to backends, what came back, and what is left to do."""

import json
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from qtnml.cli.app import RUN, Json, app, report
from qtnml.errors import InvalidInputError, JobError, QtnmlError

jobs = typer.Typer(
    help="The ledger of jobs: what was sent to backends, what came back, and what is left to do.",
    no_args_is_help=True,
)
app.add_typer(jobs, name="jobs", rich_help_panel=RUN)

Ledger = Annotated[
    str | None,
    typer.Option(
        "--jobs", metavar="LEDGER", help="A file or SQLAlchemy URL (default: $QTNML_JOBS, or your own)."
    ),
]
Numbers = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SUBMISSION]...", help="As listed: s1 s2 ...; all that are open by default."),
]


@jobs.command(name="list")
def list_(
    ledger: Ledger = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this state (prepared, sending, submitted, running, done, failed, cancelled, lost)."
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Only runs with this label.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10**9, help="The newest LIMIT.")] = 30,
    as_json: Json = False,
) -> None:
    """List submissions, the newest first: shots of all their circuits, and the time until they ended.

    Example: qtnml jobs list --state lost --limit 5
    """
    store = store_at(ledger)
    found = store.submissions(states=_states(state), label=label, limit=limit)
    if as_json:
        print(json.dumps([_facts(each) for each in found]))
        return
    table = Table(box=SIMPLE, title=escape(f"Ledger {store.ledger}"), title_justify="left", show_edge=False)
    for name in ("id", "state", "backend", "circuits", "shots", "created", "took", "for"):
        table.add_column(
            name, justify="right" if name in ("circuits", "shots", "took") else "left", overflow="fold"
        )
    for each in found:
        values = (
            f"s{each.id}",
            each.state,
            each.backend,
            f"{each.jobs:,}",
            f"{each.jobs * each.shots:,}",
            _briefly(each.created),
            duration_of(each),
            each.label,
        )
        table.add_row(*(escape(str(value)) for value in values))
    Console().print(table)


@jobs.command()
def show(
    what: Annotated[
        str, typer.Argument(metavar="ID", help="A submission (s1), or a job by the first digits of its id.")
    ],
    ledger: Ledger = None,
    split: Annotated[
        bool, typer.Option("--split", help="Counts of a job by the device's calibration.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show a submission with its jobs, or a job with its counts.

    Example: qtnml jobs show s7
    """
    store = store_at(ledger)
    if (number := _number(what)) is not None:
        found = store.submission(number)
        happened = [
            {"at": moment(at), "what": what, "note": note} for at, what, note in store.ledger.events(found.id)
        ]
        facts = _facts(found) | {"job_ids": store.ledger.job_ids(found.id), "events": happened}
        rows = {name: str(value) for name, value in _facts(found).items() if value not in (None, "", {})}
        rows["jobs' ids"] = _shortened([job[:12] for job in facts["job_ids"]])
        for each in happened:
            rows[f"{each['at']} {each['what']}"] = str(each["note"])
        report(f"Submission {what}", rows, facts, as_json)
        return
    job = store.job(what)
    split_counts = store.counts_by_calibration(job)
    total = store.counts(job)
    facts = {
        "job": job,
        "shots": sum(total.values()),
        "counts": {str(outcome): shots for outcome, shots in sorted(total.items())},
        "submissions": [f"s{each.id}" for each, _ in store.ledger.rows_of(job)],
    }
    rows = {"shots": f"{facts['shots']:,}", "submissions": ", ".join(facts["submissions"])}
    rows |= {f"outcome {outcome}": f"{shots:,}" for outcome, shots in sorted(total.items())}
    if split:
        facts["by_calibration"] = [
            {"calibration": when, "counts": {str(k): n for k, n in sorted(counts.items())}}
            for when, counts in split_counts.items()
        ]
        rows |= {
            f"calibrated {when or '(unknown)'}": ", ".join(f"{k}: {n:,}" for k, n in sorted(counts.items()))
            for when, counts in split_counts.items()
        }
    report(f"Job {job[:12]}", rows, facts, as_json)


@jobs.command()
def fetch(
    numbers: Numbers = None,
    ledger: Ledger = None,
    vendor_id: Annotated[
        str | None,
        typer.Option(help="The vendor's id of one lost submission that you found at the vendor's."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Store results that are ready, without waiting and without sending anything.

    Example: qtnml jobs fetch s7 s8
    """
    store, chosen = store_at(ledger), _numbers(numbers)
    if vendor_id is not None:
        if chosen is None or len(chosen) != 1:
            raise InvalidInputError("--vendor-id belongs to one submission; name it, e.g. s1")
        _print_ended([store.adopt(chosen[0], vendor_id)], as_json)
        return
    _print_ended(store.fetch(chosen), as_json)


@jobs.command()
def resume(
    numbers: Numbers = None,
    ledger: Ledger = None,
    send_again: Annotated[
        bool,
        typer.Option(
            "--send-again", help="The lost submissions named were certainly never accepted: buy them."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring every open submission whose process has gone to its end; none is bought twice.

    Example: qtnml jobs resume
    """
    from qtnml.ledger import OPEN, Submission

    store, console = store_at(ledger), Console(stderr=True)

    def tell(found: Submission) -> None:
        console.print(f"s{found.id}: {found.state}", highlight=False)

    ended = store.resume(_numbers(numbers), send_again=send_again, on_each=tell)
    _print_ended(ended, as_json)
    left = [f"s{found.id} is {found.state}" for found in ended if found.state in OPEN]
    if left:
        raise JobError(f"{', '.join(left)}: see `qtnml jobs show`")


@jobs.command()
def cancel(
    numbers: Annotated[list[str], typer.Argument(metavar="SUBMISSION...", help="As listed, e.g. s1.")],
    ledger: Ledger = None,
    certainly_gone: Annotated[
        bool,
        typer.Option(
            "--certainly-gone",
            help="The lost submissions named were certainly never accepted: give them up.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Stop submissions; what they were to compute can be bought again.

    Example: qtnml jobs cancel s7
    """
    from qtnml.ledger import OPEN

    store, console = store_at(ledger), Console(stderr=True)
    chosen = _numbers(numbers) or []
    for number in chosen:
        if (before := store.submission(number)).state not in OPEN:
            console.print(f"s{number} was {before.state} before: nothing to cancel", highlight=False)
    ended, errors = [], []
    for number in chosen:
        try:
            ended.append(store.cancel(number, certainly_gone=certainly_gone))
        except QtnmlError as error:  # the others are stopped all the same
            errors.append(error)
    if ended or not errors:
        _print_ended(ended, as_json)
    if errors:
        raise errors[0]


@jobs.command()
def export(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write here instead of standard output."),
    ] = None,
    ledger: Ledger = None,
    label: Annotated[str | None, typer.Option(help="Only runs with this label.")] = None,
) -> None:
    """Write every stored result, one JSON object a line: job, backend, shots, counts, calibration.

    Example: qtnml jobs export --label november -o results.jsonl
    """
    lines = (json.dumps(result) + "\n" for result in store_at(ledger).export(label=label))
    if output is None:
        for line in lines:
            print(line, end="")
        return
    from qtnml.storage import write_atomically

    write_atomically(output, "".join(lines).encode())


def store_at(ledger: str | None) -> Any:
    """The ledger that is meant; one that is named must be there."""
    from qtnml.jobs import JobStore

    # A mistyped name would be an empty ledger, and the one that was meant would seem lost.
    if ledger is not None and "://" not in ledger and not Path(ledger).exists():
        raise InvalidInputError(f"there is no ledger {ledger!r}; `qtnml predict --jobs` makes one")
    return JobStore(ledger)


def _numbers(given: list[str] | None) -> list[int] | None:
    if not given:
        return None
    found = []
    for text in given:
        number = _number(text)
        if number is None:
            raise InvalidInputError(
                f"a submission is called s1, s2, ... as `qtnml jobs list` shows, got {text!r}"
            )
        found.append(number)
    return found


def _number(text: str) -> int | None:
    """The number of a submission called s1, s2, ...; None for any other text."""
    return int(text[1:]) if re.fullmatch(r"s[0-9]{1,18}", text) else None


def _states(given: list[str] | None) -> list[str] | None:
    from qtnml.jobs import State

    known = [str(state) for state in State]
    for state in given or []:
        if state not in known:
            raise InvalidInputError(f"no state {state!r}; choose of {known}")
    return given or None


def _facts(found: Any) -> dict[str, Any]:
    """A submission as JSON types."""
    return {
        "submission": f"s{found.id}",
        "state": str(found.state),
        "backend": found.backend,
        "settings": found.settings,
        "billing": found.billing,
        "version": found.version,
        "circuits": found.jobs,
        "shots": found.shots,
        "repeat": found.repeat,
        "seed": found.seed,
        "label": found.label,
        "vendor_id": found.vendor_id,
        "created": moment(found.created),
        "sent": moment(found.sent),
        "ended": moment(found.ended),
        "calibration": found.calibration,
        "seconds": found.seconds,
        "cost": found.cost,
        "currency": "" if found.price is None else found.price.currency,
        "budget": found.budget,
        "error": found.error,
    }


def _print_ended(ended: list[Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps([_facts(found) for found in ended]))
        return
    console = Console()
    if not ended:
        console.print("nothing to do: no submission is open")
    for found in ended:
        reason = f": {found.error}" if found.error else ""
        console.print(
            f"s{found.id} [bold]{found.state}[/bold] ({found.jobs} circuits, {found.shots} shots, "
            f"{escape(found.backend)}){escape(reason)}",
            highlight=False,
            soft_wrap=True,
        )


def moment(seconds: float | None) -> str | None:
    """A time as a person says it."""
    return None if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _briefly(seconds: float | None) -> str:
    """A time for a narrow column: of this year without the year, of others the day."""
    told = moment(seconds) or ""
    return told[5:16] if told[:4] == time.strftime("%Y") else told[:10]


def duration_of(found: Any) -> str:
    """From sending to the end, as a person says it."""
    if found.sent is None or found.ended is None:
        return ""
    seconds = max(found.ended - found.sent, 0.0)
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=int(seconds)))


def _shortened(items: list[str], shown: int = 6) -> str:
    return ", ".join(items[:shown]) + (f", ... ({len(items)} in all)" if len(items) > shown else "")
