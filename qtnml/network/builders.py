"""Builders of topologies: balanced trees, matrix product states, any rooted tree."""

import operator
from collections.abc import Sequence

import numpy as np

from qtnml.errors import InvalidInputError
from qtnml.network.topology import MAX_BOND_QUBITS, Node, Topology


def balanced_tree(
    num_data_qubits: int, bond_qubits: int = 1, *, leaf: str = "data", root_qubits: int = 1
) -> Topology:
    """Balanced binary tree over any number of data qubits.

    Neighbouring wires are joined in pairs, level by level; an odd one out moves up a level.

    Args:
        num_data_qubits: Number of data qubits (of features, where each has one).
        bond_qubits: Width V of the inner wires (bond dimension 2**V), 1 to 3.
        leaf: "data": leaf wires of V data qubits (the last one narrower where V does not divide the
            number of data qubits), as in arXiv:1803.11537. "fresh": leaf wires of one data qubit, and
            nodes that bring V - 1 fresh qubits for each, as in arXiv:2209.01195.
        root_qubits: Qubits kept and measured at the root; d qubits tell 2**d classes apart.

    >>> balanced_tree(64).num_leaves, len(balanced_tree(64, 2).nodes), len(balanced_tree(64, 3).nodes)
    (64, 31, 21)
    """
    _check_arguments(num_data_qubits, bond_qubits, leaf)
    per_leaf = bond_qubits if leaf == "data" else 1
    full, rest = divmod(num_data_qubits, per_leaf)
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
            is_root = len(wires) <= 2
            width = root_qubits if is_root else min(bond_qubits, inputs)
            _check_root(width, inputs, num_data_qubits, bond_qubits)
            above.append(len(wire_widths))
            wire_widths.append(width)
            nodes.append(Node(pair, fresh, width))
        wires = above
    return Topology(tuple(widths), tuple(nodes))


def mps(num_data_qubits: int, bond_qubits: int = 1, *, leaf: str = "data", root_qubits: int = 1) -> Topology:
    """Matrix product state: every node joins the carried wire with the next data qubit.

    Its circuit needs V + 1 qubits with reuse, whatever the number of data qubits (arXiv:1803.11537).

    Args:
        num_data_qubits: Number of data qubits (of features, where each has one).
        bond_qubits: Width V of the carried wire (bond dimension 2**V), 1 to 3.
        leaf: "data": the carried wire starts as the first V data qubits. "fresh": it starts as the
            first data qubit and V - 1 fresh ones.
        root_qubits: Qubits kept and measured at the last node, at most V + 1.

    >>> len(mps(64).nodes), mps(64, 3).num_qubits[0], mps(64, 3).num_leaves
    (63, 4, 62)
    """
    _check_arguments(num_data_qubits, bond_qubits, leaf)
    first = min(bond_qubits, num_data_qubits) if leaf == "data" else 1
    widths = (first, *[1] * (num_data_qubits - first))
    joins = max(1, len(widths) - 1)
    nodes, carried, width = list[Node](), 0, first
    for k in range(joins):
        children = (carried, k + 1) if len(widths) > 1 else (carried,)
        fresh = bond_qubits - first if k == 0 and leaf == "fresh" else 0
        inputs = width + fresh + len(children) - 1
        width = root_qubits if k == joins - 1 else min(bond_qubits, inputs)
        _check_root(width, inputs, num_data_qubits, bond_qubits)
        nodes.append(Node(children, fresh, width))
        carried = len(widths) + k
    return Topology(widths, tuple(nodes))


def from_parents(
    parents: Sequence[int],
    widths: Sequence[int],
    *,
    fresh: Sequence[int] | None = None,
) -> Topology:
    """Any rooted tree, with wires of any widths.

    Wires are numbered as you like: those that are nobody's parent are leaves, in ascending order of
    their number; every other wire leaves a node, whose children enter in ascending order.

    Args:
        parents: For each wire the wire that leaves the node it enters, -1 for the root.
        widths: Qubits on each wire; of a leaf, its data qubits.
        fresh: Fresh qubits of the node that each wire leaves (0 at leaves); none by default.

    >>> chain = from_parents([3, 3, 4, 4, -1], [1, 1, 1, 1, 1])  # three leaves, joined one by one
    >>> [node.children for node in chain.nodes]
    [(0, 1), (2, 3)]
    """
    count = len(parents)
    try:
        parents, widths, fresh = (
            [operator.index(entry) for entry in given]
            for given in (parents, widths, [0] * count if fresh is None else fresh)
        )
    except TypeError as error:
        raise InvalidInputError(f"parents, widths and fresh are integers: {error}") from error
    if not (len(widths) == len(fresh) == count > 1):
        raise InvalidInputError(
            f"parents, widths and fresh need one entry per wire and at least two wires, got {count}, "
            f"{len(widths)} and {len(fresh)} entries"
        )
    roots = [wire for wire, parent in enumerate(parents) if parent == -1]
    if len(roots) != 1 or not all(-1 <= parent < count for parent in parents):
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
    if any(fresh[leaf] for leaf in leaves):
        raise InvalidInputError("only nodes bring fresh qubits; fresh must be 0 at leaves")
    inner = [wire for wire in order if wire in children]
    number = {wire: k for k, wire in enumerate([*leaves, *inner])}
    nodes = (Node(tuple(number[c] for c in children[w]), fresh[w], widths[w]) for w in inner)
    return Topology(tuple(widths[leaf] for leaf in leaves), tuple(nodes))


