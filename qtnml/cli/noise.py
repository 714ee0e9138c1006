"""`qtnml noise`: accuracy against a device's numbers."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from qtnml.cli.app import (
    RUN,
    Classes,
    Json,
    Size,
    app,
    check_figure,
    check_parent,
    classifier,
    labels,
    report,
    with_circuit,
)
from qtnml.cli.options import with_settings
from qtnml.errors import InvalidInputError


@app.command(rich_help_panel=RUN)
@with_settings({"": "DeviceNoise"}, without={"name", "strength", "dt"}, panel="The device")
def noise(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL...",
            help="Files of `qtnml train`; those that differ in their seed alone make a band.",
        ),
    ],
    *,
    settings: dict[str, Any],
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AXIS=V,V,...",
            help="Values to take, e.g. t1=1e-6,1e-5,1e-4; may be repeated: all combinations. Axes: t1, t2, "
            "gate_time, strength, dephasing, depolarizing, readout_error, num_qubits, and all options here; "
            "with --device strength and num_qubits.",
        ),
    ] = None,
    t1: Annotated[float, typer.Option(help="Seconds.", rich_help_panel="The device")] = float("inf"),
    t2: Annotated[
        float | None, typer.Option(help="Seconds (default: 2 T1).", rich_help_panel="The device")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="A device's own noise, on qubits the compiler chooses, e.g. fake:torino."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Test samples: a data set or a file (default: what the model was trained on)."),
    ] = None,
    classes: Classes = None,
    size: Size = None,
    order: Annotated[
        str | None,
        typer.Option(help="Pixel order: raster, snake, z or patches (default: as the model was trained)."),
    ] = None,
    reuse: Annotated[
        bool | None,
        typer.Option(
            "--reuse/--no-reuse", help="Qubit reuse (default: as the model says).", show_default=False
        ),
    ] = None,
    num_qubits: Annotated[
        int | None,
        typer.Option(
            min=1, help="Use up to so many qubits (default: the fewest, or with --device the best)."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first LIMIT samples.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the table: .csv or .json."),
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw accuracy over the grid.")] = None,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Which qubit hurts most, by source, instead of a grid.")
    ] = False,
    results: Annotated[
        Path | None,
        typer.Option(help="JSON lines, written as they come; a study started again does what is left."),
    ] = None,
    engine: Annotated[str, typer.Option(help="serial, loky (local processes) or dask.")] = "serial",
    workers: Annotated[int | None, typer.Option(min=1, help="Points at once.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    as_json: Json = False,
) -> None:
    """Exact accuracy of trained models under a device's noise, at one point or over a grid.

    Example: qtnml noise model.qtnml --t2 8e-5 --two-qubit-time 7e-8 --grid t1=1e-5,5e-5,2e-4 --figure t1.png
    """
    from qtnml.models import load_model, noise_study
    from qtnml.noise import DeviceNoise

    check_figure(figure, *models)
    for path in (output, results):
        if path is not None:
            check_parent(path, *models)
    if output is not None and output.suffix not in (".csv", ".json"):
        raise InvalidInputError(f"--output takes a .csv or .json file, got {output}")
    loaded = [classifier(with_circuit(load_model(path))) for path in models]
    for path, model in zip(models, loaded, strict=True):
        if not hasattr(model, "classes_"):
            raise InvalidInputError(f"{path} holds a {type(model).__name__}; noise studies take classifiers")
    X, y = _samples(loaded[0], data, classes, size, order)
    X, y = X[:limit], y[:limit]
    given = DeviceNoise(t1=t1, t2=t2, **settings)
    circuit: dict[str, Any] = {"reuse_qubits": reuse, "num_qubits": num_qubits}
    _check_together(device, grid, given, sensitivity=sensitivity, table=output, figure=figure)
    if sensitivity:
        _print_sensitivity(loaded[0], X, y, device or given, circuit, figure, as_json)
        return
    if not grid:
        _print_point(models, loaded, X, y, device or given, circuit, as_json)
        return
    axes: dict[str, list[float]] = {}
    for name, values in map(_axis, grid):
        axes[name] = axes.get(name, []) + values
    found = noise_study(
        _by_name(loaded),
        X,
        y,
        axes,
        noise=device or given,
        path=results,
        engine=engine,
        workers=workers,
        scheduler=scheduler,
        **circuit,
    )
    if output is not None:
        (found.to_csv if output.suffix == ".csv" else found.to_json)(output)
    if figure is not None:
        from qtnml.plots import plot_noise_study
        from qtnml.storage import save_figure

        save_figure(plot_noise_study(found), figure)
    widths = found.bands("qubits")
    rows = {
        f"{name}, {_point(axes, point)}": f"{_band(*values)} on {widths[name][point][1]} qubits"
        for name, points in found.bands().items()
        for point, values in points.items()
    }
    report("Accuracy under noise", rows, {"rows": found.plain_rows()}, as_json)


def _check_together(
    device: str | None,
    grid: list[str] | None,
    given: Any,
    *,
    sensitivity: bool,
    table: Path | None,
    figure: Path | None,
) -> None:
    """Refuse options that would have no effect beside others."""
    from qtnml.noise import DeviceNoise

    if device is not None and given != DeviceNoise():
        raise InvalidInputError("--device has its own numbers; leave --t1 and the others out")
    if sensitivity and grid:
        raise InvalidInputError("--sensitivity is about one point; leave --grid out")
    if table is not None and not grid:
        raise InvalidInputError("-o writes a grid's table; give --grid")
    if figure is not None and not (grid or sensitivity):
        raise InvalidInputError("--figure draws a grid or --sensitivity; give one of them")


def _band(mean: float, low: float, high: float) -> str:
    return f"{mean:.4f} ({low:.4f} to {high:.4f})" if high > low else f"{mean:.4f}"


def _samples(
    model: Any, data: str | None, classes: str | None, size: int | None, order: str | None
) -> tuple[Any, Any]:
    """Test samples and labels in the model's own units."""
    from qtnml.models import samples_for

    source = data or getattr(model, "notes_", {}).get("data")
    if source is None:
        raise InvalidInputError(
            "the model does not know its data, as it is none of `qtnml train`; give --data, and --classes, "
            "--size and --order as it was trained"
        )
    X, y = samples_for(model, source, classes=labels(classes), size=size, order=order)
    if y is None:
        raise InvalidInputError(f"{source} has no labels, which accuracy needs")
    return X, y


