"""A trained classifier whose probabilities are measured on a backend."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from qtnml.arrays import NDArray
from qtnml.backends import Backend, resolve_backend
from qtnml.compile import CompiledCircuit
from qtnml.errors import BackendError
from qtnml.models.progress import progress_bar
from qtnml.models.readout import class_probabilities, counts_to_outcomes
from qtnml.models.validation import checked_samples, generator

_BATCH = 32


class BackendClassifier(ClassifierMixin, BaseEstimator):
    """Made, ready to predict, by `TreeClassifier.to_backend`; predicts from counted outcomes.

    Args:
        compiled: The circuit with its trained weights.
        classes: Class labels in the order of the outcomes.
        backend: A backend or its name.
        feature_names: Column names the model was fitted on; other names are refused.
        shots: Measurements per sample.
        random_state: Seed of a simulator's shots; the same seed gives the same counts.
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
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.compiled = compiled
        self.classes = classes
        self.backend = backend
        self.feature_names = feature_names
        self.shots = shots
        self.random_state = random_state
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

    def outcome_frequencies(self, X: Any) -> NDArray:
        """Measured frequency of every outcome, shape (samples, 2**root_qubits)."""
        backend = self._backend()
        angles = self.compiled.angles(checked_samples(self, X))
        seeds = generator(self.random_state).integers(2**31, size=len(angles))
        parts = []
        with progress_bar(f"running on {backend.name}", len(angles), show=bool(self.verbose)) as advance:
            for start in range(0, len(angles), _BATCH):
                circuits = self.compiled.bind_angles(angles[start : start + _BATCH])
                counts = backend.run(circuits, shots=self.shots, seed=int(seeds[start]))
                parts.append(counts_to_outcomes(counts, self.compiled.num_outcomes))
                advance(start + len(circuits), "circuits")
        return np.concatenate(parts)

    def _backend(self) -> Backend:
        backend = resolve_backend(self.backend)
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
