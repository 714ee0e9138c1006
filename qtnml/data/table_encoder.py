"""Tables of bits, categories and numbers as levels of sites, and back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.data.columns import MOST_LEVELS, Binning, Column, column_from, renamed
from qtnml.data.frames import (
    Table,
    as_dates,
    as_whole,
    filled_in,
    library_of,
    made_frame,
    plain_value,
    row_weights,
)
from qtnml.data.functions import FUNCTIONS
from qtnml.errors import InvalidInputError, UnseenCategoryWarning, warn_user


class TableEncoder(TransformerMixin, BaseEstimator):
    """Columns of a table as sites of a Born machine: one site of k levels for each column.

    Columns of text, booleans or objects keep their distinct values as levels. So do numeric columns with at
    most `max_values` distinct values. In other numeric columns, a value with a share of at least 1 / `bins`
    (zero, in many tables) is a level of its own, and the other numbers are binned into intervals. Dates are
    numbers, days since 1970 (see also `qtnml.data.date_parts`). Missing values (NaN, None, empty text,
    masked) become -1. Tables are arrays, lists or DataFrames of any library (pandas, polars, ...).

    Args:
        bins: Number of levels of a continuous column.
        binning: "quantile": about the same number of samples in each bin; "uniform": equal widths.
        max_values: Largest number of distinct numbers that are kept as values; `bins` by default.
        categorical: Columns, by name or position, whose numbers are categories, for any number of distinct
            values.
        functions: None, or the name of smooth functions for all continuous columns: "legendre", "fourier"
            (periodic) or "hermite" (see `qtnml.data.functions`). A Born machine's amplitudes are sums of
            them, so that densities are smooth. For single columns, give a dict or pairs of a column (name or
            position) and a name.
        num_functions: Number of functions of a column. They are used only for a column that is divided into
            more cells than this number.
        cells: Number of levels of a column with functions, instead of `bins`.
        unseen: How to treat a value not seen in `fit`: "error", or "missing" with a warning.

    Attributes:
        columns_: A `Column` for each column: name, values or bin edges.
        site_dims_: Number of levels of each site.
        n_features_in_, feature_names_in_: As in scikit-learn.

    >>> table = np.array([[0.1, 1], [0.2, 0], [0.9, 1], [0.5, 1]])
    >>> encoder = TableEncoder(bins=2).fit(table)
    >>> encoder.site_dims_, encoder.transform(table)[:, 0].tolist()
    ((2, 2), [0, 1, 1, 1])
    >>> encoder.columns_[0].label(1)
    '>= 0.2'
    """

    def __init__(
        self,
        bins: int = 8,
        *,
        binning: Literal["quantile", "uniform"] = "quantile",
        max_values: int | None = None,
        categorical: Sequence[str | int] = (),
        functions: str | Mapping[str | int, str] | Sequence[tuple[str | int, str]] | None = None,
        num_functions: int = 8,
        cells: int = 64,
        unseen: Literal["error", "missing"] = "error",
    ) -> None:
        self.bins = bins
        self.binning = binning
        self.max_values = max_values
        self.categorical = categorical
        self.functions = functions
        self.num_functions = num_functions
        self.cells = cells
        self.unseen = unseen

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: ARG002
        """Learn names, categories and bin edges from a table (samples, columns); weights count as copies."""
        table = Table.of(X)
        return self.fit_table(table, row_weights(sample_weight, len(table)))

    def fit_table(self, table: Table, weights: NDArray, held_out: NDArray | None = None) -> Self:
        """`fit` on a checked table.

        Args:
            table: The table.
            weights: Weights (rows,), at least 0 and not all 0; rows of weight 0 are ignored.
            held_out: Booleans (rows,). Rows marked here add their distinct values, but do not change bins.
        """
        self.check_settings()
        names = {name: k for k, name in enumerate(table.names)}
        chosen = {_place_of(entry, names, "categorical") for entry in self.categorical}
        named = None if isinstance(self.functions, str) else self._pairs_of_functions()
        smooth = {_place_of(column, names, "functions"): kind for column, kind in named or ()}
        binning = Binning(
            int(self.bins), self.binning, int(self.bins if self.max_values is None else self.max_values)
        )
        shaping = np.ones(len(table), dtype=bool) if held_out is None else ~held_out
        found = []
        for k, (name, cells, missing) in enumerate(
            zip(table.names, table.columns, table.missing, strict=True)
        ):
            rows = (weights > 0) & ~missing
            kind: Any = self.functions if named is None else smooth.get(k)
            own = binning
            if kind is not None:
                own = replace(
                    binning,
                    functions=kind,
                    num_functions=int(self.num_functions),
                    cells=int(self.cells),
                )
            # Libraries without missing integers have them as floats.
            values = as_whole(cells[rows]) if missing.any() else cells[rows]
            column = own.column(name, values, weights[rows], shaping[rows], is_categorical=k in chosen)
            if k in smooth and not column.is_numeric:
                raise InvalidInputError(f"functions names column {name!r}, whose cells are no numbers")
            is_date = bool(table.dates) and table.dates[k]
            found.append(replace(column, is_date=True) if is_date else column)
        self.columns_: tuple[Column, ...] = tuple(found)
        self.n_features_in_ = len(names)
        self.frame_library_ = library_of(table.frame)
        if self.frame_library_ is not None:
            self.feature_names_in_ = np.array(table.names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return self

    @property
    def site_dims_(self) -> tuple[int, ...]:
        """Levels of each site."""
        check_is_fitted(self, "columns_")
        return tuple(column.num_levels for column in self.columns_)

    def transform(self, X: Any) -> NDArray:
        """Levels (samples, columns) as integers, -1 where a cell is missing."""
        table = Table.of(X)
        levels, strange = self.transform_quietly(table)
        if strange.any():
            cells = table.columns
            first = [(k, int(np.argmax(strange[:, k]))) for k in np.flatnonzero(strange.any(axis=0))]
            found = [
                f"{plain_value(cells[k][row])!r} in column {self.columns_[k].name!r} (row {row})"
                for k, row in first
            ]
            more = f", nor {len(found) - 1} more in other columns" if len(found) > 1 else ""
            message = f"value {found[0]} was not seen in fit{more}"
            if self.unseen == "error":
                raise InvalidInputError(f"{message}; set unseen='missing' to take such values as missing")
            warn_user(f"{message}; such values count as missing", UnseenCategoryWarning)
        return levels

    def transform_quietly(self, X: Any) -> tuple[NDArray, NDArray]:
        """Levels, and where values were not seen in `fit`, both (samples, columns).

        Levels are -1 for missing and for unseen values.
        """
        check_is_fitted(self, "columns_")
        table = Table.of(X)
        names = list(table.names)
        if len(names) != self.n_features_in_:
            raise InvalidInputError(
                f"X has {len(names)} features, but TableEncoder is expecting {self.n_features_in_} "
                "features as input"
            )
        if hasattr(self, "feature_names_in_") and table.frame is not None:
            known = self.feature_names_in_.tolist()
            if names != known:
                raise InvalidInputError(
                    f"The feature names should match those that were passed during fit: {known}, got {names}"
                )
        levels = np.empty((len(table), len(names)), dtype=np.int64)
        strange = np.empty(levels.shape, dtype=bool)
        for k, column in enumerate(self.columns_):
            levels[:, k], strange[:, k] = column.levels(table.columns[k], table.missing[k])
        return levels, strange

    def out_of_range(self, X: Any) -> NDArray:
        """Which numbers lie far outside the range seen in `fit` (see `Column.out_of_range`), (samples,
        columns).
        """
        check_is_fitted(self, "columns_")
        table = Table.of(X)
        parts = zip(self.columns_, table.columns, table.missing, strict=True)
        return np.stack([column.out_of_range(cells, missing) for column, cells, missing in parts], axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray:  # noqa: ARG002
        """Names of the sites: those of the columns."""
        check_is_fitted(self, "columns_")
        return np.array([column.name for column in self.columns_], dtype=object)

    def inverse_transform(self, levels: Any, random_state: Any = None) -> Any:
        """A table from levels: values, and for bins their medians, or with a `random_state` random draws.

        `transform` returns the same levels again. Numbers stay in the range seen in `fit`.

        Columns of integers or booleans keep their type, unless a level is missing. Missing levels become NaN
        (None in columns of categories). The table is a DataFrame if `fit` was given one.
        """
        return self._assembled(self._decoded(levels, random_state))

    def medians(self, distributions: Sequence[NDArray]) -> tuple[NDArray, NDArray]:
        """Median of each column's distribution (rows, levels), or for categories the most likely level.

        Returns:
            Levels (rows, columns) of the medians, and the fraction of that level's mass below the median.
        """
        levels, shares = [], []
        for column, distribution in zip(self.columns_, distributions, strict=True):
            numbers = column.level_numbers
            if numbers is None:
                levels.append(distribution.argmax(axis=1))
                shares.append(np.full(len(distribution), 0.5))
                continue
            order = np.argsort(numbers, kind="stable")
            above = np.cumsum(distribution[:, order], axis=1)
            half = above[:, -1:] / 2
            place = np.minimum((above < half).sum(axis=1), len(order) - 1)
            rows = np.arange(len(distribution))
            own = distribution[rows, order[place]]
            levels.append(order[place])
            shares.append(
                np.clip(1 - (above[rows, place] - half[:, 0]) / np.maximum(own, 1e-300), 0, 1 - 1e-9)
            )
        return np.stack(levels, axis=1), np.stack(shares, axis=1)

    def complete(
        self,
        X: Any,
        known: NDArray,
        levels: NDArray,
        rows: NDArray,
        random_state: Any = None,
        shares: NDArray | None = None,
    ) -> Any:
        """`inverse_transform` of levels, but cells that are `known` keep their values from the table.

        Args:
            X: The table.
            known: Which of its cells to keep, (samples, columns).
            levels: Levels to fill in, for each of `rows`.
            rows: Row indices in X.
            random_state: As for `inverse_transform`.
            shares: Positions of numbers in their bins, (rows, columns), as fractions of the mass; by default
                in the middle.
        """
        given = Table.of(X)
        decoded = self._decoded(levels, random_state, shares)
        table = self._assembled(
            [
                filled_in(cells, old[rows], kept[rows])
                for cells, old, kept in zip(decoded, given.columns, known.T, strict=True)
            ]
        )
        if hasattr(table, "iloc") and hasattr(X, "iloc"):  # pandas, whose rows have names as well
            table.index, table.columns = X.index[rows], X.columns
        return table

    def _decoded(self, levels: Any, random_state: Any, shares: NDArray | None = None) -> list[NDArray]:
        """Cells of each column."""
        check_is_fitted(self, "columns_")
        levels = np.asarray(levels)
        if levels.ndim != 2 or levels.shape[1] != len(self.columns_) or levels.dtype.kind not in "iub":
            raise InvalidInputError(
                f"expected integer levels of shape (samples, {len(self.columns_)}), got {levels.dtype} "
                f"of shape {levels.shape}"
            )
        rng = random_state
        if rng is not None and not isinstance(rng, np.random.Generator):
            try:
                rng = np.random.default_rng(check_random_state(rng).randint(2**31))
            except ValueError as error:
                raise InvalidInputError(f"random_state cannot be {random_state!r}: {error}") from error
        found = []
        for k, column in enumerate(self.columns_):
            where: Any = 0.5 if shares is None else shares[:, k]
            if rng is not None and column.kind == "bins":
                where = rng.random(len(levels))
            found.append(self._values(column, levels[:, k], where))
        return found

    def _assembled(self, columns: list[NDArray]) -> Any:
        """A DataFrame where `fit` saw one, else an array."""
        columns = [
            as_dates(cells.astype(np.float64)) if column.is_date else cells
            for column, cells in zip(self.columns_, columns, strict=True)
        ]
        if self.frame_library_ is not None:
            named = dict(zip(self.feature_names_in_.tolist(), columns, strict=True))
            return made_frame(named, self.frame_library_)
        if 0 < sum(column.dtype.kind in "bM" for column in columns) < len(columns):
            # Beside numbers booleans would become 0 and 1, and dates nothing.
            columns = [column.astype(object) for column in columns]
        return np.stack(columns, axis=1)

    def rename(self, names: Sequence[str]) -> None:
        """Rename the columns of a fitted encoder."""
        check_is_fitted(self, "columns_")
        if len(names) != len(self.columns_) or len(set(names)) < len(names):
            raise InvalidInputError(
                f"{len(self.columns_)} columns need as many different names, got {names!r}"
            )
        self.columns_ = tuple(renamed(c, n) for c, n in zip(self.columns_, names, strict=True))

    @property
    def site_maps_(self) -> tuple[NDArray | None, ...]:
        """Functions (levels, functions) of each column's amplitudes; None for a column without functions."""
        check_is_fitted(self, "columns_")
        return tuple(column.site_map for column in self.columns_)

    @property
    def level_numbers_(self) -> tuple[NDArray | None, ...]:
        """For each column, the number that each of its levels stands for; None for categories."""
        check_is_fitted(self, "columns_")
        return tuple(column.level_numbers for column in self.columns_)

    def log_densities(self, X: Any, levels: NDArray) -> NDArray:
        """Log-density in nats of each number within its bin, (samples, columns).

        Its sum over columns, added to ln P(levels), is the log-density of the table's numbers (times the
        probability of the cells that are no numbers). It is 0 for categories, for numbers with levels of
        their own, and for missing values.
        """
        table = Table.of(X)
        parts = zip(self.columns_, table.columns, table.missing, levels.T, strict=True)
        return np.stack([column.log_density(*part) for column, *part in parts], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Settings and learnt values as JSON types; `from_dict` is the inverse."""
        check_is_fitted(self, "columns_")
        return {
            "settings": self.plain_settings(),
            "columns": [asdict(column) for column in self.columns_],
            "named": hasattr(self, "feature_names_in_"),
            "library": self.frame_library_,
        }

    def plain_settings(self) -> dict[str, Any]:
        """Constructor arguments as JSON types; they make the same encoder again."""
        settings = {**self.get_params(), "categorical": list(self.categorical)}
        if not isinstance(self.functions, str | None):
            settings["functions"] = [list(pair) for pair in self._pairs_of_functions()]
        return settings

    def _pairs_of_functions(self) -> list[tuple[Any, str]]:
        """Columns that have functions of their own, and which."""
        given: Any = self.functions
        if given is None:
            return []
        try:
            pairs = [(column, kind) for column, kind in (given.items() if hasattr(given, "items") else given)]
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"functions must be None, one of {FUNCTIONS}, or such a name for each of some columns, got "
                f"{given!r}"
            ) from error
        return pairs

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "TableEncoder":
        """Rebuild a fitted encoder written by `to_dict`."""
        encoder = cls(**{**stored["settings"], "categorical": tuple(stored["settings"]["categorical"])})
        encoder.check_settings()
        columns = [column_from(entry) for entry in stored["columns"]]
        encoder.columns_, encoder.n_features_in_ = tuple(columns), len(columns)
        # Files of version 0.1 do not say which library: it was pandas.
        library = stored.get("library", "pandas" if stored["named"] else None)
        encoder.frame_library_ = None if library is None else str(library)
        if stored["named"]:
            encoder.feature_names_in_ = np.array([column.name for column in columns], dtype=object)
        return encoder

    def check_settings(self) -> None:
        """Refuse invalid settings."""
        for name in ("bins", "max_values", "num_functions", "cells"):
            value = getattr(self, name)
            if value is None and name == "max_values":
                continue
            is_count = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not is_count or not 2 <= value <= MOST_LEVELS:
                raise InvalidInputError(f"{name} must be an integer from 2 to {MOST_LEVELS}, got {value!r}")
        for name, choices in (("binning", ("quantile", "uniform")), ("unseen", ("error", "missing"))):
            if getattr(self, name) not in choices:
                raise InvalidInputError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")
        kinds = [self.functions]
        if not isinstance(self.functions, str | None):
            kinds = [kind for _, kind in self._pairs_of_functions()]
        for kind in kinds:
            if kind is not None and kind not in FUNCTIONS:
                raise InvalidInputError(f"functions must be None or among {FUNCTIONS}, got {kind!r}")
        if any(kinds) and self.cells <= self.num_functions:
            raise InvalidInputError(
                f"cells must be more than num_functions ({self.num_functions}), got {self.cells}"
            )
        chosen = self.categorical
        if isinstance(chosen, str) or not isinstance(chosen, Iterable):
            raise InvalidInputError(f"categorical is a sequence of columns, got {chosen!r}")
        if not all(isinstance(c, str | int | np.integer) and not isinstance(c, bool) for c in chosen):
            raise InvalidInputError(f"categorical names columns by name or position, got {chosen!r}")

    def _values(self, column: Column, levels: NDArray, shares: Any) -> NDArray:
        missing = (levels < 0) | (levels >= column.num_levels)
        safe = np.where(missing, 0, levels)
        if column.is_numeric:
            numbers = column.numbers(safe, shares)
            if column.is_whole and not column.as_floats and not missing.any():
                return numbers.astype(np.int64)
            return np.where(missing, np.nan, numbers)
        if all(isinstance(v, bool) for v in column.values) and not missing.any():
            return np.array(column.values)[safe]
        values = np.empty(len(levels), dtype=object)
        values[:] = [None if m else column.values[level] for m, level in zip(missing, safe, strict=True)]
        return values


def _place_of(entry: Any, names: dict[str, int], setting: str) -> int:
    """A column by its name or position."""
    place = names.get(entry) if isinstance(entry, str) else entry
    is_place = isinstance(place, int | np.integer) and not isinstance(place, bool)
    if not is_place or not 0 <= place < len(names):  # type: ignore[operator]
        raise InvalidInputError(f"{setting} names {entry!r}, which is no column; there are {list(names)}")
    return int(place)  # type: ignore[arg-type]
