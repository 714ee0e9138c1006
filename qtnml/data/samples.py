"""Samples for a trained model: every row of a file, with or without labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.limits import read_npy
from qtnml.data.tables import CsvTable
from qtnml.errors import DataError


def read_samples(
    path: Path,
    num_features: int,
    *,
    feature_names: Sequence[str] = (),
    target: str | None = None,
    header: bool | None = None,
) -> tuple[NDArray, NDArray | None]:
    """Read every row of an `.npy` or `.csv`(`.gz`) file, in the file's own units.

    Args:
        path: The file.
        num_features: Number of features of the model.
        feature_names: Feature names of the model; columns of a table with a header are chosen by them.
        target: Column of the labels, which may be absent.
        header: Whether the first row of a table names its columns; None decides by its cells.

    Returns:
        X (samples, num_features), and the labels or None. Without names and target, if a table has one
        column more than the features, its last column holds the labels.
    """
    if path.suffix.lower() == ".npy":
        return _checked(read_npy(path), num_features, path), None
    table = CsvTable.read(path, header=header)
    label = _label_column(table, num_features, feature_names, target)
    if table.has_header and feature_names:
        columns = [table.column(name) for name in feature_names]
    else:
        columns = [column for column in range(len(table.names)) if column != label]
    if len(columns) != num_features:
        raise DataError(
            f"{path} has {len(columns)} columns of features, the model takes {num_features} features"
        )
    X = _checked(table.numbers(columns), num_features, path)
    return X, None if label is None else table.labels(label)


def _label_column(
    table: CsvTable, num_features: int, feature_names: Sequence[str], target: str | None
) -> int | None:
    if target is not None and (target in table.names or not feature_names):
        return table.column(target)
    known = set(feature_names)
    spare = [k for k, name in enumerate(table.names) if not table.has_header or name not in known]
    has_spare = len(table.names) == num_features + 1
    return spare[-1] if has_spare else None


def _checked(X: NDArray, num_features: int, path: Path) -> NDArray:
    if X.ndim != 2 or X.shape[1] != num_features or not np.issubdtype(X.dtype, np.number):
        raise DataError(
            f"{path} holds {X.dtype} of shape {X.shape}, the model takes numbers of shape "
            f"(samples, {num_features})"
        )
    if len(X) == 0:
        raise DataError(f"{path} holds no samples")
    return X.astype(np.float64)
