"""A user's own files: NPZ, CSV (gzipped or not), IDX."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.idx import is_idx, read_idx
from qtnml.data.limits import read_npz
from qtnml.data.named import FILES
from qtnml.data.raw import RawData, as_float_images, check_pairs, stratified_split
from qtnml.data.tables import CsvTable
from qtnml.errors import DataError


def load_file(
    path: Path,
    *,
    target: str | None,
    header: bool | None,
    ignore: tuple[str, ...] = (),
    test_fraction: float,
    seed: int,
) -> RawData:
    """Load a folder of four IDX files, one IDX picture file, an `.npz` or a `.csv`(`.gz`).

    Files without a test part of their own are split by `seed`, stratified.
    """
    suffixes = "".join(path.suffixes[-2:]).lower()
    if ignore and not suffixes.endswith((".csv", ".csv.gz")):
        raise DataError(f"ignore={ignore!r} is for CSV files; {path} is none")
    if path.is_dir():
        return _load_idx_folder(path)
    if suffixes.endswith(".npz"):
        return _load_npz(path, test_fraction, seed)
    if suffixes.endswith((".csv", ".csv.gz")):
        return _load_csv(path, target, header, ignore, test_fraction, seed)
    if is_idx(path):
        images, labels = read_idx(path), read_idx(_labels_of(path))
        check_pairs(images, labels, path)
        return stratified_split(as_float_images(images), labels, test_fraction=test_fraction, seed=seed)
    raise DataError(f"cannot tell the format of {path}; expected .npz, .csv, .csv.gz or IDX pictures")


def _load_idx_folder(folder: Path) -> RawData:
    arrays: dict[str, NDArray] = {}
    for part, file in FILES.items():
        candidates = [p for p in (folder / file, folder / f"{file}.gz") if p.is_file()]
        if not candidates:
            raise DataError(f"{folder} has no {file}[.gz]; an IDX folder holds {', '.join(FILES.values())}")
        arrays[part] = read_idx(candidates[0])
    arrays |= {part: as_float_images(arrays[part]) for part in ("X_train", "X_test")}
    check_pairs(arrays["X_train"], arrays["y_train"], folder)
    check_pairs(arrays["X_test"], arrays["y_test"], folder)
    return RawData(arrays["X_train"], arrays["y_train"], arrays["X_test"], arrays["y_test"])


def _labels_of(images: Path) -> Path:
    """The labels' file beside a picture file, named like it with labels for images."""
    stem = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    for candidate in (images.with_name(stem), images.with_name(f"{stem}.gz")):
        if candidate.is_file() and candidate != images:
            return candidate
    raise DataError(f"no labels beside {images}: expected {stem}[.gz] in the same folder")


def _load_npz(path: Path, test_fraction: float, seed: int) -> RawData:
    """Keys `X_train, y_train, X_test, y_test` (any case), or `X, y` to be split."""
    arrays = {key.lower(): array for key, array in read_npz(path).items()}
    if {"x_train", "y_train", "x_test", "y_test"} <= arrays.keys():
        parts = [arrays[key] for key in ("x_train", "y_train", "x_test", "y_test")]
    elif {"x", "y"} <= arrays.keys():
        check_pairs(arrays["x"], arrays["y"], path)
        return stratified_split(_samples(arrays["x"]), arrays["y"], test_fraction=test_fraction, seed=seed)
    else:
        raise DataError(
            f"{path} holds {sorted(arrays)}; expected X and y, or X_train, y_train, X_test and y_test"
        )
    check_pairs(parts[0], parts[1], path)
    check_pairs(parts[2], parts[3], path)
    return RawData(_samples(parts[0]), parts[1], _samples(parts[2]), parts[3])


def _samples(X: NDArray) -> NDArray:
    return as_float_images(X) if X.ndim == 3 else X.astype(np.float64)


def _load_csv(
    path: Path,
    target: str | None,
    header: bool | None,
    ignore: tuple[str, ...],
    test_fraction: float,
    seed: int,
) -> RawData:
    """A table with an optional header; the label stands in column `target`, by default the last."""
    table = CsvTable.read(path, header=header)
    if len(table.names) < 2:
        hint = "; it seems to be separated by semicolons" if ";" in table.names[0] else ""
        raise DataError(f"{path} needs at least two comma-separated columns (features and a label){hint}")
    left_out = {table.column(name) for name in ignore}
    kept = [column for column in range(len(table.names)) if column not in left_out]
    label = (kept or [0])[-1] if target is None else table.column(target)
    features = [column for column in kept if column != label]
    if not features:
        raise DataError(f"{path} has no column of features left")
    if table.has_header and any(table.names[column] == "" for column in features):
        raise DataError(
            f"{path} has a column without a name, which looks like row numbers; save it without an index "
            "(pandas: to_csv(..., index=False)) or name the column"
        )
    found = stratified_split(
        table.numbers(features),
        table.labels(label),
        test_fraction=test_fraction,
        seed=seed,
        feature_names=tuple(table.names[column] for column in features) if table.has_header else (),
    )
    return replace(found, target_name=table.names[label])
