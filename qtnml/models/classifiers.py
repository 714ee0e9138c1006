"""`TreeClassifier` and `MPSClassifier`: networks that are scikit-learn classifiers and quantum circuits."""

from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import ClassifierMixin

from qtnml.arrays import NDArray
from qtnml.backends import Backend, resolve_backend
from qtnml.errors import InvalidInputError
from qtnml.models.backend_classifier import BackendClassifier
from qtnml.models.estimator import NetworkEstimator
from qtnml.models.readout import check_root, class_probabilities, qubits_for_classes
from qtnml.models.validation import checked_training_data, hold_out
from qtnml.network import Topology


class NetworkClassifier(ClassifierMixin, NetworkEstimator):
    """Reads the class off the root: class k is outcome k."""

    _default_loss: ClassVar[str] = "cross-entropy"
    classes_: NDArray

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> Self:
        self._check_parameters()
        X, y, weights = checked_training_data(self, X, y, sample_weight)
        classes, labels = np.unique(y, return_inverse=True)
        if self.warm_start and self.__sklearn_is_fitted__() and not np.array_equal(classes, self.classes_):
            raise InvalidInputError(
                f"warm_start goes on with classes {self.classes_.tolist()}, got {classes.tolist()}; set "
                "warm_start=False"
            )
        self._learn(X, labels.ravel(), weights, self._topology_for(X, len(classes)), "outcomes")
        self.classes_ = classes
        return self

    def _topology_for(self, X: NDArray, num_classes: int) -> Topology:
        available = self._topology(X, 1).num_qubits[-1]
        if isinstance(self.topology, Topology):
            available = self.topology.root_qubits
        check_root(num_classes, available, X.shape[1], int(self.bond_qubits), self._shape)
        return self._topology(X, qubits_for_classes(num_classes))

    def _hold_out(self, y: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
        return hold_out(y, self.validation_fraction, rng)

    def outcome_probabilities(self, X: Any) -> NDArray:
        """Exact probability of every outcome at the root, shape (samples, 2**root_qubits)."""
        return self._evaluated(X)[0]

    def predict_proba(self, X: Any) -> NDArray:
        """Class probabilities (samples, classes): those of the measurement at the root, exactly.

        Outcomes without a class are left out and the others renormalised; `lost_mass` tells how
        much that was.
        """
        return class_probabilities(self.outcome_probabilities(X), len(self.classes_))[0]

    def predict_log_proba(self, X: Any) -> NDArray:
        """Natural logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> NDArray:
        """The likeliest class of each sample, shape (samples,)."""
        proba = self.predict_proba(X)
        return np.asarray(self.classes_[np.argmax(proba, axis=1)])

    def lost_mass(self, X: Any) -> NDArray:
        """Probability of outcomes that stand for no class, per sample; 0 for 2, 4, 8, ... classes."""
        return class_probabilities(self.outcome_probabilities(X), len(self.classes_))[1]

    def to_backend(
        self,
        backend: Backend | str,
        *,
        shots: int = 1024,
        reuse_qubits: bool = True,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> BackendClassifier:
        """The same classifier with its probabilities measured on a backend.

        Args:
            backend: A backend or its name.
            shots: Measurements per sample.
            reuse_qubits: As for `compile`.
            random_state: Seed of a simulator's shots.
            verbose: 1 shows a progress bar on standard error.
        """
        return BackendClassifier(
            self.compile(reuse_qubits=reuse_qubits),
            self.classes_,
            resolve_backend(backend),
            feature_names=getattr(self, "feature_names_in_", None),
            shots=shots,
            random_state=random_state,
            verbose=verbose,
        )


class TreeClassifier(NetworkClassifier):
    """Balanced tree of unitaries over the features, read out at the root (arXiv:1803.11537).

    Every feature is encoded in one qubit (or more, by `encoding`). A node acts on the qubits of two
    wires, keeps `bond_qubits` of them and lets the others go; measuring what the root keeps gives the
    class. `predict_proba` is the exact probability of that measurement.

    Arguments and attributes are those of `NetworkEstimator`, and `classes_`, the labels.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = TreeClassifier(bond_qubits=2, epochs=100, random_state=0).fit(X, y)
    >>> bool(clf.score(X, y) > 0.9)
    True
    """

    _shape: ClassVar[Literal["tree", "mps"]] = "tree"


class MPSClassifier(NetworkClassifier):
    """Matrix product state: a chain of unitaries that takes in one data qubit after the other.

    The carried wire has `bond_qubits` qubits; with reuse the circuit needs one more, whatever the
    number of features (arXiv:1803.11537). The last node is read out.

    Arguments and attributes are those of `NetworkEstimator`, and `classes_`, the labels.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MPSClassifier(bond_qubits=2, epochs=100, random_state=0).fit(X, y)
    >>> bool(clf.score(X, y) > 0.9), clf.compile().num_qubits
    (True, 3)
    """

    _shape: ClassVar[Literal["tree", "mps"]] = "mps"
