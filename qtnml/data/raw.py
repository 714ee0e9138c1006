"""Raw data of every source, before features are ordered and scaled."""

from dataclasses import dataclass

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import DataError


@dataclass(frozen=True)
class RawData:
    """Samples as pictures (samples, rows, columns) or as a table (samples, features), split in two.

    `target_name` is the column of a table that the labels came from.
    """

    X_train: NDArray
    y_train: NDArray
    X_test: NDArray
    y_test: NDArray
    feature_names: tuple[str, ...] = ()
    target_name: str | None = None


def stratified_split(
    X: NDArray, y: NDArray, *, test_fraction: float, seed: int, feature_names: tuple[str, ...] = ()
) -> RawData:
    """Split samples so that both parts hold the classes in the same proportions.

    Targets that are floats are values, not classes, and are split at random.
    """
    from sklearn.model_selection import train_test_split

    classes, counts = np.unique(y, return_counts=True)
    is_continuous = y.dtype.kind == "f"
    if len(y) == 0 or (counts.min() < 2 and not is_continuous):
        rare = classes[counts < 2].tolist()
        raise DataError(
            f"cannot split {len(y)} samples into training and test: a class needs at least two samples, "
            f"these have one: {rare[:5]}"
        )
    try:
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, test_size=test_fraction, random_state=seed, stratify=None if is_continuous else y
        )
    except ValueError as error:
        raise DataError(
            f"cannot split {len(y)} samples into {1 - test_fraction:g} training and {test_fraction:g} test: "
            f"{error}"
        ) from error
    return RawData(X_train, y_train, X_test, y_test, feature_names)


def as_float_images(images: NDArray) -> NDArray:
    """Scale 8-bit pictures by 255; any other type is scaled later, by its largest value."""
    return images / 255.0 if images.dtype == np.uint8 else images.astype(np.float64)


def check_pairs(X: NDArray, y: NDArray, source: object) -> None:
    """Refuse samples and labels that do not belong together."""
    if X.ndim not in (2, 3) or not np.issubdtype(X.dtype, np.number) or np.iscomplexobj(X):
        raise DataError(
            f"{source}: samples must be real numbers of shape (samples, features) or "
            f"(samples, rows, columns), got {X.dtype} of shape {X.shape}"
        )
    if y.ndim != 1 or len(X) != len(y):
        raise DataError(
            f"{source}: {len(X)} samples but labels of shape {y.shape}; there must be one label per sample"
        )
