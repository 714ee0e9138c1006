"""`AnomalyDetector`: records that a Born machine finds unlikely, and why."""

from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.born.evidence import log_alone, log_conditionals
from qtnml.data.frames import Table, is_frame, row_weights
from qtnml.data.table_encoder import TableEncoder
from qtnml.errors import InvalidInputError
from qtnml.explain import RecordExplanation
from qtnml.models.born import MPSBornMachine
from qtnml.models.born_data import bits
from qtnml.models.born_machine import BornMachine
from qtnml.models.saved import SavedToFile
from qtnml.models.settings import is_number
from qtnml.models.validation import generator

_JUDGED = ("record", "feature", "both", "dependence")
_LEAST_CALIBRATION = 20
_LEAST_SPREAD = 0.1  # nats: a feature that follows from the others never varies among few records


class AnomalyDetector(SavedToFile, OutlierMixin, BaseEstimator):
    """Outlier detection by the exact likelihood of a Born machine (arXiv:2401.00867).

    Trained on normal records (or on mostly normal ones), with scikit-learn's outlier interface: `predict`
    gives 1 for inliers and -1 for outliers, `score_samples` the log-density, `decision_function` that
    minus the threshold. Missing values are marginalised, exactly. Scores of records with different missing
    columns are not comparable, and records with many missing values are rarely flagged.

    Args:
        model: A Born machine; None takes `MPSBornMachine(4, encoder=TableEncoder(bins=8, unseen="missing"),
            order="mutual-information", complex_amplitudes=True, smoothing=0.05, epochs=60)`.
        contamination: Share of normal records below the threshold.
        calibration_fraction: Share of the records that the model does not learn from, and whose scores set
            the threshold: those of records it has learnt are too high. With fewer than 20 of them, or 0, the
            threshold is a quantile of the training records, as in scikit-learn's other detectors.
        density: Judge numbers by their density, which falls exponentially outside of the range seen, and not
            by the probability of their bins alone: a number far out is an anomaly.
        by: What a record is judged by. "record": its density. "feature": its least likely value given
            all others, which finds values that are usual one by one but do not belong together, and records
            of many columns of which one is wrong. "both": the more anomalous of the two. "dependence": its
            probability over that of its values one by one (`BornMachine.log_dependence`): combinations that
            do not belong together, among all records, whichever cells are missing.
        unseen: Added to the score for each value that was not seen in training, nats; without `density` also
            for each number that lies further outside the range seen than the outermost bin is wide. Takes
            effect with an encoder that has unseen="missing".
        random_state: Of the split, and passed to the model.

    Attributes:
        model_: The fitted model.
        offset_: The threshold, in the units of `score_samples`.
        usual_: With by="feature" or "both": mean and standard deviation of each feature's conditional
            log-likelihood (and, last, of the whole record's) over normal records, (2, features + 1).

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
        calibration_fraction: float = 0.2,
        density: bool = True,
        by: Literal["record", "feature", "both", "dependence"] = "record",
        unseen: float = -10.0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.model = model
        self.contamination = contamination
        self.calibration_fraction = calibration_fraction
        self.density = density
        self.by = by
        self.unseen = unseen
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = tags.input_tags.string = True
        return tags

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: ARG002
        """Learn what is normal, and the threshold."""
        self.check_settings()
        model = _default_model() if self.model is None else clone(self.model)
        if self.random_state is not None:
            model.set_params(random_state=self.random_state)
        rows = len(Table.of(X)) if model.encoder is not None else len(bits(X))
        weights = row_weights(sample_weight, rows)
        learnt, judged = self._split(weights)
        X = X if is_frame(X) or isinstance(X, np.ndarray) else np.asarray(X, dtype=object)
        model.fit(
            _safe_indexing(X, learnt), sample_weight=weights[learnt] if sample_weight is not None else None
        )
        parts = self._parts(model, _safe_indexing(X, judged))
        usual = _usual(parts, weights[judged])
        offset = _threshold(self._joined(parts, usual), weights[judged], float(self.contamination))
        self.model_, self.offset_, self.n_features_in_ = model, offset, model.n_features_in_
        self.usual_ = usual
        if hasattr(model, "feature_names_in_"):
            self.feature_names_in_ = model.feature_names_in_
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return self

    def check_settings(self) -> None:
        """Refuse settings that cannot be used."""
        if self.by not in _JUDGED:
            raise InvalidInputError(f"by must be one of {', '.join(map(repr, _JUDGED))}, got {self.by!r}")
        for name, most in (("contamination", 0.5), ("calibration_fraction", 1.0)):
            share = getattr(self, name)
            if not (is_number(share, int, float, np.number) and 0 <= share < most):
                raise InvalidInputError(f"{name} must be at least 0 and below {most}, got {share!r}")
        if not (is_number(self.unseen, int, float, np.number) and -np.inf < self.unseen <= 0):
            raise InvalidInputError(f"unseen must be a finite number of at most 0, got {self.unseen!r}")
        if self.model is not None and not isinstance(self.model, BornMachine):
            raise InvalidInputError(f"model must be a Born machine or None, got {self.model!r}")
        seed = self.random_state
        if self.model is not None and self.model.resume and not is_number(seed, int, np.integer):
            raise InvalidInputError(
                f"a model with resume=True needs an integer random_state of the detector, got {seed!r}: the "
                "split must be the same again"
            )

    def _split(self, weights: NDArray) -> tuple[NDArray, NDArray]:
        """Rows to learn from, and rows whose scores set the threshold: those of weight 0 are in neither."""
        used = np.flatnonzero(weights > 0)
        number = int(len(used) * self.calibration_fraction)
        if number < _LEAST_CALIBRATION:
            return used, used
        order = generator(self.random_state).permutation(used)
        return np.sort(order[number:]), np.sort(order[:number])

    def score_samples(self, X: Any) -> NDArray:
        """How usual records are, (samples,): the lower, the more anomalous.

        With by="record" the log-density, and with by="dependence" the `log_dependence` of the model, nats.
        Otherwise standard deviations from what is usual: of the strangest value given the others, of the
        whole record, or the lower of these.
        """
        check_is_fitted(self, "model_")
        return self._joined(self._parts(self.model_, X), self.usual_)

    def _parts(self, model: BornMachine, X: Any) -> NDArray:
        """Conditional log-likelihoods of each feature where they count, and the record's, last."""
        density = self.density and self.by != "dependence"  # which density within bins would cancel from
        levels, beside = _seen(model, X, density=density, unseen=float(self.unseen))
        whole = (model.log_likelihood_of_levels(levels) + beside.sum(axis=1))[:, None]
        if self.by == "dependence":
            whole = whole - log_alone(model.marginals(), levels)[:, None]
        if self.by in ("record", "dependence"):
            return np.asarray(whole)
        return np.concatenate([log_conditionals(model.state_, levels) + beside, whole], axis=1)

    def _joined(self, parts: NDArray, usual: NDArray) -> NDArray:
        if self.by in ("record", "dependence"):
            return parts[:, -1]
        standard = (parts - usual[0]) / usual[1]
        return np.asarray(standard[:, : None if self.by == "both" else -1].min(axis=1))

    def decision_function(self, X: Any) -> NDArray:
        """`score_samples` minus the threshold: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray:
        """1 for inliers, -1 for outliers."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def explain(self, x: Any) -> RecordExplanation:
        """Why a record has its score: see `BornMachine.explain`; values never seen are remarked on."""
        check_is_fitted(self, "model_")
        found: RecordExplanation = self.model_.explain(x)
        # A number far outside has its cost in the density, where that is judged.
        costly = [remark for remark in found.remarks if not self.density or "never seen" in remark]
        if not costly:
            return found
        all_of_them = "This" if len(costly) == 1 else "Each of these"
        which = all_of_them if len(costly) == len(found.remarks) else "Each value never seen"
        cost = f"{which} costs {-float(self.unseen):g} nats of the score."
        return replace(found, remarks=(*found.remarks, cost))


