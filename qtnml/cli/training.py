"""`qtnml train`."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from qtnml.cli.app import (
    DATA,
    TRAIN,
    Checkpoint,
    Classes,
    DataArgument,
    Header,
    Json,
    Order,
    Set,
    Size,
    Target,
    app,
    cache_compilations,
    check_parent,
    labels,
    named_values,
    report,
    shown,
)
from qtnml.cli.options import estimator_of, with_settings
from qtnml.errors import InvalidInputError

#: What --model takes, and the class it stands for.
ESTIMATORS = {
    "tree": "TreeClassifier",
    "mps": "MPSClassifier",
    "tree-regressor": "TreeRegressor",
    "mps-regressor": "MPSRegressor",
    "amplitude-mps": "AmplitudeMPSClassifier",
    "amplitude-tree": "AmplitudeTreeClassifier",
}
#: Arguments that the command has options of its own for, or none.
_OF_COMMAND = {"checkpoint", "resume", "warm_start", "reuse_qubits", "verbose"}


@app.command(rich_help_panel=TRAIN)
@with_settings(ESTIMATORS, without=_OF_COMMAND, short={"bond_qubits": "b"})
def train(
    data: DataArgument,
    *,
    settings: dict[str, Any],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model file to write.")] = Path(
        "model.qtnml"
    ),
    classes: Classes = None,
    size: Size = None,
    order: Order = "z",
    target: Target = None,
    header: Header = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Leave a column of a CSV file out, e.g. a number of a row; may be repeated.",
            rich_help_panel=DATA,
        ),
    ] = None,
    bins: Annotated[
        int,
        typer.Option(
            min=2,
            help="For amplitude models on tables: intervals of a column of numbers.",
            rich_help_panel=DATA,
        ),
    ] = 8,
    train_size: Annotated[
        int | None, typer.Option(min=1, help="Use only this many training samples.", rich_help_panel=DATA)
    ] = None,
    model: Annotated[
        str,
        typer.Option(help=f"One of {', '.join(ESTIMATORS)}.", rich_help_panel="The model"),
    ] = "tree",
    checkpoint: Checkpoint = None,
    warm_start: Annotated[
        Path | None,
        typer.Option(
            help="Go on with the weights of this model, e.g. after --discard postselect.",
            rich_help_panel="Training",
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(
            help="Learn what this model says of the samples beside their labels, e.g. an amplitude model.",
            rich_help_panel="Training",
        ),
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(
            help="Train under noise: a device (fake:torino), a channel between layers (dephasing=0.2), or a "
            'JSON object of device numbers (\'{"t1": 1e-4, "t2": 8e-5, "two_qubit_time": 7e-8}\').',
            rich_help_panel="Training",
        ),
    ] = None,
    reuse: Annotated[
        bool,
        typer.Option(
            "--reuse/--no-reuse",
            help="The circuit that --noise of a device is meant for.",
            rich_help_panel="Training",
        ),
    ] = True,
    others: Set = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of weights, split and batches.", rich_help_panel="Training")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Train a model and write it to a file.

    The file remembers how the data were read, for `qtnml predict`. Ctrl-C ends training early and
    writes the best model so far, with exit status 130; before the first epoch nothing is written. With
    --checkpoint, the same command after a crash goes on where the run was killed.

    Example: qtnml train mnist --size 8 --classes 3,5 --bond-qubits 2 -o model.qtnml
    """
    check_parent(output, data)
    if checkpoint is not None:
        check_parent(checkpoint, data, output)
    cache_compilations()
    how = {
        "classes": labels(classes),
        "target": target,
        "header": header,
        "ignore": tuple(ignore or ()),
        "train_size": train_size,
    }
    loaded = _loaded(data, size, order, how)
    run = {"random_state": seed, "checkpoint": checkpoint, "resume": checkpoint is not None}
    clf = estimator_of(ESTIMATORS, model, settings, run | named_values(others))
    if not hasattr(loaded, "image_shape") and clf.encoder is None:
        from qtnml.data import TableEncoder

        clf.set_params(encoder=TableEncoder(bins, unseen="missing"))
    if warm_start is not None:
        _go_on_from(clf, warm_start)
    if noise is not None:
        clf.set_params(**_noise(noise, reuse, clf))
    given = {} if teacher is None else {"teacher": _teacher(teacher, model)}
    began = time.perf_counter()
    clf.fit(loaded.raw(loaded.X_train), loaded.y_train, **given)
    seconds = time.perf_counter() - began
    clf.notes_ = {
        "data": loaded.name,
        "size": size,
        "order": order,
        "classes": labels(classes) if classes is None else getattr(clf, "classes_", loaded.classes).tolist(),
        "target": target,
        "header": header,
        "train_samples": len(loaded.y_train),
        "test_samples": len(loaded.y_test),
        "feature_names": list(loaded.feature_names),
        "target_name": loaded.target_name,
    }
    if noise is not None:
        clf.notes_["noise"] = noise
    if teacher is not None:
        clf.notes_["teacher"] = teacher.name
    clf.save(output)
    facts = {"model": str(output), **_facts(clf, loaded), "seconds": round(seconds, 3)}
    rows = {_ROWS.get(name, name.replace("_", " ")): shown(value) for name, value in facts.items()}
    if noise is not None:
        facts["scores_without_noise"] = True
        rows["accuracies"] = "without noise (under it: qtnml noise)"
    report(f"Trained on {loaded.name}", rows, facts, as_json)
    if clf.stopped_ == "interrupted":
        raise typer.Exit(130)