def with_reuploads(topology: Topology, layers: int = 1) -> Topology:
    """Every node as `layers` + 1 nodes, the data of its features uploaded again in between.

    Each lower node keeps all its qubits; then qubit q is turned by the gate of one of the features below
    the node (evenly spaced), and the next node acts (data re-uploading, arXiv:1907.02085).

    >>> [node.uploads for node in with_reuploads(balanced_tree(2)).nodes]
    [(), (0, 1)]
    """
    if isinstance(layers, bool) or not isinstance(layers, int | np.integer) or layers < 0:
        raise InvalidInputError(f"layers must be an integer of at least 0, got {layers!r}")
    if not layers:
        return topology
    leaves, nodes = topology.num_leaves, list[Node]()
    new_wire = {leaf: leaf for leaf in range(leaves)}
    data, spans = _data_below(topology)
    for k, node in enumerate(topology.nodes):
        size, (start, count) = topology.num_qubits[k], spans[leaves + k]
        uploads = tuple(data[start + q * count // size] for q in range(size))
        children, fresh = tuple(new_wire[wire] for wire in node.children), node.fresh
        for layer in range(layers + 1):
            width = node.width if layer == layers else size
            nodes.append(Node(children, fresh, width, uploads if layer else node.uploads))
            children, fresh = (leaves + len(nodes) - 1,), 0
        new_wire[leaves + k] = children[0]
    return Topology(topology.leaf_widths, tuple(nodes))


def _data_below(topology: Topology) -> tuple[list[int], list[tuple[int, int]]]:
    """All data qubits as a walk from the root meets them, and of each wire its own: (start, count)."""
    leaves, counts = topology.num_leaves, list(topology.leaf_widths)
    for node in topology.nodes:
        counts.append(sum(counts[wire] for wire in node.children))
    starts, data = [0] * len(counts), [0] * topology.num_data_qubits
    for wire in reversed(range(len(counts))):
        place = starts[wire]
        for child in topology.nodes[wire - leaves].children if wire >= leaves else ():
            starts[child] = place
            place += counts[child]
        if wire < leaves:
            data[place : place + counts[wire]] = topology.leaf_qubits[wire]
    return data, list(zip(starts, counts, strict=True))


def _upward(children: dict[int, list[int]], root: int) -> list[int]:
    """All wires below the root, children before parents (no recursion: chains are deep)."""
    order, pending = list[int](), [root]
    while pending:
        wire = pending.pop()
        order.append(wire)
        pending.extend(children.get(wire, []))
    return order[::-1]


def _check_arguments(num_data_qubits: int, bond_qubits: int, leaf: str) -> None:
    if num_data_qubits < 1:
        raise InvalidInputError(f"a network needs at least one data qubit, got {num_data_qubits}")
    if not 1 <= bond_qubits <= MAX_BOND_QUBITS:
        raise InvalidInputError(
            f"bond_qubits must be 1 to {MAX_BOND_QUBITS}, got {bond_qubits}: a node of a tree is a unitary "
            f"on {2 * bond_qubits} qubits"
        )
    if leaf not in ("data", "fresh"):
        raise InvalidInputError(f"leaf must be 'data' or 'fresh', got {leaf!r}")


def _check_root(width: int, inputs: int, num_data_qubits: int, bond_qubits: int) -> None:
    if not 1 <= width <= inputs:
        raise InvalidInputError(
            f"the root has {inputs} qubits and cannot keep root_qubits={width} "
            f"(num_data_qubits={num_data_qubits}, bond_qubits={bond_qubits}); more features or a larger "
            "bond_qubits widen it"
        )
