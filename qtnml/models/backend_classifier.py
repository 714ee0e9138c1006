"""A trained classifier whose probabilities are measured on a backend."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from qtnml.arrays import NDArray
from qtnml.backends import Backend, get_backend
from qtnml.compile import BoundCircuits, CompiledCircuit
from qtnml.errors import BackendError
from qtnml.jobs import JobStore, Plan
from qtnml.models.progress import progress_bar
from qtnml.models.readout import class_probabilities, counts_to_outcomes
from qtnml.models.validation import checked_samples


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
    def feature_names_in_(self) -> NDArray:
        """Column names; there are none if the model was fitted on a plain array."""
        if self.feature_names is None:
            raise AttributeError("the model was fitted without feature names")
        return self.feature_names

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def circuits(self, X: Any) -> BoundCircuits:
        """The bound circuits of samples, as they are run."""
        return self.compiled.bind_angles(self.compiled.angles(checked_samples(self, X)))

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
