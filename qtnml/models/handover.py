"""An amplitude classifier as a post-selected network of unitaries, where its bonds fit.

Towards the root every core is brought to orthonormal rows, its remainder handed to the node above: rows of a
unitary in the branch where all discarded qubits are found in |0>. A last node with fresh qubits, found in |0>
as well, holds any remainder up to a factor: the network then says exactly what the classifier says
(`as_network`). Without them the nearest orthonormal rows stand for the label's core, and probabilities differ
by as much as that core is far from an isometry (`handed_over`).
"""

import itertools
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.linalg import null_space, polar

from qtnml.ansatz.tensor_network import TensorNetwork, stacking
from qtnml.arrays import NDArray
from qtnml.contract import AmplitudeModel, AmplitudeNetwork, Model, Parameters
from qtnml.errors import InvalidInputError
from qtnml.structure import Topology
from qtnml.structure.topology import MAX_NODE_QUBITS, Node

_MATRICES = ("full", "orthogonal")  # ansaetze whose parameters are the unitaries


def handed_over(teacher: AmplitudeModel, cores: Sequence[NDArray], model: Model) -> Parameters | None:
    """Parameters of a network that, post-selected, says what an amplitude classifier says.

    Args:
        teacher: The amplitude model.
        cores: Of its nodes.
        model: The network; each of its nodes must lie above the same data qubits as one of the teacher's.

    Returns:
        None where they do not fit: other encodings, trees, or bonds wider than the network's wires.
    """
    network, topology = teacher.network, model.topology
    alike = teacher.encoding == model.encoding and model.ansatz.name in _MATRICES
    simple = not any(node.fresh or node.uploads for node in topology.nodes)
    if not alike or not simple or network.label_node != network.tree.root:
        return None
    if topology.num_data_qubits != network.tree.num_leaves:
        return None
    places, below = _data_qubits(topology.leaf_widths), list[frozenset[int]]()
    node_of = {qubits: k for k, qubits in enumerate(_below(network))}
    leaves = len(places)
    rests: list[NDArray] = []  # (teacher's bond, rows kept) of each node
    unitaries: list[NDArray] = []
    for k, node in enumerate(topology.nodes):
        children = [
            frozenset(places[wire]) if wire < leaves else below[wire - leaves] for wire in node.children
        ]
        below.append(frozenset().union(*children))
        if below[k] not in node_of or any(c not in node_of for c in children if len(c) > 1):
            return None
        matrix = _above(network, cores, node_of[below[k]], children)
        factors = [
            np.eye(2 ** len(child))
            if wire < leaves
            else _padded(rests[wire - leaves], topology.nodes[wire - leaves].width)
            for wire, child in zip(node.children, children, strict=True)
        ]
        for axis, (wire, factor) in enumerate(zip(node.children, factors, strict=True), 1):
            if wire < leaves and len(places[wire]) > 1:
                factor = _of_leaf(network, cores, node_of[frozenset(places[wire])])
            matrix = np.moveaxis(np.tensordot(matrix, factor, (axis, 0)), -1, axis)
        rows = matrix.reshape(matrix.shape[0], -1)
        if k == topology.tree.root:
            kept = polar(rows)[0] if np.linalg.matrix_rank(rows) == len(rows) else None
        else:
            kept, rest = _orthonormal(rows)
            rests.append(rest)
        if kept is None or len(kept) > 2**node.width:
            return None
        unitaries.append(_completed(kept, node.width))
    kind = np.float64 if model.ansatz.name == "orthogonal" else np.complex128
    stacks = tuple(np.stack([unitaries[k] for k in nodes]).astype(kind) for _, nodes in stacking(topology))
    return Parameters(stacks, model.encoding.parameters(model.num_features))


def as_network(teacher: AmplitudeModel, cores: Sequence[NDArray]) -> TensorNetwork:
    """The network of unitaries whose post-selected outcomes are a classifier's probabilities, exactly.

    Args:
        teacher: The amplitude model of encoded features, the label at the root of its tree.
        cores: Of its nodes.

    Raises:
        InvalidInputError: Features are levels, the label is elsewhere, or a node has too many qubits.
    """
    network = teacher.network
    tree = network.tree
    if teacher.encoding is None:
        raise InvalidInputError(
            "columns of levels are no data qubits; give numbers without an encoder, or take a BornClassifier"
        )
    if network.label_node != tree.root:
        raise InvalidInputError("the label must be at the root of the tree")
    rests: list[NDArray] = []
    nodes, unitaries = list[Node](), list[NDArray]()
    for k, wires in enumerate(tree.nodes):
        matrix = np.moveaxis(cores[k], -1, 0)[:, 0] if k == tree.root else cores[k][..., 0]
        for axis, wire in enumerate(wires, 1):
            if wire >= tree.num_leaves:
                below = wire - tree.num_leaves
                factor = _padded(rests[below], nodes[below].width)
                matrix = np.moveaxis(np.tensordot(matrix, factor, (axis, 0)), -1, axis)
        rows = matrix.reshape(matrix.shape[0], -1)
        kept, rest = _orthonormal(rows)
        rests.append(rest / max(float(np.abs(rest).max()), 1e-300))
        width = max(1, (len(kept) - 1).bit_length())
        nodes.append(Node(tuple(wires), 0, width))
        qubits = kept.shape[1].bit_length() - 1
        if qubits > MAX_NODE_QUBITS:
            raise InvalidInputError(
                f"node {k} of {len(tree.nodes)} would be a unitary on {qubits} qubits, more than "
                f"{MAX_NODE_QUBITS}; lower max_bond, or take a chain"
            )
        unitaries.append(_completed(kept, width))
    kept, fresh = _dilated(_padded(rests[-1], nodes[-1].width))
    width = max(1, (len(kept) - 1).bit_length())
    nodes.append(Node((tree.num_leaves + tree.root,), fresh, width))
    unitaries.append(_completed(kept, width))
    topology = Topology((1,) * tree.num_leaves, tuple(nodes))
    stacks = tuple(np.stack([unitaries[k] for k in at]).astype(complex) for _, at in stacking(topology))
    return TensorNetwork(topology, stacks)


