"""Tables of users (DataFrames of any library, arrays, lists) to named columns of cells, and back."""

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
from sklearn.utils.validation import _check_sample_weight

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError, MissingExtraError, invalid_input

_LARGEST = float(np.finfo(np.float64).max)
_LARGEST_WHOLE = 2**53
_DAY = 86_400_000_000  # microseconds


_MOST_EXACT = 2.0**53  # whole numbers below it are exact as floats


@dataclass(frozen=True, eq=False)
class Table:
    """A checked table.

    Attributes:
        names: Of the columns: those of a DataFrame, x0, x1, ... otherwise.
        columns: Cells of each column, (rows,): numbers and booleans as such, dates as days since 1970 (of
            those with a time zone, in UTC), anything else as objects.
        missing: Which cells are missing, (rows,) for each column.
        frame: The DataFrame, or None.
        dates: Which columns are of dates; none where it is left out.
    """

    names: tuple[str, ...]
    columns: tuple[NDArray, ...]
    missing: tuple[NDArray, ...]
    frame: Any = None
    dates: tuple[bool, ...] = ()

    @classmethod
    def of(cls, X: Any) -> "Table":
        """Read a DataFrame (pandas, polars, PyArrow, ...), an array, a masked array or lists.

        Masked cells are missing, as are NaN, None, empty text and what a library has for them.

        Raises:
            InvalidInputError: It is no table, or has cells that are no number, text or boolean.
        """
        if isinstance(X, Table):
            return X
        refuse_sparse(X)
        if is_frame(X):
            names, columns, frame = *_of_frame(X), X
        else:
            columns, frame = _of_array(X), None
            names = [f"x{k}" for k in range(len(columns))]
        rows = len(columns[0]) if columns else len(X)
        if not columns or not rows:
            what = "sample" if columns else "feature"
            raise InvalidInputError(
                f"Found array with 0 {what}(s) (shape=({rows}, {len(columns)})) while a minimum of 1 is "
                "required."
            )
        dates = tuple(_are_dates(cells) for cells in columns)
        columns = [
            _as_days(cells) if is_date else cells for cells, is_date in zip(columns, dates, strict=True)
        ]
        missing = tuple(_missing(cells) for cells in columns)
        for name, cells, gaps in zip(names, columns, missing, strict=True):
            _check_cells(name, cells, gaps)
        return cls(tuple(names), tuple(columns), missing, frame, dates)

    def __len__(self) -> int:
        return len(self.columns[0])

    @property
    def complete(self) -> NDArray:
        """Which rows have no missing cell, (rows,)."""
        return np.asarray(~np.any(self.missing, axis=0))

    def __getitem__(self, chosen: NDArray | slice) -> "Table":
        """Some rows of it: a slice, places or booleans."""
        columns = tuple(cells[chosen] for cells in self.columns)
        missing = tuple(missing[chosen] for missing in self.missing)
        return Table(self.names, columns, missing, self.frame, self.dates)

    def numbers(self) -> NDArray:
        """All cells as float64 (rows, columns), NaN where missing.

        Raises:
            InvalidInputError: A cell is no number.
        """
        found = np.full((len(self), len(self.names)), np.nan)
        for k, (name, cells, missing) in enumerate(zip(self.names, self.columns, self.missing, strict=True)):
            found[~missing, k] = as_numbers(cells[~missing], name)
        return found


def is_frame(X: Any) -> bool:
    """Whether X is a DataFrame of a library that narwhals knows."""
    return bool(nw.dependencies.is_into_dataframe(X))


def frame_columns(X: Any) -> list[Any] | None:
    """Names of a DataFrame's columns, of whatever type they are; None for anything else."""
    return list(nw.from_native(X, eager_only=True).columns) if is_frame(X) else None


def library_of(frame: Any) -> str | None:
    """The name of a DataFrame's library, as `made_frame` takes it; None for no DataFrame."""
    return str(nw.from_native(frame, eager_only=True).implementation.value) if is_frame(frame) else None


def made_frame(columns: Mapping[str, NDArray], library: str) -> Any:
    """A DataFrame of the library from columns of cells."""
    cells: dict[str, Any] = dict(columns)
    if library != "pandas":  # which alone has columns of objects
        cells = {name: part.tolist() if part.dtype == object else part for name, part in cells.items()}
    try:
        return _frame(cells, library)
    except UnicodeEncodeError:  # text that is no Unicode stays what it was: an object
        return _frame({name: _as_objects(part) for name, part in cells.items()}, library)
    except ImportError as error:
        raise MissingExtraError(
            f"the table was a DataFrame of {library}, which is not installed here: pip install {library}"
        ) from error


