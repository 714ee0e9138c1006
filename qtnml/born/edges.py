"""Vectors that reach every edge of a tree from its two sides, for a batch of strings.

What training and explaining share: psi of a string is the product of a core (or of two joined) with the
vectors around it. They are kept at norm 1, with the logarithms of the factors taken out, and renewed where a
core changed.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born.amplitudes import normalised, outer
from qtnml.born.state import TreeState
from qtnml.structure.sites import Sites
from qtnml.structure.tree import Tree

#: (near level, far level, start, stop) of samples with the same levels, in sorted order.
Run = tuple[int, int, int, int]
#: Legs of a node's own sites, all legs ordered as in `Side`, and the nodes behind it.
Legs = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


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


def _legs(tree: Tree, node: int, towards: int) -> Legs:
    """See `Legs`; towards -1 is over the root's own outgoing leg."""
    inner = neighbours(tree, node)
    sites = tuple(leg for leg, wire in enumerate(tree.nodes[node], 1) if wire < tree.num_leaves)
    edge = next((leg for leg, other in inner if other == towards), 0)
    loose = (0,) if tree.parents[node] < 0 and edge != 0 else ()
    others = [(leg, other) for leg, other in inner if other != towards]
    legs = (*sites, *loose, *(leg for leg, _ in others), edge)
    return sites, legs, tuple(other for _, other in others)


def neighbours(tree: Tree, node: int) -> tuple[tuple[int, int], ...]:
    """(leg, node at its other end) of every inner leg, the parent first."""
    parent = tree.parents[node]
    below = tuple(
        (leg, wire - tree.num_leaves)
        for leg, wire in enumerate(tree.nodes[node], 1)
        if wire >= tree.num_leaves
    )
    return ((0, parent), *below) if parent >= 0 else below


class Batch:
    """Strings and, for every node and edge, the order in which equal levels stand together; made once.

    Attributes:
        tree: Of the sites, and `dims` their levels.
        X: Levels (samples, sites), integers.
    """

    def __init__(self, sites: Sites, X: NDArray) -> None:
        self.tree, self.dims, self.X = sites.tree, sites.dims, X
        self._levels: dict[int, NDArray | None] = {}
        self._sorted: dict[tuple[int, int], tuple[NDArray, list[Run]]] = {}
        self._legs: dict[tuple[int, int], Legs] = {}

    def __len__(self) -> int:
        return len(self.X)

    def legs(self, node: int, towards: int) -> Legs:
        """How a node is seen over the edge to a neighbour."""
        if (node, towards) not in self._legs:
            self._legs[node, towards] = _legs(self.tree, node, towards)
        return self._legs[node, towards]

    def levels(self, node: int) -> NDArray | None:
        """Each sample's level on a node's own sites as one number; None without sites."""
        if node not in self._levels:
            wires = [wire for wire in self.tree.nodes[node] if wire < self.tree.num_leaves]
            shape = tuple(self.dims[wire] for wire in wires)
            values = tuple(self.X[:, wire] for wire in wires)
            self._levels[node] = np.ravel_multi_index(values, shape) if wires else None
        return self._levels[node]

    def runs(self, near: int, far: int | None = None) -> tuple[NDArray, list[Run]]:
        """Samples sorted by their levels on one node, or on two."""
        key = (near, -1 if far is None else far)
        if key not in self._sorted:
            wires = () if far is None else self.tree.nodes[far]
            number = math.prod(self.dims[wire] for wire in wires if wire < self.tree.num_leaves)
            values: NDArray = np.zeros(len(self.X), dtype=np.int64)
            if (levels := self.levels(near)) is not None:
                values = values + levels * number
            if far is not None and (levels := self.levels(far)) is not None:
                values = values + levels
            order = np.argsort(values, kind="stable")
            found, starts = np.unique(values[order], return_index=True)
            stops = [*starts[1:].tolist(), len(values)]
            runs = [
                (*divmod(int(value), number), int(start), int(stop))
                for value, start, stop in zip(found, starts, stops, strict=True)
            ]
            self._sorted[key] = order, runs
        return self._sorted[key]


class EdgeVectors:
    """Of one batch, as cores change.

    Attributes:
        cores: In use; a changed one is set here, then `send` renews what leaves its node.
        ones: (samples, 1), what enters at an end.
    """

    def __init__(self, state: TreeState, batch: Batch, dtype: np.dtype[Any]) -> None:
        self.tree, self.cores, self.ones = state.tree, list(state.cores), np.ones((len(batch), 1), dtype)
        self._batch, self._dtype = batch, dtype
        self._vectors: dict[tuple[int, int], NDArray] = {}
        self._logs: dict[tuple[int, int], NDArray] = {}
        for k, parent in enumerate(state.tree.parents[:-1]):
            self.send(k, parent)

    def send_down(self) -> None:
        """Renew everything that goes from the root to the leaves."""
        for k in reversed(range(self.tree.root)):
            self.send(self.tree.parents[k], k)

    def reaching(self, node: int, origin: int) -> NDArray:
        """Vectors (samples, bond) that reach a node from its neighbour."""
        return self._vectors[origin, node]

    def log_scales(self, node: int, origin: int) -> NDArray:
        """ln of the factors taken out of the vectors that cross an edge in both directions, (samples,)."""
        return np.asarray(self._logs[origin, node] + self._logs[node, origin])

    def side(self, node: int, towards: int) -> Side:
        """A node as seen over the edge to a neighbour (to -1: over the root's own outgoing leg)."""
        sites, legs, behind = self._batch.legs(node, towards)
        moved = self.cores[node].transpose(legs)
        number = math.prod(moved.shape[: len(sites)])
        rest = math.prod(moved.shape[len(sites) : -1])
        vectors = None
        if behind:
            first = self._vectors[behind[0], node]
            vectors = first if len(behind) == 1 else outer([self._vectors[other, node] for other in behind])
        return Side(
            moved.reshape(number, rest, moved.shape[-1]),
            legs,
            moved.shape,
            self._batch.levels(node),
            vectors,
        )

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
            out = np.empty((len(self._batch), core.shape[2]), self._dtype)
            order, runs = self._batch.runs(here)
            for level, _, start, stop in runs:
                rows = order[start:stop]
                out[rows] = vectors[rows] @ core[level]
        self._vectors[here, there], logs = normalised(out)
        for other in self._batch.legs(here, there)[2]:
            logs = logs + self._logs[other, here]
        self._logs[here, there] = logs

    def log_amplitudes(self) -> NDArray:
        """ln |psi| of every sample, -inf where it is 0, from the vectors that reach the root."""
        root = self.tree.root
        side = self.side(root, -1)
        vectors = self.ones if side.vectors is None else side.vectors
        order, runs = self._batch.runs(root)
        psi = np.empty(len(self._batch), np.result_type(side.core, vectors))
        for level, _, start, stop in runs:
            rows = order[start:stop]
            psi[rows] = (vectors[rows] @ side.core[level])[:, 0]
        with np.errstate(divide="ignore"):
            logs = np.log(np.abs(psi))
        for _, other in neighbours(self.tree, root):
            logs = logs + self._logs[other, root]
        return np.asarray(logs)
