"""Which site joins which: a rooted tree over sites of any dimensions, without any number in it.

The generative counterpart of `Topology`, with the same numbering of wires; its bonds get their dimensions
from data, and become bundles of qubits only when a circuit is made.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from qtnml.errors import InvalidInputError
from qtnml.network.topology import Topology

MOST_LEVELS = 256


@dataclass(frozen=True)
class SiteTree:
    """A rooted tree whose leaves are sites.

    Wires `0 .. num_sites - 1` are the sites, wire `num_sites + k` leaves node `k`. Nodes stand in
    topological order, the root last; each takes in the wires of `nodes[k]`.

    Attributes:
        site_dims: Levels of each site (2 for a bit).
        nodes: Wires that enter each node.
    """

    site_dims: tuple[int, ...]
    nodes: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not self.site_dims or not self.nodes:
            raise InvalidInputError("a tree needs at least one site and one node")
        strange = [dim for dim in self.site_dims if not 1 <= dim <= MOST_LEVELS]
        if strange:
            raise InvalidInputError(f"a site has 1 to {MOST_LEVELS} levels, got {strange[0]}")
        if any(isinstance(wire, bool) for wires in self.nodes for wire in wires):
            raise InvalidInputError("wires are integers, got a boolean")
        used = sorted(wire for wires in self.nodes for wire in wires)
        if used != list(range(self.num_sites + len(self.nodes) - 1)) or not all(self.nodes):
            raise InvalidInputError("every wire but the root's must enter exactly one node")
        if any(wire >= self.num_sites + k for k, wires in enumerate(self.nodes) for wire in wires):
            raise InvalidInputError("a node cannot take in a wire that does not exist yet")

    @property
    def num_sites(self) -> int:
        """Number of sites."""
        return len(self.site_dims)

    @property
    def root(self) -> int:
        """The last node."""
        return len(self.nodes) - 1

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """Node above each node, -1 above the root."""
        parents = [-1] * len(self.nodes)
        for k, wires in enumerate(self.nodes):
            for wire in wires:
                if wire >= self.num_sites:
                    parents[wire - self.num_sites] = k
        return tuple(parents)

    @cached_property
    def node_of_site(self) -> tuple[int, ...]:
        """Node that each site enters."""
        owners = [0] * self.num_sites
        for k, wires in enumerate(self.nodes):
            for wire in wires:
                if wire < self.num_sites:
                    owners[wire] = k
        return tuple(owners)

    @cached_property
    def num_below(self) -> tuple[int, ...]:
        """Number of sites below each node."""
        below: list[int] = []
        for wires in self.nodes:
            below.append(sum(1 if w < self.num_sites else below[w - self.num_sites] for w in wires))
        return tuple(below)

    @cached_property
    def sites_in_order(self) -> tuple[int, ...]:
        """All sites as a walk from the root meets them; those below a node stand together."""
        found, open_ = list[int](), [self.num_sites + self.root]
        while open_:
            wire = open_.pop()
            if wire < self.num_sites:
                found.append(wire)
            else:
                open_ += reversed(self.nodes[wire - self.num_sites])
        return tuple(found)

    @cached_property
    def sites_below(self) -> tuple[tuple[int, ...], ...]:
        """Sites below each node, in the order of its wires: of a chain N**2 / 2 in all."""
        starts = [0] * len(self.nodes)
        for k in reversed(range(len(self.nodes))):
            place = starts[k]
            for wire in self.nodes[k]:
                if wire >= self.num_sites:
                    starts[wire - self.num_sites] = place
                place += 1 if wire < self.num_sites else self.num_below[wire - self.num_sites]
        sites = self.sites_in_order
        return tuple(sites[a : a + n] for a, n in zip(starts, self.num_below, strict=True))

    @cached_property
    def largest_bonds(self) -> tuple[int, ...]:
        """The most a node's outgoing bond can need: what the smaller of its two sides holds."""
        logs = np.log2(self.site_dims)
        total, inside = logs.sum(), list[float]()
        for wires in self.nodes:
            inside.append(
                sum(float(logs[w]) if w < self.num_sites else inside[w - self.num_sites] for w in wires)
            )
        return tuple(round(2 ** min(part, total - part, 30)) for part in inside)

    @cached_property
    def tour(self) -> tuple[tuple[int, int], ...]:
        """Edges (from node, to node) of a walk that starts and ends at the root and goes over each edge
        twice.
        """
        steps: list[tuple[int, int]] = []
        open_: list[tuple[int, int]] = [(self.root, 0)]
        while open_:
            node, place = open_.pop()
            below = [w - self.num_sites for w in self.nodes[node] if w >= self.num_sites]
            if place < len(below):
                steps.append((node, below[place]))
                open_ += [(node, place + 1), (below[place], 0)]
            elif self.parents[node] >= 0:
                steps.append((node, self.parents[node]))
        return tuple(steps)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` is the inverse."""
        return {"site_dims": list(self.site_dims), "nodes": [list(wires) for wires in self.nodes]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "SiteTree":
        """Rebuild (and validate) a tree written by `to_dict`."""
        try:
            dims, nodes = tuple(data["site_dims"]), tuple(tuple(wires) for wires in data["nodes"])
        except (KeyError, TypeError) as error:
            raise InvalidInputError(f"a tree of sites has site_dims and nodes: {error!r}") from error
        if not all(isinstance(n, int) for n in [*dims, *(wire for wires in nodes for wire in wires)]):
            raise InvalidInputError("a tree of sites is made of integers")
        return cls(dims, nodes)


def site_chain(site_dims: Sequence[int], order: Sequence[int] | None = None) -> SiteTree:
    """Matrix product state: one node a site, the root at the first one.

    Args:
        site_dims: Levels of each site.
        order: Sites from the root to the other end; as they come by default.

    >>> site_chain([2, 2, 3]).nodes
    ((2,), (1, 3), (0, 4))
    """
    count = len(site_dims)
    order = _checked_order(order, count)
    nodes = [(order[-1],), *((site, count + k) for k, site in enumerate(reversed(order[:-1])))]
    return SiteTree(tuple(site_dims), tuple(nodes))


def balanced_site_tree(site_dims: Sequence[int], order: Sequence[int] | None = None) -> SiteTree:
    """Balanced binary tree: neighbours in `order` are joined in pairs, level by level.

    >>> balanced_site_tree([2] * 5).nodes
    ((0, 1), (2, 3), (5, 6), (7, 4))
    """
    count = len(site_dims)
    wires = _checked_order(order, count)
    nodes: list[tuple[int, ...]] = []
    while not nodes or len(wires) > 1:
        above = []
        for pair in (tuple(wires[k : k + 2]) for k in range(0, len(wires), 2)):
            if len(pair) == 1 and len(wires) > 1:
                above.append(pair[0])
                continue
            above.append(count + len(nodes))
            nodes.append(pair)
        wires = above
    return SiteTree(tuple(site_dims), tuple(nodes))


def _checked_order(order: Sequence[int] | None, count: int) -> list[int]:
    if not count:
        raise InvalidInputError("a tree needs at least one site")
    if order is None:
        return list(range(count))
    try:
        sites = [operator.index(site) for site in order]
    except TypeError:
        sites = []
    if isinstance(order, set | frozenset) or sorted(sites) != list(range(count)):
        raise InvalidInputError(f"order must name each of {count} sites once, got {order!r}")
    return sites


def site_tree_of(topology: Topology, site_dims: Sequence[int]) -> SiteTree:
    """The tree of a topology whose leaves are one site each (as `chow_liu_tree` makes them)."""
    if topology.num_leaves != len(site_dims):
        raise InvalidInputError(f"a topology of {topology.num_leaves} leaves has no {len(site_dims)} sites")
    return SiteTree(tuple(site_dims), tuple(node.children for node in topology.nodes))
