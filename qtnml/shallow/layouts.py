"""Layouts: which neighbouring places of a chain the gates act on, and in which order."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np

from qtnml.errors import InvalidInputError
from qtnml.shallow.window import Pair

Name = Literal["staircase", "brick-wall", "parallel-sequential", "tree"]


def staircase(num_places: int, layers: int) -> tuple[Pair, ...]:
    """Gates on (0, 1), (1, 2), ... one after the other, so many times: a chain of bond 2 is one layer.

    >>> staircase(4, 1)
    ((0, 1), (1, 2), (2, 3))
    """
    return tuple((k, k + 1) for _ in range(layers) for k in range(num_places - 1))


def brick_wall(num_places: int, layers: int) -> tuple[Pair, ...]:
    """Even pairs, then odd pairs, and so on: the least depth.

    >>> brick_wall(5, 2)
    ((0, 1), (2, 3), (1, 2), (3, 4))
    """
    return tuple((k, k + 1) for layer in range(layers) for k in range(layer % 2, num_places - 1, 2))


def parallel_sequential(num_places: int, layers: int, length: int = 4) -> tuple[Pair, ...]:
    """Staircases of so many gates side by side, moved by half their length from layer to layer.

    Between the brick wall (length 1) and the staircase (arXiv:2503.14645).

    >>> parallel_sequential(7, 1, 3)
    ((0, 1), (3, 4), (1, 2), (4, 5), (2, 3), (5, 6))
    """
    found = list[Pair]()
    for layer in range(layers):
        shift = (layer % 2) * (length // 2)
        starts = [*([0] if shift else []), *range(shift, num_places - 1, length)]
        ends = [*starts[1:], num_places - 1]
        # The first gates of all of them, then the second ones: they do not wait for each other.
        for k in range(length):
            found += [
                (start + k, start + k + 1) for start, end in zip(starts, ends, strict=True) if start + k < end
            ]
    return tuple(found)


def tree(num_places: int, layers: int) -> tuple[Pair, ...]:
    """From the root of a balanced binary tree to its leaves, so many times: depth log2 of the places.

    >>> tree(4, 1)
    ((0, 2), (0, 1), (2, 3))
    """
    levels: list[list[Pair]] = []

    def split(first: int, last: int, depth: int) -> None:
        if last - first < 2:
            return
        middle = (first + last + 1) // 2
        if len(levels) == depth:
            levels.append([])
        levels[depth].append((first, middle))
        split(first, middle, depth + 1)
        split(middle, last, depth + 1)

    split(0, num_places, 0)
    return tuple(pair for _ in range(layers) for level in levels for pair in level)


def on_edges(num_places: int, edges: Iterable[Sequence[int]], layers: int) -> tuple[Pair, ...]:
    """All edges of a graph, in rounds that share no place, so many times: a device's coupling map.

    Args:
        num_places: Of the chain; edges to other places are left out.
        edges: Pairs of places.
        layers: How often.
    """
    wanted = sorted({(min(a, b), max(a, b)) for a, b in edges if max(a, b) < num_places and a != b})
    if not wanted:
        raise InvalidInputError(f"no edge joins two of {num_places} places")
    rounds: list[list[Pair]] = []
    for pair in wanted:
        for chosen in rounds:
            if not any(set(pair) & set(other) for other in chosen):
                chosen.append(pair)
                break
        else:
            rounds.append([pair])
    return tuple(pair for _ in range(layers) for chosen in rounds for pair in chosen)


LAYOUTS: dict[str, Callable[[int, int], tuple[Pair, ...]]] = {
    "staircase": staircase,
    "brick-wall": brick_wall,
    "parallel-sequential": parallel_sequential,
    "tree": tree,
}


def entering(num_places: int, pairs: Sequence[Pair]) -> np.ndarray:
    """Whether each gate's first and second place are still in |0> before it, (gates, 2)."""
    seen = [False] * num_places
    found = np.zeros((len(pairs), 2), bool)
    for gate, pair in enumerate(pairs):
        for side, place in enumerate(pair):
            found[gate, side] = not seen[place]
            seen[place] = True
    return found
