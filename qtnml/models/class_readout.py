"""From a trained model's outcomes to classes, as scikit-learn wants them."""

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.models.readout import best_temperature, class_probabilities, tempered
from qtnml.models.training import TrainedEstimator
from qtnml.models.validation import hold_out, outcomes_of_labels


class ClassReadout(ClassifierMixin, TrainedEstimator):
    """Class k is outcome k."""

    _default_loss: ClassVar[str] = "cross-entropy"
    classes_: NDArray
    temperature_: float = 1.0
    warm_start: bool
    validation_fraction: float

    def _check_same_classes(self, classes: NDArray) -> None:
        if self.warm_start and self.__sklearn_is_fitted__() and not np.array_equal(classes, self.classes_):
            raise InvalidInputError(
                f"warm_start goes on with classes {self.classes_.tolist()}, got {classes.tolist()}; set "
                "warm_start=False"
            )

    def _hold_out(self, y: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
        return hold_out(y, self.validation_fraction, rng)

    def outcome_probabilities(self, X: Any) -> NDArray:
        """Exact probability of every outcome at the root, shape (samples, 2**root_qubits)."""
        return self._evaluated(X)[0]

    def predict_proba(self, X: Any, **noisy: Any) -> NDArray:
        """Class probabilities (samples, classes): those of the measurement at the root, exactly.

        Outcomes without a class are left out and the others renormalised; `lost_mass` tells how
        much that was. A network's take `noise=`, `reuse_qubits=` and `num_qubits=`, here and in the
        methods below: see its `outcome_probabilities`.
        """
        found = class_probabilities(self.outcome_probabilities(X, **noisy), len(self.classes_))[0]
        return tempered(found, self.temperature_)

    def calibrate(self, X: Any, y: Any, **noisy: Any) -> Self:
        """Choose the temperature T of `predict_proba`, p**(1 / T) normalised, by held-out samples.

        The one with the least cross-entropy (arXiv:1706.04599); the likeliest class stays what it is. `fit`
        sets it back to 1. Measurements at the root are seldom near 0 or 1, so that T is often below 1.

        Args:
            X, y: Samples that were not trained on, and their labels.
            **noisy: See `predict_proba`: calibrate for a noisy device.
        """
        check_is_fitted(self)
        found = class_probabilities(self.outcome_probabilities(X, **noisy), len(self.classes_))[0]
        self.temperature_ = best_temperature(found, outcomes_of_labels(y, self.classes_))
        return self

    def predict_log_proba(self, X: Any, **noisy: Any) -> NDArray:
        """Natural logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X, **noisy))

    def predict(self, X: Any, **noisy: Any) -> NDArray:
        """The likeliest class of each sample, shape (samples,)."""
        proba = self.predict_proba(X, **noisy)
        return np.asarray(self.classes_[np.argmax(proba, axis=1)])

    def score(self, X: Any, y: Any, sample_weight: Any = None, **noisy: Any) -> float:
        """Accuracy on samples with labels y; with `noise=`, of the likeliest class under it."""
        return float(accuracy_score(y, self.predict(X, **noisy), sample_weight=sample_weight))

    def lost_mass(self, X: Any, **noisy: Any) -> NDArray:
        """Probability of outcomes that stand for no class, per sample; 0 for 2, 4, 8, ... classes."""
        return class_probabilities(self.outcome_probabilities(X, **noisy), len(self.classes_))[1]
