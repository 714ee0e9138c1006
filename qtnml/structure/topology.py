"""Rooted tree of a network: connectivity and bond widths in qubits. Holds no parameters."""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal

from qtnml.errors import InvalidInputError
from qtnml.gates import NodeShape
from qtnml.structure.tree import Tree

MAX_BOND_QUBITS = 3
MAX_NODE_QUBITS = 12  # a unitary on so many has 16 million numbers


@dataclass(frozen=True)
class Node:
    """One unitary of the tree.

    Its qubits are those of the `children` wires in order, then `fresh` qubits in |0>. The first `width` of
    them become the outgoing wire; the others are discarded. Before the unitary, the data gate of data qubit
    `uploads[q]` rotates qubit q once more (data re-uploading). If `uploads` is empty, there is none.
    """

    children: tuple[int, ...]
    fresh: int
    width: int
    uploads: tuple[int, ...] = ()


@dataclass(frozen=True, repr=False)
class Topology:
    """A `Tree` whose wires are bundles of qubits.

    Leaf wire `i` carries `leaf_widths[i]` data qubits. The data qubits of the leaves, from left to right, are
    data qubits 0, 1, 2, ... (features in this order).

    Attributes:
        leaf_widths: Number of data qubits on each leaf wire.
        nodes: Nodes in topological order, the root last.
    """

    leaf_widths: tuple[int, ...]
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        if not self.leaf_widths or not self.nodes:
            raise InvalidInputError("a topology needs at least one leaf and one node")
        if min(self.leaf_widths) < 1:
            raise InvalidInputError(f"leaf widths must be positive, got {self.leaf_widths}")
        _ = self.tree  # which checks how wires are joined
        for k, node in enumerate(self.nodes):
            self._check_node(k, node)

    @cached_property
    def tree(self) -> Tree:
        """Connectivity without widths."""
        return Tree(len(self.leaf_widths), tuple(node.children for node in self.nodes))

    def _check_node(self, k: int, node: Node) -> None:
        if node.fresh < 0:
            raise InvalidInputError(f"node {k} needs fresh >= 0, got {node.fresh}")
        inputs = sum(self.wire_width(wire) for wire in node.children) + node.fresh
        if inputs > MAX_NODE_QUBITS:
            raise InvalidInputError(
                f"node {k} acts on {inputs} qubits, more than {MAX_NODE_QUBITS}: give it fewer children or "
                "fresh qubits, or narrower wires"
            )
        if not 1 <= node.width <= inputs:
            raise InvalidInputError(f"node {k} has {inputs} qubits and cannot keep {node.width}")
        if node.uploads:
            self._check_uploads(k, node, inputs)

    def _check_uploads(self, k: int, node: Node, inputs: int) -> None:
        if len(node.uploads) != inputs or node.fresh or min(node.children) < self.num_leaves:
            raise InvalidInputError(
                f"node {k} uploads on {len(node.uploads)} of {inputs} qubits; re-uploading needs one data "
                "qubit for each, no fresh qubits and no leaves as children"
            )
        if not all(0 <= place < self.num_data_qubits for place in node.uploads):
            raise InvalidInputError(f"node {k} uploads data qubits {node.uploads}, which do not all exist")

    def __repr__(self) -> str:
        return (
            f"Topology({self.num_data_qubits} data qubits, {len(self.nodes)} nodes, wires of up to "
            f"{self.widest} qubits)"
        )

    @property
    def num_leaves(self) -> int:
        """Number of leaf wires."""
        return len(self.leaf_widths)

    @property
    def num_data_qubits(self) -> int:
        """Number of data qubits: `qubits_per_feature` of the encoding for each feature."""
        return sum(self.leaf_widths)

    @property
    def root_qubits(self) -> int:
        """Number of qubits measured at the root."""
        return self.nodes[-1].width

    @property
    def widest(self) -> int:
        """Number of qubits of the widest inner wire."""
        return max(node.width for node in self.nodes[:-1] or self.nodes)

    def wire_width(self, wire: int) -> int:
        """Number of qubits on a wire."""
        return self.leaf_widths[wire] if wire < self.num_leaves else self.nodes[wire - self.num_leaves].width

    @cached_property
    def num_qubits(self) -> tuple[int, ...]:
        """Number of qubits each node acts on."""
        return tuple(sum(map(self.wire_width, node.children)) + node.fresh for node in self.nodes)

    @cached_property
    def node_shapes(self) -> tuple[NodeShape, ...]:
        """Shape of each node, which says what the compiler may leave out; see `NodeShape`."""
        fixed = {wire for node in self.nodes if node.uploads for wire in node.children}
        outputs: list[Literal["wire", "fixed", "measured"]] = [
            "fixed" if self.num_leaves + k in fixed else "wire" for k in range(len(self.nodes))
        ]
        outputs[-1] = "measured"
        return tuple(
            NodeShape(size, node.width, node.fresh, output)
            for size, node, output in zip(self.num_qubits, self.nodes, outputs, strict=True)
        )

    @cached_property
    def leaf_qubits(self) -> tuple[range, ...]:
        """Data qubits carried by each leaf wire."""
        ends = accumulate(self.leaf_widths)
        return tuple(range(end - width, end) for width, end in zip(self.leaf_widths, ends, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """The topology as plain JSON types; `from_dict` is the inverse."""
        return {
            "leaf_widths": list(self.leaf_widths),
            "nodes": [
                [list(node.children), node.fresh, node.width, *([list(node.uploads)] if node.uploads else [])]
                for node in self.nodes
            ],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Topology":
        """Rebuild (and validate) a topology written by `to_dict`."""
        try:
            leaves = tuple(data["leaf_widths"])
            nodes = tuple(
                Node(tuple(children), fresh, width, *map(tuple, uploads))
                for children, fresh, width, *uploads in data["nodes"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(
                f"a topology has leaf_widths and nodes [children, fresh, width]: {error!r}"
            ) from error
        numbers = [n for node in nodes for n in (*node.children, node.fresh, node.width, *node.uploads)]
        if not all(isinstance(number, int) for number in [*leaves, *numbers]):
            raise InvalidInputError("a topology is made of integers")
        return cls(leaves, nodes)


def structure_from_dict(data: dict[str, Any]) -> Tree | Topology:
    """A tree or a topology written by its `to_dict`; for `Sites`, their tree."""
    if "leaf_widths" in data:
        return Topology.from_dict(data)
    count = data["num_leaves"] if "num_leaves" in data else len(data["site_dims"])
    return Tree.from_dict({"num_leaves": count, "nodes": data["nodes"]})
