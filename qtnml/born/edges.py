"""Vectors that reach every edge of a tree from its two sides, for a batch of strings.

What training and explaining share: psi of a string is the product of a core (or of two joined) with the
vectors around it. They are kept at norm 1, with the logarithms of the factors taken out, and renewed where a
core changed.
"""

from typing import NamedTuple

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born.amplitudes import normalised, outer
from qtnml.born.state import TreeState

#: (near level, far level, start, stop) of samples with the same levels, in sorted order.
Run = tuple[int, int, int, int]


class Side(NamedTuple):
    """One side of an edge.

    Attributes:
        core: Of the node there, as (levels of its sites, its other bonds, the edge).
        legs: How its legs were ordered for that, and `shape` their dimensions.
        levels: Of each sample on the node's sites, as one number; None without sites.
        vectors: (samples, product of other bonds) that reach the node from behind; None at an end.
    """

    core: NDArray
    legs: tuple[int, ...]
    shape: tuple[int, ...]
    levels: NDArray | None
    vectors: NDArray | None

    def restored(self, core: NDArray) -> NDArray:
        """A core of this form, its edge of any dimension, with its legs as the tree has them."""
        return core.reshape(*self.shape[:-1], core.shape[-1]).transpose(np.argsort(self.legs))


class EdgeVectors:
    """Of one batch, as cores change.

    Attributes:
        cores: In use; a changed one is set here, then `send` renews what leaves its node.
        ones: (samples, 1), what enters at an end.
    """

    def __init__(self, state: TreeState, X: NDArray, dtype: np.dtype) -> None:
        self.tree, self.cores, self.ones = state.tree, list(state.cores), np.ones((len(X), 1), dtype)
        self._X, self._dtype = X, dtype
        self._vectors: dict[tuple[int, int], NDArray] = {}
        self._logs: dict[tuple[int, int], NDArray] = {}
        self._sorted: dict[tuple[int, int], tuple[NDArray, list[Run]]] = {}
        self._levels: dict[int, NDArray | None] = {}
        for k, parent in enumerate(state.tree.parents[:-1]):
            self.send(k, parent)

    def send_down(self) -> None:
        """Renew everything that goes from the root to the leaves."""
        for k in reversed(range(self.tree.root)):
            self.send(self.tree.parents[k], k)

    def send_up(self) -> None:
        """Renew everything that goes from the leaves to the root."""
        for k, parent in enumerate(self.tree.parents[:-1]):
            self.send(k, parent)

    def reaching(self, node: int, origin: int) -> NDArray:
        """Vectors (samples, bond) that reach a node from its neighbour."""
        return self._vectors[origin, node]

    def neighbours(self, node: int) -> list[tuple[int, int]]:
        """(leg, node at its other end) of every inner leg, the parent first."""
        sites, parent = self.tree.num_sites, self.tree.parents[node]
        below = [(leg, w - sites) for leg, w in enumerate(self.tree.nodes[node], 1) if w >= sites]
        return [(0, parent), *below] if parent >= 0 else below

    def side(self, node: int, towards: int) -> Side:
        """A node as seen over the edge to a neighbour (to -1: over the root's own outgoing leg)."""
        tree, core = self.tree, self.cores[node]
        sites = [leg for leg, wire in enumerate(tree.nodes[node], 1) if wire < tree.num_sites]
        others = [(leg, other) for leg, other in self.neighbours(node) if other != towards]
        edge = next((leg for leg, other in self.neighbours(node) if other == towards), 0)
        loose = [0] if tree.parents[node] < 0 and edge != 0 else []
        legs = (*sites, *loose, *(leg for leg, _ in others), edge)
        moved = core.transpose(legs)
        vectors = [self._vectors[other, node] for _, other in others]
        number = int(np.prod(moved.shape[: len(sites)], dtype=int))
        rest = int(np.prod(moved.shape[len(sites) : -1], dtype=int))
        return Side(
            moved.reshape(number, rest, moved.shape[-1]),
            legs,
            moved.shape,
            self._site_levels(node, sites),
            outer(vectors) if vectors else None,
        )

    def _site_levels(self, node: int, sites: list[int]) -> NDArray | None:
        if node not in self._levels:
            wires, core = self.tree.nodes[node], self.cores[node]
            values = tuple(self._X[:, wires[leg - 1]] for leg in sites)
            shape = tuple(core.shape[leg] for leg in sites)
            self._levels[node] = np.ravel_multi_index(values, shape) if sites else None
        return self._levels[node]

    def runs(self, here: int, there: int, near: Side, far: Side | None) -> tuple[NDArray, list[Run]]:
        """Samples sorted by the levels on both sides of an edge (on the near one alone without `far`)."""
        key = (here, there if far is not None else -1)
        if key not in self._sorted:
            number = 1 if far is None else len(far.core)
            values: NDArray = np.zeros(len(self._X), dtype=np.int64)
            if near.levels is not None:
                values = values + near.levels * number
            if far is not None and far.levels is not None:
                values = values + far.levels
            order = np.argsort(values, kind="stable")
            found, starts = np.unique(values[order], return_index=True)
            stops = [*starts[1:].tolist(), len(values)]
            runs = [
                (*divmod(int(value), number), int(start), int(stop))
                for value, start, stop in zip(found, starts, stops, strict=True)
            ]
            self._sorted[key] = order, runs
        return self._sorted[key]

    def send(self, here: int, there: int) -> None:
        """Renew the vectors that reach `there` from `here`."""
        side = self.side(here, there)
        core = side.core.astype(self._dtype)
        vectors = self.ones if side.vectors is None else side.vectors
        if side.levels is None:
            out = vectors @ core[0]
        elif core.shape[1] == 1:
            out = core[side.levels, 0] * vectors
        else:
            out = np.empty((len(self._X), core.shape[2]), self._dtype)
            order, runs = self.runs(here, there, side, None)
            for level, _, start, stop in runs:
                rows = order[start:stop]
                out[rows] = vectors[rows] @ core[level]
        self._vectors[here, there], logs = normalised(out)
        behind = [self._logs[other, here] for _, other in self.neighbours(here) if other != there]
        self._logs[here, there] = sum(behind, start=logs.astype(np.float64))

    def log_amplitudes(self) -> NDArray:
        """ln |psi| of every sample, -inf where it is 0, from the vectors that reach the root."""
        side = self.side(self.tree.root, -1)
        vectors = self.ones if side.vectors is None else side.vectors
        order, runs = self.runs(self.tree.root, -1, side, None)
        psi = np.empty(len(self._X), np.result_type(side.core, vectors))
        for level, _, start, stop in runs:
            rows = order[start:stop]
            psi[rows] = (vectors[rows] @ side.core[level])[:, 0]
        logs = [self._logs[other, self.tree.root] for _, other in self.neighbours(self.tree.root)]
        with np.errstate(divide="ignore"):
            return sum(logs, start=np.log(np.abs(psi)))
