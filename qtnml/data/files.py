"""A user's own files: NPZ, CSV (gzipped or not), IDX."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.idx import read_bytes, read_idx
from qtnml.data.named import FILES
from qtnml.data.raw import RawData, as_float_images, stratified_split
from qtnml.errors import DataError


def load_file(path: Path, *, target: str | None, test_fraction: float, seed: int) -> RawData:
    """Load a folder of four IDX files, one IDX picture file, an `.npz` or a `.csv`(`.gz`).

    Files without a test part of their own are split by `seed`, stratified.
    """
    suffixes = "".join(path.suffixes[-2:]).lower()
    if path.is_dir():
        return _load_idx_folder(path)
    if suffixes.endswith(".npz"):
        return _load_npz(path, test_fraction, seed)
    if suffixes.endswith((".csv", ".csv.gz")):
        return _load_csv(path, target, test_fraction, seed)
    if "idx3-ubyte" in path.name:
        images, labels = read_idx(path), read_idx(_labels_of(path))
        _same_length(images, labels, path)
        return stratified_split(as_float_images(images), labels, test_fraction=test_fraction, seed=seed)
    raise DataError(f"cannot tell the format of {path}; expected .npz, .csv, .csv.gz or *idx3-ubyte[.gz]")


def _load_idx_folder(folder: Path) -> RawData:
    arrays: dict[str, NDArray] = {}
    for part, file in FILES.items():
        candidates = [p for p in (folder / file, folder / f"{file}.gz") if p.is_file()]
        if not candidates:
            raise DataError(f"{folder} has no {file}[.gz]; an IDX folder holds {', '.join(FILES.values())}")
        arrays[part] = read_idx(candidates[0])
    arrays |= {part: as_float_images(arrays[part]) for part in ("X_train", "X_test")}
    _same_length(arrays["X_train"], arrays["y_train"], folder)
    _same_length(arrays["X_test"], arrays["y_test"], folder)
    return RawData(arrays["X_train"], arrays["y_train"], arrays["X_test"], arrays["y_test"])


def _labels_of(images: Path) -> Path:
    stem = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    for candidate in (images.with_name(stem), images.with_name(f"{stem}.gz")):
        if candidate.is_file() and candidate != images:
            return candidate
    raise DataError(f"no labels beside {images}: expected {stem}[.gz] in the same folder")


def _load_npz(path: Path, test_fraction: float, seed: int) -> RawData:
    """Keys `X_train, y_train, X_test, y_test` (any case), or `X, y` to be split."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key.lower(): archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, TypeError, AttributeError) as error:
        raise DataError(f"cannot read {path}: {error}; save it with numpy.savez and no objects") from error
    if {"x_train", "y_train", "x_test", "y_test"} <= arrays.keys():
        parts = [arrays[key] for key in ("x_train", "y_train", "x_test", "y_test")]
    elif {"x", "y"} <= arrays.keys():
        _same_length(arrays["x"], arrays["y"], path)
        return stratified_split(
            _samples(arrays["x"], path), arrays["y"], test_fraction=test_fraction, seed=seed
        )
    else:
        raise DataError(
            f"{path} holds {sorted(arrays)}; expected X and y, or X_train, y_train, X_test and y_test"
        )
    _same_length(parts[0], parts[1], path)
    _same_length(parts[2], parts[3], path)
    return RawData(_samples(parts[0], path), parts[1], _samples(parts[2], path), parts[3])


def _samples(X: NDArray, path: Path) -> NDArray:
    if X.ndim not in (2, 3) or not np.issubdtype(X.dtype, np.number):
        raise DataError(
            f"{path}: samples must be numbers of shape (samples, features) or (samples, rows, columns), "
            f"got {X.dtype} of shape {X.shape}"
        )
    return as_float_images(X) if X.ndim == 3 else X.astype(np.float64)


def _load_csv(path: Path, target: str | None, test_fraction: float, seed: int) -> RawData:
    """A table with an optional header; the label stands in column `target`, by default the last."""
    names, rows, first_line = _csv_rows(path)
    if len(names) < 2:
        raise DataError(f"{path} needs at least two comma-separated columns (features and a label)")
    label = _target_column(names, target, path)
    X, y = _csv_samples(path, names, rows, first_line, label)
    assert y is not None
    feature_names = tuple(name for column, name in enumerate(names) if column != label)
    return stratified_split(X, y, test_fraction=test_fraction, seed=seed, feature_names=feature_names)


def read_samples(path: Path, num_features: int, target: str | None = None) -> tuple[NDArray, NDArray | None]:
    """Read every row of an `.npy` or `.csv`(`.gz`) file, in the file's own units.

    Returns:
        X (samples, num_features), and the labels of a table that has one column more, else None.
    """
    if path.suffix.lower() == ".npy":
        try:
            X = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"cannot read {path}: {error}; save it with numpy.save and no objects") from error
        labels = None
    else:
        names, rows, first_line = _csv_rows(path)
        has_label = target is not None or len(names) == num_features + 1
        label = _target_column(names, target, path) if has_label else None
        X, labels = _csv_samples(path, names, rows, first_line, label)
    if X.ndim != 2 or X.shape[1] != num_features or not np.issubdtype(X.dtype, np.number):
        raise DataError(
            f"{path} holds samples of shape {X.shape[1:]}, the model takes {num_features} features"
        )
    return X.astype(np.float64), labels


def _csv_rows(path: Path) -> tuple[list[str], list[list[str]], int]:
    """Column names (x0, x1, ... without a header), the rows, and the first row's line number."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"cannot read {path} as UTF-8 text: {error}") from error
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    if not rows:
        raise DataError(f"{path} is empty")
    if any(_is_number(cell) for cell in rows[0]):
        return [f"x{k}" for k in range(len(rows[0]))], rows, 1
    return [name.strip() for name in rows[0]], rows[1:], 2


def _csv_samples(
    path: Path, names: list[str], rows: list[list[str]], first_line: int, label: int | None
) -> tuple[NDArray, NDArray | None]:
    columns = [column for column in range(len(names)) if column != label]
    numbers = [_numbers(row, columns, len(names), path, first_line + k) for k, row in enumerate(rows)]
    X = np.array(numbers, dtype=np.float64).reshape(len(rows), len(columns))
    return X, None if label is None else _labels([row[label].strip() for row in rows])


def _target_column(names: list[str], target: str | None, path: Path) -> int:
    if target is None:
        return len(names) - 1
    if target not in names:
        raise DataError(f"{path} has no column {target!r}; its columns are {names}")
    return names.index(target)


def _numbers(row: list[str], columns: list[int], width: int, path: Path, line: int) -> list[float]:
    if len(row) != width:
        raise DataError(f"{path}, line {line}: {len(row)} columns where the first line has {width}")
    for column in columns:
        if not _is_number(row[column]):
            raise DataError(
                f"{path}, line {line}, column {column + 1}: {row[column]!r} is not a number; "
                "encode categories as numbers and fill missing values first"
            )
    return [float(row[column]) for column in columns]


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def _labels(cells: list[str]) -> NDArray:
    """Integers where every label is one, text otherwise."""
    try:
        return np.array([int(cell) for cell in cells])
    except ValueError:
        return np.array(cells)


def _same_length(X: NDArray, y: NDArray, path: Path) -> None:
    if y.ndim != 1 or len(X) != len(y):
        raise DataError(f"{path}: {X.shape[:1]} samples but labels of shape {y.shape}; one label per sample")
