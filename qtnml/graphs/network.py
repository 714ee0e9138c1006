"""A tensor as a network on any graph: a core for each of its modes, a bond between any two of them."""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.errors import InvalidInputError
from qtnml.shown import facts_html
from qtnml.states import State, as_state
from qtnml.structure import Sites, Tree

Edge = tuple[int, int]
MOST_MODES = 9  # an Einstein sum has 52 letters, for modes and pairs of them
_LETTERS = string.ascii_letters


@dataclass(frozen=True, eq=False, repr=False)
class GraphNetwork:
    """Cores on the nodes of a graph.

    Attributes:
        cores: Core of each node, (dimension of its mode, bonds to all other nodes in their order). Absent
            bonds have dimension 1.
        hidden: Number of nodes without a mode, the last ones; their first axis is 1.

    >>> ring = GraphNetwork.random((3, 3, 3, 3), {(0, 1): 2, (1, 2): 2, (2, 3): 2, (0, 3): 2}, seed=0)
    >>> ring.dense().shape, ring.num_parameters, ring.is_tree
    ((3, 3, 3, 3), 48, False)
    """

    cores: tuple[NDArray, ...]
    hidden: int = 0

    @classmethod
    def random(
        cls, dims: Sequence[int], ranks: dict[Edge, int], *, hidden: int = 0, seed: Any = None
    ) -> "GraphNetwork":
        """A network of Gaussian cores with bonds of given dimensions between pairs of nodes (first < second).

        >>> tucker = GraphNetwork.random((5, 5, 5), {(0, 3): 2, (1, 3): 2, (2, 3): 3}, hidden=1, seed=0)
        >>> tucker.dense().shape, tucker.is_tree, tucker.tree().nodes
        ((5, 5, 5), True, ((1,), (2,), (3, 4), (0, 5)))
        """
        dims = (*dims, *[1] * hidden)
        checked_dims(dims)
        for one, other in ranks:
            if not 0 <= one < other < len(dims):
                raise InvalidInputError(f"a bond joins modes i < j of {len(dims)}, got {(one, other)}")
        rng = np.random.default_rng(seed)
        cores = []
        for mode, dim in enumerate(dims):
            bonds = [ranks.get((min(mode, k), max(mode, k)), 1) for k in range(len(dims)) if k != mode]
            cores.append(rng.normal(size=(dim, *bonds)))
        return cls(tuple(cores), hidden)

    @property
    def dims(self) -> tuple[int, ...]:
        """Dimensions of the modes."""
        return tuple(core.shape[0] for core in self.cores[: len(self.cores) - self.hidden])

    def rank(self, edge: Edge) -> int:
        """Dimension of the bond between two modes."""
        one, other = edge
        return int(self.cores[one].shape[axis_of(one, other)])

    @property
    def ranks(self) -> dict[Edge, int]:
        """Dimensions of all bonds with a dimension above 1."""
        pairs = combinations(range(len(self.cores)), 2)
        return {edge: rank for edge in pairs if (rank := self.rank(edge)) > 1}

    @property
    def num_parameters(self) -> int:
        """Number of entries in the cores."""
        return sum(core.size for core in self.cores)

    @property
    def is_tree(self) -> bool:
        """Whether its bonds close no ring."""
        return len(set(components(len(self.cores), self.ranks))) == len(self.cores) - len(self.ranks)

    def dense(self) -> NDArray:
        """The dense tensor that the network represents."""
        return contracted(self.cores, tuple(range(len(self.dims))), ())

    def tree(self) -> Tree:
        """The tree of the network, with a node for each core, for states and circuits.

        Raises:
            InvalidInputError: The bonds close a ring.
        """
        return self._tree()[0]

    def _tree(self) -> tuple[Tree, tuple[int, ...]]:
        """The tree, and the core of each of its nodes."""
        count, modes, ranks = len(self.cores), len(self.dims), self.ranks
        if not self.is_tree:
            raise InvalidInputError(
                f"bonds {sorted(ranks)} close a ring; only a tree is a state that compiles"
            )
        near: dict[int, list[int]] = {mode: [] for mode in range(count)}
        groups = components(count, ranks)
        loose = [groups.index(group) for group in sorted(set(groups))]
        for one, other in (*ranks, *pairwise(loose)):  # parts are joined by bonds of 1
            near[one].append(other)
            near[other].append(one)
        nodes, wire = list[tuple[int, ...]](), dict[int, int]()
        order, above, pending = list[int](), {0: -1}, [0]
        while pending:
            mode = pending.pop()
            order.append(mode)
            for other in near[mode]:
                if other != above[mode]:
                    above[other] = mode
                    pending.append(other)
        for mode in reversed(order):
            leaf = (mode,) if mode < modes else ()
            nodes.append((*leaf, *(wire[other] for other in near[mode] if other != above[mode])))
            wire[mode] = modes + len(nodes) - 1
        return Tree(modes, tuple(nodes)), tuple(reversed(order))

    def state(self) -> State:
        """The normalised tensor as a state on its tree, which compiles into a circuit."""
        (tree, own), count, modes = self._tree(), len(self.cores), len(self.dims)
        cores = []
        for node, wires in enumerate(tree.nodes):
            core, parent = own[node], tree.parents[node]
            near = [own[wire - modes] for wire in wires if wire >= modes]
            axes = [axis_of(core, own[parent])] if parent >= 0 else []
            axes += [0] if core < modes else []
            axes += [axis_of(core, k) for k in near]
            array = self.cores[core].transpose(*axes, *(k for k in range(count) if k not in axes))
            shape = array.shape[: len(axes)]
            cores.append(array.reshape(shape if parent >= 0 else (1, *shape)))
        return as_state(TreeState.canonical(Sites(self.dims, tree), cores))

    def __repr__(self) -> str:
        return f"GraphNetwork(dims={self.dims}, ranks={self.ranks}, {self.num_parameters:,} parameters)"

    def _repr_html_(self) -> str:
        facts = {
            "dimensions": self.dims,
            "hidden nodes": self.hidden,
            "bonds": self.ranks,
            "parameters": f"{self.num_parameters:,}",
        }
        return facts_html("GraphNetwork", {name: str(value) for name, value in facts.items()})


