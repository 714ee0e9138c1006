"""Search for a network of a tensor: by the tensor's ranks, or greedily.

The greedy search repeatedly raises the bond that explains most of the remaining error per added parameter (in
arXiv:2008.05437 it is the bond that leaves the smallest error). At the end bonds are lowered if the network
still represents the tensor. The graph can be restricted to a tree or a chain, whose state compiles into a
circuit.
"""

from collections.abc import Sequence
from itertools import combinations, islice
from typing import Any, Literal, NamedTuple

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.graphs.bounds import cheapest, cut_ranks
from qtnml.graphs.fit import fitted, raised
from qtnml.graphs.network import Edge, GraphNetwork, axis_of, checked_dims, components

_SWEEPS, _STILL = 100, 1e-3
_AHEAD, _CANDIDATES = 20, 4  # sweeps that the most promising bonds are compared after
_POLISH = 300
_MOST_EXACT = 6  # modes: 31 cuts, 15 bonds
_MOST_CANDIDATES, _STARTS = 20, 10


class Step(NamedTuple):
    """One step of the search: a bond is raised or lowered.

    Attributes:
        edge: The two modes that the bond joins.
        rank: New dimension of the bond.
        num_parameters: Number of parameters of the network after the step.
        error: Squared error, as a fraction of the tensor's squared norm.
    """

    edge: Edge
    rank: int
    num_parameters: int
    error: float


class Decomposition(NamedTuple):
    """Result of the search.

    Attributes:
        network: The network found.
        error: Squared error, as a fraction of the tensor's squared norm.
        steps: Steps of the search, in order.
    """

    network: GraphNetwork
    error: float
    steps: tuple[Step, ...]


def decompose(
    tensor: Any,
    *,
    tolerance: float = 1e-12,
    max_parameters: int | None = None,
    graph: Literal["any", "tree", "chain"] | Sequence[Edge] = "any",
    method: Literal["ranks", "greedy"] | None = None,
    random_state: Any = None,
) -> Decomposition:
    """Find a network with few parameters for a tensor, with its graph and bond dimensions.

    Args:
        tensor: Real tensor with 2 to 9 modes.
        tolerance: Squared error, as a fraction of the tensor's squared norm, at which the search ends.
        max_parameters: Largest number of entries in the cores; by default that of the tensor.
        graph: "any": bonds between any two modes. "tree": bonds close no ring. "chain": bonds form the chain
            of the modes in order. Or a sequence of pairs of modes that may be joined. A tree or chain has a
            `state()`.
        method: "ranks" takes the smallest network whose minimal cuts are the tensor's ranks across all cuts
            of its modes. If there is none, it adds a node without a mode (a Tucker decomposition). It is for
            exact tensors of up to six modes. "greedy" raises one bond after the other. None tries "ranks"
            first, then "greedy".
        random_state: Seed of the initial cores.

    Raises:
        InvalidInputError: An argument is invalid; or with method="ranks", no network was found.

    >>> ring = GraphNetwork.random((4,) * 4, {(0, 1): 2, (1, 2): 2, (2, 3): 2, (0, 3): 2}, seed=1)
    >>> found = decompose(ring.dense(), random_state=0)
    >>> found.network.ranks == ring.ranks, found.error < 1e-12
    (True, True)
    """
    target = _checked(tensor)
    _check_settings(tolerance, max_parameters, method)
    most = target.size if max_parameters is None else int(max_parameters)
    rng = np.random.default_rng(random_state)
    if method != "greedy" and target.ndim <= _MOST_EXACT:
        for hidden in (0, 1):
            if (found := _by_ranks(target, tolerance, most, graph, hidden, rng)) is not None:
                return found
    if method == "ranks":
        raise InvalidInputError(
            "no network has the ranks of this tensor: it is no exact network of few modes; use "
            f"method='greedy', or a tolerance above {tolerance:g}"
        )
    return _greedy(target, tolerance, most, graph, rng)


