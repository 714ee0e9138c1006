"""Dependence of features: mutual information, and an order and a spanning tree made from it."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.special import ndtri

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError

_ROWS = 16384
_MOST_LEVELS = 12_000  # of all features together: a matrix of a gigabyte
_COST = 1.0  # nats, of a parameter learnt from the same rows
_LEAST_LOG = -200.0  # nats: far tails stay possible
_MOST_CORRELATED = 0.99
_ROUNDS = 20


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
    joint = _joint_frequencies(levels, dims, np.ones(len(levels)) if weights is None else weights)
    single = np.diag(joint)
    independent = np.outer(single, single)
    ratio = np.divide(joint, independent, out=np.ones_like(joint), where=joint > 0)
    return _summed_by_feature(joint * np.log(ratio), dims)


def predictive_information(
    levels: NDArray,
    dims: Sequence[int],
    weights: NDArray | None = None,
    *,
    rows: float | None = None,
    numbers: Sequence[NDArray | None] = (),
) -> NDArray:
    """Gain in nats of predicting one feature when another is known, for each pair of columns.

    It is the mutual information as an unseen row measures it. Each row is predicted from all others (leave
    one out) by a conditional distribution that is shrunk to the marginal distribution as far as predicts
    best, see `shrunk_conditional`. With few rows or many levels the empirical mutual information of
    independent columns is far from 0; this value is not. It is the mean of both directions, and at least 0.

    Args:
        levels, dims, weights: As for `level_mutual_information`.
        rows: Number of independent rows that the samples represent; by default their effective number.
        numbers: For each feature, the number that each level stands for, (levels,), or None for categories;
            empty if all features are categories. Between two numbers, distributions that are shrunk to a
            smooth dependence are tried as well, see `smooth_dependence`.
    """
    weights = np.ones(len(levels)) if weights is None else weights
    rows = effective_rows(weights) if rows is None else rows
    joint = rows * _joint_frequencies(levels, dims, weights)
    best = np.maximum(_predicted(joint, dims, rows), 0.0)
    ordered = [k for k, own in enumerate(numbers) if own is not None and len(own) > 2]
    if len(ordered) > 1:
        own_dims = [dims[k] for k in ordered]
        starts = np.cumsum([0, *dims])
        kept = np.concatenate([np.arange(starts[k], starts[k + 1]) for k in ordered])
        part = joint[np.ix_(kept, kept)]
        values = [np.asarray(numbers[k]) for k in ordered]
        smooth = _predicted(part, own_dims, rows, smooth_dependence(part, own_dims, values))
        place = np.ix_(ordered, ordered)
        best[place] = np.maximum(best[place], smooth - _COST / rows)
    return (best + best.T) / 2


def _predicted(joint: NDArray, dims: Sequence[int], rows: float, smooth: NDArray | None = None) -> NDArray:
    """Gain in predicting the feature of a column from that of a row, nats, (features, features).

    Args:
        joint: Counts of every pair of levels, (all levels, all levels).
        dims: Levels of each feature.
        rows: That they are of.
        smooth: P(column's level | row's level) that they are drawn to; by default the marginal.
    """
    known = np.diag(joint)
    marginal = (known + 0.5) / (rows + 0.5 * np.repeat(dims, dims))
    base = joint * np.log(marginal)[None]
    best = np.full((len(dims), len(dims)), -np.inf)
    strengths = _strengths(rows)[::2]  # twice as far apart: enough to compare features
    for strength in strengths if smooth is None else (*strengths, np.inf):
        target = marginal[None] if smooth is None else smooth
        found = target if strength == np.inf else _left_out(joint, known, target, strength)
        best = np.maximum(best, _summed_by_feature(joint * np.log(found) - base, dims) / rows)
    return best


def shrunk_conditional(
    counts: NDArray, row_numbers: NDArray | None = None, column_numbers: NDArray | None = None
) -> NDArray:
    """P(column | row) of a table of counts, drawn to a simpler one as far as predicts left-out counts best.

    (n_ij + s q_ij) / (n_i + s) with the strength s, from half a row to infinity, of the largest leave-one-out
    likelihood. q is the marginal distribution of columns; where rows and columns are numbers also the smooth
    dependence of `smooth_dependence`, whose one parameter costs a nat.
    """
    rows, known = float(counts.sum()), counts.sum(axis=1)
    marginal = (counts.sum(axis=0) + 0.5) / (rows + 0.5 * counts.shape[1])
    targets = [(np.tile(marginal, (len(counts), 1)), 0.0)]
    if row_numbers is not None and column_numbers is not None and max(counts.shape) > 2:
        targets.append((_smooth_conditional(counts, row_numbers, column_numbers), _COST))
    best, found = -np.inf, targets[0][0]
    for target, cost in targets:
        for strength in (np.inf, *_strengths(rows)):
            is_target = strength == np.inf
            left = target if is_target else _left_out(counts, known, target, strength)
            score = float((counts * np.log(left)).sum()) - cost
            if score > best:
                best = score
                found = target if is_target else (counts + strength * target) / (known[:, None] + strength)
    return found


def _smooth_conditional(counts: NDArray, row_numbers: NDArray, column_numbers: NDArray) -> NDArray:
    """`smooth_dependence` of one table."""
    count = len(counts)
    joint = np.zeros((sum(counts.shape),) * 2)
    joint[:count, count:], joint[count:, :count] = counts, counts.T
    joint[np.diag_indices(len(joint))] = np.concatenate([counts.sum(axis=1), counts.sum(axis=0)])
    return smooth_dependence(joint, counts.shape, [row_numbers, column_numbers])[:count, count:]


def smooth_dependence(joint: NDArray, dims: Sequence[int], numbers: Sequence[NDArray]) -> NDArray:
    """P(column's level | row's level) where two features depend as two Gaussian variables do.

    Levels have the normal scores z of their middle ranks; p_i q_j exp(t z_i z_j) with t = r / (1 - r**2) for
    the scores' correlation r is a Gaussian copula on levels, its margins those of the counts. It has one
    parameter, where a table has (levels - 1)**2.

    Args:
        joint: Counts of every pair of levels of any two features, (all levels, all levels), on the diagonal
            those of the levels alone.
        dims: Levels of each feature.
        numbers: That levels stand for, of each feature.
    """
    starts = np.cumsum([0, *dims[:-1]])
    known = np.diag(joint) + 0.5
    total = np.repeat(np.add.reduceat(known, starts), dims)
    share = known / total
    scores = np.concatenate(
        [_normal_scores(share[s : s + d], own) for s, d, own in zip(starts, dims, numbers, strict=True)]
    )
    correlation = _summed_by_feature(joint * np.outer(scores, scores), dims) / joint.trace() * len(dims)
    correlation = np.clip(correlation, -_MOST_CORRELATED, _MOST_CORRELATED)
    slopes = np.repeat(np.repeat(correlation / (1 - correlation**2), dims, axis=0), dims, axis=1)
    raw = slopes * np.outer(scores, scores)
    highest = np.repeat(np.maximum.reduceat(raw, starts, axis=1), dims, axis=1)
    found = np.exp(np.maximum(raw - highest, _LEAST_LOG)) * share[None]
    for _ in range(_ROUNDS):  # margins, in turn (Sinkhorn)
        found *= np.repeat(1 / np.add.reduceat(found, starts, axis=1), dims, axis=1)
        held = np.add.reduceat(share[:, None] * found, starts, axis=0)
        found *= np.repeat(share[None] / held, dims, axis=0)
    return np.asarray(found / np.repeat(np.add.reduceat(found, starts, axis=1), dims, axis=1))


def _normal_scores(share: NDArray, numbers: NDArray) -> NDArray:
    """Of levels: standard normal quantiles of their middle ranks, of mean 0 and variance 1."""
    order = np.argsort(numbers, kind="stable")
    below = np.empty(len(share))
    below[order] = np.cumsum(share[order]) - share[order]
    found = ndtri(below + share / 2)
    found = found - share @ found
    return np.asarray(found / max(np.sqrt(share @ found**2), 1e-12))


def effective_rows(weights: NDArray) -> float:
    """Independent rows that weighed ones stand for: the sum of weights that count copies.

    Of smaller weights, which are relative, (sum w)**2 / sum w**2 (Kish).
    """
    total = float(weights.sum())
    return max(total, total**2 / float((weights**2).sum()))


def _strengths(rows: float) -> NDArray:
    """Numbers of rows that the marginal may count for, a factor of four apart."""
    return np.asarray(0.5 * 4.0 ** np.arange(1 + max(0, int(np.log(8 * rows + 1) / np.log(4.0)))))


def _left_out(counts: NDArray, known: NDArray, target: NDArray, strength: float) -> NDArray:
    """The conditional distribution at each entry, learnt without one of its own rows."""
    others = np.maximum(counts - 1, 0) + strength * target
    return np.asarray(others / (np.maximum(known - 1, 0)[:, None] + strength))


def _joint_frequencies(levels: NDArray, dims: Sequence[int], weights: NDArray) -> NDArray:
    """Of every pair of levels of any two features, (all levels, all levels)."""
    if (total := int(sum(dims))) > _MOST_LEVELS:
        raise InvalidInputError(
            f"the mutual information of {len(dims):,} features takes matrices of {total:,} x {total:,} "
            f"numbers ({8 * total**2 / 1e9:.0f} GB each); take fewer features or levels, or an order or "
            "topology that is not learnt"
        )
    joint = np.zeros((sum(dims), sum(dims)))
    binary = set(dims) == {2}
    for start in range(0, len(levels), _ROWS):  # the indicators of a million rows take gigabytes
        part, own = levels[start : start + _ROWS], weights[start : start + _ROWS, None]
        if binary:  # of two levels one says all: a quarter of the work
            joint[1::2, 1::2] += part.T.astype(np.float64) @ (part * own)
            continue
        indicator = np.concatenate([part[:, [k]] == np.arange(dim) for k, dim in enumerate(dims)], axis=1)
        joint += indicator.T.astype(np.float64) @ (indicator * own)
    if binary:
        both, total = joint[1::2, 1::2], weights.sum()
        ones = np.diag(both).copy()
        joint[1::2, ::2] = ones[:, None] - both
        joint[::2, 1::2] = ones[None] - both
        joint[::2, ::2] = total - ones[:, None] - ones[None] + both
        np.maximum(joint, 0, out=joint)
    return np.asarray(joint / weights.sum())


def _summed_by_feature(terms: NDArray, dims: Sequence[int]) -> NDArray:
    starts = np.cumsum([0, *dims[:-1]])
    return np.asarray(np.add.reduceat(np.add.reduceat(terms, starts, axis=0), starts, axis=1))


def seriation(information: NDArray) -> list[int]:
    """Order of features that places dependent features near each other, by the Fiedler vector.

    It minimises the squared distances along the line, weighted by mutual information. The same is done for
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