def _seen(model: BornMachine, X: Any, *, density: bool, unseen: float) -> tuple[NDArray, NDArray]:
    """Levels, and what each value counts beside the probability of its level, nats, (samples, features)."""
    encoder = model.encoder_
    if encoder is None or encoder.unseen == "error":
        levels = model.levels(X)
        strange = np.zeros(levels.shape, dtype=bool)
    else:
        levels, strange = encoder.transform_quietly(X)
        if not density:  # which falls outside of the range by itself
            strange |= encoder.out_of_range(X)
    beside = np.where(strange, unseen, 0.0)
    return levels, beside + encoder.log_densities(X, levels) if density and encoder is not None else beside


def _usual(parts: NDArray, weights: NDArray) -> NDArray:
    """Weighted mean and standard deviation of each column, (2, columns); the latter at least a tenth."""
    mean = np.average(parts, axis=0, weights=weights)
    spread = np.sqrt(np.average((parts - mean) ** 2, axis=0, weights=weights))
    return np.stack([mean, np.maximum(spread, _LEAST_SPREAD)])


def _default_model() -> MPSBornMachine:
    return MPSBornMachine(
        4,
        encoder=TableEncoder(bins=8, unseen="missing"),
        order="mutual-information",
        complex_amplitudes=True,
        smoothing=0.05,
        epochs=60,  # more of them learn a small table by heart
    )


def _threshold(logs: NDArray, weights: NDArray, share: float) -> float:
    """The largest score below which lies at most this share of the weights; a weight counts as copies."""
    values, places = np.unique(logs, return_inverse=True)
    below = np.cumsum(np.bincount(places.ravel(), weights=weights))
    number = int((below <= share * below[-1] + 1e-9 * below[-1]).sum())
    return float(values[min(number, len(values) - 1)])
