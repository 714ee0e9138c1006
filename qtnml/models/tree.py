"""`TreeClassifier`: a tree tensor network that is a scikit-learn classifier and a quantum circuit."""

import os
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.backends import Backend, resolve_backend
from qtnml.compile import CompiledCircuit, compile_network
from qtnml.contract import outcome_probabilities
from qtnml.encoding import FeatureScaler, get_encoding
from qtnml.errors import InvalidInputError, TrainingInterruptedWarning, warn_user
from qtnml.models.backend_classifier import BackendClassifier
from qtnml.models.progress import progress_bar
from qtnml.models.readout import check_root, class_probabilities, qubits_for_classes
from qtnml.models.validation import checked_samples, checked_training_data, generator, hold_out
from qtnml.network import TensorNetwork, Topology, balanced_tree
from qtnml.network.topology import MAX_BOND_QUBITS
from qtnml.train import EpochRecord, Loss, TrainingOptions, TrainingResult, TrainingSet, get_loss, train
from qtnml.train.records import merge_repeats

_AUTO_EPOCHS = 30
_AUTO_STEPS = 600


class TreeClassifier(ClassifierMixin, BaseEstimator):
    """Balanced tree of unitaries over the features, read out at the root (arXiv:1803.11537).

    Every feature is encoded in one qubit. A node acts on the qubits of two wires, keeps
    `bond_qubits` of them and lets the others go; measuring what the root keeps gives the class.
    `predict_proba` is the exact probability of that measurement.

    Args:
        bond_qubits: Width V of the inner wires, 1 to 3; the bond dimension is 2**V.
        leaf: "data" for leaf wires of V data qubits, "fresh" for one data qubit and V - 1 fresh ones.
        epochs: Passes over the training samples; None takes 30, or more on small data until 600
            optimiser steps are made.
        batch_size: Samples per step.
        learning_rate: Of the first step, in radians; falls to zero along a half cosine.
        loss: "cross-entropy", "hinge" (the paper's), or a loss object such as
            `qtnml.train.CrossEntropy(sharpness=1)`.
        feature_range: "learn" takes each feature's range from the training samples; (low, high)
            sets one for all. New data are clipped to it with a `ClippedDataWarning`.
        validation_fraction: Share of the samples held out to pick the best epoch; nothing is held
            out where that would be fewer than 50, and the training loss picks.
        patience: Stop after this many epochs without improvement; None trains to the end.
        init_scale: Spread of the first unitaries around the identity.
        warm_start: Go on from the weights and feature ranges of the last `fit` instead of fresh ones.
        random_state: Seed of weights, split and batches; the same seed gives the same model.
        verbose: 1 shows a progress bar on standard error.

    Attributes:
        classes_: Class labels; class k is outcome k.
        network_: The trained `TensorNetwork`, exactly unitary in float64.
        scaler_: The `FeatureScaler` in use.
        history_: One `EpochRecord` per epoch.
        best_epoch_: Index into `history_` of the epoch after which the weights were best (and kept), -1
            if the first ones were.
        n_iter_: Epochs run.
        stopped_: Why training ended: "finished", "early" or "interrupted".
        n_features_in_: Number of features.
        notes_: JSON types of your own, saved with the model if you set it (the `qtnml` command notes
            how it read the data).

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = TreeClassifier(bond_qubits=2, epochs=100, random_state=0).fit(X, y)
    >>> bool(clf.score(X, y) > 0.9)
    True
    """

    classes_: NDArray
    network_: TensorNetwork
    scaler_: FeatureScaler
    history_: list[EpochRecord]
    best_epoch_: int
    n_iter_: int
    stopped_: str
    notes_: dict[str, Any]
    n_features_in_: int

    def __init__(
        self,
        bond_qubits: int = 1,
        *,
        leaf: Literal["data", "fresh"] = "data",
        epochs: int | None = None,
        batch_size: int = 250,
        learning_rate: float = 0.03,
        loss: str | Loss = "cross-entropy",
        feature_range: Literal["learn"] | tuple[float, float] = "learn",
        validation_fraction: float = 0.1,
        patience: int | None = None,
        init_scale: float = 0.5,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.bond_qubits = bond_qubits
        self.leaf = leaf
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.loss = loss
        self.feature_range = feature_range
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.init_scale = init_scale
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on samples X (samples, features) with labels y of any type.

        `sample_weight` (samples,) multiplies each sample's loss. Ctrl-C ends training with the best
        weights so far and a `TrainingInterruptedWarning`; before the first epoch is over it is raised.

        Raises:
            InvalidInputError: Data or parameters that cannot be used; nothing learnt before is lost.
        """
        learnt = dict(vars(self))
        try:
            return self._fit(X, y, sample_weight)
        except BaseException:
            self.__dict__ = learnt
            raise

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> Self:
        self._check_parameters()
        X, y, weights = checked_training_data(self, X, y, sample_weight)
        classes, labels = np.unique(y, return_inverse=True)
        rng = generator(self.random_state)
        topology = self._topology(X, classes)
        going_on = self.warm_start and hasattr(self, "network_")
        if going_on:
            self._check_same_problem(X, classes, topology)
            network, scaler = self.network_, self.scaler_
        else:
            network = TensorNetwork.random(topology, rng, scale=self.init_scale)
            scaler = self._new_scaler(X)
        data = TrainingSet(scaler(X), labels.ravel(), weights)
        result = self._train(network, data, rng)
        self.classes_, self.scaler_, self.network_ = classes, scaler, result.network
        self.history_, self.best_epoch_ = list(result.history), result.best_epoch
        self.notes_ = {}
        self.n_iter_, self.stopped_ = len(result.history), result.stopped
        return self

    def _check_parameters(self) -> None:
        least = {"batch_size": 1, "epochs": 0, "patience": 1}
        for name, bound in least.items():
            value = getattr(self, name)
            optional = value is None and name in ("epochs", "patience")
            if not optional and not (_is_number(value, int, np.integer) and value >= bound):
                raise InvalidInputError(f"{name} must be an integer of at least {bound}, got {value!r}")
        width = self.bond_qubits
        if not (_is_number(width, int, np.integer) and 1 <= width <= MAX_BOND_QUBITS):
            raise InvalidInputError(
                f"bond_qubits must be 1 to {MAX_BOND_QUBITS}, got {self.bond_qubits!r}: a node is a unitary "
                "on twice as many qubits"
            )
        for name in ("learning_rate", "init_scale"):
            value = getattr(self, name)
            if not (_is_number(value, int, float, np.number) and np.isfinite(value) and value > 0):
                raise InvalidInputError(f"{name} must be a positive number, got {value!r}")
        fraction = self.validation_fraction
        if not (_is_number(fraction, int, float, np.number) and 0 <= fraction < 1):
            raise InvalidInputError(f"validation_fraction must be at least 0 and below 1, got {fraction!r}")
        get_loss(self.loss)

    def _topology(self, X: NDArray, classes: NDArray) -> Topology:
        num_features, bond_qubits = X.shape[1], int(self.bond_qubits)
        root = qubits_for_classes(len(classes))
        narrow = balanced_tree(num_features, bond_qubits, leaf=self.leaf)
        check_root(len(classes), narrow.num_qubits[-1], num_features, bond_qubits)
        return balanced_tree(num_features, bond_qubits, leaf=self.leaf, root_qubits=root)

    def _new_scaler(self, X: NDArray) -> FeatureScaler:
        if isinstance(self.feature_range, str) and self.feature_range == "learn":
            return FeatureScaler.learn(X)
        return FeatureScaler.fixed(self.feature_range, X.shape[1])

    def _check_same_problem(self, X: NDArray, classes: NDArray, topology: Topology) -> None:
        if X.shape[1] != self.network_.topology.num_features or not np.array_equal(classes, self.classes_):
            raise InvalidInputError(
                f"warm_start goes on with {self.network_.topology.num_features} features and classes "
                f"{self.classes_.tolist()}, got {X.shape[1]} and {classes.tolist()}; set warm_start=False"
            )
        if topology != self.network_.topology:
            raise InvalidInputError(
                f"warm_start goes on with the tree of the last fit, which bond_qubits={self.bond_qubits} and "
                f"leaf={self.leaf!r} do not describe; set warm_start=False"
            )

    def _train(self, network: TensorNetwork, data: TrainingSet, rng: np.random.Generator) -> TrainingResult:
        kept, held_out = hold_out(data.y, self.validation_fraction, rng)
        training = TrainingSet(*(array[kept] for array in data))
        validation = TrainingSet(*(array[held_out] for array in data)) if len(held_out) else None
        if len(training.y) <= self.batch_size:
            training = merge_repeats(training)
        steps = -(-len(training.y) // self.batch_size)
        epochs = max(_AUTO_EPOCHS, -(-_AUTO_STEPS // steps)) if self.epochs is None else int(self.epochs)
        options = TrainingOptions(
            epochs=epochs,
            batch_size=int(self.batch_size),
            learning_rate=float(self.learning_rate),
            loss=get_loss(self.loss),
            patience=self.patience,
        )
        with progress_bar("training", epochs, show=bool(self.verbose)) as advance:
            result = train(
                network,
                get_encoding("angle"),
                training,
                options,
                rng,
                validation=validation,
                on_epoch=lambda record: advance(1, f"loss {record.score:.4f}"),
            )
        if result.stopped == "interrupted":
            warn_user(
                f"training was interrupted after {len(result.history)} of {epochs} epochs; the best weights "
                "so far were kept",
                TrainingInterruptedWarning,
            )
        return result

    def outcome_probabilities(self, X: Any) -> NDArray:
        """Exact probability of every outcome at the root, shape (samples, 2**root_qubits)."""
        check_is_fitted(self)
        X = self.scaler_(checked_samples(self, X))
        return outcome_probabilities(self.network_, get_encoding("angle"), X)

    def predict_proba(self, X: Any) -> NDArray:
        """Class probabilities (samples, classes): those of the measurement at the root, exactly.

        Outcomes without a class are left out and the others renormalised; `lost_mass` tells how
        much that was.
        """
        outcomes = self.outcome_probabilities(X)
        return class_probabilities(outcomes, len(self.classes_))[0]

    def predict(self, X: Any) -> NDArray:
        """The likeliest class of each sample, shape (samples,)."""
        proba = self.predict_proba(X)
        return np.asarray(self.classes_[np.argmax(proba, axis=1)])

    def lost_mass(self, X: Any) -> NDArray:
        """Probability of outcomes that stand for no class, per sample; 0 for 2, 4, 8, ... classes."""
        outcomes = self.outcome_probabilities(X)
        return class_probabilities(outcomes, len(self.classes_))[1]

    def compile(self, *, reuse_qubits: bool = True) -> CompiledCircuit:
        """Compile into a parameterised circuit that answers like `predict_proba`.

        Args:
            reuse_qubits: Reset and reuse qubits that were let go: 7 qubits for 64 features at V=1.
        """
        check_is_fitted(self)
        return compile_network(
            self.network_, get_encoding("angle"), reuse_qubits=reuse_qubits, scaler=self.scaler_
        )

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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file, atomically; `qtnml.load_model` reads it."""
        from qtnml.models.persistence import save_model

        save_model(self, path)


def _is_number(value: Any, *kinds: type) -> bool:
    """A number of these kinds; True and False are none here."""
    return isinstance(value, kinds) and not isinstance(value, bool | np.bool_)
