"""Sweeps for Born machines: neighbouring cores joined, improved on the data, and split by singular values.

As in arXiv:1709.01662 for chains and arXiv:1901.02217 for trees. The centre of orthonormality travels with
the joined pair, so that the norm of the state is that of the pair, and the negative log-likelihood (NLL)
and its gradient are exact: psi is linear in the pair, and a step along a direction needs it twice, not once
for every length tried. The angle of a step is bounded: large greedy steps collapse the singular values of a
bond, and later sweeps cannot recover.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from qtnml.arrays import NDArray
from qtnml.born import TreeState, mean_nll
from qtnml.born.edges import Batch, EdgeVectors, Run, Side

_TRIED = 16  # lengths of a step
_SMALLEST = 1e-6  # amplitude between unit vectors below which 1 / psi in a gradient falls to 0 again
_RUN_NUMBERS = 4096  # as many numbers at once take as long as the calls for one run do
_SMALL_MATRIX = 256
_POOL = ThreadpoolController()
_TINY = 1e-30


@dataclass(frozen=True)
class BornSweepOptions:
    """How to sweep.

    Attributes:
        max_bond: Largest bond dimension, or one for the bond above each node but the root.
        cutoff: Singular values below this share of the largest are dropped.
        steps: Conjugate-gradient steps on every pair or core.
        max_angle: The most a step turns the pair, radians.
        sites: 2 joins pairs and lets bonds adapt; 1 improves single cores with the bonds they have, which
            loses nothing to truncation.
        precision: "single" or "double", of environments and line search; splits are in double precision.
    """

    max_bond: int | tuple[int, ...] = 32
    cutoff: float = 1e-7
    steps: int = 1
    max_angle: float = 0.05
    sites: Literal[1, 2] = 2
    precision: Literal["single", "double"] = "single"


class BornSweep(NamedTuple):
    """Result of one sweep.

    Attributes:
        nll: Mean NLL of its samples after it, nats.
        dropped: Largest singular value dropped, as a share of the largest one of its edge.
    """

    nll: float
    dropped: float


def sweep_state(
    state: TreeState, batch: Batch, weights: NDArray, options: BornSweepOptions
) -> tuple[TreeState, BornSweep]:
    """One sweep over all edges, forth and back, and how it went.

    Args:
        state: To improve.
        batch: Strings; the same object for the same strings saves sorting them again.
        weights: (samples,), of sum 1.
        options: How to sweep.
    """
    if len(state.tree.nodes) < 2:
        return _single_node(state, batch.X, weights)
    sweeper = _Sweeper(state, batch, weights, options)
    with _threads(state):
        for here, there in state.tree.tour:
            sweeper.step(here, there)
    edges = sweeper.edges
    nll = mean_nll(2 * edges.log_amplitudes(), weights, state.tree.num_leaves)
    return TreeState(state.sites, tuple(edges.cores)), BornSweep(nll, sweeper.dropped)


def growth_gains(state: TreeState, batch: Batch, weights: NDArray, options: BornSweepOptions) -> NDArray:
    """By how much the NLL falls (nats) if the bond above each node but the root may grow by one, (nodes -
    1,).

    A short trial for each edge: `options.steps` steps on its pair, cut to one more than it has.
    """
    gains = np.zeros(len(state.tree.nodes) - 1)
    sweeper = _Sweeper(state, batch, weights, options)
    with _threads(state):
        for here, there in state.tree.tour:
            gain = sweeper.trial(here, there)
            edge = here if state.tree.parents[here] == there else there
            gains[edge] = max(gains[edge], gain)
    return gains


def _threads(state: TreeState) -> Any:
    """One thread for linear algebra on small matrices, where several wait for each other far longer."""
    largest = max(core.size // core.shape[0] for core in state.cores)
    return _POOL.limit(limits=1 if largest <= _SMALL_MATRIX else None)


def working_dtype(precision: str, *, is_complex: bool) -> np.dtype[Any]:
    """Of the vectors that reach an edge."""
    if precision == "single":
        return np.dtype(np.complex64 if is_complex else np.float32)
    return np.dtype(np.complex128 if is_complex else np.float64)


def _single_node(state: TreeState, X: NDArray, weights: NDArray) -> tuple[TreeState, BornSweep]:
    """Of one node the best state is known: the frequencies."""
    tree, core = state.tree, state.cores[0]
    wires = tree.nodes[0]
    flat = np.ravel_multi_index(tuple(X[:, w] for w in wires), tuple(state.sites.dims[w] for w in wires))
    frequencies = np.bincount(flat, weights, core.size)
    used = frequencies[frequencies > 0]
    found = np.sqrt(frequencies).reshape(core.shape).astype(core.dtype)
    return TreeState(state.sites, (found,)), BornSweep(-float((used * np.log(used)).sum()), 0.0)


class _Sweeper:
    def __init__(self, state: TreeState, batch: Batch, weights: NDArray, options: BornSweepOptions) -> None:
        self._batch, self._options, self._dtype = (
            batch,
            options,
            working_dtype(options.precision, is_complex=state.is_complex),
        )
        self._weights = weights.astype(np.float32 if options.precision == "single" else np.float64)
        self.edges = EdgeVectors(state, batch, self._dtype)
        self._angles = np.concatenate(
            [[0.0], np.geomspace(options.max_angle / 1000, options.max_angle, _TRIED)]
        )
        self.dropped = 0.0

    def step(self, here: int, there: int) -> None:
        """Improve the pair (or the core) at the centre, and move the centre over the edge."""
        edges, two = self.edges, self._options.sites == 2
        near, far = edges.side(here, there), edges.side(there, here)
        if two:
            problem, pair = self._pair_problem(here, there, near, far)
        else:
            problem, pair = self._core_problem(here, there, near)
        pair = problem.improved(pair, self._options.steps, self._angles)
        matrix = pair.reshape(pair.shape[0] * pair.shape[1], -1)
        matrix = matrix.astype(np.complex128 if np.iscomplexobj(matrix) else np.float64)
        if two:
            kept, moved = self._split(matrix, self._limit(here, there))
            far_core = moved.T.reshape(*far.core.shape[:2], -1)
        else:
            kept, rest = np.linalg.qr(matrix)
            far_core = far.core @ (rest / _norm(rest)).T
        edges.cores[here] = near.restored(kept.reshape(*near.core.shape[:2], -1))
        edges.cores[there] = far.restored(far_core)
        edges.send(here, there)

    def _pair_problem(self, here: int, there: int, near: Side, far: Side) -> tuple["PairProblem", NDArray]:
        order, runs = self._batch.runs(here, there)
        ones = self.edges.ones
        inner, outer = (ones if side.vectors is None else side.vectors for side in (near, far))
        joined = near.core.reshape(-1, near.core.shape[2]) @ far.core.reshape(-1, far.core.shape[2]).T
        pair = joined.reshape(*near.core.shape[:2], *far.core.shape[:2]).astype(self._dtype)
        return PairProblem(inner[order], outer[order], runs, self._weights[order]), pair

    def _core_problem(self, here: int, there: int, near: Side) -> tuple["PairProblem", NDArray]:
        order, runs = self._batch.runs(here)
        inner = self.edges.ones if near.vectors is None else near.vectors
        outer = self.edges.reaching(here, there)
        problem = PairProblem(inner[order], outer[order], runs, self._weights[order])
        return problem, near.core[:, :, None, :].astype(self._dtype)

    def trial(self, here: int, there: int) -> float:
        """Fall of the NLL if the bond of an edge may grow by one; only the centre moves."""
        edges = self.edges
        near, far = edges.side(here, there), edges.side(there, here)
        problem, pair = self._pair_problem(here, there, near, far)
        pair = pair / _norm(pair)
        before = problem.nll(pair)
        improved = problem.improved(pair, self._options.steps, self._angles)
        matrix = improved.reshape(improved.shape[0] * improved.shape[1], -1)
        kept, moved = self._split(matrix, near.core.shape[2] + 1)
        after = problem.nll((kept @ moved).reshape(pair.shape))
        kept, rest = np.linalg.qr(near.core.reshape(-1, near.core.shape[2]))
        edges.cores[here] = near.restored(kept.reshape(*near.core.shape[:2], -1))
        edges.cores[there] = far.restored(far.core @ rest.T)
        edges.send(here, there)
        return before - after

    def _limit(self, here: int, there: int) -> int:
        limit = self._options.max_bond
        if isinstance(limit, int):
            return limit
        return limit[here if self.edges.tree.parents[here] == there else there]

    def _split(self, matrix: NDArray, limit: int) -> tuple[NDArray, NDArray]:
        """Orthonormal columns and the rest, cut to `limit` and by `cutoff`; the rest has norm 1.

        By the smaller Gram matrix: twice as fast as an SVD, and as exact down to 1e-8 of the largest value.
        """
        is_wide = matrix.shape[0] <= matrix.shape[1]
        gram = matrix @ matrix.conj().T if is_wide else matrix.conj().T @ matrix
        squares, vectors = np.linalg.eigh(gram)
        squares, vectors = np.maximum(squares[::-1], 0), vectors[:, ::-1]
        shares = np.sqrt(squares / max(float(squares[0]), _TINY))
        number = max(1, min(int((shares > self._options.cutoff).sum()), limit))
        if number < len(shares):
            self.dropped = max(self.dropped, float(shares[number]))
        vectors = vectors[:, :number]
        if is_wide:
            kept, rest = vectors, vectors.conj().T @ matrix
        else:
            kept, triangle = np.linalg.qr(matrix @ vectors)
            rest = triangle @ vectors.conj().T
        return kept, rest / _norm(rest)


class PairProblem:
    """NLL as a function of a pair of cores alone: psi_i = sum of inner_i M[near level, far level] outer_i.

    Args:
        inner, outer: (samples, bonds) that reach the pair from its two sides, in the order of `runs`.
        runs: Samples with the same levels.
        weights: (samples,), of sum 1.
    """

    def __init__(self, inner: NDArray, outer: NDArray, runs: list[Run], weights: NDArray) -> None:
        self._inner, self._outer, self._runs, self._weights = inner, outer, runs, weights
        self._joint: NDArray | None = None
        if len(inner) * inner.shape[1] * outer.shape[1] < _RUN_NUMBERS * len(runs):
            # Many levels and small bonds: one operation for all samples instead of several for each run.
            self._near, self._far, self._starts = _runs_as_arrays(runs)
            self._joint = inner[:, :, None] * outer[:, None, :]

    def amplitudes(self, pair: NDArray) -> NDArray:
        """(samples,) of a pair (near levels, near bonds, far levels, far bonds)."""
        if self._joint is not None:
            chosen = np.repeat(
                pair[self._near, :, self._far], np.diff(self._starts, append=len(self._inner)), axis=0
            )
            return np.asarray(np.einsum("bij,bij->b", self._joint, chosen))
        found = np.empty(len(self._inner), pair.dtype)
        for near, far, start, stop in self._runs:
            reached = self._inner[start:stop] @ pair[near, :, far]
            found[start:stop] = np.einsum("bi,bi->b", reached, self._outer[start:stop])
        return found

    def nll(self, pair: NDArray) -> float:
        """Of a pair of norm 1, up to a constant."""
        return -float(np.log(np.abs(self.amplitudes(pair)) ** 2 + _TINY) @ self._weights)

    def gradient(self, pair: NDArray, psi: NDArray) -> NDArray:
        """Of the mean of ln |psi|**2 / 2 by the conjugate of the pair, its norm left alone."""
        size = np.maximum(np.abs(psi), _SMALLEST)
        share = self._weights * psi.conj() / size**2
        gradient = np.zeros_like(pair)
        if self._joint is not None:
            summed = np.add.reduceat(self._joint * share[:, None, None], self._starts, axis=0)
            gradient[self._near, :, self._far] = summed
            return gradient.conj() if np.iscomplexobj(gradient) else gradient
        for near, far, start, stop in self._runs:
            weighted = self._outer[start:stop] * share[start:stop, None]
            gradient[near, :, far] = self._inner[start:stop].T @ weighted
        return gradient.conj() if np.iscomplexobj(gradient) else gradient

    def improved(self, pair: NDArray, steps: int, angles: NDArray) -> NDArray:
        """After conjugate-gradient steps (Polak and Ribiere) along great circles, lengths searched for."""
        pair = pair / _norm(pair)
        psi = self.amplitudes(pair)
        direction = previous = np.zeros_like(pair)
        for step in range(steps):
            gradient = self.gradient(pair, psi)
            gradient = gradient - pair * np.vdot(pair, gradient).real
            if step:
                change = np.vdot(gradient, gradient - previous).real / max(
                    np.vdot(previous, previous).real, _TINY
                )
                direction = gradient + max(float(change), 0.0) * direction
                direction = direction - pair * np.vdot(pair, direction).real
            else:
                direction = gradient
            size = float(_norm(direction))
            if size < 1e-7:
                break
            unit = direction / size
            slope = self.amplitudes(unit)
            angle = self._best_angle(psi, slope, angles)
            if angle == 0:
                break
            previous = gradient
            cos, sin = np.cos(angle, dtype=np.float32), np.sin(angle, dtype=np.float32)
            pair = cos * pair + sin * unit
            pair = pair / _norm(pair)
            psi = cos * psi + sin * slope
        return pair

    def _best_angle(self, psi: NDArray, slope: NDArray, angles: NDArray) -> float:
        """Angle of least mean NLL on a great circle, 0 if none improves."""
        cos, sin = (f(angles).astype(self._weights.dtype)[:, None] for f in (np.cos, np.sin))
        scores = np.log(np.abs(cos * psi + sin * slope) ** 2 + _TINY) @ self._weights
        return float(angles[int(np.argmax(scores))])


def _runs_as_arrays(runs: list[Run]) -> tuple[NDArray, NDArray, NDArray]:
    """Near levels, far levels and starts of runs."""
    near, far, starts, _ = zip(*runs, strict=True)
    return np.array(near), np.array(far), np.array(starts)


def _norm(array: NDArray) -> float:
    return float(np.sqrt(np.vdot(array, array).real))
