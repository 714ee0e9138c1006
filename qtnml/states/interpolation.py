"""Functions as states: tensor cross interpolation (arXiv:2009.10644 and 2407.02454).

A function of many indices is evaluated at few points. Every bond has a set of left parts and a set of right
parts of index strings (pivots), on which the function is known exactly. The sets grow by full-pivot
elimination of the function's values on two neighbouring sites.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.states.chains import Chain

Function = Callable[[NDArray], NDArray]
"""Indices (points, sites) -> amplitudes (points,)."""
_PROBES = 1024  # random points at which the result is checked


@dataclass(frozen=True)
class Interpolation:
    """What was found of a function.

    Attributes:
        chain: Not normalised: its amplitudes are the function's values.
        error: Largest deviation at random points that were not asked before, as a share of the largest value.
        evaluations: Points asked.
    """

    chain: Chain
    error: float
    evaluations: int


def interpolate(
    function: Function,
    dims: Sequence[int],
    *,
    max_bond: int,
    tolerance: float,
    sweeps: int,
    rng: np.random.Generator,
) -> Interpolation:
    """Tensor cross interpolation of a function.

    Args:
        function: Indices (points, sites) -> values (points,).
        dims: Levels of the sites.
        max_bond: Most pivots at a bond.
        tolerance: Share of the largest value below which a pivot counts as none.
        sweeps: At most, there and back; a sweep that changes nothing is the last.
        rng: Draws the first pivot and the points of the check.

    Raises:
        InvalidInputError: The function is zero wherever it was asked, or no finite number.
    """
    return _Interpolator(function, tuple(dims), max_bond, tolerance, rng).run(sweeps)


class _Interpolator:
    def __init__(
        self,
        function: Function,
        dims: tuple[int, ...],
        max_bond: int,
        tolerance: float,
        rng: np.random.Generator,
    ) -> None:
        self._function, self._dims, self._max_bond, self._tolerance = function, dims, max_bond, tolerance
        self._rng, self._asked, self._largest = rng, 0, 0.0
        #: Left parts (pivots, k) and right parts (pivots, sites - k) at bond k, of sites below k and from k
        #: on.
        self._left: list[NDArray] = []
        self._right: list[NDArray] = []

    def run(self, sweeps: int) -> Interpolation:
        sites = len(self._dims)
        self._start(self._first_pivot())
        found = self._tensors()
        for _ in range(sweeps):
            before = [len(part) for part in self._left]
            for k in [*range(sites - 1), *range(sites - 2, -1, -1)]:
                self._update(k)
            found = self._tensors()
            worst, error = self._check(found)
            if [len(part) for part in self._left] == before and error <= 10 * self._tolerance:
                break
            if error > 10 * self._tolerance:
                # A point where the chain is wrong joins the pivots of every bond.
                self._add(worst)
        found = self._tensors()
        _, error = self._check(found)
        return Interpolation(Chain(tuple(found), tuple(range(sites))), error, self._asked)

    def _ask(self, points: NDArray) -> NDArray:
        values = np.asarray(self._function(points))
        if values.dtype.kind not in "biufc":
            raise InvalidInputError(f"the function's values are no numbers, their type is {values.dtype}")
        values = values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)
        self._asked += len(points)
        if values.shape != (len(points),):
            raise InvalidInputError(
                f"the function must give one value for each of {len(points)} points, got {values.shape}"
            )
        if not np.isfinite(values).all():
            bad = points[~np.isfinite(values)][0]
            raise InvalidInputError(f"the function is no finite number at {bad.tolist()}")
        if len(values):
            self._largest = max(self._largest, float(np.abs(values).max()))
        return values

    def _random(self, count: int) -> NDArray:
        return np.stack([self._rng.integers(dim, size=count) for dim in self._dims], axis=1)

    def _first_pivot(self) -> NDArray:
        """The largest of many random values, and of its neighbours until none is larger."""
        points = np.concatenate([self._random(_PROBES), np.zeros((1, len(self._dims)), int)])
        values = np.abs(self._ask(points))
        best, value = points[values.argmax()], values.max()
        if value == 0:
            raise InvalidInputError(
                f"the function is zero at all of {len(points)} random points; no state has norm 0, and one "
                "that is zero nearly everywhere is better given as arrays or a vector"
            )
        for _ in range(4):
            for site, dim in enumerate(self._dims):
                near = np.repeat(best[None], dim, axis=0)
                near[:, site] = np.arange(dim)
                values = np.abs(self._ask(near))
                best, value = near[values.argmax()], values.max()
        return np.asarray(best)

    def _start(self, pivot: NDArray) -> None:
        sites = len(self._dims)
        self._left = [pivot[None, :k] for k in range(sites)]
        self._right = [pivot[None, k:] for k in range(sites + 1)]
        self._left[0] = np.empty((1, 0), int)
        self._right[sites] = np.empty((1, 0), int)

    def _add(self, point: NDArray) -> None:
        for k in range(1, len(self._dims)):
            left, right = point[None, :k], point[None, k:]
            if (self._left[k] == left).all(axis=1).any() or (self._right[k] == right).all(axis=1).any():
                continue
            if len(self._left[k]) < self._max_bond:
                self._left[k] = np.concatenate([self._left[k], left])
                self._right[k] = np.concatenate([self._right[k], right])

    def _values(self, lefts: NDArray, rights: NDArray) -> NDArray:
        """Function values (lefts, rights) of all combinations."""
        points = np.concatenate(
            [np.repeat(lefts, len(rights), axis=0), np.tile(rights, (len(lefts), 1))], axis=1
        )
        return self._ask(points).reshape(len(lefts), len(rights))

    def _update(self, k: int) -> None:
        """New pivots of the bond between sites k and k + 1."""
        lefts = _extended(self._left[k], self._dims[k], at_end=True)
        rights = _extended(self._right[k + 2], self._dims[k + 1], at_end=False)
        values = self._values(lefts, rights)
        rows, columns = _pivots(values, self._max_bond, self._tolerance * self._largest)
        self._left[k + 1], self._right[k + 1] = lefts[rows], rights[columns]

    def _tensors(self) -> list[NDArray]:
        found = []
        for k, dim in enumerate(self._dims):
            lefts = _extended(self._left[k], dim, at_end=True)
            values = self._values(lefts, self._right[k + 1])
            if k < len(self._dims) - 1:
                # T P^-1, with P the values at the pivots: exact at them.
                pivots = self._values(self._left[k + 1], self._right[k + 1])
                values = np.linalg.lstsq(pivots.T, values.T, rcond=1e-14)[0].T
            found.append(values.reshape(len(self._left[k]), dim, -1))
        return found

    def _check(self, tensors: list[NDArray]) -> tuple[NDArray, float]:
        """The worst of random points, and the deviation there as a share of the largest value."""
        points = self._random(_PROBES)
        vectors = np.ones((len(points), 1))
        for site, tensor in enumerate(tensors):
            vectors = np.einsum("bl,lbr->br", vectors, tensor[:, points[:, site]])
        deviations = np.abs(vectors[:, 0] - self._ask(points))
        return points[deviations.argmax()], float(deviations.max() / self._largest)


def _extended(parts: NDArray, dim: int, *, at_end: bool) -> NDArray:
    """Every part with every level of one more site."""
    levels = np.tile(np.arange(dim), len(parts))[:, None]
    repeated = np.repeat(parts, dim, axis=0)
    if at_end:
        return np.concatenate([repeated, levels], axis=1)
    levels = np.repeat(np.arange(dim), len(parts))[:, None]
    return np.concatenate([levels, np.tile(parts, (dim, 1))], axis=1)


def _pivots(values: NDArray, most: int, tolerance: float) -> tuple[list[int], list[int]]:
    """Rows and columns of full-pivot elimination until the rest is at most the tolerance."""
    rest = values.copy()
    rows, columns = list[int](), list[int]()
    for _ in range(min(most, *values.shape)):
        row, column = np.unravel_index(np.abs(rest).argmax(), rest.shape)
        if (rows and abs(rest[row, column]) <= tolerance) or rest[row, column] == 0:
            break
        rows.append(int(row))
        columns.append(int(column))
        rest -= np.outer(rest[:, column], rest[row] / rest[row, column])
    return (rows, columns) if rows else ([0], [0])
