"""One column of a table as the levels of one site: distinct values, or bins of a continuous number."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.frames import are_whole, as_dates, as_numbers, as_whole, plain_value
from qtnml.data.functions import FUNCTIONS, Functions, isometry
from qtnml.data.marginal import Marginal, marginal_from
from qtnml.errors import InvalidInputError, MergedBinsWarning, warn_user

MISSING = -1
MOST_LEVELS = 256
_WIDEST = float(np.finfo(np.float64).max) / 2
_LEAST_MASS = 1e-300
_STANDS_OUT = 4.0  # times as frequent as the values around it: a point mass, no rounding


@dataclass(frozen=True)
class Column:
    """How one column became levels.

    Attributes:
        name: Its name in a DataFrame, x0, x1, ... otherwise.
        kind: "values": each level is one of `values`; "bins": numbers so frequent that they are levels of
            their own (`values`), and for all others the intervals from edges[k] to edges[k + 1], the first
            and the last open outwards.
        values: Categories or numbers, in order; the first levels.
        edges: Of the bins, which are the levels after those of `values`.
        is_whole: Whether all its cells were whole numbers, so that values drawn from it are; edges are then
            integers as well.
        marginal: How the numbers of bins are distributed; None takes them as even in each bin.
        functions: Of the bins, see `site_map`; None where each bin stands for itself.
        num_functions: How many.
        is_date: Whether numbers are days since 1970.
        as_floats: Whether whole numbers came as floats, as pandas keeps those beside gaps, and go back so.
    """

    name: str
    kind: Literal["values", "bins"]
    values: tuple[Any, ...] = ()
    edges: tuple[float, ...] = ()
    is_whole: bool = False
    marginal: Marginal | None = None
    functions: Functions | None = None
    num_functions: int = 0
    is_date: bool = False
    as_floats: bool = False

    @property
    def num_levels(self) -> int:
        """Number of levels."""
        return len(self.values) + max(len(self.edges) - 1, 0)

    @property
    def is_numeric(self) -> bool:
        """Whether every level stands for numbers."""
        return all(isinstance(v, float | int) and not isinstance(v, bool) for v in self.values)

    @property
    def level_numbers(self) -> NDArray | None:
        """A number that each level stands for, (levels,); None where they are categories."""
        if not self.is_numeric:
            return None
        return self.numbers(np.arange(self.num_levels), 0.5)

    @cached_property
    def _bin_masses(self) -> NDArray:
        """Probability of each bin under the marginal, the outermost with its tail."""
        assert self.marginal is not None
        inner = self.marginal.below(np.array(self.edges[1:-1]))
        return np.maximum(np.diff(np.concatenate([[0.0], inner, [1.0]])), _LEAST_MASS)

    @cached_property
    def site_map(self) -> NDArray | None:
        """Orthonormal columns (levels, functions) that amplitudes are sums of; None where levels are alone.

        Values with levels of their own are functions of their own.
        """
        if self.functions is None or len(self.edges) - 1 <= self.num_functions or self.marginal is None:
            return None
        own, of_bins = (
            np.eye(len(self.values)),
            isometry(self.functions, self._bin_masses, self.num_functions),
        )
        found = np.zeros((self.num_levels, len(own) + self.num_functions))
        found[: len(own), : len(own)], found[len(own) :, len(own) :] = own, of_bins
        return found

    def log_density(self, cells: NDArray, missing: NDArray, levels: NDArray) -> NDArray:
        """ln of the density of numbers given their bins, (rows,): added to ln P(bin) it gives a density.

        0 for values with levels of their own, whose probability is no density, and for missing cells.
        """
        found = np.zeros(len(cells))
        own = np.flatnonzero(~missing & (levels >= len(self.values)))
        if self.kind == "values" or not len(own):
            return found
        place = levels[own] - len(self.values)
        if self.marginal is None:
            found[own] = -np.log(np.diff(self.edges))[place]
        else:
            density = self.marginal.log_density(self._as_numbers(cells[own]))
            found[own] = density - np.log(self._bin_masses)[place]
        return found

    def numbers(self, levels: NDArray, shares: NDArray | float) -> NDArray:
        """A number for each level of a column of numbers; in bins at given shares (below 1) of their mass.

        The number belongs to its level: `levels` of it gives the level back. It is in the range seen.
        """
        values = np.array(self.values, dtype=np.float64)
        if self.kind == "values":
            return values[levels]
        place, edges = np.maximum(levels - len(values), 0), np.array(self.edges)
        low, high = edges[place], edges[place + 1]
        is_last = place == len(edges) - 2
        if self.is_whole:
            found = self._whole_within(low, high, is_last, shares, values)
        else:
            found = self._within(low, high, is_last, self._at(low, high, shares), values)
        if len(values):
            is_value = levels < len(values)
            found = np.where(is_value, values[np.where(is_value, levels, 0)], found)
        return found

    def _at(self, low: NDArray, high: NDArray, shares: NDArray | float) -> NDArray:
        """Numbers at shares of the mass between two edges."""
        if self.marginal is None:
            return np.asarray(low + shares * (high - low))
        below = self.marginal.below(low)
        found = self.marginal.quantile(below + shares * (self.marginal.below(high) - below))
        return np.clip(found, low, high)

    @staticmethod
    def _within(low: NDArray, high: NDArray, is_last: NDArray, found: NDArray, values: NDArray) -> NDArray:
        found = np.minimum(found, np.where(is_last, high, np.nextafter(high, low)))  # narrow bins round up
        # A value with a level of its own is none of a bin.
        beside = np.where(np.isin(low, values), np.nextafter(found, high), low)
        return np.asarray(np.where(np.isin(found, values), beside, found))

    @staticmethod
    def _whole_within(
        low: NDArray, high: NDArray, is_last: NDArray, shares: NDArray | float, values: NDArray
    ) -> NDArray:
        high = high + is_last
        taken = np.searchsorted(values, high) - np.searchsorted(values, low)
        found = low + np.floor(shares * np.maximum(high - low - taken, 1))
        for value in values:  # skip those that have a level of their own
            found = found + ((low <= value) & (value <= found))
        return np.asarray(found)

    def label(self, level: int) -> str:
        """For people: `0.5`, `red`, `[1.2, 3.4)`, `< 1.2`."""
        if level < len(self.values):
            value = self.values[level]
            is_number = isinstance(value, float | int) and not isinstance(value, bool)
            return self.shown(value, 12) if is_number else str(value)
        place, bins = level - len(self.values), len(self.edges) - 1
        low, high = (self.shown(edge, 4) for edge in self.edges[place : place + 2])
        if bins == 1:
            return f"about {low} to {high}"
        if place == 0:
            return f"< {high}"
        return f">= {low}" if place == bins - 1 else f"[{low}, {high})"

    def shown(self, number: float, digits: int = 6) -> str:
        """For people: a number of the column, a date where it is one."""
        if not self.is_date:
            return f"{number:.{digits}g}"
        date = as_dates(np.array([number]))[0]
        return str(date.astype("datetime64[D]" if number == np.floor(number) else "datetime64[m]"))

    def out_of_range(self, cells: NDArray, missing: NDArray) -> NDArray:
        """Which numbers lie further outside the range seen in `fit` than the outermost bins are wide."""
        found = np.zeros(len(cells), dtype=bool)
        if self.kind == "bins":
            numbers, widths = self._as_numbers(cells[~missing]), np.diff(self.edges)
            low = min((self.edges[0], *self.values)) - widths[0]
            high = max((self.edges[-1], *self.values)) + widths[-1]
            found[~missing] = (numbers < low) | (numbers > high)
        return found

    def levels(self, cells: NDArray, missing: NDArray) -> tuple[NDArray, NDArray]:
        """Levels of cells, MISSING where missing, and which were never seen."""
        found = np.full(len(cells), MISSING, dtype=np.int64)
        present = ~missing
        if self.kind == "bins":
            numbers = self._as_numbers(cells[present])
            binned = np.searchsorted(self.edges[1:-1], numbers, side="right") + len(self.values)
            own = _places(self.values, numbers)
            found[present] = np.where(own == MISSING, binned, own)
            return found, np.zeros(len(cells), dtype=bool)
        if cells.dtype.kind in "biuf":
            numeric = [value for value in self.values if not isinstance(value, str)]  # they come first
            found[present] = _places(numeric, cells[present].astype(np.float64))
        else:
            place = {value: level for level, value in enumerate(self.values)}
            found[present] = [place.get(plain_value(cell), MISSING) for cell in cells[present]]
        return found, present & (found == MISSING)

    def _as_numbers(self, cells: NDArray) -> NDArray:
        try:
            return as_numbers(cells, self.name)
        except InvalidInputError as error:
            raise InvalidInputError(f"column {self.name!r} was numbers in fit: {error}") from error


@dataclass(frozen=True)
class Binning:
    """How columns of numbers become levels; see `TableEncoder`."""

    bins: int
    method: Literal["quantile", "uniform"]
    max_values: int
    functions: Functions | None = None
    num_functions: int = 0
    cells: int = 0

    def column(
        self, name: str, cells: NDArray, weights: NDArray, shaping: NDArray, *, is_categorical: bool
    ) -> Column:
        """Learn a column from its cells, none of them missing.

        Args:
            name: Of the column.
            cells: (rows,).
            weights: (rows,), positive.
            shaping: Which rows shape the bins, (rows,); all rows tell which values there are.
            is_categorical: Keep the distinct values, whatever their number.
        """
        if not len(cells):
            raise InvalidInputError(f"column {name!r} has no values at all; leave it out")
        distinct, is_whole = _distinct_values(cells), are_whole(cells)
        is_number = all(isinstance(v, float) for v in distinct)
        if is_categorical or not is_number or len(distinct) <= self.max_values:
            if len(distinct) > MOST_LEVELS:
                raise InvalidInputError(
                    f"column {name!r} has {len(distinct)} different values, more than {MOST_LEVELS}; group "
                    "them, or leave the column out (--ignore on the command line)"
                )
            return Column(name, "values", tuple(distinct), is_whole=is_whole)
        numbers = as_numbers(cells, name)
        as_floats = not is_whole and are_whole(as_whole(numbers))
        is_whole |= as_floats
        chosen = shaping if len(np.unique(numbers[shaping])) > 2 else np.ones(len(numbers), dtype=bool)
        points, edges = self._points_and_edges(numbers[chosen], weights[chosen], name, is_whole=is_whole)
        spread = numbers[chosen], weights[chosen]
        rest = ~np.isin(spread[0], points)
        marginal = Marginal.of(spread[0][rest], spread[1][rest])
        column = Column(
            name,
            "bins",
            points,
            edges,
            is_whole,
            marginal,
            self.functions,
            self.num_functions,
            as_floats=as_floats,
        )
        if column.num_levels < self.bins and self.functions is None:
            warn_user(
                f"column {name!r}: its {len(distinct)} values make {column.num_levels} levels, not "
                f"{self.bins}; set bins={column.num_levels}, or max_values={len(distinct)} to keep them",
                MergedBinsWarning,
            )
        return column

    def _points_and_edges(
        self, numbers: NDArray, weights: NDArray, name: str, *, is_whole: bool
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Values that fill a bin on their own, and edges of the bins of all others."""
        values, place = np.unique(numbers, return_inverse=True)
        shares = np.bincount(place.ravel(), weights=weights)
        points: list[float] = []
        while True:
            bins = max(1, min(self.bins - len(points), len(values) - 1))
            # A value of this share would swallow a bin between two quantiles.
            is_frequent = shares >= (1 - 1e-9) * shares.sum() / bins
            if not is_whole and len(values) > 2 * self.bins:
                # Rounded numbers repeat, but so do their neighbours: these are no point masses.
                is_frequent &= shares >= _STANDS_OUT * _around(shares)
            if bins == 1 or not is_frequent.any():
                break
            number = min(int(is_frequent.sum()), len(values) - 2)  # two at least make a bin
            own = np.sort(np.argsort(-shares, kind="stable")[:number])
            points += values[own].tolist()
            values, shares = np.delete(values, own), np.delete(shares, own)
        if self.functions is not None:
            bins = max(1, min(self.cells, len(values) - 1))
        if self.method == "quantile":
            edges = np.quantile(values, np.linspace(0, 1, bins + 1), weights=shares, method="inverted_cdf")
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                edges = np.linspace(values[0], values[-1], bins + 1)
        if not (np.isfinite(edges).all() and edges[-1] / 2 - edges[0] / 2 < _WIDEST):
            raise InvalidInputError(
                f"the range of column {name!r} is too wide for double precision; scale it"
            )
        if points and self.functions is None:
            edges = np.append(edges, _behind(np.sort(points), values))
        if is_whole:  # the same cells below each, and no bin without an integer
            edges = np.ceil(edges)
        return tuple(sorted(points)), tuple(np.unique(edges).tolist())


