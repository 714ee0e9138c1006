"""Soft labels: a circuit model learns what a larger one says of samples (distillation, arXiv:1503.02531)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.contract import AmplitudeModel, Model, Parameters
from qtnml.encoding import FeatureScaler
from qtnml.errors import InvalidInputError
from qtnml.models.handover import handed_over


@dataclass(frozen=True, eq=False)
class Teacher:
    """Whom a classifier learns from beside the labels; for `TreeClassifier.fit(X, y, teacher=)`.

    The target of a sample is `share` times what the teacher says and 1 - `share` times its label; its loss is
    the mean of the losses of labels drawn from that.

    Attributes:
        model: A fitted classifier with `predict_proba` and `classes_` (an amplitude classifier of any bond,
            or any of scikit-learn's), or probabilities (samples, classes) of the training samples, classes in
            sorted order.
        share: Of the teacher, 0 to 1.
        temperature: Probabilities are raised to 1 / temperature and normalised again. A network's own are
            those of a measurement, far from certain; the default loss of a circuit reads them to the power
            of 8, and so does the default here. Softer targets cost nothing in exact accuracy, but leave
            margins that few shots cannot see (experiments/distillation).
    """

    model: Any
    share: float = 0.5
    temperature: float = 0.125

    def __post_init__(self) -> None:
        for name, value, most in (("share", self.share, 1.0), ("temperature", self.temperature, np.inf)):
            is_number = isinstance(value, float | int | np.floating) and not isinstance(value, bool)
            if not is_number or not 0 < value <= most or not np.isfinite(value):
                raise InvalidInputError(
                    f"{name} must be a number above 0{' and at most 1' if most == 1 else ''}, got {value!r}"
                )

    @classmethod
    def of(cls, given: Any) -> "Teacher":
        """A teacher as it is, or with the usual share and temperature."""
        return given if isinstance(given, Teacher) else cls(given)

    def targets(self, X: Any, labels: NDArray, classes: NDArray, used: NDArray) -> NDArray:
        """Shares of each class in the targets of samples, (samples, classes).

        Args:
            X: Samples as the user gave them.
            labels: Class numbers of the samples in use.
            classes: All classes.
            used: Which samples are, (samples given,) of bool.

        Raises:
            InvalidInputError: The teacher does not know a class, or gives no probabilities of the samples.
        """
        found = self._probabilities(X, classes, len(used))[used] ** (1 / self.temperature)
        total = found.sum(axis=1, keepdims=True)
        if not (total > 0).all():
            row = int(np.flatnonzero(used)[np.argmin(total[:, 0])])
            raise InvalidInputError(
                f"the teacher gives sample {row} no class of the training labels; give it weight 0, or the "
                "teacher probabilities that sum to 1"
            )
        found = self.share * found / total
        found[np.arange(len(labels)), labels] += 1 - self.share
        return np.asarray(found)

    def start(self, model: Model) -> tuple[Parameters, FeatureScaler] | None:
        """Where a circuit model can start: at an amplitude classifier's own cores, where they fit."""
        teacher = getattr(self.model, "model_", None)
        if not isinstance(teacher, AmplitudeModel) or self.model.table_ is not None:
            return None
        cores = teacher.network.cores(self.model.params_.nodes)
        found = handed_over(teacher, [np.asarray(core, np.float64) for core in cores], model)
        return None if found is None else (found, self.model.scaler_)

    def _probabilities(self, X: Any, classes: NDArray, rows: int) -> NDArray:
        if hasattr(self.model, "predict_proba"):
            known = getattr(self.model, "classes_", None)
            if known is None:
                raise InvalidInputError(f"the teacher {type(self.model).__name__} is not fitted")
            columns = {label: k for k, label in enumerate(np.asarray(known).tolist())}
            if missing := [label for label in classes.tolist() if label not in columns]:
                raise InvalidInputError(
                    f"the teacher does not know class {missing[0]!r}, only {list(columns)}"
                )
            found = np.asarray(self.model.predict_proba(X), float)
            found = found[:, [columns[label] for label in classes.tolist()]]
        else:
            try:
                found = np.asarray(self.model, float)
            except (TypeError, ValueError) as error:
                raise InvalidInputError(
                    f"a teacher is a fitted classifier or an array of probabilities, got {self.model!r}"
                ) from error
        if found.shape != (rows, len(classes)):
            raise InvalidInputError(
                f"the teacher gives probabilities of shape {found.shape}; {rows} samples of {len(classes)} "
                f"classes need {(rows, len(classes))}"
            )
        if not np.isfinite(found).all() or (found < 0).any():
            row = int(np.flatnonzero(~(np.isfinite(found) & (found >= 0)).all(axis=1))[0])
            raise InvalidInputError(
                f"the teacher's probabilities are finite and at least 0, got {found[row].tolist()} for "
                f"sample {row}"
            )
        return found
