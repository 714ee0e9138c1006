"""`qtnml study`: many trainings at once, on this machine or a Dask cluster."""

from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from qtnml.cli.app import (
    TRAIN,
    Classes,
    DataArgument,
    Json,
    Order,
    Set,
    Size,
    app,
    check_parent,
    labels,
    named_values,
    report,
    shown,
)
from qtnml.cli.options import with_settings
from qtnml.cli.training import ESTIMATORS
from qtnml.errors import InvalidInputError

_OWN = {
    "data": "the argument DATA",
    "model": "--models",
    "classes": "--classes or --pairs",
    "size": "--size",
    "order": "--order",
    "random_state": "--seeds",
    "bond_qubits": "--bonds",
    "max_bond": "--bonds",
}
_MODELS = {name: kind for name, kind in ESTIMATORS.items() if not name.endswith("regressor")}
#: Of one run alone.
_OF_TRIALS = {"checkpoint", "checkpoint_every", "resume", "warm_start", "verbose"}


@app.command(rich_help_panel=TRAIN)
@with_settings(_MODELS, without={*_OWN, *_OF_TRIALS})
def study(
    data: DataArgument,
    *,
    settings: dict[str, Any],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Results, one JSON line each, appended as they come.")
    ] = Path("study.jsonl"),
    pairs: Annotated[bool, typer.Option("--pairs", help="Every pair of classes on its own.")] = False,
    classes: Classes = None,
    models: Annotated[
        str, typer.Option(help="tree, mps, amplitude-mps, amplitude-tree; several by commas.")
    ] = "tree",
    bonds: Annotated[
        str, typer.Option(help="bond_qubits (max_bond for amplitude models); several by commas.")
    ] = "1",
    seeds: Annotated[str, typer.Option(help="Seeds; several by commas.")] = "0",
    others: Set = None,
    size: Size = None,
    order: Order = "z",
    engine: Annotated[str, typer.Option(help="loky (local processes), dask or serial.")] = "loky",
    workers: Annotated[int | None, typer.Option(min=1, help="Tasks at once (default: one per core).")] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of a Dask scheduler, e.g. tcp://10.0.0.1:8786, for --engine dask."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train every combination of models, bonds, seeds (and pairs of classes), and test each.

    Started again with the same file it does only what is left.

    Example: qtnml study mnist --size 8 --pairs --models tree,mps --bonds 1,2 -o pairs.jsonl
    """
    from qtnml.models import run_trial
    from qtnml.study import run_study

    check_parent(output, data)
    given = named_values(others)
    if own := sorted(given.keys() & _OWN):
        raise InvalidInputError(f"--set {own[0]} has an option of its own here: {_OWN[own[0]]}")
    shared = {"size": size, "order": order, "epochs": None, **settings, **given}
    groups = _groups(data, labels(classes), pairs=pairs)
    tasks = [
        _task(data, model, bond, seed, group, shared)
        for model in models.split(",")
        for bond in _integers("bonds", bonds)
        for seed in _integers("seeds", seeds)
        for group in groups
    ]
    console = Console(stderr=True)

    def show(task: dict[str, Any], result: dict[str, Any]) -> None:
        accuracy = f"{result['test_accuracy']:.4f}"
        console.print(f"{escape(_name(task))}: test accuracy {accuracy}", highlight=False)

    results = run_study(
        run_trial, tasks, output, engine=engine, workers=workers, scheduler=scheduler, on_result=show
    )
    accuracies = [result["test_accuracy"] for result in results]
    worst = min(range(len(tasks)), key=accuracies.__getitem__)
    facts = {
        "tasks": len(tasks),
        "results": str(output),
        "mean_test_accuracy": sum(accuracies) / len(tasks),
        "worst_test_accuracy": accuracies[worst],
        "worst": _name(tasks[worst]),
    }
    report(f"Study of {data}", {k.replace("_", " "): shown(v) for k, v in facts.items()}, facts, as_json)


def _groups(data: str, wanted: list[str] | None, *, pairs: bool) -> list[list[Any] | None]:
    """Sets of classes, one for each task."""
    if not pairs:
        return [wanted]
    from qtnml.data import load_dataset

    found = load_dataset(data, classes=wanted).classes.tolist()
    return [list(pair) for pair in combinations(found, 2)]


def _task(
    data: str, model: str, bond: int, seed: int, classes: list[Any] | None, shared: dict[str, Any]
) -> dict[str, Any]:
    from qtnml.models import trial

    width = {"max_bond": bond} if model.startswith("amplitude") else {"bond_qubits": bond}
    return trial(data, model, classes=classes, random_state=seed, **width, **shared)  # type: ignore[arg-type]


def _name(task: dict[str, Any]) -> str:
    options = task["options"]
    bond = options.get("bond_qubits", options.get("max_bond"))
    classes = "" if task["classes"] is None else f", classes {task['classes']}"
    return f"{task['model']}, bond {bond}, seed {options['random_state']}{classes}"


def _integers(name: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InvalidInputError(f"--{name} takes integers separated by commas, got {text!r}") from None
