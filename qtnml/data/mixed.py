"""CSV tables of numbers, text and missing cells, as `TableEncoder` takes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.tables import CsvTable, is_plain_number
from qtnml.errors import DataError, InvalidInputError

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
    text, all of them different.

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


def _cells(texts: list[str]) -> list[Any]:
    """One column: numbers if every cell that is not missing is one, integers if all are."""
    kept = [None if text.lower() in _MISSING else text for text in texts]
    present = [text for text in kept if text is not None]
    if not all(map(is_plain_number, present)):
        if present and all(map(_is_float, present)) and not all(map(_is_finite, present)):
            raise InvalidInputError("has an infinite value; leave the cell empty or scale the column")
        return list(kept)
    kind = int if all(text.lstrip("+-").isdigit() for text in present) else float
    return [None if text is None else kind(text) for text in kept]


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
