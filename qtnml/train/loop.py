"""Gradient training: epochs of jitted steps in the training loop.

All numerics are in `steps`.
"""

from dataclasses import replace

import numpy as np

from qtnml.contract import Parameters
from qtnml.train.checkpoint import Checkpoint
from qtnml.train.fingerprint import fingerprint
from qtnml.train.fit_loop import Callback, fit_loop
from qtnml.train.records import Trainable, TrainingOptions, TrainingResult, TrainingSet
from qtnml.train.steps import GradientStep


def train(
    model: Trainable,
    parameters: Parameters,
    data: TrainingSet,
    options: TrainingOptions,
    rng: np.random.Generator,
    *,
    validation: TrainingSet | None = None,
    callback: Callback | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainingResult:
    """Train a model's parameters: see `fit_loop`.

    It runs in float64 if JAX has it enabled, otherwise in float32.
    """
    step = GradientStep(model, options, data, validation)
    progress = step.start(parameters, rng)
    identity = ""
    if checkpoint is not None:
        alike = replace(options, devices=None)  # sharing a batch over devices is the same run
        identity = fingerprint(model, parameters, alike, data, validation)
    progress, stopped = fit_loop(
        step,
        progress,
        epochs=options.epochs if options.stop_after is None else options.stop_after,
        patience=options.patience,
        callback=callback,
        checkpoint=checkpoint,
        identity=identity,
    )
    best = model.project(progress.best)
    return TrainingResult(best, progress.state, progress.history, progress.best_epoch, stopped)