def _frame(cells: Mapping[str, Any], library: str) -> Any:
    return nw.from_dict(cells, backend=library).to_native()  # type: ignore[arg-type]


def _as_objects(cells: Any) -> Any:
    if not isinstance(cells, np.ndarray) or cells.dtype.kind != "O":
        return cells
    import pandas as pd

    return pd.Series(cells, dtype=object)


def joined_frames(parts: Sequence[Any]) -> Any:
    """DataFrames of one library, one below the other."""
    joined = nw.concat([nw.from_native(part, eager_only=True) for part in parts])
    return nw.maybe_reset_index(joined).to_native()


def refuse_sparse(X: Any) -> None:
    """Sparse matrices are refused in one way."""
    if hasattr(X, "toarray"):
        raise InvalidInputError(
            "Sparse data was passed, but dense data is required; use X.toarray() to convert it"
        )


def refuse_masked(**arrays: Any) -> None:
    """Masked cells are refused where no value can be missing."""
    for name, array in arrays.items():
        if isinstance(array, np.ma.MaskedArray) and (count := int(np.ma.getmaskarray(array).sum())):
            raise InvalidInputError(
                f"{name} has {count} masked cells, which have no value; fill them in ({name}.filled(...)) "
                "or leave those rows out"
            )


def row_weights(sample_weight: Any, rows: int) -> NDArray:
    """Weights of rows, (rows,), at least 0 and not all 0; ones by default."""
    refuse_masked(sample_weight=sample_weight)
    try:
        weights = _check_sample_weight(
            sample_weight, np.empty((rows, 1)), dtype=np.float64, ensure_non_negative=True
        )
    except (TypeError, ValueError) as error:
        raise invalid_input(error) from error
    if not weights.any():  # which scikit-learn itself refuses since 1.8
        raise InvalidInputError("sample weights must contain at least one non-zero number")
    # Weights that count copies stay what they are; sums and squares of any others stay finite.
    largest = weights.max()
    return np.asarray(weights if 1e-3 < largest < 1e9 else weights / largest)


def as_numbers(cells: NDArray, name: str) -> NDArray:
    """Cells of a column, none of them missing, as float64."""
    try:
        numbers = cells.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"column {name!r} has a cell that is no number: {error}") from error
    if not np.isfinite(numbers).all():
        raise InvalidInputError(f"column {name!r} has a cell that is no finite number")
    return numbers


def are_whole(cells: NDArray) -> bool:
    """Whether a column without missing cells is made of integers."""
    if cells.dtype.kind == "O":
        return all(isinstance(c, int | np.integer) and not isinstance(c, bool) for c in cells)
    return cells.dtype.kind in "iu"


def as_whole(cells: NDArray) -> NDArray:
    """Floats that are all whole numbers as integers; other cells as they are."""
    if cells.dtype.kind == "f" and len(cells) and (np.abs(cells) < _MOST_EXACT).all():
        whole = cells.astype(np.int64)
        return whole if (whole == cells).all() else cells
    return cells


def plain_value(cell: Any) -> Any:
    """A Python value; numbers of any type are floats, so that equal ones are alike."""
    if isinstance(cell, bool | np.bool_):
        return bool(cell)
    if isinstance(cell, int | float | np.integer | np.floating):
        return float(cell)
    return str(cell)


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
        cells = cells.astype(np.int64)  # integers became floats for the sake of a missing one
    alike = decoded.dtype.kind == cells.dtype.kind or {decoded.dtype.kind, cells.dtype.kind} <= set("iuf")
    result = decoded.astype(np.result_type(decoded, cells) if alike else object)
    result[known] = cells
    return result


def _of_frame(X: Any) -> tuple[list[str], list[NDArray]]:
    names = [str(name) for name in X.columns] if hasattr(X, "iloc") else None  # pandas: of any type
    if names is None:
        names = [str(name) for name in nw.from_native(X, eager_only=True).columns]
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise InvalidInputError(f"several columns are called {min(repeated)!r}; give each a name of its own")
    return names, [_of_series(series) for series in nw.from_native(X, eager_only=True).iter_columns()]


def _of_series(series: Any) -> NDArray:
    """NumPy's own types as they are, everything else (nullable, categorical, ...) as objects."""
    native = series.to_native()
    if isinstance(getattr(native, "dtype", None), np.dtype):
        return _plain_cells(np.asarray(native))
    if series.dtype.is_numeric() and not series.is_null().any():
        numbers = np.asarray(series.to_numpy())
        if numbers.dtype.kind in "biuf":
            return _plain_cells(numbers)
    return _objects(
        [None if gap else cell for cell, gap in zip(series.to_list(), series.is_null(), strict=True)]
    )