def _by_ranks(
    target: NDArray, tolerance: float, most: int, graph: Any, hidden: int, rng: np.random.Generator
) -> Decomposition | None:
    """The cheapest network that the ranks ask for and that is the tensor."""
    if hidden and graph not in ("any", "tree"):
        return None
    given = target.reshape(*target.shape, *[1] * hidden)
    candidates = cheapest(given.shape, cut_ranks(given, tolerance), _allowed(graph, given.ndim))
    for ranks in islice(candidates, _MOST_CANDIDATES):
        groups = components(given.ndim, ranks)
        if graph == "tree" and given.ndim - len(set(groups)) < len(ranks):
            continue
        network = GraphNetwork.random(target.shape, ranks, hidden=hidden, seed=rng)
        if network.num_parameters > most:
            return None
        for _ in range(_STARTS):
            cores, error = fitted(
                given, network.cores, sweeps=_POLISH, tolerance=_STILL, loss=tolerance / 1e6
            )
            if error <= tolerance:
                network = GraphNetwork(tuple(cores), hidden)
                return Decomposition(network, error, ())
            network = GraphNetwork.random(target.shape, ranks, hidden=hidden, seed=rng)
    return None


def _greedy(
    target: NDArray, tolerance: float, most: int, graph: Any, rng: np.random.Generator
) -> Decomposition:
    """One bond after the other."""
    allowed, norm = _allowed(graph, target.ndim), float((target**2).sum())
    network = GraphNetwork.random(target.shape, {}, seed=rng)
    cores, error = fitted(target, network.cores, sweeps=_SWEEPS, tolerance=_STILL, loss=tolerance)
    steps: list[Step] = []
    while error > tolerance:
        network = GraphNetwork(tuple(cores))
        open_edges = [edge for edge in allowed if graph != "tree" or _stays_tree(network, edge)]
        open_edges = [edge for edge in open_edges if _added(network, edge) + network.num_parameters <= most]
        if not open_edges:
            break
        residual = target - network.dense()

        def gain(left: float, edge: Edge, network: GraphNetwork = network, error: float = error) -> float:
            return float(np.log(error / max(left, tolerance / 10)) / _added(network, edge))

        trials = [(*raised(residual, cores, edge, rng), edge) for edge in open_edges]
        trials.sort(key=lambda trial: -gain(trial[2] / norm, trial[3]))
        ahead = [
            (
                *fitted(target, _joined(cores, trial), sweeps=_AHEAD, tolerance=_STILL, loss=tolerance),
                trial[3],
            )
            for trial in trials[:_CANDIDATES]
        ]
        cores, _, edge = max(ahead, key=lambda trial: gain(trial[1], trial[2]))
        cores, error = fitted(target, _balanced(cores), sweeps=_SWEEPS, tolerance=_STILL, loss=tolerance)
        network = GraphNetwork(tuple(cores))
        steps.append(Step(edge, network.rank(edge), network.num_parameters, error))
    if error <= tolerance:
        cores, error = _lowered(target, cores, tolerance, steps)
    return Decomposition(GraphNetwork(tuple(cores)), error, tuple(steps))


def _joined(cores: Sequence[NDArray], trial: tuple[NDArray, NDArray, float, Edge]) -> list[NDArray]:
    """Cores with new slices at a bond."""
    one, other, _, (first, second) = trial
    found = list(cores)
    for mode, near, slice_ in ((first, second, one), (second, first, other)):
        found[mode] = np.concatenate([found[mode], slice_], axis=axis_of(mode, near))
    return found


def _lowered(
    target: NDArray, cores: list[NDArray], tolerance: float, steps: list[Step]
) -> tuple[list[NDArray], float]:
    """Without the bonds' dimensions that the tensor can do without, those that cost most first."""
    cores, error = fitted(target, cores, sweeps=1, tolerance=0.0)
    kept = set[Edge]()
    while True:
        network = GraphNetwork(tuple(cores))
        open_edges = [edge for edge in network.ranks if edge not in kept]
        if not open_edges:
            return cores, error
        edge = max(open_edges, key=lambda edge: _added(network, edge))
        trial, found = fitted(
            target, _balanced(_cut(cores, edge)), sweeps=_POLISH, tolerance=_STILL, loss=tolerance
        )
        if found <= tolerance:
            cores, error = trial, found
            steps.append(Step(edge, network.rank(edge) - 1, GraphNetwork(tuple(cores)).num_parameters, error))
        else:
            kept.add(edge)


