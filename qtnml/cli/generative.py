"""`qtnml born`: generative models from tables and pictures, to samples, scores, reasons and circuits."""

import csv
import io
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from qtnml.cli.app import (
    TRAIN,
    Checkpoint,
    Header,
    Json,
    Set,
    app,
    check_figure,
    check_parent,
    named_values,
    report,
    shown,
)
from qtnml.cli.options import estimator_of, with_settings
from qtnml.errors import InvalidInputError

born = typer.Typer(
    name="born",
    help="Born machines: learn the distribution of a table or of pictures; sample, score, explain records.",
    no_args_is_help=True,
)
app.add_typer(born, rich_help_panel=TRAIN)

_ESTIMATORS = {"tree": "TreeBornMachine", "mps": "MPSBornMachine"}
#: What `score --by` takes -> the method.
_JUDGES = {"record": "score_samples", "dependence": "log_dependence", "feature": "log_conditionals"}
_LEAST_SPREAD = 0.1  # nats: a feature that follows from the others never varies among few records
#: Arguments that `fit` has options of its own for, or none.
_OF_COMMAND = {"checkpoint", "resume", "warm_start", "verbose"}
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A file that `qtnml born fit` wrote.")]
Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A .csv table (numbers, text, empty cells), or pictures as bits: digits, mnist, fashion-mnist, "
        "or the path of .npz or IDX pictures.",
    ),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="CSV file to write.")]


@born.command()
@with_settings(_ESTIMATORS, without=_OF_COMMAND, short={"max_bond": "b"})
def fit(
    data: Data,
    *,
    settings: dict[str, Any],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model file to write.")] = Path("born.qtnml"),
    model: Annotated[
        str, typer.Option(help="tree (learnt from the data) or mps (a chain in the order of the columns).")
    ] = "tree",
    checkpoint: Checkpoint = None,
    bins: Annotated[int, typer.Option(min=2, help="Intervals of a column of numbers.")] = 8,
    max_values: Annotated[
        int | None,
        typer.Option(min=1, help="Numbers with at most so many values keep them (default: as --bins)."),
    ] = None,
    functions: Annotated[
        str | None,
        typer.Option(help="legendre, hermite or fourier: columns of numbers on smooth functions, not bins."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Leave a column out, e.g. a label; may be repeated."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Learn the joint distribution with the classes in this column."),
    ] = None,
    header: Header = None,
    size: Annotated[int | None, typer.Option(help="Average pictures down to SIZE x SIZE.")] = None,
    threshold: Annotated[float, typer.Option(help="Pixels at least as bright are 1.")] = 0.5,
    others: Set = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first state, split and batches.")] = 0,
    as_json: Json = False,
) -> None:
    """Learn the distribution of a table or of pictures.

    Example: qtnml born fit records.csv --ignore label -o born.qtnml
    """
    import qtnml
    from qtnml.models.samples import is_table_file, thresholded_pictures

    check_parent(output, data)
    if checkpoint is not None:
        check_parent(checkpoint, data, output)
    run = {"random_state": seed, "checkpoint": checkpoint, "resume": checkpoint is not None}
    estimator = estimator_of(_ESTIMATORS, model, settings, run | named_values(others)).set_params(verbose=1)
    if is_table_file(data):
        from qtnml.data.mixed import named_table, read_table

        left_out = [*(ignore or ()), *(() if label is None else (label,))]
        names, cells = read_table(Path(data), ignore=left_out, header=header)
        X = named_table(names, cells)
        encoder = qtnml.TableEncoder(bins=bins, max_values=max_values, functions=functions, unseen="missing")
        encoder.check_settings()
        estimator.set_params(encoder=encoder)
        notes: dict[str, Any] = {"columns": names, "header": header, "label": label}
    elif functions is not None or max_values is not None:
        option = "--functions" if functions is not None else "--max-values"
        raise InvalidInputError(f"{option} is for tables; {data} is none")
    elif label is not None:
        raise InvalidInputError(f"--label is for tables; {data} is none")
    else:
        X, notes = thresholded_pictures(data, size, threshold), {"size": size, "threshold": threshold}
    if label is None:
        whole = estimator.fit(X)
    else:
        whole = qtnml.BornClassifier(estimator, random_state=seed).fit(X, _labels(data, label, header))
        estimator = whole.model_
    estimator.notes_ = notes
    whole.save(output)
    kept = estimator.best_epoch_ >= 0
    last = estimator.history_[estimator.best_epoch_]
    facts = {
        "model": str(output),
        "kind": type(whole).__name__,
        **({} if label is None else {"classes": whole.classes_.tolist()}),
        "samples": len(X),
        "complete_samples": len(X) - _with_holes(X),
        "features": estimator.n_features_in_,
        "largest_bond": max(estimator.bond_dims_, default=1),
        "parameters": estimator.state_.num_parameters,
        "training_nll": float(last.loss) if kept else None,
        "validation_nll": None if last.validation_loss is None else estimator.nll_,
        "independent_columns_nll": estimator.independent_nll_,
        "sweeps": estimator.n_iter_,
        "seconds": round(estimator.history_[-1].seconds, 3),
    }
    rows = {name.replace("_", " "): shown(value) for name, value in facts.items() if value is not None}
    report(f"Learnt the distribution of {data} (NLL in nats)", rows, facts, as_json)
    if estimator.stopped_ == "interrupted":
        raise typer.Exit(130)


