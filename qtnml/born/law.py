"""Tree tensor network that contracts to a probability itself: the output distribution of a noisy circuit.

Where the cores of a state contract to an amplitude, real cores contract to P here. They are not isometric, so
summing over a subtree needs its trace vector.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born.sampling import draw
from qtnml.born.state import levels_or_missing
from qtnml.contract.environments import normalised, outer
from qtnml.structure.sites import Sites
from qtnml.structure.tree import Tree

_CHUNK_FLOATS = 2**23


@dataclass(frozen=True, eq=False)
class TreeLaw:
    """P(x) of strings as a contraction.

    Attributes:
        sites: Tree and levels of the sites.
        cores: Of each node, shape (bond to its parent, dimensions of its wires in order), real; all strings'
            values are at least 0 and sum to 1.
    """

    sites: Sites
    cores: tuple[NDArray, ...]

    @property
    def tree(self) -> Tree:
        """Connectivity alone."""
        return self.sites.tree

    @cached_property
    def traces(self) -> tuple[NDArray, ...]:
        """Of each node the vector (bond,) that leaves it where all levels below are summed over."""
        found: list[NDArray] = []
        for core, wires in zip(self.cores, self.tree.nodes, strict=True):
            for wire in reversed(wires):
                below = wire - self.tree.num_leaves
                core = core @ (np.ones(core.shape[-1]) if below < 0 else found[below])
            found.append(core)
        return tuple(found)

    def log_probability(self, X: Any) -> NDArray:
        """ln P of strings (samples, sites) of levels, nats; NaN or -1, a missing value, is summed over."""
        levels = levels_or_missing(self.sites, X)
        chunk = max(1, _CHUNK_FLOATS // max(core.size for core in self.cores))
        parts = [self._log_probability(levels[k : k + chunk]) for k in range(0, max(len(levels), 1), chunk)]
        return np.concatenate(parts)

    def _log_probability(self, levels: NDArray) -> NDArray:
        logs = np.zeros(len(levels))
        vectors: dict[int, NDArray] = {}
        for k in range(len(self.cores)):
            vectors[k], scale = normalised(self._leaving(k, levels, vectors))
            logs += scale
        with np.errstate(divide="ignore"):
            return np.asarray(logs + np.log(np.maximum(vectors[self.tree.root][:, 0], 0.0)))

    def _leaving(self, node: int, levels: NDArray, vectors: dict[int, NDArray]) -> NDArray:
        """Vectors (samples, bond) that leave a node."""
        tree, core = self.tree, self.cores[node]
        entering = []
        for wire in tree.nodes[node]:
            if wire >= tree.num_leaves:
                entering.append(vectors.pop(wire - tree.num_leaves))
                continue
            given = levels[:, [wire]]
            entering.append(np.where(given < 0, 1.0, given == np.arange(self.sites.dims[wire])))
        return np.asarray(outer(entering) @ core.reshape(core.shape[0], -1).T)

    def sample(self, rng: np.random.Generator, count: int) -> NDArray:
        """Independent strings, (count, sites)."""
        chunk = max(1, _CHUNK_FLOATS // max(core.size for core in self.cores))
        parts = [np.empty((0, self.tree.num_leaves), np.int64)]
        for start in range(0, count, chunk):
            drawn = np.full((min(chunk, count - start), self.tree.num_leaves), -1, np.int64)
            self._draw_below(self.tree.root, np.ones((len(drawn), 1)), drawn, rng)
            parts.append(drawn)
        return np.concatenate(parts)

    def _draw_below(self, node: int, above: NDArray, drawn: NDArray, rng: np.random.Generator) -> None:
        """Draw what is below a node, given vectors (samples, bond) from above."""
        tree = self.tree
        while True:
            core, wires = self.cores[node], tree.nodes[node]
            tensor = (above @ core.reshape(core.shape[0], -1)).reshape(len(above), *core.shape[1:])
            order = sorted(range(len(wires)), key=lambda place: self._size(wires[place]))
            wires, tensor = tuple(wires[k] for k in order), tensor.transpose(0, *(1 + k for k in order))
            for place, wire in enumerate(wires):
                law = tensor
                for other in reversed(wires[place + 1 :]):
                    below = other - tree.num_leaves
                    law = law @ (np.ones(law.shape[-1]) if below < 0 else self.traces[below])
                law = law / np.maximum(np.abs(law).max(axis=1, keepdims=True), 1e-300)
                if wire < tree.num_leaves:
                    level = draw(np.maximum(law, 0.0), rng)
                    drawn[:, wire] = level
                    tensor = tensor[np.arange(len(tensor)), level]
                elif place == len(wires) - 1:
                    node, above = wire - tree.num_leaves, law
                    break
                else:
                    self._draw_below(wire - tree.num_leaves, law, drawn, rng)
                    vector = self._vector(wire - tree.num_leaves, drawn)
                    tensor = np.einsum("bc...,bc->b...", tensor, vector)
            else:
                return

    def _size(self, wire: int) -> tuple[bool, int]:
        """Sites first, then the smallest part of the tree."""
        below = wire - self.tree.num_leaves
        return (below >= 0, self.tree.num_below[below] if below >= 0 else 0)

    def _vector(self, node: int, drawn: NDArray) -> NDArray:
        """What drawn levels below a node send up, (samples, bond), of norm 1."""
        sites = self.tree.num_leaves
        below, open_ = [node], [node]
        while open_:
            inner = [wire - sites for wire in self.tree.nodes[open_.pop()] if wire >= sites]
            below += inner
            open_ += inner
        vectors: dict[int, NDArray] = {}
        for k in sorted(below):
            vectors[k] = normalised(self._leaving(k, drawn, vectors))[0]
        return vectors[node]
