"""Contraction plan of a topology: nodes of one kind have transfer maps of one shape, computed together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from qtnml.ansatz.tensor_network import stacking
from qtnml.contract.plan import Chain, Plan, plan_contraction
from qtnml.errors import InvalidInputError
from qtnml.structure import Topology

_CHUNK_FLOATS = 2**22  # of the largest intermediate array in NumPy inference: 32 MB in float64
_MOST_BYTES = 2**34  # of all maps of nodes


@dataclass(frozen=True)
class WireKind:
    """What decides the number of coefficients on a wire: its qubits, and whether it is a leaf."""

    width: int
    is_leaf: bool


@dataclass(frozen=True)
class NodeKind:
    """Nodes of one kind have transfer maps of one shape."""

    children: tuple[WireKind, ...]
    fresh: int
    width: int
    is_root: bool
    uploads: bool

    @property
    def num_inputs(self) -> int:
        """Qubits of the child wires."""
        return sum(child.width for child in self.children)


@dataclass(frozen=True)
class MapGroup:
    """All nodes of one kind, in order: rows `rows` of the unitaries' stack number `stack`."""

    kind: NodeKind
    stack: int
    rows: tuple[int, ...]
    nodes: tuple[int, ...]


@dataclass(frozen=True)
class BlochPlan:
    """Contraction plan of a topology, its groups with their place among the unitaries."""

    plan: Plan
    groups: tuple[MapGroup, ...]


@lru_cache(maxsize=256)
def contraction_plan(topology: Topology) -> BlochPlan:
    """Plan the level-by-level contraction of a topology.

    Raises:
        InvalidInputError: The maps of its nodes take more than 16 GiB.
    """
    kinds = [_node_kind(topology, k) for k in range(len(topology.nodes))]
    alone = frozenset(k for k, node in enumerate(topology.nodes) if node.uploads)
    plan = plan_contraction(topology.tree, kinds, topology.leaf_widths, alone=alone)
    position = {node: (s, row) for s, (_, ns) in enumerate(stacking(topology)) for row, node in enumerate(ns)}
    groups = tuple(
        MapGroup(kinds[nodes[0]], position[nodes[0]][0], tuple(position[k][1] for k in nodes), nodes)
        for nodes in plan.groups
    )
    _check_size(groups)
    return BlochPlan(plan, groups)


def chunk_size(topology: Topology) -> int:
    """Samples to contract at once without large intermediate arrays."""
    found = contraction_plan(topology)
    largest = max(
        len(step.lanes) * int(4 ** found.groups[step.lanes[0].group].kind.num_inputs)
        if isinstance(step, Chain)
        else len(step.nodes) * int(4 ** found.groups[step.group].kind.num_inputs)
        for step in found.plan.steps
    )
    return max(1, _CHUNK_FLOATS // largest)


def numbers_per_sample(topology: Topology) -> int:
    """Numbers that pass through the contraction of one sample: joint input and output of every node."""
    kinds = (group.kind for group in contraction_plan(topology).groups for _ in group.nodes)
    return sum(int(4**kind.num_inputs) + int(4**kind.width) for kind in kinds)


def _check_size(groups: Sequence[MapGroup]) -> None:
    """Refuse maps of Bloch vectors that do not fit into memory, before JAX dies of them.

    The map of a node from m to n qubits has 4**(m + n) numbers. A contraction holds those of all nodes twice.
    """
    needed = 16 * sum(len(g.nodes) * 4 ** (g.kind.num_inputs + g.kind.width) for g in groups)
    if needed > _MOST_BYTES:
        kind = max((g.kind for g in groups), key=lambda kind: kind.num_inputs + kind.width)
        raise InvalidInputError(
            f"nodes from {kind.num_inputs} to {kind.width} qubits have maps of "
            f"4**{kind.num_inputs + kind.width} numbers; those of all nodes take {needed / 2**30:.0f} "
            f"GiB, at most {_MOST_BYTES / 2**30:.0f} are allowed; join fewer qubits in a node. An amplitude "
            "classifier has the same probabilities without noise, and its network compiles"
        )


def _node_kind(topology: Topology, k: int) -> NodeKind:
    node = topology.nodes[k]
    children = tuple(WireKind(topology.wire_width(w), w < topology.num_leaves) for w in node.children)
    return NodeKind(children, node.fresh, node.width, k == len(topology.nodes) - 1, bool(node.uploads))
