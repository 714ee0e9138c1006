"""What every trained estimator shares, whatever its network: `fit`, the training run, files."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.contract import AmplitudeModel, Model, Parameters
from qtnml.data.augmentation import Augmentation
from qtnml.data.frames import Table
from qtnml.data.table_encoder import TableEncoder
from qtnml.encoding import FeatureScaler
from qtnml.errors import InvalidInputError, TrainingInterruptedWarning, warn_user
from qtnml.models.progress import each_epoch
from qtnml.models.saved import SavedToFile
from qtnml.models.settings import check_settings
from qtnml.models.table_input import TableInput
from qtnml.models.validation import checked_samples
from qtnml.progress import progress_bar
from qtnml.train import (
    Callback,
    Checkpoint,
    EpochRecord,
    Loss,
    Optimizer,
    TrainingOptions,
    TrainingResult,
    TrainingSet,
    get_loss,
    get_optimizer,
    train,
)
from qtnml.train.records import merge_repeats

_AUTO_EPOCHS = 30
_AUTO_STEPS = 600


class TrainingNoise(NamedTuple):
    """Noise in the loop: a pytree for `TrainingOptions.noise`, its first strength, epochs until it is 1."""

    wires: Any
    start: float = 1.0
    ramp: int = 0


@dataclass(frozen=True, eq=False)
class Anew:
    """Training samples changed by the user's `augment`, scaled as the model takes them.

    Attributes:
        augment: See `qtnml.data.Augmentation`.
        X: The samples in the user's units.
        scaler: To the model's.
    """

    augment: Augmentation
    X: NDArray
    scaler: FeatureScaler

    def __call__(self, rng: np.random.Generator) -> NDArray:
        """Of all samples for one epoch, (samples, features)."""
        found = np.asarray(self.augment(self.X, rng))
        if found.shape != self.X.shape:
            raise InvalidInputError(
                f"augment must return samples of shape {self.X.shape}, as it was given, got {found.shape}"
            )
        return self.scaler.clipped(found)

    def of(self, rows: NDArray) -> "Anew":
        """The same of some samples."""
        return replace(self, X=self.X[rows])


class TrainedEstimator(SavedToFile, BaseEstimator, ABC):
    """Trains a model by the loop of `qtnml.train`; the settings named here are its subclasses' arguments."""

    _default_loss: ClassVar[str]
    model_: Model | AmplitudeModel
    params_: Parameters
    table_: TableInput | None
    scaler_: FeatureScaler
    history_: list[EpochRecord]
    best_epoch_: int
    n_iter_: int
    stopped_: str
    notes_: dict[str, Any]
    n_features_in_: int
    encoder: TableEncoder | None
    batch_size: int
    epochs: int | None
    learning_rate: float | None
    loss: str | Loss | None
    optimizer: str | Optimizer
    patience: int | None
    feature_range: Literal["learn"] | tuple[float, float]
    checkpoint: str | os.PathLike[str] | None
    checkpoint_every: int
    resume: bool
    devices: int | None
    callback: Callback | None
    verbose: int

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on samples X (samples, features) with targets y.

        `sample_weight` (samples,) multiplies each sample's loss. Ctrl-C ends training with the best
        weights so far and a `TrainingInterruptedWarning`; before the first epoch is over it is raised.

        Raises:
            InvalidInputError: Data or parameters that cannot be used; nothing learnt before is lost.
        """
        return self._restored_on_failure(lambda: self._fit(X, y, sample_weight))

    def _restored_on_failure(self, fit: Callable[[], Self]) -> Self:
        """What was learnt before is kept if `fit` fails."""
        learnt = dict(vars(self))
        try:
            return fit()
        except BaseException:
            self.__dict__ = learnt
            raise

    @abstractmethod
    def _fit(self, X: Any, y: Any, sample_weight: Any) -> Self: ...

    def _anew(self, X: NDArray, scaler: FeatureScaler) -> "Anew | None":
        """What gives training samples X (in the user's units) anew in each epoch."""
        augment = getattr(self, "augment", None)
        return None if augment is None else Anew(augment, X, scaler)

    def __sklearn_is_fitted__(self) -> bool:
        return "params_" in vars(self)

    def _new_scaler(self, X: NDArray) -> FeatureScaler:
        """Of training samples X."""
        if isinstance(self.feature_range, str) and self.feature_range == "learn":
            return FeatureScaler.learn(X)
        return FeatureScaler.fixed(self.feature_range, X.shape[1])

    def _train(
        self,
        model: Model | AmplitudeModel,
        parameters: Parameters,
        training: TrainingSet,
        validation: TrainingSet | None,
        rng: np.random.Generator,
        noise: TrainingNoise | None = None,
        anew: "Anew | None" = None,
    ) -> TrainingResult:
        if len(training.y) <= self.batch_size and anew is None:
            training = merge_repeats(training)
        options = replace(self._options(len(training.y), model), augment=anew)
        if noise is not None:
            options = replace(options, noise=noise.wires, noise_start=noise.start, noise_ramp=noise.ramp)
            if noise.ramp and noise.ramp >= options.epochs:
                raise InvalidInputError(
                    f"noise grows over {noise.ramp} epochs, which leaves none with all of it; train for more "
                    f"than these (epochs={options.epochs})"
                )
        if noise is None and validation is None:
            options = replace(options, stop_after=self._stop_after(model, parameters, training, options, rng))
        with progress_bar("training", options.epochs, show=bool(self.verbose)) as advance:
            result = train(
                model,
                parameters,
                training,
                options,
                rng,
                validation=validation,
                callback=each_epoch(advance, "loss", self.callback),
                checkpoint=self._checkpoint(),
            )
        self._report_end(result, options.epochs)
        return result

    def _stop_after(
        self,
        model: Model | AmplitudeModel,  # noqa: ARG002
        parameters: Parameters,  # noqa: ARG002
        training: TrainingSet,  # noqa: ARG002
        options: TrainingOptions,  # noqa: ARG002
        rng: np.random.Generator,  # noqa: ARG002
    ) -> int | None:
        """Epochs after which training without held-out samples ends; None for all of them."""
        return None

    def _split(
        self, data: TrainingSet, rng: np.random.Generator, targets: NDArray | None = None
    ) -> tuple[TrainingSet, TrainingSet | None]:
        """Training samples and held-out ones, before anything is learnt from either; see `_split_input`."""
        kept, held_out = self._hold_out(data.y, rng)
        validation = TrainingSet(*(array[held_out] for array in data)) if len(held_out) else None
        training = TrainingSet(*(array[kept] for array in data))
        return (training if targets is None else training._replace(y=targets[kept])), validation

    def _split_input(
        self,
        given: Any,
        data: TrainingSet,
        rng: np.random.Generator,
        *,
        as_levels: bool = False,
        targets: NDArray | None = None,
    ) -> tuple[TrainingSet, TrainingSet | None, TableInput | None]:
        """`_split` of checked data, and what turns tables into features, learnt without the held-out rows.

        Args:
            given: Samples as the user gave them.
            data: Rows of the table as X, where there is an encoder.
            rng: Chooses the rows.
            as_levels: Features are levels; otherwise numbers.
            targets: Soft labels (samples, classes) of the training samples; held-out ones keep their own.
        """
        training, validation = self._split(data, rng, targets)
        if self.encoder is None:
            return training, validation, None
        table = Table.of(given)
        table_input = self.table_ if getattr(self, "warm_start", False) and hasattr(self, "table_") else None
        if table_input is None:
            weights, held_out = np.zeros(len(table)), np.zeros(len(table), dtype=bool)
            weights[data.X[:, 0].astype(int)] = data.weights
            if validation is not None:
                held_out[validation.X[:, 0].astype(int)] = True
            table_input = TableInput.learn(self.encoder, table, weights, held_out)
        used = data.X[:, 0].astype(int)
        some = table[used]
        found = table_input.levels(some) if as_levels else table_input.numbers(some)
        features = np.zeros((len(table), found.shape[1]))
        features[used] = found
        parts = [
            None if part is None else part._replace(X=features[part.X[:, 0].astype(int)])
            for part in (training, validation)
        ]
        assert parts[0] is not None
        return parts[0], parts[1], table_input

    def features(self, X: Any) -> NDArray:
        """Samples as the network takes them, (samples, features): X itself, or what `encoder` makes of it.

        Numbers in the user's units, before they are scaled; `compile().bind` takes them.
        """
        check_is_fitted(self)
        if self.table_ is None:
            return checked_samples(self, X)
        return self.table_.numbers(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        has_encoder = self.encoder is not None
        tags.input_tags.allow_nan = tags.input_tags.categorical = tags.input_tags.string = has_encoder
        return tags

    def _checkpoint(self) -> Checkpoint | None:
        if self.checkpoint is None:
            return None
        return Checkpoint(Path(self.checkpoint), int(self.checkpoint_every), bool(self.resume))

    @abstractmethod
    def _hold_out(self, y: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray]: ...

    def _options(self, samples: int, model: Model | AmplitudeModel) -> TrainingOptions:
        steps = -(-samples // self.batch_size)
        epochs = max(_AUTO_EPOCHS, -(-_AUTO_STEPS // steps)) if self.epochs is None else int(self.epochs)
        homotopy = int(getattr(self, "homotopy", 0))
        if homotopy and homotopy >= epochs:
            raise InvalidInputError(
                f"homotopy={homotopy} leaves no epoch with the trace; set it below epochs ({epochs}), or "
                "more epochs"
            )
        return TrainingOptions(
            epochs=epochs,
            batch_size=int(self.batch_size),
            learning_rate=self._learning_rate(model),
            loss=get_loss(self._default_loss if self.loss is None else self.loss),
            patience=self.patience,
            optimizer=get_optimizer(self.optimizer),
            shots=getattr(self, "shots", None),
            homotopy=homotopy,
            devices=self.devices,
            dropout=float(getattr(self, "dropout", 0.0)),
        )

    def _learning_rate(self, model: Model | AmplitudeModel) -> float:  # noqa: ARG002
        return float(self.learning_rate)  # type: ignore[arg-type]

    def _keep(
        self,
        model: Model | AmplitudeModel,
        scaler: FeatureScaler,
        result: TrainingResult,
        table: TableInput | None,
    ) -> None:
        """Set what every estimator has learnt."""
        self.table_ = table
        self.model_, self.params_, self.scaler_ = model, result.parameters, scaler
        self.history_, self.best_epoch_ = list(result.history), result.best_epoch
        self.n_iter_, self.stopped_ = len(result.history), result.stopped
        self.notes_ = {}

    def _report_end(self, result: TrainingResult, epochs: int) -> None:
        reasons = {"interrupted": "was interrupted", "diverged": "diverged (its loss grew without bound)"}
        if result.stopped in reasons:
            cure = "; lower the learning rate" if result.stopped == "diverged" else ""
            warn_user(
                f"training {reasons[result.stopped]} after {len(result.history)} of {epochs} epochs; the "
                f"best weights so far were kept{cure}",
                TrainingInterruptedWarning,
            )

    def _check_parameters(self) -> None:
        check_settings(self)

    def check_settings(self) -> None:
        """Refuse settings of a fitted estimator that cannot be used, or do not describe what was learnt."""
        self._check_parameters()
        changed = self._other_settings(self.model_)
        learnt = None if self.table_ is None else self.table_.encoder.get_params()
        if (None if self.encoder is None else self.encoder.get_params()) != learnt:
            changed = ", ".join(filter(None, [changed, "encoder"]))
        if changed:
            raise InvalidInputError(f"{changed} changed after fit")

    @abstractmethod
    def _other_settings(self, model: Any) -> str:
        """Names of settings that do not describe a model; empty if all do."""

    def _evaluated(self, X: Any) -> tuple[NDArray, NDArray]:
        """Outcomes or values of samples, and log success probabilities."""
        features = self.features(X)
        return self.model_.predict(self.params_, self.scaler_(features))
