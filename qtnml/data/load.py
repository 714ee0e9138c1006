"""`load_dataset`: any named set or file, filtered, averaged, ordered, and scaled to [0, 1]."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.dataset import Dataset
from qtnml.data.files import load_file
from qtnml.data.named import DATASET_NAMES, load_named
from qtnml.data.orders import pixel_order
from qtnml.data.raw import RawData
from qtnml.data.resize import area_average
from qtnml.errors import DataError, InvalidInputError


def load_dataset(
    name_or_path: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] | None = None,
    classes: Sequence[object] | None = None,
    order: str = "raster",
    target: str | None = None,
    header: bool | None = None,
    ignore: Sequence[str] = (),
    train_size: int | None = None,
    test_fraction: float = 0.25,
    seed: int = 0,
) -> Dataset:
    """Load a data set with features in [0, 1].

    Args:
        name_or_path: "digits", "iris", "breast-cancer" (built in), "mnist", "fashion-mnist" (found in the
            directory named by the environment variable QTNML_DATA, else in the user cache, else
            downloaded), or a path: `.npz`, `.csv`, `.csv.gz`, an IDX picture file, a folder of four IDX
            files.
        size: Side (or rows and columns) to average pictures down to; None keeps their size.
        classes: Keep only these labels.
        order: Pixel order of pictures: "raster", "snake", "z" (quad-tree) or "patches" (2x2, in snake order).
        target: Column of the labels in a CSV file with a header; the last column by default.
        header: Whether the first row of a CSV file names the columns; None decides by its cells.
        ignore: Columns of a CSV file to leave out.
        train_size: Number of training samples to keep, drawn with `seed`.
        test_fraction: Fraction of test samples, if the source has no split of its own.
        seed: Seed of the split and of the draw of `train_size`.

    Tables are scaled by the smallest and largest training value of each column. Test values outside this
    range are clipped.

    Raises:
        DataError: The name is unknown, the file is unreadable, or the download failed.
        InvalidInputError: An option does not fit the data.

    >>> load_dataset("digits", classes=(3, 5), order="z")
    Dataset('digits', 273 training and 92 test samples, 64 features, classes [3, 5])
    """
    _check_options(size, classes, order, train_size, test_fraction)
    name, raw = _load_raw(name_or_path, target, header, tuple(ignore), test_fraction, seed)
    raw = drawn(with_classes(raw, classes, name), train_size, seed)
    _check_samples(raw, name)
    X_train, X_test, shape = _flat_features(raw, size, name)
    positions = pixel_order(order, *shape) if shape else np.arange(X_train.shape[1])
    low, high = _range(X_train, raw, is_picture=shape is not None)
    return Dataset(
        name=name,
        X_train=np.ascontiguousarray(_scaled(X_train, low, high)[:, positions]),
        y_train=np.array(raw.y_train),
        X_test=np.ascontiguousarray(_scaled(X_test, low, high)[:, positions]),
        y_test=np.array(raw.y_test),
        image_shape=shape,
        order=positions,
        low=low[positions],
        high=high[positions],
        feature_names=raw.feature_names,
        target_name=raw.target_name,
    )


def _check_options(size: Any, classes: Any, order: Any, train_size: Any, test_fraction: Any) -> None:
    """Refuse options of the wrong kind before any file is read."""
    sides = size if isinstance(size, tuple | list) else (size, size)
    if size is not None and (len(sides) != 2 or not all(_is_count(side) for side in sides)):
        raise InvalidInputError(f"size must be a side or (rows, columns) in pixels, got {size!r}")
    if classes is not None and (isinstance(classes, str) or not isinstance(classes, Iterable)):
        raise InvalidInputError(f"classes must be a sequence of labels such as (3, 5), got {classes!r}")
    if not isinstance(order, str):
        raise InvalidInputError(f"order must be the name of a pixel order, got {order!r}")
    if train_size is not None and not _is_count(train_size):
        raise InvalidInputError(f"train_size must be a positive integer, got {train_size!r}")
    if not isinstance(test_fraction, float) or not 0 < test_fraction < 1:
        raise InvalidInputError(f"test_fraction must lie between 0 and 1, got {test_fraction!r}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) > 0


def _load_raw(
    name_or_path: str | os.PathLike[str],
    target: str | None,
    header: bool | None,
    ignore: tuple[str, ...],
    test_fraction: float,
    seed: int,
) -> tuple[str, RawData]:
    if isinstance(name_or_path, str) and name_or_path in DATASET_NAMES:
        if ignore:
            raise InvalidInputError(f"ignore={ignore!r} is for CSV files; {name_or_path!r} is none")
        return name_or_path, load_named(name_or_path, test_fraction=test_fraction, seed=seed)
    try:
        path = Path(name_or_path).expanduser()
        exists = path.exists()
    except TypeError as error:
        raise InvalidInputError(f"a data set is a name or a path, got {name_or_path!r}") from error
    except (OSError, RuntimeError, ValueError):  # longer than a name can be; no home folder; a null byte
        exists = False
    if not exists:
        raise DataError(
            f"unknown data set {str(name_or_path)!r}: neither a file nor one of {', '.join(DATASET_NAMES)}"
        )
    found = load_file(
        path, target=target, header=header, ignore=ignore, test_fraction=test_fraction, seed=seed
    )
    return path.name, found


def with_classes(raw: RawData, classes: Sequence[object] | None, name: str) -> RawData:
    """Only samples of some classes."""
    if classes is None:
        return raw
    present = np.unique(raw.y_train).tolist()
    wanted = [_as_label(c, raw.y_train) for c in classes]
    missing = [c for c in wanted if c not in present]
    if missing or len(set(wanted)) < 2:
        raise InvalidInputError(
            f"classes must name at least two labels of {name!r}, got {tuple(classes)}; it has {present}"
        )
    train, test = (np.isin(y, np.array(wanted)) for y in (raw.y_train, raw.y_test))
    return replace(
        raw,
        X_train=raw.X_train[train],
        y_train=raw.y_train[train],
        X_test=raw.X_test[test],
        y_test=raw.y_test[test],
    )


def _as_label(value: object, labels: NDArray) -> object:
    """Read a class given as text (on a command line) in the labels' own type."""
    if isinstance(value, str) and np.issubdtype(labels.dtype, np.integer):
        try:
            return int(value)
        except ValueError:
            return value
    return value


