"""The training loop: epochs of jitted steps, validation, the best weights, early stop, checkpoints.

Everything numerical lies in `steps`; this is the order of events around it.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np

from qtnml.contract import Parameters
from qtnml.errors import TrainingError
from qtnml.train.checkpoint import Checkpoint, Progress
from qtnml.train.fingerprint import fingerprint
from qtnml.train.records import EpochRecord, Trainable, TrainingOptions, TrainingResult, TrainingSet
from qtnml.train.steps import Run

_DIVERGED = 100.0  # times the first epoch's loss


def train(
    model: Trainable,
    parameters: Parameters,
    data: TrainingSet,
    options: TrainingOptions,
    rng: np.random.Generator,
    *,
    validation: TrainingSet | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainingResult:
    """Train a model's parameters.

    Runs in float64 if JAX has it enabled, else in float32. The best epoch is the one with the least
    validation loss, or the least training loss where there is no validation set. Ctrl-C returns the
    best so far, or is passed on if no epoch has finished; so does a loss that is no longer finite or
    a hundred times that of the first epoch, and weights that are not finite.

    Raises:
        TrainingError: The loss is not finite in the very first epoch.
        ModelFileError: The checkpoint to resume from is damaged or of another run.
    """
    run = Run(model, options, data, validation)
    progress = run.start(parameters, rng)
    identity = ""
    if checkpoint is not None:
        alike = replace(options, devices=None)  # sharing a batch over devices is the same run
        identity = fingerprint(model, parameters, alike, data, validation)
        progress = checkpoint.restored(progress, identity)
    began, stopped = time.perf_counter() - progress.seconds_before, "finished"
    try:
        while progress.epoch < options.epochs:
            if _out_of_patience(progress, options):
                stopped = "early"
                break
            following = run.epoch(progress, began)
            if _has_diverged(following):
                stopped = "diverged"
                break
            progress = following
            if on_epoch is not None:
                on_epoch(progress.history[-1])
            is_last = progress.epoch == options.epochs or _out_of_patience(progress, options)
            if checkpoint is not None and (is_last or progress.epoch % checkpoint.every == 0):
                checkpoint.save(progress, identity)
    except KeyboardInterrupt:
        if not progress.history:  # nothing was learnt
            raise
        stopped = "interrupted"
    if stopped == "diverged" and not progress.history:
        raise TrainingError(
            f"training diverged in epoch 1 (loss {following.history[0].loss:g}); lower the learning rate "
            f"({options.learning_rate:g})"
        )
    progress = run.with_last_weights_judged(progress)
    if progress.history and progress.best_score == np.inf:  # ended while warming up
        progress = replace(progress, best=progress.parameters, best_epoch=progress.epoch - 1)
    best = model.project(progress.best)
    return TrainingResult(best, progress.state, progress.history, progress.best_epoch, stopped)


def _out_of_patience(progress: Progress, options: TrainingOptions) -> bool:
    if options.patience is None:
        return False
    return progress.epoch - 1 - max(progress.improved, options.warm_up) >= options.patience


def _has_diverged(progress: Progress) -> bool:
    first, last = progress.history[0], progress.history[-1]
    if not np.isfinite([last.loss, last.score]).all() or last.loss > _DIVERGED * max(first.loss, 1e-3):
        return True
    # The last step's loss is not known yet.
    return not all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(progress.parameters))
