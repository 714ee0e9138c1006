"""Sweeps of an amplitude MPS in the training loop."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qtnml.contract import AmplitudeModel, Parameters
from qtnml.train.checkpoint import Checkpoint, Progress
from qtnml.train.fingerprint import fingerprint
from qtnml.train.fit_loop import Callback, Epoch, fit_loop
from qtnml.train.losses import Loss
from qtnml.train.records import TrainingResult, TrainingSet
from qtnml.train.sweeps import SweepOptions, sweep


def train_by_sweeps(
    model: AmplitudeModel,
    parameters: Parameters,
    data: TrainingSet,
    options: SweepOptions,
    rng: np.random.Generator,
    *,
    sweeps: int,
    patience: int | None = None,
    validation: TrainingSet | None = None,
    callback: Callback | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainingResult:
    """Sweep so many times: see `fit_loop`.

    Args:
        model: Of bond dimension `options.max_bond`.
        parameters: In double precision.
        data: Class indices as targets.
        options: How to sweep.
        rng: Chooses the batches.
        sweeps: How often.
        patience, callback, checkpoint: As for `fit_loop`.
        validation: Held-out samples.
    """
    progress = Progress(parameters, None, parameters, dict(rng.bit_generator.state), np.zeros(0))
    identity = ""
    if checkpoint is not None:
        identity = fingerprint(model, parameters, options, sweeps, patience, data, validation)
    progress, stopped = fit_loop(
        SweepStep(model, data, options, validation),
        progress,
        epochs=sweeps,
        patience=patience,
        callback=callback,
        checkpoint=checkpoint,
        identity=identity,
    )
    best = model.project(progress.best)
    return TrainingResult(best, None, progress.history, progress.best_epoch, stopped)


@dataclass(frozen=True)
class SweepStep:
    """One sweep on a batch, as a `Step`."""

    model: AmplitudeModel
    data: TrainingSet
    options: SweepOptions
    validation: TrainingSet | None
    warm_up: ClassVar[int] = 0
    cure: ClassVar[str] = "raise cutoff"

    @property
    def comparable(self) -> bool:
        """Every sweep sees all samples."""
        return len(self.data.y) <= self.options.batch_size

    def epoch(self, progress: Progress) -> Epoch:
        """To the right end, to the left end, and back to the middle."""
        rng = np.random.default_rng()
        rng.bit_generator.state = progress.rng_state
        cores, swept = sweep(self.model, progress.parameters, self.data, self.options, rng)
        held: tuple[float | None, float | None] = (None, None)
        if self.validation is not None:
            held = _held_out(self.model, cores, self.validation, self.options.loss)
        largest = max(swept.bond_dims, default=1)
        rng_state = dict(rng.bit_generator.state)
        return Epoch(cores, None, rng_state, cores, swept.loss, swept.accuracy, *held, largest_bond=largest)

    def finish(self, progress: Progress) -> Progress:
        """Nothing is left to be judged."""
        return progress


def _held_out(
    model: AmplitudeModel, parameters: Parameters, data: TrainingSet, loss: Loss
) -> tuple[float, float]:
    """Mean loss and accuracy on held-out samples."""
    proba = model.predict(parameters, data.X)[0]
    losses = np.asarray(loss(proba.T.astype(np.float32), data.y))  # type: ignore[arg-type]
    correct = proba.argmax(axis=1) == data.y
    return tuple(float(np.average(part, weights=data.weights)) for part in (losses, correct))  # type: ignore[return-value]
