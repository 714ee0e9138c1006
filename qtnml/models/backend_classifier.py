"""A trained classifier whose probabilities are measured on a backend, where it can be trained further."""

import os
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin

from qtnml.arrays import NDArray
from qtnml.backends import Backend
from qtnml.compile import CompiledCircuit
from qtnml.hybrid import HybridTraining
from qtnml.jobs import JobStore
from qtnml.models.backend_model import BackendModel
from qtnml.models.readout import class_probabilities, tempered
from qtnml.models.table_input import TableInput
from qtnml.models.validation import outcomes_of_labels


class BackendClassifier(ClassifierMixin, BackendModel):
    """Made, ready to predict, by `TreeClassifier.to_backend`; predicts from counted outcomes.

    Every run goes through a ledger of jobs (see `qtnml.JobStore`): what was measured once is not bought
    again, and nothing is lost when the process ends. `save` writes the classifier with its tuned weights, its
    circuit and the name of its backend, `qtnml.load_model` reads it; it can be pickled as well.

    Args:
        compiled: The circuit with its trained weights.
        classes: Class labels in the order of the outcomes.
        backend: A backend, its name, or a Qiskit backend or sampler.
        feature_names: Column names the model was fitted on; other names are refused.
        table: What turns tables into features, of a model with an encoder.
        temperature: Of `predict_proba`, p**(1 / T) normalised; see `TreeClassifier.calibrate`.
        shots: Measurements per sample.
        jobs: The ledger: a `JobStore`, a file or SQLAlchemy URL, or None for the user's own (of simulators in
            this process: one in memory, which writes no file). False keeps nothing, and simulates again what
            is asked for again; not for backends that are paid for.
        repeat: Another number measures anew, independently of what is stored.
        label: For people, to find the runs in `qtnml jobs list`.
        mitigation: Of noise, by `predict_proba` and `predict`: "readout", "zne" (or "zne-richardson",
            "zne-exponential"), "learned", "postselection", some of them joined by "+", or objects of
            `qtnml.mitigation`.
        max_age: Seconds since they were measured after which stored shots no longer count; "calibration"
            takes those of the device's present calibration alone; None takes all.
        training: How `fit` trains: optimiser, steps, budgets, checkpoint (see `qtnml.hybrid.HybridTraining`).
        verbose: 1 shows a progress bar on standard error.
    """

    def __init__(
        self,
        compiled: CompiledCircuit,
        classes: NDArray,
        backend: Backend | str | None = "aer",
        *,
        feature_names: NDArray | None = None,
        table: TableInput | None = None,
        temperature: float = 1.0,
        shots: int = 1024,
        jobs: JobStore | str | os.PathLike[str] | bool | None = None,
        repeat: int = 0,
        label: str = "",
        mitigation: Any = None,
        max_age: float | str | None = None,
        training: HybridTraining | None = None,
        verbose: int = 0,
    ) -> None:
        self.compiled = compiled
        self.classes = classes
        self.backend = backend
        self.feature_names = feature_names
        self.table = table
        self.temperature = temperature
        self.shots = shots
        self.jobs = jobs
        self.repeat = repeat
        self.label = label
        self.mitigation = mitigation
        self.max_age = max_age
        self.training = training
        self.verbose = verbose

    @property
    def classes_(self) -> NDArray:
        """Class labels."""
        return self.classes

    def _targets(self, y: NDArray) -> NDArray:
        return outcomes_of_labels(y, self.classes)

    def predict_proba(self, X: Any) -> NDArray:
        """Class probabilities as measured, shape (samples, classes)."""
        found = class_probabilities(self._outcomes(X), len(self.classes))[0]
        return tempered(found, float(self.temperature))

    def predict(self, X: Any) -> NDArray:
        """The class measured most often, shape (samples,)."""
        return np.asarray(self.classes[np.argmax(self.predict_proba(X), axis=1)])

    def _predicted(
        self, outcomes: NDArray, errors: NDArray | None, counted: NDArray | None
    ) -> tuple[NDArray, NDArray]:
        """Class probabilities (samples, classes) and their standard errors."""
        count = len(self.classes)
        found, lost = class_probabilities(outcomes, count)
        if errors is not None:
            return found, errors[:, :count]
        falling = np.asarray(counted) * (1 - lost)
        with np.errstate(divide="ignore"):
            return found, np.where(
                falling[:, None] > 0, np.sqrt(found * (1 - found) / falling[:, None]), np.inf
            )

    def lost_mass(self, X: Any) -> NDArray:
        """Share of shots that fell on outcomes without a class, per sample."""
        return class_probabilities(self._outcomes(X), len(self.classes))[1]
