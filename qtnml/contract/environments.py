"""Environments: the vectors that reach every node of a tree from each of its sides, for a batch of samples.

Sweeps, clusterings and explanations use them: the amplitudes of a sample are the product of a core (or of two
joined cores) with the vectors around it. Vectors have norm 1; the logarithms of the factors are kept
separately. Vectors are computed again where a core changed.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from qtnml.arrays import NDArray
from qtnml.structure import Tree

_NEARLY_ALL = (
    0.7  # of the samples differ: then to look at each costs less than to sum up those that are alike
)

#: (near level, far level, start, stop) of rows with the same levels, in sorted order.
Run = tuple[int, int, int, int]


class Legs(NamedTuple):
    """How a node is seen over one of its edges.

    Attributes:
        levels: Axes of its leaves that are levels.
        order: Axes of the core: levels, what has no wire, leaves that are vectors, other bonds, the edge.
        vectors: Leaves that are vectors.
        behind: Nodes at the other bonds.
    """

    levels: tuple[int, ...]
    order: tuple[int, ...]
    vectors: tuple[int, ...]
    behind: tuple[int, ...]


class Side(NamedTuple):
    """One side of an edge.

    Attributes:
        core: Of the node there, as (levels of its leaves, what else enters it, the edge, label): the label
            has one entry where the core has none.
        order: How its axes were ordered for that, and `shape` their dimensions.
    """

    core: NDArray
    order: tuple[int, ...]
    shape: tuple[int, ...]

    def restored(self, core: NDArray) -> NDArray:
        """A core of this form, its edge and label of any dimension, with its axes as the tree has them."""
        if len(self.shape) == len(self.order):
            core = core[..., 0]
        ends = core.shape[2:]
        return core.reshape(*self.shape[: len(self.order) - 1], *ends).transpose(
            *np.argsort(self.order), *range(len(self.order), len(self.order) + len(ends) - 1)
        )


def neighbours(tree: Tree, node: int) -> tuple[tuple[int, int], ...]:
    """(axis, node at its other end) of every inner axis of a core, the parent first."""
    parent = tree.parents[node]
    below = tuple(
        (axis, wire - tree.num_leaves)
        for axis, wire in enumerate(tree.nodes[node], 1)
        if wire >= tree.num_leaves
    )
    return ((0, parent), *below) if parent >= 0 else below


class Pattern(NamedTuple):
    """What samples have at a node and behind it, as seen over one of its edges: each thing once.

    Attributes:
        first: A sample of each, sorted by the level at the node.
        of: Of each sample, which it has.
        runs: (level, 0, start, stop) among those of `first`.
    """

    first: NDArray
    of: NDArray
    runs: list[Run]

    @property
    def is_each(self) -> bool:
        """Whether no two samples are alike."""
        return len(self.first) == len(self.of)


class Meeting(NamedTuple):
    """How samples meet over an edge, or at a node and one edge of it.

    Attributes:
        order: Samples, sorted by the levels on both sides, and among these by what they have on the side of
            which there is less.
        starts: Where another such thing begins among them; None where nearly all differ.
        runs: Rows of one level on either side: things where there are `starts`, otherwise samples.
        flipped: The side of which there is less is the far one.
    """

    order: NDArray
    starts: NDArray | None
    runs: list[Run]
    flipped: bool


class Batch:
    """Samples at the leaves and what they share; made once for the same samples and used by all sweeps.

    Samples that agree on everything behind an edge share one vector there: near the leaves of a tree there
    are few of them, however many samples there are.

    Args:
        tree: Connectivity.
        leaves: Of each leaf its levels (samples,) as integers, or vectors (samples, dimension) as floats,
            which are taken to differ.
        dims: Dimension of each leaf.

    Attributes:
        tree: Connectivity.
    """

    def __init__(self, tree: Tree, leaves: Sequence[NDArray], dims: Sequence[int]) -> None:
        self.tree, self._leaves, self._dims = tree, tuple(leaves), tuple(dims)
        self._legs: dict[tuple[int, int], Legs] = {}
        self._levels = [self._levels_at(node) for node in range(len(tree.nodes))]
        self._patterns: dict[tuple[int, int], Pattern] = {}
        self._meetings: dict[tuple[int, int, bool], Meeting] = {}
        for k, parent in enumerate(tree.parents[:-1]):
            self._patterns[k, parent] = self._pattern(k, parent)
        for k in reversed(range(tree.root)):
            self._patterns[tree.parents[k], k] = self._pattern(tree.parents[k], k)

    @classmethod
    def of_levels(cls, tree: Tree, X: NDArray, dims: Sequence[int]) -> "Batch":
        """From levels (samples, leaves)."""
        return cls(tree, tuple(np.ascontiguousarray(column) for column in X.T), dims)

    def __len__(self) -> int:
        return len(self._leaves[0])

    def leaf(self, leaf: int) -> NDArray:
        """Levels or vectors of a leaf."""
        return self._leaves[leaf]

    def legs(self, node: int, towards: int) -> Legs:
        """How a node is seen over the edge to a neighbour (to -1: over the root's own outgoing axis)."""
        if (node, towards) not in self._legs:
            self._legs[node, towards] = self._seen(node, towards)
        return self._legs[node, towards]

    def _seen(self, node: int, towards: int) -> Legs:
        tree, inner = self.tree, neighbours(self.tree, node)
        leaves = [(axis, wire) for axis, wire in enumerate(tree.nodes[node], 1) if wire < tree.num_leaves]
        levels = tuple(axis for axis, leaf in leaves if self._leaves[leaf].ndim == 1)
        vectors = [(axis, leaf) for axis, leaf in leaves if self._leaves[leaf].ndim == 2]
        edge = next((axis for axis, other in inner if other == towards), 0)
        loose = (0,) if tree.parents[node] < 0 and edge != 0 else ()
        others = [(axis, other) for axis, other in inner if other != towards]
        inputs = (*(axis for axis, _ in vectors), *(axis for axis, _ in others))
        return Legs(
            levels,
            (*levels, *loose, *inputs, edge),
            tuple(leaf for _, leaf in vectors),
            tuple(other for _, other in others),
        )

    def _levels_at(self, node: int) -> NDArray:
        """Each sample's level on a node's own leaves as one number."""
        wires = [w for w in self.tree.nodes[node] if w < self.tree.num_leaves]
        wires = [w for w in wires if self._leaves[w].ndim == 1]
        if not wires:
            return np.zeros(len(self), dtype=np.int64)
        shape = tuple(self._dims[wire] for wire in wires)
        return np.ravel_multi_index(tuple(self._leaves[wire] for wire in wires), shape)

    def levels(self, node: int) -> NDArray:
        """Each sample's level on a node's own leaves as one number, 0 without such leaves."""
        return self._levels[node]

    def pattern(self, here: int, there: int) -> Pattern:
        """What reaches `there` from `here`."""
        return self._patterns[here, there]

    def _pattern(self, here: int, there: int) -> Pattern:
        levels, (_, _, vectors, behind) = self._levels[here], self.legs(here, there)
        if vectors or any(self._patterns[other, here].is_each for other in behind):
            first = np.argsort(levels, kind="stable")
            of = np.empty_like(first)
            of[first] = np.arange(len(first))
        else:
            keys = np.zeros(len(self), dtype=np.int64)
            for other in behind:
                pattern = self._patterns[other, here]
                keys = keys * len(pattern.first) + pattern.of
                if len(behind) > 1:
                    keys = np.unique(keys, return_inverse=True)[1].reshape(-1)
            keys = levels * (int(keys.max()) + 1) + keys
            _, first, of = np.unique(keys, return_index=True, return_inverse=True)
            of = of.reshape(-1)
        return Pattern(first, of, runs_of(levels[first], None))

    def meeting(self, here: int, there: int, *, two: bool) -> Meeting:
        """How samples meet over an edge: at both its nodes, or (not `two`) at the near node and the edge."""
        key = (here, there, two)
        if key not in self._meetings:
            self._meetings[key] = self._meeting(here, there, two=two)
        return self._meetings[key]

    def _meeting(self, here: int, there: int, *, two: bool) -> Meeting:
        near, far = self._levels[here], self._levels[there] if two else None
        both = near if far is None else near * (int(far.max()) + 1) + far
        chosen: tuple[NDArray, NDArray] | None = None
        flipped = False
        for is_far, (side, other) in enumerate(((here, there), (there, here))):
            pattern = self._patterns[side, other]
            if pattern.is_each:
                continue
            keys = both * len(pattern.first) + pattern.of
            order = np.argsort(keys, kind="stable")
            starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
            if chosen is None or len(starts) < len(chosen[1]):
                chosen, flipped = (order, starts), bool(is_far)
        if chosen is None or len(chosen[1]) > _NEARLY_ALL * len(self):
            order = np.argsort(both, kind="stable")
            return Meeting(order, None, runs_of(near[order], None if far is None else far[order]), False)
        order, starts = chosen
        rows = order[starts]
        levels = (near[rows], np.zeros_like(near[rows]) if far is None else far[rows])
        # Runs stay in the order of both levels, near ones first, whichever side has less.
        return Meeting(order, starts, runs_of(*levels), flipped)


def runs_of(near: NDArray, far: NDArray | None = None) -> list[Run]:
    """Of sorted levels."""
    far = np.zeros_like(near) if far is None else far
    changed = (np.diff(near, prepend=-1) != 0) | (np.diff(far, prepend=-1) != 0)
    starts = np.flatnonzero(changed)
    stops = [*starts[1:].tolist(), len(near)]
    return [
        (int(near[start]), int(far[start]), int(start), stop)
        for start, stop in zip(starts, stops, strict=True)
    ]


class Environments:
    """Of one batch, as cores change.

    Attributes:
        cores: In use; a changed one is set here, then `send` renews what leaves its node.
    """

    def __init__(self, cores: Sequence[NDArray], batch: Batch, dtype: np.dtype[Any]) -> None:
        self.tree, self.cores = batch.tree, list(cores)
        self._batch, self._dtype = batch, dtype
        self._vectors: dict[tuple[int, int], NDArray] = {}
        self._logs: dict[tuple[int, int], NDArray] = {}
        for k, parent in enumerate(self.tree.parents[:-1]):
            self.send(k, parent)

    def send_down(self) -> None:
        """Renew everything that goes from the root to the leaves."""
        for k in reversed(range(self.tree.root)):
            self.send(self.tree.parents[k], k)

    def reaching(self, node: int, origin: int, rows: NDArray | slice = slice(None)) -> NDArray:
        """Vectors (samples, bond) that reach a node from its neighbour, of some samples."""
        return self._vectors[origin, node][self._batch.pattern(origin, node).of[rows]]

    def log_scales(self, node: int, origin: int) -> NDArray:
        """ln of the factors taken out of the vectors that cross an edge in both directions, (samples,)."""
        pairs = ((origin, node), (node, origin))
        return np.asarray(sum(self._logs[pair][self._batch.pattern(*pair).of] for pair in pairs))

    def side(self, node: int, towards: int) -> Side:
        """A node as seen over the edge to a neighbour (to -1: over the root's own outgoing axis)."""
        levels, order, _, _ = self._batch.legs(node, towards)
        core = self.cores[node]
        moved = core.transpose(*order, *range(len(order), core.ndim))
        number = math.prod(moved.shape[: len(levels)])
        rest = math.prod(moved.shape[len(levels) : len(order) - 1])
        label = math.prod(moved.shape[len(order) :])
        seen = moved.reshape(number, rest, moved.shape[len(order) - 1], label)
        return Side(seen, order, moved.shape)

    def entering(self, node: int, towards: int, rows: NDArray) -> NDArray:
        """(rows, product of what enters but levels) that reaches a node from behind, of some samples."""
        _, _, vectors, behind = self._batch.legs(node, towards)
        parts = [self._batch.leaf(leaf)[rows] for leaf in vectors]
        parts += [self.reaching(node, other, rows) for other in behind]
        return outer(parts) if parts else np.ones((len(rows), 1), self._dtype)

    def send(self, here: int, there: int) -> None:
        """Renew the vectors that reach `there` from `here`, whose core has no label."""
        core = self.side(here, there).core[..., 0].astype(self._dtype)
        first, _, runs = self._batch.pattern(here, there)
        entering = self.entering(here, there, first)
        out = np.empty((len(first), core.shape[2]), self._dtype)
        for level, _, start, stop in runs:
            np.matmul(entering[start:stop], core[level], out=out[start:stop])
        self._vectors[here, there], logs = normalised(out)
        for other in self._batch.legs(here, there).behind:
            logs = logs + self._logs[other, here][self._batch.pattern(other, here).of[first]]
        self._logs[here, there] = logs

    def cross(self, here: int, there: int) -> None:
        """`send` where a sweep moves on over an edge: what came the other way is made anew on the way back.

        So a sweep holds one vector for each edge instead of two.
        """
        self.send(here, there)
        self._vectors.pop((there, here))
        self._logs.pop((there, here), None)

    def amplitudes(self) -> tuple[NDArray, NDArray]:
        """Of every sample (samples, label) apart from a factor, whose logarithms (samples,) come second."""
        root = self.tree.root
        core, order = self.side(root, -1).core[:, :, 0], np.argsort(self._batch.levels(root), kind="stable")
        entering = self.entering(root, -1, order)
        found = np.empty((len(order), core.shape[2]), np.result_type(core, entering))
        for level, _, start, stop in runs_of(self._batch.levels(root)[order], None):
            found[order[start:stop]] = entering[start:stop] @ core[level]
        logs: NDArray = np.zeros(len(order))
        for _, other in neighbours(self.tree, root):
            logs = logs + self._logs[other, root][self._batch.pattern(other, root).of]
        return found, logs

    def log_amplitudes(self) -> NDArray:
        """ln |psi| of every sample of a network without a label, -inf where it is 0."""
        found, logs = self.amplitudes()
        with np.errstate(divide="ignore"):
            return np.asarray(logs + np.log(np.abs(found[:, 0])))


def outer(vectors: Sequence[NDArray]) -> NDArray:
    """Products of all entries, row by row: (samples, product of dimensions)."""
    joint = vectors[0]
    for vector in vectors[1:]:
        size = joint.shape[1] * vector.shape[1]
        joint = (joint[:, :, None] * vector[:, None, :]).reshape(len(joint), size)
    return joint


def normalised(vectors: NDArray) -> tuple[NDArray, NDArray]:
    """Rows of norm 1 and the logarithms of their norms; rows of zeros stay, with logarithm 0."""
    parts = as_reals(vectors)
    squares = np.einsum("...i,...i->...", parts, parts)
    norms = np.sqrt(np.where(squares > 0, squares, 1.0))
    return vectors / norms[..., None], np.log(norms, dtype=np.float64)


def as_reals(array: NDArray) -> NDArray:
    """Real and imaginary parts of complex numbers side by side on the last axis; real numbers as they are."""
    if not np.iscomplexobj(array):
        return array
    return np.ascontiguousarray(array).view(array.real.dtype)