def drawn(raw: RawData, train_size: int | None, seed: int) -> RawData:
    """So many training samples."""
    if train_size is None:
        return raw
    if train_size > len(raw.y_train):
        raise InvalidInputError(f"train_size must be 1 to {len(raw.y_train)}, got {train_size}")
    chosen = np.sort(np.random.default_rng(seed).choice(len(raw.y_train), train_size, replace=False))
    return replace(raw, X_train=raw.X_train[chosen], y_train=raw.y_train[chosen])


def _check_samples(raw: RawData, name: str) -> None:
    for part, X in (("training", raw.X_train), ("test", raw.X_test)):
        if X.size == 0:
            raise DataError(f"{name!r} has no {part} samples (shape {X.shape})")
        if not np.isfinite(X).all():
            raise DataError(f"{name!r} has NaN or infinite values in its {part} samples; fill them first")
    if raw.X_train.shape[1:] != raw.X_test.shape[1:]:
        raise DataError(
            f"{name!r}: training samples of shape {raw.X_train.shape[1:]} but test samples of shape "
            f"{raw.X_test.shape[1:]}"
        )


def _flat_features(
    raw: RawData, size: int | tuple[int, int] | None, name: str
) -> tuple[NDArray, NDArray, tuple[int, int] | None]:
    """Features of both parts, shape (samples, features), and the picture shape if they are pictures."""
    if raw.X_train.ndim == 2:
        if size is not None:
            raise InvalidInputError(f"size={size} is for pictures; {name!r} is a table")
        return raw.X_train, raw.X_test, None
    if size is None:
        rows, columns = raw.X_train.shape[1:]
    else:
        rows, columns = map(int, size if isinstance(size, tuple | list) else (size, size))
    train, test = (
        area_average(X, rows, columns).reshape(len(X), rows * columns) for X in (raw.X_train, raw.X_test)
    )
    return train, test, (rows, columns)


def _range(X_train: NDArray, raw: RawData, *, is_picture: bool) -> tuple[NDArray, NDArray]:
    """Values to become 0 and 1: one range for all pixels, one per column of a table."""
    if is_picture:
        low, high = min(raw.X_train.min(), 0.0), max(raw.X_train.max(), 1.0)
        return np.full(X_train.shape[1], low), np.full(X_train.shape[1], high)
    return X_train.min(axis=0), X_train.max(axis=0)


def _scaled(X: NDArray, low: NDArray, high: NDArray) -> NDArray:
    """Map [low, high] to [0, 1], clipped; a column without spread becomes 0."""
    # Halves keep the difference of two huge values finite.
    span = np.where(high > low, high / 2 - low / 2, 1.0)
    return np.asarray((np.clip(X, low, high) / 2 - low / 2) / span)
