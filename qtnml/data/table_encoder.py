"""Tables of bits, categories and numbers as levels of sites, and back."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError, UnseenCategoryWarning, invalid_input, warn_user

MISSING = -1
_MOST_LEVELS = 256


@dataclass(frozen=True)
class Column:
    """How one column became levels.

    Attributes:
        name: Its name in a DataFrame, x0, x1, ... otherwise.
        kind: "values": each level is one of `values`; "bins": level k is the interval from edges[k] to
            edges[k + 1], the first and the last open outwards.
        values: Categories or numbers, in order.
        edges: Of bins.
    """

    name: str
    kind: Literal["values", "bins"]
    values: tuple[Any, ...] = ()
    edges: tuple[float, ...] = ()

    @property
    def num_levels(self) -> int:
        """Number of levels."""
        return len(self.values) if self.kind == "values" else len(self.edges) - 1

    @property
    def widths(self) -> NDArray:
        """Widths of the bins, in the column's units; 1 for values."""
        return np.diff(self.edges) if self.kind == "bins" else np.ones(self.num_levels)

    def label(self, level: int) -> str:
        """For people: `0.5`, `red`, `[1.2, 3.4)`."""
        if self.kind == "values":
            value = self.values[level]
            return (
                f"{value:g}" if isinstance(value, float | int) and not isinstance(value, bool) else str(value)
            )
        low, high = self.edges[level : level + 2]
        return f"[{low:.3g}, {high:.3g})"

    def levels(self, cells: NDArray, missing: NDArray) -> tuple[NDArray, NDArray]:
        """Levels of cells, MISSING where missing, and which were never seen."""
        found = np.full(len(cells), MISSING, dtype=np.int64)
        present = ~missing
        if self.kind == "bins":
            numbers = _numbers(cells[present], self.name)
            found[present] = np.searchsorted(self.edges[1:-1], numbers, side="right")
            return found, np.zeros(len(cells), dtype=bool)
        place = {value: level for level, value in enumerate(self.values)}
        found[present] = [place.get(_plain(cell), MISSING) for cell in cells[present]]
        return found, present & (found == MISSING)


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
    '[0.2, 0.9)'
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
        self._check_parameters()
        names, columns = _columns(X)
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
            _, cells = _columns(X)
            found = [
                f"{_plain(cells[k][int(np.argmax(strange[:, k]))])!r} in column {self.columns_[k].name!r} "
                f"(row {int(np.argmax(strange[:, k]))})"
                for k in np.flatnonzero(strange.any(axis=0))
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
        names, cells = _columns(X)
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
            levels[:, k], strange[:, k] = column.levels(cells[k], _missing(cells[k]))
        return levels, strange

    def inverse_transform(self, levels: Any, random_state: Any = None) -> Any:
        """A table from levels: values, and of bins their middles, or with a `random_state` uniform draws.

        Missing levels become NaN (None in columns of categories). A DataFrame where `fit` saw one.
        """
        check_is_fitted(self, "columns_")
        levels = np.asarray(levels)
        rng = None if random_state is None else np.random.default_rng(random_state)
        columns = [self._values(column, levels[:, k], rng) for k, column in enumerate(self.columns_)]
        if hasattr(self, "feature_names_in_"):
            import pandas as pd

            return pd.DataFrame(dict(zip(self.feature_names_in_, columns, strict=True)))
        return np.stack(columns, axis=1) if columns else np.empty((len(levels), 0))

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
        encoder._check_parameters()
        columns = []
        for entry in stored["columns"]:
            edges = tuple(float(edge) for edge in entry["edges"])
            column = Column(str(entry["name"]), entry["kind"], tuple(entry["values"]), edges)
            if (
                column.kind not in ("values", "bins")
                or column.num_levels < 1
                or not (np.diff(edges) > 0).all()
            ):
                raise InvalidInputError(f"column {column.name!r} has no levels or edges that do not rise")
            columns.append(column)
        encoder.columns_, encoder.n_features_in_ = tuple(columns), len(columns)
        if stored["named"]:
            encoder.feature_names_in_ = np.array([column.name for column in columns], dtype=object)
        return encoder

    def _check_parameters(self) -> None:
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
        if isinstance(self.categorical, str):
            raise InvalidInputError(f"categorical is a sequence of columns, got {self.categorical!r}")

    def _column(self, name: str, cells: NDArray, weights: NDArray, *, is_categorical: bool) -> Column:
        missing = _missing(cells)
        present, weights = cells[~missing], weights[~missing]
        if not len(present):
            raise InvalidInputError(f"column {name!r} has no values at all; leave it out")
        distinct = _distinct(present)
        is_number = all(isinstance(v, float | int) and not isinstance(v, bool) for v in distinct)
        most = int(self.bins if self.max_values is None else self.max_values)
        if is_categorical or not is_number or len(distinct) <= most:
            if len(distinct) > _MOST_LEVELS:
                raise InvalidInputError(
                    f"column {name!r} has {len(distinct)} different values, more than {_MOST_LEVELS}; group "
                    "them, or leave the column out"
                )
            return Column(name, "values", tuple(distinct))
        numbers = _numbers(present, name)
        if self.binning == "quantile":
            shares = np.linspace(0, 1, self.bins + 1)
            edges = np.quantile(numbers, shares, weights=weights, method="inverted_cdf")
        else:
            edges = np.linspace(numbers.min(), numbers.max(), self.bins + 1)
        edges = np.unique(edges)  # a value that is frequent swallows neighbouring quantiles
        return Column(name, "bins", (), tuple(float(edge) for edge in edges))

    def _values(self, column: Column, levels: NDArray, rng: np.random.Generator | None) -> NDArray:
        missing = (levels < 0) | (levels >= column.num_levels)
        safe = np.where(missing, 0, levels)
        if column.kind == "bins":
            edges = np.array(column.edges)
            share = 0.5 if rng is None else rng.random(len(levels))
            return np.where(missing, np.nan, edges[safe] + share * (edges[safe + 1] - edges[safe]))
        if all(isinstance(v, float | int) and not isinstance(v, bool) for v in column.values):
            return np.where(missing, np.nan, np.array(column.values, dtype=np.float64)[safe])
        values = np.empty(len(levels), dtype=object)
        values[:] = [None if m else column.values[level] for m, level in zip(missing, safe, strict=True)]
        return values


def _columns(X: Any) -> tuple[list[str], list[NDArray]]:
    """Names and cells of a DataFrame or an array, one array of cells for each column."""
    refuse_sparse(X)
    if hasattr(X, "columns") and hasattr(X, "iloc"):
        names = [str(name) for name in X.columns]
        columns = [np.asarray(X.iloc[:, k]) for k in range(len(names))]
    else:
        table = np.asarray(X)
        if table.ndim != 2:
            raise InvalidInputError(
                f"Expected 2D array, got array of {table.ndim} dimensions. Reshape your data, as a table "
                "has the "
                "shape (samples, columns)"
            )
        if np.iscomplexobj(table):
            raise InvalidInputError("Complex data not supported: a table has real numbers, text or booleans")
        names = [f"x{k}" for k in range(table.shape[1])]
        columns = [table[:, k] for k in range(table.shape[1])]
    rows = len(columns[0]) if columns else len(X)
    if not columns or not rows:
        what = "sample" if columns else "feature"
        raise InvalidInputError(
            f"Found array with 0 {what}(s) (shape=({rows}, {len(columns)})) while a minimum of 1 is required."
        )
    for name, cells in zip(names, columns, strict=True):
        if cells.dtype.kind == "f" and np.isinf(cells).any():
            raise InvalidInputError(f"column {name!r} has infinite values; NaN stands for a missing one")
    return names, columns


def row_weights(sample_weight: Any, rows: int) -> NDArray:
    """Weights of rows, (rows,), at least 0 and not all 0; ones by default."""
    try:
        weights = _check_sample_weight(
            sample_weight, np.empty((rows, 1)), dtype=np.float64, ensure_non_negative=True
        )
    except (TypeError, ValueError) as error:
        raise invalid_input(error) from error
    return np.asarray(weights / weights.max())


def refuse_sparse(X: Any) -> None:
    """Sparse matrices are refused in one way."""
    if hasattr(X, "toarray"):
        raise InvalidInputError(
            "Sparse data was passed, but dense data is required; use X.toarray() to convert it"
        )


def _missing(cells: NDArray) -> NDArray:
    if cells.dtype.kind == "f":
        return np.isnan(cells)
    if cells.dtype.kind in "biu":
        return np.zeros(len(cells), dtype=bool)
    return np.array([cell is None or cell != cell or cell == "" for cell in cells.tolist()], dtype=bool)


def _plain(cell: Any) -> Any:
    """A Python value; whole numbers of any type are alike."""
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, int) and not isinstance(cell, bool):
        return float(cell)
    return cell if isinstance(cell, float | str | bool) else str(cell)


def _distinct(cells: NDArray) -> list[Any]:
    """Different values, numbers before text, each sorted."""
    found = {_plain(cell) for cell in cells.tolist()}
    return sorted(found, key=lambda value: (isinstance(value, str), value))


def _numbers(cells: NDArray, name: str) -> NDArray:
    try:
        return cells.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"column {name!r} was numbers in fit, and has a cell that is none: {error}"
        ) from error
