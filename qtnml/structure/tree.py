"""Rooted tree of a network: which wires enter which node. Holds no parameters.

`Topology` adds widths in qubits, and `Sites` adds levels. Contraction, training and compiling use the same
tree.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from qtnml.errors import InvalidInputError


@dataclass(frozen=True)
class Tree:
    """Rooted tree whose leaves are sites (or bundles of features).

    Wires `0 .. num_leaves - 1` are the leaves; wire `num_leaves + k` leaves node `k`. Nodes are in
    topological order, the root last.

    Attributes:
        num_leaves: Number of leaf wires.
        nodes: Wires that enter each node, in order.

    >>> tree = Tree(3, ((0, 1), (3, 2)))
    >>> tree.parents, tree.heights, tree.leaves_below
    ((1, -1), (1, 2), ((0, 1), (0, 1, 2)))
    """

    num_leaves: int
    nodes: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if self.num_leaves < 1 or not self.nodes:
            raise InvalidInputError("a tree needs at least one leaf and one node")
        if any(isinstance(wire, bool) for wires in self.nodes for wire in wires):
            raise InvalidInputError("wires are integers, got a boolean")
        used = set[int]()
        for k, wires in enumerate(self.nodes):
            if not wires:
                raise InvalidInputError(f"node {k} needs a child, got none")
            for wire in wires:
                if not 0 <= wire < self.num_leaves + k or wire in used:
                    raise InvalidInputError(
                        f"node {k} cannot take wire {wire}: it is used or does not exist yet"
                    )
                used.add(wire)
        wires_below = self.num_leaves + len(self.nodes) - 1
        if len(used) != wires_below:
            unused = list(islice((wire for wire in range(wires_below) if wire not in used), 10))
            raise InvalidInputError(f"wires {unused} lead nowhere; only the last node is the root")

    @property
    def root(self) -> int:
        """The root, which is the last node."""
        return len(self.nodes) - 1

    def is_leaf(self, wire: int) -> bool:
        """Whether a wire is a leaf."""
        return wire < self.num_leaves

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """Node above each node; -1 for the root."""
        parents = [-1] * len(self.nodes)
        for k, wires in enumerate(self.nodes):
            for wire in wires:
                if wire >= self.num_leaves:
                    parents[wire - self.num_leaves] = k
        return tuple(parents)

    @cached_property
    def node_of_leaf(self) -> tuple[int, ...]:
        """Node that each leaf enters."""
        owners = [0] * self.num_leaves
        for k, wires in enumerate(self.nodes):
            for wire in wires:
                if wire < self.num_leaves:
                    owners[wire] = k
        return tuple(owners)

    @cached_property
    def heights(self) -> tuple[int, ...]:
        """Height of each node: 1 above leaves, otherwise one more than its highest child."""
        heights: list[int] = []
        for wires in self.nodes:
            below = [heights[w - self.num_leaves] for w in wires if w >= self.num_leaves]
            heights.append(1 + max(below, default=0))
        return tuple(heights)

    @cached_property
    def num_below(self) -> tuple[int, ...]:
        """Number of leaves below each node."""
        below: list[int] = []
        for wires in self.nodes:
            below.append(sum(1 if w < self.num_leaves else below[w - self.num_leaves] for w in wires))
        return tuple(below)

    @cached_property
    def leaves_in_order(self) -> tuple[int, ...]:
        """All leaves in the order of a walk from the root; leaves below a node are adjacent."""
        found, open_ = list[int](), [self.num_leaves + self.root]
        while open_:
            wire = open_.pop()
            if wire < self.num_leaves:
                found.append(wire)
            else:
                open_ += reversed(self.nodes[wire - self.num_leaves])
        return tuple(found)

    @cached_property
    def leaves_below(self) -> tuple[tuple[int, ...], ...]:
        """Leaves below each node, in the order of its wires. For a chain these are N**2 / 2 in total."""
        starts = [0] * len(self.nodes)
        for k in reversed(range(len(self.nodes))):
            place = starts[k]
            for wire in self.nodes[k]:
                if wire >= self.num_leaves:
                    starts[wire - self.num_leaves] = place
                place += 1 if wire < self.num_leaves else self.num_below[wire - self.num_leaves]
        leaves = self.leaves_in_order
        return tuple(leaves[a : a + n] for a, n in zip(starts, self.num_below, strict=True))

    @cached_property
    def tour(self) -> tuple[tuple[int, int], ...]:
        """Edges (from node, to node) of a walk that starts and ends at the root and uses each edge twice."""
        steps: list[tuple[int, int]] = []
        open_: list[tuple[int, int]] = [(self.root, 0)]
        while open_:
            node, place = open_.pop()
            below = self.nodes_below(node)
            if place < len(below):
                steps.append((node, below[place]))
                open_ += [(node, place + 1), (below[place], 0)]
            elif self.parents[node] >= 0:
                steps.append((node, self.parents[node]))
        return tuple(steps)

    def nodes_below(self, node: int) -> list[int]:
        """Nodes whose wires enter a node."""
        return [wire - self.num_leaves for wire in self.nodes[node] if wire >= self.num_leaves]

    def to_dict(self) -> dict[str, Any]:
        """The tree as plain JSON types; `from_dict` is the inverse."""
        return {"num_leaves": self.num_leaves, "nodes": [list(wires) for wires in self.nodes]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Tree":
        """Rebuild (and validate) a tree written by `to_dict`."""
        try:
            count, nodes = data["num_leaves"], tuple(tuple(wires) for wires in data["nodes"])
        except (KeyError, TypeError) as error:
            raise InvalidInputError(f"a tree has num_leaves and nodes: {error!r}") from error
        if not all(isinstance(n, int) for n in [count, *(wire for wires in nodes for wire in wires)]):
            raise InvalidInputError("a tree is made of integers")
        return cls(count, nodes)

    def __repr__(self) -> str:
        return f"Tree({self.num_leaves} leaves, {len(self.nodes)} nodes, height {self.heights[-1]})"

    def brackets(self) -> str:
        """The tree as nested brackets of leaves, in the format of `from_brackets`.

        >>> Tree(3, ((0, 1), (3, 2))).brackets()
        '[[0, 1], 2]'
        """
        # No recursion: chains are deep.
        return "".join(self._tokens())

    def _tokens(self) -> Iterator[str]:
        open_: list[int | str] = [self.num_leaves + self.root]
        while open_:
            token = open_.pop()
            if isinstance(token, str):
                yield token
            elif token < self.num_leaves:
                yield str(token)
            else:
                wires = self.nodes[token - self.num_leaves]
                yield "["
                open_.append("]")
                for place, wire in reversed(list(enumerate(wires))):
                    open_.append(wire)
                    if place:
                        open_.append(", ")
