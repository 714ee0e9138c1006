"""Gradient training of Born machines: all cores at once; each core stays an isometry.

A canonical state has norm 1, so the negative log-likelihood (NLL) needs no normalisation.
"""

from contextlib import nullcontext
from typing import Literal

import jax
import numpy as np

from qtnml.born import TreeState
from qtnml.train.born_loop import BornResult, Strings
from qtnml.train.born_model import BornModel, JointLoss, LabelledBornModel, NegativeLogLikelihood
from qtnml.train.checkpoint import Checkpoint
from qtnml.train.fit_loop import Callback
from qtnml.train.loop import train
from qtnml.train.records import TrainingOptions, TrainingSet
from qtnml.train.riemannian_adam import RiemannianAdam


def train_born_by_gradient(
    state: TreeState,
    data: Strings,
    rng: np.random.Generator,
    *,
    epochs: int,
    batch_size: int = 250,
    learning_rate: float = 0.05,
    patience: int | None = None,
    precision: Literal["single", "double"] = "single",
    devices: int | None = None,
    validation: Strings | None = None,
    callback: Callback | None = None,
    checkpoint: Checkpoint | None = None,
    discriminative: float = 0.0,
) -> BornResult:
    """Train a state on strings by `train`, with Riemannian Adam.

    Args:
        state: To start from; its bonds stay as they are.
        data: Training strings.
        rng: Chooses the batches.
        epochs: Passes over the strings.
        batch_size: Strings of a step.
        learning_rate: Length of a core's first step in radians; falls to zero along a half cosine.
        patience, devices, callback, checkpoint: As for `train` and `TrainingOptions`.
        precision: "single" or "double".
        validation: Held-out strings.
        discriminative: Weight of the cross-entropy of the last site, a class, given the others; the rest is
            that of the negative log-likelihood. Losses in the result are then this mixture.
    """
    options = TrainingOptions(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        loss=JointLoss(discriminative) if discriminative else NegativeLogLikelihood(),
        patience=patience,
        optimizer=RiemannianAdam(matrices="isometric"),
        devices=devices,
    )
    kind = LabelledBornModel if discriminative else BornModel
    model, parameters = kind.of(state)
    with jax.enable_x64(True) if precision == "double" else nullcontext():
        result = train(
            model,
            parameters,
            _samples(data, labelled=bool(discriminative)),
            options,
            rng,
            validation=None if validation is None else _samples(validation, labelled=bool(discriminative)),
            callback=callback,
            checkpoint=checkpoint,
        )
    score = result.history[result.best_epoch].score
    return BornResult(
        model.state(result.parameters), result.history, result.best_epoch, result.stopped, score
    )


def _samples(strings: Strings, *, labelled: bool) -> TrainingSet:
    """As `train` takes them; a likelihood has no target."""
    if labelled:
        return TrainingSet(strings.X[:, :-1], strings.X[:, -1], strings.weights)
    return TrainingSet(strings.X, np.zeros(len(strings.X)), strings.weights)
