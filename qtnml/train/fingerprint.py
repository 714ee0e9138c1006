"""Hash of everything that a training run depends on, the same in every process."""

import dataclasses
import functools
import hashlib
import re
from typing import Any

import jax
import numpy as np

_DEEPEST = 12  # a function may close over itself
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def fingerprint(*parts: Any) -> str:
    """Hash of settings and arrays.

    Functions count by name and by what they close over (an optax transformation is such functions), other
    objects by their `repr` without addresses: two objects of a class without a `repr` of its own are alike.
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(_description(part, 0)).encode())
    return digest.hexdigest()


def _description(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return "..."
    deeper = functools.partial(_description, depth=depth + 1)
    if isinstance(value, np.ndarray | jax.Array):
        array = np.ascontiguousarray(value)
        return [str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).hexdigest()]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [deeper(getattr(value, entry.name)) for entry in dataclasses.fields(value)]
        return [type(value).__qualname__, *fields]
    if isinstance(value, tuple | list):
        return [type(value).__qualname__, *map(deeper, value)]
    if isinstance(value, functools.partial):
        return ["partial", deeper(value.func), deeper(value.args), deeper(sorted(value.keywords.items()))]
    if callable(value) and hasattr(value, "__closure__"):
        cells = [deeper(cell.cell_contents) for cell in value.__closure__ or ()]
        return [value.__module__, value.__qualname__, cells, deeper(value.__defaults__ or ())]
    return _ADDRESS.sub("", repr(value))
