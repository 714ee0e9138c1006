"""CSV tables: numbers in columns, labels in one of them, a header or none."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.idx import read_bytes
from qtnml.errors import DataError

# As a program writes a number: 1_0 and 007 are codes, which float() would merge with 10 and 7.
_PLAIN_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*|(0|[1-9]\d*)?\.\d+|(0|[1-9]\d*)\.)([eE][+-]?\d+)?", re.ASCII)
_MOST_DIGITS = 400  # of a number: int() and Decimal() take time with the square of them


@dataclass(frozen=True)
class CsvTable:
    """Cells as text; `names` are x0, x1, ... without a header, `lines` the line number of each row."""

    path: Path
    names: list[str]
    rows: list[list[str]]
    lines: list[int]
    has_header: bool

    @classmethod
    def read(cls, path: Path, *, header: bool | None = None) -> "CsvTable":
        """Read a UTF-8 file, gzipped or not.

        Args:
            path: The file.
            header: Whether the first row names the columns; None decides by its cells: see `_is_header`.
        """
        try:
            text = read_bytes(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"cannot read {path} as UTF-8 text: {error}") from error
        reader = csv.reader(io.StringIO(text, newline=None))
        try:
            rows = [(reader.line_num, row) for row in reader if row]
        except csv.Error as error:
            raise DataError(f"cannot read {path} as CSV: {error}") from error
        except MemoryError:
            raise DataError(f"{path} does not fit in memory; take a part of it") from None
        if not rows:
            raise DataError(f"{path} is empty")
        lines, cells = [line for line, _ in rows], [row for _, row in rows]
        if not (_is_header(cells) if header is None else header):
            return cls(path, [f"x{k}" for k in range(len(cells[0]))], cells, lines, has_header=False)
        names = [name.strip() for name in cells[0]]
        if repeated := [name for name, count in Counter(names).items() if count > 1]:
            raise DataError(
                f"{path} has several columns called {min(repeated)!r}; name each column differently"
            )
        return cls(path, names, cells[1:], lines[1:], has_header=True)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: k for k, name in enumerate(self.names)}

    def column(self, name: str) -> int:
        """Position of the column called `name`."""
        if name not in self._places:
            raise DataError(f"{self.path} has no column {name!r}; its columns are {_some(self.names)}")
        return self._places[name]

    def check_lengths(self) -> None:
        """Refuse rows of another length than the first."""
        for row, line in zip(self.rows, self.lines, strict=True):
            if len(row) != len(self.names):
                raise DataError(
                    f"{self.path}, line {line}: {len(row)} columns where the first line has {len(self.names)}"
                )

    def numbers(self, columns: Sequence[int]) -> NDArray:
        """The named columns as float64, shape (rows, columns)."""
        self.check_lengths()
        found = np.empty((len(self.rows), len(columns)))
        for place, (row, line) in enumerate(zip(self.rows, self.lines, strict=True)):
            try:
                found[place] = [float(row[column]) for column in columns]
            except ValueError:
                found[place] = np.nan
            if not np.isfinite(found[place]).all():
                column = next(column for column in columns if not _is_finite(row[column]))
                raise DataError(
                    f"{self.path}, line {line}, column {column + 1}: {row[column]!r} is not a number; "
                    "encode categories as numbers, fill missing values, or name the label's column as target"
                )
        return found

    def labels(self, column: int) -> NDArray:
        """A column as integers where every cell is a whole number (1 or 1.0), as text otherwise (01, 1_0).

        Numbers that are not whole, some of which occur only once, are values to be predicted: floats.
        """
        cells = [row[column].strip() if column < len(row) else "" for row in self.rows]
        for cell, line in zip(cells, self.lines, strict=True):
            if not cell:
                raise DataError(f"{self.path}, line {line}, column {column + 1}: the label is missing")
        if not cells:
            raise DataError(f"{self.path} has no rows below its header")
        if not all(map(is_plain_number, cells)):
            # Notations of other programs (0.50 and .5, 1E3) are numbers as well; codes (007) are not.
            return np.array(cells)
        if (whole := [_whole(cell) for cell in cells]) and all(number is not None for number in whole):
            largest = max(abs(number) for number in whole if number is not None)
            return np.array(whole if largest < 2**63 else cells)
        is_continuous = min(Counter(cells).values()) == 1
        return np.array(cells, dtype=np.float64) if is_continuous else np.array(cells)


def is_plain_number(cell: str) -> bool:
    """A finite number as a program writes it: 12, -0.5, 1e-3; not 1_0, 007, nan."""
    cell = cell.strip()
    return len(cell) <= _MOST_DIGITS and _PLAIN_NUMBER.fullmatch(cell) is not None and _is_finite(cell)


def _whole(cell: str) -> int | None:
    """The integer that a cell is, exactly; None for any other number."""
    try:
        number = Decimal(cell)
    except InvalidOperation:
        return None
    is_whole = number.adjusted() < _MOST_DIGITS and number == number.to_integral_value()
    return int(number) if is_whole else None


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns.

    It does if no cell of it is a number; if, as pandas writes unnamed columns, every number is its own
    position; or if its cells are of another kind than those below: text above numbers, or whole numbers
    (years, say) above numbers that are not, and no text of it occurs again in its column.
    """
    first, below = rows[0], rows[1:]
    numbers = [(k, cell.strip()) for k, cell in enumerate(first) if _is_finite(cell)]
    if not numbers or (len(numbers) >= 3 and all(cell == str(k) for k, cell in numbers)):
        return True
    if len(numbers) == len(first) or not below:
        return False
    other_kind = False
    for k, cell in enumerate(first):
        column = [row[k].strip() for row in below if k < len(row) and row[k].strip()]
        if _is_finite(cell):
            whole = _whole(cell.strip()) is not None
            other_kind |= whole and any(not _is_finite(c) or _whole(c) is None for c in column)
            continue
        if cell.strip() in column:
            return False  # a record: its text is a value like others
        other_kind |= bool(column) and all(map(_is_finite, column))
    return other_kind


def _is_finite(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def _some(names: Sequence[str], shown: int = 20) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{list(names[:shown])}{more}"
