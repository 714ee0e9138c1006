"""The application object, its errors, and what every command prints and reads alike."""

import contextlib
import inspect
import json
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from qtnml.errors import InvalidInputError, QtnmlError

DATA = "Data"
TRAIN, CIRCUITS, RUN = "Train", "Circuits", "Run"
_ORDER = ("demo", "train", "born", "study", "compile", "circuits", "predict", "noise", "jobs")


class InOrder(TyperGroup):
    """Commands in the order in which one meets them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, for the help."""
        return sorted(
            super().list_commands(ctx),
            key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER),
        )


app = typer.Typer(
    name="qtnml",
    cls=InOrder,
    help="Tensor networks as quantum models: train classically, compile to a circuit, run it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Classes = Annotated[
    str | None,
    typer.Option(help="Keep only these labels, separated by commas, e.g. 3,5.", rich_help_panel=DATA),
]
Size = Annotated[
    int | None, typer.Option(help="Average pictures down to SIZE x SIZE pixels.", rich_help_panel=DATA)
]
Order = Annotated[
    str,
    typer.Option(
        help="Pixel order: raster, snake, z (quad-tree, best for trees) or patches (2x2).",
        rich_help_panel=DATA,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(help="Label column of a CSV file (the last by default).", rich_help_panel=DATA),
]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="The first row of a CSV file names its columns (default: by its cells).",
        rich_help_panel=DATA,
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        help="Keep the state of training here; a killed run goes on from it.", rich_help_panel="Training"
    ),
]
DataArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="digits, iris, breast-cancer (built in), mnist, fashion-mnist, or a file: .csv, .npz, IDX.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help='An argument as JSON or text, e.g. ansatz=\'{"name": "BrickWall", "depth": 4}\'; repeatable.',
        rich_help_panel="The model",
    ),
]
ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="A file that `qtnml train` wrote.")]


def main() -> None:
    """Run the command; errors are one line on stderr and exit status 2, those of the program itself 70."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):
        # A terminal of another encoding shows what it can, and the work is not lost over a name.
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app(args=[argument for argument in arguments if argument != "--debug"], prog_name="qtnml")
    except (QtnmlError, OSError) as error:
        if debug:
            raise
        _say(f"[red]error:[/red] {_plain(error)}")
        raise SystemExit(2) from None
    except MemoryError:
        if debug:
            raise
        _say("[red]error:[/red] out of memory; take fewer samples, smaller bonds or a smaller batch")
        raise SystemExit(2) from None
    except KeyboardInterrupt as error:
        if str(error):
            _say(_plain(error))
        raise SystemExit(130) from None
    except Exception as error:
        if debug:
            raise
        _say(
            f"[red]error:[/red] {type(error).__name__}: {_plain(error)} (a defect of qtnml; please report it "
            "with what --debug shows)"
        )
        raise SystemExit(70) from None


def _say(text: str) -> None:
    Console(stderr=True).print(text, highlight=False, soft_wrap=True)


def _plain(error: BaseException) -> str:
    return escape(" ".join(str(error).split()))


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, UserWarning) and str(message) not in _shown_warnings:
        _shown_warnings.add(str(message))
        _say(f"[yellow]warning:[/yellow] {escape(str(message))}")


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
    """Tensor networks as quantum models: train classically, compile to a circuit, run it.

    Start with `qtnml demo`, then: qtnml train digits --classes 3,5 -o model.qtnml
    """


def tidy_help(group: typer.Typer) -> None:
    """Join the lines of each paragraph of the commands' docstrings: the terminal breaks them."""
    for command in group.registered_commands:
        text = inspect.cleandoc(command.help or getattr(command.callback, "__doc__", "") or "")
        parts = [" ".join(part.split()) for part in text.replace("\nExample:", "\n\nExample:").split("\n\n")]
        command.help = "\n\n".join(filter(None, parts))


def classifier(estimator: Any) -> Any:
    """The estimator, or an error if it is a Born machine or built on one."""
    from qtnml.models.training import TrainedEstimator

    _refuse_tuned(estimator)
    if not isinstance(estimator, TrainedEstimator):
        raise InvalidInputError(
            f"{type(estimator).__name__} is no trained classifier or regressor; for generative models see "
            "`qtnml born --help`, for others use their methods in Python"
        )
    return estimator


def _refuse_tuned(estimator: Any) -> None:
    """Refuse what was trained on a backend: a circuit, without the network that the commands read."""
    if hasattr(estimator, "trained"):
        raise InvalidInputError(
            "this model was tuned on a backend and is a circuit alone; use it in Python: load_model(path), "
            "and qtnml.compile.export_bound(model.trained, ...) for its circuits"
        )


def with_circuit(estimator: Any) -> Any:
    """The estimator, or of an amplitude classifier its circuit; an error if there is none."""
    _refuse_tuned(estimator)
    if not hasattr(estimator, "compile"):
        raise InvalidInputError(
            f"{type(estimator).__name__} has no circuit; take a classifier, a regressor or a Born machine"
        )
    return estimator.to_network() if hasattr(estimator, "to_network") else estimator


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

    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: there is no home folder
        enable_compilation_cache()


def check_figure(path: Path | None, *inputs: Path | str | None) -> None:
    """Refuse a picture that cannot be written, before the work is done."""
    if path is None:
        return
    check_parent(path, *inputs)
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise InvalidInputError(f"cannot draw {path}; end it in .png, .svg or .pdf")


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
    # A title of the table would be broken where the table ends.
    Console().print(escape(title), style="italic", highlight=False, soft_wrap=True)
    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in rows.items():
        table.add_row(escape(name), escape(value))
    Console().print(table)
