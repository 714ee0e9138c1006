"""A tree learnt from data: features that know most about each other are joined first.

The Chow-Liu tree (IEEE Trans. Inf. Theory 14, 462, 1968) is the spanning tree of largest summed mutual
information. Cutting it in two where the halves are most even, again and again, gives a binary tree
in which every subtree is a connected part of the Chow-Liu tree: about log N levels high, or up to N where one
feature is tied to all others.
"""

from collections.abc import Sequence

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.network.builders import from_parents
from qtnml.network.topology import Topology

Edge = tuple[int, int]
_ROWS = 16384
_MOST_LEVELS = 12_000  # of all features together: a matrix of a gigabyte


def chow_liu_tree(
    X: NDArray,
    bond_qubits: int = 1,
    *,
    root_qubits: int = 1,
    levels: int = 3,
    information: NDArray | None = None,
) -> Topology:
    """Binary tree over the features whose joins follow their mutual information.

    Args:
        X: Samples (samples, features), each feature one data qubit.
        bond_qubits: Width V of the inner wires. Up to 2 V features enter a lowest node together.
        root_qubits: Qubits measured at the root.
        levels: Each feature is cut into this many ranges of equal width to count frequencies.
        information: Mutual information of every pair (features, features), if it is known already.
    """
    X = np.asarray(X)
    if X.ndim != 2 or X.shape[1] < 2 or len(X) < 1:
        raise InvalidInputError(
            f"a Chow-Liu tree needs samples of at least two features, got shape {X.shape}"
        )
    edges = spanning_tree(mutual_information(X, levels) if information is None else information)
    num_features = X.shape[1]
    parents, widths = [-1] * num_features, [1] * num_features
    pending: list[tuple[tuple[int, ...], tuple[Edge, ...], int]] = [(tuple(range(num_features)), edges, -1)]
    while pending:
        features, inside, parent = pending.pop()
        if len(features) == 1:
            parents[features[0]] = parent
            continue
        wire = len(parents)
        parents.append(parent)
        widths.append(root_qubits if parent == -1 else min(bond_qubits, len(features)))
        if len(features) <= 2 * bond_qubits:
            for feature in features:
                parents[feature] = wire
            continue
        pending.extend((*half, wire) for half in _halves(features, inside))
    return from_parents(parents, widths)


def mutual_information(X: NDArray, levels: int = 3) -> NDArray:
    """Mutual information of every pair of features in nats, shape (features, features)."""
    X = np.asarray(X, dtype=np.float64)
    if not np.isfinite(X).all():
        raise InvalidInputError("mutual information needs finite samples, got NaN or infinity")
    low, high = X.min(axis=0), X.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    cut = np.minimum(((X - low) / span * levels).astype(int), levels - 1)
    return level_mutual_information(cut, (levels,) * X.shape[1])


def level_mutual_information(levels: NDArray, dims: Sequence[int], weights: NDArray | None = None) -> NDArray:
    """Mutual information of every pair of columns of levels in nats, from frequencies.

    Args:
        levels: (samples, features), integers.
        dims: Levels of each feature.
        weights: (samples,), how often each sample counts; all alike by default.
    """
    if (total := int(sum(dims))) > _MOST_LEVELS:
        raise InvalidInputError(
            f"the mutual information of {len(dims):,} features takes matrices of {total:,} x {total:,} "
            f"numbers ({8 * total**2 / 1e9:.0f} GB each); take fewer features or levels, or an order or "
            "topology that is not learnt"
        )
    weights = np.ones(len(levels)) if weights is None else weights
    joint = np.zeros((sum(dims), sum(dims)))
    for start in range(0, len(levels), _ROWS):  # the indicators of a million rows take gigabytes
        part = levels[start : start + _ROWS]
        indicator = np.concatenate([part[:, [k]] == np.arange(dim) for k, dim in enumerate(dims)], axis=1)
        weighed = indicator * weights[start : start + _ROWS, None]
        joint += indicator.T.astype(np.float64) @ weighed
    joint /= weights.sum()
    single = np.diag(joint)
    independent = np.outer(single, single)
    ratio = np.divide(joint, independent, out=np.ones_like(joint), where=joint > 0)
    starts = np.cumsum([0, *dims[:-1]])
    terms = joint * np.log(ratio)
    return np.asarray(np.add.reduceat(np.add.reduceat(terms, starts, axis=0), starts, axis=1))


def seriation(information: NDArray) -> list[int]:
    """An order of features in which those that know about each other are near: the Fiedler vector's.

    It minimises the squared distances along the line, weighed by mutual information, as is done for
    orbitals in quantum chemistry.
    """
    weights = information - np.diag(np.diag(information))
    laplacian = np.diag(weights.sum(axis=1)) - weights
    vectors = np.linalg.eigh(laplacian)[1]
    return [int(k) for k in np.argsort(vectors[:, 1] if len(vectors) > 1 else vectors[:, 0], kind="stable")]


def spanning_tree(weights: NDArray) -> tuple[Edge, ...]:
    """Edges of the spanning tree of largest total weight (Prim), for symmetric (n, n) weights."""
    count = len(weights)
    best, source = weights[0].astype(np.float64).copy(), np.zeros(count, dtype=int)
    outside = np.ones(count, dtype=bool)
    outside[0] = False
    edges = list[Edge]()
    while outside.any():
        vertex = int(np.argmax(np.where(outside, best, -np.inf)))
        edges.append((int(source[vertex]), vertex))
        outside[vertex] = False
        better = weights[vertex] > best
        best[better], source[better] = weights[vertex][better], vertex
    return tuple(edges)


def _halves(
    features: tuple[int, ...], edges: tuple[Edge, ...]
) -> list[tuple[tuple[int, ...], tuple[Edge, ...]]]:
    """Cut the edge that leaves the most even halves; the half with the first feature comes first."""
    neighbours: dict[int, list[int]] = {feature: [] for feature in features}
    for one, other in edges:
        neighbours[one].append(other)
        neighbours[other].append(one)
    order, above = [features[0]], {features[0]: -1}
    for vertex in order:
        for near in neighbours[vertex]:
            if near != above[vertex]:
                above[near] = vertex
                order.append(near)
    size = dict.fromkeys(features, 1)
    for vertex in reversed(order[1:]):
        size[above[vertex]] += size[vertex]
    cut = min(order[1:], key=lambda vertex: abs(len(features) - 2 * size[vertex]))
    below = {cut}
    for vertex in order:
        if above[vertex] in below:
            below.add(vertex)
    rest = set(features) - below
    return [
        (tuple(f for f in features if f in part), tuple(e for e in edges if e[0] in part and e[1] in part))
        for part in (rest, below)
    ]
