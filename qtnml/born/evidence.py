"""Conditioning on evidence at some sites: two passes of matrices over the tree.

The *evidence* of a site is a weight for each of its levels: one observed level, equal weights for a missing
value, or some of the levels (an interval of a binned feature, a noisy read-out). With evidence the
distribution P(x) of the state becomes P(x) w(x), summed exactly over all strings. The bond above a subtree
carries a matrix (bond, bond). It is the identity if nothing is known below the bond.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born.amplitudes import log_likelihood
from qtnml.born.state import TreeState, levels_or_missing
from qtnml.structure.sites import Sites

_CHUNK_FLOATS = 2**25
_TINY = 1e-300

_LEAST_PROBABILITY = 1e-12


def observed(sites: Sites, X: Any) -> tuple[NDArray, ...]:
    """Evidence of strings (samples, sites) of levels, NaN or -1 where a value is missing.

    Returns:
        For each site its weights, (samples, levels) of 0 and 1.
    """
    levels = levels_or_missing(sites, X)
    missing = levels < 0
    return tuple(
        np.where(missing[:, [site]], 1.0, levels[:, [site]] == np.arange(dim))
        for site, dim in enumerate(sites.dims)
    )


@dataclass(frozen=True)
class Messages:
    """Of a batch of evidence.

    Attributes:
        up: Of each node the matrix (samples, bond, bond) of trace 1 its subtree sends up; None where nothing
            is known below it (the identity).
        log_evidence: ln of the sum of P(x) w(x), -inf where it is 0, (samples,).
    """

    up: tuple[NDArray | None, ...]
    log_evidence: NDArray


def messages_up(state: TreeState, evidence: tuple[NDArray, ...]) -> Messages:
    """From the leaves to the root."""
    tree, samples = state.tree, len(evidence[0])
    known = [not bool((weights == 1).all()) for weights in evidence]
    up: list[NDArray | None] = []
    logs = np.zeros(samples)
    for core, wires in zip(state.cores, tree.nodes, strict=True):
        legs: list[NDArray | None] = []
        for wire in wires:
            if wire < tree.num_leaves:
                legs.append(evidence[wire] if known[wire] else None)
            else:
                legs.append(up[wire - tree.num_leaves])
        if all(leg is None for leg in legs):
            up.append(None)
            continue
        matrix = close(through(core[None], legs), core)
        trace = np.maximum(np.einsum("bii->b", matrix).real, 0.0)
        with np.errstate(divide="ignore"):
            logs += np.log(trace)
        up.append(matrix / np.maximum(trace, _TINY)[:, None, None])
    return Messages(tuple(up), logs)


def messages_down(state: TreeState, evidence: tuple[NDArray, ...], up: Messages) -> tuple[NDArray, ...]:
    """From the root to the leaves: for each node the matrix (samples, bond, bond) of trace 1 that all else
    sends.

    Without evidence it is the reduced state of the bond: its eigenvalues are the squared Schmidt values.
    """
    tree, samples = state.tree, len(evidence[0])
    down: list[NDArray] = [np.ones((samples, 1, 1))] * len(tree.nodes)
    for k in reversed(range(len(tree.nodes))):
        for place, wire in enumerate(tree.nodes[k], 1):
            if wire < tree.num_leaves:
                continue
            matrix = _rest(state, k, place, down[k], evidence, up)
            trace = np.maximum(np.einsum("bii->b", matrix).real, _TINY)
            down[wire - tree.num_leaves] = matrix / trace[:, None, None]
    return tuple(down)


def site_marginals(
    state: TreeState, evidence: tuple[NDArray, ...], *, own_evidence: bool = True
) -> tuple[NDArray, ...]:
    """P(site = level | evidence) for each site, (samples, levels), rows of sum 1.

    Args:
        state: The distribution.
        evidence: See `observed`.
        own_evidence: Without it each site is given the evidence of the other sites only.
    """
    up = messages_up(state, evidence)
    down = messages_down(state, evidence, up)
    found = []
    for site, node in enumerate(state.tree.node_of_leaf):
        place = 1 + state.tree.nodes[node].index(site)
        marginal = np.einsum("bii->bi", _rest(state, node, place, down[node], evidence, up)).real
        marginal = np.maximum(marginal, 0.0) * (evidence[site] if own_evidence else 1.0)
        total = marginal.sum(axis=1, keepdims=True)
        even = np.full_like(marginal, 1 / marginal.shape[1])
        found.append(np.divide(marginal, total, out=even, where=total > 0))
    return tuple(found)


def log_marginal(state: TreeState, X: Any) -> NDArray:
    """ln P of the observed values of strings with missing ones (NaN or -1), nats, (samples,)."""
    X = levels_or_missing(state.sites, X)
    partial = (X < 0).any(axis=1)
    logs = np.empty(len(X))
    logs[~partial] = log_likelihood(state, X[~partial])
    chunk, rows = chunk_of(state), np.flatnonzero(partial)
    for start in range(0, len(rows), chunk):
        some = rows[start : start + chunk]
        logs[some] = messages_up(state, observed(state.sites, X[some])).log_evidence
    return logs


def log_alone(marginals: Sequence[NDArray], levels: NDArray) -> NDArray:
    """Sum of ln P(level) of each row's known levels, every site on its own, nats, (rows,).

    Args:
        marginals: P(level) of each site, (1, levels).
        levels: Shape (rows, sites), -1 where nothing is known.
    """
    found = np.zeros(len(levels))
    for marginal, column in zip(marginals, levels.T, strict=True):
        with np.errstate(divide="ignore"):
            found += np.where(column >= 0, np.log(marginal[0])[np.maximum(column, 0)], 0.0)
    return found


def log_conditionals(state: TreeState, levels: NDArray) -> NDArray:
    """ln P(level | all other known levels) of each site, nats, (rows, sites); 0 where nothing is known (-1).

    Never below ln 1e-12, which a single impossible value has.
    """
    found = np.empty(levels.shape)
    chunk = chunk_of(state)
    for start in range(0, len(levels), chunk):
        part = levels[start : start + chunk]
        conditionals = site_marginals(state, observed(state.sites, part), own_evidence=False)
        for site, conditional in enumerate(conditionals[: levels.shape[1]]):
            own = np.take_along_axis(conditional, np.maximum(part[:, [site]], 0), axis=1)[:, 0]
            known = np.log(np.maximum(own, _LEAST_PROBABILITY))
            found[start : start + chunk, site] = np.where(part[:, site] >= 0, known, 0.0)
    return found


def log_prefixes(state: TreeState, levels: NDArray) -> NDArray:
    """ln P(x_0 ... x_k) of one string for every k, nats, (sites,); missing values (-1) are summed over.

    The centre of the messages walks over the tree from site to site, and at every step only what lies between
    two sites is made anew: for a chain in its order, and for a balanced tree, in time linear in the sites.
    """
    tree, walk = state.tree, _Walk(state)
    logs, known = np.empty(len(levels)), 0.0
    for site, level in enumerate(levels):
        if level >= 0:
            walk.go_to(tree.node_of_leaf[site])
            walk.evidence[site] = (np.arange(state.sites.dims[site]) == level).astype(np.float64)[None]
            known = walk.log_evidence()
            if np.isneginf(known):  # and so is all that follows
                logs[site:] = known
                break
        logs[site] = known
    return logs


class _Walk:
    """Messages (1, bond, bond) of trace 1 towards one node, with the logarithms of what was divided out."""

    def __init__(self, state: TreeState) -> None:
        self._state, self._at = state, state.tree.root
        self.evidence: list[NDArray | None] = [None] * len(state.sites.dims)
        # Nothing is known yet: subtrees send identities up, which are not written down.
        self._up: list[NDArray | None] = [None] * len(state.cores)
        self._down: list[NDArray] = [np.ones((1, 1, 1))] * len(state.cores)
        self._up_logs, self._down_logs = np.zeros(len(state.cores)), np.zeros(len(state.cores))

    def go_to(self, node: int) -> None:
        """Move the centre along the path between two nodes."""
        parents = self._state.tree.parents
        path = [node]
        while path[-1] != self._state.tree.root:
            path.append(parents[path[-1]])
        above = set(path)
        while self._at not in above:
            self._send_up(self._at)
            self._at = parents[self._at]
        for below in reversed(path[: path.index(self._at)]):
            self._send_down(self._at, below)
            self._at = below

    def log_evidence(self) -> float:
        """ln of the sum of P(x) w(x)."""
        state, node = self._state, self._at
        core, legs = state.cores[node], self._legs(node)
        matrix = close(through(core[None], legs), core)
        total = float(np.einsum("bij,bij->", matrix, self._down[node]).real)
        if not total > 0:
            return -np.inf
        return float(np.log(total) + self._down_logs[node] + self._logs_below(node))

    def _legs(self, node: int) -> list[NDArray | None]:
        tree = self._state.tree
        return [
            self.evidence[wire] if wire < tree.num_leaves else self._up[wire - tree.num_leaves]
            for wire in tree.nodes[node]
        ]

    def _logs_below(self, node: int, but: int = -1) -> float:
        return float(sum(self._up_logs[k] for k in self._state.tree.nodes_below(node) if k != but))

    def _send_up(self, node: int) -> None:
        legs, core = self._legs(node), self._state.cores[node]
        if all(leg is None for leg in legs):
            return
        matrix = close(through(core[None], legs), core)
        trace = max(float(np.trace(matrix[0]).real), _TINY)
        self._up[node] = matrix / trace
        self._up_logs[node] = self._logs_below(node) + np.log(trace)

    def _send_down(self, node: int, below: int) -> None:
        tree = self._state.tree
        place = 1 + tree.nodes[node].index(tree.num_leaves + below)
        matrix = _seen_from(self._state.cores[node], place, self._down[node], self._legs(node))
        trace = max(float(np.trace(matrix[0]).real), _TINY)
        self._down[below] = matrix / trace
        self._down_logs[below] = self._down_logs[node] + self._logs_below(node, below) + np.log(trace)


def chunk_of(state: TreeState) -> int:
    """Samples whose matrices fit in memory at once."""
    floats = sum(core.shape[0] ** 2 for core in state.cores) + 4 * max(core.size for core in state.cores)
    return int(max(1, _CHUNK_FLOATS // floats))


def through(tensor: NDArray, legs: list[NDArray | None], skip: int = -1) -> NDArray:
    """Multiply a tensor (samples or 1, parent, legs...) by what reaches its legs: matrices (samples, d, d) of
    bonds, weights (samples, d) of sites, None for nothing; leg `skip` is left alone.
    """
    for place, given in enumerate(legs):
        if given is None or place == skip:
            continue
        axis = place + 2
        moved = np.moveaxis(tensor, axis, -1)
        if given.ndim == 2:
            shape = (len(given), *[1] * (tensor.ndim - 2), given.shape[1])
            moved = moved * given.reshape(shape)
        else:
            flat = moved.reshape(moved.shape[0], -1, moved.shape[-1]) @ given
            moved = flat.reshape(len(flat), *moved.shape[1:-1], given.shape[2])
        tensor = np.moveaxis(moved, -1, axis)
    return tensor


def close(tensor: NDArray, core: NDArray) -> NDArray:
    """Contract all legs of (samples, parent, legs...) with the core's conjugate: (samples, p, p)."""
    samples, parent = tensor.shape[:2]
    flat = tensor.reshape(samples * parent, -1) @ core.reshape(core.shape[0], -1).conj().T
    return flat.reshape(samples, parent, core.shape[0])


