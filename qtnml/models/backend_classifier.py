"""A trained classifier whose probabilities are measured on a backend, where it can be trained further."""

import os
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import column_or_1d

from qtnml.arrays import NDArray
from qtnml.backends import Backend
from qtnml.compile import BoundCircuits, CompiledCircuit
from qtnml.errors import BackendError, InvalidInputError, JobError, NoShotsWarning, warn_user
from qtnml.hybrid import HybridTraining, TrainingPlan, Where, train_on_backend
from qtnml.hybrid.training import Classification, plan_training
from qtnml.jobs import JobStore, Plan
from qtnml.jobs.plan import joined
from qtnml.mitigation import MitigatedOutcomes, Mitigation, get_mitigation, mitigated_outcomes
from qtnml.mitigation.method import Measured
from qtnml.models.noise import known_noise
from qtnml.models.on_backend import OnBackend
from qtnml.models.progress import progress_bar
from qtnml.models.readout import class_probabilities, counts_to_outcomes
from qtnml.models.table_input import TableInput
from qtnml.models.validation import checked_samples, outcomes_of_labels


class BackendClassifier(OnBackend, ClassifierMixin, BaseEstimator):
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
        shots: Measurements per sample.
        jobs: The ledger: a `JobStore`, a file or SQLAlchemy URL, or None for the user's own. False keeps
            nothing, and simulates again what is asked for again; not for backends that are paid for.
        repeat: Another number measures anew, independently of what is stored.
        label: For people, to find the runs in `qtnml jobs list`.
        mitigation: Of noise, by `predict_proba` and `predict`: "readout", "zne" (or "zne-richardson",
            "zne-exponential"), "learned", "postselection", some of them joined by "+", or objects of
            `qtnml.mitigation`.
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
        shots: int = 1024,
        jobs: JobStore | str | os.PathLike[str] | bool | None = None,
        repeat: int = 0,
        label: str = "",
        mitigation: Any = None,
        training: HybridTraining | None = None,
        verbose: int = 0,
    ) -> None:
        self.compiled = compiled
        self.classes = classes
        self.backend = backend
        self.feature_names = feature_names
        self.table = table
        self.shots = shots
        self.jobs = jobs
        self.repeat = repeat
        self.label = label
        self.mitigation = mitigation
        self.training = training
        self.verbose = verbose

    @property
    def classes_(self) -> NDArray:
        """Class labels."""
        return self.classes

    @property
    def n_features_in_(self) -> int:
        """Number of features, or of the columns of a table."""
        return self.compiled.num_features if self.table is None else self.table.num_columns

    def features(self, X: Any) -> NDArray:
        """Samples as the circuit takes them, (samples, features): X itself, or numbers from a table."""
        return checked_samples(self, X) if self.table is None else self.table.numbers(X)

    @property
    def trained(self) -> CompiledCircuit:
        """The circuit that predicts: with the weights of the last `fit`, or those it came with."""
        return getattr(self, "compiled_", self.compiled)

    def fit(self, X: Any, y: Any) -> Self:
        """Go on training on the backend, from the weights the classifier came with.

        Sets `compiled_` (the circuit with its new weights, which predicts from now on), `history_` (a
        `HybridRecord` for each step) and `stopped_` (why it ended). A killed training goes on where it was if
        `training` has a checkpoint; without one, its evaluations are still in the ledger. Ctrl-C keeps the
        weights so far, and is passed on as KeyboardInterrupt, so that a script does not go on buying.

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
        result.pass_on_interruption()
        return self

    def plan_fit(self, X: Any) -> TrainingPlan:
        """What `fit` would spend on these samples at most."""
        angles = self.compiled.angles(self.features(X))
        problem = Classification(self.compiled, angles, np.zeros(len(angles), dtype=int))
        return plan_training(problem, self.training or HybridTraining(), self.shots)

    def _training_data(self, X: Any, y: Any) -> tuple[NDArray, NDArray]:
        """Data angles, and the outcome that stands for each label."""
        angles = self.compiled.angles(self.features(X))
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
        return self._bound(X)(self.trained)

    def _bound(self, X: Any) -> Callable[[CompiledCircuit], BoundCircuits]:
        """Binds samples to a circuit with the weights of the one that predicts."""
        angles = self.trained.angles(self.features(X))
        weights = self.trained.weights if hasattr(self, "compiled_") else None
        return lambda compiled: compiled.bind_angles(angles, weights)

    def plan(self, X: Any) -> Plan:
        """What predicting these samples would buy: circuits, shots, estimated seconds on the device.

        With mitigation, its circuits included.
        """
        store, backend = self._store(), self._backend()
        mitigation = get_mitigation(self.mitigation)
        if mitigation is None:
            return store.plan(self.circuits(X), backend, shots=self.shots, repeat=self.repeat)
        runs = mitigation.runs(self.trained, self._bound(X), self.shots)
        return joined([store.plan(circuits, backend, shots=n, repeat=self.repeat) for circuits, n in runs])

    def outcome_frequencies(self, X: Any, *, confirm: Callable[[Plan], bool] | None = None) -> NDArray:
        """Measured frequency of every outcome, shape (samples, 2**root_qubits).

        Args:
            X: Samples.
            confirm: Called with the plan before anything is bought; False stops.
        """
        return self._measured(self.circuits(X), self.shots, confirm).frequencies

    def _measured(self, circuits: Any, shots: int, confirm: Callable[[Plan], bool] | None = None) -> Measured:
        """What circuits show, through the ledger."""
        backend = self._backend()
        with progress_bar(f"running on {backend.name}", len(circuits), show=bool(self.verbose)) as advance:
            counts = self._store().run(
                circuits,
                backend,
                shots=shots,
                repeat=self.repeat,
                label=self.label,
                confirm=confirm,
                on_progress=lambda done, text: advance(done, text or "circuits"),
            )
        outcomes = self.compiled.num_outcomes
        most = max((outcome for each in counts for outcome in each), default=0)
        if most >= 2**self.compiled.circuit.num_clbits:
            raise JobError(
                f"backend {backend.name!r} counted outcome {most} of circuits with "
                f"{self.compiled.circuit.num_clbits} bits"
            )
        counted = [sum(n for k, n in each.items() if k < outcomes) for each in counts]
        total = [sum(each.values()) for each in counts]
        return Measured(counts_to_outcomes(counts, outcomes), np.array(counted), np.array(total))

    def mitigated_outcomes(
        self, X: Any, *, confirm: Callable[[Plan], bool] | None = None
    ) -> MitigatedOutcomes:
        """Quasi-probabilities of the outcomes, their errors, the shots they took, and what bias is left.

        Args:
            X: Samples.
            confirm: Called with the plan of all circuits before anything is bought; False stops.

        Raises:
            InvalidInputError: The classifier has no mitigation, or its circuit is post-selected.
        """
        mitigation = get_mitigation(self.mitigation)
        if mitigation is None:
            raise InvalidInputError("no mitigation was chosen; set mitigation='readout', 'zne' or 'learned'")
        self._check_mitigable(mitigation)
        plan = self.plan(X)
        self._store().check_plan(plan)
        if plan.shots and confirm is not None and not confirm(plan):
            raise JobError("not confirmed; nothing was bought")
        angles = self.trained.angles(self.features(X))
        return mitigated_outcomes(
            self.trained,
            angles,
            mitigation,
            self._measured,
            self.shots,
            noise=known_noise(self._backend(), self.trained),
            bound=self._bound(X),
        )

    def _check_mitigable(self, mitigation: Mitigation) -> None:
        """Calibration and folded circuits must run where the circuit itself does."""
        more = mitigation.readout is not None or mitigation.extrapolation is not None
        if more and self.trained.device is None and getattr(self._backend(), "target", None) is not None:
            raise InvalidInputError(
                "Qiskit would place each circuit of a mitigation on qubits of its own on "
                f"{self._backend().name!r}; compile for the device's own qubits: to_backend(..., "
                "for_device=True), the default"
            )

    def _outcomes(self, X: Any) -> NDArray:
        """Outcome probabilities as measured, mitigated where that is wanted."""
        if get_mitigation(self.mitigation) is not None:
            return self.mitigated_outcomes(X).probabilities
        found = self.outcome_frequencies(X)
        if empty := int((found.sum(axis=1) == 0).sum()):
            warn_user(
                f"{empty} of {len(found)} samples have no shot that counts, so all classes are alike and the "
                f"first is predicted; take more than shots={self.shots}",
                NoShotsWarning,
            )
        return found

    def _backend(self) -> Backend:
        backend = self._found_backend()
        if self.compiled.num_resets and not backend.capabilities.resets:
            raise BackendError(
                f"the circuit has {self.compiled.num_resets} mid-circuit resets, which backend "
                f"{backend.name!r} lacks; use to_backend(..., reuse_qubits=False)"
            )
        return backend

    def predict_proba(self, X: Any) -> NDArray:
        """Class probabilities as measured, shape (samples, classes)."""
        return class_probabilities(self._outcomes(X), len(self.classes))[0]

    def predict(self, X: Any) -> NDArray:
        """The class measured most often, shape (samples,)."""
        return np.asarray(self.classes[np.argmax(self.predict_proba(X), axis=1)])

    def lost_mass(self, X: Any) -> NDArray:
        """Share of shots that fell on outcomes without a class, per sample."""
        return class_probabilities(self._outcomes(X), len(self.classes))[1]