def _loaded(path: Path) -> Any:
    from qtnml.models import BornClassifier, BornMachine, load_model

    model = load_model(path)
    if not isinstance(model, BornMachine | BornClassifier):
        raise InvalidInputError(
            f"{path} holds a model of the class {type(model).__name__}; this command takes Born "
            "machines, which `qtnml born fit` makes"
        )
    return model


def _labels(data: str, column: str, header: bool | None) -> Any:
    from qtnml.data.tables import CsvTable

    table = CsvTable.read(Path(data), header=header)
    return table.labels(table.column(column))


def _table_of(model: Any, data: str) -> Any:
    """What the file of a table holds, every column; None of pictures."""
    from qtnml.data.tables import CsvTable
    from qtnml.models.samples import is_table_file

    notes = getattr(model, "model_", model).notes_
    return CsvTable.read(Path(data), header=notes.get("header")) if is_table_file(data) else None


def _other_columns(model: Any, data: str) -> dict[str, list[str]]:
    """Columns of a table that the model was not trained on, as they stand there."""
    table = _table_of(model, data)
    known = getattr(model, "model_", model).notes_.get("columns")
    if table is None or known is None:
        return {}
    return {name: [row[k] for row in table.rows] for k, name in enumerate(table.names) if name not in known}


def _by_folds(machine: Any, X: Any, folds: int, judge: str) -> Any:
    """Scores of records that the model which judges them has not seen."""
    from sklearn.base import clone
    from sklearn.model_selection import KFold

    from qtnml.data.mixed import named_table

    if folds > len(X):
        raise InvalidInputError(f"--folds {folds} of {len(X)} records leaves some empty")
    names = machine.notes_.get("columns")
    plain = clone(machine).set_params(verbose=0, checkpoint=None, resume=False)
    found: list[Any] = [None] * len(X)
    for rest, part in KFold(folds, shuffle=True, random_state=0).split(found):
        learnt, judged = (X[each] if names is None else named_table(names, X[each]) for each in (rest, part))
        for row, score in zip(part, getattr(plain.fit(learnt), judge)(judged), strict=True):
            found[row] = score
    return np.array(found)


def _beside(rows: list[list[Any]], others: dict[str, list[str]]) -> list[list[Any]]:
    """Rows, which begin with their number in the table, and that row's other cells."""
    return [[*row, *(cells[int(row[0])] for cells in others.values())] for row in rows]