def _behind(points: NDArray, values: NDArray) -> NDArray:
    """Values right behind a point mass that have others before it: a bin does not reach across."""
    before, after = values[:-1], values[1:]
    return after[np.searchsorted(points, after) > np.searchsorted(points, before)]


def column_from(stored: dict[str, Any]) -> Column:
    """A column from JSON types, as `dataclasses.asdict` makes them; checked."""
    column = Column(
        str(stored["name"]),
        stored["kind"],
        tuple(stored["values"]),
        tuple(float(edge) for edge in stored["edges"]),
        bool(stored.get("is_whole", False)),
        None if stored.get("marginal") is None else marginal_from(stored["marginal"]),
        stored.get("functions"),
        int(stored.get("num_functions", 0)),
        bool(stored.get("is_date", False)),
        bool(stored.get("as_floats", False)),
    )
    if not _is_sound(column):
        raise InvalidInputError(
            f"column {column.name!r} has no or repeated levels, or edges that do not rise"
        )
    return column


def renamed(column: Column, name: str) -> Column:
    """The same column under another name."""
    return replace(column, name=str(name))


def _around(shares: NDArray) -> NDArray:
    """Mean share of up to three neighbours on either side of each value."""
    kernel = np.array([1.0, 1, 1, 0, 1, 1, 1])
    total = np.convolve(shares, kernel)[3:-3]
    return np.asarray(total / np.maximum(np.convolve(np.ones(len(shares)), kernel)[3:-3], 1))


