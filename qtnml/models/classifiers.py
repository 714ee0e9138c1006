"""`TreeClassifier` and `MPSClassifier`: networks that are scikit-learn classifiers and quantum circuits."""

from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.backends import Backend, get_backend
from qtnml.data.frames import row_weights
from qtnml.errors import InvalidInputError
from qtnml.gates import Synthesis
from qtnml.models.backend_classifier import BackendClassifier
from qtnml.models.class_readout import ClassReadout
from qtnml.models.estimator import NetworkEstimator
from qtnml.models.noise import NoisyTraining, noisy_circuit
from qtnml.models.readout import check_root, qubits_for_classes
from qtnml.models.teacher import Teacher
from qtnml.models.validation import checked_training_data, generator, outcomes_of_labels
from qtnml.noise import Sensitivity, sensitivity
from qtnml.structure import Topology
from qtnml.train import TrainingSet


class NetworkClassifier(ClassReadout, NetworkEstimator):
    """Reads the class off the root: class k is outcome k."""

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        teacher: Any = None,
        noise: Any = None,
        reuse_qubits: bool | None = None,
        num_qubits: int | None = None,
    ) -> Self:
        """Train on samples X (samples, features) with labels y, and on what a teacher says of them.

        Ctrl-C ends training with the best weights so far and a `TrainingInterruptedWarning`; before the first
        epoch is over it is raised.

        Args:
            X, y: Samples and their labels.
            sample_weight: (samples,) multiplies each sample's loss.
            teacher: A fitted classifier, such as an amplitude classifier of a bond that no circuit of few
                qubits holds; probabilities (samples, classes); or a `Teacher`, which says how much they
                count. The held-out samples, by which the best epoch is chosen, keep their labels.
                With `homotopy`, an amplitude classifier on the same tree whose bonds fit the wires is also
                where training starts: as the post-selected circuit that says nearly what it says.
            noise, reuse_qubits, num_qubits: Deprecated: they are arguments of the constructor, so that they
                are cloned, searched and saved. Here `reuse_qubits` is False where it is not given, as it was.

        Raises:
            InvalidInputError: Data or parameters that cannot be used; nothing learnt before is lost.
        """
        noisy = self._noise_of_fit(noise, reuse_qubits, num_qubits)
        return self._restored_on_failure(lambda: self._fit(X, y, sample_weight, noisy, teacher))

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """One epoch over some samples, from the weights that are there: for data that come in parts.

        The first call learns the ranges of the features (set `feature_range` where later samples may lie
        outside) and needs to know all classes. Nothing is held out; the optimiser's moments start anew.

        Args:
            X, y: Samples and their labels.
            classes: All labels there will be; needed in the first call alone.
            sample_weight: (samples,) multiplies each sample's loss.
        """
        known = self.__sklearn_is_fitted__()
        if classes is None:
            if not known:
                raise InvalidInputError(
                    "the first call of partial_fit needs classes, all labels there will be"
                )
            classes = self.classes_
        if self.checkpoint is not None:
            raise InvalidInputError("partial_fit writes no checkpoints; leave checkpoint out, and save")
        if known:
            self.features(X)  # which refuses other features than those it knows
        noisy = self._noise_of_fit(None, None, None)
        kept = {name: getattr(self, name) for name in ("epochs", "warm_start", "validation_fraction")}
        self.set_params(epochs=1, warm_start=known, validation_fraction=0.0)
        try:
            return self._restored_on_failure(
                lambda: self._fit(X, y, sample_weight, noisy, classes=np.unique(classes))
            )
        finally:
            self.set_params(**kept)

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        noisy: NoisyTraining | None = None,
        teacher: Any = None,
        *,
        classes: NDArray | None = None,
    ) -> Self:
        self._check_parameters()
        given = X
        y_given = y
        X, y, weights = checked_training_data(self, X, y, sample_weight, classes)
        if classes is None:
            classes, labels = np.unique(y, return_inverse=True)
        else:
            labels = outcomes_of_labels(y, classes)
        self._check_same_classes(classes)
        rng = generator(self.random_state)
        targets = None
        if teacher is not None:
            used = row_weights(sample_weight, len(y_given)) > 0
            targets = Teacher.of(teacher).targets(given, labels.ravel(), classes, used)
        data = TrainingSet(X, labels.ravel(), weights)
        training, validation, table = self._split_input(given, data, rng, targets=targets)
        topology = self._topology_for(training.X, len(classes))
        starts = teacher is not None and (self.homotopy or self.discard == "postselect")
        first = Teacher.of(teacher).start if starts else None
        self._learn(training, validation, topology, "outcomes", rng, noisy, table, first)
        self.classes_, self.temperature_ = classes, 1.0
        return self

    def outcome_probabilities(
        self, X: Any, *, noise: Any = None, reuse_qubits: bool | None = None, num_qubits: int | None = None
    ) -> NDArray:
        """Exact probability of every outcome at the root, shape (samples, 2**root_qubits).

        Args:
            X: Samples (samples, features).
            noise: A `qtnml.noise.DeviceNoise` for the qubits of the compiled circuit (after its gates, while
                qubits wait, at resets and the read-out); a Qiskit backend or a name such as "fake:torino",
                for which the circuit is then compiled; or a `qtnml.noise.Channel` on every data qubit and
                every qubit that a node keeps.
            reuse_qubits, num_qubits: Of the circuit that is meant, as for `compile` (with reuse, unless the
                constructor says otherwise): waiting and resets cost what they cost. On a device num_qubits
                is the most: `noise_study` says what the compiler took.
        """
        return self._under_noise(X, noise, reuse_qubits, num_qubits)[0]

    def noise_sensitivity(
        self, X: Any, y: Any, *, noise: Any, reuse_qubits: bool | None = None, num_qubits: int | None = None
    ) -> Sensitivity:
        """Which qubit, and which source of noise, costs how much of the probability of the right class.

        Args:
            X, y: Samples and their labels.
            noise: A `DeviceNoise`, or a Qiskit backend or its name.
            reuse_qubits, num_qubits: As for `outcome_probabilities`.
        """
        check_is_fitted(self)
        noisy = noisy_circuit(self, noise, **self.circuit_meant(reuse_qubits, num_qubits))
        X, outcomes = self.features(X), outcomes_of_labels(y, self.classes_)
        return sensitivity(noisy, X, outcomes)

    def _topology_for(self, X: NDArray, num_classes: int) -> Topology:
        needed = qubits_for_classes(num_classes)
        width = self._width(needed)
        available = self._topology(X, 1, width).num_qubits[-1]
        if isinstance(self.topology, Topology):
            available = self.topology.root_qubits
        check_root(num_classes, available, X.shape[1], width, self._shape)
        return self._topology(X, needed, width)

    def to_backend(
        self,
        backend: Backend | str,
        *,
        shots: int = 1024,
        reuse_qubits: bool | None = None,
        num_qubits: int | None = None,
        synthesis: Synthesis | None = None,
        for_device: bool = True,
        samples: Any = None,
        passes: Any = (),
        recalibrate: bool = False,
        **settings: Any,
    ) -> BackendClassifier:
        """The same classifier with its probabilities measured on a backend.

        Args:
            backend: A backend, its name, or a Qiskit backend or sampler.
            shots: Measurements per sample.
            reuse_qubits, num_qubits, synthesis, samples, passes: As for `compile`. Where num_qubits is left
                open, circuits for a simulated device are no wider than it simulates quickly (10 qubits), if
                they can be.
            for_device: Compile for the backend's own qubits and gates, where it has a map of them; otherwise
                Qiskit's transpiler translates.
            recalibrate: Compile for the device's calibration of today, even where the ledger has a circuit of
                this model for the device: a new one is bought anew.
            settings: Other arguments of `BackendClassifier` (jobs, repeat, label, verbose, and those of
                training).
        """
        found = get_backend(backend)
        compiled, pin = self._compiled_for(
            found,
            settings.get("jobs"),
            for_device=for_device,
            recalibrate=recalibrate,
            **self.circuit_meant(reuse_qubits, num_qubits),
            synthesis=synthesis,
            samples=samples,
            passes=passes,
        )
        measured = BackendClassifier(
            compiled,
            self.classes_,
            found,
            feature_names=getattr(self, "feature_names_in_", None),
            table=self.table_,
            temperature=self.temperature_,
            shots=shots,
            **settings,
        )
        measured.pin = pin
        return measured


class TreeClassifier(NetworkClassifier):
    """Balanced tree of unitaries over the features, read out at the root (arXiv:1803.11537).

    Every feature is encoded in one qubit (or more, by `encoding`). A node acts on the qubits of two
    wires, keeps `bond_qubits` of them and discards the others; measuring what the root keeps gives the
    class. `predict_proba` is the exact probability of that measurement.

    Arguments and attributes are those of `NetworkEstimator`.

    Attributes:
        classes_: The labels, in the order of the outcomes.

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

    Arguments and attributes are those of `NetworkEstimator`.

    Attributes:
        classes_: The labels, in the order of the outcomes.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MPSClassifier(bond_qubits=2, epochs=100, random_state=0).fit(X, y)
    >>> bool(clf.score(X, y) > 0.9), clf.compile().num_qubits
    (True, 3)
    """

    _shape: ClassVar[Literal["tree", "mps"]] = "mps"
