"""The loop over two-site sweeps: validation, the best cores, early stop, checkpoints, Ctrl-C."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from qtnml.contract import AmplitudeModel, Parameters
from qtnml.errors import TrainingError
from qtnml.train.checkpoint import Checkpoint, Progress
from qtnml.train.fingerprint import fingerprint
from qtnml.train.losses import Loss
from qtnml.train.records import EpochRecord, TrainingResult, TrainingSet
from qtnml.train.sweeps import SweepOptions, SweepRecord, sweep


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
    on_sweep: Callable[[EpochRecord, SweepRecord], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainingResult:
    """Sweep so many times; the best by validation loss, or the last, is kept.

    Ctrl-C and cores that are no longer finite end it with the best so far, as in `train`; the same
    checkpoints make a killed run go on bit for bit after its last whole sweep.

    Args:
        model: Of bond dimension `options.max_bond`.
        parameters: In double precision.
        data: Class indices as targets.
        options: How to sweep.
        rng: Chooses the batches.
        sweeps: How often.
        patience: Stop after this many sweeps without a better validation loss (of training where nothing
            is held out).
        validation: Held-out samples.
        on_sweep: Called after each.
        checkpoint: Where the state is kept.

    Raises:
        TrainingError: The cores are not finite after the first sweep.
        ModelFileError: The checkpoint to resume from is damaged or of another run.
    """
    progress = Progress(parameters, None, parameters, dict(rng.bit_generator.state), np.zeros(0))
    identity = ""
    if checkpoint is not None:
        identity = fingerprint(model, parameters, options, sweeps, patience, data, validation)
        progress = checkpoint.restored(progress, identity)
        rng.bit_generator.state = progress.rng_state
    began, stopped = time.perf_counter() - progress.seconds_before, "finished"
    try:
        while progress.epoch < sweeps:
            if patience is not None and progress.epoch - 1 - progress.improved >= patience:
                stopped = "early"
                break
            cores, swept = sweep(model, progress.parameters, data, options, rng)
            if not all(np.isfinite(stack).all() for stack in cores.nodes):
                stopped = "diverged"
                break
            number = progress.epoch + 1
            record = EpochRecord(number, swept.loss, swept.accuracy, None, None, time.perf_counter() - began)
            if validation is not None:
                loss, accuracy = _held_out(model, cores, validation, options.loss)
                record = record._replace(validation_loss=loss, validation_accuracy=accuracy)
            progress = _following(progress, cores, record, dict(rng.bit_generator.state))
            if on_sweep is not None:
                on_sweep(record, swept)
            if checkpoint is not None and (number == sweeps or number % checkpoint.every == 0):
                checkpoint.save(progress, identity)
    except KeyboardInterrupt:
        if not progress.history:  # nothing was learnt
            raise
        stopped = "interrupted"
    if stopped == "diverged" and not progress.history:
        raise TrainingError("the cores are not finite after the first sweep; raise cutoff")
    best = model.project(progress.best)
    return TrainingResult(best, None, progress.history, progress.best_epoch, stopped)


def _following(
    progress: Progress, cores: Parameters, record: EpochRecord, rng_state: dict[str, object]
) -> Progress:
    progress = replace(progress, parameters=cores, rng_state=rng_state, history=(*progress.history, record))
    number, is_better = record.epoch - 1, record.score < progress.best_score
    # Without held-out samples losses of different batches are not comparable: the last cores are kept.
    if record.validation_loss is None or is_better:
        progress = replace(progress, best=cores, best_epoch=number)
    if is_better:
        progress = replace(progress, best_score=record.score, improved=number)
    return progress


def _held_out(
    model: AmplitudeModel, parameters: Parameters, data: TrainingSet, loss: Loss
) -> tuple[float, float]:
    """Mean loss and accuracy on held-out samples."""
    proba = model.predict(parameters, data.X)[0]
    losses = np.asarray(loss(proba.T.astype(np.float32), data.y))  # type: ignore[arg-type]
    correct = proba.argmax(axis=1) == data.y
    return tuple(float(np.average(part, weights=data.weights)) for part in (losses, correct))  # type: ignore[return-value]