def axis_of(mode: int, other: int) -> int:
    """Axis of a mode's core that the bond to another is."""
    return 1 + other - (other > mode)


def checked_dims(dims: Sequence[int]) -> None:
    """Refuse tensors of too few or too many modes."""
    if not 2 <= len(dims) <= MOST_MODES:
        raise InvalidInputError(f"a network on a graph has 2 to {MOST_MODES} modes, got {len(dims)}")
    if min(dims) < 1:
        raise InvalidInputError(f"dimensions are at least 1, got {tuple(dims)}")


def components(count: int, edges: Any) -> list[int]:
    """Of each node the least node it hangs together with."""
    group = list(range(count))
    for one, other in edges:
        low, high = sorted((group[one], group[other]))
        group = [low if own == high else own for own in group]
    return group


def contracted(
    cores: Sequence[NDArray], open_modes: tuple[int, ...], open_bonds: tuple[Edge, ...]
) -> NDArray:
    """Contract cores (None where one is left out), keeping modes and bonds open, in this order."""
    present = tuple(k for k, core in enumerate(cores) if core is not None)
    shapes = tuple(cores[k].shape for k in present)
    terms, path = _path(len(cores), present, open_modes, open_bonds, shapes)
    return np.asarray(np.einsum(terms, *(cores[k] for k in present), optimize=path))


@lru_cache(maxsize=4096)
def _path(
    count: int,
    present: tuple[int, ...],
    open_modes: tuple[int, ...],
    open_bonds: tuple[Edge, ...],
    shapes: tuple[tuple[int, ...], ...],
) -> tuple[str, list[Any]]:
    names = dict(zip(combinations(range(count), 2), _LETTERS[count:], strict=False))
    terms = []
    for mode in present:
        bonds = (names[min(mode, k), max(mode, k)] for k in range(count) if k != mode)
        terms.append(_LETTERS[mode] + "".join(bonds))
    kept = "".join(_LETTERS[k] for k in open_modes) + "".join(names[edge] for edge in open_bonds)
    text = ",".join(terms) + "->" + kept
    empty = [np.broadcast_to(0.0, shape) for shape in shapes]
    return text, np.einsum_path(text, *empty, optimize="greedy")[0]
