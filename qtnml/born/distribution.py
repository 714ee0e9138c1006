"""Tree tensor network that contracts to a probability itself: the output distribution of a noisy circuit.

Where the cores of a state contract to an amplitude, real cores contract to P here. They are not isometric, so
summing over a subtree needs its trace vector.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from qtnml.arrays import Array, NDArray, namespace
from qtnml.born.amplitudes import contracted, network_of
from qtnml.born.drawing import Walk, draw, draw_in_parts, parts_of, together
from qtnml.born.state import levels_or_missing
from qtnml.contract.amplitude_network import AmplitudeNetwork, one_hot
from qtnml.structure import Sites, Tree


@dataclass(frozen=True, eq=False)
class TreeDistribution:
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
        if not len(levels):
            return np.empty(0)
        values, logs = contracted(_of_levels, *network_of(self.sites, self.cores), levels)
        with np.errstate(divide="ignore"):
            return np.asarray(logs + np.log(np.maximum(values, 0.0)))

    def sample(self, rng: np.random.Generator, count: int) -> NDArray:
        """Independent strings, (count, sites)."""
        parts = parts_of(count, together(self.cores))
        drawn = draw_in_parts(parts, rng, lambda _, own, size: _Probabilities(self, own, size).run())
        return np.concatenate([np.empty((0, self.tree.num_leaves), np.int64), *drawn])


def _of_levels(network: AmplitudeNetwork, stacks: tuple[Array, ...], levels: Array) -> tuple[Array, Array]:
    """Values and the logarithms of their scales of levels (samples, sites), -1 summed over."""
    xp, real = namespace(stacks[0]), stacks[0].real.dtype
    summed = xp.asarray(levels.T < 0, dtype=real)[:, None]
    values, logs = network.amplitudes(stacks, one_hot(levels, max(network.leaf_dims), real) + summed)
    return values[0], logs


class _Probabilities(Walk):
    """Walk over a distribution."""

    def __init__(self, distribution: TreeDistribution, rng: np.random.Generator, count: int) -> None:
        super().__init__(distribution.tree, distribution.cores, rng, count)
        self._traces = distribution.traces

    def _level(self, tensor: NDArray, wires: tuple[int, ...]) -> NDArray:
        return draw(np.maximum(self._entering(tensor, wires), 0.0), self._rng)

    def _entering(self, tensor: NDArray, wires: tuple[int, ...]) -> NDArray:
        """What remains where all behind the other wires is summed over."""
        for wire in reversed(wires[1:]):
            below = wire - self._tree.num_leaves
            tensor = tensor.sum(axis=-1) if below < 0 else tensor @ self._traces[below]
        return tensor
