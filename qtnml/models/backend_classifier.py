"""A trained classifier whose probabilities are measured on a backend, where it can be trained further."""

import os
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import column_or_1d

from qtnml.arrays import NDArray
from qtnml.backends import Backend, get_backend
from qtnml.compile import BoundCircuits, CompiledCircuit
from qtnml.errors import BackendError, InvalidInputError
from qtnml.hybrid import HybridTraining, TrainingPlan, Where, train_on_backend
from qtnml.hybrid.training import plan_training
from qtnml.jobs import JobStore, Plan
from qtnml.models.progress import progress_bar
from qtnml.models.readout import class_probabilities, counts_to_outcomes
from qtnml.models.validation import checked_samples, outcomes_of_labels


class BackendClassifier(ClassifierMixin, BaseEstimator):
    """Made, ready to predict, by `TreeClassifier.to_backend`; predicts from counted outcomes.

    Every run goes through a ledger of jobs (see `qtnml.JobStore`): what was measured once is not bought
    again, and nothing is lost when the process ends.

    Args:
        compiled: The circuit with its trained weights.
        classes: Class labels in the order of the outcomes.
        backend: A backend, its name, or a Qiskit backend or sampler.
        feature_names: Column names the model was fitted on; other names are refused.
        shots: Measurements per sample.
        jobs: The ledger: a `JobStore`, a file or SQLAlchemy URL, or None for the user's own.
        repeat: Another number measures anew, independently of what is stored.
        label: For people, to find the runs in `qtnml jobs list`.
        training: How `fit` trains: optimiser, steps, budgets, checkpoint (see `qtnml.hybrid.HybridTraining`).
        verbose: 1 shows a progress bar on standard error.
    """

    def __init__(
        self,
        compiled: CompiledCircuit,
        classes: NDArray,
        backend: Backend | str = "aer",
        *,
        feature_names: NDArray | None = None,
        shots: int = 1024,
        jobs: JobStore | str | os.PathLike[str] | None = None,
        repeat: int = 0,
        label: str = "",
        training: HybridTraining | None = None,
        verbose: int = 0,
    ) -> None:
        self.compiled = compiled
        self.classes = classes
        self.backend = backend
        self.feature_names = feature_names
        self.shots = shots
        self.jobs = jobs
        self.repeat = repeat
        self.label = label
        self.training = training
        self.verbose = verbose

    @property
    def classes_(self) -> NDArray:
        """Class labels."""
        return self.classes

    @property
    def n_features_in_(self) -> int:
        """Number of features."""
        return self.compiled.num_features

    @property
    def trained(self) -> CompiledCircuit:
        """The circuit that predicts: with the weights of the last `fit`, or those it came with."""
        return getattr(self, "compiled_", self.compiled)

    def fit(self, X: Any, y: Any) -> Self:
        """Go on training on the backend, from the weights the classifier came with.

        Sets `compiled_` (the circuit with its new weights, which predicts from now on), `history_` (a
        `HybridRecord` for each step) and `stopped_` (why it ended). A killed training goes on where it was if
        `training` has a checkpoint; without one, its evaluations are still in the ledger.

        Args:
            X: Samples (samples, features).
            y: Labels, of the classes the model knows.
        """
        angles, targets = self._training_data(X, y)
        how = self.training or HybridTraining()
        backend = self._backend()
        with progress_bar(f"training on {backend.name}", how.steps, show=bool(self.verbose)) as advance:
            result = train_on_backend(
                self.compiled,
                angles,
                targets,
                Where(backend, self._store(), self.shots, self.repeat, self.label),
                how,
                on_step=lambda record: advance(
                    record.step, f"loss {record.loss:.4f}, {record.shots:,} shots"
                ),
            )
        self.compiled_, self.history_, self.stopped_ = result.compiled, list(result.history), result.stopped
        return self

    def plan_fit(self, X: Any) -> TrainingPlan:
        """What `fit` would spend on these samples at most."""
        samples = len(checked_samples(self, X))
        return plan_training(self.compiled, samples, self.training or HybridTraining(), self.shots)

    def _training_data(self, X: Any, y: Any) -> tuple[NDArray, NDArray]:
        """Data angles, and the outcome that stands for each label."""
        angles = self.compiled.angles(checked_samples(self, X))
        labels = column_or_1d(y)
        if len(labels) != len(angles):
            raise InvalidInputError(f"{len(angles)} samples but {len(labels)} labels")
        return angles, outcomes_of_labels(labels, self.classes)

    @property
    def feature_names_in_(self) -> NDArray:
        """Column names; there are none if the model was fitted on a plain array."""
        if self.feature_names is None:
            raise AttributeError("the model was fitted without feature names")
        return self.feature_names

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def circuits(self, X: Any) -> BoundCircuits:
        """The bound circuits of samples, as they are run.

        After `fit` their weights stay parameters of one template, as they were in training: with numbers in
        their place a translation could be another circuit, with other noise.
        """
        compiled = self.trained
        angles = compiled.angles(checked_samples(self, X))
        return compiled.bind_angles(angles, compiled.weights if hasattr(self, "compiled_") else None)

    def plan(self, X: Any) -> Plan:
        """What predicting these samples would buy: circuits, shots, estimated seconds on the device."""
        return self._store().plan(self.circuits(X), self._backend(), shots=self.shots, repeat=self.repeat)

    def outcome_frequencies(self, X: Any, *, confirm: Callable[[Plan], bool] | None = None) -> NDArray:
        """Measured frequency of every outcome, shape (samples, 2**root_qubits).

        Args:
            X: Samples.
            confirm: Called with the plan before anything is bought; False stops.
        """
        backend, circuits = self._backend(), self.circuits(X)
        with progress_bar(f"running on {backend.name}", len(circuits), show=bool(self.verbose)) as advance:
            counts = self._store().run(
                circuits,
                backend,
                shots=self.shots,
                repeat=self.repeat,
                label=self.label,
                confirm=confirm,
                on_progress=lambda done, text: advance(done, text or "circuits"),
            )
        return counts_to_outcomes(counts, self.compiled.num_outcomes)

    def _store(self) -> JobStore:
        return self.jobs if isinstance(self.jobs, JobStore) else JobStore(self.jobs)

    def _backend(self) -> Backend:
        backend = get_backend(self.backend)
        if self.compiled.num_resets and not backend.capabilities.resets:
            raise BackendError(
                f"the circuit has {self.compiled.num_resets} mid-circuit resets, which backend "
                f"{backend.name!r} lacks; use to_backend(..., reuse_qubits=False)"
            )
        return backend

    def predict_proba(self, X: Any) -> NDArray:
        """Class probabilities as measured, shape (samples, classes)."""
        return class_probabilities(self.outcome_frequencies(X), len(self.classes))[0]

    def predict(self, X: Any) -> NDArray:
        """The class measured most often, shape (samples,)."""
        return np.asarray(self.classes[np.argmax(self.predict_proba(X), axis=1)])

    def lost_mass(self, X: Any) -> NDArray:
        """Share of shots that fell on outcomes without a class, per sample."""
        return class_probabilities(self.outcome_frequencies(X), len(self.classes))[1]
