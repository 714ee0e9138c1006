"""What a trained Born machine answers: likelihoods, samples, completions, the circuit, explanations."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.backends import get_backend
from qtnml.born import TreeState, finite_logs
from qtnml.born.completion import most_probable
from qtnml.born.evidence import chunk_of, log_alone, log_conditionals, log_marginal, observed, site_marginals
from qtnml.born.sampling import sample
from qtnml.compile import GenerativeCircuit, compile_state
from qtnml.data.columns import MISSING
from qtnml.data.frames import Table, is_frame
from qtnml.data.table_encoder import TableEncoder
from qtnml.errors import (
    InvalidInputError,
    ZeroProbabilityWarning,
    warn_user,
)
from qtnml.explain import RecordExplanation, explain_model, explain_record
from qtnml.gates import Synthesis
from qtnml.models.approximated import approximated
from qtnml.models.backend_born import BackendBornMachine
from qtnml.models.born_data import levels_encoder
from qtnml.models.born_training import LearntDensity
from qtnml.models.noise import device_called, target_of
from qtnml.models.pinned import pin_of, pinned
from qtnml.models.saved import SavedToFile
from qtnml.models.settings import is_number
from qtnml.models.validation import generator
from qtnml.noise import NoisyGenerativeCircuit
from qtnml.progress import progress_bar
from qtnml.shallow import Approximation
from qtnml.states import State, as_state

_MOST_CELLS = 2**28  # of samples that are drawn at once: 2 GB


class BornMachine(SavedToFile, LearntDensity):
    """What `MPSBornMachine` and `TreeBornMachine` share."""

    @classmethod
    def from_state(cls, state: Any, *, encoder: TableEncoder | None = None, **settings: Any) -> Self:
        """A fitted machine whose distribution is |psi|**2 of a state from elsewhere.

        It samples, completes, compiles, runs on backends and is saved like any other, and `fit` with
        `warm_start=True` trains it further.

        Args:
            state: A `qtnml.states.State` (or `TreeState`); an `MPSBornMachine` makes a chain of a tree.
            encoder: A fitted `TableEncoder` of as many levels; without one samples are levels 0, 1, ...
            **settings: Of the constructor, for training it further.

        >>> from qtnml import MPSBornMachine, states
        >>> ghz = states.from_vector(np.array([1.0, 0, 0, 0, 0, 0, 0, 1]))
        >>> born = MPSBornMachine.from_state(ghz)
        >>> born.marginals([[1, np.nan, np.nan]])[2].round(6).tolist()
        [[0.0, 1.0]]
        """
        found = cls._on_own_tree(as_state(state))
        model = cls(**(cls._settings_for(found) | {"warm_start": True} | settings))
        dims = found.sites.dims
        if encoder is None and set(dims) != {2}:
            encoder = levels_encoder(dims)
        if encoder is not None:
            check_is_fitted(encoder)
            if encoder.site_dims_ != dims:
                raise InvalidInputError(
                    f"the encoder's columns have levels {encoder.site_dims_}, the state's sites {dims}"
                )
            if model.encoder is None:
                model.encoder = encoder
        model.encoder_, model.state_ = encoder, found
        model.history_, model.best_epoch_, model.n_iter_ = [], -1, 0
        model.stopped_, model.notes_ = "finished", {}
        model.nll_ = model.independent_nll_ = float("nan")
        model.n_features_in_ = len(dims)
        return model

    @classmethod
    def _on_own_tree(cls, state: State) -> TreeState:
        """The state on a tree of this class."""
        return state.tree_state

    @classmethod
    @abstractmethod
    def _settings_for(cls, state: TreeState) -> dict[str, Any]:
        """Settings of the constructor under which training goes on from the state."""

    def log_likelihood(
        self, X: Any, *, noise: Any = None, reuse_qubits: bool | None = None, num_qubits: int | None = None
    ) -> NDArray:
        """ln P of each sample in nats, (samples,); missing values (NaN) are summed over, exactly.

        Binned numbers count as the probability of their bin: compare models with other bins by
        `score_samples`. A sample that is impossible under the model gets a finite value below any other,
        and a `ZeroProbabilityWarning` says how many there are.

        Args:
            X: Samples.
            noise: A `qtnml.noise.DeviceNoise`: the exact distribution of the circuit's read-out under it.
            reuse_qubits, num_qubits: The circuit that is meant, as for `compile`; with reuse where nothing
                is said.
        """
        return self._log_likelihood(self.levels(X), noise, reuse_qubits, num_qubits)

    def _log_likelihood(
        self,
        levels: NDArray,
        noise: Any = None,
        reuse_qubits: bool | None = None,
        num_qubits: int | None = None,
    ) -> NDArray:
        """`log_likelihood` of levels."""
        if noise is None:
            _no_circuit_meant(reuse_qubits, num_qubits)
            return self.log_likelihood_of_levels(levels)
        return self._finite(self._noisy(noise, reuse_qubits, num_qubits).log_likelihood(levels))

    def log_likelihood_of_levels(self, levels: NDArray) -> NDArray:
        """`log_likelihood` of samples that are levels already, -1 where missing (see `levels`)."""
        check_is_fitted(self, "state_")
        return self._finite(log_marginal(self.state_, levels))

    def score_samples(self, X: Any, **noisy: Any) -> NDArray:
        """ln p of each sample in nats, (samples,): a density where columns are continuous.

        The probability of the bins, times the density of each number within its bin (see
        `qtnml.data.marginal.Marginal`), in the columns' units: models with other bins can be compared. Values
        with levels of their own (bits, categories, numbers of many equal cells) count with their
        probability; missing ones (NaN) are summed over. Outside of the range seen in training the density
        falls exponentially.

        Args:
            X: Samples.
            **noisy: As for `log_likelihood`.
        """
        levels = self.levels(X)
        return np.asarray(self._log_likelihood(levels, **noisy) + self.log_within(X, levels))

    def log_dependence(self, X: Any) -> NDArray:
        """ln of each sample's probability over that of its values one by one, nats, (samples,).

        ln P(x) - sum of ln P(x_k) over what is known of the sample: the pointwise total correlation. Below 0
        the values go together less often than by chance. `score_samples` is low where one value is rare;
        this is low where the combination is, so that samples with different missing values compare.
        """
        levels = self.levels(X)
        return np.asarray(self.log_likelihood_of_levels(levels) - log_alone(self.marginals(), levels))

    def log_conditionals(self, X: Any) -> NDArray:
        """ln P(x_k | all other known values) of each value, nats, (samples, features); 0 where it is missing.

        Of bins. The least of a row says which value fits least to the others.
        """
        levels = self.levels(X)
        return log_conditionals(self.state_, levels)

    def log_within(self, X: Any, levels: NDArray) -> NDArray:
        """ln of the density of each sample's numbers within their bins, nats, (samples,).

        Args:
            X: Samples.
            levels: What `levels` makes of them.
        """
        if self.encoder_ is None:
            return np.zeros(len(levels))
        return np.asarray(self.encoder_.log_densities(X, levels).sum(axis=1))

    def score(self, X: Any, y: Any = None, **noisy: Any) -> float:  # noqa: ARG002
        """Mean of `score_samples`: the higher the better."""
        return float(self.score_samples(X, **noisy).mean())

    def _noisy(self, noise: Any, reuse_qubits: bool | None, num_qubits: int | None) -> NoisyGenerativeCircuit:
        reuse = True if reuse_qubits is None else reuse_qubits
        compiled = self.compile(reuse_qubits=reuse, num_qubits=num_qubits)
        return NoisyGenerativeCircuit(compiled, noise)

    def conditional_log_likelihood(self, X: Any, given: Sequence[int | str]) -> NDArray:
        """ln P(observed values | columns `given`) in nats, (samples,); what is missing is summed over."""
        levels = self.levels(X)
        known, columns = np.full_like(levels, MISSING), self.columns(given)
        known[:, columns] = levels[:, columns]
        return self._finite(log_marginal(self.state_, levels) - log_marginal(self.state_, known))

    def columns(self, given: Sequence[int | str]) -> list[int]:
        """Numbers of columns that are given by name or number."""
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise InvalidInputError(f"given is a sequence of columns, got {given!r}")
        return [self._column(entry) for entry in given]

    def _finite(self, logs: NDArray) -> NDArray:
        impossible = ~np.isfinite(logs)
        if not impossible.any():
            return logs
        finite = finite_logs(np.where(impossible, -np.inf, logs), self.state_.tree.num_leaves)
        warn_user(
            f"{int(impossible.sum())} of {len(logs)} samples have probability zero under the model; "
            f"their log-likelihood is given as {finite[impossible][0]:g}",
            ZeroProbabilityWarning,
        )
        return finite

    def _column(self, entry: int | str) -> int:
        names = [str(name) for name in getattr(self, "feature_names_in_", [])]
        if isinstance(entry, str) and entry in names:
            return names.index(entry)
        if is_number(entry, int, np.integer) and -self.n_features_in_ <= entry < self.n_features_in_:
            return int(entry) % int(self.n_features_in_)
        raise InvalidInputError(f"there is no column {entry!r}; there are {names or self.n_features_in_}")

    def marginals(self, X: Any = None) -> tuple[NDArray, ...]:
        """P(feature = level | what is known) for each feature, arrays (samples, levels).

        Args:
            X: What is known of each sample, NaN elsewhere; None for nothing known (one row).
        """
        check_is_fitted(self, "state_")
        return self.marginals_of_levels(
            np.full((1, self.n_features_in_), MISSING) if X is None else self.levels(X)
        )

    def marginals_of_levels(self, levels: NDArray) -> tuple[NDArray, ...]:
        """`marginals` of samples that are levels already, -1 where missing (see `levels`)."""
        chunk = chunk_of(self.state_)
        parts = [
            site_marginals(self.state_, observed(self.state_.sites, levels[k : k + chunk]))
            for k in range(0, len(levels), chunk)
        ]
        return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))

    def sample(
        self,
        n_samples: int = 1,
        *,
        given: Any = None,
        random_state: Any = None,
        noise: Any = None,
        reuse_qubits: bool | None = None,
        num_qubits: int | None = None,
    ) -> Any:
        """Exact, independent samples.

        Args:
            n_samples: How many, for each row of `given` if there is one.
            given: Samples with NaN where values are to be drawn: the rest is drawn given what is there.
            random_state: Seed of the draws; None takes fresh ones.
            noise, reuse_qubits, num_qubits: As a circuit under noise would draw them, see `log_likelihood`.

        Returns:
            (n_samples, features): bits as an array, tables as the encoder decodes them (a DataFrame where
            `fit` saw one). With `given` the samples of its first row, then of its second, and so on, known
            cells as they were.
        """
        check_is_fitted(self, "state_")
        if isinstance(n_samples, bool) or not isinstance(n_samples, int | np.integer) or n_samples < 0:
            raise InvalidInputError(f"n_samples must be an integer of at least 0, got {n_samples!r}")
        count = int(n_samples) * (1 if given is None else len(given))
        if count * self.n_features_in_ > _MOST_CELLS:
            raise InvalidInputError(
                f"{count:,} samples of {self.n_features_in_} features do not fit in memory; draw at most "
                f"{_MOST_CELLS // self.n_features_in_:,} at a time"
            )
        rng = generator(random_state)
        if noise is None:
            _no_circuit_meant(reuse_qubits, num_qubits)
        elif given is not None:
            raise InvalidInputError("a noisy circuit draws all features; leave given out, or noise")
        if noise is not None:
            drawn = self._noisy(noise, reuse_qubits, num_qubits).sample(rng, int(n_samples))
        elif given is None:
            drawn = sample(self.state_, rng, int(n_samples))
        else:
            levels = self.levels(given)
            drawn = sample(self.state_, rng, int(n_samples), observed(self.state_.sites, levels))
            drawn = drawn.reshape(-1, self.state_.tree.num_leaves)
            rows = np.repeat(np.arange(len(levels)), int(n_samples))
            return self._completed(given, levels, drawn, rows, rng)
        return self.decode(drawn, rng)

    def impute(
        self,
        X: Any,
        method: Literal["most-probable", "median", "sample"] = "most-probable",
        *,
        beam: int = 32,
        random_state: Any = None,
    ) -> Any:
        """Fill in missing values (NaN): the most probable completion, medians, or a draw.

        Args:
            X: Samples with NaN where values are wanted.
            method: "most-probable": of all missing cells together, by beam search; "median": of each on its
                own, the median of its exact distribution given what is known (of categories the likeliest),
                whose absolute error is expected to be least; "sample": a draw of all together.
            beam: Partial completions kept; exact where there are no more than that.
            random_state: Seed of draws.
        """
        levels = self.levels(X)
        if method == "sample":
            return self.sample(1, given=X, random_state=random_state)
        if method == "median":
            return self.completed_by(X, levels, self.marginals_of_levels(levels))
        if method != "most-probable":
            raise InvalidInputError(f"method must be 'most-probable', 'median' or 'sample', got {method!r}")
        if isinstance(beam, bool) or not isinstance(beam, int | np.integer) or beam < 1:
            raise InvalidInputError(f"beam must be an integer of at least 1, got {beam!r}")
        chunk = max(1, chunk_of(self.state_) // int(beam) ** 2)
        found = [
            most_probable(self.state_, observed(self.state_.sites, levels[k : k + chunk]), int(beam)).strings[
                :, 0
            ]
            for k in range(0, len(levels), chunk)
        ]
        return self._completed(X, levels, np.concatenate(found), np.arange(len(levels)), None)

    def completed_by(self, X: Any, levels: NDArray, distributions: Sequence[NDArray]) -> Any:
        """Samples whose missing cells are the medians of distributions (samples, levels) of each column."""
        rows = np.arange(len(levels))
        if self.encoder_ is None:
            likeliest = np.stack([distribution.argmax(axis=1) for distribution in distributions], axis=1)
            return np.where(levels >= 0, levels, likeliest)
        found, shares = self.encoder_.medians(distributions)
        return self.encoder_.complete(X, levels >= 0, found, rows, None, shares)

    def _completed(self, X: Any, levels: NDArray, filled: NDArray, rows: NDArray, rng: Any) -> Any:
        """Samples for filled-in strings of `rows` of X, known cells as they were."""
        if self.encoder_ is None:
            return filled
        return self.encoder_.complete(X, levels >= 0, filled, rows, rng)

    def compile(
        self,
        *,
        reuse_qubits: bool = True,
        num_qubits: int | None = None,
        target: Any = None,
        synthesis: Synthesis | None = None,
        samples: Any = None,
        passes: Any = (),
        approximate: int | float | Approximation | None = None,
    ) -> GenerativeCircuit:
        """Compile into a circuit whose measured bits are samples.

        A chain of bond 2**V takes V + 1 qubits with reuse, whatever the number of bits.
        `circuit.levels(outcomes)` and `decode` turn results into samples.

        Args:
            reuse_qubits: Measure, reset and reuse qubits.
            num_qubits: With reuse, the most physical qubits; more of them make the circuit less deep. None
                takes the fewest, or on a target the number with which samples are likeliest to be the
                model's.
            target: A backend to compile for: its gates, couplings, times and errors. A Qiskit backend or
                `Target`, one of `get_backend`, or a name such as "fake:torino".
            synthesis: How nodes become gates; by default exactly, with the fewest CX.
            samples: On a target, samples (samples, features) by whose likelihood circuits are compared; the
                model draws some by default.
            passes: That rewrite the circuit so that it errs less, names or objects of `qtnml.program.passes`
                ("skip-resets", "feed-forward", "twirl", "merge", "decouple", "hold-reads"); "auto" takes, on
                a target, those that do best under its calibration. See `GenerativeCircuit.with_passes`.
            approximate: A shallow circuit instead of the exact one: an integer is the most two-qubit gates, a
                number below 1 the fidelity to reach; or what `qtnml.shallow.approximate` found. `infidelity`
                of the result says how far it is off.
        """
        check_is_fitted(self, "state_")
        device = device_called(target) if isinstance(target, str) else target
        levels = None if samples is None else self.levels(samples)
        if approximate is not None:
            if synthesis is not None:
                raise InvalidInputError("an approximate circuit has gates of its own; leave synthesis out")
            found = approximated(self.state_, approximate, verbose=bool(self.verbose))
            return found.compile(
                reuse_qubits=reuse_qubits,
                num_qubits=num_qubits,
                target=device,
                samples=levels,
                passes=passes,
            )
        nodes = len(self.state_.tree.nodes)
        with progress_bar("compiling", nodes, show=bool(self.verbose)) as advance:
            return compile_state(
                self.state_,
                reuse_qubits=reuse_qubits,
                num_qubits=num_qubits,
                target=device,
                synthesis=synthesis,
                samples=levels,
                passes=passes,
                on_node=lambda done, _: advance(done, "nodes"),
            )

    def to_backend(
        self,
        backend: Any,
        *,
        shots: int = 1024,
        reuse_qubits: bool = True,
        num_qubits: int | None = None,
        synthesis: Synthesis | None = None,
        for_device: bool = True,
        samples: Any = None,
        passes: Any = (),
        approximate: int | float | Approximation | None = None,
        recalibrate: bool = False,
        **settings: Any,
    ) -> Any:
        """The same distribution drawn from on a backend, and trained further there: a `BackendBornMachine`.

        Args:
            backend: A backend, its name, or a Qiskit backend or sampler.
            shots: Of a circuit in training.
            reuse_qubits, num_qubits, synthesis, samples, passes, approximate: As for `compile`.
            for_device: Compile for the backend's own qubits and gates, where it has a map of them; otherwise
                Qiskit's transpiler translates.
            recalibrate: Compile for the device's calibration of today, even where the ledger has a circuit of
                this machine for the device: a new one is bought anew.
            settings: Other arguments of `BackendBornMachine` (jobs, repeat, label, training, verbose).
        """
        found = get_backend(backend)
        how = {
            "reuse_qubits": reuse_qubits,
            "num_qubits": num_qubits,
            "synthesis": synthesis,
            "samples": samples,
            "passes": passes,
        }
        if approximate is not None:
            how["approximate"] = approximate
        target = target_of(found) if for_device else None
        pin = None
        if target is not None:
            check_is_fitted(self, "state_")
            pin = pin_of(settings.get("jobs"), found, self.state_, self.state_.sites, how)
        compiled = pinned(pin, lambda: self.compile(target=target, **how), recalibrate=recalibrate)
        measured = BackendBornMachine(self, compiled, found, shots=shots, **settings)
        measured.pin = pin
        return measured

    def explain(self, x: Any = None) -> Any:
        """Why the model gives a sample its likelihood, or what it learnt as a whole.

        Args:
            x: One sample (features,) or (1, features), or a row of a DataFrame; None for the whole model.

        Returns:
            A `qtnml.explain.RecordExplanation`, or a `ModelExplanation`.
        """
        check_is_fitted(self, "state_")
        if x is None:
            return explain_model(self.state_, self._names(), self._labels())
        if hasattr(x, "to_frame"):
            x = x.to_frame().T
        elif not is_frame(x):
            x = np.asarray(x, dtype=None if isinstance(x, np.ndarray) else object)
            x = x[None] if x.ndim == 1 else x
        levels, remarks = self._levels_and_remarks(x)
        if len(levels) != 1:
            raise InvalidInputError(f"explain takes one sample, got {len(levels)}")
        found = explain_record(self.state_, levels[0], self._names(), self._labels())
        found = replace(found, remarks=tuple(remarks))
        return found if self.encoder_ is None else self._with_numbers(found, x, levels)

    def _with_numbers(self, found: RecordExplanation, x: Any, levels: NDArray) -> RecordExplanation:
        """An explanation with the numbers of the record that are in bins, and its density."""
        assert self.encoder_ is not None
        cells, columns = Table.of(x).columns, self.encoder_.columns_
        features = [
            replace(feature, given=column.shown(float(cell[0]))) if level >= len(column.values) else feature
            for feature, cell, column, level in zip(found.features, cells, columns, levels[0], strict=True)
        ]
        within = float(self.log_within(x, levels)[0])
        density = found.log_likelihood + within if any(c.kind == "bins" for c in columns) else None
        return replace(found, features=tuple(features), log_density=density)

    def _levels_and_remarks(self, x: Any) -> tuple[NDArray, list[str]]:
        """Levels of a sample, and what they do not say of it."""
        encoder = self.encoder_
        if encoder is None or encoder.unseen == "error":
            return self.levels(x), []
        table = Table.of(x)
        levels, strange = encoder.transform_quietly(table)
        beyond = encoder.out_of_range(table)
        names = [column.name for column in encoder.columns_]
        remarks = [
            f"{names[k]} has a value never seen in training." for k in np.flatnonzero(strange.any(axis=0))
        ]
        remarks += [
            f"{names[k]} lies far outside the range seen in training."
            for k in np.flatnonzero(beyond.any(axis=0))
        ]
        return levels, remarks

    def _names(self) -> list[str]:
        if self.encoder_ is not None:
            return [column.name for column in self.encoder_.columns_]
        return [
            str(n) for n in getattr(self, "feature_names_in_", [f"x{k}" for k in range(self.n_features_in_)])
        ]

    def _labels(self) -> list[list[str]]:
        if self.encoder_ is None:
            return [["0", "1"]] * self.n_features_in_
        return [[column.label(k) for k in range(column.num_levels)] for column in self.encoder_.columns_]


def _no_circuit_meant(reuse_qubits: bool | None, num_qubits: int | None) -> None:
    if reuse_qubits is not None or num_qubits is not None:
        raise InvalidInputError(
            "without noise all circuits of a model draw alike; leave reuse_qubits and num_qubits out, or "
            "give noise"
        )
