"""A data set in memory, with the information needed to show its samples as pictures."""

from dataclasses import dataclass

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.shown import facts_html, some


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test samples with features in [0, 1]; the arrays are read-only.

    Attributes:
        name: Name of the data set.
        X_train, X_test: Features, shapes (samples, features), float64 in [0, 1].
        y_train, y_test: Original labels, shape (samples,).
        image_shape: (rows, columns) of the pictures, or None for a table.
        order: `order[k]` is the raster position (or table column) of feature `k`.
        low, high: Raw values that were scaled to 0 and 1, shape (features,).
        feature_names: One name per feature in feature order; empty for pictures.
        target_name: Column of a CSV table that holds the labels.
    """

    name: str
    X_train: NDArray
    y_train: NDArray
    X_test: NDArray
    y_test: NDArray
    image_shape: tuple[int, int] | None
    order: NDArray
    low: NDArray
    high: NDArray
    feature_names: tuple[str, ...] = ()
    target_name: str | None = None

    def __post_init__(self) -> None:
        for array in (self.X_train, self.y_train, self.X_test, self.y_test, self.order, self.low, self.high):
            array.setflags(write=False)

    @property
    def num_features(self) -> int:
        """Number of features of one sample."""
        return int(self.X_train.shape[1])

    @property
    def classes(self) -> NDArray:
        """The sorted distinct labels of the training samples."""
        return np.unique(self.y_train)

    def raw(self, X: NDArray) -> NDArray:
        """Undo the scaling: convert features in [0, 1] to the units of the source, shape unchanged."""
        X = np.asarray(X)
        return np.asarray(self.low * (1 - X) + self.high * X)

    def image(self, sample: NDArray) -> NDArray:
        """Undo the pixel order: convert features (..., features) to pictures (..., rows, columns)."""
        if self.image_shape is None:
            raise InvalidInputError(f"data set {self.name!r} is a table: its samples are not pictures")
        sample = np.asarray(sample)
        if sample.shape[-1:] != (self.num_features,):
            raise InvalidInputError(
                f"a sample of {self.name!r} has {self.num_features} features, got shape {sample.shape}"
            )
        raster = np.empty_like(sample)
        raster[..., self.order] = sample
        return raster.reshape(*sample.shape[:-1], *self.image_shape)

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}, {len(self.X_train)} training and {len(self.X_test)} test samples, "
            f"{self.num_features} features, classes {self.classes.tolist()})"
        )

    def _repr_html_(self) -> str:
        facts = {
            "training samples": f"{len(self.X_train):,}",
            "test samples": f"{len(self.X_test):,}",
            "features": f"{self.num_features:,}"
            + ("" if self.image_shape is None else f", {self.image_shape[0]}x{self.image_shape[1]} pixels"),
            "labels": some(self.classes.tolist()),
        }
        return facts_html(f"Dataset {self.name}", facts)
