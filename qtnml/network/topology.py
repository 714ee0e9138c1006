"""Which wire joins which: a rooted tree of bundles of qubits, without any number in it."""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

from qtnml.errors import InvalidInputError

MAX_BOND_QUBITS = 3


@dataclass(frozen=True)
class Node:
    """One unitary of the tree.

    Its qubits are those of the `children` wires in order, then `fresh` qubits in |0>; the first
    `width` of them become the outgoing wire and the others are let go.
    """

    children: tuple[int, ...]
    fresh: int
    width: int


@dataclass(frozen=True)
class Topology:
    """A rooted tree of wires.

    Wires `0 .. num_leaves - 1` are the leaves, leaf `i` carrying `leaf_widths[i]` data qubits; wire
    `num_leaves + k` leaves node `k`. Nodes stand in topological order, the root last. The data
    qubits of the leaves, left to right, are features 0, 1, 2, ...
    """

    leaf_widths: tuple[int, ...]
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        if not self.leaf_widths or not self.nodes:
            raise InvalidInputError("a topology needs at least one leaf and one node")
        if min(self.leaf_widths) < 1:
            raise InvalidInputError(f"leaf widths must be positive, got {self.leaf_widths}")
        used: set[int] = set()
        for k, node in enumerate(self.nodes):
            self._check_node(k, node, used)
            used.update(node.children)
        unused = set(range(self.num_leaves + len(self.nodes) - 1)) - used
        if unused:
            raise InvalidInputError(f"wires {sorted(unused)} lead nowhere; only the last node is the root")

    def _check_node(self, k: int, node: Node, used: set[int]) -> None:
        if not node.children or node.fresh < 0:
            raise InvalidInputError(f"node {k} needs a child and fresh >= 0, got {node}")
        for wire in node.children:
            if not 0 <= wire < self.num_leaves + k or wire in used or node.children.count(wire) > 1:
                raise InvalidInputError(f"node {k} cannot take wire {wire}: it is used or does not exist yet")
        inputs = sum(self.wire_width(wire) for wire in node.children) + node.fresh
        if not 1 <= node.width <= inputs:
            raise InvalidInputError(f"node {k} has {inputs} qubits and cannot keep {node.width}")

    @property
    def num_leaves(self) -> int:
        """Number of leaf wires."""
        return len(self.leaf_widths)

    @property
    def num_features(self) -> int:
        """Number of data qubits, one per feature."""
        return sum(self.leaf_widths)

    @property
    def root_qubits(self) -> int:
        """Number of qubits measured at the root."""
        return self.nodes[-1].width

    def wire_width(self, wire: int) -> int:
        """Number of qubits on a wire."""
        return self.leaf_widths[wire] if wire < self.num_leaves else self.nodes[wire - self.num_leaves].width

    @cached_property
    def num_qubits(self) -> tuple[int, ...]:
        """Number of qubits each node acts on."""
        return tuple(sum(map(self.wire_width, node.children)) + node.fresh for node in self.nodes)

    @cached_property
    def heights(self) -> tuple[int, ...]:
        """Height of each node: 1 above leaves, otherwise one more than its highest child."""
        heights: list[int] = []
        for node in self.nodes:
            below = [heights[w - self.num_leaves] for w in node.children if w >= self.num_leaves]
            heights.append(1 + max(below, default=0))
        return tuple(heights)

    @cached_property
    def leaf_features(self) -> tuple[range, ...]:
        """Features carried by each leaf wire."""
        ends = accumulate(self.leaf_widths)
        return tuple(range(end - width, end) for width, end in zip(self.leaf_widths, ends, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` is the inverse."""
        return {
            "leaf_widths": list(self.leaf_widths),
            "nodes": [[list(node.children), node.fresh, node.width] for node in self.nodes],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Topology":
        """Rebuild (and validate) a topology written by `to_dict`."""
        rows = [(*children, fresh, width) for children, fresh, width in data["nodes"]]
        if not all(isinstance(number, int) for row in [data["leaf_widths"], *rows] for number in row):
            raise InvalidInputError("a topology is made of integers")
        nodes = tuple(Node(tuple(children), fresh, width) for *children, fresh, width in rows)
        return cls(tuple(data["leaf_widths"]), nodes)


def balanced_tree(
    num_features: int, bond_qubits: int = 1, *, leaf: str = "data", root_qubits: int = 1
) -> Topology:
    """Balanced binary tree over any number of features.

    Neighbouring wires are joined in pairs, level by level; an odd one out moves up a level.

    Args:
        num_features: Number of features, one data qubit each.
        bond_qubits: Width V of the inner wires (bond dimension 2**V), 1 to 3.
        leaf: "data": leaf wires of V data qubits (the last one narrower where V does not divide the
            number of features), as in arXiv:1803.11537. "fresh": leaf wires of one data qubit, and
            nodes that bring V - 1 fresh qubits for each, as in arXiv:2209.01195.
        root_qubits: Qubits kept and measured at the root; d qubits tell 2**d classes apart.

    >>> balanced_tree(64).num_leaves, len(balanced_tree(64, 2).nodes), len(balanced_tree(64, 3).nodes)
    (64, 31, 21)
    """
    _check_tree_arguments(num_features, bond_qubits, leaf)
    per_leaf = bond_qubits if leaf == "data" else 1
    full, rest = divmod(num_features, per_leaf)
    widths = [per_leaf] * full + [rest] * (rest > 0)
    wires, nodes = list(range(len(widths))), list[Node]()
    wire_widths = list(widths)
    while not nodes or len(wires) > 1:
        above = list[int]()
        for pair in (tuple(wires[k : k + 2]) for k in range(0, len(wires), 2)):
            if len(pair) == 1 and len(wires) > 1:
                above.append(pair[0])
                continue
            fresh = sum(bond_qubits - wire_widths[w] for w in pair) if leaf == "fresh" else 0
            inputs = sum(wire_widths[w] for w in pair) + fresh
            width = root_qubits if len(wires) <= 2 else min(bond_qubits, inputs)
            if not 1 <= width <= inputs:
                raise InvalidInputError(
                    f"the root has {inputs} qubits and cannot keep root_qubits={width} "
                    f"(num_features={num_features}, bond_qubits={bond_qubits}); more features or a larger "
                    "bond_qubits widen it"
                )
            above.append(len(wire_widths))
            wire_widths.append(width)
            nodes.append(Node(pair, fresh, width))
        wires = above
    return Topology(tuple(widths), tuple(nodes))


def _check_tree_arguments(num_features: int, bond_qubits: int, leaf: str) -> None:
    if num_features < 1:
        raise InvalidInputError(f"a tree needs at least one feature, got {num_features}")
    if not 1 <= bond_qubits <= MAX_BOND_QUBITS:
        raise InvalidInputError(
            f"bond_qubits must be 1 to {MAX_BOND_QUBITS}, got {bond_qubits}: a node is a unitary on "
            f"{2 * bond_qubits} qubits"
        )
    if leaf not in ("data", "fresh"):
        raise InvalidInputError(f"leaf must be 'data' or 'fresh', got {leaf!r}")