def _teacher(path: Path, model: str) -> Any:
    """A classifier from a file, for models that learn from one."""
    from qtnml import load_model

    if model not in ("tree", "mps"):
        raise InvalidInputError(f"--teacher is for the models tree and mps, got --model {model}")
    found = load_model(path)
    if not hasattr(found, "predict_proba"):
        raise InvalidInputError(f"{path} holds a {type(found).__name__}, which gives no probabilities")
    return found


def _loaded(data: str, size: int | None, order: str, how: dict[str, Any]) -> Any:
    """A data set, or a table with columns of text or gaps."""
    from qtnml.data import load_dataset
    from qtnml.data.mixed import is_mixed, load_table

    path = Path(data)
    if path.is_file() and path.name.lower().endswith((".csv", ".csv.gz")):
        given = {name: how[name] for name in ("target", "header", "ignore")}
        if is_mixed(path, **given):
            return load_table(path, **how)
    return load_dataset(data, size=size, order=order, **how)


_ROWS = {
    "lost_mass": "probability of outcomes without a class",
    "log_success": "mean log probability of passing post-selection",
}


def _noise(text: str, reuse: bool, estimator: Any) -> dict[str, Any]:
    """Arguments of an estimator for an option such as --noise dephasing=0.2."""
    from qtnml.noise import noise_from_text

    if not hasattr(estimator, "ansatz"):
        raise InvalidInputError(f"--noise is for trees and chains, not for {type(estimator).__name__}")
    return {"noise": noise_from_text(text), "reuse_qubits": reuse}


def _go_on_from(estimator: Any, path: Path) -> None:
    """Take over what another model has learnt."""
    from qtnml.models import load_model

    trained = load_model(path)
    if type(trained) is not type(estimator):
        raise InvalidInputError(
            f"{path} holds a {type(trained).__name__}, not a {type(estimator).__name__}; choose its --model"
        )
    learnt = {name: value for name, value in vars(trained).items() if name.endswith("_")}
    estimator.__dict__.update(learnt)
    estimator.set_params(warm_start=True)


def _facts(clf: Any, data: Any) -> dict[str, Any]:
    """What was trained, and how well."""
    train_part, test_part = (
        (data.raw(X), y) for X, y in ((data.X_train, data.y_train), (data.X_test, data.y_test))
    )
    return {
        "kind": type(clf).__name__,
        "train_samples": len(data.y_train),
        "test_samples": len(data.y_test),
        **({"label_column": data.target_name} if data.target_name is not None else {}),
        "num_features": data.num_features,
        **({} if clf.table_ is None else {"columns": _columns(clf.table_)}),
        **_network_facts(clf.model_),
        "epochs": clf.n_iter_,
        **_scores(clf, train_part, test_part),
    }


def _columns(table: Any) -> str:
    """What the columns of a table were taken for."""
    kinds = [
        "categories" if not column.is_numeric else "numbers with gaps" if gap else "numbers"
        for column, gap in zip(table.encoder.columns_, table.gaps, strict=True)
    ]
    return ", ".join(f"{kinds.count(kind)} of {kind}" for kind in dict.fromkeys(kinds))


def _network_facts(model: Any) -> dict[str, Any]:
    if hasattr(model, "bond_dim"):
        sites = model.network.tree.num_leaves
        return {"sites": sites, "bond_dim": model.bond_dim, "parameters": model.num_parameters}
    return {
        "nodes": len(model.topology.nodes),
        "parameters": model.num_parameters,
        "two_qubit_gates": model.two_qubit_gates,
    }


def _scores(clf: Any, train_part: tuple[Any, Any], test_part: tuple[Any, Any]) -> dict[str, Any]:
    if not hasattr(clf, "classes_"):
        return {"train_r2": clf.score(*train_part), "test_r2": clf.score(*test_part)}
    facts = {
        "classes": clf.classes_.tolist(),
        "train_accuracy": clf.score(*train_part),
        "test_accuracy": clf.score(*test_part),
        "lost_mass": float(clf.lost_mass(test_part[0]).mean()),
    }
    if getattr(clf, "discard", "trace") == "postselect":
        facts["log_success"] = float(clf.log_success_probability(test_part[0]).mean())
    return facts
