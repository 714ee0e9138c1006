"""Contraction plan of a tree: which nodes form one batched product, and where their inputs are.

A plan holds structure only. Nodes of one height and kind form one step. Nodes of one kind that pass on a wire
and take leaves, as in a matrix product state, form a chain; its length does not change the compilation time.
Independent chains of equal shape, such as the two halves of a matrix product state, run in parallel.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from qtnml.structure import Tree

_SHORTEST_CHAIN = 3
_MOST_LANES = 4

#: Rows of earlier arrays, joined in order: (pool, rows), .... Pools are the leaf arrays first, then the
#: output of every step.
Gather = tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Step:
    """One batched product: maps `start:stop` of a group, applied to one gathered array per child.

    Attributes:
        group, start, stop: Which maps.
        gathers: Inputs, one array (nodes, dimension, batch) for each child.
        nodes: In order.
    """

    group: int
    start: int
    stop: int
    gathers: tuple[Gather, ...]
    nodes: tuple[int, ...]


@dataclass(frozen=True)
class Lane:
    """Maps `start:stop` of a group one after the other, each taking the wire before and leaves.

    Attributes:
        group, start, stop: Which maps.
        slot: Which child of each node is the wire before.
        carried: That wire of the first node.
        leaves: Row of every other child, node by node: (pool, rows).
    """

    group: int
    start: int
    stop: int
    slot: int
    carried: Gather
    leaves: tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Chain:
    """Lanes of one length and one shape of maps, run side by side; its output has one row for each."""

    lanes: tuple[Lane, ...]


@dataclass(frozen=True)
class Plan:
    """How to contract a tree.

    Attributes:
        leaf_pools: Leaves of each pool, in the order of its rows.
        groups: Nodes whose maps are made together, in order.
        steps: In order of execution.
    """

    leaf_pools: tuple[tuple[int, ...], ...]
    groups: tuple[tuple[int, ...], ...]
    steps: tuple[Step | Chain, ...]


def plan_contraction(
    tree: Tree,
    node_kinds: Sequence[Hashable],
    leaf_kinds: Sequence[Hashable],
    *,
    lane_kind: Callable[[Any], Hashable] = lambda kind: kind,
    alone: frozenset[int] = frozenset(),
) -> Plan:
    """Plan the contraction of a tree from its leaves to the root.

    Args:
        tree: Connectivity.
        node_kinds: Of each node; nodes of one kind have maps of one shape, made together.
        leaf_kinds: Of each leaf; leaves of one kind have vectors of one dimension.
        lane_kind: Chains of kinds that it maps to the same value run side by side.
        alone: Nodes that are never part of a chain.
    """
    return _Planner(tree, node_kinds, leaf_kinds, lane_kind, alone).plan()


class _Planner:
    def __init__(
        self,
        tree: Tree,
        node_kinds: Sequence[Hashable],
        leaf_kinds: Sequence[Hashable],
        lane_kind: Callable[[Any], Hashable],
        alone: frozenset[int],
    ) -> None:
        self._tree, self._kinds, self._lane_kind = tree, node_kinds, lane_kind
        self._order = _wire_order(tree)
        self._pools = _leaf_pools(leaf_kinds, self._order)
        self._place = {
            leaf: (p, row) for p, leaves in enumerate(self._pools) for row, leaf in enumerate(leaves)
        }
        self._runs = self._chains(alone)
        self._groups, self._position = self._grouped()
        self._steps = list[Step | Chain]()

    def plan(self) -> Plan:
        tree, heights = self._tree, list[int]()
        of_node = {k: run for run in self._runs for k in run}
        singles: dict[tuple[int, Hashable], list[int]] = {}
        chains: dict[tuple[int, Hashable], list[tuple[int, ...]]] = {}
        for k, wires in enumerate(tree.nodes):
            below = [heights[w - tree.num_leaves] for w in wires if w >= tree.num_leaves]
            run = of_node.get(k)
            if run is not None and k != run[0]:
                heights.append(below[0])  # the chain is one thing
                continue
            heights.append(1 + max(below, default=0))
            if run is None:
                singles.setdefault((heights[k], self._kinds[k]), []).append(k)
            else:
                chains.setdefault((heights[k], self._lane_kind(self._kinds[k])), []).append(run)
        for height in range(1, max(heights) + 1):
            for (level, _), runs in chains.items():
                if level == height:
                    for first in range(0, len(runs), _MOST_LANES):
                        self._add_chains(runs[first : first + _MOST_LANES])
            for (level, _), nodes in singles.items():
                if level == height:
                    self._add_step(sorted(nodes, key=lambda k: self._order[tree.num_leaves + k]))
        return Plan(self._pools, self._groups, tuple(self._steps))

    def _chains(self, alone: frozenset[int]) -> list[tuple[int, ...]]:
        """Runs of nodes of one kind, each with the one before and leaves as its children."""
        tree, runs, open_ = self._tree, list[list[int]](), dict[int, list[int]]()
        for k, wires in enumerate(tree.nodes):
            below = [w - tree.num_leaves for w in wires if w >= tree.num_leaves]
            if len(below) != 1 or k in alone:
                continue
            run = open_.pop(below[0], None)
            if run is None or self._kinds[run[-1]] != self._kinds[k]:
                run = list[int]()
                runs.append(run)
            run.append(k)
            open_[k] = run
        return [tuple(run) for run in runs if len(run) >= _SHORTEST_CHAIN]

    def _grouped(self) -> tuple[tuple[tuple[int, ...], ...], dict[int, tuple[int, int]]]:
        """Groups of nodes, chains first and in order, and (group, place) of every node."""
        tree, members = self._tree, dict[Hashable, list[int]]()
        in_chains = {k for run in self._runs for k in run}
        for run in self._runs:
            members.setdefault(self._kinds[run[0]], []).extend(run)
        heights = tree.heights
        for k in sorted(range(len(tree.nodes)), key=lambda k: (heights[k], self._order[tree.num_leaves + k])):
            if k not in in_chains:
                members.setdefault(self._kinds[k], []).append(k)
        groups = tuple(tuple(nodes) for nodes in members.values())
        return groups, {k: (g, place) for g, nodes in enumerate(groups) for place, k in enumerate(nodes)}

    def _add_step(self, nodes: list[int]) -> None:
        """Nodes of one kind and height; those that do not stand together in their group as several steps."""
        start = 0
        while start < len(nodes):
            group, first = self._position[nodes[start]]
            stop = start + 1
            while stop < len(nodes) and self._position[nodes[stop]] == (group, first + stop - start):
                stop += 1
            some = tuple(nodes[start:stop])
            slots = zip(*(self._tree.nodes[k] for k in some), strict=True)
            gathers = tuple(_gather([self._place[wire] for wire in wires]) for wires in slots)
            self._steps.append(Step(group, first, first + len(some), gathers, some))
            self._put(some)
            start = stop

    def _add_chains(self, runs: list[tuple[int, ...]]) -> None:
        """Chains side by side as far as the shortest goes; then what is left of the others."""
        shortest = min(map(len, runs))
        lanes = tuple(self._lane(run[:shortest]) for run in runs)
        self._steps.append(Chain(lanes))
        self._put(tuple(run[shortest - 1] for run in runs))
        rest = [run[shortest:] for run in runs if len(run) > shortest]
        if not rest:
            return
        if min(map(len, rest)) >= _SHORTEST_CHAIN:
            self._add_chains(rest)
            return
        for run in rest:
            for k in run:
                self._add_step([k])

    def _lane(self, run: tuple[int, ...]) -> Lane:
        tree = self._tree
        group, start = self._position[run[0]]
        wires = tree.nodes[run[0]]
        slot = next(s for s, wire in enumerate(wires) if wire >= tree.num_leaves)
        leaves = []
        for other in range(len(wires)):
            if other != slot:
                places = [self._place[tree.nodes[k][other]] for k in run]
                leaves.append((places[0][0], tuple(row for _, row in places)))
        return Lane(group, start, start + len(run), slot, _gather([self._place[wires[slot]]]), tuple(leaves))

    def _put(self, nodes: tuple[int, ...]) -> None:
        """The last step's output has a row for each of these nodes."""
        pool = len(self._pools) + len(self._steps) - 1
        self._place |= {self._tree.num_leaves + k: (pool, row) for row, k in enumerate(nodes)}


