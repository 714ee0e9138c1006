"""Extends circuits of a state by more gates, which start at the identity (arXiv:2208.13673)."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from qtnml.errors import InvalidInputError
from qtnml.shallow.blocks import Blocks, Point
from qtnml.shallow.device import line_on
from qtnml.shallow.layouts import on_edges
from qtnml.shallow.vector import all_unlinked
from qtnml.shallow.window import Pair


def extension_pairs(wanted: Any, num_places: int, linked: Sequence[Pair]) -> tuple[Pair, ...]:
    """Pairs of the gates that are added.

    Args:
        wanted: "all" pairs that no gate joins yet, "neighbours" of the chain (a brick wall of two layers),
            None for no gate, a device (the edges around a line of its qubits), or pairs.
        num_places: Qubits.
        linked: Pairs of the gates there are.
    """
    if wanted is None:
        return ()
    if isinstance(wanted, str):
        if wanted == "all":
            return all_unlinked(num_places, linked)
        if wanted == "neighbours":
            return tuple((k, k + 1) for first in (0, 1) for k in range(first, num_places - 1, 2))
        raise InvalidInputError(
            f"extend must be 'all', 'neighbours', None, a device or pairs, got {wanted!r}"
        )
    if not isinstance(wanted, Iterable | int | float):
        return on_edges(num_places, line_on(wanted, num_places)[0], 1)
    found = tuple(_pairs(wanted))
    for pair in found:
        if not all(0 <= place < num_places for place in pair) or pair[0] == pair[1]:
            raise InvalidInputError(
                f"extend joins two different qubits from 0 to {num_places - 1}, got {pair}"
            )
    return found


def _pairs(wanted: Any) -> list[Pair]:
    try:
        return [(int(a), int(b)) for a, b in wanted]
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"extend is a list of pairs of qubits, got {wanted!r}") from error


def extended_by(
    blocks: Blocks, point: Point, pairs: Sequence[Pair], rng: np.random.Generator, spread: float = 0.01
) -> tuple[Blocks, Point]:
    """A circuit with SU(4) gates behind it that do (nearly) nothing yet; all of its blocks become SU(4)."""
    longer = Blocks(blocks.num_places, (*blocks.pairs, *pairs), "su4")
    whole = longer.start(rng, spread).whole.copy()
    whole[: len(blocks.pairs)] = blocks.gates(point)
    return longer, longer.identity()._replace(whole=whole)
