"""The training loop: validation, the best parameters, patience, divergence, Ctrl-C, checkpoints, callbacks.

A `Step` defines what an epoch does: gradient steps or sweeps. This module defines the order of events around
it.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from qtnml.errors import TrainingError
from qtnml.train.checkpoint import Checkpoint, Progress
from qtnml.train.records import EpochRecord

_DIVERGED = 100.0  # times the first epoch's loss
_PROGRESS = 1e-6  # of the score: a smaller fall does not count for patience
_log = logging.getLogger(__name__)

#: Called with the record of an epoch; True ends training.
Callback = Callable[[EpochRecord], bool | None]


class Epoch(NamedTuple):
    """What one epoch returns.

    Attributes:
        parameters, state, rng_state: After it, for the next one.
        measured: Parameters to which the losses belong: `parameters`, or those before the only step.
        loss, accuracy: Of the training samples.
        validation_loss, validation_accuracy: Of the held-out ones.
        largest_bond: Where bonds adapt.
    """

    parameters: Any
    state: Any
    rng_state: dict[str, Any]
    measured: Any
    loss: float
    accuracy: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    largest_bond: int | None = None


class Step(Protocol):
    """A training method, which defines what an epoch does."""

    def is_over(self, progress: Progress) -> bool:
        """Whether the step's own schedule has ended."""

    @property
    def comparable(self) -> bool:
        """Whether every epoch sees all training samples, so that training losses can be compared."""

    @property
    def warm_up(self) -> int:
        """Number of first epochs that solve another problem, so that none of them can be the best."""

    @property
    def cure(self) -> str:
        """Advice for the user if the first epoch diverges."""

    def epoch(self, progress: Progress) -> Epoch:
        """One pass over the samples, or one sweep."""

    def finish(self, progress: Progress) -> Progress:
        """Final evaluation after training has ended."""


def fit_loop(
    step: Step,
    progress: Progress,
    *,
    epochs: int,
    patience: int | None = None,
    callback: Callback | None = None,
    checkpoint: Checkpoint | None = None,
    identity: str = "",
) -> tuple[Progress, str]:
    """Run epochs until all are done, patience runs out, training diverges, or the user stops it.

    The best epoch has the smallest validation loss. Without held-out samples it has the smallest training
    loss if every epoch sees all samples, and is the last epoch otherwise. Patience counts epochs without a
    better score; the score is the validation loss, or else the training loss.

    Args:
        step: Defines what an epoch does.
        progress: Initial progress.
        epochs: Largest number of epochs.
        patience: Stop after so many epochs without improvement; None never stops early.
        callback: Called after each epoch; training stops if it returns True.
        checkpoint: Where progress is stored, and whether to go on from it.
        identity: Fingerprint of the run, for the checkpoint.

    Returns:
        Progress, and how training ended: "finished", "early", "callback", "interrupted" or "diverged".

    Raises:
        TrainingError: Training diverged in the first epoch.
        KeyboardInterrupt: The user interrupted before the end of the first epoch.
        ModelFileError: The checkpoint to resume from is damaged or of another run.
    """
    if checkpoint is not None:
        progress = checkpoint.restored(progress, identity, epochs)
    began, stopped = time.perf_counter() - progress.seconds_before, "finished"
    try:
        while progress.epoch < epochs:
            if _is_over(step, progress, patience):
                stopped = "early"
                break
            following = _followed(step, progress, began)
            if _has_diverged(following):
                stopped = "diverged"
                break
            progress = following
            record = progress.history[-1]
            _log.info("epoch %d of %d: %s", record.epoch, epochs, record)
            answer = None if callback is None else callback(record)
            if isinstance(answer, bool | np.bool_) and answer:
                stopped = "callback"
            is_last = stopped == "callback" or progress.epoch == epochs
            is_last = is_last or _is_over(step, progress, patience)
            if checkpoint is not None and (is_last or progress.epoch % checkpoint.every == 0):
                checkpoint.save(progress, identity)
            if stopped == "callback":
                break
    except KeyboardInterrupt:
        if not progress.history:  # nothing was learnt
            raise
        stopped = "interrupted"
    if stopped == "diverged" and not progress.history:
        raise TrainingError(f"training diverged in epoch 1 (loss {following.history[0].loss:g}); {step.cure}")
    progress = step.finish(progress)
    if progress.history and progress.best_epoch == -1 and progress.best_score == np.inf:  # still warming up
        progress = replace(progress, best=progress.parameters, best_epoch=progress.epoch - 1)
    _log.info("training ended: %s after %d epochs, best %d", stopped, progress.epoch, progress.best_epoch + 1)
    return progress, stopped


def _followed(step: Step, progress: Progress, began: float) -> Progress:
    """Progress after one more epoch."""
    epoch = step.epoch(progress)
    number = progress.epoch + 1
    record = EpochRecord(
        number,
        epoch.loss,
        epoch.accuracy,
        epoch.validation_loss,
        epoch.validation_accuracy,
        time.perf_counter() - began,
        epoch.largest_bond,
    )
    following = replace(
        progress,
        parameters=epoch.parameters,
        state=epoch.state,
        rng_state=epoch.rng_state,
        history=(*progress.history, record),
    )
    if number <= step.warm_up:
        return following
    score, lag = record.score, int(epoch.measured is not epoch.parameters)
    if score < progress.best_score:
        improved = progress.improved
        if not score > progress.best_score - _PROGRESS * abs(progress.best_score):
            improved = number - 1
        following = replace(
            following, best=epoch.measured, best_epoch=number - 1 - lag, best_score=score, improved=improved
        )
    if epoch.validation_loss is None and not step.comparable:
        following = replace(following, best=epoch.parameters, best_epoch=number - 1)
    return following


def _is_over(step: Step, progress: Progress, patience: int | None) -> bool:
    if patience is not None and progress.epoch - 1 - max(progress.improved, step.warm_up) >= patience:
        return True
    return step.is_over(progress)


def _has_diverged(progress: Progress) -> bool:
    first, last = progress.history[0], progress.history[-1]
    if not np.isfinite([last.loss, last.score]).all() or last.loss > _DIVERGED * max(first.loss, 1e-3):
        return True
    # The last step's loss is not known yet.
    return not all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(progress.parameters))
