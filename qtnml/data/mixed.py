"""CSV tables of numbers, text and missing cells, in the form that `TableEncoder` takes."""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.frames import Table
from qtnml.data.load import drawn, with_classes
from qtnml.data.raw import stratified_split
from qtnml.data.tables import CsvTable, is_plain_number
from qtnml.errors import DataError, InvalidInputError

_WHOLE = re.compile(r"[+-]?\d+(\.0+)?", re.ASCII)
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d($|[ T])", re.ASCII)
_MISSING = ("", "na", "nan", "null", "none", "?")


def read_table(
    path: Path,
    *,
    columns: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    header: bool | None = None,
) -> tuple[list[str], NDArray]:
    """Names and cells (rows, columns) of a CSV file: numbers as such, text as it is, None where empty.

    A column is one of numbers if every cell is written as a program writes numbers; codes (007, 1_0) stay
    text, all of them different. It is one of dates if every cell is (2024-01-31, 2024-01-31 12:30).

    Args:
        path: A `.csv` or `.csv.gz` file; empty cells, NA, NaN, null, None and ? are missing.
        columns: Only these, in this order; all by default.
        ignore: Columns to leave out.
        header: Whether the first row names the columns; None decides by its cells.

    Raises:
        DataError: The file cannot be read, has rows of other lengths, or lacks a column.
    """
    table = CsvTable.read(path, header=header)
    table.check_lengths()
    left_out = {table.names[table.column(name)] for name in ignore}
    names = [name for name in (columns or table.names) if name not in left_out]
    if not names or not table.rows:
        raise DataError(f"{path} has no {'rows' if names else 'columns'} left to read")
    cells = np.empty((len(table.rows), len(names)), dtype=object)
    for k, name in enumerate(names):
        place = table.column(name)
        try:
            cells[:, k] = _cells([row[place].strip() for row in table.rows])
        except InvalidInputError as error:
            raise DataError(f"{path}: column {name!r} {error}") from None
    return names, cells


def named_table(names: Sequence[str], cells: NDArray) -> Table:
    """A table whose columns have names, for errors and explanations to speak of."""
    return replace(Table.of(cells), names=tuple(names))


@dataclass(frozen=True, eq=False)
class TableDataset:
    """Training and test rows of a table with text, categories or gaps.

    Attributes:
        name: What was loaded.
        X_train, X_test: Tables.
        y_train, y_test: Labels, (rows,).
        feature_names: Names of the columns.
        target_name: Column that the labels came from.
    """

    name: str
    X_train: Table
    y_train: NDArray
    X_test: Table
    y_test: NDArray
    feature_names: tuple[str, ...]
    target_name: str

    @property
    def num_features(self) -> int:
        """Columns."""
        return len(self.feature_names)

    @property
    def classes(self) -> NDArray:
        """The sorted distinct labels of the training rows."""
        return np.unique(self.y_train)

    def raw(self, X: Table) -> Table:
        """Rows in the units of their source, as they are."""
        return X


def is_mixed(path: Path, *, target: str | None, header: bool | None, ignore: Sequence[str] = ()) -> bool:
    """Whether a CSV file has columns of text, or gaps, beside its labels.

    A column in which less than half of the cells are no numbers is one of numbers with mistakes in it.
    """
    table = CsvTable.read(path, header=header)
    left_out = {table.column(name) for name in ignore}
    left_out.add(len(table.names) - 1 if target is None else table.column(target))
    for place in set(range(len(table.names))) - left_out:
        cells = [row[place].strip() for row in table.rows if place < len(row)]
        present = [cell for cell in cells if cell.lower() not in _MISSING]
        if len(present) < len(cells) or 2 * sum(map(is_plain_number, present)) < len(present):
            return True
    return False


def load_table(
    path: Path,
    *,
    target: str | None = None,
    header: bool | None = None,
    ignore: Sequence[str] = (),
    classes: Sequence[object] | None = None,
    train_size: int | None = None,
    test_fraction: float = 0.25,
    seed: int = 0,
) -> TableDataset:
    """A CSV file of any columns and a column of labels, for estimators with an encoder; as `load_dataset`.

    Args:
        path, ignore, header: As for `read_table`.
        target: The label's column; the last by default.
        classes, train_size, test_fraction, seed: As for `load_dataset`.
    """
    table = CsvTable.read(path, header=header)
    left_out = {table.column(name) for name in ignore}
    names = [name for k, name in enumerate(table.names) if k not in left_out]
    target = names[-1] if target is None and names else str(target)
    features = [name for name in names if name != target]
    y = table.labels(table.column(target))
    cells = named_table(*read_table(path, columns=features, header=header))
    rows = np.arange(len(y), dtype=np.float64)[:, None]
    raw = stratified_split(rows, y, test_fraction=test_fraction, seed=seed)
    raw = drawn(with_classes(raw, classes, path.name), train_size, seed)
    train, test = (cells[part[:, 0].astype(int)] for part in (raw.X_train, raw.X_test))
    return TableDataset(path.name, train, raw.y_train, test, raw.y_test, tuple(features), target)


def _cells(texts: list[str]) -> list[Any]:
    """One column: numbers, or dates, if every cell that is not missing is one; integers if all are."""
    kept = [None if text.lower() in _MISSING else text for text in texts]
    present = [text for text in kept if text is not None]
    if not all(map(is_plain_number, present)):
        if present and all(map(_is_float, present)) and not all(map(_is_finite, present)):
            raise InvalidInputError("has an infinite value; leave the cell empty or scale the column")
        dates = [None if text is None else _date(text) for text in kept]
        is_dates = present and all(date is not None for date, text in zip(dates, kept, strict=True) if text)
        return dates if is_dates else list(kept)
    # Integers beside missing cells are often written 45.0.
    whole = all(_WHOLE.fullmatch(text) for text in present)
    return [None if text is None else int(text.partition(".")[0]) if whole else float(text) for text in kept]


def _date(text: str) -> datetime.datetime | None:
    """A date or a moment as ISO 8601 writes it, with separators; None of any other text."""
    if not _ISO_DATE.match(text):
        return None
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_finite(text: str) -> bool:
    return bool(np.isfinite(float(text)))


def thresholded(X: NDArray, threshold: float) -> NDArray:
    """Bits of numbers: 1 where at least the threshold."""
    if not np.isfinite(threshold):
        raise InvalidInputError(f"threshold must be a finite number, got {threshold!r}")
    return (threshold <= X).astype(np.int64)
