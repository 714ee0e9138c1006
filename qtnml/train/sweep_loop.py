"""Sweeps in the training loop: a `Step` for Born machines and classifiers."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import jax
import numpy as np

from qtnml.arrays import NDArray
from qtnml.contract import AmplitudeModel, Parameters
from qtnml.contract.canonical import canonical_cores
from qtnml.contract.environments import Batch
from qtnml.errors import InvalidInputError
from qtnml.structure import Tree
from qtnml.train.checkpoint import Checkpoint, Progress
from qtnml.train.fingerprint import fingerprint
from qtnml.train.fit_loop import Callback, Epoch, fit_loop
from qtnml.train.ladder import Ladder, Rung
from qtnml.train.losses import Loss
from qtnml.train.objectives import ClassLoss
from qtnml.train.records import TrainingResult, TrainingSet, drawn_by_weight
from qtnml.train.sweeps import Cores, SweepOptions, Swept, sweep


@dataclass(frozen=True)
class SweepTraining:
    """Options of training by sweeps.

    Attributes:
        epochs: Number of sweeps.
        max_bond: Largest bond dimension, or one for each bond.
        batch_size: Number of samples in one sweep.
        learning_rate: Largest angle of a step in radians. It falls along a half cosine to `last_rate` times
            this value.
        last_rate: See `learning_rate`.
        cutoff: Singular values below this fraction of the largest are dropped.
        steps: Number of conjugate-gradient steps on every pair.
        one_site_share: Fraction of the sweeps, the last ones, that improve single cores. They lose nothing to
            truncation.
        metric: See `SweepOptions`.
        patience: Stop after so many epochs without a better validation loss (or training loss, without
            held-out samples).
        precision: Precision of the contraction, "single" or "double"; cores are in double precision.
        ladder: Bonds that grow while the held-out likelihood improves, instead of `max_bond`. A ladder has
            learning rates that fall on each rung, and its own end.
    """

    epochs: int = 20
    max_bond: int | tuple[int, ...] = 32
    batch_size: int = 4096
    learning_rate: float = 0.05
    last_rate: float = 0.1
    cutoff: float = 1e-9
    steps: int = 1
    one_site_share: float = 0.1
    metric: Literal["cores", "data"] = "cores"
    patience: int | None = None
    precision: Literal["single", "double"] = "single"
    ladder: Ladder | None = None

    def rate(self, epoch: int, epochs: int | None = None) -> float:
        """Largest angle in an epoch (from 0) of `epochs` epochs, by default of all."""
        fall = (1 + np.cos(np.pi * epoch / max(self.epochs if epochs is None else epochs, 1))) / 2
        return float(self.learning_rate * (self.last_rate + (1 - self.last_rate) * fall))

    def sites(self, epoch: int) -> Literal[1, 2]:
        """Number of cores improved together in an epoch (from 0)."""
        return 1 if epoch >= self.epochs - int(self.one_site_share * self.epochs) else 2

    def options(self, epoch: int) -> SweepOptions:
        """Options of the sweep of an epoch (from 0)."""
        return SweepOptions(
            self.max_bond,
            self.cutoff,
            self.steps,
            self.rate(epoch),
            self.sites(epoch),
            self.metric,
            self.precision,
        )

    def following(self, start_score: float, progress: Progress) -> tuple[SweepOptions, bool]:
        """Options of the next sweep, and whether it starts at the best state so far (a new rung begins)."""
        rung = self._rung(start_score, progress)
        if self.ladder is None or rung is None:
            return self.options(progress.epoch), False
        rate = self.rate(rung.sweep, self.ladder.sweeps)
        return replace(self.options(0), max_bond=rung.bond, max_angle=rate, sites=2), rung.begins

    def is_over(self, start_score: float, progress: Progress) -> bool:
        """Whether the ladder has ended."""
        return self.ladder is not None and self._rung(start_score, progress) is None

    def _rung(self, start_score: float, progress: Progress) -> Rung | None:
        if self.ladder is None:
            return None
        return self.ladder.rung(start_score, [record.score for record in progress.history])


class Task(Protocol):
    """Samples and what is to be learnt from them."""

    def __len__(self) -> int:
        """Samples of training."""

    def batch(self, size: int, rng: np.random.Generator) -> tuple[Batch, Any]:
        """At most so many samples for a sweep, and the objective of them."""

    def measured(self, swept: Swept, objective: Any) -> tuple[float, float | None]:
        """Loss and accuracy of a sweep's samples."""

    def held_out(self, cores: Cores) -> tuple[float | None, float | None]:
        """Loss and accuracy of held-out samples."""


