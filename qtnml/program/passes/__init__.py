"""Passes: they rewrite programs for less noise on a device and do not change the result."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from qtnml.errors import InvalidInputError
from qtnml.program.passes.base import Pass
from qtnml.program.passes.decoupling import Decouple
from qtnml.program.passes.feed_forward import FeedForward
from qtnml.program.passes.merging import Merge
from qtnml.program.passes.reads import HoldReads
from qtnml.program.passes.resets import SkipResets
from qtnml.program.passes.twirling import Twirl

#: By name, in an order in which they go well together; "twirl-7" is twirling with seed 7.
PASSES: dict[str, Callable[[], Pass]] = {
    "skip-resets": SkipResets,
    "feed-forward": FeedForward,
    "twirl": Twirl,
    "merge": Merge,
    "decouple": Decouple,
    "hold-reads": HoldReads,
}


def passes_of(given: Any) -> tuple[Pass, ...]:
    """Passes from one or several names or objects.

    >>> [each.name for each in passes_of(["merge", HoldReads()])]
    ['merge', 'hold-reads']
    """
    if given is None:
        return ()
    if isinstance(given, str) or not isinstance(given, Iterable):
        given = [given]
    return tuple(map(_pass, given))


def _pass(given: Any) -> Pass:
    if isinstance(given, str) and given in PASSES:
        return PASSES[given]()
    if isinstance(given, str) and (match := re.fullmatch(r"twirl-(\d+)", given)):
        return Twirl(int(match[1]))
    if not isinstance(given, str | type) and callable(given) and hasattr(given, "binds_weights"):
        return given  # type: ignore[no-any-return]
    if given == "auto":
        raise InvalidInputError(
            "passes='auto' stands alone, in compile(..., passes='auto') or to_backend: it needs the model"
        )
    raise InvalidInputError(
        f"unknown pass {given!r}; choose of {', '.join(PASSES)}, or give an object of qtnml.program.passes"
    )


__all__ = [
    "PASSES",
    "Decouple",
    "FeedForward",
    "HoldReads",
    "Merge",
    "Pass",
    "SkipResets",
    "Twirl",
    "passes_of",
]