def _distinct_values(cells: NDArray) -> list[Any]:
    """Different values, numbers before text, each sorted."""
    if cells.dtype.kind in "iuf":
        return [float(value) for value in np.unique(cells)]
    key: Callable[[Any], Any] = lambda value: (isinstance(value, str), value)  # noqa: E731
    return sorted({plain_value(cell) for cell in cells.tolist()}, key=key)


def _places(values: Any, numbers: NDArray) -> NDArray:
    """Index of each number among sorted values, MISSING where it is none of them."""
    if not len(values):
        return np.full(len(numbers), MISSING, dtype=np.int64)
    known = np.array(values, dtype=np.float64)
    place = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
    return np.where(known[place] == numbers, place, MISSING)


def _is_sound(column: Column) -> bool:
    """Whether a column from a file can be one that `fit` made."""
    edges, values = np.array(column.edges), column.values
    if column.functions is not None and (column.functions not in FUNCTIONS or column.num_functions < 1):
        return False
    plain = all(isinstance(value, str | float | int) for value in values)
    if not (plain and len(set(values)) == len(values) and column.num_levels <= 2 * MOST_LEVELS):
        return False
    if column.kind == "values":
        return not column.edges and bool(values)
    numbers = all(isinstance(value, float) and np.isfinite(value) for value in values)
    rising = len(edges) > 1 and bool(np.isfinite(edges).all() and (np.diff(edges) > 0).all())
    whole = not column.is_whole or bool((edges == np.round(edges)).all())
    return column.kind == "bins" and numbers and list(values) == sorted(values) and rising and whole
