"""Small trees of sites, and everything about a state on one by brute force."""

import itertools

import numpy as np
from scipy import stats

from qtnml.born import TreeState, log_amplitudes
from qtnml.structure import Sites, Tree, balanced_site_tree, site_chain

TREES = {
    "chain": site_chain([2, 3, 2, 2, 2], [2, 0, 1, 4, 3]),
    "balanced": balanced_site_tree([2, 3, 2, 2, 2, 2]),
    "sites at inner nodes": Sites((2, 2, 3, 2), Tree(4, ((1, 2), (0, 4, 3)))),
    "one node": Sites((2, 3), Tree(2, ((0, 1),))),
    "a constant site": site_chain([2, 1, 2]),
}


def all_strings(dims: tuple[int, ...]) -> np.ndarray:
    """In the order of a flattened array."""
    return np.array(list(itertools.product(*map(range, dims))))


def dense(state: TreeState) -> np.ndarray:
    """All amplitudes as an array of the sites' dimensions."""
    logs, phases = log_amplitudes(state, all_strings(state.sites.dims))
    return (np.exp(logs) * phases).reshape(state.sites.dims)


def p_value(strings: np.ndarray, distribution: np.ndarray) -> float:
    """Chi-squared test of strings against probabilities (flattened or not); rare ones together."""
    flat = distribution.ravel()
    counts = np.bincount(np.ravel_multi_index(tuple(strings.T), distribution.shape), minlength=flat.size)
    expected = flat * len(strings)
    usual = expected > 5
    assert counts[flat == 0].sum() == 0
    observed, wanted = counts[usual].astype(float), expected[usual]
    if expected[~usual].sum() > 0:
        observed, wanted = (
            np.append(observed, counts[~usual].sum()),
            np.append(wanted, expected[~usual].sum()),
        )
    return (
        float(stats.chisquare(observed, wanted * observed.sum() / wanted.sum()).pvalue)
        if len(wanted) > 1
        else 1.0
    )