def _of_array(X: Any) -> list[NDArray]:
    if isinstance(X, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(X)
        X = np.array(X.data, dtype=np.float64 if X.dtype.kind == "f" else object)
        X[mask] = None  # a number under a mask is no value of the table
    table = np.asarray(X) if isinstance(X, np.ndarray) else _object_table(X)
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
    return [_plain_cells(table[:, k]) for k in range(table.shape[1])]


def _object_table(X: Any) -> NDArray:
    try:
        return np.asarray(X, dtype=object)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"Expected 2D array, got rows of different lengths ({error})") from error


def _plain_cells(cells: NDArray) -> NDArray:
    if cells.dtype.kind in "biu":
        return cells
    if cells.dtype.kind == "f":
        with np.errstate(over="ignore"):  # infinite cells are refused by name later
            return cells.astype(np.float64)
    if cells.dtype.kind == "M":
        return cells
    return _objects(cells.tolist() if cells.dtype.kind == "U" else list(cells))


def _are_dates(cells: NDArray) -> bool:
    """Whether a column is of dates, at least one of them not missing."""
    if cells.dtype.kind != "O":
        return bool(cells.dtype.kind == "M")
    present = [cell for cell in cells if not _is_missing(cell)]
    return bool(present) and all(isinstance(cell, datetime.date | np.datetime64) for cell in present)


def _as_days(cells: NDArray) -> NDArray:
    """Dates as days since 1970: integers where they have no time, as objects with None where missing."""
    found = np.empty(len(cells), dtype="datetime64[us]")
    if cells.dtype.kind == "M":
        found[:] = cells
    else:
        found[:] = [np.datetime64("NaT") if _is_missing(cell) else _moment(cell) for cell in cells]
    missing, micros = np.isnat(found), found.astype(np.int64)
    if (micros[~missing] % _DAY == 0).all():
        days = micros // _DAY
        return _objects([None if m else int(d) for d, m in zip(days, missing, strict=True)])
    return np.where(missing, np.nan, micros / _DAY)


def _moment(cell: Any) -> Any:
    if isinstance(cell, datetime.datetime) and cell.tzinfo is not None:
        cell = cell.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(cell, "us")


def as_dates(days: NDArray) -> NDArray:
    """Days since 1970, NaN where missing, as dates and times to the microsecond."""
    missing = np.isnan(days)
    micros = np.round(np.where(missing, 0.0, days) * _DAY).astype(np.int64)
    found = micros.astype("datetime64[us]")
    found[missing] = np.datetime64("NaT")
    return found


def _objects(cells: list[Any]) -> NDArray:
    found = np.empty(len(cells), dtype=object)
    found[:] = cells
    return found


def _missing(cells: NDArray) -> NDArray:
    if cells.dtype.kind == "f":
        return np.isnan(cells)
    if cells.dtype.kind in "biu":
        return np.zeros(len(cells), dtype=bool)
    return np.array([_is_missing(cell) for cell in cells], dtype=bool)


def _is_missing(cell: Any) -> bool:
    """None, empty text, NaN, masked, and what pandas has for them."""
    if cell is None or cell is np.ma.masked or (isinstance(cell, str) and cell == ""):
        return True
    if type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(cell, float | np.floating) and bool(np.isnan(cell))


def _check_cells(name: str, cells: NDArray, missing: NDArray) -> None:
    """Numbers, text, booleans and missing cells only."""
    whole: list[Any] = []
    if cells.dtype.kind == "f":
        too_large = bool(np.isinf(cells).any())
    elif cells.dtype.kind in "biu":
        whole, too_large = [cells.min(initial=0), cells.max(initial=0)], False
    else:
        present = cells[~missing]
        odd = [c for c in present if not isinstance(c, str | bool | int | float | np.generic)]
        odd += [c for c in present if isinstance(c, np.datetime64 | np.timedelta64 | np.complexfloating)]
        if odd:
            raise InvalidInputError(
                f"column {name!r} has a cell of type {type(odd[0]).__name__}: {odd[0]!r}; make it a number, "
                "text or a boolean (or all cells of the column dates)"
            )
        numbers = [c for c in present if isinstance(c, int | float | np.number) and not isinstance(c, bool)]
        # Integers are compared as such: float() of a large one overflows.
        too_large = any(abs(float(c) if isinstance(c, np.number) else c) > _LARGEST for c in numbers)
        whole = [c for c in numbers if isinstance(c, int | np.integer)]
    if too_large:
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
