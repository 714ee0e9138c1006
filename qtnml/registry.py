"""Classes by name, so that files can hold objects of them: the package's own, and those of users."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, is_dataclass
from typing import Any, Literal, TypeVar, overload

from qtnml.errors import InvalidInputError, ModelFileError, NotRegisteredError

Kind = Literal["ansatz", "encoding", "estimator", "loss", "optimizer"]
T = TypeVar("T", bound=type)


class Registry:
    """Name <-> class of one kind of object.

    Attributes:
        kind: What the classes are.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._classes: dict[str, type] = {}

    def register(self, cls: T, name: str | None = None) -> T:
        """Add a class under a name, by default its own `name` or that of the class.

        Raises:
            InvalidInputError: It is no class, or another class has the name.
        """
        if not isinstance(cls, type):
            raise InvalidInputError(f"only classes can be registered, got {cls!r}")
        key = name or self.default_name(cls)
        known = self._classes.get(key)
        # A class that a notebook defines again takes the place of its former self.
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise InvalidInputError(
                f"the name {key!r} is taken by the {self.kind} {known.__qualname__}; choose another: "
                "register(..., name=...)"
            )
        self._classes[key] = cls
        return cls

    def default_name(self, cls: type) -> str:
        """Under which a class is registered: a loss has names of its own, others go by their class."""
        own = vars(cls).get("name") if self.kind == "loss" else None
        return own if isinstance(own, str) else cls.__name__

    def find(self, name: str) -> type:
        """The class of a name.

        Raises:
            NotRegisteredError: None has it.
        """
        if name not in self._classes:
            raise NotRegisteredError(
                f"the {self.kind} {name!r} is not known here; import the module that defines and registers "
                f"it (qtnml.register({self.kind!r}, {name}))"
            )
        return self._classes[name]

    def name_of(self, cls: type) -> str | None:
        """The name of a class; None if exactly this class is not registered."""
        return next((name for name, known in self._classes.items() if known is cls), None)

    def stored(self, value: Any) -> dict[str, Any]:
        """An object as its class's name and fields, for JSON.

        Raises:
            ModelFileError: Its class is not registered, or no dataclass.
        """
        name = self.name_of(type(value))
        if name is None or not is_dataclass(value):
            what = "is not registered" if name is None else "is no dataclass, whose fields could be written"
            cure = f"register it: qtnml.register({self.kind!r}, {type(value).__name__})"
            if not is_dataclass(value):  # such as a transformation of optax's
                cure = f"set_params({self.kind}=...) to a name before you save, or write it as a dataclass"
            raise ModelFileError(
                f"a model with the {self.kind} {value!r} cannot be saved: its class {type(value).__name__} "
                f"{what}; {cure}"
            )
        return {"name": name, **asdict(value)}  # type: ignore[arg-type]

    def restored(self, stored: dict[str, Any]) -> Any:
        """The inverse of `stored`."""
        fields = {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}
        return self.find(str(fields.pop("name")))(**fields)

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __contains__(self, name: object) -> bool:
        return name in self._classes


REGISTRIES: dict[str, Registry] = {
    kind: Registry(kind) for kind in ("ansatz", "encoding", "estimator", "loss", "optimizer")
}


@overload
def register(kind: Kind, cls: T, *, name: str | None = None) -> T: ...
@overload
def register(kind: Kind, cls: None = None, *, name: str | None = None) -> Callable[[T], T]: ...
def register(kind: Kind, cls: T | None = None, *, name: str | None = None) -> T | Callable[[T], T]:
    """Make a class of your own known, so that models with it can be saved and loaded; also as a decorator.

    Ansaetze, encodings, losses and optimisers are dataclasses whose fields are JSON types. An estimator is a
    subclass of one of the package's; what it learns beside that it names in `learnt_attributes`. A file holds
    names and numbers, never code: register the class again before you load it in another process.

    Args:
        kind: "ansatz", "encoding", "estimator", "loss" or "optimizer".
        cls: The class.
        name: In files; by default the class's own.

    Raises:
        InvalidInputError: Another class has the name.

    >>> from dataclasses import dataclass
    >>> @register("loss")
    ... @dataclass(frozen=True)
    ... class Margin:
    ...     width: float = 0.1
    ...     def __call__(self, outputs, targets):
    ...         return outputs[0]
    >>> REGISTRIES["loss"].stored(Margin(0.2))
    {'name': 'Margin', 'width': 0.2}
    """
    if kind not in REGISTRIES:
        raise InvalidInputError(f"kind must be one of {sorted(REGISTRIES)}, got {kind!r}")
    if cls is None:
        return lambda decorated: REGISTRIES[kind].register(decorated, name)
    return REGISTRIES[kind].register(cls, name)
