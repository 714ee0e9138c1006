"""The problem of one joined pair of cores: the amplitudes of the data are linear in the pair."""

from dataclasses import dataclass

import numpy as np

from qtnml.arrays import NDArray
from qtnml.contract.environments import Meeting
from qtnml.train.objectives import Objective
from qtnml.train.splits import norm

_RUN_NUMBERS = 4096  # as many numbers at once take as long as the calls for one run do
_FACTORS_PAY = 0.7
_FEW_ROWS = 16  # summed up by a product instead of one by one
_TINY = 1e-30


@dataclass(frozen=True, eq=False)
class Factors:
    """The two cores of a pair: (levels, bonds, edge, label) and (levels, bonds, edge)."""

    near: NDArray
    far: NDArray

    def joined(self) -> NDArray:
        """(near levels, near bonds, label, far levels, far bonds)."""
        levels, bonds, edge, label = self.near.shape
        near = self.near.swapaxes(2, 3).reshape(-1, edge)
        pair = near @ self.far.reshape(-1, self.far.shape[2]).T
        return pair.reshape(levels, bonds, label, *self.far.shape[:2])


class PairProblem:
    """An objective as a function of a pair alone: f_i = sum of inner_i M[near level, :, far level] outer_i.

    Args:
        inner: What enters the side of which there is less, (rows, bonds), by the runs of the meeting.
        outer: What enters the other side, (samples, bonds), in the order of the meeting.
        meeting: How samples meet; its `flipped` says that pairs are to be read from the far side.
        objective: Of the samples in that order.
    """

    def __init__(self, inner: NDArray, outer: NDArray, meeting: Meeting, objective: Objective) -> None:
        self._inner, self._outer, self._starts = inner, outer, meeting.starts
        self._flipped, self.objective = meeting.flipped, objective
        self._runs = [(b, a, *rows) if meeting.flipped else (a, b, *rows) for a, b, *rows in meeting.runs]
        # Samples of each row of `inner`.
        self._bounds, self._counts = np.arange(len(outer) + 1), None
        if meeting.starts is not None:
            self._bounds = np.append(meeting.starts, len(outer))
            self._counts = np.diff(self._bounds)
        self._joint: NDArray | None = None
        if len(outer) * inner.shape[1] * outer.shape[1] < _RUN_NUMBERS * len(self._runs):
            # Many levels and small bonds: one operation for all samples instead of several for each run.
            near, far, starts, _ = zip(*self._runs, strict=True)
            self._near, self._far, begins = np.array(near), np.array(far), np.array(starts)
            self._begins = self._bounds[begins]
            self._joint = self._spread(inner)[:, :, None] * outer[:, None, :]

    def _spread(self, rows: NDArray) -> NDArray:
        """Of each sample, from what several share."""
        return rows if self._counts is None else np.repeat(rows, self._counts, axis=0)

    def _summed(self, samples: NDArray) -> NDArray:
        """Over the samples that share a row."""
        return samples if self._starts is None else np.add.reduceat(samples, self._starts, axis=0)

    def _seen(self, pair: NDArray) -> NDArray:
        return pair.transpose(3, 4, 2, 0, 1) if self._flipped else pair

    def amplitudes(self, pair: NDArray) -> NDArray:
        """(samples, label) of a pair (near levels, near bonds, label, far levels, far bonds)."""
        pair = self._seen(pair)
        label, width = pair.shape[2], pair.shape[4]
        if self._joint is not None:
            chosen = pair[self._near, :, :, self._far]
            chosen = np.repeat(chosen, np.diff(self._begins, append=len(self._outer)), axis=0)
            return np.asarray(np.einsum("bij,bicj->bc", self._joint, chosen))
        reached = np.empty((len(self._inner), label, width), pair.dtype)
        for near, far, start, stop in self._runs:
            inner = self._inner[start:stop]
            if label == 1:
                reached[start:stop, 0] = inner @ pair[near, :, 0, far]
            else:
                product = inner @ pair[near, :, :, far].reshape(inner.shape[1], -1)
                reached[start:stop] = product.reshape(len(inner), label, width)
        return np.asarray(np.einsum("bcj,bj->bc", self._spread(reached), self._outer))

    def amplitudes_of(self, factors: Factors, pair: NDArray) -> NDArray:
        """`amplitudes` of the joined pair: by the two cores where that is less work."""
        near, far = factors.near, factors.far[..., None]
        if self._flipped:
            near, far = far, near
        bonds, edge, others = near.shape[1], near.shape[2], far.shape[1]
        label = max(near.shape[3], far.shape[3])
        rows, samples = len(self._inner), len(self._outer)
        apart = edge * label * (rows * bonds + samples * others)
        if self._joint is not None or apart > _FACTORS_PAY * rows * bonds * others * label:
            return self.amplitudes(pair)
        reached = np.empty((rows, edge, near.shape[3]), pair.dtype)
        beyond = np.empty((samples, edge, far.shape[3]), pair.dtype)
        for k, m, start, stop in self._runs:
            here = self._inner[start:stop] @ near[k].reshape(bonds, -1)
            reached[start:stop] = here.reshape(-1, *reached.shape[1:])
            part = slice(self._bounds[start], self._bounds[stop])
            beyond[part] = (self._outer[part] @ far[m].reshape(others, -1)).reshape(-1, *beyond.shape[1:])
        return np.asarray(np.einsum("bjc,bjd->bcd", self._spread(reached), beyond).reshape(samples, label))

    def gradient(self, pair: NDArray, f: NDArray) -> NDArray:
        """Of minus half the loss by the conjugate of the pair, its norm left alone."""
        share = self.objective.descent(f).astype(f.dtype, copy=False)
        gradient = np.zeros_like(pair)
        seen, label = self._seen(gradient), pair.shape[2]
        if self._joint is not None:
            each = self._joint[:, :, None] * share[:, None, :, None]
            seen[self._near, :, :, self._far] = np.add.reduceat(each, self._begins, axis=0)
        else:
            weighted = self._weighted(share)
            for near, far, start, stop in self._runs:
                product = self._inner[start:stop].T @ weighted[start:stop]
                seen[near, :, :, far] = product.reshape(-1, label, self._outer.shape[1])
        return gradient.conj() if np.iscomplexobj(gradient) else gradient

    def _weighted(self, share: NDArray) -> NDArray:
        """Sums of share times outer of the samples of each row, (rows, label * bonds)."""
        if len(self._inner) <= _FEW_ROWS and share.shape[1] == 1:
            belongs = np.zeros((len(self._inner), len(share)), share.dtype)
            for row in range(len(self._inner)):
                part = slice(self._bounds[row], self._bounds[row + 1])
                belongs[row, part] = share[part, 0]
            return np.asarray(belongs @ self._outer)
        weighted = share[:, :, None] * self._outer[:, None]
        return self._summed(weighted.reshape(len(share), -1))

    def improved(self, pair: NDArray, f: NDArray, steps: int, angles: NDArray) -> tuple[NDArray, NDArray]:
        """After conjugate-gradient steps (Polak and Ribiere) along great circles, lengths searched for.

        Returns:
            The pair of norm 1, and its amplitudes.
        """
        direction = previous = np.zeros_like(pair)
        for step in range(steps):
            gradient = self.gradient(pair, f)
            gradient = gradient - pair * np.vdot(pair, gradient).real
            if step:
                change = float(np.vdot(gradient, gradient - previous).real)
                change = max(change / max(float(np.vdot(previous, previous).real), _TINY), 0.0)
                direction = gradient + change * direction
                direction = direction - pair * np.vdot(pair, direction).real
            else:
                direction = gradient
            size = norm(direction)
            if size < 1e-7:
                break
            unit = direction / size
            slope = self.amplitudes(unit)
            angle = self.objective.best_angle(f, slope, angles)
            if angle == 0:
                break
            previous = gradient
            cos, sin = np.cos(angle, dtype=np.float32), np.sin(angle, dtype=np.float32)
            pair = cos * pair + sin * unit
            f = (cos * f + sin * slope) / norm(pair)
            pair = pair / norm(pair)
        return pair, f

    def moments(self, pair: NDArray, f: NDArray) -> tuple[NDArray, NDArray]:
        """Second moments of what reaches a pair from its two sides, (near levels * bonds, the same) and so
        on, each sample by how much it matters.
        """
        share, alike = self.objective.shares(f), self.objective.weights
        if self._flipped:
            share, alike = alike, share
        levels, bonds, _, others, width = self._seen(pair).shape
        dtype = np.result_type(pair.dtype, np.float64)
        few = np.zeros((levels, bonds, levels, bonds), dtype)
        many = np.zeros((others, width, others, width), dtype)
        shared = self._summed(share[:, None])[:, 0]
        for near, far, start, stop in self._runs:
            inner, part = self._inner[start:stop], slice(self._bounds[start], self._bounds[stop])
            few[near, :, near] += _moment(inner, shared[start:stop], conjugate_first=not self._flipped)
            many[far, :, far] += _moment(self._outer[part], alike[part], conjugate_first=self._flipped)
        found = few.reshape(levels * bonds, -1), many.reshape(others * width, -1)
        return found[::-1] if self._flipped else found


def _moment(vectors: NDArray, weights: NDArray, *, conjugate_first: bool) -> NDArray:
    """Weighted sum of outer products of rows: v* v^T for what a pair is multiplied by from the left (rows of
    amplitudes), v v^+ from the right.
    """
    if not np.iscomplexobj(vectors):
        return np.asarray((vectors.T * weights) @ vectors)
    if conjugate_first:
        return np.asarray((vectors.conj().T * weights) @ vectors)
    return np.asarray((vectors.T * weights) @ vectors.conj())
