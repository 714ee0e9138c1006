"""Settings that are objects (a loss, an encoding, ...) as JSON, and back."""

from dataclasses import asdict
from typing import Any

import numpy as np

from qtnml.ansatz import BrickWall, FullUnitary, HermitianExponential, Orthogonal
from qtnml.data.table_encoder import TableEncoder
from qtnml.encoding import AngleEncoding, MultiQubitEncoding, RationalEncoding
from qtnml.errors import InvalidInputError, ModelFileError
from qtnml.train import SPSA, CalibratedSPSA, RiemannianAdam
from qtnml.train.losses import LOSSES

# Settings that may be objects, and the classes that come back from a file.
OBJECTS: dict[str, dict[str, Any]] = {
    "loss": dict(LOSSES),
    "encoding": {cls.__name__: cls for cls in (AngleEncoding, RationalEncoding, MultiQubitEncoding)},
    "ansatz": {cls.__name__: cls for cls in (FullUnitary, Orthogonal, HermitianExponential, BrickWall)},
    "optimizer": {cls.__name__: cls for cls in (RiemannianAdam, SPSA, CalibratedSPSA)},
}
_CURES = {
    "loss": "set_params(loss=None) first, predictions do not need it",
    "optimizer": "set_params(optimizer='adam') first, predictions do not need it",
    "encoding": "save params_ yourself, the file format knows the built-in encodings only",
    "ansatz": "save params_ yourself, the file format knows the built-in ansaetze only",
}


def stored_setting(name: str, value: Any) -> Any:
    """A setting as JSON: a name as it is, an object of ours as its class and fields."""
    if value is None or isinstance(value, str):
        return value
    key = getattr(value, "name", "") if name == "loss" else type(value).__name__
    if OBJECTS[name].get(key) is not type(value):
        raise ModelFileError(
            f"a model with the user-defined {name} {value!r} cannot be saved; {_CURES[name]}"
        )
    return {"name": key, **asdict(value)}


def stored_object(name: str, stored: Any) -> Any:
    """The inverse of `stored_setting`."""
    if not isinstance(stored, dict):
        return stored
    fields = dict(stored)
    return OBJECTS[name][fields.pop("name")](**fields)


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
            except (KeyError, TypeError) as error:
                raise InvalidInputError(
                    f"{name}={value!r} is none of {sorted(OBJECTS.get(name, {}))} with its fields"
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
