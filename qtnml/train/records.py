"""What goes into a training run and what comes out of it."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from qtnml.arrays import NDArray
from qtnml.network.tensor_network import TensorNetwork
from qtnml.train.losses import CrossEntropy, Loss
from qtnml.train.riemannian_adam import AdamState, RiemannianAdam


class TrainingSet(NamedTuple):
    """Encodable samples: X (samples, features) in [0, 1], class indices y, positive weights."""

    X: NDArray
    y: NDArray
    weights: NDArray


@dataclass(frozen=True)
class TrainingOptions:
    """How to train.

    Attributes:
        epochs: Passes over the training samples.
        batch_size: Samples per step; at least the number of samples means full-batch training.
        learning_rate: Of the first step, in radians; it falls to zero along a half cosine.
        loss: Loss per sample.
        patience: Stop after this many epochs without a better score; None never stops early.
        optimizer: The optimiser's constants.
    """

    epochs: int
    batch_size: int = 250
    learning_rate: float = 0.03
    loss: Loss = field(default_factory=CrossEntropy)
    patience: int | None = None
    optimizer: RiemannianAdam = field(default_factory=RiemannianAdam)


class EpochRecord(NamedTuple):
    """What one epoch showed: mean training loss and accuracy while it ran, validation after it.

    The validation figures are None where nothing was held out; `seconds` since training began.
    """

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float

    @property
    def score(self) -> float:
        """What the best epoch has least of."""
        return self.loss if self.validation_loss is None else self.validation_loss


@dataclass(frozen=True)
class TrainingResult:
    """The best network (projected to unitaries, float64), and how training went.

    Attributes:
        network: Weights of the best epoch.
        optimizer_state: Moments after the last step.
        history: One record per finished epoch.
        best_epoch: Index into `history` of the epoch after which the weights were best, -1 if the
            first ones were.
        stopped: "finished", "early" or "interrupted".
    """

    network: TensorNetwork
    optimizer_state: AdamState
    history: tuple[EpochRecord, ...]
    best_epoch: int
    stopped: str


def merge_repeats(data: TrainingSet) -> TrainingSet:
    """Join equal samples of one class into one of their summed weight, in a canonical order.

    For full-batch training this changes nothing but makes a sample of weight k and k copies of it
    the same computation, bit for bit.
    """
    rows: NDArray = np.column_stack([data.X, data.y])
    _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return TrainingSet(data.X[first], data.y[first], np.bincount(inverse.ravel(), weights=data.weights))
