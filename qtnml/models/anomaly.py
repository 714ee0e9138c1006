"""`AnomalyDetector`: records that a Born machine finds unlikely, and why."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.data.table_encoder import TableEncoder
from qtnml.errors import InvalidInputError
from qtnml.explain import RecordExplanation
from qtnml.models.born import MPSBornMachine
from qtnml.models.born_machine import BornMachine
from qtnml.models.settings import is_number


class AnomalyDetector(OutlierMixin, BaseEstimator):
    """Outlier detection by the exact likelihood of a Born machine (arXiv:2401.00867).

    Trained on normal records (or on mostly normal ones), with scikit-learn's outlier interface: `predict`
    gives 1 for inliers and -1 for outliers, `score_samples` the log-likelihood, `decision_function` that
    minus the threshold. Missing values are summed over exactly.

    Args:
        model: A Born machine; None takes `MPSBornMachine(16, encoder=TableEncoder(bins=16, unseen="missing"),
            order="mutual-information", complex_amplitudes=True)`.
        contamination: Share of the training records below the threshold.
        density: Divide the probability of a bin by its width, so that scores are densities of numbers.
        unseen: Added to the log-likelihood for each value that was not seen in training, nats; needs an
            encoder with unseen="missing".
        random_state: Passed to the model.

    Attributes:
        model_: The fitted model.
        offset_: The threshold, nats.

    >>> rng = np.random.default_rng(0)
    >>> normal = np.repeat(rng.integers(0, 2, size=(200, 1)), 4, axis=1)  # four equal bits
    >>> detector = AnomalyDetector(random_state=0).fit(normal)
    >>> detector.predict([[1, 1, 1, 1], [1, 0, 1, 0]]).tolist()
    [1, -1]
    """

    def __init__(
        self,
        model: BornMachine | None = None,
        *,
        contamination: float = 0.01,
        density: bool = False,
        unseen: float = -10.0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.model = model
        self.contamination = contamination
        self.density = density
        self.unseen = unseen
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = tags.input_tags.string = True
        return tags

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: ARG002
        """Learn what is normal, and the threshold."""
        share = self.contamination
        if not (is_number(share, int, float, np.number) and 0 <= share < 0.5):
            raise InvalidInputError(f"contamination must be at least 0 and below 0.5, got {share!r}")
        if not (is_number(self.unseen, int, float, np.number) and self.unseen <= 0):
            raise InvalidInputError(f"unseen must be a number of at most 0, got {self.unseen!r}")
        if self.model is not None and not isinstance(self.model, BornMachine):
            raise InvalidInputError(f"model must be a Born machine or None, got {self.model!r}")
        model = _default_model() if self.model is None else clone(self.model)
        if self.random_state is not None:
            model.set_params(random_state=self.random_state)
        model.fit(X, sample_weight=sample_weight)
        self.model_ = model
        self.n_features_in_ = model.n_features_in_
        if hasattr(model, "feature_names_in_"):
            self.feature_names_in_ = model.feature_names_in_
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        logs = self.score_samples(X)
        weights = np.ones(len(logs)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        self.offset_ = _threshold(logs, weights, float(share))
        return self

    def score_samples(self, X: Any) -> NDArray:
        """Log-likelihood of records, nats, (samples,): the lower the stranger."""
        check_is_fitted(self, "model_")
        return scores(self.model_, X, density=self.density, unseen=float(self.unseen))

    def decision_function(self, X: Any) -> NDArray:
        """`score_samples` minus the threshold: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray:
        """1 for inliers, -1 for outliers."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def explain(self, x: Any) -> RecordExplanation:
        """Why a record has its score: see `BornMachine.explain`."""
        check_is_fitted(self, "model_")
        found: RecordExplanation = self.model_.explain(x)
        return found


def scores(model: BornMachine, X: Any, *, density: bool, unseen: float) -> NDArray:
    """Log-likelihoods (or log-densities) of samples; values never seen in training cost `unseen` each."""
    encoder = model.encoder_
    if encoder is None:
        return model.score_samples(X)
    levels, strange = encoder.transform_quietly(X)
    found = model.log_likelihood_of_levels(levels) + unseen * strange.sum(axis=1)
    return np.asarray(found - encoder.log_widths(levels) if density else found)


def _default_model() -> MPSBornMachine:
    return MPSBornMachine(
        16,
        encoder=TableEncoder(bins=16, unseen="missing"),
        order="mutual-information",
        complex_amplitudes=True,
    )


def _threshold(logs: NDArray, weights: NDArray, share: float) -> float:
    """The largest score below which lies at most this share of the weights; a weight counts as copies."""
    values, places = np.unique(logs, return_inverse=True)
    below = np.cumsum(np.bincount(places.ravel(), weights=weights))
    number = int((below <= share * below[-1] + 1e-9 * below[-1]).sum())
    return float(values[min(number, len(values) - 1)])
