"""Riemannian gradient for Born machines: all cores at once, each an isometry that stays one.

A canonical state has norm 1 whatever the data, so the NLL needs no normalisation. The Euclidean gradient of
every core comes from one pass up and one down the tree; it is projected onto the tangent space of matrices
with orthonormal rows (a Stiefel manifold; the root's single row: a sphere), kept in Adam's moments there, and
each step is pulled back by a polar decomposition (Newton-Schulz; by singular values after long steps).
"""

from typing import NamedTuple

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born import TreeState, mean_nll
from qtnml.born.edges import Batch, EdgeVectors, neighbours
from qtnml.train.born_sweeps import PairProblem, working_dtype

_BETAS = (0.9, 0.99)
_TINY = 1e-12
_POLAR_STEPS = 4
_POLAR_ERROR = 1e-6  # before the last step, which squares it


class CoreMoments(NamedTuple):
    """Adam's moments: of each core the tangent direction, the mean square of its length, and steps made."""

    first: tuple[NDArray, ...]
    second: NDArray
    step: int

    @classmethod
    def start(cls, state: TreeState) -> "CoreMoments":
        """Before the first step."""
        return cls(tuple(np.zeros_like(core) for core in state.cores), np.zeros(len(state.cores)), 0)


def nll_gradient(
    state: TreeState, batch: Batch, weights: NDArray, precision: str = "double"
) -> tuple[float, list[NDArray]]:
    """Mean NLL (nats) of strings, and its gradient by the conjugate of each core.

    Args:
        state: Canonical.
        batch: Strings.
        weights: (samples,), at least 0: each multiplies its string's part of the gradient; the NLL is the
            weighted mean.
        precision: "single" or "double", of the contraction.

    For real cores the gradient as usual; for complex ones twice the Wirtinger derivative, the direction of
    steepest ascent.
    """
    edges = EdgeVectors(state, batch, working_dtype(precision, is_complex=state.is_complex))
    edges.send_down()
    gradients = []
    for k in range(len(state.cores)):
        around = neighbours(state.tree, k)
        towards = around[0][1] if around else -1
        side = edges.side(k, towards)
        order, runs = batch.runs(k)
        inner = edges.ones if side.vectors is None else side.vectors
        outer = edges.reaching(k, towards) if around else edges.ones
        problem = PairProblem(inner[order], outer[order], runs, weights[order].astype(inner.real.dtype))
        pair = side.core[:, :, None, :].astype(inner.dtype)
        found = problem.gradient(pair, problem.amplitudes(pair))
        gradients.append(-2 * side.restored(found[:, :, 0].astype(side.core.dtype)))
    return mean_nll(2 * edges.log_amplitudes(), weights, state.tree.num_leaves), gradients


def gradient_step(
    state: TreeState, moments: CoreMoments, gradients: list[NDArray], learning_rate: float
) -> tuple[TreeState, CoreMoments]:
    """One step of Adam on the manifold; `learning_rate` is the length of a core's step, radians.

    A core's second moment is one number: directions within it are not rescaled against each other, so that
    the step does not depend on the basis of a bond.
    """
    step = moments.step + 1
    cores, first, second = [], [], moments.second.copy()
    for k, (core, gradient) in enumerate(zip(state.cores, gradients, strict=True)):
        rows = core.reshape(core.shape[0], -1)
        tangent = _projected(gradient.reshape(rows.shape), rows)
        direction = _BETAS[0] * _projected(moments.first[k].reshape(rows.shape), rows)
        direction += (1 - _BETAS[0]) * tangent
        second[k] = _BETAS[1] * second[k] + (1 - _BETAS[1]) * float(np.linalg.norm(tangent) ** 2)
        size = np.sqrt(second[k] / (1 - _BETAS[1] ** step)) + _TINY
        moved = rows - learning_rate * direction / (1 - _BETAS[0] ** step) / size
        cores.append(_polar(moved).reshape(core.shape))
        first.append(direction.reshape(core.shape))
    return TreeState(state.sites, tuple(cores)), CoreMoments(tuple(first), second, step)


def _projected(gradient: NDArray, rows: NDArray) -> NDArray:
    """Onto the tangent space at a matrix of orthonormal rows."""
    overlap = gradient @ rows.conj().T
    return np.asarray(gradient - (overlap + overlap.conj().T) / 2 @ rows)


def _polar(rows: NDArray) -> NDArray:
    """The nearest matrix of orthonormal rows."""
    moved = rows
    for _ in range(_POLAR_STEPS):
        gram = rows @ rows.conj().T
        rows = 1.5 * rows - 0.5 * gram @ rows
    if np.abs(gram - np.eye(len(gram))).max() > _POLAR_ERROR:
        left, _, right = np.linalg.svd(moved, full_matrices=False)
        return np.asarray(left @ right)
    return rows
