"""`qtnml predict`."""

import csv
import io
import json
import secrets
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from qtnml.cli.app import (
    DATA,
    RUN,
    Classes,
    DataArgument,
    Header,
    Json,
    ModelArgument,
    Size,
    Target,
    app,
    check_parent,
    classifier,
    labels,
    named_values,
    report,
    shown,
    with_circuit,
)
from qtnml.errors import InvalidInputError, TrainingSamplesWarning, warn_user

if TYPE_CHECKING:
    from qtnml.jobs import Plan

_MEASURED, _BUDGET = "On a backend", "Budget"


@app.command(rich_help_panel=RUN)
def predict(
    model: ModelArgument,
    data: DataArgument,
    classes: Classes = None,
    size: Size = None,
    order: Annotated[
        str | None,
        typer.Option(help="Pixel order: raster, snake or z.", rich_help_panel=DATA),
    ] = None,
    target: Target = None,
    header: Header = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="Measure there instead of computing exactly: aer, fake:torino, ibm:NAME, pennylane:DEVICE.",
            rich_help_panel=_MEASURED,
        ),
    ] = None,
    shots: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Measurements per sample, with --backend (default: 1024).",
            rich_help_panel=_MEASURED,
        ),
    ] = None,
    reuse: Annotated[
        bool | None,
        typer.Option(
            "--reuse/--no-reuse",
            help="Qubit reuse, with --backend (default: as the model says).",
            show_default=False,
            rich_help_panel=_MEASURED,
        ),
    ] = None,
    num_qubits: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --backend, use up to so many qubits (default: the fewest, or chosen by device).",
            rich_help_panel=_MEASURED,
        ),
    ] = None,
    backend_set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="An option of the backend, e.g. mode=batch; may be repeated.",
            rich_help_panel=_MEASURED,
        ),
    ] = None,
    mitigation: Annotated[
        str | None,
        typer.Option(
            help="With --backend: readout, zne, zne-exponential, learned, or readout+zne, ...",
            rich_help_panel=_MEASURED,
        ),
    ] = None,
    repeat: Annotated[
        int,
        typer.Option(
            min=0,
            help="Another number measures anew, independently of what is stored.",
            rich_help_panel=_MEASURED,
        ),
    ] = 0,
    jobs: Annotated[
        str | None,
        typer.Option(
            metavar="LEDGER",
            help="Ledger of jobs: a file or SQLAlchemy URL (default: $QTNML_JOBS, or your own).",
            rich_help_panel=_MEASURED,
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            help="To find the run in `qtnml jobs list` (default: the model's name).",
            show_default=False,
            rich_help_panel=_MEASURED,
        ),
    ] = None,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Say what measuring would submit, and stop.", rich_help_panel=_BUDGET),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Submit without asking.", rich_help_panel=_BUDGET)
    ] = False,
    max_shots: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Submit nothing if it takes more shots than these.",
            rich_help_panel=_BUDGET,
        ),
    ] = None,
    max_jobs: Annotated[
        int | None,
        typer.Option(
            min=0, help="Submit nothing if it takes more circuits than these.", rich_help_panel=_BUDGET
        ),
    ] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Submit nothing if it takes more seconds on the device than these.",
            rich_help_panel=_BUDGET,
        ),
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            min=0, help="Submit nothing if it costs more than this, by --price.", rich_help_panel=_BUDGET
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Count against what is left under this name in the ledger (default: this run alone).",
            show_default=False,
            rich_help_panel=_BUDGET,
        ),
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="What is asked per_shot, per_circuit, per_task, per_second; and the currency; repeatable.",
            rich_help_panel=_BUDGET,
        ),
    ] = None,
    max_age: Annotated[
        str | None,
        typer.Option(
            metavar="AGE",
            help="Use stored shots only of so many seconds, or of the device's present 'calibration'.",
            rich_help_panel=_MEASURED,
        ),
    ] = None,
    no_wait: Annotated[
        bool,
        typer.Option(
            "--no-wait",
            help="Send, and stop: the same command without it reads the results later.",
            rich_help_panel=_MEASURED,
        ),
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first LIMIT samples.", rich_help_panel=DATA)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a CSV of predicted labels and probabilities."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Predict with a trained model: the test part of a data set, or every row of a .csv or .npy file.

    Data are read as for training (classes, size, order, target) unless an option says otherwise. A
    table needs no labels; with a header its columns are found by their names.

    Example: qtnml predict model.qtnml mnist --backend aer --limit 20
    """
    from qtnml.models import load_model, samples_for

    if output is not None:
        check_parent(output, data, model)
    clf = classifier(load_model(model))
    X, y = samples_for(
        clf, data, classes=labels(classes), size=size, order=order, target=target, header=header
    )
    X, y = X[:limit], y if y is None else y[:limit]
    if backend is not None:
        clf = with_circuit(clf)
    elif mitigation is not None:
        raise InvalidInputError(f"--mitigation {mitigation} needs a backend, e.g. --backend fake:torino")
    elif num_qubits is not None:
        raise InvalidInputError(f"--num-qubits {num_qubits} is of a circuit: give --backend, e.g. aer")
    elif shots is not None:
        raise InvalidInputError(f"--shots {shots} needs a backend to measure on, e.g. --backend aer")
    if backend is None:
        if plan or no_wait:
            raise InvalidInputError(
                f"{'--plan' if plan else '--no-wait'} needs a backend to measure on, e.g. --backend aer"
            )
        if not hasattr(clf, "classes_"):
            _write_values(model, clf.predict(X), None, y, output, as_json, {})
            return
        proba = clf.predict_proba(X)
    else:
        from qtnml.backends import get_backend

        found = get_backend(backend, **named_values(backend_set, "--backend-set"))
        limits = {
            "max_shots": max_shots,
            "max_jobs": max_jobs,
            "max_seconds": max_seconds,
            "max_cost": max_cost,
        }
        measured = clf.to_backend(
            found,
            shots=shots or 1024,
            reuse_qubits=reuse,
            num_qubits=num_qubits,
            repeat=repeat,
            mitigation=mitigation,
            max_age=_age(max_age),
            jobs=_ledger(jobs, found, limits, budget, named_values(price, "--price")),
            label=model.stem if label is None else label,
            verbose=1,
        )
        if plan:
            _print_plan(measured.plan(X), as_json)
            return
        confirm = None if yes else _confirmed
        if no_wait and output is not None:
            raise InvalidInputError("--no-wait has no predictions to write yet; leave --output out")
        if no_wait:
            _submitted(measured.submit(X, confirm=confirm), as_json)
            return
        result = _waited_for(measured, X, confirm)
        if result.mitigated is not None and not as_json:
            Console(stderr=True).print(str(result.mitigated), highlight=False, soft_wrap=True)
        facts_of_run = _bought(measured, result, len(X))
        if not hasattr(clf, "classes_"):
            facts_of_run["backend"] = backend
            _write_values(model, result.probabilities, result.errors, y, output, as_json, facts_of_run)
            return
        proba = result.probabilities
    predicted = clf.classes_[proba.argmax(axis=1)]
    success = None
    if backend is None and getattr(clf, "discard", "trace") == "postselect":
        success = clf.log_success_probability(X)
    if output is not None:
        _write_predictions(output, clf.classes_, predicted, proba, success)
    counts = {str(label): int((predicted == label).sum()) for label in clf.classes_}
    facts: dict[str, Any] = {"samples": len(X), "backend": backend or "exact", "predicted": counts}
    if backend is not None:
        facts |= facts_of_run
    if success is not None:
        facts["mean_log_success"] = float(success.mean())
    if y is not None:
        facts["accuracy"] = float((predicted == y).mean())
        _remark_on_training_samples(clf, data, len(X))
    rows = {name.replace("_", " "): shown(value) for name, value in facts.items()}
    report(f"Predictions of {model}", rows, facts, as_json)


def _ledger(
    jobs: str | None, backend: Any, limits: dict[str, Any], budget: str | None, price: dict[str, Any]
) -> Any:
    """The ledger of a run: of free simulators in memory, unless one is named or there is a budget."""
    from qtnml.jobs import JobStore, Price, store_for

    limited = budget is not None or any(limit is not None for limit in limits.values())
    if limited and budget is None:
        budget = f"run:{secrets.token_hex(6)}"
    try:
        asked = Price(**price) if price else None
    except TypeError:
        known = [field.name for field in fields(Price)]
        odd = next(name for name in price if name not in known)
        raise InvalidInputError(f"--price knows {', '.join(known)}, got {odd!r}") from None
    if limits["max_cost"] is not None and asked is None:
        raise InvalidInputError("--max-cost needs a price: --price per_shot=0.001, per_second=1.6, ...")
    if not limited and asked is None:
        return store_for(jobs, backend)
    return JobStore(jobs, **limits, budget=budget, price=asked)


def _age(text: str | None) -> float | str | None:
    """Of --max-age."""
    if text is None or text == "calibration":
        return text
    try:
        return float(text)
    except ValueError:
        raise InvalidInputError(f"--max-age takes seconds, or 'calibration', got {text!r}") from None


def _submitted(job: Any, as_json: bool) -> None:
    """Say what was sent."""
    numbers = [f"s{number}" for number in job.submissions]
    status = str(job.status())
    if as_json:
        print(json.dumps({"status": status, "submissions": numbers}))
        return
    what = ", ".join(numbers) or "nothing was missing"
    Console().print(f"{status}: {what}; see `qtnml jobs watch`", highlight=False, soft_wrap=True)


def _waited_for(measured: Any, X: Any, confirm: Any) -> Any:
    """The result of a run that is waited for."""
    try:
        return measured.measure(X, confirm=confirm)
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; what was sent goes on: see `qtnml jobs list`, then `resume`")
        raise


def _bought(measured: Any, result: Any, samples: int) -> dict[str, Any]:
    """What came from the ledger, and what was bought now; a person is told in words."""
    store = measured.jobs
    facts = {
        "bought_circuits": store.bought_jobs,
        "bought_shots": store.bought_shots,
        "seconds": result.seconds,
        "cost": result.cost,
        "calibrations": list(result.calibrations),
        "ledger": str(store.ledger),
    }
    stored = max(samples - store.bought_jobs, 0)
    where = "in memory" if store.ledger.database.in_memory else str(store.ledger)
    Console(stderr=True).print(
        f"{stored:,} of {samples:,} circuits were in the ledger, {store.bought_jobs:,} were run "
        f"({store.bought_shots:,} shots); ledger: {escape(where)}",
        highlight=False,
        soft_wrap=True,
    )
    return {name: value for name, value in facts.items() if value not in (None, [])}


def _remark_on_training_samples(clf: Any, data: str, samples: int) -> None:
    """A file that the model was trained on is read whole: most of it are training samples."""
    notes = getattr(clf, "notes_", {})
    trained, tested = notes.get("train_samples"), notes.get("test_samples", 0)
    if Path(data).is_file() and notes.get("data") == Path(data).name and trained and samples > tested:
        warn_user(
            f"{data} is the file that the model was trained on: {trained:,} of its {trained + tested:,} rows "
            "are training samples, so the accuracy is no test (that of `qtnml train` was)",
            TrainingSamplesWarning,
        )


def _confirmed(plan: "Plan") -> bool:
    """Ask before time on a quantum computer is bought; simulators are free."""
    if not plan.paid:
        return True
    Console(stderr=True).print(f"To buy {plan}.", highlight=False, soft_wrap=True)
    if not sys.stdin.isatty():
        raise InvalidInputError("nobody can be asked whether to buy this; give --yes")
    return typer.confirm("Buy?", err=True)


def _print_plan(plan: "Plan", as_json: bool) -> None:
    if as_json:
        print(json.dumps(plan.to_dict()))
    else:
        Console().print(str(plan), highlight=False, soft_wrap=True)


def _write_values(
    model: Path, values: Any, errors: Any, y: Any, output: Path | None, as_json: bool, of_run: dict[str, Any]
) -> None:
    """A regressor's predictions, with their standard errors where they were measured."""
    from sklearn.metrics import r2_score

    from qtnml.storage import write_atomically

    if output is not None:
        rows = [[f"{value:.8g}"] for value in values]
        names = ["predicted"]
        if errors is not None:
            names.append("standard_error")
            rows = [[*row, f"{error:.4g}"] for row, error in zip(rows, errors, strict=True)]
        write_atomically(output, "".join(",".join(row) + "\n" for row in [names, *rows]).encode())
    facts: dict[str, Any] = {
        "samples": len(values),
        "smallest": float(values.min()),
        "largest": float(values.max()),
    }
    facts |= of_run
    if errors is not None:
        facts["mean_standard_error"] = float(errors.mean())
    if y is not None:
        facts["r2"] = float(r2_score(y, values))
    shown_facts = {name.replace("_", " "): shown(value) for name, value in facts.items()}
    report(f"Predictions of {model}", shown_facts, facts, as_json)


def _write_predictions(path: Path, classes: Any, predicted: Any, proba: Any, success: Any) -> None:
    from qtnml.storage import write_atomically

    text = io.StringIO()
    writer = csv.writer(text)
    columns = [f"p({label})" for label in classes]
    rows = [[label, *(f"{p:.8f}" for p in row)] for label, row in zip(predicted, proba, strict=True)]
    if success is not None:
        columns.append("log_success")
        rows = [[*row, f"{log:.8f}"] for row, log in zip(rows, success, strict=True)]
    writer.writerow(["predicted", *columns])
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())
