"""Clusters by the leading Schmidt vectors of a Born machine."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.born.reduced import bond_entropies, bond_states, schmidt_values
from qtnml.contract.environments import Batch, Environments
from qtnml.errors import InvalidInputError, warn_user
from qtnml.models.born_machine import BornMachine
from qtnml.models.saved import SavedToFile
from qtnml.models.settings import is_number


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
        _refuse_gaps(model.levels(X))
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
        _refuse_gaps(levels)
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


def _refuse_gaps(levels: NDArray) -> None:
    if (levels < 0).any():
        raise InvalidInputError(
            "Input X contains NaN: samples with missing values have no cluster; fill them in (impute)"
        )