def _rest(
    state: TreeState, node: int, place: int, down: NDArray, evidence: tuple[NDArray, ...], up: Messages
) -> NDArray:
    """The matrix R (samples, d, d) that all the rest of the tree sends to a leg of a node, unnormalised.

    With U what the leg's own wire sends up, the evidence is sum_ij R_ij U_ij.
    """
    tree = state.tree
    legs: list[NDArray | None] = []
    for wire in tree.nodes[node]:
        if wire < tree.num_leaves:
            legs.append(None if (evidence[wire] == 1).all() else evidence[wire])
        else:
            legs.append(up.up[wire - tree.num_leaves])
    return _seen_from(state.cores[node], place, down, legs)


def _seen_from(core: NDArray, place: int, down: NDArray, legs: list[NDArray | None]) -> NDArray:
    """`_rest` from what enters the node over its other legs."""
    # (samples, p', legs...): the parent's index is handed over to the conjugate's.
    parent = core.shape[0]
    tensor = np.swapaxes(down, 1, 2) @ core.reshape(parent, -1)
    tensor = tensor.reshape(len(down), *core.shape)
    tensor = through(tensor, legs, skip=place - 1)
    moved = np.moveaxis(tensor, place + 1, 1)
    dim = core.shape[place]
    flat = moved.reshape(len(moved), dim, -1)
    other = np.moveaxis(core, place, 0).reshape(dim, -1).conj()
    return flat @ other.T
