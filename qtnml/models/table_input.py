"""Tables of numbers, categories and gaps as what a network takes in: levels, or numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from qtnml.arrays import NDArray
from qtnml.data.columns import MISSING, Column
from qtnml.data.frames import Table, as_numbers
from qtnml.data.table_encoder import TableEncoder
from qtnml.errors import InvalidInputError


@dataclass(frozen=True)
class TableInput:
    """A fitted encoder and what its columns become.

    As levels every column is one leaf, with a level more where cells may be missing: where some were in
    training, or where values never seen count as missing. As numbers a column of numbers is one feature, its
    missing cells the middle of those seen, with a feature more that tells where they are missing, if some
    were in training; a column of k categories is the ceil(log2 k) bits of their numbers, missing cells being
    one category more.

    Attributes:
        encoder: Fitted.
        gaps: Which columns had missing cells in training.
        middles: Median of each column of numbers, 0 of all others.
    """

    encoder: TableEncoder
    gaps: tuple[bool, ...]
    middles: tuple[float, ...]

    @classmethod
    def learn(cls, encoder: TableEncoder, X: Any, weights: NDArray, held_out: NDArray) -> "TableInput":
        """From training samples.

        Args:
            encoder: Settings.
            X: A table.
            weights: (rows,); rows of weight 0 are not there.
            held_out: Rows that show which values there are, but shape nothing, as booleans (rows,).
        """
        if encoder.functions is not None:
            raise InvalidInputError(
                f"functions are amplitudes of Born machines; leave functions={encoder.functions!r} out of "
                "the encoder"
            )
        table = Table.of(X)
        fitted = clone(encoder).fit_table(table, weights, held_out)
        used, shaping = weights > 0, (weights > 0) & ~held_out
        gaps = tuple(bool((missing & used).any()) for missing in table.missing)
        middles = []
        for k, (cells, missing) in enumerate(zip(table.columns, table.missing, strict=True)):
            numbers = np.zeros(1)
            if _is_number(fitted, k):
                rows = shaping & ~missing
                rows = rows if rows.any() else used & ~missing
                numbers = as_numbers(cells[rows], table.names[k])
            middles.append(float(np.median(numbers)))
        return cls(fitted, gaps, tuple(middles))

    @property
    def num_columns(self) -> int:
        """Of the table."""
        return len(self.gaps)

    @property
    def dims(self) -> tuple[int, ...]:
        """Levels of each column."""
        return tuple(
            column.num_levels + self._takes_gaps(k) for k, column in enumerate(self.encoder.columns_)
        )

    def _takes_gaps(self, k: int) -> bool:
        """Whether a column has a level for what is missing."""
        return self.gaps[k] or self.encoder.unseen == "missing"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the numbers."""
        found = list[str]()
        for k, column in enumerate(self.encoder.columns_):
            if _is_number(self.encoder, k):
                found += [column.name, f"{column.name} missing"] if self.gaps[k] else [column.name]
            else:
                bits = self._bits(column, k)
                found += [f"{column.name} bit {bit}" for bit in range(bits)] if bits > 1 else [column.name]
        return tuple(found)

    def _bits(self, column: Column, k: int) -> int:
        return max(1, (column.num_levels + self._takes_gaps(k) - 1).bit_length())

    def levels(self, X: Any) -> NDArray:
        """Levels (samples, columns) as integers."""
        table, levels = Table.of(X), self.encoder.transform(X)
        for k, column in enumerate(self.encoder.columns_):
            gaps = levels[:, k] == MISSING
            if not self._takes_gaps(k):
                _refuse_gaps(table, k, gaps)
            levels[gaps, k] = column.num_levels
        return levels

    def numbers(self, X: Any) -> NDArray:
        """Numbers (samples, features), see the class."""
        table, found = Table.of(X), list[NDArray]()
        levels, strange = self.encoder.transform_quietly(table)
        categories = [k for k in range(self.num_columns) if not _is_number(self.encoder, k)]
        if strange[:, categories].any():
            self.encoder.transform(table)  # which raises or warns
        for k, column in enumerate(self.encoder.columns_):
            missing = table.missing[k] if k not in categories else levels[:, k] == MISSING
            if not (self.gaps[k] if k not in categories else self._takes_gaps(k)):
                _refuse_gaps(table, k, missing)
            if k in categories:
                codes = np.where(missing, column.num_levels, levels[:, k])
                found += [((codes >> bit) & 1).astype(np.float64) for bit in range(self._bits(column, k))]
                continue
            numbers = np.full(len(table), self.middles[k])
            numbers[~missing] = as_numbers(table.columns[k][~missing], column.name)
            found += [numbers, missing.astype(np.float64)] if self.gaps[k] else [numbers]
        return np.stack(found, axis=1)

    def to_dict(self) -> dict[str, Any]:
        """JSON types; `from_dict` is the inverse."""
        return {"encoder": self.encoder.to_dict(), "holes": list(self.gaps), "middles": list(self.middles)}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "TableInput":
        """Rebuild from `to_dict`."""
        encoder = TableEncoder.from_dict(stored["encoder"])
        gaps, middles = tuple(map(bool, stored["holes"])), tuple(map(float, stored["middles"]))
        if not len(gaps) == len(middles) == len(encoder.columns_) or not np.isfinite(middles).all():
            raise InvalidInputError("gaps and middles are one for each column, and finite")
        return cls(encoder, gaps, middles)


def _refuse_gaps(table: Table, k: int, gaps: NDArray) -> None:
    if gaps.any():
        raise InvalidInputError(
            f"column {table.names[k]!r} has no value in row {int(np.argmax(gaps))} of {len(table)}, but "
            "every training row had one; fill it in"
        )


def _is_number(encoder: TableEncoder, k: int) -> bool:
    """Whether a column is taken as a number, and not as categories."""
    column = encoder.columns_[k]
    named = {
        entry if isinstance(entry, str) else encoder.columns_[int(entry)].name
        for entry in encoder.categorical
    }
    return column.is_numeric and column.name not in named
