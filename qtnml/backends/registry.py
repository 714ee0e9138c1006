"""Where the name of a backend becomes the object."""

from collections.abc import Callable
from typing import Any

from qtnml.backends.base import Backend
from qtnml.errors import BackendError


def _aer(**options: Any) -> Backend:
    from qtnml.backends.aer import AerBackend

    return AerBackend(**options)


BACKENDS: dict[str, Callable[..., Backend]] = {"aer": _aer}


def resolve_backend(backend: "Backend | str") -> Backend:
    """Return a backend as it is, or the one called by a name; refuse anything else."""
    if isinstance(backend, str):
        return get_backend(backend)
    if not isinstance(backend, Backend):
        raise BackendError(
            f"a backend must be a name such as 'aer' or have the members of qtnml.backends.Backend, got "
            f"{type(backend).__name__}; use get_backend('aer')"
        )
    return backend


def get_backend(name: str, **options: Any) -> Backend:
    """Return the backend called `name`; `options` are its own.

    >>> get_backend("aer").name
    'aer'
    """
    if not isinstance(name, str) or name not in BACKENDS:
        raise BackendError(f"unknown backend {name!r}; choose one of {sorted(BACKENDS)}")
    return BACKENDS[name](**options)
