"""Tables of bits, categories and numbers as levels of sites, and back."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.data.cells import (
    MISSING,
    Column,
    are_whole,
    as_numbers,
    distinct_values,
    filled_in,
    holes,
    is_sound,
    plain_value,
    row_weights,
    table_columns,
)
from qtnml.errors import InvalidInputError, UnseenCategoryWarning, warn_user

_MOST_LEVELS = 256
_WIDEST = float(np.finfo(np.float64).max) / 2


class TableEncoder(TransformerMixin, BaseEstimator):
    """Columns of a table as sites of a Born machine: one site of k levels for each column.

    Columns of text, booleans or objects keep their distinct values as levels; so do numeric columns of at
    most `max_values` distinct values. Other numbers are cut into `bins`. Missing cells (NaN, None, empty
    text) become -1.

    Args:
        bins: Intervals of a continuous column.
        binning: "quantile": about as many samples in each; "uniform": equal widths.
        max_values: The most distinct numbers that are kept as values; `bins` by default.
        categorical: Columns, by name or position, whose numbers are categories whatever their number.
        unseen: What a value not seen in `fit` is: an "error", or "missing" with a warning.

    Attributes:
        columns_: A `Column` for each: name, values or bin edges.
        site_dims_: Levels of each site.
        n_features_in_, feature_names_in_: As everywhere in scikit-learn.

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
        unseen: Literal["error", "missing"] = "error",
    ) -> None:
        self.bins = bins
        self.binning = binning
        self.max_values = max_values
        self.categorical = categorical
        self.unseen = unseen

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: ARG002
        """Learn names, categories and edges from a table (samples, columns); weights count as copies."""
        self.check_settings()
        names, columns = table_columns(X)
        weights = row_weights(sample_weight, len(columns[0]))
        columns = [cells[weights > 0] for cells in columns]
        weights = weights[weights > 0]
        strange = [
            entry for entry in self.categorical if entry not in names and entry not in range(len(names))
        ]
        if strange:
            raise InvalidInputError(
                f"categorical names {strange[0]!r}, which is no column; there are {names}"
            )
        found = []
        for k, (name, cells) in enumerate(zip(names, columns, strict=True)):
            chosen = name in self.categorical or k in self.categorical
            found.append(self._column(name, cells, weights, is_categorical=chosen))
        self.columns_: tuple[Column, ...] = tuple(found)
        self.n_features_in_ = len(names)
        if hasattr(X, "columns"):
            self.feature_names_in_ = np.array(names, dtype=object)
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
        levels, strange = self.transform_quietly(X)
        if strange.any():
            _, cells = table_columns(X)
            first = [(k, int(np.argmax(strange[:, k]))) for k in np.flatnonzero(strange.any(axis=0))]
            found = [
                f"{plain_value(cells[k][row])!r} in column {self.columns_[k].name!r} (row {row})"
                for k, row in first
            ]
            more = f", nor {len(found) - 1} more in other columns" if len(found) > 1 else ""
            message = f"value {found[0]} was not seen in fit{more}"
            if self.unseen == "error":
                raise InvalidInputError(f"{message}; set unseen='missing' to marginalise such values")
            warn_user(f"{message}; such values count as missing", UnseenCategoryWarning)
        return levels

    def transform_quietly(self, X: Any) -> tuple[NDArray, NDArray]:
        """Levels, -1 where missing or not seen in `fit`, and where that is so, both (samples, columns)."""
        check_is_fitted(self, "columns_")
        names, cells = table_columns(X)
        if len(names) != self.n_features_in_:
            raise InvalidInputError(
                f"X has {len(names)} features, but TableEncoder is expecting {self.n_features_in_} "
                "features as input"
            )
        if hasattr(self, "feature_names_in_") and hasattr(X, "columns"):
            known = self.feature_names_in_.tolist()
            if names != known:
                raise InvalidInputError(
                    f"The feature names should match those that were passed during fit: {known}, got {names}"
                )
        levels = np.empty((len(cells[0]), len(names)), dtype=np.int64)
        strange = np.empty(levels.shape, dtype=bool)
        for k, column in enumerate(self.columns_):
            levels[:, k], strange[:, k] = column.levels(cells[k], holes(cells[k]))
        return levels, strange

    def beyond(self, X: Any) -> NDArray:
        """Which numbers lie far outside the range seen in `fit` (see `Column.beyond`), (samples, columns)."""
        check_is_fitted(self, "columns_")
        _, cells = table_columns(X)
        rows = [c.beyond(part, holes(part)) for c, part in zip(self.columns_, cells, strict=True)]
        return np.stack(rows, axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray:  # noqa: ARG002
        """Names of the sites: those of the columns."""
        check_is_fitted(self, "columns_")
        return np.array([column.name for column in self.columns_], dtype=object)

    def inverse_transform(self, levels: Any, random_state: Any = None) -> Any:
        """A table from levels: values, and of bins their middles, or with a `random_state` uniform draws.

        Columns of integers or booleans give such again, unless a level is missing.
        Missing levels become NaN (None in columns of categories). A DataFrame where `fit` saw one.
        """
        return self._assembled(self._decoded(levels, random_state))

    def complete(
        self, X: Any, known: NDArray, levels: NDArray, rows: NDArray, random_state: Any = None
    ) -> Any:
        """`inverse_transform` of levels, but cells of a table that are `known` as they were in it.

        Args:
            X: The table.
            known: Which of its cells to keep, (samples, columns).
            levels: Filled in, for each of `rows`.
            rows: Places in X.
            random_state: As for `inverse_transform`.
        """
        _, given = table_columns(X)
        decoded = self._decoded(levels, random_state)
        table = self._assembled(
            [
                filled_in(cells, old[rows], kept[rows])
                for cells, old, kept in zip(decoded, given, known.T, strict=True)
            ]
        )
        if hasattr(table, "columns") and hasattr(X, "columns"):
            table.index, table.columns = X.index[rows], X.columns
        return table

    def _decoded(self, levels: Any, random_state: Any) -> list[NDArray]:
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
        return [self._values(column, levels[:, k], rng) for k, column in enumerate(self.columns_)]

    def _assembled(self, columns: list[NDArray]) -> Any:
        """A DataFrame where `fit` saw one, else an array."""
        if hasattr(self, "feature_names_in_"):
            import pandas as pd

            return pd.DataFrame(dict(zip(self.feature_names_in_, columns, strict=True)))
        if 0 < sum(column.dtype.kind == "b" for column in columns) < len(columns):
            # Beside numbers booleans would become 0 and 1.
            columns = [column.astype(object) for column in columns]
        return np.stack(columns, axis=1)

    def rename(self, names: Sequence[str]) -> None:
        """Give columns of a fitted encoder other names."""
        check_is_fitted(self, "columns_")
        if len(names) != len(self.columns_) or len(set(names)) < len(names):
            raise InvalidInputError(
                f"{len(self.columns_)} columns need as many different names, got {names!r}"
            )
        self.columns_ = tuple(replace(c, name=str(n)) for c, n in zip(self.columns_, names, strict=True))

    def log_widths(self, levels: NDArray) -> NDArray:
        """Sum of ln of bin widths of strings (samples, columns): subtracted from ln P it gives a density."""
        logs = np.zeros(len(levels))
        for k, column in enumerate(self.columns_):
            present = levels[:, k] != MISSING
            logs[present] += np.log(column.widths)[levels[present, k]]
        return logs

    def to_dict(self) -> dict[str, Any]:
        """Settings and what was learnt as JSON types; `from_dict` is the inverse."""
        check_is_fitted(self, "columns_")
        settings = {**self.get_params(), "categorical": list(self.categorical)}
        return {
            "settings": settings,
            "columns": [asdict(column) for column in self.columns_],
            "named": hasattr(self, "feature_names_in_"),
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "TableEncoder":
        """Rebuild a fitted encoder written by `to_dict`."""
        encoder = cls(**{**stored["settings"], "categorical": tuple(stored["settings"]["categorical"])})
        encoder.check_settings()
        columns = []
        for entry in stored["columns"]:
            edges = tuple(float(edge) for edge in entry["edges"])
            is_whole = bool(entry.get("is_whole", False))
            column = Column(str(entry["name"]), entry["kind"], tuple(entry["values"]), edges, is_whole)
            if not is_sound(column):
                raise InvalidInputError(
                    f"column {column.name!r} has no or repeated levels, or edges that do not rise"
                )
            columns.append(column)
        encoder.columns_, encoder.n_features_in_ = tuple(columns), len(columns)
        if stored["named"]:
            encoder.feature_names_in_ = np.array([column.name for column in columns], dtype=object)
        return encoder

    def check_settings(self) -> None:
        """Refuse settings that cannot be used."""
        for name in ("bins", "max_values"):
            value = getattr(self, name)
            if value is None and name == "max_values":
                continue
            is_count = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not is_count or not 2 <= value <= _MOST_LEVELS:
                raise InvalidInputError(f"{name} must be an integer from 2 to {_MOST_LEVELS}, got {value!r}")
        for name, choices in (("binning", ("quantile", "uniform")), ("unseen", ("error", "missing"))):
            if getattr(self, name) not in choices:
                raise InvalidInputError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")
        chosen = self.categorical
        if isinstance(chosen, str) or not isinstance(chosen, Iterable):
            raise InvalidInputError(f"categorical is a sequence of columns, got {chosen!r}")
        if not all(isinstance(c, str | int | np.integer) and not isinstance(c, bool) for c in chosen):
            raise InvalidInputError(f"categorical names columns by name or position, got {chosen!r}")

    def _column(self, name: str, cells: NDArray, weights: NDArray, *, is_categorical: bool) -> Column:
        missing = holes(cells)
        present, weights = cells[~missing], weights[~missing]
        if not len(present):
            raise InvalidInputError(f"column {name!r} has no values at all; leave it out")
        distinct = distinct_values(present)
        is_whole = are_whole(present)
        is_number = all(isinstance(v, float | int) and not isinstance(v, bool) for v in distinct)
        most = int(self.bins if self.max_values is None else self.max_values)
        if is_categorical or not is_number or len(distinct) <= most:
            if len(distinct) > _MOST_LEVELS:
                raise InvalidInputError(
                    f"column {name!r} has {len(distinct)} different values, more than {_MOST_LEVELS}; group "
                    "them, or leave the column out"
                )
            return Column(name, "values", tuple(distinct), is_whole=is_whole)
        numbers = as_numbers(present, name)
        if self.binning == "quantile":
            shares = np.linspace(0, 1, self.bins + 1)
            edges = np.quantile(numbers, shares, weights=weights, method="inverted_cdf")
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                edges = np.linspace(numbers.min(), numbers.max(), self.bins + 1)
        if not (np.isfinite(edges).all() and edges[-1] / 2 - edges[0] / 2 < _WIDEST):
            raise InvalidInputError(
                f"the range of column {name!r} is too wide for double precision; scale it"
            )
        if is_whole:  # the same cells below each, and no bin without an integer
            edges = np.ceil(edges)
        edges = np.unique(edges)  # a value that is frequent swallows neighbouring quantiles
        return Column(name, "bins", (), tuple(float(edge) for edge in edges), is_whole)

    def _values(self, column: Column, levels: NDArray, rng: np.random.Generator | None) -> NDArray:
        missing = (levels < 0) | (levels >= column.num_levels)
        safe = np.where(missing, 0, levels)
        if all(isinstance(v, float | int) and not isinstance(v, bool) for v in column.values):
            shares = 0.5 if rng is None or column.kind == "values" else rng.random(len(levels))
            numbers = column.numbers(safe, shares)
            if column.is_whole and not missing.any():
                return numbers.astype(np.int64)
            return np.where(missing, np.nan, numbers)
        if all(isinstance(v, bool) for v in column.values) and not missing.any():
            return np.array(column.values)[safe]
        values = np.empty(len(levels), dtype=object)
        values[:] = [None if m else column.values[level] for m, level in zip(missing, safe, strict=True)]
        return values
