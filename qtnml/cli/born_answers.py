"""`qtnml born sample`, `score`, `impute`, `classify`, `explain`: what a Born machine tells of records."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from qtnml.cli.app import Json, check_figure, check_parent, report, shown
from qtnml.cli.born_fit import born
from qtnml.cli.born_records import (
    Data,
    Model,
    Output,
    as_csv,
    beside,
    is_missing,
    labels_of,
    loaded_born,
    of_records,
    other_columns,
    plain,
    rounded,
    table_of,
    write_csv,
)
from qtnml.errors import InvalidInputError

#: What `score --by` takes -> the method.
_JUDGES = {"record": "score_samples", "dependence": "log_dependence", "feature": "log_conditionals"}
_LEAST_SPREAD = 0.1  # nats: a feature that follows from the others never varies among few records


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
    if output is not None:
        check_parent(output, model)
    whole, classes = loaded_born(model), None
    machine = getattr(whole, "model_", whole).set_params(verbose=1)
    if label is not None and whole is machine:
        raise InvalidInputError(f"--label is of models with classes; {model} has none")
    if whole is not machine:
        if backend is not None or num_qubits is not None or repeat:
            raise InvalidInputError(
                f"{model} is a model of records and classes, drawn from without --backend"
            )
        drawn, classes = whole.sample(number, label=_class_named(whole, label), random_state=seed)
    elif backend is None:
        if num_qubits is not None or repeat:
            raise InvalidInputError("--num-qubits and --repeat are of a circuit: give --backend, e.g. aer")
        drawn = machine.sample(number, random_state=seed)
    else:
        drawn = _measured(machine, backend, number, num_qubits, repeat, seed)
    names = machine.notes_.get("columns") or [f"x{k}" for k in range(machine.n_features_in_)]
    # An array of integers beside other numbers is one of floats.
    columns = machine.encoder_.columns_ if machine.encoder_ is not None else ()
    integers = {k for k, column in enumerate(columns) if column.is_whole and not column.is_date}
    rows = [
        ["" if is_missing(cell) else int(cell) if k in integers else cell for k, cell in enumerate(row)]
        for row in rounded(drawn).tolist()
    ]
    if classes is not None:
        names = [*names, machine.notes_.get("label", "class")]
        rows = [[*row, found] for row, found in zip(rows, classes.tolist(), strict=True)]
    if output is not None:
        write_csv(output, names, rows)
    else:
        _print(names, rows, as_json)


def _print(names: list[str], rows: list[list[Any]], as_json: bool) -> None:
    """Records on standard output."""
    if as_json:
        import json

        print(json.dumps([dict(zip(names, map(plain, row), strict=True)) for row in rows]))
    else:
        print(as_csv(names, rows), end="")


def _class_named(model: Any, label: str | None) -> Any:
    """The class of a model with that text; None for None."""
    by_name = {str(known): known for known in model.classes_.tolist()}
    if label is not None and label not in by_name:
        raise InvalidInputError(f"--label is one of {list(by_name)}, got {label!r}")
    return None if label is None else by_name[label]


def _measured(
    machine: Any, backend: str, number: int, num_qubits: int | None, repeat: int, seed: int | None
) -> Any:
    """Records drawn on a backend; standard error says what the ledger had of them."""
    from qtnml.backends import get_backend
    from qtnml.jobs import store_for

    found = get_backend(backend)
    measured = machine.to_backend(found, num_qubits=num_qubits, repeat=repeat, jobs=store_for(None, found))
    drawn = measured.sample(number, random_state=seed)
    bought = measured.jobs.bought_shots
    Console(stderr=True).print(
        f"{max(number - bought, 0):,} of {number:,} shots were in the ledger, {bought:,} were run; the "
        f"circuit has {measured.trained.num_qubits} qubits",
        highlight=False,
    )
    return drawn


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
    machine = loaded_born(model)
    if by != "record" or folds is not None:
        machine = of_records(machine, model)
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
        others = other_columns(machine, data)
        write_csv(output, ["row", "score", "anomaly", *others], beside(rows, others))
    facts = {
        "records": len(logs),
        "mean_score": float(logs.mean()),
        "threshold": bound,
        "anomalies": sum(row[2] for row in rows),
        "lowest_rows": [row[0] for row in rows[:5]],
    }
    report(f"Scores of {data}", {k.replace("_", " "): shown(v) for k, v in facts.items()}, facts, as_json)


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
    machine = of_records(loaded_born(model), model)
    from qtnml.models import strings_for

    X = strings_for(machine, data)
    before = np.asarray(X, dtype=object)
    missing = np.array([[is_missing(cell) or cell == "" for cell in row] for row in before.tolist()])
    filled = np.asarray(machine.impute(X, method=method, random_state=seed), dtype=object)
    filled = np.where(missing, rounded(filled), filled)
    names = machine.notes_.get("columns") or [f"x{k}" for k in range(machine.n_features_in_)]
    columns = dict(zip(names, filled.T.tolist(), strict=True))
    others = other_columns(machine, data)
    names = table_of(machine, data).names if others else names
    rows = [list(row) for row in zip(*((columns | others)[name] for name in names), strict=True)]
    if output is not None:
        write_csv(output, names, rows)
        facts = {"records": len(rows), "filled_cells": int(missing.sum())}
        report(f"Filled {data}", {k.replace("_", " "): shown(v) for k, v in facts.items()}, facts, as_json)
    else:
        _print(names, rows, as_json)


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
    clf = loaded_born(model)
    if not hasattr(clf, "classes_"):
        raise InvalidInputError(f"{model} knows no classes; fit one with --label")
    from qtnml.models import strings_for

    proba = clf.predict_proba(strings_for(clf, data))
    best = proba.argmax(axis=1)
    names = [str(name) for name in clf.classes_.tolist()]
    rows = [[k, names[b], round(float(proba[k, b]), 6)] for k, b in enumerate(best)]
    if output is not None:
        others = other_columns(clf, data)
        write_csv(output, ["row", "class", "probability", *others], beside(rows, others))
    facts: dict[str, Any] = {
        "records": len(rows),
        "predicted": {n: int((best == k).sum()) for k, n in enumerate(names)},
    }
    column, header = clf.model_.notes_.get("label"), clf.model_.notes_.get("header")
    from qtnml.data.tables import CsvTable

    if column in CsvTable.read(Path(data), header=header).names:
        told = [str(value) for value in labels_of(data, column, header).tolist()]
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
    machine = of_records(loaded_born(model), model)
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