def _of_records(model: Any, path: Path) -> Any:
    """A model of records alone."""
    if hasattr(model, "classes_"):
        raise InvalidInputError(f"{path} is a model of records and classes; fit one without --label for this")
    return model


@born.command()
def sample(
    model: Model,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="Samples.")] = 10,
    output: Output = None,
    backend: Annotated[
        str | None,
        typer.Option(help="Draw on a backend, through the ledger of jobs, e.g. aer, fake:torino."),
    ] = None,
    num_qubits: Annotated[
        int | None,
        typer.Option(min=1, help="With --backend, use up to so many qubits (default: the fewest)."),
    ] = None,
    repeat: Annotated[
        int, typer.Option(min=0, help="With --backend: another number draws anew instead of what is stored.")
    ] = 0,
    label: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Of models with classes: records of one class.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    as_json: Json = False,
) -> None:
    """Draw records: exactly, or shot by shot on a backend.

    Example: qtnml born sample born.qtnml -n 1000 -o drawn.csv
    """
    from qtnml.backends import get_backend
    from qtnml.jobs import store_for

    if output is not None:
        check_parent(output, model)
    loaded, classes = _loaded(model), None
    machine = getattr(loaded, "model_", loaded).set_params(verbose=1)
    if label is not None and loaded is machine:
        raise InvalidInputError(f"--label is of models with classes; {model} has none")
    if loaded is not machine:
        if backend is not None or num_qubits is not None or repeat:
            raise InvalidInputError(
                f"{model} is a model of records and classes, drawn from without --backend"
            )
        by_name = {str(known): known for known in loaded.classes_.tolist()}
        if label is not None and label not in by_name:
            raise InvalidInputError(f"--label is one of {list(by_name)}, got {label!r}")
        wanted = None if label is None else by_name[label]
        drawn, classes = loaded.sample(number, label=wanted, random_state=seed)
    elif backend is None:
        if num_qubits is not None or repeat:
            raise InvalidInputError("--num-qubits and --repeat are of a circuit: give --backend, e.g. aer")
        drawn = machine.sample(number, random_state=seed)
    else:
        found = get_backend(backend)
        store = store_for(None, found)
        measured = machine.to_backend(found, num_qubits=num_qubits, repeat=repeat, jobs=store)
        drawn = measured.sample(number, random_state=seed)
        bought = measured.jobs.bought_shots
        Console(stderr=True).print(
            f"{max(number - bought, 0):,} of {number:,} shots were in the ledger, {bought:,} were run; the "
            f"circuit has {measured.trained.num_qubits} qubits",
            highlight=False,
        )
    names = machine.notes_.get("columns") or [f"x{k}" for k in range(machine.n_features_in_)]
    # An array of integers beside other numbers is one of floats.
    columns = machine.encoder_.columns_ if machine.encoder_ is not None else ()
    whole = {k for k, column in enumerate(columns) if column.is_whole and not column.is_date}
    rows = [
        ["" if _is_hole(cell) else int(cell) if k in whole else cell for k, cell in enumerate(row)]
        for row in _rounded(drawn).tolist()
    ]
    if classes is not None:
        names = [*names, machine.notes_.get("label", "class")]
        rows = [[*row, found] for row, found in zip(rows, classes.tolist(), strict=True)]
    if output is not None:
        _write(output, names, rows)
    elif as_json:
        import json

        print(json.dumps([dict(zip(names, map(_plain, row), strict=True)) for row in rows]))
    else:
        print(_csv(names, rows), end="")


