"""Amplitudes of strings: one pass from the leaves to the root."""

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import Array, NDArray, namespace
from qtnml.born.state import TreeState, site_index
from qtnml.contract.amplitude_network import AmplitudeNetwork, as_many_take_it, one_hot
from qtnml.contract.environments import outer
from qtnml.contract.many import Contraction, evaluate_many
from qtnml.structure import Sites

_CHUNK_FLOATS = 2**22
_LEAST_LOG = (
    -708.0
)  # nats for each site, about ln of the least positive double: below any likelihood there is


def log_amplitudes(state: TreeState, X: Array) -> tuple[Array, Array]:
    """Logarithms ln |psi| and phases psi / |psi| of strings; -inf and 1 if psi is 0.

    NumPy arrays are checked and computed in double precision. With JAX arrays (the cores, the strings, or
    both) it is a pure function, also under `jax.jit`, `jax.grad` and `jax.vmap`; levels are then not checked.

    Args:
        state: A state with any cores that fit its sites; canonical cores give normalised probabilities.
        X: Levels (samples, sites), integers.

    Returns:
        Logarithms and phases, both (samples,).
    """
    if any(isinstance(array, jax.Array) for array in (X, *state.cores)):
        network, stacks = stacked(state)
        return _of_strings(network, jax.tree.map(jnp.asarray, stacks), jnp.asarray(X))
    X = site_index(state.sites, X)
    if not len(X):
        return np.empty(0), np.empty(0)
    logs, phases = contracted(_of_strings, *stacked(state), X)
    return logs, phases


def log_likelihood(state: TreeState, X: Array) -> Array:
    """Log-likelihood ln |psi(x)|**2 of strings (samples, sites) in nats, -inf if it is 0.

    See `log_amplitudes` for the arguments.
    """
    return 2 * log_amplitudes(state, X)[0]


def stacked(state: TreeState) -> tuple[AmplitudeNetwork, tuple[Array, ...]]:
    """A state as a network and the stacks of its cores, as the contraction takes them."""
    return network_of(state.sites, state.cores)


def network_of(sites: Sites, cores: tuple[Array, ...]) -> tuple[AmplitudeNetwork, tuple[Array, ...]]:
    """Cores on sites as a network and its stacks."""
    bonds = (*(core.shape[0] for core in cores[:-1]), 1)
    network = AmplitudeNetwork(sites.tree, sites.dims, bonds)
    return network, network.stacks(cores)


def contracted(
    function: Contraction, network: AmplitudeNetwork, stacks: tuple[Array, ...], X: NDArray
) -> tuple[NDArray, ...]:
    """A pure function of a network, its stacks and samples X, at least one; see `evaluate_many`."""
    network, stacks, numbers = as_many_take_it(network, stacks, len(X))
    chunk = max(64, _CHUNK_FLOATS // network.widest)
    return evaluate_many(function, network, stacks, X, numbers=numbers, chunk=chunk)


def _of_strings(network: AmplitudeNetwork, stacks: tuple[Array, ...], X: Array) -> tuple[Array, Array]:
    xp, real = namespace(stacks[0]), stacks[0].real.dtype
    amplitudes, logs = network.amplitudes(stacks, one_hot(X, max(network.leaf_dims), real))
    found = amplitudes[0]
    size = xp.abs(found)
    safe = xp.where(size > 0, size, 1.0)
    log_size = xp.where(size > 0, xp.log(safe), -xp.inf)
    return logs + log_size, xp.where(size > 0, found / safe, 1.0)


def finite_logs(log_likelihoods: NDArray, num_sites: int) -> NDArray:
    """Log-likelihoods in nats, with one finite value below all possible ones for impossible strings.

    Training, validation and scoring all use this floor, so that their values can be compared.
    """
    return np.maximum(log_likelihoods, _LEAST_LOG * num_sites)


def mean_nll(log_likelihoods: NDArray, weights: NDArray, num_sites: int) -> float:
    """Weighted mean negative log-likelihood in nats; see `finite_logs` for impossible strings.

    Args:
        log_likelihoods: Log-likelihoods (samples,), nats.
        weights: Weights (samples,), at least 0 and not all 0.
        num_sites: Number of sites of the strings.
    """
    logs = finite_logs(np.asarray(log_likelihoods, dtype=np.float64), num_sites)
    return -float(np.average(logs, weights=weights))


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
