"""`qtnml born fit`: generative models from tables and pictures."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from qtnml.cli.app import TRAIN, Checkpoint, Header, Json, Set, app, check_parent, named_values, report, shown
from qtnml.cli.born_records import Data, labels_of
from qtnml.cli.options import estimator_of, with_settings
from qtnml.errors import InvalidInputError

born = typer.Typer(
    name="born",
    help="Born machines: learn the distribution of a table or of pictures; sample, score, explain records.",
    no_args_is_help=True,
)
app.add_typer(born, rich_help_panel=TRAIN)

_ESTIMATORS = {"tree": "TreeBornMachine", "mps": "MPSBornMachine"}
#: Arguments that `fit` has options of its own for, or none.
_OF_COMMAND = {"checkpoint", "resume", "warm_start", "verbose"}


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
        X, notes = _table(data, header, ignore=[*(ignore or ()), *(() if label is None else (label,))])
        encoder = qtnml.TableEncoder(bins=bins, max_values=max_values, functions=functions, unseen="missing")
        encoder.check_settings()
        estimator.set_params(encoder=encoder)
        notes["label"] = label
    else:
        given = {"--functions": functions, "--max-values": max_values, "--label": label}
        if of_tables := [option for option, value in given.items() if value is not None]:
            raise InvalidInputError(f"{of_tables[0]} is for tables; {data} is none")
        X, notes = thresholded_pictures(data, size, threshold), {"size": size, "threshold": threshold}
    if label is None:
        whole = estimator.fit(X)
    else:
        whole = qtnml.BornClassifier(estimator, random_state=seed).fit(X, labels_of(data, label, header))
        estimator = whole.model_
    estimator.notes_ = notes
    whole.save(output)
    classes = {} if label is None else {"classes": whole.classes_.tolist()}
    facts = {"model": str(output), "kind": type(whole).__name__, **classes, **_facts(estimator, X)}
    rows = {name.replace("_", " "): shown(value) for name, value in facts.items() if value is not None}
    report(f"Learnt the distribution of {data} (NLL in nats)", rows, facts, as_json)
    if estimator.stopped_ == "interrupted":
        raise typer.Exit(130)


def _table(data: str, header: bool | None, *, ignore: list[str]) -> tuple[Any, dict[str, Any]]:
    """A table without some columns, and how it was read."""
    from qtnml.data.mixed import named_table, read_table

    names, cells = read_table(Path(data), ignore=ignore, header=header)
    return named_table(names, cells), {"columns": names, "header": header}


def _facts(estimator: Any, X: Any) -> dict[str, Any]:
    """What is reported of a training."""
    last = estimator.history_[estimator.best_epoch_]
    return {
        "samples": len(X),
        "complete_samples": len(X) - _with_gaps(X),
        "features": estimator.n_features_in_,
        "largest_bond": max(estimator.bond_dims_, default=1),
        "parameters": estimator.state_.num_parameters,
        "training_nll": float(last.loss) if estimator.best_epoch_ >= 0 else None,
        "validation_nll": None if last.validation_loss is None else estimator.nll_,
        "independent_columns_nll": estimator.independent_nll_,
        "sweeps": estimator.n_iter_,
        "seconds": round(estimator.history_[-1].seconds, 3),
    }


def _with_gaps(X: Any) -> int:
    """How many rows have missing cells."""
    from qtnml.data.frames import Table

    return int(np.any(X.missing, axis=0).sum()) if isinstance(X, Table) else 0
