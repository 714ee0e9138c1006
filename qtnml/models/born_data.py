"""A Born machine's samples as levels, and filled-in levels as samples."""

from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.table_encoder import MISSING, refuse_sparse
from qtnml.errors import InvalidInputError


def bits(X: Any) -> NDArray:
    """Levels of bits, -1 where NaN."""
    refuse_sparse(X)
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
            "column "
            f"{column}; for categories and numbers pass encoder=TableEncoder()"
        )
    return np.where(np.isnan(table), MISSING, table).astype(np.int64)


def kept_where_known(X: Any, levels: NDArray, decoded: Any) -> Any:
    """Cells that were there as they were; the others as decoded."""
    if hasattr(decoded, "columns"):
        result = decoded.copy()
        result.index = X.index
        for k, name in enumerate(result.columns):
            known = levels[:, k] >= 0
            original = X.iloc[:, k]
            result[name] = original.where(known, result[name])
        return result
    table = np.asarray(X)
    kind = np.result_type(table.dtype, decoded.dtype) if table.dtype.kind in "biuf" else object
    if decoded.dtype.kind in "iu":
        return decoded
    return np.where(levels >= 0, table.astype(kind), decoded.astype(kind))
