"""A Born machine whose samples are measured on a backend, where it can be trained further."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin

from qtnml.arrays import NDArray
from qtnml.backends import Backend, Counts
from qtnml.born import log_likelihood
from qtnml.compile.expected import Strings
from qtnml.compile.generative import GenerativeCircuit
from qtnml.errors import BackendError, InvalidInputError
from qtnml.hybrid import HybridTraining, TrainingPlan, Where, train_generative_on_backend
from qtnml.hybrid.generative import Generation, bound_weights
from qtnml.hybrid.training import plan_training
from qtnml.jobs import Job, JobStore, Part, Plan, Result
from qtnml.mitigation import MitigatedMarginal, Mitigation, get_mitigation, mitigated_marginal
from qtnml.models.noise import known_noise
from qtnml.models.on_backend import OnBackend, check_mitigable
from qtnml.models.validation import generator
from qtnml.progress import progress_bar

_REPEATS = 10**6  # numbers of `repeat` between two calls of `sample`

if TYPE_CHECKING:
    from qtnml.models.born_machine import BornMachine


class BackendBornMachine(OnBackend, DensityMixin, BaseEstimator):
    """Made by `MPSBornMachine.to_backend`; its samples are counted shots.

    Every run goes through a ledger of jobs (see `qtnml.JobStore`). Each call of `sample` draws anew; a script
    that is started again gets what its calls drew before, and nothing is bought twice. `save` writes the
    machine with its tuned weights, its circuit and the name of its backend, `qtnml.load_model` reads it.

    Args:
        model: The fitted Born machine it came from.
        compiled: Its circuit.
        backend: A backend, its name, or a Qiskit backend or sampler.
        shots: Of a circuit in training.
        jobs: The ledger: a `JobStore`, a file or SQLAlchemy URL, or None for the user's own (of simulators in
            this process: one in memory, which writes no file). False keeps nothing, and simulates again what
            is asked for again; not for backends that are paid for.
        repeat: Another number (below 10**6) measures anew, independently of what is stored.
        label: For people, to find the runs in `qtnml jobs list`.
        mitigation: Of noise, by `marginal`: "readout", "zne" (or "zne-richardson", "zne-exponential"), both
            joined by "+", or objects of `qtnml.mitigation`. Samples are as they are measured.
        max_age: Seconds since they were measured after which stored shots no longer count; "calibration"
            takes those of the device's present calibration alone; None takes all.
        training: How `fit` trains: `HybridTraining(loss="mmd" or "clipped-nll", ...)`.
        verbose: 1 shows a progress bar on standard error.
    """

    def __init__(
        self,
        model: "BornMachine",
        compiled: GenerativeCircuit,
        backend: Backend | str | None = "aer",
        *,
        shots: int = 1024,
        jobs: JobStore | str | os.PathLike[str] | bool | None = None,
        repeat: int = 0,
        label: str = "",
        mitigation: Any = None,
        max_age: float | str | None = None,
        training: HybridTraining | None = None,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.compiled = compiled
        self.backend = backend
        self.shots = shots
        self.jobs = jobs
        self.repeat = repeat
        self.label = label
        self.mitigation = mitigation
        self.max_age = max_age
        self.training = training
        self.verbose = verbose

    def __sklearn_clone__(self) -> "BackendBornMachine":
        """A clone keeps the fitted model, without which there is nothing to draw from."""
        return BackendBornMachine(self.model, self.compiled, **self._settings())

    def _settings(self) -> dict[str, Any]:
        names = (
            "backend",
            "shots",
            "jobs",
            "repeat",
            "label",
            "mitigation",
            "max_age",
            "training",
            "verbose",
        )
        return {name: getattr(self, name) for name in names}

    @property
    def trained(self) -> GenerativeCircuit:
        """The circuit that draws: with the weights of the last `fit`, or those it came with."""
        return getattr(self, "compiled_", self.compiled)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def plan(self, n_samples: int) -> Plan:
        """What drawing so many samples would buy; and, where the backend's noise is known, by how many nats a
        sample will be less likely than without it, exactly."""
        _check_number(n_samples)
        backend = self._backend()
        found = self._store().plan(
            self._circuits(),
            backend,
            shots=n_samples,
            repeat=self._next_repeat,
            freshness=self._freshness(),
        )
        return self._promising(found, backend)

    def _promising(self, plan: Plan, backend: Backend) -> Plan:
        noise = known_noise(backend, self.trained)
        if noise is None:
            return plan
        try:
            expected = Strings.of(self.trained.state(), None).expected(self.trained, noise)
        except InvalidInputError:  # too many qubits are entangled at once
            return plan
        return replace(plan, expected=expected)

    @property
    def _next_repeat(self) -> int:
        """Of the next call of `sample`: the first one has the number that was given."""
        return self.repeat + _REPEATS * getattr(self, "_draws", 0)

    def sample(
        self, n_samples: int = 1, *, random_state: Any = None, confirm: Callable[[Plan], bool] | None = None
    ) -> Any:
        """Samples as measured, one for each shot, in random order.

        Shots whose bits stand for no level of some feature are missing (NaN) there.

        Args:
            n_samples: Shots.
            random_state: Seed of the order, and of values within bins.
            confirm: Called with the plan before anything is bought; False stops.
        """
        _check_number(n_samples)
        backend = self._backend()
        counts = self._store().run(
            self._circuits(),
            backend,
            shots=int(n_samples),
            repeat=self._next_repeat,
            label=self.label,
            freshness=self._freshness(),
            confirm=self._asked(confirm, backend),
        )[0]
        self._draws = getattr(self, "_draws", 0) + 1
        return self._decoded(counts, int(n_samples), random_state)

    def submit(
        self, n_samples: int = 1, *, random_state: Any = None, confirm: Callable[[Plan], bool] | None = None
    ) -> Job:
        """Send what drawing so many samples needs, and wait for nothing.

        `job.result(timeout=)` waits for a `Result` whose `samples` are those `sample` would have returned.

        Args:
            n_samples, random_state, confirm: As for `sample`.

        Raises:
            InvalidInputError: The machine keeps no ledger (`jobs=False`).
        """
        _check_number(n_samples)
        backend, number = self._backend(), int(n_samples)

        def made(found: Result) -> Result:
            return replace(found, samples=self._decoded(found.counts[0], number, random_state))

        job = self._ledger_store().submit_parts(
            [Part(self._circuits(), number)],
            backend,
            repeat=self._next_repeat,
            label=self.label,
            freshness=self._freshness(),
            confirm=self._asked(confirm, backend),
            made=made,
        )
        self._draws = getattr(self, "_draws", 0) + 1
        return job

    def _asked(
        self, confirm: Callable[[Plan], bool] | None, backend: Backend
    ) -> Callable[[Plan], bool] | None:
        """Asks with what will come of it."""
        return None if confirm is None else (lambda plan: confirm(self._promising(plan, backend)))

    def _decoded(self, counts: Counts, number: int, random_state: Any) -> Any:
        """Records of counted strings, in random order."""
        outcomes = sorted(counts)
        levels = np.repeat(self.trained.levels(outcomes), [counts[k] for k in outcomes], axis=0)
        rng = generator(random_state)
        return self.model.decode(rng.permutation(levels)[:number], rng)

    def marginal(
        self,
        features: Sequence[int],
        *,
        shots: int | None = None,
        confirm: Callable[[Plan], bool] | None = None,
    ) -> MitigatedMarginal:
        """The distribution of a few features as measured, mitigated where `mitigation` says so.

        Args:
            features: Their numbers, all different; of 12 bits together at most.
            shots: Of each circuit; those of the machine by default.
            confirm: Called with the plan of each run before anything is bought; False stops.
        """
        mitigation = get_mitigation(self.mitigation) or Mitigation()
        backend, store = self._backend(), self._store()
        if mitigation.extrapolation is not None or mitigation.readout is not None:
            check_mitigable(backend, self.trained)

        def run(parts: Sequence[tuple[Any, int]]) -> list[list[Counts]]:
            return store.run_parts(
                [Part(circuits, count) for circuits, count in parts],
                backend,
                repeat=self.repeat,
                label=self.label,
                freshness=self._freshness(),
                confirm=confirm,
            )

        number = self.shots if shots is None else shots
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
            raise InvalidInputError(f"shots must be an integer of at least 1, got {number!r}")
        tuned = hasattr(self, "compiled_")
        return mitigated_marginal(
            self.trained,
            _checked_features(features),
            mitigation,
            run,
            int(number),
            bound=(lambda variant: bound_weights(variant, self.trained.weights[None])) if tuned else None,
        )

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002
        """Go on training on the backend, from the weights it came with.

        Sets `compiled_`, which draws from now on, `history_` (a `HybridRecord` for each step) and `stopped_`.
        Ctrl-C keeps the weights so far, and is passed on, so that a script does not go on buying.
        """
        how, backend = self.training or HybridTraining(), self._backend()
        self._check_shots()
        with progress_bar(f"training on {backend.name}", how.steps, show=bool(self.verbose)) as advance:
            result = train_generative_on_backend(
                self.compiled,
                self._levels(X),
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
        how = self.training or HybridTraining()
        self._check_shots()
        found = plan_training(Generation(self.compiled, self._levels(X)), how, self.shots)
        return self._priced(found, self._circuits())

    def score_samples(self, X: Any) -> NDArray:
        """ln P of samples under the circuit without noise, by contraction of its own gates, nats.

        Numbers count as the probability of their bin, as in `BornMachine.log_likelihood`: that is what a
        circuit measures.
        """
        return np.asarray(log_likelihood(self.trained.state(), self._levels(X)))

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002
        """Mean of `score_samples`."""
        return float(self.score_samples(X).mean())

    def _check_shots(self) -> None:
        if isinstance(self.shots, bool) or not isinstance(self.shots, int | np.integer) or self.shots < 1:
            raise InvalidInputError(f"shots must be an integer of at least 1, got {self.shots!r}")

    def _levels(self, X: Any) -> NDArray:
        levels = self.model.levels(X)
        if (levels < 0).any():
            raise InvalidInputError("samples with missing values cannot be used here; leave them out")
        return levels

    def _circuits(self) -> Any:
        """After `fit` the weights stay parameters of one template, as they were in training."""
        if hasattr(self, "compiled_"):
            return bound_weights(self.trained, self.trained.weights[None])
        return [self.compiled.trained_circuit]

    def _backend(self) -> Backend:
        backend = self._found_backend()
        if self.compiled.num_resets and not (
            backend.capabilities.resets and backend.capabilities.mid_circuit_measurement
        ):
            raise BackendError(
                f"the circuit measures and resets qubits {self.compiled.num_resets} times before its "
                f"end, which backend {backend.name!r} cannot; use to_backend(..., reuse_qubits=False)"
            )
        return backend


def _check_number(n_samples: Any) -> None:
    if isinstance(n_samples, bool) or not isinstance(n_samples, int | np.integer) or n_samples < 1:
        raise InvalidInputError(f"n_samples must be an integer of at least 1, got {n_samples!r}")


def _checked_features(features: Any) -> list[int]:
    """Numbers of features."""
    given = features if isinstance(features, Iterable) and not isinstance(features, str) else [features]
    found = list(given)
    if odd := [each for each in found if isinstance(each, bool) or not isinstance(each, int | np.integer)]:
        raise InvalidInputError(f"features are given by their numbers, got {odd[0]!r}")
    return [int(each) for each in found]
