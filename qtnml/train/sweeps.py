"""Sweeps: join neighbouring cores, improve them on the data, and split them by singular values.

The method is that of arXiv:1605.05775 for classifiers on chains, arXiv:1709.01662 for Born machines on chains
and arXiv:1901.02217 for Born machines on trees, in one implementation. The centre of orthonormality moves
with the joined pair, and the label moves with it. So the norm of the state is that of the pair, and the loss
and its gradient are exact. Amplitudes are linear in the pair: a step along a direction needs them twice, not
once for every length tried. The angle of a step is bounded: large greedy steps collapse the singular values
of a bond, and later sweeps cannot recover.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from qtnml.arrays import NDArray
from qtnml.contract.environments import Batch, Environments, Meeting, Side, runs_of
from qtnml.train.objectives import Objective
from qtnml.train.pairs import Factors, PairProblem
from qtnml.train.splits import Split, followed, norm, split, split_as_seen, widened

_TRIED = 16  # lengths of a step
_SHORTEST = 5e-4  # of the longest
_SMALL_MATRIX = 256
_LEAST_FOLLOWED = 48  # rows and columns of a pair: below, an eigendecomposition takes no longer
_POOL = ThreadpoolController()

Cores = tuple[NDArray, ...]


@dataclass(frozen=True)
class SweepOptions:
    """Options of one sweep.

    Attributes:
        max_bond: Largest bond dimension, or one for the bond above each node except the root.
        cutoff: Singular values below this fraction of the largest are dropped.
        steps: Number of conjugate-gradient steps on every pair or core.
        max_angle: Largest rotation of the pair in one step, in radians.
        sites: 2 joins pairs and lets bonds adapt. 1 improves single cores with their present bonds and loses
            nothing to truncation.
        metric: What a split keeps: the largest singular values of the pair ("cores"), or of the pair as the
            data see it ("data"), which changes the amplitudes of the data least.
        precision: Precision of environments and line search, "single" or "double"; splits are in double
            precision.
    """

    max_bond: int | tuple[int, ...] = 32
    cutoff: float = 1e-9
    steps: int = 1
    max_angle: float = 0.05
    sites: Literal[1, 2] = 2
    metric: Literal["cores", "data"] = "cores"
    precision: Literal["single", "double"] = "single"


class Swept(NamedTuple):
    """Result of one sweep.

    Attributes:
        cores: Cores, orthonormal towards the root. The root has norm 1 and carries the label.
        amplitudes: Amplitudes of the samples (samples, label). `logs` holds the logarithms of the factors
            that were taken out.
        dropped: Largest norm that was truncated from a pair of norm 1.
    """

    cores: Cores
    amplitudes: NDArray
    logs: NDArray
    dropped: float


def sweep(cores: Sequence[NDArray], batch: Batch, objective: Objective, options: SweepOptions) -> Swept:
    """Run one sweep over all edges, forth and back.

    Args:
        cores: Core of each node, orthonormal towards the root, which carries the label.
        batch: Samples. The same object for the same samples avoids sorting them again.
        objective: Objective to improve.
        options: Options of the sweep.
    """
    sweeper = _Sweeper(cores, batch, objective, options)
    with _threads(cores):
        if len(cores) == 1:
            sweeper.turn()
        for here, there in batch.tree.tour:
            sweeper.step(here, there)
    return Swept(tuple(sweeper.at.cores), *sweeper.at.amplitudes(), sweeper.dropped)


def growth_gains(
    cores: Sequence[NDArray], batch: Batch, objective: Objective, options: SweepOptions
) -> NDArray:
    """By how much the loss falls if the bond above each node but the root may grow by one, (nodes - 1,).

    A short trial for each edge: `options.steps` steps on its pair, cut to one more than it has.
    """
    gains = np.zeros(len(cores) - 1)
    sweeper = _Sweeper(cores, batch, objective, options)
    with _threads(cores):
        for here, there in batch.tree.tour:
            gain = sweeper.trial(here, there)
            edge = here if batch.tree.parents[here] == there else there
            gains[edge] = max(gains[edge], gain)
    return gains


def _threads(cores: Sequence[NDArray]) -> Any:
    """One thread for linear algebra on small matrices, where several wait for each other far longer."""
    largest = max(core.size // core.shape[0] for core in cores)
    return _POOL.limit(limits=1 if largest <= _SMALL_MATRIX else None)


class _Sweeper:
    def __init__(
        self, cores: Sequence[NDArray], batch: Batch, objective: Objective, options: SweepOptions
    ) -> None:
        self._batch, self._objective, self._options = batch, objective, options
        wide = options.precision == "double"
        if any(map(np.iscomplexobj, cores)):
            self._dtype = np.dtype(np.complex128 if wide else np.complex64)
        else:
            self._dtype = np.dtype(np.float64 if wide else np.float32)
        self.at = Environments(cores, batch, self._dtype)
        lengths = np.geomspace(_SHORTEST * options.max_angle, options.max_angle, _TRIED)
        self._angles = np.concatenate([[0.0], lengths])
        self.dropped = 0.0

    def turn(self) -> None:
        """Improve the only core."""
        side, levels = self.at.side(0, -1), self._batch.levels(0)
        order = np.argsort(levels, kind="stable")
        meeting = Meeting(order, None, runs_of(levels[order]), flipped=False)
        ones = np.ones((len(order), 1), self._dtype)
        entering = self.at.entering(0, -1, order)
        problem = PairProblem(entering, ones, meeting, self._objective.of(order))
        pair = _of_norm_one(side.core.swapaxes(2, 3)[:, :, :, None].astype(self._dtype))
        pair, _ = problem.improved(pair, problem.amplitudes(pair), self._options.steps, self._angles)
        self.at.cores[0] = side.restored(widened(pair)[:, :, :, 0].swapaxes(2, 3))

    def step(self, here: int, there: int) -> None:
        """Improve the pair (or the core) at the centre, and move the centre and the label over the edge."""
        at = self.at
        near, far = at.side(here, there), at.side(there, here)
        if self._options.sites == 2:
            problem, _, (pair, f) = self._improved_pair(here, there, near, far)
            parts = self._split(problem, pair, f, self._limit(here, there), far)
            beyond = parts.rest.reshape(-1, pair.shape[2], *pair.shape[3:]).transpose(2, 3, 0, 1)
        else:
            pair = _of_norm_one(near.core.swapaxes(2, 3)[:, :, :, None].astype(self._dtype))
            problem = self._problem(here, there, two=False)
            pair, _ = problem.improved(pair, problem.amplitudes(pair), self._options.steps, self._angles)
            matrix = widened(pair).reshape(pair.shape[0] * pair.shape[1], -1)
            if pair.shape[2] == 1:
                kept, rest = np.linalg.qr(matrix)
                parts = Split(kept, rest / norm(rest), 0.0)
            else:
                parts = split(matrix, near.core.shape[2], self._options.cutoff)
            # (bond, label, edge) into the far core (levels, bonds, edge).
            rest = parts.rest.reshape(len(parts.rest) * pair.shape[2], -1)
            beyond = far.core[..., 0] @ rest.T
            beyond = beyond.reshape(*far.core.shape[:2], len(parts.rest), pair.shape[2])
        self.dropped = max(self.dropped, parts.dropped)
        at.cores[here] = near.restored(parts.kept.reshape(*near.core.shape[:2], -1, 1))
        at.cores[there] = far.restored(beyond)
        at.cross(here, there)

    def trial(self, here: int, there: int) -> float:
        """Fall of the loss if the bond of an edge may grow by one; only the centre moves."""
        at = self.at
        near, far = at.side(here, there), at.side(there, here)
        problem, before, (improved, _) = self._improved_pair(here, there, near, far)
        matrix = widened(improved).reshape(improved.shape[0] * improved.shape[1], -1)
        parts = split(matrix, near.core.shape[2] + 1, self._options.cutoff)
        cut = (parts.kept @ parts.rest).reshape(improved.shape).astype(self._dtype)
        after = problem.objective.loss(problem.amplitudes(cut))
        kept, rest = np.linalg.qr(near.core[..., 0].reshape(-1, near.core.shape[2]))
        at.cores[here] = near.restored(kept.reshape(*near.core.shape[:2], -1, 1))
        at.cores[there] = far.restored((far.core[..., 0] @ rest.T)[..., None])
        at.cross(here, there)
        return problem.objective.loss(before) - after

    def _improved_pair(
        self, here: int, there: int, near: Side, far: Side
    ) -> tuple[PairProblem, NDArray, tuple[NDArray, NDArray]]:
        """The problem, its amplitudes before any step, and its pair and amplitudes after them."""
        problem = self._problem(here, there, two=True)
        size = norm(near.core)
        factors = Factors((near.core / size).astype(self._dtype), far.core[..., 0].astype(self._dtype))
        pair = factors.joined()
        f = problem.amplitudes_of(factors, pair)
        return problem, f, problem.improved(pair, f, self._options.steps, self._angles)

    def _problem(self, here: int, there: int, *, two: bool) -> PairProblem:
        """Of a pair, or of the core `here` and what reaches it from `there`."""
        at, meeting = self.at, self._batch.meeting(here, there, two=two)
        order = meeting.order
        rows = order if meeting.starts is None else order[meeting.starts]
        few, many = (order, rows) if meeting.flipped else (rows, order)
        near = at.entering(here, there, few)
        far = at.entering(there, here, many) if two else at.reaching(here, there, many)
        inner, outer = (far, near) if meeting.flipped else (near, far)
        return PairProblem(inner, outer, meeting, self._objective.of(order))

    def _split(self, problem: PairProblem, pair: NDArray, f: NDArray, limit: int, far: Side) -> Split:
        matrix = pair.reshape(pair.shape[0] * pair.shape[1], -1)
        cutoff = self._options.cutoff
        if self._options.metric == "data":
            inner, outer = problem.moments(pair, f)
            return split_as_seen(widened(matrix), inner, outer, limit, cutoff)
        bond, smaller = far.core.shape[2], min(matrix.shape)
        if pair.shape[2] == 1 and bond <= limit and smaller >= max(_LEAST_FOLLOWED, 1.5 * bond):
            parts = followed(matrix, far.core.reshape(-1, bond).conj(), limit, cutoff)
            if parts is not None:
                return parts
        return split(widened(matrix), limit, cutoff)

    def _limit(self, here: int, there: int) -> int:
        limit = self._options.max_bond
        if isinstance(limit, int):
            return limit
        return limit[here if self.at.tree.parents[here] == there else there]


def _of_norm_one(pair: NDArray) -> NDArray:
    return pair / norm(pair)
