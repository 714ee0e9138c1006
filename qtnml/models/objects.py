"""Settings that are objects (a loss, an encoding, ...) as JSON, and back."""

from typing import Any

import numpy as np

from qtnml.data.table_encoder import TableEncoder
from qtnml.errors import InvalidInputError, ModelFileError
from qtnml.registry import REGISTRIES

# Settings that may be objects, each with a registry of the classes that a file may name.
OBJECTS = ("ansatz", "encoding", "loss", "optimizer")


def stored_setting(name: str, value: Any) -> Any:
    """A setting as JSON: a name as it is, an object as its class and fields."""
    if value is None or isinstance(value, str):
        return value
    return REGISTRIES[name].stored(value)


def stored_object(name: str, stored: Any) -> Any:
    """The inverse of `stored_setting`."""
    return REGISTRIES[name].restored(stored) if isinstance(stored, dict) else stored


def with_arguments(estimator: Any, arguments: dict[str, Any]) -> Any:
    """The estimator with arguments in JSON types; objects as {"name": class or loss, field: value}."""
    known = estimator.get_params()
    values = {}
    for name, value in arguments.items():
        if name not in known:
            raise InvalidInputError(
                f"{type(estimator).__name__} has no argument {name!r}; it has {', '.join(sorted(known))}"
            )
        if isinstance(value, dict):
            try:
                value = stored_object(name, value)
            except (KeyError, TypeError, ModelFileError) as error:
                raise InvalidInputError(
                    f"{name}={value!r} is none of {sorted(REGISTRIES.get(name, ()))} with its fields"
                ) from error
        values[name] = tuple(value) if isinstance(value, list) else value
    return estimator.set_params(**values)


def plain(value: Any) -> Any:
    """JSON types for NumPy scalars and arrays, inside tuples and dicts as well."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return (
        [plain(item) for item in value]
        if isinstance(value, tuple | list | range | set | frozenset)
        else value
    )


def unfitted_encoder(settings: dict[str, Any]) -> TableEncoder:
    """A table encoder from its settings as JSON types."""
    return TableEncoder(**{**settings, "categorical": tuple(settings["categorical"])})
