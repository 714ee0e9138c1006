"""The most probable completion: a beam of partial strings, grown from the leaves to the root."""

from typing import NamedTuple

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born.evidence import messages_down, messages_up
from qtnml.born.state import TreeState
from qtnml.errors import InvalidInputError

_FLOOR = 1e-300


class Completions(NamedTuple):
    """Strings (rows, found, sites), the likeliest first, and ln P of each (rows, found), nats."""

    strings: NDArray
    log_likelihood: NDArray


class _Beam(NamedTuple):
    """Partial strings (rows, width, sites), their amplitudes (rows, width, bond), logs of their scales."""

    strings: NDArray
    vectors: NDArray
    logs: NDArray


def most_probable(state: TreeState, evidence: tuple[NDArray, ...], width: int = 32) -> Completions:
    """The likeliest strings that agree with the evidence, by beam search.

    Under every node the `width` partial strings are kept that are likeliest given the evidence everywhere
    else (an exact marginal, not a bound). Exhaustive, so exact, where `width` is at least the number of
    partial strings; otherwise what is returned may not be the maximum, but its probability is exact.

    Args:
        state: The distribution.
        evidence: See `qtnml.born.evidence.observed`; weights between 0 and 1 weigh the distribution.
        width: Partial strings kept.

    Raises:
        InvalidInputError: Evidence of probability zero.
    """
    up = messages_up(state, evidence)
    if (impossible := np.flatnonzero(np.isneginf(up.log_evidence))).size:
        raise InvalidInputError(
            f"row {int(impossible[0])} has probability zero under the model: it has no completion; mark some "
            "of its values as missing"
        )
    down = messages_down(state, evidence, up)
    tree = state.tree
    beams: dict[int, _Beam] = {}
    for k, wires in enumerate(tree.nodes):
        beam = _joined(state, k, [_entering(state, wire, evidence, beams) for wire in wires])
        beams[tree.num_leaves + k] = _best(beam, down[k], width)
    top = beams[tree.num_leaves + tree.root]
    order = np.argsort(tree.leaves_in_order)
    with np.errstate(divide="ignore"):
        scores = 2 * (top.logs + np.log(np.abs(top.vectors[..., 0])))
    ranked = np.argsort(-scores, axis=1, kind="stable")
    rows = np.arange(len(ranked))[:, None]
    return Completions(top.strings[rows, ranked][..., order], scores[rows, ranked])


def _entering(state: TreeState, wire: int, evidence: tuple[NDArray, ...], beams: dict[int, _Beam]) -> _Beam:
    tree = state.tree
    if wire >= tree.num_leaves:
        return beams.pop(wire)
    weights, dim = evidence[wire], state.sites.dims[wire]
    rows = len(weights)
    if ((weights > 0).sum(axis=1) == 1).all():  # observed: nothing to choose
        level = weights.argmax(axis=1)
        vector = np.eye(dim)[level] * np.sqrt(weights.max(axis=1))[:, None]
        return _Beam(level[:, None, None], vector[:, None, :], np.zeros((rows, 1)))
    strings = np.broadcast_to(np.arange(dim)[None, :, None], (rows, dim, 1))
    vectors = np.eye(dim) * np.sqrt(weights)[:, :, None]
    return _Beam(strings, vectors, np.zeros((rows, dim)))


def _joined(state: TreeState, node: int, parts: list[_Beam]) -> _Beam:
    """All combinations of partial strings of a node's wires, and their amplitudes above it."""
    core = state.cores[node]
    rows = len(parts[0].strings)
    strings, logs = np.empty((rows, 1, 0), np.int64), np.zeros((rows, 1))
    tensor = np.broadcast_to(core[None], (rows, *core.shape)).reshape(rows, 1, *core.shape)
    for part in parts:
        # (rows, combinations, parent, leg, others...) -> (rows, combinations * width, parent, others...)
        tensor = np.einsum("ncpi...,nwi->ncwp...", tensor, part.vectors)
        count = tensor.shape[1] * tensor.shape[2]
        tensor = tensor.reshape(rows, count, *tensor.shape[3:])
        left, right = strings.shape[1], part.strings.shape[1]
        strings = np.concatenate(
            [np.repeat(strings, right, axis=1), np.tile(part.strings, (1, left, 1))], axis=2
        )
        logs = (logs[:, :, None] + part.logs[:, None, :]).reshape(rows, count)
    return _Beam(strings, tensor, logs)


def _best(beam: _Beam, down: NDArray, width: int) -> _Beam:
    """The likeliest given what all else sends down."""
    distribution = np.einsum("nwp,npq,nwq->nw", beam.vectors, down, beam.vectors.conj()).real
    score = 2 * beam.logs + np.log(np.maximum(distribution, _FLOOR))
    kept = np.argsort(-score, axis=1, kind="stable")[:, :width]
    rows = np.arange(len(kept))[:, None]
    vectors = beam.vectors[rows, kept]
    norms = np.maximum(np.linalg.norm(vectors, axis=2), _FLOOR)
    return _Beam(beam.strings[rows, kept], vectors / norms[..., None], beam.logs[rows, kept] + np.log(norms))
