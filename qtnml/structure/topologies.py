"""Builders of topologies: trees with bond widths in qubits."""

import operator
from collections.abc import Sequence

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.structure.builders import balanced, chow_liu, numbered
from qtnml.structure.information import mutual_information
from qtnml.structure.topology import MAX_BOND_QUBITS, Node, Topology
from qtnml.structure.tree import Tree


def balanced_tree(
    num_data_qubits: int, bond_qubits: int = 1, *, leaf: str = "data", root_qubits: int = 1
) -> Topology:
    """Balanced binary tree over any number of data qubits.

    Neighbouring wires are joined in pairs, level by level. A remaining single wire moves up a level.

    Args:
        num_data_qubits: Number of data qubits (number of features, if each feature has one qubit).
        bond_qubits: Width V of the inner wires (bond dimension 2**V), 1 to 3.
        leaf: "data": leaf wires of V data qubits (the last wire is narrower if V does not divide the number
            of data qubits), as in arXiv:1803.11537. "fresh": leaf wires of one data qubit, and nodes that add
            V - 1 fresh qubits for each of them, as in arXiv:2209.01195.
        root_qubits: Number of qubits kept and measured at the root; d qubits distinguish 2**d classes.

    >>> balanced_tree(64).num_leaves, len(balanced_tree(64, 2).nodes), len(balanced_tree(64, 3).nodes)
    (64, 31, 21)
    """
    _check_arguments(num_data_qubits, bond_qubits, leaf)
    per_leaf = bond_qubits if leaf == "data" else 1
    full, rest = divmod(num_data_qubits, per_leaf)
    widths = [per_leaf] * full + [rest] * (rest > 0)
    tree = balanced(len(widths))
    leaves = (sum(wire < len(widths) for wire in wires) for wires in tree.nodes)
    fresh = [(bond_qubits - 1) * count if leaf == "fresh" else 0 for count in leaves]
    return with_qubits(tree, widths, bond_qubits, fresh=fresh, root_qubits=root_qubits)


def mps(num_data_qubits: int, bond_qubits: int = 1, *, leaf: str = "data", root_qubits: int = 1) -> Topology:
    """Matrix product state: every node joins the carried wire with the next data qubit.

    With reuse its circuit needs V + 1 qubits, for any number of data qubits (arXiv:1803.11537).

    Args:
        num_data_qubits: Number of data qubits (number of features, if each feature has one qubit).
        bond_qubits: Width V of the carried wire (bond dimension 2**V), 1 to 3.
        leaf: "data": the carried wire starts as the first V data qubits. "fresh": it starts as the first data
            qubit and V - 1 fresh qubits.
        root_qubits: Number of qubits kept and measured at the last node, at most V + 1.

    >>> len(mps(64).nodes), mps(64, 3).num_qubits[0], mps(64, 3).num_leaves
    (63, 4, 62)
    """
    _check_arguments(num_data_qubits, bond_qubits, leaf)
    first = min(bond_qubits, num_data_qubits) if leaf == "data" else 1
    widths = (first, *[1] * (num_data_qubits - first))
    count = len(widths)
    joins = ((count + k, k + 2) for k in range(count - 2))
    tree = Tree(count, (tuple(range(min(2, count))), *joins))
    fresh = [bond_qubits - first if leaf == "fresh" else 0] + [0] * (len(tree.nodes) - 1)
    return with_qubits(tree, widths, bond_qubits, fresh=fresh, root_qubits=root_qubits)


