"""`TreeForestClassifier`: the mean of several circuits, each over the features in an order of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.backends import Backend
from qtnml.compile import CompiledCircuit
from qtnml.data.augmentation import Augmentation
from qtnml.data.frames import row_weights
from qtnml.errors import InvalidInputError
from qtnml.models.amplitude import AmplitudeClassifier
from qtnml.models.backend_classifier import BackendClassifier
from qtnml.models.classifiers import NetworkClassifier, TreeClassifier
from qtnml.models.saved import SavedToFile
from qtnml.models.settings import is_number
from qtnml.models.validation import checked_samples, checked_training_data, generator
from qtnml.progress import progress_bar

_TREES = (NetworkClassifier, AmplitudeClassifier)


class TreeForestClassifier(SavedToFile, ClassifierMixin, BaseEstimator):
    """Mean of the class probabilities of several trees, each a circuit.

    Each tree sees the features in a random order (so that other features are near one another), or a random
    part of them, and starts at weights of its own. As a circuit the forest is one circuit for each tree; a
    device runs them one after another, or side by side.

    Args:
        model: A `TreeClassifier`, `MPSClassifier` or amplitude classifier, cloned for each tree; None takes
            `TreeClassifier()`.
        n_estimators: Trees.
        max_features: Features of each tree: their number, or (a float up to 1) their share.
        bootstrap: Train each tree on samples drawn with replacement; otherwise all see all samples.
        shuffle: Put the features of each tree in a random order; not where the model has a topology of its
            own or learns it.
        orders: Sequences of features in the place of random ones, which the trees take in turn: pixel orders
            of pictures, say (`qtnml.data.pixel_order`).
        random_state: Seed of features, samples and trees.
        verbose: 1 shows a progress bar on standard error.

    Attributes:
        estimators_: The fitted trees.
        estimators_features_: Features of each, in the order it sees them.
        classes_: The labels.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = TreeClassifier(2, epochs=30)
    >>> forest = TreeForestClassifier(model, 2, random_state=0).fit(X, y)
    >>> bool(forest.score(X, y) > 0.9), len(forest.compile())
    (True, 2)
    """

    def __init__(
        self,
        model: NetworkClassifier | AmplitudeClassifier | None = None,
        n_estimators: int = 10,
        *,
        max_features: int | float = 1.0,
        bootstrap: bool = False,
        shuffle: bool = True,
        orders: Sequence[Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.n_estimators = n_estimators
        self.max_features = max_features
        self.bootstrap = bootstrap
        self.shuffle = shuffle
        self.orders = orders
        self.random_state = random_state
        self.verbose = verbose

    @property
    def encoder(self) -> Any:
        """Of the model: what makes features of tables."""
        return None if self.model is None else self.model.encoder

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if isinstance(self.model, _TREES):
            tags.input_tags = self.model.__sklearn_tags__().input_tags
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train all trees on samples X (samples, features) with labels y.

        Args:
            X, y: Samples and their labels; a table where the model has an encoder.
            sample_weight: (samples,) multiplies each sample's loss.
        """
        self.check_settings()
        checked_training_data(self, X, y, sample_weight)
        count, rng = int(self.n_features_in_), generator(self.random_state)
        weights = row_weights(sample_weight, len(np.asarray(y)))
        taken = self._taken(count)
        trees, chosen = [], []
        with progress_bar("trees", int(self.n_estimators), show=bool(self.verbose)) as advance:
            for number in range(int(self.n_estimators)):
                features = self._features_of(number, count, taken, rng)
                own = weights
                if self.bootstrap:
                    drawn = rng.choice(len(weights), len(weights), p=weights / weights.sum())
                    own = np.bincount(drawn, minlength=len(weights)).astype(np.float64)
                tree = clone(TreeClassifier() if self.model is None else self.model)
                tree.set_params(random_state=int(rng.integers(2**31)))
                if tree.augment is not None:
                    tree.set_params(augment=_Reordered(tree.augment, features))
                trees.append(tree.fit(_columns(X, features), y, sample_weight=own))
                chosen.append(features)
                advance(number + 1, f"loss {tree.history_[-1].loss:.4f}")
        if any(not np.array_equal(tree.classes_, trees[0].classes_) for tree in trees):
            raise InvalidInputError(
                "a tree's samples did not have all classes; set bootstrap=False, or give more samples"
            )
        self.estimators_, self.estimators_features_ = trees, chosen
        self.classes_ = trees[0].classes_
        return self

    def check_settings(self) -> None:
        """Refuse settings that cannot be used."""
        if self.model is not None and not isinstance(self.model, _TREES):
            raise InvalidInputError(
                "model must be a TreeClassifier, an MPSClassifier, an amplitude classifier or None, got "
                f"{self.model!r}"
            )
        if self.model is not None and self.model.checkpoint is not None:
            raise InvalidInputError("trees of a forest write no checkpoints; leave checkpoint out")
        if not (is_number(self.n_estimators, int, np.integer) and self.n_estimators >= 1):
            raise InvalidInputError(
                f"n_estimators must be an integer of at least 1, got {self.n_estimators!r}"
            )
        number: Any = self.max_features
        is_count = is_number(number, int, np.integer) and number >= 1
        is_share = is_number(number, float, np.floating) and 0 < number <= 1
        if not (is_count or is_share):
            raise InvalidInputError(
                "max_features must be an integer of at least 1, or a share above 0 and up to 1, got "
                f"{number!r}"
            )
        if self.orders is not None and (self.max_features != 1.0 or not len(self.orders)):
            raise InvalidInputError("orders say which features a tree has; leave max_features out, or orders")
        if self.model is not None and self.model.augment is not None and self.max_features != 1.0:
            raise InvalidInputError("augment changes all features; leave max_features out, or augment")
        for name in ("bootstrap", "shuffle"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise InvalidInputError(f"{name} must be True or False, got {getattr(self, name)!r}")

    def _taken(self, count: int) -> int:
        if isinstance(self.max_features, float | np.floating):
            return max(1, round(float(self.max_features) * count))
        if self.max_features > count:
            raise InvalidInputError(f"max_features={self.max_features} of {count} features")
        return int(self.max_features)

    def _has_order(self) -> bool:
        """Whether a tree's shape says nothing of which feature is which."""
        return getattr(self.model, "topology", None) is None

    def _features_of(self, number: int, count: int, taken: int, rng: np.random.Generator) -> NDArray:
        """Those of a tree, in the order it sees them."""
        if self.orders is None:
            features = rng.permutation(count)[:taken]
            return features if self.shuffle and self._has_order() else np.sort(features)
        order = np.asarray(self.orders[number % len(self.orders)])
        known = order.ndim == 1 and order.dtype.kind in "iu" and len(order)
        if not known or len(np.unique(order)) < len(order) or order.min() < 0 or order.max() >= count:
            raise InvalidInputError(
                f"an order is a sequence of different features, 0 to {count - 1}, got {order.tolist()!r:.80}"
            )
        if len(order) < count and self.model is not None and self.model.augment is not None:
            raise InvalidInputError("augment changes all features; give orders of all, or leave it out")
        return order

    def predict_proba(self, X: Any, **noisy: Any) -> NDArray:
        """Class probabilities (samples, classes): the mean of the trees'.

        Args:
            X: Samples.
            **noisy: As for `TreeClassifier.outcome_probabilities`.
        """
        check_is_fitted(self, "estimators_")
        return _mean_proba(self, X, self.estimators_features_, **noisy)

    def predict_log_proba(self, X: Any, **noisy: Any) -> NDArray:
        """Natural logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X, **noisy))

    def predict(self, X: Any, **noisy: Any) -> NDArray:
        """The likeliest class of each sample, (samples,)."""
        likeliest = np.argmax(self.predict_proba(X, **noisy), axis=1)
        return np.asarray(self.classes_[likeliest])

    def compile(self, **settings: Any) -> tuple[CompiledCircuit, ...]:
        """The circuit of each tree, over its own features.

        Args:
            **settings: As for `TreeClassifier.compile`.
        """
        check_is_fitted(self, "estimators_")
        return tuple(tree.compile(**settings) for tree in self.estimators_)

    def to_backend(self, backend: Backend | str, **settings: Any) -> "BackendForest":
        """The same forest with the probabilities of every tree measured on a backend.

        Args:
            backend: A backend, its name, or a Qiskit backend or sampler.
            **settings: As for `TreeClassifier.to_backend`; `shots` are those of each tree.
        """
        check_is_fitted(self, "estimators_")
        measured = [tree.to_backend(backend, **settings) for tree in self.estimators_]
        return BackendForest(measured, self.estimators_features_, self.classes_)


class BackendForest(ClassifierMixin, BaseEstimator):
    """Made by `TreeForestClassifier.to_backend`: each tree is measured on its own.

    Args:
        estimators: A `BackendClassifier` for each tree.
        features: Features of each tree.
        classes: The labels.
    """

    def __init__(
        self, estimators: list[BackendClassifier], features: list[NDArray], classes: NDArray
    ) -> None:
        self.estimators = estimators
        self.features = features
        self.classes = classes

    def __sklearn_is_fitted__(self) -> bool:
        return True

    @property
    def estimators_(self) -> list[BackendClassifier]:
        """The trees."""
        return self.estimators

    @property
    def classes_(self) -> NDArray:
        """The labels."""
        return self.classes

    def predict_proba(self, X: Any) -> NDArray:
        """Class probabilities (samples, classes): the mean of the trees'."""
        return _mean_proba(self, X, self.features)

    def predict(self, X: Any) -> NDArray:
        """The likeliest class of each sample, (samples,)."""
        return np.asarray(self.classes[np.argmax(self.predict_proba(X), axis=1)])


@dataclass(frozen=True, eq=False)
class _Reordered:
    """An augmentation of samples, of their features in another order."""

    augment: Augmentation
    features: NDArray

    def __call__(self, X: NDArray, rng: np.random.Generator) -> NDArray:
        back = np.argsort(self.features)
        return np.asarray(self.augment(X[:, back], rng))[:, self.features]


def _mean_proba(forest: Any, X: Any, features: list[NDArray], **noisy: Any) -> NDArray:
    if isinstance(forest, TreeForestClassifier) and forest.encoder is None:
        checked_samples(forest, X)
    parts = [
        tree.predict_proba(_columns(X, own), **noisy)
        for tree, own in zip(forest.estimators_, features, strict=True)
    ]
    return np.asarray(np.mean(parts, axis=0))


def _columns(X: Any, features: NDArray) -> Any:
    """Some columns of samples, in the order given."""
    if not hasattr(X, "iloc") and not isinstance(X, np.ndarray):
        X = np.asarray(X)
    return _safe_indexing(X, [int(k) for k in features], axis=1)


def forest_entry(forest: TreeForestClassifier, entry_of: Any) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """A fitted forest as JSON types and arrays; `entry_of` writes a tree."""
    parameters = forest.get_params(deep=False)
    parameters.pop("model")
    if parameters["orders"] is not None:
        parameters["orders"] = [[int(k) for k in order] for order in parameters["orders"]]
    if isinstance(parameters["random_state"], np.random.RandomState):
        parameters["random_state"] = None
    parts, arrays = [], dict[str, NDArray]()
    for k, tree in enumerate(forest.estimators_):
        header, own = entry_of(tree)
        parts.append(header)
        arrays |= {f"part{k}_{name}": array for name, array in own.items()}
    return {
        "parameters": parameters,
        "is_default": forest.model is None,
        "model_random_state": None if forest.model is None else _plain_seed(forest.model.random_state),
        "features": [[int(k) for k in own] for own in forest.estimators_features_],
        "names": [str(name) for name in getattr(forest, "feature_names_in_", [])],
        "width": int(forest.n_features_in_),
        "parts": parts,
    }, arrays


def _plain_seed(seed: Any) -> int | None:
    return int(seed) if is_number(seed, int, np.integer) else None


def restored_forest(
    cls: Any, header: dict[str, Any], arrays: Any, restored_model: Any, arrays_under: Any
) -> TreeForestClassifier:
    """The inverse of `forest_entry`; whatever does not fit raises."""
    trees = [
        restored_model(part, arrays_under(arrays, f"part{k}_")) for k, part in enumerate(header["parts"])
    ]
    if not trees or not all(isinstance(tree, _TREES) for tree in trees):
        raise InvalidInputError("its trees are no classifiers")
    model = None
    if not header["is_default"]:
        model = clone(trees[0]).set_params(random_state=header["model_random_state"])
    forest: TreeForestClassifier = cls(model, **header["parameters"])
    forest.check_settings()
    width, features = int(header["width"]), [np.array(own, dtype=int) for own in header["features"]]
    fits = len(features) == len(trees) == forest.n_estimators and all(
        own.shape == (tree.n_features_in_,) and ((own >= 0) & (own < width)).all()
        for own, tree in zip(features, trees, strict=True)
    )
    if not fits or any(not np.array_equal(tree.classes_, trees[0].classes_) for tree in trees):
        raise InvalidInputError("its trees do not fit each other")
    forest.estimators_, forest.estimators_features_ = trees, features
    forest.classes_, forest.n_features_in_ = trees[0].classes_, width
    if header["names"]:
        forest.feature_names_in_ = np.array(header["names"], dtype=object)
    return forest
