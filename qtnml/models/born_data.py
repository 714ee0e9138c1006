"""A Born machine's samples as levels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.columns import MISSING
from qtnml.data.frames import Table, is_frame, refuse_sparse
from qtnml.data.table_encoder import TableEncoder
from qtnml.errors import InvalidInputError

_CURE = "for categories and numbers pass encoder=TableEncoder()"


def bits(X: Any) -> NDArray:
    """Levels of bits, -1 where missing (NaN, masked, or what a DataFrame has for it)."""
    refuse_sparse(X)
    if np.iscomplexobj(X):
        raise InvalidInputError(
            "samples must be bits 0 and 1, got complex numbers; Complex data not supported"
        )
    try:
        if is_frame(X):
            table = Table.of(X).numbers()
        elif isinstance(X, np.ma.MaskedArray):
            table = np.where(np.ma.getmaskarray(X), np.nan, X.data.astype(np.float64))
        else:
            table = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInputError(f"samples must be bits 0 and 1 ({error}); {_CURE}") from error
    if table.ndim != 2 or not table.size:
        raise InvalidInputError(
            f"Expected 2D array of bits with at least one sample and one feature, got shape {table.shape}. "
            "Reshape your data, as (samples, features)"
        )
    is_other = ~(np.isnan(table) | (table == 0) | (table == 1))
    if is_other.any():
        row, column = np.argwhere(is_other)[0]
        raise InvalidInputError(
            f"samples must be bits 0 and 1 (NaN where missing), got {table[row, column]:g} in row {row}, "
            f"column {column}; {_CURE}"
        )
    return np.where(np.isnan(table), MISSING, table).astype(np.int64)


def levels_encoder(dims: Sequence[int]) -> TableEncoder:
    """A fitted encoder of columns whose values are the levels 0, 1, ... of sites."""
    rows = np.arange(max(dims))[:, None] % np.array(dims)
    return TableEncoder(categorical=tuple(range(len(dims)))).fit(rows)
