"""A trained model whose outcomes are counted on a backend, where it can be trained further."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import column_or_1d

from qtnml.arrays import NDArray
from qtnml.backends import Backend, Counts
from qtnml.compile import BoundCircuits, CompiledCircuit
from qtnml.compile.expected import LARGEST_MAP, compared
from qtnml.errors import BackendError, InvalidInputError, JobError, NoShotsWarning, warn_user
from qtnml.hybrid import HybridTraining, TrainingPlan, Where, train_on_backend
from qtnml.hybrid.training import Supervised, plan_training
from qtnml.jobs import Job, Part, Plan, Result
from qtnml.mitigation import Measured, MitigatedOutcomes, MitigatedRun, get_mitigation
from qtnml.models.noise import known_noise
from qtnml.models.on_backend import OnBackend, check_mitigable
from qtnml.models.readout import counts_to_outcomes
from qtnml.models.table_input import TableInput
from qtnml.models.validation import checked_samples
from qtnml.noise import NOISELESS, NoisyCircuit
from qtnml.progress import progress_bar

_PROMISED = 256  # samples that a plan looks at


class BackendModel(OnBackend, BaseEstimator):
    """What classifiers and regressors on a backend share; subclasses say what outcomes stand for."""

    compiled: CompiledCircuit
    feature_names: NDArray | None
    table: TableInput | None
    shots: int
    repeat: int
    label: str
    verbose: int

    @abstractmethod
    def _targets(self, y: NDArray) -> NDArray:
        """What the circuit learns, of labels or values (samples,)."""

    def _training(self) -> HybridTraining:
        """How `fit` trains."""
        return self.training or HybridTraining()

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
        """Go on training on the backend, from the weights the model came with.

        Sets `compiled_` (the circuit with its new weights, which predicts from now on), `history_` (a
        `HybridRecord` for each step) and `stopped_` (why it ended). A killed training goes on where it was if
        `training` has a checkpoint; without one, its evaluations are still in the ledger. Ctrl-C keeps the
        weights so far, and is passed on as KeyboardInterrupt, so that a script does not go on buying.

        Args:
            X: Samples (samples, features).
            y: Labels, of the classes the model knows, or values.
        """
        angles, targets = self._training_data(X, y)
        how = self._training()
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
        problem = Supervised(self.compiled, angles, np.zeros(len(angles), dtype=int))
        return self._priced(plan_training(problem, self._training(), self.shots), self.circuits(X[:1]))

    def _training_data(self, X: Any, y: Any) -> tuple[NDArray, NDArray]:
        """Data angles, and what each sample is to give."""
        angles = self.compiled.angles(self.features(X))
        wanted = column_or_1d(y)
        if len(wanted) != len(angles):
            raise InvalidInputError(f"{len(angles)} samples but {len(wanted)} labels or values")
        return angles, self._targets(wanted)

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

        With mitigation, its circuits included. Where the backend's noise is known, also what to expect of the
        first 256 samples, exactly: how often the decision by so many shots is that without noise, and the
        standard errors.
        """
        return self._promising(self._purchase(X), X)

    def _purchase(self, X: Any) -> Plan:
        """What would be bought, without what will come of it."""
        return self._store().plan_parts(
            self._parts(X)[0], self._backend(), repeat=self.repeat, freshness=self._freshness()
        )

    def _parts(self, X: Any) -> tuple[list[Part], MitigatedRun | None]:
        """All circuits to be measured, with the shots of each; and what mitigation makes of them."""
        run = self._mitigated_run(X)
        if run is None:
            return [Part(self.circuits(X), self.shots)], None
        return [Part(circuits, shots) for circuits, shots in run.parts], run

    def _mitigated_run(self, X: Any) -> MitigatedRun | None:
        mitigation = get_mitigation(self.mitigation)
        if mitigation is None:
            return None
        backend = self._backend()
        if mitigation.readout is not None or mitigation.extrapolation is not None:
            check_mitigable(backend, self.trained)
        return MitigatedRun(
            self.trained,
            self.trained.angles(self.features(X)),
            mitigation,
            self.shots,
            noise=known_noise(backend, self.trained),
            bound=self._bound(X),
        )

    def _promising(self, plan: Plan, X: Any) -> Plan:
        """A plan with what will come of it, where the backend's noise is known; mitigation not counted."""
        outlook = self._outlook(X)
        if outlook is None:
            return plan
        ideal, noisy, success = outlook
        counted = np.maximum(self.shots * success, 1e-12)[:, None]
        errors = np.sqrt(np.maximum(noisy * (1 - noisy), 0.0) / counted)
        remark = plan.remark
        if get_mitigation(self.mitigation) is not None:
            remark = "both are of the plain circuits: mitigation lessens the bias and widens the error"
        return replace(
            plan,
            remark=remark,
            expected=compared(ideal, noisy, success, self.shots),
            standard_error=float(min(errors.mean(), 1.0)),
        )

    def _outlook(self, X: Any) -> tuple[NDArray, NDArray, NDArray] | None:
        """Exact outcomes without and with the backend's noise, and the shares of shots that count.

        None where the noise is not known, or the circuit has no exact distribution.
        """
        noise = known_noise(self._backend(), self.trained)
        angles = self.trained.angles(self.features(X)[:_PROMISED])
        if noise is None or not len(angles):
            return None
        try:
            noisy, log_success = NoisyCircuit(self.trained, noise, LARGEST_MAP).evaluate(angles)
        except InvalidInputError:  # too many qubits are entangled at once
            return None
        return NoisyCircuit(self.trained, NOISELESS).evaluate(angles)[0], noisy, np.exp(log_success)

    def outcome_frequencies(self, X: Any, *, confirm: Callable[[Plan], bool] | None = None) -> NDArray:
        """Measured frequency of every outcome, shape (samples, 2**root_qubits).

        Args:
            X: Samples.
            confirm: Called with the plan before anything is bought; False stops.
        """
        return self._plain(self.circuits(X), self._asked(confirm, X)).frequencies

    def _asked(self, confirm: Callable[[Plan], bool] | None, X: Any) -> Callable[[Plan], bool] | None:
        """Asks with what will come of it."""
        return None if confirm is None else (lambda plan: confirm(self._promising(plan, X)))

    def _plain(self, circuits: Any, confirm: Callable[[Plan], bool] | None = None) -> Measured:
        """What circuits show as measured."""
        return self._shown([Part(circuits, self.shots)], confirm)[0]

    def _shown(self, parts: Sequence[Part], confirm: Callable[[Plan], bool] | None = None) -> list[Measured]:
        """What circuits show, part by part, through the ledger."""
        backend, total = self._backend(), sum(len(part.circuits) for part in parts)
        with progress_bar(f"running on {backend.name}", total, show=bool(self.verbose)) as advance:
            counts = self._store().run_parts(
                parts,
                backend,
                repeat=self.repeat,
                label=self.label,
                freshness=self._freshness(),
                confirm=confirm,
                on_progress=lambda done, text: advance(done, text or "circuits"),
            )
        return [self._measured(each) for each in counts]

    def _measured(self, counts: Sequence[Counts]) -> Measured:
        """Frequencies of outcomes."""
        outcomes = self.compiled.num_outcomes
        most = max((outcome for each in counts for outcome in each), default=0)
        if most >= 2**self.compiled.circuit.num_clbits:
            raise JobError(
                f"backend {self._backend().name!r} counted outcome {most} of circuits with "
                f"{self.compiled.circuit.num_clbits} bits"
            )
        counted = [sum(n for k, n in each.items() if k < outcomes) for each in counts]
        total = [sum(each.values()) for each in counts]
        return Measured(counts_to_outcomes(list(counts), outcomes), np.array(counted), np.array(total))

    def mitigated_outcomes(
        self, X: Any, *, confirm: Callable[[Plan], bool] | None = None
    ) -> MitigatedOutcomes:
        """Quasi-probabilities of the outcomes, their errors, the shots they took, and what bias is left.

        Circuits that correct each other are measured together: stored ones count where all are of one
        calibration of the device, or of one day.

        Args:
            X: Samples.
            confirm: Called with the plan of all circuits before anything is bought; False stops.

        Raises:
            InvalidInputError: The classifier has no mitigation, or its circuit is post-selected.
        """
        parts, run = self._parts(X)
        if run is None:
            raise InvalidInputError("no mitigation was chosen; set mitigation='readout', 'zne' or 'learned'")
        return run.combine(self._shown(parts, self._asked(confirm, X)))

    def measure(self, X: Any, *, confirm: Callable[[Plan], bool] | None = None) -> Result:
        """Measure samples, and wait: probabilities with errors, counts, provenance and price in one object.

        Args:
            X: Samples.
            confirm: Called with the plan before anything is bought; False stops.
        """
        parts, run = self._parts(X)
        backend, total = self._backend(), sum(len(part.circuits) for part in parts)
        with progress_bar(f"running on {backend.name}", total, show=bool(self.verbose)) as advance:
            found = self._store().measure_parts(
                parts,
                backend,
                repeat=self.repeat,
                label=self.label,
                freshness=self._freshness(),
                confirm=self._asked(confirm, X),
                on_progress=lambda done, text: advance(done, text or "circuits"),
            )
        return self._made(found, sizes=[len(part.circuits) for part in parts], run=run)

    def submit(self, X: Any, *, confirm: Callable[[Plan], bool] | None = None) -> Job:
        """Send what predicting these samples needs, and wait for nothing.

        `job.status()` says where it stands, `job.result(timeout=)` waits for a `Result`: probabilities with
        their errors, counts, shots, submissions, calibration, seconds, cost. The job is in the ledger: the
        same call in another process is the same job.

        Args:
            X: Samples.
            confirm: Called with the plan before anything is bought; False stops.

        Raises:
            InvalidInputError: The model keeps no ledger (`jobs=False`).
        """
        parts, run = self._parts(X)
        return self._ledger_store().submit_parts(
            parts,
            self._backend(),
            repeat=self.repeat,
            label=self.label,
            freshness=self._freshness(),
            confirm=self._asked(confirm, X),
            made=partial(self._made, sizes=[len(part.circuits) for part in parts], run=run),
        )

    def _made(self, found: Result, *, sizes: Sequence[int], run: MitigatedRun | None) -> Result:
        """A result with what the model makes of its counts."""
        ends = np.cumsum([0, *sizes])
        shown = [self._measured(found.counts[a:b]) for a, b in pairwise(ends.tolist())]
        if run is not None:
            mitigated = run.combine(shown)
            values, errors = self._predicted(mitigated.probabilities, mitigated.errors, None)
            return replace(found, probabilities=values, errors=errors, mitigated=mitigated)
        values, errors = self._predicted(shown[0].frequencies, None, shown[0].counted)
        return replace(found, probabilities=values, errors=errors)

    @abstractmethod
    def _predicted(
        self, outcomes: NDArray, errors: NDArray | None, counted: NDArray | None
    ) -> tuple[NDArray, NDArray]:
        """What outcomes stand for, and the standard errors: by their own, or by the shots that counted."""

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
