"""`BornClassifier`: the joint distribution of records and classes, which classifies by Bayes."""

from typing import Any, Self

import numpy as np
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y, check_is_fitted

from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.born.evidence import log_marginal, observed
from qtnml.born.sampling import sample
from qtnml.compile import GenerativeCircuit, compile_state
from qtnml.data.columns import MISSING
from qtnml.data.table_encoder import TableEncoder
from qtnml.errors import InvalidInputError, ZeroProbabilityWarning, invalid_input, warn_user
from qtnml.gates import Synthesis
from qtnml.models.born import MPSBornMachine
from qtnml.models.born_machine import BornMachine
from qtnml.models.born_settings import check_born_settings
from qtnml.models.born_training import Labels
from qtnml.models.noise import device_called
from qtnml.models.saved import SavedToFile
from qtnml.models.settings import is_number
from qtnml.models.validation import generator, outcomes_of_labels
from qtnml.progress import progress_bar
from qtnml.train import EpochRecord


class BornClassifier(SavedToFile, ClassifierMixin, BaseEstimator):
    """Joint distribution P(x, y) of records and classes by a Born machine, the class being one more site.

    One model answers both questions: `predict_proba` is P(y | x) by Bayes, exactly, also where values of a
    record are missing; `sample(label=...)` draws records of a class; `log_likelihood` says how unlikely a
    record is, whatever its class.

    Args:
        model: A Born machine; None takes `MPSBornMachine(16)`. The class stands at the middle of its tree.
        discriminative: Weight from 0 to 1 of the cross-entropy of P(y | x) in the loss; the negative
            log-likelihood of (x, y) has the rest. Above 0 it needs a model with method="gradient".
        random_state: Passed to the model.

    Attributes:
        classes_: The labels.
        state_: The `qtnml.born.TreeState` over columns and, as the last site, the class.
        model_: The Born machine that learnt it.
        encoder_, history_, best_epoch_, n_iter_, stopped_, independent_nll_, n_features_in_: As for
            `MPSBornMachine`.

    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 200)
    >>> X = np.stack([y, 1 - y, rng.integers(0, 2, 200)], axis=1)
    >>> clf = BornClassifier(MPSBornMachine(4), random_state=0).fit(X, y)
    >>> clf.score(X, y), clf.predict([[1, np.nan, np.nan]]).tolist()
    (1.0, [1])
    >>> clf.sample(3, label=1, random_state=0)[0][:, :2].tolist()
    [[1, 0], [1, 0], [1, 0]]
    """

    model_: BornMachine
    classes_: NDArray

    def __init__(
        self,
        model: BornMachine | None = None,
        *,
        discriminative: float = 0.0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.model = model
        self.discriminative = discriminative
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        has_encoder = isinstance(self.model, BornMachine) and self.model.encoder is not None
        tags.input_tags.categorical = tags.input_tags.string = has_encoder
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn the joint distribution of samples X (samples, features) and labels y.

        Rows with missing values are left out, with a warning.

        Raises:
            InvalidInputError: Data or parameters that cannot be used; nothing learnt before is lost.
        """
        self.check_settings()
        model = MPSBornMachine(16) if self.model is None else clone(self.model)
        if self.random_state is not None:
            model.set_params(random_state=self.random_state)
        try:
            y = _check_y(y, multi_output=False, estimator=self)
            check_classification_targets(y)
        except (TypeError, ValueError) as error:
            raise invalid_input(error) from error
        rng = generator(model.random_state)
        encoder, levels, weights, (kept, held) = model.encoded_split(X, sample_weight, rng)
        if len(y) != len(levels):
            raise InvalidInputError(
                f"Found input variables with inconsistent numbers: {len(levels)}, {len(y)}"
            )
        used = np.concatenate([kept, held])
        classes = np.unique(y[used])
        if len(classes) < 2:
            raise InvalidInputError(
                "a classifier needs complete samples of at least two classes with positive weight, got only "
                f"one class: {classes.tolist()}"
            )
        numbers = np.searchsorted(classes, np.where(np.isin(y, classes), y, classes[0]))
        kept, held = _every_class_kept(numbers, kept, held)
        joint = np.concatenate([levels, numbers[:, None]], axis=1)
        labels = Labels(len(classes), float(self.discriminative))
        model.learn(encoder, joint, weights, (kept, held), rng, labels)
        model.remember_features(X, levels.shape[1])
        self.model_, self.classes_, self.n_features_in_ = model, classes, model.n_features_in_
        if hasattr(model, "feature_names_in_"):
            self.feature_names_in_ = model.feature_names_in_
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return self

    def check_settings(self) -> None:
        """Refuse settings that cannot be used."""
        share = self.discriminative
        if not (is_number(share, int, float, np.number) and 0 <= share <= 1):
            raise InvalidInputError(f"discriminative must be from 0 to 1, got {share!r}")
        if self.model is not None and not isinstance(self.model, BornMachine):
            raise InvalidInputError(f"model must be a Born machine or None, got {self.model!r}")
        method = "sweeps" if self.model is None else self.model.method
        if share and method != "gradient":
            raise InvalidInputError(
                f"discriminative={share!r} has no effect on method={method!r}; set it to 0, or take a model "
                "with method='gradient'"
            )
        if self.model is not None:
            check_born_settings(self.model)

    def __sklearn_is_fitted__(self) -> bool:
        return "model_" in vars(self)

    @property
    def state_(self) -> TreeState:
        """See the class."""
        check_is_fitted(self)
        return self.model_.state_

    @property
    def encoder_(self) -> TableEncoder | None:
        """See `MPSBornMachine`."""
        check_is_fitted(self)
        return self.model_.encoder_

    @property
    def history_(self) -> list[EpochRecord]:
        """See `MPSBornMachine`."""
        check_is_fitted(self)
        return self.model_.history_

    @property
    def n_iter_(self) -> int:
        """Epochs run."""
        check_is_fitted(self)
        return self.model_.n_iter_

    @property
    def best_epoch_(self) -> int:
        """See `MPSBornMachine`."""
        check_is_fitted(self)
        return self.model_.best_epoch_

    @property
    def stopped_(self) -> str:
        """See `MPSBornMachine`."""
        check_is_fitted(self)
        return self.model_.stopped_

    @property
    def independent_nll_(self) -> float:
        """Of columns and class taken as independent; losses of a mixed loss are no likelihoods."""
        check_is_fitted(self)
        return self.model_.independent_nll_

    def _joint(self, levels: NDArray) -> NDArray:
        """ln P(x, y) of every class, (samples, classes)."""
        count = len(self.classes_)
        repeated = np.repeat(levels, count, axis=0)
        labels = np.tile(np.arange(count), len(levels))
        logs = log_marginal(self.state_, np.concatenate([repeated, labels[:, None]], axis=1))
        return logs.reshape(len(levels), count)

    def predict_log_proba(self, X: Any) -> NDArray:
        """ln P(y | x) of every class, (samples, classes); missing values are summed over.

        Samples that are impossible under the model get the classes' own frequencies, with a warning.
        """
        check_is_fitted(self)
        levels = self.model_.levels(X)
        joint = self._joint(levels)
        impossible = np.isneginf(joint).all(axis=1)
        if impossible.any():
            warn_user(
                f"{int(impossible.sum())} of {len(joint)} samples have probability zero under the model, "
                "whatever their class; they get the classes' own frequencies",
                ZeroProbabilityWarning,
            )
            joint[impossible] = self._joint(np.full((1, levels.shape[1]), MISSING))[0]
        return np.asarray(joint - logsumexp(joint, axis=1, keepdims=True))

    def predict_proba(self, X: Any) -> NDArray:
        """P(y | x) of every class, (samples, classes); see `predict_log_proba`."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> NDArray:
        """The likeliest class of each sample, (samples,)."""
        best = self.predict_log_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def log_likelihood(self, X: Any, y: Any = None) -> NDArray:
        """ln P(x) of each sample in nats, or with labels y ln P(x, y), (samples,); -inf where it is 0."""
        check_is_fitted(self)
        joint = self._joint(self.model_.levels(X))
        if y is None:
            return np.asarray(logsumexp(joint, axis=1))
        numbers = outcomes_of_labels(y, self.classes_)
        if len(numbers) != len(joint):
            raise InvalidInputError(f"{len(joint)} samples but {len(numbers)} labels")
        return np.asarray(joint[np.arange(len(joint)), numbers])

    def score_samples(self, X: Any) -> NDArray:
        """`log_likelihood` of samples whose class is not known: of bins where columns are numbers."""
        return self.log_likelihood(X)

    def sample(
        self, n_samples: int = 1, *, label: Any = None, random_state: Any = None
    ) -> tuple[Any, NDArray]:
        """Exact, independent samples and their classes.

        Args:
            n_samples: How many.
            label: A class to draw records of; None draws the class as well.
            random_state: Seed of the draws; None takes fresh ones.

        Returns:
            Samples (n_samples, features) as `MPSBornMachine.sample` gives them, and labels (n_samples,).
        """
        check_is_fitted(self)
        if not (is_number(n_samples, int, np.integer) and n_samples >= 0):
            raise InvalidInputError(f"n_samples must be an integer of at least 0, got {n_samples!r}")
        rng, state = generator(random_state), self.state_
        if label is None:
            drawn = sample(state, rng, int(n_samples))
        else:
            known = np.full((1, state.tree.num_leaves), MISSING)
            known[0, -1] = outcomes_of_labels([label], self.classes_)[0]
            drawn = sample(state, rng, int(n_samples), observed(state.sites, known))[0]
        return self.model_.decode(drawn[:, :-1], rng), np.asarray(self.classes_[drawn[:, -1]])

    def compile(
        self,
        *,
        reuse_qubits: bool = True,
        num_qubits: int | None = None,
        target: Any = None,
        synthesis: Synthesis | None = None,
        passes: Any = (),
    ) -> GenerativeCircuit:
        """The circuit that draws records and, as its last site, their class; see `MPSBornMachine.compile`."""
        check_is_fitted(self)
        nodes, show = len(self.state_.tree.nodes), bool(self.model_.verbose)
        with progress_bar("compiling", nodes, show=show) as advance:
            return compile_state(
                self.state_,
                reuse_qubits=reuse_qubits,
                num_qubits=num_qubits,
                target=device_called(target) if isinstance(target, str) else target,
                synthesis=synthesis,
                passes=passes,
                on_node=lambda done, _: advance(done, "nodes"),
            )


def _every_class_kept(numbers: NDArray, kept: NDArray, held: NDArray) -> tuple[NDArray, NDArray]:
    """Held-out rows of a class of which none is left to learn from are moved back."""
    lost = ~np.isin(numbers[held], numbers[kept])
    return np.sort(np.concatenate([kept, held[lost]])), held[~lost]
