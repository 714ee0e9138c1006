"""Cells of a table: names and columns of whatever a user gives, holes, and columns as levels."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError, invalid_input

MISSING = -1
_LARGEST = float(np.finfo(np.float64).max)
_LARGEST_WHOLE = 2**53


@dataclass(frozen=True)
class Column:
    """How one column became levels.

    Attributes:
        name: Its name in a DataFrame, x0, x1, ... otherwise.
        kind: "values": each level is one of `values`; "bins": level k is the interval from edges[k] to
            edges[k + 1], the first and the last open outwards.
        values: Categories or numbers, in order.
        edges: Of bins.
        is_whole: Whether all its cells were integers, so that values drawn from it are; edges are then
            integers as well.
    """

    name: str
    kind: Literal["values", "bins"]
    values: tuple[Any, ...] = ()
    edges: tuple[float, ...] = ()
    is_whole: bool = False

    @property
    def num_levels(self) -> int:
        """Number of levels."""
        return len(self.values) if self.kind == "values" else len(self.edges) - 1

    @property
    def widths(self) -> NDArray:
        """Widths of the bins, in the column's units; 1 for values."""
        return np.diff(self.edges) if self.kind == "bins" else np.ones(self.num_levels)

    def numbers(self, levels: NDArray, shares: NDArray | float) -> NDArray:
        """A number for each level of a column of numbers; in bins at the given shares of their width."""
        if self.kind == "values":
            return np.array(self.values, dtype=np.float64)[levels]
        edges = np.array(self.edges)
        low, high = edges[levels], edges[levels + 1]
        if not self.is_whole:
            return np.asarray(low + shares * (high - low))
        is_last = levels == self.num_levels - 1
        return np.asarray(low + np.floor(shares * (high - low + is_last)))

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
            numbers = as_numbers(cells[~missing], self.name)
            widths = self.widths
            low, high = self.edges[0] - widths[0], self.edges[-1] + widths[-1]
            found[~missing] = (numbers < low) | (numbers > high)
        return found

    def levels(self, cells: NDArray, missing: NDArray) -> tuple[NDArray, NDArray]:
        """Levels of cells, MISSING where missing, and which were never seen."""
        found = np.full(len(cells), MISSING, dtype=np.int64)
        present = ~missing
        if self.kind == "bins":
            numbers = as_numbers(cells[present], self.name)
            found[present] = np.searchsorted(self.edges[1:-1], numbers, side="right")
            return found, np.zeros(len(cells), dtype=bool)
        place = {value: level for level, value in enumerate(self.values)}
        found[present] = [place.get(plain_value(cell), MISSING) for cell in cells[present]]
        return found, present & (found == MISSING)


def table_columns(X: Any) -> tuple[list[str], list[NDArray]]:
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
        if table.dtype.kind in "SV":
            raise InvalidInputError(
                f"a table has numbers, text or booleans, got an array of {table.dtype}; decode "
                "bytes, and make a structured array a DataFrame"
            )
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
    whole: list[Any] = []
    if cells.dtype.kind == "f":
        strange = np.isinf(cells).any()
    elif cells.dtype.kind in "biu":
        whole, strange = [cells.min(initial=0), cells.max(initial=0)], np.bool_(False)
    else:
        present = cells[~holes(cells)]
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
        whole = [c for c in numbers if isinstance(c, int | np.integer)]
    if strange:
        raise InvalidInputError(
            f"column {name!r} has infinite values or numbers beyond double precision; NaN stands for a "
            "missing one"
        )
    large = [int(c) for c in whole if abs(int(c)) > _LARGEST_WHOLE]
    if large:
        raise InvalidInputError(
            f"column {name!r} has the integer {large[0]}, beyond 2**53, where neighbours are one in double "
            "precision; make it text"
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


def holes(cells: NDArray) -> NDArray:
    """Which cells are missing, (cells,)."""
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


def plain_value(cell: Any) -> Any:
    """A Python value; whole numbers of any type are alike."""
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, int) and not isinstance(cell, bool):
        return float(cell)
    return cell if isinstance(cell, float | str | bool) else str(cell)


def are_whole(cells: NDArray) -> bool:
    """Whether a column without holes is made of integers."""
    if cells.dtype.kind == "O":
        return all(isinstance(c, int | np.integer) and not isinstance(c, bool) for c in cells)
    return cells.dtype.kind in "iu"


def filled_in(decoded: NDArray, given: NDArray, known: NDArray) -> NDArray:
    """A column's decoded cells, but those that are known as they were given; all three (cells,)."""
    cells = given[known]
    if not len(cells):
        return decoded
    if cells.dtype.kind == "O":
        kind: Any = object
        if decoded.dtype.kind in "if":
            kind = np.int64 if are_whole(cells) else np.float64
        elif decoded.dtype.kind == "b" and all(isinstance(c, bool | np.bool_) for c in cells):
            kind = np.bool_
        cells = cells.astype(kind)
    if decoded.dtype.kind == "i" and cells.dtype.kind == "f" and (cells == np.round(cells)).all():
        cells = cells.astype(np.int64)  # integers became floats for the sake of a hole
    alike = decoded.dtype.kind == cells.dtype.kind or {decoded.dtype.kind, cells.dtype.kind} <= set("iuf")
    result = decoded.astype(np.result_type(decoded, cells) if alike else object)
    result[known] = cells
    return result


def distinct_values(cells: NDArray) -> list[Any]:
    """Different values, numbers before text, each sorted."""
    found = {plain_value(cell) for cell in cells.tolist()}
    return sorted(found, key=lambda value: (isinstance(value, str), value))


def as_numbers(cells: NDArray, name: str) -> NDArray:
    """Cells of a column of numbers as float64."""
    try:
        return cells.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"column {name!r} was numbers in fit, and has a cell that is none: {error}"
        ) from error


def is_sound(column: Column) -> bool:
    """Whether a column from a file can be one that `fit` made."""
    edges = np.array(column.edges)
    if column.kind == "bins":
        whole = not column.is_whole or bool((edges == np.round(edges)).all())
        rising = len(edges) > 1 and bool(np.isfinite(edges).all() and (np.diff(edges) > 0).all())
        return not column.values and rising and whole
    plain = all(isinstance(value, str | float | int) for value in column.values)
    return (
        column.kind == "values"
        and not column.edges
        and plain
        and 0 < len(set(column.values)) == len(column.values)
    )
