"""`qtnml predict`."""

import csv
import io
import json
import secrets
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
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
from qtnml.cli.options import with_settings
from qtnml.errors import InvalidInputError, TrainingSamplesWarning, warn_user

if TYPE_CHECKING:
    from qtnml.jobs import Plan

_MEASURED, _BUDGET = "On a backend", "Budget"


@app.command(rich_help_panel=RUN)
@with_settings(
    {"budget": "JobStore"}, into="limits", without={"location", "price", "patience"}, panel=_BUDGET
)
def predict(
    model: ModelArgument,
    data: DataArgument,
    *,
    limits: dict[str, Any],
    classes: Classes = None,
    size: Size = None,
    order: Annotated[
        str | None,
        typer.Option(help="Pixel order: raster, snake, z or patches.", rich_help_panel=DATA),
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
    table needs no labels; with a header its columns are found by their names. Limits of the budget are
    of this run alone, unless --budget names one that others share.

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
    if backend is None:
        of_run = {
            "shots": shots, "num_qubits": num_qubits, "backend_set": backend_set, "mitigation": mitigation,
            "repeat": repeat, "max_age": max_age, "plan": plan, "no_wait": no_wait, "price": price,
        }  # fmt: skip
        _refuse_without_backend(of_run | {"reuse": reuse is not None} | limits)
        predicted = _exact(clf, X)
    else:
        from qtnml.backends import get_backend

        clf = with_circuit(clf)
        found = get_backend(backend, **named_values(backend_set, "--backend-set"))
        measured = clf.to_backend(
            found,
            shots=shots or 1024,
            reuse_qubits=reuse,
            num_qubits=num_qubits,
            repeat=repeat,
            mitigation=mitigation,
            max_age=_age(max_age),
            jobs=_ledger(jobs, found, limits, named_values(price, "--price")),
            label=model.stem if label is None else label,
            verbose=1,
        )
        if plan:
            _print_plan(measured.plan(X), as_json)
            return
        confirm = None if yes else _confirmed
        if no_wait:
            if output is not None:
                raise InvalidInputError("--no-wait has no predictions to write yet; leave --output out")
            _submitted(measured.submit(X, confirm=confirm), as_json)
            return
        predicted = _measured(measured, X, confirm, backend, quiet=as_json)
    if output is not None:
        predicted.write(output)
    facts = predicted.facts(y)
    if y is not None and predicted.classes is not None:
        _remark_on_training_samples(clf, data, len(X))
    rows = {name.replace("_", " "): shown(value) for name, value in facts.items()}
    report(f"Predictions of {model}", rows, facts, as_json)


@dataclass(frozen=True)
class _Predictions:
    """Of all samples, and what is told of them.

    Attributes:
        values: Probabilities of shape (samples, classes), or a regressor's values of shape (samples,).
        classes: None of a regressor.
        of_run: Where they are from, and what that took.
        errors: Standard errors of measured values.
        log_success: Logarithm of the probability that post-selection keeps a shot, by sample.
    """

    values: Any
    classes: Any
    of_run: dict[str, Any]
    errors: Any = None
    log_success: Any = None

    @property
    def labels(self) -> Any:
        return self.classes[self.values.argmax(axis=1)]

    def facts(self, y: Any) -> dict[str, Any]:
        """What the command prints; `y`, if not None, are the truths."""
        facts: dict[str, Any] = {"samples": len(self.values)}
        if self.classes is None:
            from sklearn.metrics import r2_score

            facts |= {"smallest": float(self.values.min()), "largest": float(self.values.max())} | self.of_run
            if self.errors is not None:
                facts["mean_standard_error"] = float(self.errors.mean())
            return facts if y is None else facts | {"r2": float(r2_score(y, self.values))}
        counts = {str(label): int((self.labels == label).sum()) for label in self.classes}
        facts |= {"backend": self.of_run["backend"], "predicted": counts} | self.of_run
        if self.log_success is not None:
            facts["mean_log_success"] = float(self.log_success.mean())
        return facts if y is None else facts | {"accuracy": float((self.labels == y).mean())}

    def write(self, path: Path) -> None:
        """A CSV file, a row for each sample."""
        from qtnml.storage import write_atomically

        columns = {"predicted": self.labels if self.classes is not None else _written(self.values, ".8g")}
        if self.classes is not None:
            shares = np.asarray(self.values).T
            columns |= {f"p({c})": _written(p, ".8f") for c, p in zip(self.classes, shares, strict=True)}
        elif self.errors is not None:
            columns["standard_error"] = _written(self.errors, ".4g")
        if self.log_success is not None:
            columns["log_success"] = _written(self.log_success, ".8f")
        text = io.StringIO()
        csv.writer(text).writerows([columns, *zip(*columns.values(), strict=True)])
        write_atomically(path, text.getvalue().encode())


def _written(values: Any, how: str) -> list[str]:
    return [format(value, how) for value in values]


def _refuse_without_backend(options: dict[str, Any]) -> None:
    """These are of a run on a backend."""
    for name, value in options.items():
        if value or (value == 0 and value is not False and name != "repeat"):
            option = f"--{name.replace('_', '-')}" + ("" if isinstance(value, bool | list) else f" {value}")
            raise InvalidInputError(f"{option} needs a backend to measure on, e.g. --backend aer")


def _exact(clf: Any, X: Any) -> _Predictions:
    """Without a backend."""
    if not hasattr(clf, "classes_"):
        return _Predictions(clf.predict(X), None, {"backend": "exact"})
    kept = clf.log_success_probability(X) if getattr(clf, "discard", "trace") == "postselect" else None
    return _Predictions(clf.predict_proba(X), clf.classes_, {"backend": "exact"}, log_success=kept)


def _measured(measured: Any, X: Any, confirm: Any, backend: str, *, quiet: bool) -> _Predictions:
    """From a backend, through the ledger."""
    try:
        result = measured.measure(X, confirm=confirm)
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; what was sent goes on: see `qtnml jobs list`, then `resume`")
        raise
    if result.mitigated is not None and not quiet:
        Console(stderr=True).print(str(result.mitigated), highlight=False, soft_wrap=True)
    of_run = {"backend": backend} | _bought(measured, result, len(X))
    classes = getattr(measured, "classes_", None)
    errors = result.errors if classes is None else None
    return _Predictions(result.probabilities, classes, of_run, errors)


def _ledger(jobs: str | None, backend: Any, limits: dict[str, Any], price: dict[str, Any]) -> Any:
    """The ledger of a run: of free simulators in memory, unless one is named or there is a budget."""
    from qtnml.jobs import JobStore, Price, store_for

    try:
        asked = Price(**price) if price else None
    except TypeError:
        known = [field.name for field in fields(Price)]
        odd = next(name for name in price if name not in known)
        raise InvalidInputError(f"--price knows {', '.join(known)}, got {odd!r}") from None
    if "max_cost" in limits and asked is None:
        raise InvalidInputError("--max-cost needs a price: --price per_shot=0.001, per_second=1.6, ...")
    if not limits and asked is None:
        return store_for(jobs, backend)
    of_this_run = {"budget": f"run:{secrets.token_hex(6)}"} if limits else {}
    return JobStore(jobs, **of_this_run | limits, price=asked)


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
