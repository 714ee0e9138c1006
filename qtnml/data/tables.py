"""CSV tables: numbers in columns, labels in one of them, a header or none."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.idx import read_bytes
from qtnml.errors import DataError


@dataclass(frozen=True)
class CsvTable:
    """Cells as text; `names` are x0, x1, ... without a header, `first_line` that of the first row."""

    path: Path
    names: list[str]
    rows: list[list[str]]
    has_header: bool

    @classmethod
    def read(cls, path: Path) -> "CsvTable":
        """Read a UTF-8 file, gzipped or not; a first row without any number is a header."""
        try:
            text = read_bytes(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"cannot read {path} as UTF-8 text: {error}") from error
        try:
            rows = [row for row in csv.reader(io.StringIO(text)) if row]
        except csv.Error as error:
            raise DataError(f"cannot read {path} as CSV: {error}") from error
        if not rows:
            raise DataError(f"{path} is empty")
        if any(_is_number(cell) for cell in rows[0]):
            return cls(path, [f"x{k}" for k in range(len(rows[0]))], rows, has_header=False)
        return cls(path, [name.strip() for name in rows[0]], rows[1:], has_header=True)

    def column(self, name: str) -> int:
        """Position of the column called `name`."""
        if name not in self.names:
            raise DataError(f"{self.path} has no column {name!r}; its columns are {self.names}")
        return self.names.index(name)

    def numbers(self, columns: Sequence[int]) -> NDArray:
        """The named columns as float64, shape (rows, columns)."""
        first_line = 2 if self.has_header else 1
        numbers = [self._numbers(row, columns, first_line + k) for k, row in enumerate(self.rows)]
        return np.array(numbers, dtype=np.float64).reshape(len(numbers), len(columns))

    def _numbers(self, row: list[str], columns: Sequence[int], line: int) -> list[float]:
        if len(row) != len(self.names):
            raise DataError(
                f"{self.path}, line {line}: {len(row)} columns where the first line has {len(self.names)}"
            )
        for column in columns:
            if not _is_number(row[column]):
                raise DataError(
                    f"{self.path}, line {line}, column {column + 1}: {row[column]!r} is not a number; "
                    "encode categories as numbers, fill missing values, or name the label's column as target"
                )
        return [float(row[column]) for column in columns]

    def labels(self, column: int) -> NDArray:
        """A column as integers where every cell is a whole number (1 or 1.0), as text otherwise."""
        cells = [row[column].strip() for row in self.rows]
        if all(_is_number(cell) and float(cell).is_integer() for cell in cells):
            return np.array([int(float(cell)) for cell in cells])
        return np.array(cells)


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False
