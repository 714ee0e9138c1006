"""Exact samples: site after site, each drawn from its distribution given those before it and the evidence.

A wire whose part of the tree comes next carries a factor F (samples, bond, columns) of what everything drawn
so far says about it, F F^+ being the matrix of that. Along a chain it has one column all the way.
"""

from dataclasses import dataclass, field

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born.amplitudes import contract_node
from qtnml.born.evidence import Messages, messages_up, through
from qtnml.born.state import TreeState
from qtnml.errors import InvalidInputError

_CHUNK_FLOATS = 2**22
_JITTER = 1e-13
_TINY = 1e-300


def sample(
    state: TreeState, rng: np.random.Generator, count: int, evidence: tuple[NDArray, ...] | None = None
) -> NDArray:
    """Strings drawn from P(x | evidence).

    Args:
        state: The law.
        rng: Draws them.
        count: Strings, or for each row of the evidence.
        evidence: See `qtnml.born.evidence.observed`; None for nothing known.

    Returns:
        Levels, (count, sites), or (rows, count, sites) with evidence.

    Raises:
        InvalidInputError: Evidence of probability zero.
    """
    tree = state.tree
    widest = max(core.size for core in state.cores)
    if evidence is None:
        chunk = max(1, _CHUNK_FLOATS // widest)
        parts = [
            _Sampler(state, rng, min(chunk, count - start), None, None).run()
            for start in range(0, count, chunk)
        ]
        return np.concatenate([np.empty((0, tree.num_leaves), np.int64), *parts])
    rows, sites = len(evidence[0]), tree.num_leaves
    found = np.empty((rows, count, sites), np.int64)
    # Every draw of a chunk holds its own copy of the messages.
    floats = widest + sum(core.shape[0] ** 2 for core in state.cores)
    most = max(1, _CHUNK_FLOATS // floats)
    group = max(1, most // max(count, 1))
    for start in range(0, rows, group):
        part = tuple(weights[start : start + group] for weights in evidence)
        up = messages_up(state, part)
        if (impossible := np.flatnonzero(np.isneginf(up.log_evidence))).size:
            raise InvalidInputError(
                f"row {start + int(impossible[0])} has probability zero under the model: nothing can be "
                "drawn given it; mark some of its values as missing"
            )
        size = len(part[0])
        for first in range(0, count, most):
            number = min(most, count - first)
            repeated = tuple(np.repeat(weights, number, axis=0) for weights in part)
            matrices = tuple(None if m is None else np.repeat(m, number, axis=0) for m in up.up)
            drawn = _Sampler(state, rng, size * number, repeated, Messages(matrices, up.log_evidence)).run()
            found[start : start + size, first : first + number] = drawn.reshape(size, number, sites)
    return found


@dataclass
class _Sampler:
    state: TreeState
    rng: np.random.Generator
    count: int
    evidence: tuple[NDArray, ...] | None
    up: Messages | None
    drawn: NDArray = field(init=False)
    vectors: dict[int, NDArray] = field(init=False, default_factory=dict)

    def run(self) -> NDArray:
        tree = self.state.tree
        self.drawn = np.zeros((self.count, tree.num_leaves), np.int64)
        self._below(tree.root, np.ones((self.count, 1, 1)))
        return self.drawn

    def _below(self, node: int, factor: NDArray) -> None:
        """Draw all sites below a node; the largest part of the tree last, without recursion."""
        tree = self.state.tree
        while True:
            core, wires = self.state.cores[node], tree.nodes[node]
            # (samples, columns, legs...)
            rows = np.swapaxes(factor, 1, 2).reshape(-1, core.shape[0])  # one product for all samples
            tensor = rows @ core.reshape(core.shape[0], -1)
            tensor = tensor.reshape(self.count, -1, *core.shape[1:])
            left = sorted(range(len(wires)), key=lambda place: self._size(wires[place]))
            axes = list(left)
            tensor = tensor.transpose(0, 1, *(2 + place for place in left))
            while axes:
                place = axes.pop(0)
                wire, is_last = wires[place], not axes
                after = [self._message(wires[other]) for other in axes]
                if wire < tree.num_leaves:
                    tensor = self._draw(wire, tensor, after)
                elif is_last:
                    node, factor = wire - tree.num_leaves, np.swapaxes(tensor, 1, 2)
                    break
                else:
                    below = wire - tree.num_leaves
                    self._below(below, _factor_of(tensor, after, tensor.shape[2]))
                    vector = self._vector(below)
                    tensor = np.einsum("bkc...,bc->bk...", tensor, vector)
                    tensor = _unit(tensor)
            else:
                return

    def _size(self, wire: int) -> tuple[bool, int]:
        tree = self.state.tree
        is_node = wire >= tree.num_leaves
        return (is_node, tree.num_below[wire - tree.num_leaves] if is_node else 0)

    def _message(self, wire: int) -> NDArray | None:
        sites = self.state.tree.num_leaves
        if wire < sites:
            return None if self.evidence is None else self.evidence[wire]
        return None if self.up is None else self.up.up[wire - sites]

    def _draw(self, site: int, tensor: NDArray, after: list[NDArray | None]) -> NDArray:
        """One site from tensor (samples, columns, levels, others...); returned for the level drawn."""
        weighted = through(tensor, [None, *after])
        law = np.einsum("bkxr,bkxr->bx", *(_flat(t) for t in (weighted, tensor.conj()))).real
        if self.evidence is not None:
            law = np.maximum(law, 0) * self.evidence[site]
            # Where rounding has eaten a distribution, at least the evidence is kept.
            law = np.where(law.sum(axis=1, keepdims=True) > 0, law, self.evidence[site])
        level = draw(law, self.rng)
        self.drawn[:, site] = level
        rows = np.arange(self.count)
        chosen = tensor[rows, :, level]
        if self.evidence is not None:
            return _unit(chosen)
        weight = np.maximum(law[rows, level], _TINY)  # without evidence this is the norm squared
        return np.asarray(chosen * (1 / np.sqrt(weight)).reshape(-1, *[1] * (chosen.ndim - 1)))

    def _vector(self, node: int) -> NDArray:
        """Amplitudes (samples, bond) of what was drawn below a node, of norm 1."""
        tree = self.state.tree
        pending = [node]
        while pending:
            k = pending[-1]
            below = [w - tree.num_leaves for w in tree.nodes[k] if w >= tree.num_leaves]
            if missing := [b for b in below if b not in self.vectors]:
                pending += missing
                continue
            pending.pop()
            vector = contract_node(
                self.state.cores[k],
                tree.nodes[k],
                tree.num_leaves,
                self.drawn,
                [self.vectors.pop(b) for b in below],
            )
            self.vectors[k] = _unit(vector)
        return self.vectors[node]


def draw(law: NDArray, rng: np.random.Generator) -> NDArray:
    """One level of each row of weights (samples, levels)."""
    cumulative = np.cumsum(law, axis=1)
    threshold = rng.random(len(law)) * cumulative[:, -1]
    return np.asarray(np.minimum((cumulative <= threshold[:, None]).sum(axis=1), law.shape[1] - 1))


def _flat(tensor: NDArray) -> NDArray:
    return tensor.reshape(*tensor.shape[:3], -1)


def _unit(tensor: NDArray) -> NDArray:
    norms = np.linalg.norm(tensor.reshape(len(tensor), -1), axis=1)
    return tensor / np.where(norms > 0, norms, 1).reshape(-1, *[1] * (tensor.ndim - 1))


def _factor_of(tensor: NDArray, after: list[NDArray | None], dim: int) -> NDArray:
    """F (samples, d, columns) of the first leg of (samples, columns, d, others...), the others weighed."""
    if all(message is None for message in after):
        flat = np.moveaxis(tensor, 2, 1).reshape(len(tensor), dim, -1)
        if flat.shape[2] <= dim:
            return flat
        matrix = flat @ np.swapaxes(flat.conj(), 1, 2)
        trace = np.einsum("bii->b", matrix).real
        scale = np.where(trace > 0, trace, 1.0)[:, None, None]
        return np.linalg.cholesky(matrix / scale + _JITTER * np.eye(dim))
    # Evidence may ask for a direction of tiny weight, which a product with itself would lose.
    weighed = through(tensor, [None, *(None if m is None else _root(m) for m in after)])
    flat = np.moveaxis(weighed, 2, 1).reshape(len(tensor), dim, -1)
    triangle = np.linalg.qr(np.swapaxes(flat, 1, 2), mode="r")
    return _unit(np.swapaxes(triangle, 1, 2))


def _root(message: NDArray) -> NDArray:
    """S with S S^+ the message: square roots of weights, or a matrix."""
    if message.ndim == 2:
        return np.sqrt(message)
    values, vectors = np.linalg.eigh(message)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0))[:, None, :])
