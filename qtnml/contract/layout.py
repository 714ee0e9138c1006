"""Layout of a tree for contraction: choose another root, and merge neighbours of a chain.

Amplitudes do not depend on the node that is the root of the contraction. With a root in the middle, a chain
is two chains of half the length, contracted in parallel. Two neighbours with one bit each are merged into one
node with two bits, which gives half as many steps with larger products. Both cost work once per training
step, and none per sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from qtnml.structure import Tree

_MOST_MERGED = 4  # levels of the leaves of two merged nodes: beyond, merging costs more than it saves


@dataclass(frozen=True)
class Part:
    """A node as it stands in a layout.

    Attributes:
        node: Of the tree.
        outputs: Axes of its core that lead to the root: the edge's, the label's at the root, or none.
        inputs: All others; those of nodes first, then those of leaves.
    """

    node: int
    outputs: tuple[int, ...]
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """A tree as it is contracted.

    Attributes:
        tree: Its leaves are those of the original, its nodes one or two of it.
        parts: Of each of its nodes: one part, or an upper and a lower one, joined over the upper one's first
            input.
    """

    tree: Tree
    parts: tuple[tuple[Part, ...], ...]


def layout_of(tree: Tree, leaf_dims: Sequence[int], label: int | None = None) -> Layout:
    """The layout of fewest steps.

    Args:
        tree: Connectivity; axis 0 of a core is the wire to its parent, axis i its i-th child, and behind
            them the label's at its node.
        leaf_dims: Dimension of each leaf.
        label: Node that carries the label, and so becomes the root; all cores then have a last axis for it.
    """
    root = middle(tree) if label is None else label
    return _merged(_rerooted(tree, root, label), leaf_dims)


def _neighbours(tree: Tree, node: int) -> list[tuple[int, int]]:
    """(axis, node at its other end) of every inner axis."""
    above = [(0, tree.parents[node])] if tree.parents[node] >= 0 else []
    below = [
        (axis, w - tree.num_leaves) for axis, w in enumerate(tree.nodes[node], 1) if w >= tree.num_leaves
    ]
    return above + below


def middle(tree: Tree) -> int:
    """Node from which the tree is lowest; the root where others are no better."""
    # The middle of a longest path, which ends at the node farthest from any node.
    farthest, _ = _walk(tree, tree.root)[-1]
    walk = _walk(tree, farthest)
    origin = dict(walk)
    path = [walk[-1][0]]
    while origin[path[-1]] >= 0:
        path.append(origin[path[-1]])
    centre = path[len(path) // 2]
    return centre if _height(tree, centre) < _height(tree, tree.root) else tree.root


def _walk(tree: Tree, start: int) -> list[tuple[int, int]]:
    """(node, node it was reached from) of all nodes, the nearest first."""
    walk = [(start, -1)]
    for node, origin in walk:
        walk += [(other, node) for _, other in _neighbours(tree, node) if other != origin]
    return walk


def _height(tree: Tree, root: int) -> int:
    depth = {-1: 0}
    for node, origin in _walk(tree, root):
        depth[node] = depth[origin] + 1
    return max(depth.values())


def _rerooted(tree: Tree, root: int, label: int | None) -> Layout:
    order = _walk(tree, root)[::-1]
    wire_of = {node: tree.num_leaves + k for k, (node, _) in enumerate(order)}
    nodes, parts = list[tuple[int, ...]](), list[tuple[Part, ...]]()
    for node, towards in order:
        inner = _neighbours(tree, node)
        behind = [(axis, other) for axis, other in inner if other != towards]
        leaves = [(axis, w) for axis, w in enumerate(tree.nodes[node], 1) if w < tree.num_leaves]
        outputs = tuple(axis for axis, other in inner if other == towards)
        if node == label:
            outputs = (len(tree.nodes[node]) + 1,)
        # The original root's wire to nowhere and other nodes' labels have one dimension and no wire.
        loose = (0,) if tree.parents[node] < 0 else ()
        if label is not None and node != label:
            loose = (*loose, len(tree.nodes[node]) + 1)
        inputs = (*(axis for axis, _ in behind), *(axis for axis, _ in leaves), *loose)
        nodes.append((*(wire_of[other] for _, other in behind), *(leaf for _, leaf in leaves)))
        parts.append((Part(node, outputs, inputs),))
    return Layout(Tree(tree.num_leaves, tuple(nodes)), tuple(parts))


def _merged(layout: Layout, leaf_dims: Sequence[int]) -> Layout:
    """Neighbours of chains joined in pairs from the ends inwards."""
    tree = layout.tree
    leaves = tree.num_leaves

    def levels(k: int) -> int:
        """Product of its leaves' levels; 0 of what is no node of a chain."""
        inner = sum(wire >= leaves for wire in tree.nodes[k])
        if inner != 1 or k == tree.root:
            return 0
        product = 1
        for wire in tree.nodes[k]:
            product *= leaf_dims[wire] if wire < leaves else 1
        return product

    lower_of: dict[int, int] = {}
    taken = set[int]()
    for k in range(len(tree.nodes)):
        below = [w - leaves for w in tree.nodes[k] if w >= leaves]
        if len(below) != 1 or below[0] in taken:
            continue
        if 0 < levels(k) * levels(below[0]) <= _MOST_MERGED:
            lower_of[k] = below[0]
            taken |= {k, below[0]}
    dropped = set(lower_of.values())
    wire_of = {wire: wire for wire in range(leaves)}
    nodes, parts = list[tuple[int, ...]](), list[tuple[Part, ...]]()
    for k, wires in enumerate(tree.nodes):
        if k in dropped:
            continue
        if k in lower_of:
            lower = lower_of[k]
            joined = (*tree.nodes[lower], *(wire for wire in wires if wire < leaves))
            parts.append((*layout.parts[k], *layout.parts[lower]))
        else:
            joined = wires
            parts.append(layout.parts[k])
        wire_of[leaves + k] = leaves + len(nodes)
        nodes.append(tuple(wire_of[wire] for wire in joined))
    return Layout(Tree(leaves, tuple(nodes)), tuple(parts))
