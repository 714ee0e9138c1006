"""The smallest graphs that the ranks of a tensor allow.

Across any cut of the modes into two parts the tensor is a matrix. Its rank is at most the product of the
bonds (and modes) of any cut through the network that separates the two parts. Networks with smaller products
cannot represent the tensor. The smallest networks that can are the first candidates to fit.
"""

import heapq
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from qtnml.arrays import NDArray
from qtnml.graphs.network import Edge

_MOST_TRIALS = 50_000
_ROUNDING = 1e-9


def cut_ranks(target: NDArray, tolerance: float) -> dict[tuple[int, ...], int]:
    """Numerical rank across each cut, by the part without the last mode.

    Args:
        target: The tensor.
        tolerance: Squared error, as a share of the squared norm, within which the rank is enough.
    """
    count, found = target.ndim, {}
    for size in range(1, count):
        for part in combinations(range(count - 1), size):
            rest = tuple(k for k in range(count) if k not in part)
            matrix = target.transpose(*part, *rest).reshape(int(np.prod([target.shape[k] for k in part])), -1)
            small = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
            squares = np.maximum(np.linalg.eigvalsh(small @ small.T), 0)
            # Smallest first; rounding leaves them at 1e-16 of the largest.
            left = np.cumsum(squares) / squares.sum()
            found[part] = int((left > max(tolerance, 1e-14)).sum())
    return found


def cheapest(
    dims: Sequence[int], ranks: dict[tuple[int, ...], int], allowed: Sequence[Edge]
) -> Iterator[dict[Edge, int]]:
    """Bonds whose least cuts are the tensor's ranks, those of fewest numbers first.

    Ends where no more are found among so many trials.
    """
    edges = list(allowed)
    touching = [[k for k, edge in enumerate(edges) if mode in edge] for mode in range(len(dims))]
    crossing, wrong = _cuts(dims, list(ranks), edges)
    wanted = np.log(list(ranks.values()))
    width = crossing.sum(axis=1)

    def numbers(bonds: tuple[int, ...]) -> int:
        return sum(
            dim * int(np.prod([bonds[k] for k in own])) for dim, own in zip(dims, touching, strict=True)
        )

    start = (1,) * len(edges)
    queue, seen = [(numbers(start), start)], {start}
    while queue and len(seen) < _MOST_TRIALS:
        _, bonds = heapq.heappop(queue)
        least = (crossing @ np.log(bonds))[None] + wrong  # (parts, cuts)
        rank = least.min(axis=1)
        if (rank > wanted + _ROUNDING).any():  # and no wider bonds would have less
            continue
        short = np.argwhere(least < wanted[:, None] - _ROUNDING)
        if not len(short):
            yield {edge: bond for edge, bond in zip(edges, bonds, strict=True) if bond > 1}
            continue
        cut = min(short[:, 1], key=lambda k: width[k])
        for k in np.flatnonzero(crossing[cut]):  # whatever meets this cut has one of its bonds larger
            wider = (*bonds[:k], bonds[k] + 1, *bonds[k + 1 :])
            if wider not in seen:
                seen.add(wider)
                heapq.heappush(queue, (numbers(wider), wider))


def _cuts(
    dims: Sequence[int], parts: Sequence[tuple[int, ...]], edges: Sequence[Edge]
) -> tuple[NDArray, NDArray]:
    """Bonds that cross each cut of the network, (cuts, bonds), and logarithms of the dimensions of modes that
    are on its wrong side, for each part of the modes, (parts, cuts).
    """
    inside = np.array([[number >> mode & 1 for mode in range(len(dims))] for number in range(2 ** len(dims))])
    crossing = np.stack([inside[:, one] != inside[:, other] for one, other in edges], axis=1)
    own = np.array([[mode in part for mode in range(len(dims))] for part in parts])
    wrong = (inside[None] != own[:, None]) @ np.log(dims)
    return crossing.astype(float), wrong
