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


def kept_where_known(X: Any, levels: NDArray, decoded: Any, rows: NDArray) -> Any:
    """Cells that were there as they were; the others as decoded.

    Args:
        X: As a user gave it: (samples, features).
        levels: Of it, -1 where missing.
        decoded: For each of `rows` a filled-in sample.
        rows: Places in X.
    """
    known = levels[rows] >= 0
    if hasattr(decoded, "columns"):
        result = decoded.copy()
        if hasattr(X, "iloc"):
            result.index = X.index[rows]
        for k, name in enumerate(result.columns):
            column = (
                X.iloc[rows, k].to_numpy() if hasattr(X, "iloc") else np.asarray(X, dtype=object)[rows, k]
            )
            cells = result[name].to_numpy().copy()
            if cells.dtype.kind == "f" and column.dtype.kind not in "fiu":
                column = np.where(known[:, k], column, np.nan).astype(np.float64)
            elif cells.dtype != column.dtype:
                cells = cells.astype(object)
            cells[known[:, k]] = column[known[:, k]]
            result[name] = cells
        return result
    if decoded.dtype.kind in "iu":
        return decoded
    table = X if isinstance(X, np.ndarray) else np.asarray(X, dtype=object)
    if decoded.dtype.kind == "f" and table.dtype.kind == "O":
        table = np.where(levels >= 0, table, np.nan).astype(np.float64)
    kind = np.result_type(table.dtype, decoded.dtype) if table.dtype.kind in "biuf" else object
    return np.where(known, table[rows].astype(kind), decoded.astype(kind))