def _wire_order(tree: Tree) -> list[tuple[int, int]]:
    """Sort key of every wire: its depth, then its slot at its parent, then the parent's place.

    In this order the left children of a level stand together, then the right ones, each in the
    order of their parents. A step so takes each of its inputs as one contiguous slice, where every
    second row would cost a strided copy and a scattered gradient.
    """
    keys = [(0, 0)] * (tree.num_leaves + len(tree.nodes))
    current, depth = [tree.num_leaves + tree.root], 0
    while current:
        below = list[tuple[int, int, int]]()
        for place, wire in enumerate(current):
            keys[wire] = depth, place
            if wire >= tree.num_leaves:
                children = enumerate(tree.nodes[wire - tree.num_leaves])
                below += [(slot, place, child) for slot, child in children]
        current, depth = [child for _, _, child in sorted(below)], depth + 1
    return keys


def _leaf_pools(leaf_kinds: Sequence[Hashable], order: list[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    by_kind: dict[Hashable, list[int]] = {}
    for leaf in sorted(range(len(leaf_kinds)), key=lambda leaf: order[leaf]):
        by_kind.setdefault(leaf_kinds[leaf], []).append(leaf)
    return tuple(map(tuple, by_kind.values()))


def _gather(places: list[tuple[int, int]]) -> Gather:
    """Join consecutive rows of the same pool into one segment."""
    segments: list[tuple[int, list[int]]] = []
    for pool, row in places:
        if segments and segments[-1][0] == pool:
            segments[-1][1].append(row)
        else:
            segments.append((pool, [row]))
    return tuple((pool, tuple(rows)) for pool, rows in segments)