def _cut(cores: list[NDArray], edge: Edge) -> list[NDArray]:
    """Without the direction of a bond that the two cores at it weigh least."""
    one, other = edge
    first = np.moveaxis(cores[one], axis_of(one, other), -1)
    second = np.moveaxis(cores[other], axis_of(other, one), 0)
    left, small = np.linalg.qr(first.reshape(-1, first.shape[-1]))
    right, large = np.linalg.qr(second.reshape(len(second), -1).T)
    u, values, v = np.linalg.svd(small @ large.T)
    kept = len(values) - 1
    root = np.sqrt(values[:kept])
    found = list(cores)
    new_first = (left @ u[:, :kept] * root).reshape(*first.shape[:-1], kept)
    new_second = ((v[:kept].T * root).T @ right.T).reshape(kept, *second.shape[1:])
    found[one] = np.moveaxis(new_first, -1, axis_of(one, other))
    found[other] = np.moveaxis(new_second, 0, axis_of(other, one))
    return found


def _balanced(cores: list[NDArray]) -> list[NDArray]:
    """The same tensor with cores of one norm."""
    norms = np.array([np.linalg.norm(core) for core in cores])
    if not (norms > 0).all():
        return cores
    mean = np.exp(np.log(norms).mean())
    return [core * (mean / norm) for core, norm in zip(cores, norms, strict=True)]


def _added(network: GraphNetwork, edge: Edge) -> int:
    """Numbers that a bond's next dimension takes."""
    return sum(network.cores[mode].size // network.rank(edge) for mode in edge)


def _stays_tree(network: GraphNetwork, edge: Edge) -> bool:
    if edge in network.ranks:
        return True
    groups = components(len(network.cores), network.ranks)
    return groups[edge[0]] != groups[edge[1]]


def _allowed(graph: Any, count: int) -> list[Edge]:
    if graph in ("any", "tree"):
        return list(combinations(range(count), 2))
    if graph == "chain":
        return [(k, k + 1) for k in range(count - 1)]
    if isinstance(graph, str):
        raise InvalidInputError(f"graph must be 'any', 'tree', 'chain' or pairs of modes, got {graph!r}")
    edges = [tuple(sorted(map(int, edge))) for edge in graph]
    for edge in edges:
        if len(edge) != 2 or not 0 <= edge[0] < edge[1] < count:
            raise InvalidInputError(f"a bond joins two of {count} modes, got {edge}")
    return [(one, other) for one, other in sorted(set(edges))]


def _checked(tensor: Any) -> NDArray:
    target = np.asarray(tensor)
    if target.dtype.kind not in "iufb":
        raise InvalidInputError(f"the tensor must be of real numbers, got {target.dtype}")
    target = target.astype(np.float64)
    checked_dims(target.shape)
    if not np.isfinite(target).all() or not target.any():
        raise InvalidInputError("the tensor needs finite numbers that are not all 0")
    return target


def _check_settings(tolerance: Any, max_parameters: Any, method: Any) -> None:
    if method not in (None, "ranks", "greedy"):
        raise InvalidInputError(f"method must be 'ranks', 'greedy' or None, got {method!r}")
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 < tolerance < 1:
        raise InvalidInputError(f"tolerance must be above 0 and below 1, got {tolerance!r}")
    is_count = isinstance(max_parameters, int | np.integer) and not isinstance(max_parameters, bool)
    if max_parameters is not None and not (is_count and max_parameters >= 1):
        raise InvalidInputError(f"max_parameters must be an integer of at least 1, got {max_parameters!r}")