def with_qubits(
    tree: Tree,
    leaf_widths: Sequence[int],
    bond_qubits: int = 1,
    *,
    fresh: Sequence[int] | None = None,
    root_qubits: int = 1,
) -> Topology:
    """A topology from a tree: wires are V qubits wide, or narrower if a node has fewer qubits.

    Args:
        tree: Connectivity.
        leaf_widths: Number of data qubits on each leaf.
        bond_qubits: Width V of the inner wires.
        fresh: Number of fresh qubits of each node; none by default.
        root_qubits: Number of qubits measured at the root.

    >>> with_qubits(balanced(9, arity=3), [1] * 9, 2).num_qubits
    (3, 3, 3, 6)
    """
    widths, nodes = list(leaf_widths), list[Node]()
    for k, wires in enumerate(tree.nodes):
        brought = 0 if fresh is None else fresh[k]
        inputs = sum(widths[wire] for wire in wires) + brought
        width = root_qubits if k == tree.root else min(bond_qubits, inputs)
        if not 1 <= width <= inputs:
            raise InvalidInputError(
                f"the root has {inputs} qubits and cannot keep root_qubits={width} "
                f"(num_data_qubits={sum(leaf_widths)}, bond_qubits={bond_qubits}); more features or a larger "
                "bond_qubits widen it"
            )
        nodes.append(Node(wires, brought, width))
        widths.append(width)
    return Topology(tuple(leaf_widths), tuple(nodes))


def chow_liu_tree(
    X: NDArray,
    bond_qubits: int = 1,
    *,
    root_qubits: int = 1,
    levels: int = 3,
    information: NDArray | None = None,
) -> Topology:
    """Binary tree over the features that follows their mutual information; see `chow_liu`.

    Args:
        X: Samples (samples, features); each feature is one data qubit.
        bond_qubits: Width V of the inner wires. Up to 2 V features enter a lowest node together.
        root_qubits: Number of qubits measured at the root.
        levels: Number of bins of equal width that each feature is divided into to count frequencies.
        information: Mutual information of every pair (features, features), if it is already known.
    """
    X = np.asarray(X)
    if X.ndim != 2 or X.shape[1] < 2 or len(X) < 1:
        raise InvalidInputError(
            f"a Chow-Liu tree needs samples of at least two features, got shape {X.shape}"
        )
    if information is None:
        information = mutual_information(X, levels)
    tree = chow_liu(information, group=2 * bond_qubits)
    return with_qubits(tree, [1] * X.shape[1], bond_qubits, root_qubits=root_qubits)


def topology_from_parents(
    parents: Sequence[int],
    widths: Sequence[int],
    *,
    fresh: Sequence[int] | None = None,
) -> Topology:
    """Any rooted tree, with wires of any widths; see `from_parents` for the numbering.

    Args:
        parents: For each wire, the wire that leaves the node it enters; -1 for the root.
        widths: Number of qubits on each wire; for a leaf, its data qubits.
        fresh: Number of fresh qubits of the node that each wire leaves (0 at leaves); none by default.

    >>> topology_from_parents([3, 3, 4, 4, -1], [1, 1, 1, 2, 1]).num_qubits
    (2, 3)
    """
    count = len(parents)
    try:
        widths, fresh = (
            [operator.index(entry) for entry in given]
            for given in (widths, [0] * count if fresh is None else fresh)
        )
    except TypeError as error:
        raise InvalidInputError(f"parents, widths and fresh are integers: {error}") from error
    if not (len(widths) == len(fresh) == count > 1):
        raise InvalidInputError(
            f"parents, widths and fresh need one entry per wire and at least two wires, got {count}, "
            f"{len(widths)} and {len(fresh)} entries"
        )
    tree, wires = numbered(parents)
    leaves, inner = wires[: tree.num_leaves], wires[tree.num_leaves :]
    if any(fresh[leaf] for leaf in leaves):
        raise InvalidInputError("only nodes bring fresh qubits; fresh must be 0 at leaves")
    joined = zip(tree.nodes, inner, strict=True)
    nodes = (Node(children, fresh[wire], widths[wire]) for children, wire in joined)
    return Topology(tuple(widths[leaf] for leaf in leaves), tuple(nodes))


def with_reuploads(topology: Topology, layers: int = 1) -> Topology:
    """Replace every node by `layers` + 1 nodes, with its features uploaded again in between.

    Each lower node keeps all its qubits. Then the data gate of one of the features below the node (evenly
    spaced) rotates qubit q, and the next node acts (data re-uploading, arXiv:1907.02085).

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
