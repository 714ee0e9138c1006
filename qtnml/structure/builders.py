"""Builders of trees: chains, balanced trees, trees learnt from data, any rooted tree."""

import operator
from collections.abc import Sequence
from typing import Any

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.structure.information import spanning_tree
from qtnml.structure.tree import Tree

Edge = tuple[int, int]


def chain(
    num_leaves: int, order: Sequence[int] | None = None, *, first: int = 1, root: int = 0, group: int = 1
) -> Tree:
    """Matrix product state: every node joins one leaf with the wire of the node before.

    Args:
        num_leaves: Number of leaves.
        order: Leaves from one end to the other; by default 0, 1, 2, ...
        first: Number of leaves of the lowest node, at the far end.
        root: Position of the root in the order. If it is not an end, the chain has two arms, whose wires
            enter the root before its leaf.
        group: Number of leaves of each node, e.g. 4 for the pixels of a patch of 2x2; the last node, at the
            far end, takes those that are left.

    >>> chain(3).nodes, chain(3, first=2).nodes, chain(3, root=1).nodes
    (((2,), (1, 3), (0, 4)), ((1, 2), (0, 3)), ((0,), (2,), (3, 4, 1)))
    >>> chain(5, group=2).nodes
    ((4,), (2, 3, 5), (0, 1, 6))
    """
    order = _checked_order(order, num_leaves)
    if not 1 <= first <= num_leaves:
        raise InvalidInputError(f"the lowest node takes 1 to {num_leaves} leaves, got first={first}")
    if not 0 <= root < num_leaves or (root and first != 1):
        raise InvalidInputError(
            f"the root is one of {num_leaves} places, and 0 where first is not 1, got root={root}"
        )
    if (
        isinstance(group, bool)
        or not isinstance(group, int)
        or group < 1
        or (group > 1 and (root or first > 1))
    ):
        raise InvalidInputError(
            f"group must be a positive integer, and 1 where first or root is given, got {group!r}"
        )
    if group > 1:
        groups = [tuple(order[k : k + group]) for k in range(0, num_leaves, group)][::-1]
        above = ((*own, num_leaves + k) for k, own in enumerate(groups[1:]))
        return Tree(num_leaves, (groups[0], *above))
    if root:
        return _two_arms(order, root)
    upward = order[: num_leaves - first][::-1]
    nodes = [tuple(order[num_leaves - first :]), *((leaf, num_leaves + k) for k, leaf in enumerate(upward))]
    return Tree(num_leaves, tuple(nodes))


def _two_arms(order: Sequence[int], root: int) -> Tree:
    nodes, ends = list[tuple[int, ...]](), list[int]()
    for arm in (order[:root], order[:root:-1]):
        for place, leaf in enumerate(arm):
            nodes.append((leaf,) if place == 0 else (len(order) + len(nodes) - 1, leaf))
        ends += [len(order) + len(nodes) - 1] if arm else []
    return Tree(len(order), (*nodes, (*ends, order[root])))


def balanced(num_leaves: int, order: Sequence[int] | None = None, *, arity: int = 2) -> Tree:
    """Balanced tree: neighbours in `order` are joined, level by level; a remaining single wire moves up.

    Args:
        num_leaves: Number of leaves.
        order: Leaves from left to right; by default 0, 1, 2, ...
        arity: Number of wires that enter a node.

    >>> balanced(5).nodes
    ((0, 1), (2, 3), (5, 6), (7, 4))
    >>> balanced(9, arity=3).brackets()
    '[[0, 1, 2], [3, 4, 5], [6, 7, 8]]'
    """
    if isinstance(arity, bool) or not isinstance(arity, int) or arity < 2:
        raise InvalidInputError(f"arity must be an integer of at least 2, got {arity!r}")
    wires = _checked_order(order, num_leaves)
    nodes: list[tuple[int, ...]] = []
    while not nodes or len(wires) > 1:
        above = []
        for group in (tuple(wires[k : k + arity]) for k in range(0, len(wires), arity)):
            if len(group) == 1 and len(wires) > 1:
                above.append(group[0])
                continue
            above.append(num_leaves + len(nodes))
            nodes.append(group)
        wires = above
    return Tree(num_leaves, tuple(nodes))


