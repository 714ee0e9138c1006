"""The application object, its errors, and what every command prints and reads alike."""

import contextlib
import json
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from qtnml.errors import InvalidInputError, QtnmlError

app = typer.Typer(
    name="qtnml",
    help="Tensor networks as quantum models: train classically, compile to a circuit, run it.",
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
        help="digits, iris, breast-cancer (built in), mnist, fashion-mnist, or a file: .csv, .npz, IDX.",
    ),
]
Set = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any other argument of the estimator, e.g. reuploads=1, topology=chow-liu, method=sweeps; "
        "may be repeated.",
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
    return escape(" ".join(str(error).split()))


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, UserWarning) and str(message) not in _shown_warnings:
        _shown_warnings.add(str(message))
        Console(stderr=True).print(
            f"[yellow]warning:[/yellow] {escape(str(message))}", highlight=False, soft_wrap=True
        )


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
    """Tensor networks as quantum models: train classically, compile to a circuit, run it."""


def classifier(estimator: Any) -> Any:
    """The estimator, or an error if it is a Born machine or built on one."""
    from qtnml.models.training import TrainedEstimator

    if not isinstance(estimator, TrainedEstimator):
        raise InvalidInputError(
            f"{type(estimator).__name__} is no trained classifier or regressor; for generative models see "
            "`qtnml born --help`, for others use their methods in Python"
        )
    return estimator


def with_circuit(estimator: Any) -> Any:
    """The estimator, or an error if it has no circuit."""
    if not hasattr(estimator, "compile"):
        raise InvalidInputError(
            f"{type(estimator).__name__} has no circuit yet; train a tree or an mps to compile or measure it"
        )
    return estimator


def named_values(options: list[str] | None, name_of_option: str = "--set") -> dict[str, Any]:
    """Arguments of an estimator from options such as --set reuploads=1; values are JSON or plain text."""
    values: dict[str, Any] = {}
    for option in options or []:
        name, equals, text = option.partition("=")
        if not equals or not name.isidentifier():
            raise InvalidInputError(f"{name_of_option} takes NAME=VALUE, got {option!r}")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


def labels(classes: str | None) -> list[str] | None:
    """The labels in an option such as --classes 3,5."""
    return None if classes is None else [label.strip() for label in classes.split(",")]


def cache_compilations() -> None:
    """Start faster next time; without a writable cache just start."""
    from qtnml.train import enable_compilation_cache

    with contextlib.suppress(OSError):
        enable_compilation_cache()


def check_parent(path: Path, *inputs: Path | str | None) -> None:
    """Fail before the work is done, not when its result is written; what is read is not written over."""
    for source in inputs:
        is_file = isinstance(source, Path) or (source is not None and Path(source).exists())
        if is_file and path.resolve() == Path(str(source)).resolve():
            raise InvalidInputError(f"{path} is another file of this command; choose another place to write")
    if path.is_dir():
        raise InvalidInputError(f"cannot write {path}: it is a folder")
    if not path.parent.is_dir():
        raise InvalidInputError(f"cannot write {path}: there is no folder {path.parent}")


def shown(value: Any) -> str:
    """A value for a person."""
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.4f}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {count}" for name, count in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def report(title: str, rows: dict[str, str], facts: dict[str, Any], as_json: bool) -> None:
    """Print a table, or the facts as JSON."""
    if as_json:
        print(json.dumps(facts))
        return
    table = Table(title=escape(title), show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in rows.items():
        table.add_row(escape(name), escape(value))
    Console().print(table)