@born.command()
def score(
    model: Model,
    data: Data,
    output: Output = None,
    quantile: Annotated[
        float, typer.Option(min=0.0, max=0.5, help="Records below this quantile are marked as anomalies.")
    ] = 0.01,
    by: Annotated[
        str,
        typer.Option(
            help="record: its log-density; dependence: ln of its probability over that of its values one by "
            "one; feature: its value that fits least to the others, in standard deviations."
        ),
    ] = "record",
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Score each of so many parts by a model trained anew on the others."),
    ] = None,
    as_json: Json = False,
) -> None:
    """The score of every record, the lowest first; empty cells are summed over.

    A score is a log-likelihood, nats; where columns are numbers it is a log-density in their units. Strange
    combinations are found by dependence, and a single wrong value among many columns by feature. The file has
    the columns that the model was not trained on as well, e.g. an id.

    Example: qtnml born score born.qtnml records.csv -o scores.csv

    Example: qtnml born score born.qtnml records.csv --by dependence --folds 5 -o strange.csv
    """
    if output is not None:
        check_parent(output, model, data)
    if by not in _JUDGES:
        raise InvalidInputError(f"--by is one of {', '.join(_JUDGES)}, got {by!r}")
    machine = _loaded(model)
    if by != "record" or folds is not None:
        machine = _of_records(machine, model)
    from qtnml.models import strings_for

    X = strings_for(machine, data)
    logs = getattr(machine, _JUDGES[by])(X) if folds is None else _by_folds(machine, X, folds, _JUDGES[by])
    if by == "feature":
        usual, spread = logs.mean(axis=0), np.maximum(logs.std(axis=0), _LEAST_SPREAD)
        logs = ((logs - usual) / spread).min(axis=1)
    bound = float(np.quantile(logs, quantile))
    order = np.argsort(logs, kind="stable")
    rows = [[int(k), round(float(logs[k]), 6), int(logs[k] < bound)] for k in order]
    if output is not None:
        others = _other_columns(machine, data)
        _write(output, ["row", "score", "anomaly", *others], _beside(rows, others))
    facts = {
        "records": len(logs),
        "mean_score": float(logs.mean()),
        "threshold": bound,
        "anomalies": sum(row[2] for row in rows),
        "lowest_rows": [row[0] for row in rows[:5]],
    }
    report(f"Scores of {data}", {k.replace("_", " "): shown(v) for k, v in facts.items()}, facts, as_json)


@born.command()
def impute(
    model: Model,
    data: Data,
    output: Output = None,
    method: Annotated[
        str, typer.Option(help="median, most-probable (all empty cells of a row together) or sample.")
    ] = "median",
    seed: Annotated[int | None, typer.Option(min=0, help="Of draws.")] = None,
    as_json: Json = False,
) -> None:
    """Fill in the empty cells of every record, given its other cells; other columns stay as they are.

    Example: qtnml born impute born.qtnml records.csv -o filled.csv
    """
    if output is not None:
        check_parent(output, model, data)
    machine = _of_records(_loaded(model), model)
    from qtnml.models import strings_for

    X = strings_for(machine, data)
    before = np.asarray(X, dtype=object)
    holes = np.array([[_is_hole(cell) or cell == "" for cell in row] for row in before.tolist()])
    filled = np.asarray(machine.impute(X, method=method, random_state=seed), dtype=object)
    filled = np.where(holes, _rounded(filled), filled)
    names = machine.notes_.get("columns") or [f"x{k}" for k in range(machine.n_features_in_)]
    columns = dict(zip(names, filled.T.tolist(), strict=True))
    others = _other_columns(machine, data)
    names = _table_of(machine, data).names if others else names
    rows = [list(row) for row in zip(*((columns | others)[name] for name in names), strict=True)]
    if output is not None:
        _write(output, names, rows)
        facts = {"records": len(rows), "filled_cells": int(holes.sum())}
        report(f"Filled {data}", {k.replace("_", " "): shown(v) for k, v in facts.items()}, facts, as_json)
    elif as_json:
        import json

        print(json.dumps([dict(zip(names, map(_plain, row), strict=True)) for row in rows]))
    else:
        print(_csv(names, rows), end="")


