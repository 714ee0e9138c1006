"""Where circuits run."""

from qtnml.backends.base import Backend, Capabilities, Counts
from qtnml.backends.registry import get_backend, resolve_backend

__all__ = ["Backend", "Capabilities", "Counts", "get_backend", "resolve_backend"]
