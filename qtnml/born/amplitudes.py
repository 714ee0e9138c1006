"""Amplitudes of strings: one pass from the leaves to the root."""

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born.state import TreeState, site_index

_CHUNK_FLOATS = 2**24
_LEAST_LOG = (
    -708.0
)  # nats for each site, about ln of the least positive double: below any likelihood there is


def log_amplitudes(state: TreeState, X: NDArray) -> tuple[NDArray, NDArray]:
    """ln |psi| of strings (samples, sites), -inf where it is 0, and the phase psi / |psi|, 1 there."""
    X = site_index(state.sites, X)
    widest = max(core.size // core.shape[0] for core in state.cores) + sum(state.bond_dims)
    chunk = max(64, _CHUNK_FLOATS // widest)
    parts = [_log_amplitudes(state, X[k : k + chunk]) for k in range(0, max(len(X), 1), chunk)]
    logs, phases = zip(*parts, strict=True)
    return np.concatenate(logs), np.concatenate(phases)


def log_likelihood(state: TreeState, X: NDArray) -> NDArray:
    """ln |psi(x)|**2 in nats of strings (samples, sites), -inf where it is 0."""
    return 2 * log_amplitudes(state, X)[0]


def finite_logs(log_likelihoods: NDArray, num_sites: int) -> NDArray:
    """Log-likelihoods in nats with one finite value, below any possible one, where a string is impossible.

    Training, validation and scoring all take this floor, so that their numbers can be compared.
    """
    return np.maximum(log_likelihoods, _LEAST_LOG * num_sites)


def mean_nll(log_likelihoods: NDArray, weights: NDArray, num_sites: int) -> float:
    """Weighted mean negative log-likelihood in nats; see `finite_logs` for impossible strings.

    Args:
        log_likelihoods: (samples,), nats.
        weights: (samples,), at least 0 and not all 0.
        num_sites: Of the strings.
    """
    logs = finite_logs(np.asarray(log_likelihoods, dtype=np.float64), num_sites)
    return -float(np.average(logs, weights=weights))


def _log_amplitudes(state: TreeState, X: NDArray) -> tuple[NDArray, NDArray]:
    tree, logs = state.tree, np.zeros(len(X))
    vectors: dict[int, NDArray] = {}
    for k, core in enumerate(state.cores):
        below = [vectors.pop(w) for w in tree.nodes[k] if w >= tree.num_leaves]
        vector = contract_node(core, tree.nodes[k], tree.num_leaves, X, below)
        vectors[tree.num_leaves + k], scale = normalised(vector)
        logs += scale
    value = vectors[tree.num_leaves + tree.root][:, 0]
    size = np.abs(value)
    with np.errstate(divide="ignore"):
        return logs + np.log(size), np.where(size > 0, value / np.where(size > 0, size, 1), 1.0)


def contract_node(
    core: NDArray, wires: tuple[int, ...], num_sites: int, X: NDArray, below: list[NDArray]
) -> NDArray:
    """Vectors (samples, parent bond) that leave a node, from those (samples, bond) that enter it.

    Samples with the same levels on the node's own sites share one product.
    """
    sites = [leg for leg, wire in enumerate(wires, 1) if wire < num_sites]
    inner = [leg for leg, wire in enumerate(wires, 1) if wire >= num_sites]
    by_level = core.transpose(*sites, *inner, 0)  # (levels..., bonds..., parent)
    by_level = by_level.reshape(-1, int(np.prod([core.shape[leg] for leg in inner])), core.shape[0])
    joint = outer(below) if below else np.ones((len(X), 1), dtype=core.dtype)
    if not sites:
        return np.asarray(joint @ by_level[0])
    levels = np.ravel_multi_index(
        tuple(X[:, wires[leg - 1]] for leg in sites), tuple(core.shape[leg] for leg in sites)
    )
    if not inner:
        return np.asarray(by_level[levels, 0])
    out = np.empty((len(X), core.shape[0]), dtype=np.result_type(core, joint))
    for level in np.unique(levels):
        rows = np.flatnonzero(levels == level)
        out[rows] = joint[rows] @ by_level[level]
    return out


def outer(vectors: list[NDArray]) -> NDArray:
    """Products of all entries, row by row: (samples, product of dimensions)."""
    joint = vectors[0]
    for vector in vectors[1:]:
        size = joint.shape[1] * vector.shape[1]
        joint = (joint[:, :, None] * vector[:, None, :]).reshape(len(joint), size)
    return joint


def normalised(vectors: NDArray) -> tuple[NDArray, NDArray]:
    """Rows of norm 1 and the logarithms of their norms; rows of zeros stay, with logarithm 0."""
    squares = np.einsum("...i,...i->...", vectors, vectors.conj()).real
    norms = np.sqrt(np.where(squares > 0, squares, 1.0))
    return vectors / norms[..., None], np.log(norms, dtype=np.float64)
