"""Clusters: a mixture of Born machines by EM, and the leading Schmidt vectors of one."""

from typing import Any, Self

import numpy as np
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClusterMixin, DensityMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.born.reduced import bond_entropies, bond_states, schmidt_values
from qtnml.contract.environments import Batch, Environments
from qtnml.data.frames import is_frame, joined_frames, row_weights
from qtnml.data.table_encoder import TableEncoder
from qtnml.errors import InvalidInputError, warn_user
from qtnml.models.born_machine import BornMachine
from qtnml.models.born_settings import check_born_settings
from qtnml.models.born_training import encoded
from qtnml.models.saved import SavedToFile
from qtnml.models.settings import is_number
from qtnml.models.validation import generator
from qtnml.progress import progress_bar


class BornMixture(SavedToFile, ClusterMixin, DensityMixin, BaseEstimator):
    """Mixture of Born machines, fitted by expectation maximisation: each component explains a cluster.

    Args:
        model: A Born machine; each component is a clone of it, trained on samples weighed by how much of
            them it explains.
        n_components: Number of clusters.
        max_iter: Rounds of expectation and maximisation.
        tol: Ends where the mean log-likelihood rises by less, nats.
        n_init: Starts; the best is kept.
        random_state: Seed of the first assignment and of the models.
        verbose: 1 shows a progress bar on standard error.

    Attributes:
        models_: The fitted components.
        weights_: Their shares, (components,).
        labels_: Component of each training sample.
        lower_bound_: Mean log-likelihood of the training samples, nats.
        n_iter_, converged_: Rounds, and whether they ended by `tol`.
    """

    def __init__(
        self,
        model: BornMachine,
        n_components: int = 2,
        *,
        max_iter: int = 20,
        tol: float = 1e-3,
        n_init: int = 1,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.n_components = n_components
        self.max_iter = max_iter
        self.tol = tol
        self.n_init = n_init
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if isinstance(self.model, BornMachine):
            tags.input_tags = self.model.__sklearn_tags__().input_tags
        return tags

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: ARG002
        """Learn the mixture of samples X (weights count as copies)."""
        self.check_settings()
        rng = generator(self.random_state)
        # One encoder for all components: their likelihoods must mean the same.
        encoder, levels = encoded(self.model, X)
        if len(levels) < self.n_components:
            raise InvalidInputError(f"{self.n_components} components need as many samples, got {len(levels)}")
        own = row_weights(sample_weight, len(levels))
        best: _Fit | None = None
        for _ in range(int(self.n_init)):
            found = self._em(encoder, levels, own, rng)
            if best is None or found.bound > best.bound:
                best = found
        assert best is not None
        self.models_, self.weights_ = best.models, best.weights
        self.lower_bound_, self.n_iter_, self.converged_ = best.bound, best.rounds, best.converged
        for fitted in self.models_:
            fitted.remember_features(X, levels.shape[1])
        self.n_features_in_ = best.models[0].n_features_in_
        if hasattr(best.models[0], "feature_names_in_"):
            self.feature_names_in_ = best.models[0].feature_names_in_
        self.labels_ = self.predict(X)
        return self

    def check_settings(self) -> None:
        """Refuse settings that cannot be used."""
        if not isinstance(self.model, BornMachine):
            raise InvalidInputError(f"model must be a Born machine, got {self.model!r}")
        check_born_settings(self.model)
        for name in ("n_components", "max_iter", "n_init"):
            value = getattr(self, name)
            if not (is_number(value, int, np.integer) and value >= 1):
                raise InvalidInputError(f"{name} must be an integer of at least 1, got {value!r}")
        if not (is_number(self.tol, int, float, np.number) and 0 <= self.tol < np.inf):
            raise InvalidInputError(f"tol must be a finite number of at least 0, got {self.tol!r}")
        if self.model.checkpoint is not None:
            raise InvalidInputError(
                f"components write no checkpoints, got a model with checkpoint={self.model.checkpoint!r}; "
                "leave it out"
            )

    def _em(
        self, encoder: TableEncoder | None, levels: NDArray, own: NDArray, rng: np.random.Generator
    ) -> "_Fit":
        count = int(self.n_components)
        shares = rng.dirichlet(np.full(count, 0.3), size=len(levels))
        models = [
            clone(self.model).set_params(random_state=int(rng.integers(2**31)), validation_fraction=0.0)
            for _ in range(count)
        ]
        bound, converged, rounds = -np.inf, False, 0
        with progress_bar("mixture", int(self.max_iter), show=bool(self.verbose)) as advance:
            for rounds in range(1, int(self.max_iter) + 1):
                for model, share in zip(models, shares.T, strict=True):
                    model.set_params(warm_start=rounds > 1)
                    model.learn_levels(encoder, levels, own * np.maximum(share, 1e-9))
                weights = own @ shares / own.sum()
                joint = _joint(models, weights, levels)
                total = logsumexp(joint, axis=1)
                shares = np.exp(joint - total[:, None])
                mean = float(own @ total / own.sum())
                risen, bound = mean - bound, mean
                advance(rounds, f"log-likelihood {bound:.3f}")
                if abs(risen) < self.tol:
                    converged = True
                    break
        return _Fit(models, weights, bound, rounds, converged)

    def predict_proba(self, X: Any) -> NDArray:
        """Share of each component in explaining each sample, (samples, components)."""
        check_is_fitted(self, "models_")
        joint = _joint(self.models_, self.weights_, self.models_[0].levels(X))
        return np.asarray(np.exp(joint - logsumexp(joint, axis=1, keepdims=True)))

    def predict(self, X: Any) -> NDArray:
        """The component that explains each sample best."""
        return np.asarray(self.predict_proba(X).argmax(axis=1))

    def score_samples(self, X: Any) -> NDArray:
        """ln P of samples under the mixture, nats."""
        check_is_fitted(self, "models_")
        return np.asarray(logsumexp(_joint(self.models_, self.weights_, self.models_[0].levels(X)), axis=1))

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002
        """Mean of `score_samples`."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, *, random_state: Any = None) -> tuple[Any, NDArray]:
        """Samples, and the component each was drawn from."""
        check_is_fitted(self, "models_")
        if not (is_number(n_samples, int, np.integer) and n_samples >= 0):
            raise InvalidInputError(f"n_samples must be an integer of at least 0, got {n_samples!r}")
        rng = generator(random_state)
        counts = rng.multinomial(int(n_samples), self.weights_)
        seeds = rng.integers(2**31, size=len(counts))
        parts = [
            model.sample(int(n), random_state=int(seed))
            for model, n, seed in zip(self.models_, counts, seeds, strict=True)
        ]
        labels = np.repeat(np.arange(len(counts)), counts)
        if is_frame(parts[0]):
            return joined_frames(parts), labels
        return np.concatenate(parts), labels


class _Fit:
    """What one start gave."""

    def __init__(
        self, models: list[BornMachine], weights: NDArray, bound: float, rounds: int, converged: bool
    ) -> None:
        self.models, self.weights, self.bound = models, weights, bound
        self.rounds, self.converged = rounds, converged


def _joint(models: list[BornMachine], weights: NDArray, levels: NDArray) -> NDArray:
    """ln (weight P(x)) of every component, (samples, components)."""
    return np.stack([model.log_likelihood_of_levels(levels) for model in models], axis=1) + np.log(weights)


class SchmidtClustering(SavedToFile, ClusterMixin, BaseEstimator):
    """Clusters by the leading Schmidt vectors of one bond of a Born machine.

    Across a bond a state is a sum of products, sum_k s_k |left_k>|right_k>. A sample belongs to the term that
    contributes most to its amplitude: |s_k left_k(x) right_k(x)|.

    Args:
        model: A Born machine.
        n_clusters: Terms, those of the largest Schmidt values.
        bond: Index into `bond_dims_` of the model; None takes the bond of most entropy.

    Attributes:
        model_: The fitted model.
        bond_: The bond.
        schmidt_values_: Of the terms.
        labels_: Cluster of each training sample.
    """

    def __init__(self, model: BornMachine, n_clusters: int = 2, *, bond: int | None = None) -> None:
        self.model = model
        self.n_clusters = n_clusters
        self.bond = bond

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if isinstance(self.model, BornMachine):
            tags.input_tags = self.model.__sklearn_tags__().input_tags
        tags.input_tags.allow_nan = False
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002
        """Train the model and find the bond."""
        self.check_settings()
        model = clone(self.model).fit(X)
        _refuse_holes(model.levels(X))
        entropies = bond_entropies(model.state_)
        if not len(entropies):
            raise InvalidInputError(
                f"a model of one node has no bond to cut; got n_features = {model.n_features_in_}"
            )
        bond = int(np.argmax(entropies)) if self.bond is None else self.bond
        if isinstance(bond, bool) or not isinstance(bond, int | np.integer) or not 0 <= bond < len(entropies):
            raise InvalidInputError(f"bond must be from 0 to {len(entropies) - 1}, got {self.bond!r}")
        most = model.bond_dims_[int(bond)]
        if self.n_clusters > most:
            warn_user(
                f"bond {bond} has {most} terms: fewer clusters than n_clusters={self.n_clusters}; take a "
                "larger max_bond, or another bond",
                ConvergenceWarning,
            )
        self.model_, self.bond_, self.n_features_in_ = model, int(bond), model.n_features_in_
        self.schmidt_values_ = schmidt_values(model.state_)[self.bond_][: int(self.n_clusters)]
        self.labels_ = self.predict(X)
        return self

    def check_settings(self) -> None:
        """Refuse settings that cannot be used, whatever the model learns."""
        if not isinstance(self.model, BornMachine):
            raise InvalidInputError(f"model must be a Born machine, got {self.model!r}")
        if not (is_number(self.n_clusters, int, np.integer) and self.n_clusters >= 1):
            raise InvalidInputError(f"n_clusters must be an integer of at least 1, got {self.n_clusters!r}")

    def terms(self, X: Any) -> NDArray:
        """s_k left_k(x) right_k(x) of each term kept, (samples, clusters); all of them add up to psi(x)."""
        terms, log_scale = self._terms(X)
        return np.asarray(terms * np.exp(log_scale)[:, None])

    def _terms(self, X: Any) -> tuple[NDArray, NDArray]:
        """Terms up to a factor for each sample, and the logarithms of those factors."""
        check_is_fitted(self, "model_")
        state, levels = self.model_.state_, self.model_.levels(X)
        _refuse_holes(levels)
        edges = Environments(
            state.cores, Batch.of_levels(state.tree, levels, state.sites.dims), np.dtype(np.complex128)
        )
        edges.send_down()
        parent = state.tree.parents[self.bond_]
        below, above = edges.reaching(parent, self.bond_), edges.reaching(self.bond_, parent)
        # The reduced state of the bond is diagonal in the Schmidt basis.
        vectors = np.linalg.eigh(bond_states(state)[self.bond_][0])[1][:, ::-1]
        vectors = vectors[:, : len(self.schmidt_values_)]
        return (below @ vectors) * (above @ vectors.conj()), edges.log_scales(parent, self.bond_)

    def contributions(self, X: Any) -> NDArray:
        """|s_k left_k(x) right_k(x)|**2 of each term, as shares of the terms kept, (samples, clusters)."""
        weights = np.abs(self._terms(X)[0]) ** 2
        return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300))

    def predict(self, X: Any) -> NDArray:
        """The term that contributes most to each sample."""
        return np.asarray(self.contributions(X).argmax(axis=1))


def _refuse_holes(levels: NDArray) -> None:
    if (levels < 0).any():
        raise InvalidInputError(
            "Input X contains NaN: samples with missing values have no cluster; fill them in (impute)"
        )
