"""`BornMixture`: a mixture of Born machines, as a density and as clusters."""

from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClusterMixin, DensityMixin, clone
from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.born.evidence import log_alone
from qtnml.born.markov import cut
from qtnml.compile import GenerativeCircuit
from qtnml.data.columns import MISSING
from qtnml.data.frames import is_frame, joined_frames
from qtnml.data.table_encoder import TableEncoder
from qtnml.errors import InvalidInputError
from qtnml.models.born import TreeBornMachine
from qtnml.models.born_machine import BornMachine
from qtnml.models.born_settings import check_born_settings
from qtnml.models.born_training import warn_if_stopped
from qtnml.models.level_input import strings_of
from qtnml.models.progress import each_epoch
from qtnml.models.saved import SavedToFile
from qtnml.models.settings import is_number
from qtnml.models.validation import generator
from qtnml.progress import progress_bar
from qtnml.train import EpochRecord
from qtnml.train.born_loop import Strings
from qtnml.train.mixture import MixtureResult, best_cuts, markov_mixture, train_mixture

_SEEN = 0.7  # share of the rows that the trees of one start are learnt from, so that starts differ


class BornMixture(SavedToFile, ClusterMixin, DensityMixin, BaseEstimator):
    """Mixture of Born machines, fitted by expectation maximisation.

    Each component has a network of its own. First a mixture of Chow-Liu trees is fitted. Then each tree
    becomes a Born machine at exactly its distribution, and all are swept together, samples weighed by how
    much of them a component explains. A mixture is a better density than one machine, its components are
    clusters, and on a quantum computer it is a few small circuits, one of which each shot runs.

    Args:
        model: A Born machine with method="sweeps", whose settings and kind of network all components have;
            None takes `TreeBornMachine()`.
        n_components: Number of components.
        max_iter: Most rounds of expectation maximisation of the trees.
        tol: They end where the mean log-likelihood rises by less, nats.
        n_init: Starts, of trees learnt from a random 70 percent of the samples where there are several.
        average: Keep all starts, as one mixture of `n_components * n_init`, instead of the best: a better
            density, whose components are no clusters.
        random_state: Seed of the first assignment and of the models.
        verbose: 1 shows a progress bar on standard error.

    Attributes:
        models_: The fitted components, Born machines.
        weights_: Their shares, (components,).
        labels_: Component of each training sample.
        nll_: Mean negative log-likelihood, nats, of held-out samples (of training where nothing is held out).
        lower_bound_: Mean log-likelihood of the training samples, nats.
        n_iter_, converged_: Rounds for the trees, and whether they ended by `tol` or by held-out samples.
        history_: An `EpochRecord` for each round of sweeps, of the best start.

    >>> bits = np.repeat([[0, 0, 1, 1], [1, 1, 0, 0]], 50, axis=0)
    >>> mixture = BornMixture(TreeBornMachine(2), 2, random_state=0).fit(bits)
    >>> round(mixture.score(bits), 2)  # -ln 2
    -0.69
    >>> mixture.sample(3, given=[[1, np.nan, np.nan, 0]], random_state=0)[0].tolist()
    [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]]
    """

    def __init__(
        self,
        model: BornMachine | None = None,
        n_components: int = 4,
        *,
        max_iter: int = 50,
        tol: float = 1e-3,
        n_init: int = 1,
        average: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.n_components = n_components
        self.max_iter = max_iter
        self.tol = tol
        self.n_init = n_init
        self.average = average
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if isinstance(self.model, BornMachine):
            tags.input_tags = self.model.__sklearn_tags__().input_tags
        tags.input_tags.allow_nan = True
        return tags

    def fit(
        self,
        X: Any,
        y: Any = None,  # noqa: ARG002
        sample_weight: Any = None,
        *,
        validation: Any = None,
    ) -> Self:
        """Learn the mixture of samples X (weights count as copies).

        Args:
            X, sample_weight, validation: As for `TreeBornMachine`.
            y: Ignored.
        """
        self.check_settings()
        model = self._model()
        rng = generator(self.random_state)
        # One encoder for all components: their likelihoods must mean the same.
        encoder, levels, weights, (kept, held) = model.encoded_split(
            X, sample_weight, rng, held_out=validation
        )
        if len(kept) < self.n_components:
            raise InvalidInputError(f"{self.n_components} components need as many samples, got {len(X)}")
        dims = (2,) * levels.shape[1] if encoder is None else encoder.site_dims_
        data = strings_of(encoder, levels[kept], weights[kept])
        held_out = strings_of(encoder, levels[held], weights[held]) if len(held) else None
        data = data.smoothed(dims, float(model.smoothing), rng)
        found: list[_Start] = []
        for number, own in enumerate(rng.spawn(int(self.n_init))):
            found.append(self._start(model, dims, data, held_out, own, number))
            if found[-1].result.stopped in ("interrupted", "callback"):
                break
        found.sort(key=lambda start: start.result.score)
        chosen = found if self.average else found[:1]
        self.weights_ = np.concatenate([start.result.weights for start in chosen]) / len(chosen)
        self.models_ = []
        for start in chosen:
            for state in start.result.states:
                self.models_.append(self._component(model, encoder, state, start.result))
                self.models_[-1].remember_features(X, levels.shape[1])
        self.n_iter_, self.converged_ = found[0].rounds, found[0].converged
        self.n_features_in_ = self.models_[0].n_features_in_
        if hasattr(self.models_[0], "feature_names_in_"):
            self.feature_names_in_ = self.models_[0].feature_names_in_
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_  # of an earlier fit
        judge = data if held_out is None else held_out
        self.nll_ = -float(judge.weights @ self._log_likelihood(judge.X))
        self.lower_bound_ = float(data.weights @ self._log_likelihood(data.X))
        self.labels_ = self.predict(X)
        return self

    def _model(self) -> BornMachine:
        model: BornMachine = TreeBornMachine() if self.model is None else clone(self.model)
        model.set_params(warm_start=False)
        return model

    def check_settings(self) -> None:
        """Refuse settings that cannot be used."""
        if self.model is not None and not isinstance(self.model, BornMachine):
            raise InvalidInputError(f"model must be a Born machine or None, got {self.model!r}")
        for name in ("n_components", "max_iter", "n_init"):
            value = getattr(self, name)
            if not (is_number(value, int, np.integer) and value >= 1):
                raise InvalidInputError(f"{name} must be an integer of at least 1, got {value!r}")
        if not (is_number(self.tol, int, float, np.number) and 0 <= self.tol < np.inf):
            raise InvalidInputError(f"tol must be a finite number of at least 0, got {self.tol!r}")
        if not isinstance(self.average, bool | np.bool_):
            raise InvalidInputError(f"average must be True or False, got {self.average!r}")
        if self.model is None:
            return
        check_born_settings(self.model)
        if self.model.resume and not is_number(self.random_state, int, np.integer):
            raise InvalidInputError(
                f"resume=True needs an integer random_state of the mixture, got {self.random_state!r}"
            )
        if self.model.method != "sweeps":
            raise InvalidInputError(
                f"components are trained by sweeps, got a model with method={self.model.method!r}"
            )

    def _start(
        self,
        model: BornMachine,
        dims: tuple[int, ...],
        data: Strings,
        held_out: Strings | None,
        rng: np.random.Generator,
        number: int,
    ) -> "_Start":
        seen = data
        if int(self.n_init) > 1:
            seen = data.weighed(data.weights * (rng.random(len(data.X)) < _SEEN) + 1e-12)
        trees = markov_mixture(
            seen,
            held_out,
            lambda part: model.sites_for(part, dims),
            int(self.n_components),
            rng,
            max_iter=int(self.max_iter),
            tol=float(self.tol),
            dependent=model.max_bond > 1,
        )
        states = [
            data.narrowed(model.start_from(cut(tree.state(sites), int(model.max_bond)), rng))
            for sites, tree in zip(trees.sites, trees.trees, strict=True)
        ]
        if data.is_smooth and held_out is not None:
            states = best_cuts(states, trees.weights, held_out)
        widest = max(states, key=lambda state: max(state.bond_dims, default=1))
        training = model.sweep_training(widest, held_out=held_out is not None)
        with progress_bar("mixture", training.epochs, show=bool(self.verbose)) as advance:
            result = train_mixture(
                states,
                trees.weights,
                data,
                training,
                rng,
                validation=held_out,
                callback=each_epoch(advance, "NLL", model.callback),
                checkpoint=model.checkpoint_of(number),
            )
        warn_if_stopped(result.stopped, len(result.history), training.epochs)
        result = replace(result, states=tuple(map(data.widened, result.states)))
        return _Start(result, trees.rounds, trees.converged)

    def _component(
        self, model: BornMachine, encoder: TableEncoder | None, state: TreeState, result: MixtureResult
    ) -> BornMachine:
        own: BornMachine = clone(model)
        own.encoder_, own.state_ = encoder, state
        own.history_, own.best_epoch_ = list(result.history), result.best_epoch
        own.n_iter_, own.stopped_ = len(result.history), result.stopped
        own.nll_, own.independent_nll_, own.notes_ = result.score, float("nan"), {}
        return own

    @property
    def history_(self) -> list[EpochRecord]:
        """See the class."""
        check_is_fitted(self, "models_")
        return self.models_[0].history_

    def _joint(self, levels: NDArray) -> NDArray:
        """ln (share P(x)) of every component, (samples, components)."""
        logs = [model.log_likelihood_of_levels(levels) for model in self.models_]
        return np.stack(logs, axis=1) + np.log(self.weights_)

    def _log_likelihood(self, levels: NDArray) -> NDArray:
        return np.asarray(logsumexp(self._joint(levels), axis=1))

    def levels(self, X: Any) -> NDArray:
        """Levels (samples, sites) of samples, -1 where missing, as the components see them."""
        check_is_fitted(self, "models_")
        return self.models_[0].levels(X)

    def predict_proba(self, X: Any) -> NDArray:
        """Share of each component in explaining each sample, (samples, components)."""
        return self._shares(self.levels(X))

    def _shares(self, levels: NDArray) -> NDArray:
        """`predict_proba` of levels."""
        joint = self._joint(levels)
        return np.asarray(np.exp(joint - logsumexp(joint, axis=1, keepdims=True)))

    def predict(self, X: Any) -> NDArray:
        """The component that explains each sample best."""
        return np.asarray(self.predict_proba(X).argmax(axis=1))

    def log_likelihood(self, X: Any) -> NDArray:
        """ln P of samples under the mixture, nats, (samples,); missing values (NaN) are summed over."""
        return self._log_likelihood(self.levels(X))

    def score_samples(self, X: Any) -> NDArray:
        """ln p of each sample in nats, (samples,): a density where columns are continuous.

        See `TreeBornMachine.score_samples`.
        """
        levels = self.levels(X)
        return self._log_likelihood(levels) + self.models_[0].log_within(X, levels)

    def log_dependence(self, X: Any) -> NDArray:
        """Pointwise total correlation, nats, (samples,); see `BornMachine.log_dependence`."""
        levels = self.levels(X)
        return np.asarray(self._log_likelihood(levels) - log_alone(self.marginals(), levels))

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002
        """Mean of `score_samples`."""
        return float(self.score_samples(X).mean())

    def conditional_log_likelihood(self, X: Any, given: Any) -> NDArray:
        """ln P(observed values | columns `given`) in nats, (samples,); what is missing is summed over."""
        levels = self.levels(X)
        known = np.full_like(levels, MISSING)
        columns = self.models_[0].columns(given)
        known[:, columns] = levels[:, columns]
        return self._log_likelihood(levels) - self._log_likelihood(known)

    def marginals(self, X: Any = None) -> tuple[NDArray, ...]:
        """P(feature = level | what is known) for each feature, arrays (samples, levels).

        Args:
            X: What is known of each sample, NaN elsewhere; None for nothing known (one row).
        """
        check_is_fitted(self, "models_")
        columns = self.models_[0].n_features_in_
        return self._marginals(np.full((1, columns), MISSING) if X is None else self.levels(X))

    def _marginals(self, levels: NDArray) -> tuple[NDArray, ...]:
        """`marginals` of levels."""
        shares = self._shares(levels)
        parts = [model.marginals_of_levels(levels) for model in self.models_]
        return tuple(
            np.asarray(sum(shares[:, [k]] * own[column] for k, own in enumerate(parts)))
            for column in range(len(parts[0]))
        )

    def sample(
        self, n_samples: int = 1, *, given: Any = None, random_state: Any = None
    ) -> tuple[Any, NDArray]:
        """Samples, and the component each was drawn from.

        Args:
            n_samples: How many, for each row of `given` if there is one.
            given: Samples with NaN where values are to be drawn: the rest is drawn given what is there.
            random_state: Seed of the draws; None takes fresh ones.
        """
        check_is_fitted(self, "models_")
        if not (is_number(n_samples, int, np.integer) and n_samples >= 0):
            raise InvalidInputError(f"n_samples must be an integer of at least 0, got {n_samples!r}")
        rng = generator(random_state)
        count = int(n_samples)
        if given is None:
            counts = rng.multinomial(count, self.weights_)
            labels = np.repeat(np.arange(len(counts)), counts)
            parts = [
                model.sample(int(n), random_state=int(rng.integers(2**31)))
                for model, n in zip(self.models_, counts, strict=True)
            ]
            return _joined(parts), labels
        shares = np.repeat(self.predict_proba(given), count, axis=0)
        labels = (shares.cumsum(axis=1) < rng.random((len(shares), 1))).sum(axis=1)
        labels = np.minimum(labels, shares.shape[1] - 1)
        table = _rows(given, np.repeat(np.arange(len(given)), count))
        order = np.argsort(labels, kind="stable")
        parts = []
        for k in np.unique(labels):
            own = order[labels[order] == k]
            drawn = self.models_[k].sample(1, given=_rows(table, own), random_state=int(rng.integers(2**31)))
            parts.append(drawn)
        if not parts:
            return table, labels
        return _rows(_joined(parts), np.argsort(order, kind="stable")), labels

    def impute(
        self, X: Any, method: Literal["median", "sample"] = "sample", *, random_state: Any = None
    ) -> Any:
        """Fill in missing values (NaN) given what is there: by a draw, or medians.

        Args:
            X: Samples with NaN where values are wanted.
            method: "sample", or "median", as for `TreeBornMachine.impute`.
            random_state: Seed of draws.
        """
        if method == "median":
            levels = self.levels(X)
            return self.models_[0].completed_by(X, levels, self._marginals(levels))
        if method != "sample":
            raise InvalidInputError(f"method must be 'sample' or 'median', got {method!r}")
        filled = self.sample(1, given=X, random_state=random_state)[0]
        # Rows keep their names, where a library has them.
        named = hasattr(X, "index") and hasattr(filled, "set_axis")
        return filled.set_axis(X.index, axis=0) if named else filled

    def compile(self, **settings: Any) -> tuple[GenerativeCircuit, ...]:
        """The circuit of each component: a shot is one of circuit k with probability `weights_[k]`.

        Args:
            **settings: As for `TreeBornMachine.compile`.
        """
        check_is_fitted(self, "models_")
        return tuple(model.compile(**settings) for model in self.models_)


class _Start:
    """What one start gave."""

    def __init__(self, result: MixtureResult, rounds: int, converged: bool) -> None:
        self.result, self.rounds, self.converged = result, rounds, converged


def _rows(table: Any, rows: NDArray) -> Any:
    return table.iloc[rows].reset_index(drop=True) if is_frame(table) else np.asarray(table)[rows]


def _joined(parts: list[Any]) -> Any:
    return joined_frames(parts) if is_frame(parts[0]) else np.concatenate(parts)