@dataclass(frozen=True)
class SweepStep:
    """One sweep on a batch, as a `Step`; parameters are cores, whose bonds adapt.

    Attributes:
        task: The learning task.
        training: Options of training.
        start_score: Score of the initial state, if it is known. The first rung of a ladder has to improve it.
    """

    task: Task
    training: SweepTraining
    start_score: float = np.inf
    warm_up: ClassVar[int] = 0

    @property
    def comparable(self) -> bool:
        """Whether every sweep sees all samples."""
        return len(self.task) <= self.training.batch_size

    @property
    def cure(self) -> str:
        """Advice for the user if the first sweep diverges."""
        return f"lower the learning rate ({self.training.learning_rate:g})"

    def is_over(self, progress: Progress) -> bool:
        """Whether the ladder has ended."""
        return self.training.is_over(self.start_score, progress)

    def epoch(self, progress: Progress) -> Epoch:
        """Run one sweep."""
        options, anew = self.training.following(self.start_score, progress)
        cores = progress.best if anew else progress.parameters
        rng = np.random.default_rng()
        rng.bit_generator.state = progress.rng_state
        batch, objective = self.task.batch(self.training.batch_size, rng)
        swept = sweep(cores, batch, objective, options)
        cores = swept.cores
        loss, accuracy = self.task.measured(swept, objective)
        held: tuple[float | None, float | None] = (None, None)
        if np.isfinite(loss) and all(np.isfinite(core).all() for core in cores):
            held = self.task.held_out(cores)
        largest = max((core.shape[0] for core in cores), default=1)
        rng_state = dict(rng.bit_generator.state)
        return Epoch(cores, None, rng_state, cores, loss, accuracy, *held, largest_bond=largest)

    def finish(self, progress: Progress) -> Progress:
        """Do nothing: no final evaluation is needed."""
        return progress


