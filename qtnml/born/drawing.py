"""Exact samples from a tree: each site is drawn from its distribution given the sites before it.

The walk over the tree is the same for squared amplitudes and for probabilities (`qtnml.born.sampling` and
`qtnml.born.distribution`). From above, each bond receives one vector per sample, which summarises the sites
drawn so far.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from threadpoolctl import ThreadpoolController

from qtnml.arrays import NDArray
from qtnml.born.amplitudes import contract_node
from qtnml.contract.environments import normalised
from qtnml.contract.many import THREADS
from qtnml.structure import Tree

_CHUNK_FLOATS = 2**18  # of the widest core's tensor, for samples that walk together: they stay in the cache
_FEWEST = 256  # unless they would not fit in memory
_MOST_FLOATS = 2**25
_POOL = ThreadpoolController()


class Walk(ABC):
    """Samples that are drawn together.

    Args:
        tree: Connectivity.
        cores: Of each node, (bond to its parent, dimensions of its wires in order).
        rng: Draws them.
        count: Samples.
    """

    def __init__(self, tree: Tree, cores: tuple[NDArray, ...], rng: np.random.Generator, count: int) -> None:
        self._tree, self._cores, self._rng, self._count = tree, cores, rng, count
        self._drawn = np.zeros((count, tree.num_leaves), np.int64)
        self._vectors: dict[int, NDArray] = {}

    @abstractmethod
    def _level(self, tensor: NDArray, wires: tuple[int, ...]) -> NDArray:
        """Levels (samples,) drawn for the first of the wires, a site.

        Args:
            tensor: (samples, dimensions of the wires).
            wires: All that is below and not drawn yet.
        """

    @abstractmethod
    def _entering(self, tensor: NDArray, wires: tuple[int, ...]) -> NDArray:
        """Vectors (samples, bond) for the first of the wires, from which what is below it is drawn."""

    def run(self) -> NDArray:
        """Draw all: levels (samples, sites)."""
        self._below(self._tree.root, np.ones((self._count, 1)))
        return self._drawn

    def _below(self, node: int, above: NDArray) -> None:
        """Draw all sites below a node; the largest part of the tree last, without recursion."""
        sites, rows = self._tree.num_leaves, np.arange(self._count)
        while True:
            core, wires = self._cores[node], self._tree.nodes[node]
            order = sorted(range(len(wires)), key=lambda place: self._size(wires[place]))
            wires, core = tuple(wires[k] for k in order), core.transpose(0, *(1 + k for k in order))
            tensor = (above @ core.reshape(core.shape[0], -1)).reshape(-1, *core.shape[1:])
            for place, wire in enumerate(wires):
                if wire < sites:
                    level = self._level(tensor, wires[place:])
                    self._drawn[:, wire] = level
                    flat = tensor.reshape(-1, *tensor.shape[2:])
                    tensor = flat.take(rows * tensor.shape[1] + level, axis=0)
                elif place == len(wires) - 1:
                    node, above = wire - sites, _unit(self._entering(tensor, (wire,)))
                    break
                else:
                    self._below(wire - sites, _unit(self._entering(tensor, wires[place:])))
                    vector = self._leaving(wire - sites)
                    flat = vector[:, None, :] @ tensor.reshape(*tensor.shape[:2], -1)
                    tensor = flat.reshape(-1, *tensor.shape[2:])
            else:
                return

    def _size(self, wire: int) -> tuple[bool, int]:
        """Sites first, then the smallest part of the tree."""
        below = wire - self._tree.num_leaves
        return (below >= 0, self._tree.num_below[below] if below >= 0 else 0)

    def _leaving(self, node: int) -> NDArray:
        """Vectors (samples, bond) of norm 1 that leave a node, of what was drawn below it."""
        tree, pending = self._tree, [node]
        while pending:
            k = pending[-1]
            below = [wire - tree.num_leaves for wire in tree.nodes[k] if wire >= tree.num_leaves]
            if missing := [b for b in below if b not in self._vectors]:
                pending += missing
                continue
            pending.pop()
            entering = [self._vectors.pop(b) for b in below]
            vector = contract_node(self._cores[k], tree.nodes[k], tree.num_leaves, self._drawn, entering)
            self._vectors[k] = _unit(vector)
        return self._vectors[node]


def together(cores: Iterable[NDArray], *, extra: int = 0) -> int:
    """How many samples walk together, where each takes `extra` numbers more than the widest core."""
    floats = max(int(core.size // core.shape[0]) for core in cores) + extra
    return max(1, _CHUNK_FLOATS // floats, min(_FEWEST, _MOST_FLOATS // floats))


def parts_of(count: int, most: int) -> list[int]:
    """So many samples in parts of at most `most`, alike in size; of many samples an even number of parts.

    The number of threads has no part in it: the same seed gives the same samples on any machine.
    """
    number = 1 if count < 2 * _FEWEST else 2 * -(-count // (2 * most))
    number = max(number, -(-count // most))
    return [count * (k + 1) // number - count * k // number for k in range(number)] if count else []


def draw_in_parts(
    parts: list[int], rng: np.random.Generator, walk: Callable[[int, np.random.Generator, int], NDArray]
) -> list[NDArray]:
    """Draw parts of so many samples on several threads, each with numbers of its own.

    Args:
        parts: Samples of each.
        rng: Seeds them.
        walk: (part, random numbers, samples) -> what was drawn.
    """
    seeds = rng.integers(2**63, size=(len(parts), 2))
    walks = [
        partial(walk, part, np.random.default_rng(seed), count)
        for part, (seed, count) in enumerate(zip(seeds, parts, strict=True))
    ]
    if len(walks) == 1:
        return [walks[0]()]
    with _POOL.limit(limits=1, user_api="blas"), ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda run: run(), walks))


def draw(weights: NDArray, rng: np.random.Generator) -> NDArray:
    """One level of each row of weights (samples, levels), which need not sum to 1."""
    if weights.shape[1] == 2:
        total = weights[:, 0] + weights[:, 1]
        return np.asarray(weights[:, 0] <= rng.random(len(weights)) * total, dtype=np.int64)
    cumulative = np.cumsum(weights, axis=1)
    threshold = rng.random(len(weights)) * cumulative[:, -1]
    return np.asarray(np.minimum((cumulative <= threshold[:, None]).sum(axis=1), weights.shape[1] - 1))


def _unit(vectors: NDArray) -> NDArray:
    return normalised(vectors)[0]
