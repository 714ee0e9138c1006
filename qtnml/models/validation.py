"""Checks at the estimators' door, and the split that picks the best epoch."""

from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y, validate_data

from qtnml.arrays import NDArray
from qtnml.data.frames import Table, is_frame, refuse_masked, row_weights
from qtnml.data.table_encoder import TableEncoder
from qtnml.errors import InvalidInputError, invalid_input

_SMALLEST_HOLD_OUT = 50
_FEWEST_ROWS = 40


def checked_training_data(
    estimator: Any, X: Any, y: Any, sample_weight: Any, known: NDArray | None = None
) -> tuple[NDArray, NDArray, NDArray]:
    """Return X (float64), y and weights of the samples whose weight is not zero.

    Samples have at least two classes, unless there are `known` ones. Where the estimator has an encoder X is
    the row of each sample in its table, (samples, 1). scikit-learn's own messages, raised as this package's
    error.
    """
    X, y = _checked(estimator, X, y, sample_weight, y_numeric=False)
    try:
        check_classification_targets(y)
    except (TypeError, ValueError) as error:
        raise invalid_input(error) from error
    # Only ratios of weights matter; in float64 here, so that float32 training meets no extremes.
    weights = row_weights(sample_weight, len(X))
    used = weights > 0
    classes = np.unique(y[used]) if known is None else known
    if len(classes) < 2:
        raise InvalidInputError(
            f"a classifier needs samples of at least two classes with positive weight, got only one class: "
            f"{classes.tolist()}"
        )
    X, y, weights = X[used], y[used], weights[used]
    if (by_class := getattr(estimator, "class_weight", None)) is not None:
        try:
            weights = weights * compute_sample_weight(by_class, y)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"class_weight must be None, 'balanced' or a dict of labels, got {by_class!r}: {error}"
            ) from error
        if not (np.isfinite(weights).all() and (weights > 0).all()):
            raise InvalidInputError(f"class weights must be positive numbers, got {by_class!r}")
    return X, y, weights / weights.mean()


def checked_regression_data(
    estimator: Any, X: Any, y: Any, sample_weight: Any
) -> tuple[NDArray, NDArray, NDArray]:
    """Return X, y (float64) and weights of the samples whose weight is not zero; X as for classes."""
    X, y = _checked(estimator, X, y, sample_weight, y_numeric=True)
    try:
        y = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise invalid_input(error) from error
    # Only ratios of weights matter; in float64 here, so that float32 training meets no extremes.
    weights = row_weights(sample_weight, len(X))
    used = weights > 0
    return X[used], y[used], weights[used] / weights[used].mean()


def _checked(
    estimator: Any, X: Any, y: Any, sample_weight: Any, *, y_numeric: bool
) -> tuple[NDArray, NDArray]:
    if estimator.encoder is not None:
        refuse_masked(y=y, sample_weight=sample_weight)
        return _checked_table(estimator, X, y)
    refuse_masked(X=X, y=y, sample_weight=sample_weight)
    try:
        X, y = validate_data(estimator, X, y, dtype=np.float64, y_numeric=y_numeric)
    except (TypeError, ValueError) as error:
        raise _told_where(X, error) from error
    return X, y


def _checked_table(estimator: Any, X: Any, y: Any) -> tuple[NDArray, NDArray]:
    """Rows of a table as samples, and targets."""
    if not isinstance(estimator.encoder, TableEncoder):
        raise InvalidInputError(f"encoder must be a qtnml.TableEncoder or None, got {estimator.encoder!r}")
    table = Table.of(X)
    try:
        y = _check_y(y, multi_output=False, y_numeric=False, estimator=estimator)
        check_consistent_length(table.columns[0], y)
    except (TypeError, ValueError) as error:
        raise invalid_input(error) from error
    estimator.n_features_in_ = len(table.names)
    if table.frame is not None:
        estimator.feature_names_in_ = np.array(table.names, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_
    return np.arange(len(table), dtype=np.float64)[:, None], np.asarray(y)


def _told_where(X: Any, error: Exception) -> InvalidInputError:
    """scikit-learn's message; of text or gaps also the column of a DataFrame, and the cure."""
    if not any(word in str(error) for word in ("could not convert", "NaN", "missing values")):
        return invalid_input(error)
    where = ""
    if is_frame(X):
        try:
            table = Table.of(X)
        except InvalidInputError as told:
            return told
        for name, cells, missing in zip(table.names, table.columns, table.missing, strict=True):
            if missing.any() or cells.dtype.kind == "O":
                where = f"column {name!r}: "
                break
    return InvalidInputError(
        f"{where}{str(error).splitlines()[0]}; for text, categories and missing cells pass "
        "encoder=qtnml.TableEncoder()"
    )


def checked_samples(estimator: Any, X: Any) -> NDArray:
    """Return X as float64 of the width the estimator was fitted on."""
    refuse_masked(X=X)
    try:
        return np.asarray(validate_data(estimator, X, reset=False, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise invalid_input(error) from error


def outcomes_of_labels(y: Any, classes: NDArray) -> NDArray:
    """The outcome that stands for each label, integers (samples,)."""
    labels = column_or_1d(y)
    outcome = {label: k for k, label in enumerate(np.asarray(classes).tolist())}
    strange = sorted({str(label) for label in labels.tolist() if label not in outcome})
    if strange:
        raise InvalidInputError(f"labels {strange[:10]} are none of the model's classes {list(outcome)}")
    return np.array([outcome[label] for label in labels.tolist()], dtype=int)


def generator(random_state: Any) -> np.random.Generator:
    """A generator from None, an integer or a RandomState, as scikit-learn takes them."""
    try:
        state = check_random_state(random_state)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            "random_state must be None, an integer from 0 to 2**32 - 1 or a numpy RandomState, "
            f"got {random_state!r}"
        ) from error
    return np.random.default_rng(state.randint(2**31))


def hold_out(y: NDArray, fraction: float, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Indices (training, validation), the same fraction of every class, never a whole class.

    Nothing is held out if that would be fewer than 50 samples: they could not rank epochs.
    """
    if len(y) * fraction < _SMALLEST_HOLD_OUT:
        return np.arange(len(y)), np.arange(0)
    held = [
        rng.permutation(np.flatnonzero(y == label))[: min(round(fraction * count), count - 1)]
        for label, count in zip(*np.unique(y, return_counts=True), strict=True)
    ]
    validation = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(y)), validation), validation


def hold_out_rows(samples: int, fraction: float, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Indices (training, validation) for a density: of few rows up to a quarter, of fewer than 40 none.

    A distribution that knows nothing of held-out rows learns small tables by heart.
    """
    if fraction == 0 or samples < _FEWEST_ROWS:
        return np.arange(samples), np.arange(0)
    held = min(max(round(fraction * samples), min(_SMALLEST_HOLD_OUT, samples // 4)), samples - 1)
    order = rng.permutation(samples)
    return np.sort(order[held:]), np.sort(order[:held])


def hold_out_any(samples: int, fraction: float, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Indices (training, validation) of a random split; nothing is held out if fewer than 50 samples."""
    if samples * fraction < _SMALLEST_HOLD_OUT:
        return np.arange(samples), np.arange(0)
    order = rng.permutation(samples)
    held = min(round(fraction * samples), samples - 1)
    return np.sort(order[held:]), np.sort(order[:held])
