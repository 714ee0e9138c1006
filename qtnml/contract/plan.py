"""How a tree is contracted: which nodes are one batched product, and where their inputs lie.

A plan is pure structure, computed once per topology. Nodes of one height with the same kinds of
children form one step; steps of one node each that hand a wire on and take leaves, as in a matrix
product state, form a chain, so that its length costs no compilation. The transfer maps of all nodes
with the same shape are computed together.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

from qtnml.ansatz.tensor_network import stacking
from qtnml.structure.topology import Topology

_SHORTEST_CHAIN = 3
_CHUNK_FLOATS = 2**22  # of the largest intermediate array in NumPy inference: 32 MB in float64


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
class Step:
    """One batched product: maps `start:stop` of a group, applied to one gathered array per child.

    A gather is a sequence of (pool, rows): rows of earlier arrays, joined in order. Pools are the
    leaf arrays first, then the output of every step. `uploads` are, for each qubit, the data qubits
    that turn it, node by node.
    """

    group: int
    start: int
    stop: int
    gathers: tuple[tuple[tuple[int, tuple[int, ...]], ...], ...]
    uploads: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Chain:
    """Maps `start:stop` of a group one after the other, each taking the wire before and leaves.

    `leaves` are (pool, first row, last row) for every child but the first; rows rise or fall by one
    from node to node. `carried` is the first node's first child.
    """

    group: int
    start: int
    stop: int
    carried: tuple[tuple[int, tuple[int, ...]], ...]
    leaves: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Plan:
    """Leaf pools as (width, leaves), map groups, and steps in order of execution."""

    leaf_pools: tuple[tuple[int, tuple[int, ...]], ...]
    groups: tuple[MapGroup, ...]
    steps: tuple[Step | Chain, ...]


@lru_cache(maxsize=256)
def contraction_plan(topology: Topology) -> Plan:
    """Plan the level-by-level contraction of a topology."""
    order = _wire_order(topology)
    kinds = [_node_kind(topology, k) for k in range(len(topology.nodes))]
    leaf_pools = _leaf_pools(topology, order)
    place = {leaf: (p, row) for p, (_, leaves) in enumerate(leaf_pools) for row, leaf in enumerate(leaves)}
    members: dict[NodeKind, list[int]] = {}
    by_step: dict[tuple[int, NodeKind], list[int]] = {}
    for k in sorted(
        range(len(kinds)), key=lambda k: (topology.tree.heights[k], order[topology.num_leaves + k])
    ):
        members.setdefault(kinds[k], []).append(k)
        by_step.setdefault((topology.tree.heights[k], kinds[k]), []).append(k)
    group_of = {kind: number for number, kind in enumerate(members)}
    steps: list[Step] = []
    for (_, kind), nodes in by_step.items():
        slots = zip(*(topology.nodes[k].children for k in nodes), strict=True)
        gathers = tuple(_gather([place[wire] for wire in wires]) for wires in slots)
        start = members[kind].index(nodes[0])
        uploads = tuple(zip(*(topology.nodes[k].uploads for k in nodes), strict=True))
        steps.append(Step(group_of[kind], start, start + len(nodes), gathers, uploads))
        pool = len(leaf_pools) + len(steps) - 1
        place |= {topology.num_leaves + k: (pool, row) for row, k in enumerate(nodes)}
    position = {node: (s, row) for s, (_, ns) in enumerate(stacking(topology)) for row, node in enumerate(ns)}
    groups = tuple(
        MapGroup(kind, position[nodes[0]][0], tuple(position[k][1] for k in nodes), tuple(nodes))
        for kind, nodes in members.items()
    )
    return Plan(leaf_pools, groups, _with_chains(steps, len(leaf_pools)))


def chunk_size(topology: Topology) -> int:
    """Samples to contract at once without large intermediate arrays."""
    plan = contraction_plan(topology)
    largest = max(
        (1 if isinstance(step, Chain) else step.stop - step.start)
        * int(4 ** plan.groups[step.group].kind.num_inputs)
        for step in plan.steps
    )
    return max(1, _CHUNK_FLOATS // largest)


def _with_chains(steps: list[Step], num_pools: int) -> tuple[Step | Chain, ...]:
    """Join runs of at least three steps that hand one wire on into chains, and renumber the pools."""
    joined: list[Step | Chain] = []
    new_pool = {pool: pool for pool in range(num_pools)}
    k = 0
    while k < len(steps):
        end = k + 1
        while end < len(steps) and _continues(steps, k, end, num_pools):
            end += 1
        gathers = tuple(tuple((new_pool[pool], rows) for pool, rows in gather) for gather in steps[k].gathers)
        if end - k >= _SHORTEST_CHAIN:
            last = steps[end - 1]
            leaves = tuple(
                (first[0][0], first[0][1][0], final[0][1][0])
                for first, final in zip(gathers[1:], last.gathers[1:], strict=True)
            )
            joined.append(Chain(steps[k].group, steps[k].start, last.stop, gathers[0], leaves))
        else:
            end = k + 1
            joined.append(replace(steps[k], gathers=gathers))
        new_pool[num_pools + end - 1] = num_pools + len(joined) - 1
        k = end
    return tuple(joined)


def _continues(steps: list[Step], first: int, k: int, num_pools: int) -> bool:
    """Step `k` goes on with a chain that began at step `first`."""
    step, before = steps[k], steps[k - 1]
    if step.uploads:
        return False
    if (step.group, step.start, step.stop) != (before.group, before.stop, before.stop + 1):
        return False
    if before.stop != before.start + 1 or step.gathers[0] != ((num_pools + k - 1, (0,)),):
        return False
    for chain_first, now, then in zip(
        steps[first].gathers[1:], step.gathers[1:], before.gathers[1:], strict=True
    ):
        if not (len(now) == len(then) == 1 and now[0][0] == then[0][0] < num_pools):
            return False
        stride = now[0][1][0] - then[0][1][0]
        rows = (chain_first[0][1][0], now[0][1][0])
        if abs(stride) != 1 or rows[1] - rows[0] != stride * (k - first):
            return False
    return True


def _wire_order(topology: Topology) -> dict[int, tuple[int, ...]]:
    """Sort keys of the wires: a wire's slot at its parent, then the parent's key.

    In this order the left children of a level stand together, then the right ones, each in the
    order of their parents. A step so takes each of its inputs as one contiguous slice, where every
    second row would cost a strided copy and a scattered gradient.
    """
    keys: dict[int, tuple[int, ...]] = {topology.num_leaves + len(topology.nodes) - 1: ()}
    for k in reversed(range(len(topology.nodes))):
        for slot, child in enumerate(topology.nodes[k].children):
            keys[child] = (slot, *keys[topology.num_leaves + k])
    return keys


def _node_kind(topology: Topology, k: int) -> NodeKind:
    node = topology.nodes[k]
    children = tuple(WireKind(topology.wire_width(w), w < topology.num_leaves) for w in node.children)
    return NodeKind(children, node.fresh, node.width, k == len(topology.nodes) - 1, bool(node.uploads))


def _leaf_pools(
    topology: Topology, order: dict[int, tuple[int, ...]]
) -> tuple[tuple[int, tuple[int, ...]], ...]:
    by_width: dict[int, list[int]] = {}
    for leaf in sorted(range(topology.num_leaves), key=lambda leaf: order[leaf]):
        by_width.setdefault(topology.leaf_widths[leaf], []).append(leaf)
    return tuple((width, tuple(leaves)) for width, leaves in by_width.items())


def _gather(places: list[tuple[int, int]]) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Join consecutive rows of the same pool into one segment."""
    segments: list[tuple[int, list[int]]] = []
    for pool, row in places:
        if segments and segments[-1][0] == pool:
            segments[-1][1].append(row)
        else:
            segments.append((pool, [row]))
    return tuple((pool, tuple(rows)) for pool, rows in segments)
