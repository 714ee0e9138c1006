"""CSV tables: numbers in columns, labels in one of them, a header or none."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.idx import read_bytes
from qtnml.errors import DataError


@dataclass(frozen=True)
class CsvTable:
    """Cells as text; `names` are x0, x1, ... without a header, `lines` the line number of each row."""

    path: Path
    names: list[str]
    rows: list[list[str]]
    lines: list[int]
    has_header: bool

    @classmethod
    def read(cls, path: Path) -> "CsvTable":
        """Read a UTF-8 file, gzipped or not; see `_is_header` for the first row."""
        try:
            text = read_bytes(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"cannot read {path} as UTF-8 text: {error}") from error
        reader = csv.reader(io.StringIO(text, newline=None))
        try:
            rows = [(reader.line_num, row) for row in reader if row]
        except csv.Error as error:
            raise DataError(f"cannot read {path} as CSV: {error}") from error
        if not rows:
            raise DataError(f"{path} is empty")
        lines, cells = [line for line, _ in rows], [row for _, row in rows]
        if not _is_header(cells[0]):
            return cls(path, [f"x{k}" for k in range(len(cells[0]))], cells, lines, has_header=False)
        names = [name.strip() for name in cells[0]]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise DataError(
                f"{path} has several columns called {repeated[0]!r}; name each column differently"
            )
        return cls(path, names, cells[1:], lines[1:], has_header=True)

    def column(self, name: str) -> int:
        """Position of the column called `name`."""
        if name not in self.names:
            raise DataError(f"{self.path} has no column {name!r}; its columns are {self.names}")
        return self.names.index(name)

    def numbers(self, columns: Sequence[int]) -> NDArray:
        """The named columns as float64, shape (rows, columns)."""
        pairs = zip(self.rows, self.lines, strict=True)
        numbers = [self._numbers(row, columns, line) for row, line in pairs]
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
        """A column as integers where every cell is a whole number (1 or 1.0), as text otherwise (01, 1_0).

        Numbers that are not whole, some of which occur only once, are values to be predicted: floats.
        """
        cells = [row[column].strip() if column < len(row) else "" for row in self.rows]
        for cell, line in zip(cells, self.lines, strict=True):
            if not cell:
                raise DataError(f"{self.path}, line {line}, column {column + 1}: the label is missing")
        try:
            numbers = [int(cell) for cell in cells]
            is_plain = all(str(n) == cell.removeprefix("+") for n, cell in zip(numbers, cells, strict=True))
            return np.array(numbers if is_plain else cells)
        except (ValueError, OverflowError):
            if all(_is_number(cell) and float(cell).is_integer() for cell in cells):
                return np.array([int(float(cell)) for cell in cells])
            is_continuous = all(map(_is_number, cells)) and min(Counter(cells).values()) == 1
            return np.array(cells, dtype=np.float64) if is_continuous else np.array(cells)


def _is_header(row: list[str]) -> bool:
    """No cell is a number; or, as pandas writes unnamed columns, every number is its own position."""
    numbers = [(k, cell.strip()) for k, cell in enumerate(row) if _is_number(cell)]
    return not numbers or (len(numbers) >= 3 and all(cell == str(k) for k, cell in numbers))


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False
