"""What features know about each other: mutual information, an order and a spanning tree made from it."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError

_ROWS = 16384
_MOST_LEVELS = 12_000  # of all features together: a matrix of a gigabyte


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


def spanning_tree(weights: NDArray) -> tuple[tuple[int, int], ...]:
    """Edges of the spanning tree of largest total weight, for symmetric weights (n, n) of at least 0."""
    # SciPy finds the least sum and takes 0 for a missing edge.
    costs = 1 + weights.max(initial=0.0) - weights
    found = minimum_spanning_tree(csr_array(np.triu(costs, 1))).tocoo()
    return tuple((int(one), int(other)) for one, other in zip(found.row, found.col, strict=True))
