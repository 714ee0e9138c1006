"""Tables of bits, categories and numbers as levels of sites, and back."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError, UnseenCategoryWarning, invalid_input, warn_user

MISSING = -1
_MOST_LEVELS = 256
_LARGEST = float(np.finfo(np.float64).max)


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
        """For people: `0.5`, `red`, `[1.2, 3.4)`, `< 1.2`."""
        if self.kind == "values":
            value = self.values[level]
            is_number = isinstance(value, float | int) and not isinstance(value, bool)
            return f"{value:.12g}" if is_number else str(value)
        low, high = (f"{edge:.4g}" for edge in self.edges[level : level + 2])
        if self.num_levels == 1:
            return f"about {low} to {high}"
        if level == 0:
            return f"< {high}"
        return f">= {low}" if level == self.num_levels - 1 else f"[{low}, {high})"

    def beyond(self, cells: NDArray, missing: NDArray) -> NDArray:
        """Which numbers lie further outside the range seen in `fit` than the outermost bins are wide."""
        found = np.zeros(len(cells), dtype=bool)
        if self.kind == "bins":
            numbers = _numbers(cells[~missing], self.name)
            widths = self.widths
            low, high = self.edges[0] - widths[0], self.edges[-1] + widths[-1]
            found[~missing] = (numbers < low) | (numbers > high)
        return found

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

    def beyond(self, X: Any) -> NDArray:
        """Which numbers lie far outside the range seen in `fit` (see `Column.beyond`), (samples, columns)."""
        check_is_fitted(self, "columns_")
        _, cells = _columns(X)
        rows = [c.beyond(part, _missing(part)) for c, part in zip(self.columns_, cells, strict=True)]
        return np.stack(rows, axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray:  # noqa: ARG002
        """Names of the sites: those of the columns."""
        check_is_fitted(self, "columns_")
        return np.array([column.name for column in self.columns_], dtype=object)

    def inverse_transform(self, levels: Any, random_state: Any = None) -> Any:
        """A table from levels: values, and of bins their middles, or with a `random_state` uniform draws.

        Missing levels become NaN (None in columns of categories). A DataFrame where `fit` saw one.
        """
        check_is_fitted(self, "columns_")
        levels = np.asarray(levels)
        if levels.ndim != 2 or levels.shape[1] != len(self.columns_) or levels.dtype.kind not in "iub":
            raise InvalidInputError(
                f"expected integer levels of shape (samples, {len(self.columns_)}), got {levels.dtype} of "
                "shape "
                f"{levels.shape}"
            )
        rng = None
        if random_state is not None:
            is_rng = isinstance(random_state, np.random.Generator)
            rng = (
                random_state
                if is_rng
                else np.random.default_rng(check_random_state(random_state).randint(2**31))
            )
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
        encoder.check_settings()
        columns = []
        for entry in stored["columns"]:
            edges = tuple(float(edge) for edge in entry["edges"])
            column = Column(str(entry["name"]), entry["kind"], tuple(entry["values"]), edges)
            if not _is_sound(column):
                raise InvalidInputError(
                    f"column {column.name!r} has no different levels or edges that do not rise"
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
            with np.errstate(over="ignore", invalid="ignore"):
                edges = np.linspace(numbers.min(), numbers.max(), self.bins + 1)
        if not (np.isfinite(edges).all() and edges[-1] / 2 - edges[0] / 2 < _LARGEST / 2):
            raise InvalidInputError(
                f"the range of column {name!r} is too wide for double precision; scale it"
            )
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
    """Names and cells of a DataFrame, an array or lists, one array of cells for each column."""
    refuse_sparse(X)
    if hasattr(X, "columns") and hasattr(X, "iloc"):
        names = [str(name) for name in X.columns]
        columns = [_cells_of(X.iloc[:, k]) for k in range(len(names))]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise InvalidInputError(
                f"several columns are called {repeated[0]!r}; give each a name of its own"
            )
    else:
        table = X if isinstance(X, np.ndarray) else np.asarray(X, dtype=object)
        if table.ndim != 2:
            raise InvalidInputError(
                f"Expected 2D array, got array of {table.ndim} dimensions. Reshape your data, as a table has "
                "the shape (samples, columns)"
            )
        if np.iscomplexobj(table):
            raise InvalidInputError("Complex data not supported: a table has real numbers, text or booleans")
        names = [f"x{k}" for k in range(table.shape[1])]
        columns = [_cells_of(table[:, k]) for k in range(table.shape[1])]
    rows = len(columns[0]) if columns else len(X)
    if not columns or not rows:
        what = "sample" if columns else "feature"
        raise InvalidInputError(
            f"Found array with 0 {what}(s) (shape=({rows}, {len(columns)})) while a minimum of 1 is required."
        )
    for name, cells in zip(names, columns, strict=True):
        _check_cells(name, cells)
    return names, columns


def _cells_of(column: Any) -> NDArray:
    """NumPy's own types as they are, everything else (nullable, categorical, ...) as objects."""
    if isinstance(getattr(column, "dtype", None), np.dtype) and column.dtype.kind in "biuf":
        return np.asarray(column)
    cells = np.empty(len(column), dtype=object)
    cells[:] = list(column)
    return cells


def _check_cells(name: str, cells: NDArray) -> None:
    """Numbers, text, booleans and holes only."""
    if cells.dtype.kind == "f":
        strange = np.isinf(cells).any()
    elif cells.dtype.kind in "biu":
        return
    else:
        present = cells[~_missing(cells)]
        odd = [c for c in present if not isinstance(c, str | bool | int | float | np.generic)]
        odd += [c for c in present if isinstance(c, np.datetime64 | np.timedelta64 | np.complexfloating)]
        if odd:
            raise InvalidInputError(
                f"column {name!r} has a cell of type {type(odd[0]).__name__}: {odd[0]!r}; make it a number "
                "(dates: "
                "days since some day), text or a boolean"
            )
        numbers = [c for c in present if isinstance(c, int | float | np.number) and not isinstance(c, bool)]
        strange = np.bool_(any(abs(float(c) if isinstance(c, np.number) else c) > _LARGEST for c in numbers))
    if strange:
        raise InvalidInputError(
            f"column {name!r} has infinite values or numbers beyond double precision; NaN stands for a "
            "missing one"
        )


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
    return np.array([_is_hole(cell) for cell in cells], dtype=bool)


def _is_hole(cell: Any) -> bool:
    """None, empty text, NaN, and what pandas has for them."""
    if cell is None or (isinstance(cell, str) and cell == ""):
        return True
    if type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(cell, float | np.floating) and bool(np.isnan(cell))


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


def _is_sound(column: Column) -> bool:
    """Whether a column from a file can be one that `fit` made."""
    edges = np.array(column.edges)
    if column.kind == "bins":
        return len(edges) > 1 and bool(np.isfinite(edges).all() and (np.diff(edges) > 0).all())
    plain = all(isinstance(value, str | float | int) for value in column.values)
    return column.kind == "values" and plain and 0 < len(set(column.values)) == len(column.values)