@born.command()
def classify(
    model: Model,
    data: Data,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """The likeliest class of every record, by Bayes, of a model with classes; empty cells are summed over.

    Example: qtnml born classify joint.qtnml records.csv -o classes.csv
    """
    if output is not None:
        check_parent(output, model, data)
    clf = _loaded(model)
    if not hasattr(clf, "classes_"):
        raise InvalidInputError(f"{model} knows no classes; fit one with --label")
    from qtnml.models import strings_for

    proba = clf.predict_proba(strings_for(clf, data))
    best = proba.argmax(axis=1)
    names = [str(name) for name in clf.classes_.tolist()]
    rows = [[k, names[b], round(float(proba[k, b]), 6)] for k, b in enumerate(best)]
    if output is not None:
        others = _other_columns(clf, data)
        _write(output, ["row", "class", "probability", *others], _beside(rows, others))
    facts: dict[str, Any] = {
        "records": len(rows),
        "predicted": {n: int((best == k).sum()) for k, n in enumerate(names)},
    }
    column, header = clf.model_.notes_.get("label"), clf.model_.notes_.get("header")
    from qtnml.data.tables import CsvTable

    if column in CsvTable.read(Path(data), header=header).names:
        told = [str(value) for value in _labels(data, column, header).tolist()]
        facts["accuracy"] = float(np.mean([names[b] == wanted for b, wanted in zip(best, told, strict=True)]))
    report(f"Classes of {data}", {k.replace("_", " "): shown(v) for k, v in facts.items()}, facts, as_json)


@born.command()
def explain(
    model: Model,
    data: Annotated[str | None, typer.Argument(metavar="[DATA]", help="A table or pictures.")] = None,
    row: Annotated[int, typer.Option(min=0, help="Record of DATA to explain, from 0.")] = 0,
    figure: Annotated[Path | None, typer.Option(help="Write a figure (.png, .svg, .pdf).")] = None,
    as_json: Json = False,
) -> None:
    """What a model learnt; or, with DATA, why one of its records has its likelihood.

    Example: qtnml born explain born.qtnml records.csv --row 17 --figure why.png
    """
    from qtnml.plots import plot_explanation, plot_record

    check_figure(figure, model, data)
    machine = _of_records(_loaded(model), model)
    if data is None:
        found: Any = machine.explain()
        plot: Any = plot_explanation
    else:
        from qtnml.models import strings_for

        X = strings_for(machine, data)
        if row >= len(X):
            raise InvalidInputError(f"{data} has rows 0 to {len(X) - 1}, got --row {row}")
        found, plot = machine.explain(X[row]), plot_record
    if figure is not None:
        from qtnml.storage import save_figure

        save_figure(plot(found), figure)
    if as_json:
        import json

        print(json.dumps(found.to_dict()))
    else:
        print(found)


def _rounded(cells: Any) -> Any:
    """Drawn numbers to six digits, as objects."""
    rows = np.asarray(cells).tolist()
    short = [[float(f"{cell:.6g}") if isinstance(cell, float) else cell for cell in row] for row in rows]
    found = np.empty((len(rows), len(rows[0])), dtype=object)
    found[:] = short
    return found


def _with_holes(X: Any) -> int:
    """How many rows have missing cells."""
    from qtnml.data.frames import Table

    return int(np.any(X.missing, axis=0).sum()) if isinstance(X, Table) else 0


def _is_hole(cell: Any) -> bool:
    return cell is None or cell != cell


def _csv(names: list[str], rows: list[list[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[_plain(cell) for cell in row] for row in rows])
    return buffer.getvalue()


def _plain(cell: Any) -> Any:
    """A cell as a file has it: a moment at midnight is a date."""
    return cell.isoformat(sep=" ").removesuffix(" 00:00:00") if isinstance(cell, datetime) else cell


def _write(path: Path, names: list[str], rows: list[list[Any]]) -> None:
    from qtnml.storage import write_atomically

    write_atomically(path, _csv(names, rows).encode())
