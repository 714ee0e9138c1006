"""Optional packages, and which extra brings them."""

import importlib.util

from qtnml.errors import MissingExtraError


def require(package: str, extra: str) -> None:
    """Fail with the cure if a package is not installed."""
    try:
        found = importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # the parent of a dotted name is missing
        found = False
    if not found:
        raise MissingExtraError(f"{package} is not installed; pip install 'qtnml[{extra}]'")