def chow_liu(information: NDArray, *, group: int = 2) -> Tree:
    """Binary tree that follows the mutual information of its leaves.

    The Chow-Liu tree (IEEE Trans. Inf. Theory 14, 462, 1968) is the spanning tree with the largest sum of
    mutual information. It is repeatedly cut in two where the halves are most even. This gives a binary tree
    in which every subtree is a connected part of the Chow-Liu tree. Its height is about log N levels, or up
    to N if one feature is connected to all others.

    Args:
        information: Mutual information of every pair (leaves, leaves), nats.
        group: Largest number of leaves that enter a lowest node together.
    """
    count = len(information)
    if count < 2:
        raise InvalidInputError(f"a Chow-Liu tree needs at least two features, got {count}")
    parents = [-1] * count
    pending: list[tuple[tuple[int, ...], tuple[Edge, ...], int]] = [
        (tuple(range(count)), spanning_tree(information), -1)
    ]
    while pending:
        leaves, inside, parent = pending.pop()
        if len(leaves) == 1:
            parents[leaves[0]] = parent
            continue
        wire = len(parents)
        parents.append(parent)
        if len(leaves) <= group:
            for leaf in leaves:
                parents[leaf] = wire
            continue
        pending.extend((*half, wire) for half in _halves(leaves, inside))
    return from_parents(parents)


def dependence_tree(information: NDArray) -> Tree:
    """The Chow-Liu tree itself: one node for every feature, joined by the maximum spanning tree.

    Each feature enters its own node, and nodes are joined as the features depend on each other. So a state
    whose bonds have as many levels as a feature holds the Chow-Liu distribution exactly (IEEE Trans. Inf.
    Theory 14, 462, 1968). If several features depend on one feature, nodes without a feature join them in
    pairs. No node has more than three wires. The root is in the middle of the tree.

    Args:
        information: Mutual information of every pair (features, features), nats.

    >>> import numpy as np
    >>> dependence_tree(np.array([[0, 2, 2, 2], [2, 0, 1, 1], [2, 1, 0, 1], [2, 1, 1, 0.0]])).nodes
    ((3,), (2,), (1,), (6, 5), (7, 4), (0, 8))
    """
    count = len(information)
    neighbours: dict[int, list[int]] = {feature: [] for feature in range(count)}
    for one, other in spanning_tree(information):
        neighbours[one].append(other)
        neighbours[other].append(one)
    neighbours = {feature: sorted(near) for feature, near in neighbours.items()}
    root = _middle(neighbours)
    order, above = _outward(neighbours, root)
    wire, nodes = dict[int, int](), list[tuple[int, ...]]()
    for feature in reversed(order):
        below = [wire[near] for near in neighbours[feature] if near != above[feature]]
        while len(below) > 1:
            joined = []
            for k in range(0, len(below) - 1, 2):
                nodes.append((below[k], below[k + 1]))
                joined.append(count + len(nodes) - 1)
            below = joined + below[len(below) - len(below) % 2 :]
        nodes.append((feature, *below))
        wire[feature] = count + len(nodes) - 1
    return Tree(count, tuple(nodes))


def _outward(neighbours: dict[int, list[int]], root: int) -> tuple[list[int], dict[int, int]]:
    """Vertices of a tree from a root outwards, and the one above each."""
    order, above = [root], {root: -1}
    for vertex in order:
        for near in neighbours[vertex]:
            if near != above[vertex]:
                above[near] = vertex
                order.append(near)
    return order, above


