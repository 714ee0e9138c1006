"""Where the name of a backend becomes the object."""

from collections.abc import Callable
from typing import Any

from qtnml.backends.base import Backend
from qtnml.errors import BackendError


def _aer(**options: Any) -> Backend:
    from qtnml.backends.aer import AerBackend

    return AerBackend(**options)


BACKENDS: dict[str, Callable[..., Backend]] = {"aer": _aer}


def get_backend(name: str, **options: Any) -> Backend:
    """Return the backend called `name`; `options` are its own.

    >>> get_backend("aer").name
    'aer'
    """
    if name not in BACKENDS:
        raise BackendError(f"unknown backend {name!r}; choose one of {sorted(BACKENDS)}")
    return BACKENDS[name](**options)