def _axis(option: str) -> tuple[str, list[float]]:
    name, _, text = option.partition("=")
    try:
        return name.replace("-", "_"), [float(part) for part in text.split(",")]
    except ValueError:
        raise InvalidInputError(f"--grid takes AXIS=V,V,..., got {option!r}") from None


def _by_name(models: list[Any]) -> dict[str, list[Any]]:
    """Models that differ in their seed alone share a name."""
    found: dict[str, list[Any]] = {}
    for model in models:
        ansatz = "" if model.ansatz == "full" else f", {getattr(model.ansatz, 'name', model.ansatz)}"
        name = f"{type(model).__name__} V={model.model_.topology.widest}{ansatz}"
        found.setdefault(name, []).append(model)
    return found


def _point(axes: dict[str, list[float]], point: tuple[float, ...]) -> str:
    return ", ".join(f"{axis} {value:g}" for axis, value in zip(axes, point, strict=True))


def _print_point(
    paths: list[Path], models: list[Any], X: Any, y: Any, noise: Any, circuit: dict[str, Any], as_json: bool
) -> None:
    """Accuracy with and without one kind of noise."""
    from qtnml.models import noise_study

    named = dict(zip(map(str, paths), models, strict=True))
    study = noise_study(named, X, y, {"strength": [1.0]}, noise=noise, **circuit)
    facts = {
        row["model"]: {
            "accuracy": named[row["model"]].score(X, y),
            "under_noise": row["accuracy"],
            "qubits": row["qubits"],
        }
        for row in study.rows
    }
    rows = {
        name: f"{each['accuracy']:.4f} -> {each['under_noise']:.4f} ({each['qubits']} qubits)"
        for name, each in facts.items()
    }
    report("Accuracy without noise -> under it", rows, facts, as_json)


def _print_sensitivity(
    model: Any, X: Any, y: Any, noise: Any, circuit: dict[str, Any], figure: Path | None, as_json: bool
) -> None:
    """What each qubit costs."""
    found = model.noise_sensitivity(X, y, noise=noise, **circuit)
    if figure is not None:
        from qtnml.plots import plot_sensitivity
        from qtnml.storage import save_figure

        save_figure(plot_sensitivity(found), figure)
    facts = {
        "probability": found.probability,
        "sources": list(found.sources),
        "by_qubit": dict(zip(map(str, found.qubits), found.by_qubit.tolist(), strict=True)),
    }
    if as_json:
        report("", {}, facts, as_json)
    else:
        Console().print(str(found), highlight=False, soft_wrap=True)
