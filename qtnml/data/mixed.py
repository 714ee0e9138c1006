"""CSV tables of numbers, text and holes, as `TableEncoder` takes them."""

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.tables import CsvTable
from qtnml.errors import DataError, InvalidInputError

_HOLES = ("", "na", "nan", "null", "none", "?")


def read_table(
    path: Path, *, columns: Sequence[str] | None = None, ignore: Sequence[str] = ()
) -> tuple[list[str], NDArray]:
    """Names and cells (rows, columns) of a CSV file: numbers as such, text as it is, None where empty.

    Args:
        path: A `.csv` or `.csv.gz` file; empty cells, NA, NaN, null, None and ? are holes.
        columns: Only these, in this order; all by default.
        ignore: Columns to leave out.

    Raises:
        DataError: The file cannot be read, has rows of other lengths, or lacks a column.
    """
    table = CsvTable.read(path)
    for row, line in zip(table.rows, table.lines, strict=True):
        if len(row) != len(table.names):
            raise DataError(
                f"{path}, line {line}: {len(row)} columns where the first line has {len(table.names)}"
            )
    for name in ignore:
        table.column(name)
    names = [name for name in (columns or table.names) if name not in ignore]
    if not names or not table.rows:
        raise DataError(f"{path} has no {'rows' if names else 'columns'} left to read")
    cells = np.empty((len(table.rows), len(names)), dtype=object)
    for k, name in enumerate(names):
        place = table.column(name)
        texts = [row[place].strip() for row in table.rows]
        cells[:, k] = _cells(texts)
        if any(isinstance(cell, float) and math.isinf(cell) for cell in cells[:, k]):
            raise DataError(
                f"{path}: column {name!r} has an infinite value; leave the cell empty or scale it"
            )
    return names, cells


def _cells(texts: list[str]) -> list[Any]:
    """One column: numbers if every cell that is no hole is one, integers if all are."""
    kept = [None if text.lower() in _HOLES else text for text in texts]
    for number in (int, float):
        with suppress(ValueError):
            return [None if text is None else number(text) for text in kept]
    return list(kept)


def thresholded(X: NDArray, threshold: float) -> NDArray:
    """Bits of numbers: 1 where at least the threshold."""
    if not np.isfinite(threshold):
        raise InvalidInputError(f"threshold must be a finite number, got {threshold!r}")
    return (threshold <= X).astype(np.int64)
