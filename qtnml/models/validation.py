"""Checks at the estimators' door, and the split that picks the best epoch."""

from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, validate_data

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError

_SMALLEST_HOLD_OUT = 50


def checked_training_data(
    estimator: Any, X: Any, y: Any, sample_weight: Any
) -> tuple[NDArray, NDArray, NDArray]:
    """Return X (float64), y and weights of the samples whose weight is not zero.

    scikit-learn's own messages, raised as this package's error.
    """
    try:
        X, y = validate_data(estimator, X, y, dtype=np.float64)
        check_classification_targets(y)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    except ValueError as error:
        raise InvalidInputError(str(error)) from error
    used = weights > 0
    classes = np.unique(y[used])
    if len(classes) < 2:
        raise InvalidInputError(
            f"a classifier needs samples of at least two classes with positive weight, got only one class: "
            f"{classes.tolist()}"
        )
    return X[used], y[used], weights[used]


def checked_samples(estimator: Any, X: Any) -> NDArray:
    """Return X as float64 of the width the estimator was fitted on."""
    try:
        return np.asarray(validate_data(estimator, X, reset=False, dtype=np.float64))
    except ValueError as error:
        raise InvalidInputError(str(error)) from error


def hold_out(y: NDArray, fraction: float, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Indices (training, validation), the same fraction of every class.

    Nothing is held out if that would be fewer than 50 samples: they could not rank epochs.
    """
    if len(y) * fraction < _SMALLEST_HOLD_OUT:
        return np.arange(len(y)), np.arange(0)
    held = [
        rng.permutation(np.flatnonzero(y == label))[: round(fraction * np.sum(y == label))]
        for label in np.unique(y)
    ]
    validation = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(y)), validation), validation
