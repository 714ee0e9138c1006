"""A Born machine's samples as levels, and filled-in levels as samples."""

from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.cells import MISSING, refuse_sparse
from qtnml.errors import InvalidInputError


def bits(X: Any) -> NDArray:
    """Levels of bits, -1 where NaN."""
    refuse_sparse(X)
    if np.iscomplexobj(X):
        raise InvalidInputError(
            "samples must be bits 0 and 1, got complex numbers; Complex data not supported"
        )
    try:
        table = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"samples must be bits 0 and 1 ({error}); for categories and numbers pass encoder=TableEncoder()"
        ) from error
    if table.ndim != 2 or not table.size:
        raise InvalidInputError(
            f"Expected 2D array of bits with at least one sample and one feature, got shape {table.shape}. "
            "Reshape your data, as (samples, features)"
        )
    strange = ~(np.isnan(table) | (table == 0) | (table == 1))
    if strange.any():
        row, column = np.argwhere(strange)[0]
        raise InvalidInputError(
            f"samples must be bits 0 and 1 (NaN where missing), got {table[row, column]:g} in row {row}, "
            f"column {column}; for categories and numbers pass encoder=TableEncoder()"
        )
    return np.where(np.isnan(table), MISSING, table).astype(np.int64)
