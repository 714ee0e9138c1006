"""The distribution of one column's numbers: a constant density between knots, exponential tails outside."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError

_MOST_INTERVALS = 256
_WINDOW = 0.2  # of the intervals, at one row; a window narrows as kernels do, with rows to the power -1/5
_LEAST_TAIL = 1e-3  # length of a tail, as a share of the range


@dataclass(frozen=True)
class Marginal:
    """A density of numbers on the whole line.

    Between knots, which are quantiles, it is even; its values there are means over a window of neighbouring
    intervals, of as many rows each, so that it is fine where rows are dense and coarse where they are few.
    The range seen holds all but 2 / (rows + 1); the rest is in tails that fall exponentially, each of the
    mean length by which the outermost numbers exceed the next of them.

    Attributes:
        knots: Rising, in the column's units.
        masses: Probability of each interval between two knots.
        tails: Mean lengths of the tails below and above, in the column's units.

    >>> normal = Marginal.of(np.random.default_rng(0).normal(size=2000))
    >>> normal.log_density(np.array([0.0, 2.0, 9.0])).round(1).tolist()
    [-1.1, -3.3, -24.1]
    """

    knots: tuple[float, ...]
    masses: tuple[float, ...]
    tails: tuple[float, float]

    @classmethod
    def of(cls, numbers: NDArray, weights: NDArray | None = None) -> "Marginal":
        """Learn it from numbers (rows,), at least two of them different, and weights that count as copies."""
        numbers = np.asarray(numbers, dtype=np.float64)
        weights = np.ones(len(numbers)) if weights is None else weights
        values, place = np.unique(numbers, return_inverse=True)
        shares = np.bincount(place.ravel(), weights=weights)
        rows = max(float(shares.sum()), float(len(values)))
        intervals = min(len(values) - 1, _MOST_INTERVALS)
        knots = np.unique(
            np.quantile(values, np.linspace(0, 1, intervals + 1), weights=shares, method="inverted_cdf")
        )
        held = np.maximum(np.histogram(values, knots, weights=shares)[0], 0.5)
        masses = _smoothed(held, np.diff(knots), rows)
        outside = 1 / (rows + 1)
        masses *= (1 - 2 * outside) / masses.sum()
        least = _LEAST_TAIL * (knots[-1] - knots[0])
        low = max(_excess(-values[::-1], shares[::-1], rows), least)
        high = max(_excess(values, shares, rows), least)
        return cls(tuple(knots.tolist()), tuple(masses.tolist()), (float(low), float(high)))

    @cached_property
    def _cumulative(self) -> NDArray:
        """P(below) at each knot."""
        outside = (1 - sum(self.masses)) / 2
        return outside + np.concatenate([[0.0], np.cumsum(self.masses)])

    def log_density(self, numbers: NDArray) -> NDArray:
        """ln of the density at numbers (rows,), nats for the column's unit."""
        knots, (low, high) = np.array(self.knots), self.tails
        below, above = np.maximum(knots[0] - numbers, 0), np.maximum(numbers - knots[-1], 0)
        place = np.clip(np.searchsorted(knots, numbers, side="right") - 1, 0, len(self.masses) - 1)
        found = (np.log(self.masses) - np.log(np.diff(knots)))[place]
        outside = np.log((1 - sum(self.masses)) / 2)
        found = np.where(below > 0, outside - np.log(low) - below / low, found)
        return np.asarray(np.where(above > 0, outside - np.log(high) - above / high, found))

    def below(self, numbers: NDArray) -> NDArray:
        """P(a number lies below), of numbers (rows,)."""
        knots, (low, high), outside = self.knots, self.tails, (1 - sum(self.masses)) / 2
        inside = np.interp(numbers, knots, self._cumulative)
        under, over = np.maximum(knots[0] - numbers, 0), np.maximum(numbers - knots[-1], 0)
        return np.asarray(inside - outside * -np.expm1(-under / low) + outside * -np.expm1(-over / high))

    def quantile(self, shares: NDArray) -> NDArray:
        """The number below which a share of the distribution lies, within the range seen."""
        return np.interp(shares, self._cumulative, self.knots)


def marginal_from(stored: dict[str, Any]) -> Marginal:
    """A marginal from JSON types, as `dataclasses.asdict` makes them; checked."""
    parts = [np.array(stored[name], dtype=np.float64) for name in ("knots", "masses", "tails")]
    knots, masses, tails = parts
    is_sound = (
        len(knots) > 1
        and len(masses) == len(knots) - 1
        and len(tails) == 2
        and all(np.isfinite(part).all() for part in parts)
        and (np.diff(knots) > 0).all()
        and (masses > 0).all()
        and masses.sum() < 1
        and (tails > 0).all()
    )
    if not is_sound:
        raise InvalidInputError(
            "a marginal needs rising knots, positive masses of sum below 1, and two tails"
        )
    low, high = tails.tolist()
    return Marginal(tuple(knots.tolist()), tuple(masses.tolist()), (low, high))


def _smoothed(held: NDArray, widths: NDArray, rows: float) -> NDArray:
    """Masses of intervals whose densities are means over a window of them."""
    count = len(held)
    reach = 1 + max(1.0, _WINDOW * count * rows**-0.2)
    kernel = np.maximum(0.0, 1 - np.abs(np.subtract.outer(np.arange(count), np.arange(count))) / reach)
    return np.asarray((kernel @ held) / (kernel @ widths) * widths)


def _excess(values: NDArray, shares: NDArray, rows: float) -> float:
    """Mean length by which the highest sqrt(rows) numbers exceed the next one."""
    above = np.cumsum(shares[::-1])
    number = int(np.clip(np.searchsorted(above, np.sqrt(rows)) + 1, 1, len(values) - 1))
    return float(np.average(values[-number:] - values[-number - 1], weights=shares[-number:]))