def _middle(neighbours: dict[int, list[int]]) -> int:
    """The middle of a longest path of a tree."""
    end = _outward(neighbours, 0)[0][-1]
    order, above = _outward(neighbours, end)
    path = [order[-1]]
    while above[path[-1]] >= 0:
        path.append(above[path[-1]])
    return path[len(path) // 2]


def from_parents(parents: Sequence[int]) -> Tree:
    """Any rooted tree, given by the parent of each wire.

    Wires may be numbered in any order. Wires that are not a parent are leaves, in ascending order of their
    number. Every other wire leaves a node, whose children enter in ascending order.

    Args:
        parents: For each wire, the wire that leaves the node it enters; -1 for the root.

    >>> from_parents([3, 3, 4, 4, -1]).nodes  # three leaves, joined one by one
    ((0, 1), (2, 3))
    """
    return numbered(parents)[0]


def numbered(parents: Sequence[int]) -> tuple[Tree, tuple[int, ...]]:
    """`from_parents`, and for each wire of the tree its number in `parents`."""
    try:
        parents = [operator.index(parent) for parent in parents]
    except TypeError as error:
        raise InvalidInputError(f"parents are integers: {error}") from error
    count = len(parents)
    roots = [wire for wire, parent in enumerate(parents) if parent == -1]
    if count < 2 or len(roots) != 1 or not all(-1 <= parent < count for parent in parents):
        raise InvalidInputError(
            f"parents are wires 0 to {count - 1} and -1 for exactly one root, got {list(parents)}"
        )
    children: dict[int, list[int]] = {}
    for wire, parent in enumerate(parents):
        children.setdefault(parent, []).append(wire)
    order = _upward(children, roots[0])
    if len(order) != count:
        raise InvalidInputError(f"wires {sorted(set(range(count)) - set(order))} never reach the root")
    leaves = sorted(wire for wire in order if wire not in children)
    inner = [wire for wire in order if wire in children]
    number = {wire: k for k, wire in enumerate([*leaves, *inner])}
    nodes = tuple(tuple(number[child] for child in children[wire]) for wire in inner)
    return Tree(len(leaves), nodes), (*leaves, *inner)


def from_brackets(nested: Any) -> Tree:
    """A tree written as nested lists (or tuples) of leaves.

    >>> from_brackets([[0, 1], [2, 3], 4]).nodes
    ((0, 1), (2, 3), (5, 6, 4))
    """
    leaves, nodes = list[int](), list[list[tuple[bool, int]]]()
    # Each open bracket: what is left of it in reverse, and the entries found so far as (is a leaf, number).
    open_: list[tuple[list[Any], list[tuple[bool, int]]]] = [(_entries(nested), [])]
    while open_:
        rest, found = open_[-1]
        if not rest:
            open_.pop()
            nodes.append(found)
            if open_:
                open_[-1][1].append((False, len(nodes) - 1))
            continue
        entry = rest.pop()
        if isinstance(entry, list | tuple):
            open_.append((_entries(entry), []))
            continue
        try:
            leaf = operator.index(entry)
        except TypeError:
            raise InvalidInputError(f"brackets hold leaves (integers) and brackets, got {entry!r}") from None
        leaves.append(leaf)
        found.append((True, leaf))
    if sorted(leaves) != list(range(len(leaves))):
        raise InvalidInputError(f"brackets must name each leaf from 0 once, got {sorted(leaves)}")
    wires = (tuple(k if is_leaf else len(leaves) + k for is_leaf, k in found) for found in nodes)
    return Tree(len(leaves), tuple(wires))


def _entries(bracket: Any) -> list[Any]:
    if not isinstance(bracket, list | tuple) or not bracket:
        raise InvalidInputError(f"a tree is a non-empty list of leaves and lists, got {bracket!r}")
    return list(reversed(bracket))


def _checked_order(order: Sequence[int] | None, count: int) -> list[int]:
    if count < 1:
        raise InvalidInputError("a tree needs at least one leaf")
    if order is None:
        return list(range(count))
    try:
        leaves = [operator.index(leaf) for leaf in order]
    except TypeError:
        leaves = []
    if isinstance(order, set | frozenset) or sorted(leaves) != list(range(count)):
        raise InvalidInputError(f"order must name each of {count} leaves once, got {order!r}")
    return leaves


def _upward(children: dict[int, list[int]], root: int) -> list[int]:
    """All wires below the root, children before parents (no recursion: chains are deep)."""
    order, pending = list[int](), [root]
    while pending:
        wire = pending.pop()
        order.append(wire)
        pending.extend(children.get(wire, []))
    return order[::-1]


def _halves(
    leaves: tuple[int, ...], edges: tuple[Edge, ...]
) -> list[tuple[tuple[int, ...], tuple[Edge, ...]]]:
    """Cut the edge that leaves the most even halves; the half with the first leaf comes first."""
    neighbours: dict[int, list[int]] = {leaf: [] for leaf in leaves}
    for one, other in edges:
        neighbours[one].append(other)
        neighbours[other].append(one)
    order, above = _outward(neighbours, leaves[0])
    size = dict.fromkeys(leaves, 1)
    for vertex in reversed(order[1:]):
        size[above[vertex]] += size[vertex]
    cut = min(order[1:], key=lambda vertex: abs(len(leaves) - 2 * size[vertex]))
    below = {cut}
    for vertex in order:
        if above[vertex] in below:
            below.add(vertex)
    rest = set(leaves) - below
    return [
        (tuple(f for f in leaves if f in part), tuple(e for e in edges if e[0] in part and e[1] in part))
        for part in (rest, below)
    ]