def _dilated(rows: NDArray) -> tuple[NDArray, int]:
    """Orthonormal rows that are a matrix, up to a factor, where fresh qubits (the last) are in |0>."""
    scaled = rows / np.linalg.norm(rows, 2)
    count, size = rows.shape
    fresh = 1
    while size << fresh < size + count:
        fresh += 1
    values, vectors = np.linalg.eigh(np.eye(count) - scaled @ scaled.T)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    columns = np.arange(size << fresh)
    kept = np.zeros((count, size << fresh))
    kept[:, columns % (1 << fresh) == 0] = scaled
    kept[:, columns[columns % (1 << fresh) > 0][:count]] = root
    return kept, fresh


def _data_qubits(widths: Sequence[int]) -> list[tuple[int, ...]]:
    """Of each leaf."""
    starts = np.cumsum([0, *widths])
    return [tuple(range(a, b)) for a, b in itertools.pairwise(starts.tolist())]


@lru_cache(maxsize=8)
def _below(network: AmplitudeNetwork) -> tuple[frozenset[int], ...]:
    """Leaves under each node."""
    leaves, found = network.tree.num_leaves, list[frozenset[int]]()
    for wires in network.tree.nodes:
        found.append(frozenset().union(*(frozenset([w]) if w < leaves else found[w - leaves] for w in wires)))
    return tuple(found)


def _above(
    network: AmplitudeNetwork, cores: Sequence[NDArray], node: int, children: Sequence[frozenset[int]]
) -> NDArray:
    """What a node and those between it and some children make of them: (wire or label above, children...)."""
    below, leaves = _below(network), network.tree.num_leaves

    def of(wire: int) -> tuple[NDArray, list[frozenset[int]]]:
        qubits = frozenset([wire]) if wire < leaves else below[wire - leaves]
        if qubits in children and wire != leaves + node:
            dim = network.leaf_dims[wire] if wire < leaves else network.bond_dims[wire - leaves]
            return np.eye(dim), [qubits]
        return contracted(wire - leaves)

    def contracted(at: int) -> tuple[NDArray, list[frozenset[int]]]:
        core, axes = cores[at], list[frozenset[int]]()
        # The label's leg takes the place of the wire above.
        core = np.moveaxis(core, -1, 0)[:, 0] if at == network.label_node else core[..., 0]
        for wire in network.tree.nodes[at]:
            part, own = of(wire)
            core = np.tensordot(core, part, (1, 0))
            axes += own
        return core, axes

    found, axes = contracted(node)
    return np.asarray(found.transpose(0, *(1 + axes.index(child) for child in children)))


def _of_leaf(network: AmplitudeNetwork, cores: Sequence[NDArray], node: int) -> NDArray:
    """What the nodes above a leaf of several data qubits make of them, (bond, 2**qubits)."""
    qubits = sorted(_below(network)[node])
    found = _above(network, cores, node, [frozenset([qubit]) for qubit in qubits])
    return found.reshape(found.shape[0], -1)


def _orthonormal(rows: NDArray) -> tuple[NDArray, NDArray]:
    """Rows as (rest, kept) with rest @ kept = rows and orthonormal kept ones, without those of no weight."""
    left, values, right = np.linalg.svd(rows, full_matrices=False)
    rank = max(1, int((values > 1e-12 * values[0]).sum()))
    return right[:rank], left[:, :rank] * values[:rank]


def _padded(rest: NDArray, width: int) -> NDArray:
    """A remainder whose columns are all states of a wire of so many qubits."""
    return np.pad(rest, ((0, 0), (0, 2**width - rest.shape[1])))


def _completed(kept: NDArray, width: int) -> NDArray:
    """A unitary with these rows where the discarded qubits are found in |0>."""
    size = kept.shape[1]
    discarded = size >> width
    rest = null_space(kept).T if len(kept) < size else np.empty((0, size))
    places = np.arange(len(kept)) * discarded
    found = np.empty((size, size))
    found[places] = kept
    found[np.setdiff1d(np.arange(size), places)] = rest
    return found
