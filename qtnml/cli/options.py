"""Options made from the estimators' own signatures and docstrings.

The source is read, not imported: `qtnml --help` loads neither JAX nor scikit-learn.
"""

import ast
import functools
import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from qtnml.docstrings import completed, entries
from qtnml.errors import InvalidInputError

_ROOT = Path(__file__).parents[1]
#: Read in this order: a docstring refers to classes before it.
_FILES = (
    "models/estimator.py",
    "models/classifiers.py",
    "models/regressors.py",
    "models/amplitude_mps.py",
    "models/amplitude_tree.py",
    "models/born_training.py",
    "models/born_machine.py",
    "models/born.py",
    "noise/device.py",
    "jobs/store.py",
)
_STRUCTURE = {
    "bond_qubits", "max_bond", "leaf", "topology", "reuploads", "encoding", "ansatz", "discard", "cores",
    "label", "order", "complex_amplitudes", "reconnect", "feature_range", "init", "init_bond", "init_scale",
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """One argument of one or several classes.

    Attributes:
        name: As in Python.
        annotation: As in the source.
        text: What the docstring says of it.
        defaults: Model -> default, as in the source.
    """

    name: str
    annotation: str
    text: str
    defaults: Mapping[str, str]

    @property
    def kind(self) -> type | None:
        """Of an option's value; None where no option can hold it."""
        parts = set(self._parts) - {"None"}
        for kind in (bool, int, float):
            if parts == {kind.__name__}:
                return kind
        return str if any(part == "str" or part.startswith("Literal[") for part in parts) else None

    @property
    def choices(self) -> list[str]:
        """Of a literal."""
        return re.findall(r"'([^']*)'", self.annotation)

    def value(self, given: Any) -> Any:
        """What an option's value stands for: text may be JSON where the argument takes more than text."""
        takes_more = not {part.split("[")[0] for part in self._parts} <= {"str", "Literal", "None"}
        if self.kind is not str or not takes_more:
            return given
        pair = "tuple" in {part.split("[")[0] for part in self._parts} and given.count(",") == 1
        for text in (given, f"[{given.strip('()')}]" if pair else given):
            try:
                return json.loads(text)
            except ValueError:
                continue
        return given

    @property
    def _parts(self) -> list[str]:
        """Of a union."""
        return [part.strip() for part in re.split(r"\|(?![^\[]*\])", self.annotation)]


@functools.cache
def _classes() -> dict[str, tuple[tuple[str, ...], dict[str, tuple[str, str]] | None, dict[str, str]]]:
    """Class -> its bases, its own arguments (annotation, default) if it has some, what is said of them."""
    found: dict[str, tuple[tuple[str, ...], dict[str, tuple[str, str]] | None, dict[str, str]]] = {}
    for file in _FILES:
        for node in ast.parse((_ROOT / file).read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                doc = completed(node.name, ast.get_docstring(node) or "")
                told = entries(doc, "Args") | entries(doc, "Attributes")
                bases = tuple(base.id for base in node.bases if isinstance(base, ast.Name))
                found[node.name] = bases, _arguments(node), told
    return found


def _arguments(node: ast.ClassDef) -> dict[str, tuple[str, str]] | None:
    """Of `__init__`, or the fields of a dataclass."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            given = part.args
            plain = given.args[1:]
            defaults = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
            pairs = [
                *zip(plain, defaults, strict=True),
                *zip(given.kwonlyargs, given.kw_defaults, strict=True),
            ]
            return {
                arg.arg: (ast.unparse(arg.annotation), ast.unparse(default))
                for arg, default in pairs
                if arg.annotation is not None and default is not None
            }
    fields = {
        part.target.id: (ast.unparse(part.annotation), _default_of(part.value))
        for part in node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and part.value is not None
    }
    is_dataclass = any("dataclass" in ast.unparse(each) for each in node.decorator_list)
    return fields if is_dataclass else None


def _default_of(value: ast.expr) -> str:
    """Of a dataclass's field, `field(default=...)` or the value itself."""
    if isinstance(value, ast.Call):
        given = {keyword.arg: keyword.value for keyword in value.keywords}
        value = given.get("default", value)
    return ast.unparse(value)


def _inherited(name: str) -> dict[str, tuple[str, str]]:
    bases, own, _ = _classes()[name]
    if own is not None:
        return own
    known = [_inherited(base) for base in bases if base in _classes()]
    return next((found for found in known if found), {})


def settings_of(models: Mapping[str, str]) -> list[Setting]:
    """Arguments of the classes, each once, that an option can hold.

    Args:
        models: What the command line calls a model -> its class.
    """
    found: dict[str, tuple[str, str, dict[str, str]]] = {}
    for model, name in models.items():
        told = _classes()[name][2]
        for argument, (annotation, default) in _inherited(name).items():
            known = found.setdefault(argument, (annotation, told.get(argument, ""), {}))
            known[2][model] = default
    settings = [Setting(name, *rest) for name, rest in found.items()]
    return [setting for setting in settings if setting.kind is not None]


def with_settings(
    models: Mapping[str, str],
    *,
    without: frozenset[str] | set[str] = frozenset(),
    short: Mapping[str, str] | None = None,
    panel: str | None = None,
    into: str = "settings",
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for every argument of the classes; it gets those that are set as a dict.

    Args:
        models: See `settings_of`.
        without: Arguments that the command has options of its own for, or none.
        short: Argument -> letter.
        panel: Where help shows them; by default "The model" and "Training".
        into: The command's argument for them.
    """
    settings = {setting.name: setting for setting in settings_of(models) if setting.name not in without}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command)
        options = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=_annotation(setting, models, (short or {}).get(name), panel),
            )
            for name, setting in settings.items()
        ]

        @functools.wraps(command)
        def wrapper(**values: Any) -> None:
            given = {name: values.pop(name) for name in settings}
            set_ = {name: settings[name].value(value) for name, value in given.items() if value is not None}
            command(**values, **{into: set_})

        kept = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in own.parameters.items()
            if name != into
        ]
        parameters = [*kept, *options]
        wrapper.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {each.name: each.annotation for each in parameters}
        return wrapper

    return decorate


def _annotation(setting: Setting, models: Mapping[str, str], letter: str | None, panel: str | None) -> Any:
    option = "--" + setting.name.replace("_", "-")
    names = [f"{option}/--no-{option[2:]}"] if setting.kind is bool else [option]
    extra: dict[str, Any] = {}
    if setting.choices and setting.kind is str:
        pair = ["LOW,HIGH"] if "tuple[float, float]" in setting.annotation else []
        extra["metavar"] = "|".join([*setting.choices, *pair])
    return Annotated[
        setting.kind | None,  # type: ignore[operator]
        typer.Option(
            *names,
            *([f"-{letter}"] if letter else []),
            help=escape(" ".join(filter(None, _told(setting, list(models))))),
            show_default=False,
            rich_help_panel=panel or ("The model" if setting.name in _STRUCTURE else "Training"),
            **extra,
        ),
    ]


def _told(setting: Setting, models: list[str]) -> list[str]:
    """What it is, whose it is if not everybody's, and the default; None is what the text speaks of."""
    owners = [model for model in models if model in setting.defaults]
    others = [model for model in models if model not in owners]
    where = (
        f"Only for {', '.join(owners)}." if len(owners) <= len(others) else f"Not for {', '.join(others)}."
    )
    by_value: dict[str, list[str]] = {}
    for model, value in setting.defaults.items():
        by_value.setdefault(value.strip("'\""), []).append(model)
    told = {value: those for value, those in by_value.items() if value != "None"}
    if len(by_value) == 1:
        default = "".join(f"[default: {value}]" for value in told)
    else:
        parts = (f"{value} for {', '.join(those)}" for value, those in told.items())
        default = f"[default: {'; '.join(parts)}]"
    return [_first_sentence(setting.text), where if others else "", default]


def _first_sentence(text: str) -> str:
    """Of what a docstring says."""
    found = re.match(r".*?[.](?=\s+[A-Z`\"]|$)", text, re.DOTALL)
    return (found[0] if found else text).replace("`", "")


def estimator_of(
    models: Mapping[str, str], model: str, settings: dict[str, Any], others: dict[str, Any]
) -> Any:
    """The estimator called `model`; options it has not are refused.

    Args:
        models: See `settings_of`.
        model: What the user asked for.
        settings: From options, by name.
        others: Further arguments, which need not be options.
    """
    import qtnml
    from qtnml.models import with_arguments

    if model not in models:
        raise InvalidInputError(f"unknown model {model!r}; choose one of {list(models)}")
    estimator = getattr(qtnml, models[model])()
    known = estimator.get_params()
    for name, value in settings.items():
        if name not in known:
            option = name.replace("_", "-")
            raise InvalidInputError(f"--{option} {value} has no meaning for {model}; leave it out")
    return with_arguments(estimator, settings | others)
