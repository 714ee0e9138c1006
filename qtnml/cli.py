"""The `qtnml` command."""

import contextlib
import csv
import io
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.table import Table

from qtnml.errors import InvalidInputError, QtnmlError

app = typer.Typer(
    name="qtnml",
    help="Tensor networks as quantum classifiers: train classically, compile to a circuit, run it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Classes = Annotated[
    Optional[str],  # noqa: UP045 - typer reads Optional
    typer.Option(help="Keep only these labels, separated by commas, e.g. 3,5."),
]
Size = Annotated[Optional[int], typer.Option(help="Average pictures down to SIZE x SIZE pixels.")]  # noqa: UP045
Order = Annotated[str, typer.Option(help="Pixel order: raster, snake or z (quad-tree, best for trees).")]
Target = Annotated[
    Optional[str], typer.Option(help="Label column of a CSV file (the last by default).")  # noqa: UP045
]
DataArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="digits (built in), mnist, fashion-mnist, or a file: .csv, .npz, IDX.",
    ),
]
ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="A file that `qtnml train` wrote.")]


def main() -> None:
    """Run the command; errors are one line on stderr and exit status 2."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    warnings.showwarning = _show_warning
    try:
        app(args=[argument for argument in arguments if argument != "--debug"], prog_name="qtnml")
    except (QtnmlError, OSError) as error:
        if debug:
            raise
        Console(stderr=True).print(f"[red]error:[/red] {_plain(error)}", highlight=False, soft_wrap=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _plain(error: Exception) -> str:
    from rich.markup import escape

    return escape(" ".join(str(error).split()))


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, UserWarning) and str(message) not in _shown_warnings:
        _shown_warnings.add(str(message))
        Console(stderr=True).print(f"[yellow]warning:[/yellow] {message}", highlight=False, soft_wrap=True)


_shown_warnings: set[str] = set()


def _print_version(wanted: bool) -> None:
    if wanted:
        from qtnml import __version__

        print(f"qtnml {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Tensor networks as quantum classifiers: train classically, compile to a circuit, run it."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("qtnml-demo"),
    shots: Annotated[int, typer.Option(min=1, help="Measurements per image.")] = 1024,
    images: Annotated[int, typer.Option(min=1, help="Test images to run with shots.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of training and shots.")] = 0,
    as_json: Json = False,
) -> None:
    """Run the whole path on real digits: train, compile, run on Aer, compare (under a minute).

    A tree of 64 qubits learns to tell handwritten 3s from 5s, becomes a circuit of 7 qubits through
    mid-circuit reset, and runs on the Aer simulator; pictures are written to a folder.
    """
    from qtnml.demo import run_demo

    _cache_compilations()
    result = run_demo(out, shots=shots, images=images, seed=seed)
    rows = {
        "test accuracy, exact": f"{result.test_accuracy:.4f}",
        f"test accuracy on Aer, {shots} shots": f"{result.shots_accuracy:.4f}",
        "largest |contraction - circuit| probability": f"{result.max_probability_error:.1e}",
        "qubits without reuse": str(result.num_qubits),
        "qubits with reuse": str(result.num_qubits_reuse),
        "depth with reuse": str(result.depth),
        "two-qubit gates": str(result.two_qubit_gates),
        **{f"seconds: {step}": f"{value:.1f}" for step, value in result.seconds.items()},
        "pictures": str(out),
    }
    _report("Handwritten 3 or 5: tree tensor network, 64 pixels", rows, result.to_dict(), as_json)


@app.command()
def train(
    data: DataArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Model file to write.")] = Path(
        "model.qtnml"
    ),
    classes: Classes = None,
    size: Size = None,
    order: Order = "z",
    target: Target = None,
    train_size: Annotated[
        Optional[int], typer.Option(min=1, help="Use only this many training samples.")  # noqa: UP045
    ] = None,
    bond_qubits: Annotated[
        int, typer.Option("--bond-qubits", "-b", help="Width of inner wires, 1 to 3; 1 for up to 4 classes.")
    ] = 1,
    leaf: Annotated[str, typer.Option(help="Leaf wires: data or fresh.")] = "data",
    epochs: Annotated[
        Optional[int], typer.Option(min=1, help="Passes over the data (default: chosen by its size).")  # noqa: UP045
    ] = None,
    loss: Annotated[str, typer.Option(help="cross-entropy or hinge (the paper's).")] = "cross-entropy",
    batch_size: Annotated[int, typer.Option(help="Samples per step.")] = 250,
    patience: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Stop after this many epochs without improvement."),
    ] = None,
    learning_rate: Annotated[float, typer.Option(help="First step, in radians.")] = 0.03,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, split and batches.")] = 0,
    as_json: Json = False,
) -> None:
    """Train a tree classifier and write it to a file.

    The file remembers how the data were read, for `qtnml predict`. Ctrl-C ends training early and
    writes the best model so far, with exit status 130; before the first epoch nothing is written.

    Example: qtnml train mnist --size 8 --classes 3,5 --bond-qubits 2 -o model.qtnml
    """
    from qtnml.data import load_dataset
    from qtnml.models import TreeClassifier

    _check_parent(output)
    _cache_compilations()
    loaded = load_dataset(
        data, size=size, classes=_labels(classes), order=order, target=target, train_size=train_size
    )
    clf = TreeClassifier(
        bond_qubits,
        leaf=leaf,  # type: ignore[arg-type]
        epochs=epochs,
        loss=loss,
        batch_size=batch_size,
        patience=patience,
        learning_rate=learning_rate,
        random_state=seed,
        verbose=1,
    )
    began = time.perf_counter()
    X_train, X_test = loaded.raw(loaded.X_train), loaded.raw(loaded.X_test)
    clf.fit(X_train, loaded.y_train)
    seconds = time.perf_counter() - began
    clf.notes_ = {
        "data": loaded.name,
        "size": size,
        "order": order,
        "classes": None if classes is None else clf.classes_.tolist(),
        "target": target,
        "feature_names": list(loaded.feature_names),
    }
    clf.save(output)
    facts = {
        "model": str(output),
        "train_samples": len(X_train),
        "num_features": loaded.num_features,
        "classes": clf.classes_.tolist(),
        "nodes": len(clf.model_.topology.nodes),
        "parameters": clf.model_.num_parameters,
        "epochs": clf.n_iter_,
        "train_accuracy": clf.score(X_train, loaded.y_train),
        "test_accuracy": clf.score(X_test, loaded.y_test),
        "lost_mass": float(clf.lost_mass(X_test).mean()),
        "seconds": round(seconds, 3),
    }
    rows = {name.replace("_", " "): _shown(value) for name, value in facts.items()}
    _report(f"Trained on {loaded.name}", rows, facts, as_json)
    if clf.stopped_ == "interrupted":
        raise typer.Exit(130)


@app.command(name="compile")
def compile_(
    model: ModelArgument,
    reuse: Annotated[
        bool, typer.Option("--reuse/--no-reuse", help="Reset and reuse qubits that were let go.")
    ] = True,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="Write the circuit: .qasm (OpenQASM 3) or .qpy."),
    ] = None,
    free_weights: Annotated[
        bool, typer.Option("--free-weights", help="Leave the weights w as parameters, too.")
    ] = False,
    draw: Annotated[
        Optional[Path], typer.Option(help="Write a drawing (.png, .svg, .pdf).")  # noqa: UP045
    ] = None,
    as_json: Json = False,
) -> None:
    """Compile a trained model into a quantum circuit and say what it costs.

    The written circuit has one free parameter per feature: the angle pi * feature in radians.
    Example: qtnml compile model.qtnml -o model.qasm --draw model.png
    """
    from qtnml.models import load_model

    for path in (output, draw):
        if path is not None:
            _check_parent(path)
    if draw is not None and draw.suffix not in (".png", ".svg", ".pdf"):
        raise InvalidInputError(f"cannot draw {draw}; end it in .png, .svg or .pdf")
    compiled = load_model(model).compile(reuse_qubits=reuse)
    if output is not None:
        from qtnml.compile import export_circuit

        export_circuit(compiled, output, free_weights=free_weights)
    if draw is not None:
        from qtnml.plots import plot_circuit

        plot_circuit(compiled).savefig(draw, dpi=120)
    facts = {
        "num_qubits": compiled.num_qubits,
        "depth": compiled.depth,
        "two_qubit_gates": compiled.two_qubit_gates,
        "resets": compiled.num_resets,
        "data_parameters": len(compiled.x),
        "weight_parameters": len(compiled.w),
        "infidelity": compiled.infidelity,
    }
    _report(f"Circuit of {model}", {k.replace("_", " "): _shown(v) for k, v in facts.items()}, facts, as_json)


@app.command()
def predict(
    model: ModelArgument,
    data: DataArgument,
    classes: Classes = None,
    size: Size = None,
    order: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Pixel order: raster, snake or z."),
    ] = None,
    target: Target = None,
    backend: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Measure on this backend (aer) instead of computing exactly."),
    ] = None,
    shots: Annotated[int, typer.Option(min=1, help="Measurements per sample, with --backend.")] = 1024,
    reuse: Annotated[bool, typer.Option("--reuse/--no-reuse", help="Qubit reuse, with --backend.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the shots.")] = 0,
    limit: Annotated[Optional[int], typer.Option(min=1, help="Only the first LIMIT samples.")] = None,  # noqa: UP045
    output: Annotated[
        Optional[Path],  # noqa: UP045
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
        _check_parent(output)
    clf = load_model(model)
    X, y = samples_for(clf, data, classes=_labels(classes), size=size, order=order, target=target)
    X, y = X[:limit], y if y is None else y[:limit]
    reader: Any = clf
    if backend is not None:
        reader = clf.to_backend(backend, shots=shots, reuse_qubits=reuse, random_state=seed, verbose=1)
    proba = reader.predict_proba(X)
    predicted = clf.classes_[proba.argmax(axis=1)]
    if output is not None:
        _write_predictions(output, clf.classes_, predicted, proba)
    counts = {str(label): int((predicted == label).sum()) for label in clf.classes_}
    facts: dict[str, Any] = {"samples": len(X), "backend": backend or "exact", "predicted": counts}
    if y is not None:
        facts["accuracy"] = float((predicted == y).mean())
    _report(f"Predictions of {model}", {k: _shown(v) for k, v in facts.items()}, facts, as_json)


def _labels(classes: str | None) -> list[str] | None:
    return None if classes is None else [label.strip() for label in classes.split(",")]


def _cache_compilations() -> None:
    """Start faster next time; without a writable cache just start."""
    from qtnml.train import enable_compilation_cache

    with contextlib.suppress(OSError):
        enable_compilation_cache()


def _check_parent(path: Path) -> None:
    """Fail before the work is done, not when its result is written."""
    if not path.parent.is_dir():
        raise InvalidInputError(f"cannot write {path}: there is no folder {path.parent}")


def _write_predictions(path: Path, classes: Any, predicted: Any, proba: Any) -> None:
    from qtnml.storage import write_atomically

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["predicted", *(f"p({label})" for label in classes)])
    writer.writerows([label, *(f"{p:.8f}" for p in row)] for label, row in zip(predicted, proba, strict=True))
    write_atomically(path, text.getvalue().encode())


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.4f}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {count}" for name, count in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _report(title: str, rows: dict[str, str], facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts))
        return
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print(table)