def train_by_sweeps(
    model: AmplitudeModel,
    parameters: Parameters,
    data: TrainingSet,
    training: SweepTraining,
    loss: Loss,
    rng: np.random.Generator,
    *,
    validation: TrainingSet | None = None,
    callback: Callback | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[AmplitudeModel, TrainingResult]:
    """Train a classifier by sweeps: see `fit_loop`.

    Args:
        model: Model with its label at the root.
        parameters: Parameters in double precision; those of the encoding stay unchanged.
        data: Samples with class indices as targets.
        training: Options of training.
        loss: Loss of a sample.
        rng: Chooses the batches.
        validation: Held-out samples.
        callback, checkpoint: As for `fit_loop`.

    Returns:
        A model with the bonds found by training, and its parameters.
    """
    dtype = np.dtype(np.float32 if training.precision == "single" else np.float64)
    task = ClassTask(model, parameters.encoding, data, validation, loss, dtype)
    cores = canonical_cores(task.tree, list(map(np.asarray, model.network.cores(parameters.nodes))))
    progress = Progress(cores, None, cores, dict(rng.bit_generator.state), np.zeros(0))
    identity = ""
    if checkpoint is not None:
        identity = fingerprint(model, parameters, training, loss, data, validation)
        checkpoint = replace(checkpoint, check=task.check)
    with jax.enable_x64(True) if training.precision == "double" else nullcontext():
        progress, stopped = fit_loop(
            SweepStep(task, training),
            progress,
            epochs=training.epochs,
            patience=training.patience,
            callback=callback,
            checkpoint=checkpoint,
            identity=identity,
        )
    # What rounding made of orthonormal rows in many steps is put right.
    trained, found = task.model_of(canonical_cores(task.tree, progress.best))
    return trained, TrainingResult(found, None, progress.history, progress.best_epoch, stopped)


class Labelled(NamedTuple):
    """Samples at the leaves and their classes.

    Attributes:
        leaves: Of each leaf its levels (samples,), or vectors (samples, dimension).
        y: Classes (samples,).
        weights: (samples,).
    """

    leaves: tuple[NDArray, ...]
    y: NDArray
    weights: NDArray


class ClassTask:
    """The `Task` of sweeps of an amplitude classifier, whose label is at the root."""

    def __init__(
        self,
        model: AmplitudeModel,
        encoding: tuple[Any, ...],
        data: TrainingSet,
        validation: TrainingSet | None,
        loss: Loss,
        dtype: np.dtype[Any],
    ) -> None:
        if model.encoding is not None and not model.encoding.is_real:
            raise InvalidInputError(
                f"sweeps need an encoding with real amplitudes, {model.encoding.name!r} has not"
            )
        if model.network.label_node != model.network.tree.root:
            raise InvalidInputError("sweeps need the label at the root")
        self._model, self._encoding, self._loss, self._dtype = model, encoding, loss, dtype
        self._data = self._labelled(data)
        self._validation = validation
        self._whole: tuple[Batch, ClassLoss] | None = None

    def __len__(self) -> int:
        return len(self._data.y)

    @property
    def tree(self) -> Tree:
        """Tree of the model."""
        return self._model.network.tree

    def _labelled(self, data: TrainingSet) -> Labelled:
        model = self._model
        if model.encoding is None:
            leaves = tuple(np.ascontiguousarray(column) for column in data.X.T.astype(np.int64))
        else:
            parts = model.encoding.amplitudes(model.encoding.angles(data.X, self._encoding))
            stacked = np.stack([np.asarray(part) for part in parts], axis=-1).astype(self._dtype)
            leaves = tuple(np.ascontiguousarray(stacked[:, leaf]) for leaf in range(stacked.shape[1]))
        return Labelled(leaves, data.y.astype(np.int64), data.weights)

    def batch(self, size: int, rng: np.random.Generator) -> tuple[Batch, ClassLoss]:
        """See `Task`; samples are repeated so that all batches have one shape and nothing is recompiled."""
        if len(self) <= size:
            if self._whole is None:
                self._whole = self._made(self._data)
            return self._whole
        counts = drawn_by_weight(self._data.weights, size, rng)
        drawn = np.repeat(np.arange(len(counts)), counts)
        leaves = tuple(leaf[drawn] for leaf in self._data.leaves)
        return self._made(Labelled(leaves, self._data.y[drawn], np.ones(len(drawn))))

    def _made(self, data: Labelled) -> tuple[Batch, ClassLoss]:
        weights = (data.weights / data.weights.sum()).astype(self._dtype)
        batch = Batch(self.tree, data.leaves, self._model.network.leaf_dims)
        return batch, ClassLoss(self._loss, data.y, weights)

    def measured(self, swept: Swept, objective: ClassLoss) -> tuple[float, float | None]:
        """See `Task`."""
        f = swept.amplitudes.astype(self._dtype)
        return objective.loss(f), objective.accuracy(f)

    def held_out(self, cores: Cores) -> tuple[float | None, float | None]:
        """See `Task`."""
        if self._validation is None:
            return None, None
        model, parameters = self.model_of(cores)
        proba = model.predict(parameters, self._validation.X)[0]
        losses = np.asarray(self._loss(proba.T.astype(np.float32), self._validation.y))  # type: ignore[arg-type]
        correct = proba.argmax(axis=1) == self._validation.y
        weights = self._validation.weights
        return tuple(float(np.average(part, weights=weights)) for part in (losses, correct))  # type: ignore[return-value]

    def check(self, cores: Cores) -> None:
        """Refuse cores that do not fit the model."""
        model = self._model.with_bonds([core.shape[0] for core in cores])
        if tuple(core.shape for core in cores) != model.network.core_shapes:
            raise InvalidInputError("its cores do not fit their tree")

    def model_of(self, cores: Cores) -> tuple[AmplitudeModel, Parameters]:
        """A model with the bonds of given cores, and its parameters."""
        model = self._model.with_bonds([core.shape[0] for core in cores])
        return model, Parameters(model.network.stacks(cores), self._encoding)
