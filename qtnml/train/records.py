"""Inputs and results of a training run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from qtnml.arrays import Array, NDArray
from qtnml.contract import Parameters
from qtnml.train.losses import CrossEntropy, Loss
from qtnml.train.optimizer import Optimizer
from qtnml.train.riemannian_adam import RiemannianAdam


class Trainable(Protocol):
    """What the loop asks of a model; it is hashable, its methods are pure."""

    def outcomes(
        self, parameters: Parameters, X: Array, *, postselection: Array | float | None = None
    ) -> tuple[Array, Array]:
        """Probabilities (outcomes, batch) and log success probabilities (batch,) of X (batch, features)."""

    def read_out(self, parameters: Parameters, outcomes: Array) -> Array:
        """What the loss sees: outcomes as they are, or values (batch,)."""

    def project(self, parameters: Parameters) -> Parameters:
        """Valid parameters in double precision on NumPy."""


class TrainingSet(NamedTuple):
    """Training samples: X (samples, features), y (class indices or values), and positive weights.

    Soft labels are fractions of each class; y then has shape (samples, classes). A weight multiplies the loss
    of its sample, also in mini-batches.
    """

    X: NDArray
    y: NDArray
    weights: NDArray


@dataclass(frozen=True)
class TrainingOptions:
    """Options of gradient training.

    Attributes:
        epochs: Number of passes over the training samples.
        batch_size: Samples per step. A value of at least the number of samples means full-batch training.
        learning_rate: Learning rate of the first step, in radians; it falls to zero along a half cosine.
        loss: Loss per sample.
        patience: Stop after this many epochs without a better score; None never stops early.
        optimizer: The optimiser and its constants.
        shots: Number of emulated measurements per sample and evaluation; with post-selection, only of
            branches that count. None uses exact probabilities. It needs SPSA.
        homotopy: Epochs over which the weight of the post-selected branch falls from 1 to 0, in a model that
            traces qubits out.
        devices: Number of JAX devices that share each batch; None uses JAX's default device.
        noise: A pytree whose `at(strength)` returns the `channels` of the model's `outcomes`; None for no
            noise.
        noise_start: Strength of the noise at the first step.
        noise_ramp: Epochs over which the strength grows from `noise_start` to 1.
        stop_after: Epochs after which training ends, independent of its schedule; None for all epochs.
        augment: Function that gives the training samples of an epoch, instead of the original samples.
        dropout: Fraction of each bond's entries that a step leaves out, in models that have `dropped`.
    """

    epochs: int
    batch_size: int = 250
    learning_rate: float = 0.03
    loss: Loss = field(default_factory=CrossEntropy)
    patience: int | None = None
    optimizer: Optimizer = field(default_factory=RiemannianAdam)
    shots: int | None = None
    homotopy: int = 0
    devices: int | None = None
    noise: Any = None
    noise_start: float = 1.0
    noise_ramp: int = 0
    stop_after: int | None = None
    augment: Callable[[np.random.Generator], NDArray] | None = None
    dropout: float = 0.0

    @property
    def warm_up(self) -> int:
        """Number of first epochs that solve another problem, so that none of them can be the best."""
        return max(self.homotopy, self.noise_ramp)


class EpochRecord(NamedTuple):
    """Record of one epoch: mean training loss and accuracy during the epoch, validation after it.

    Validation values are None without held-out samples. Accuracies are None in a regression. `seconds` count
    from the start of training. `largest_bond` is set if bonds adapt.
    """

    epoch: int
    loss: float
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float
    largest_bond: int | None = None

    @property
    def score(self) -> float:
        """Score of the epoch; the best epoch has the smallest."""
        return self.loss if self.validation_loss is None else self.validation_loss


@dataclass(frozen=True)
class TrainingResult:
    """Result of training: the best parameters (matrices projected to unitaries, float64) and the history.

    Attributes:
        parameters: Parameters of the best epoch.
        optimizer_state: State after the last step.
        history: One record per finished epoch.
        best_epoch: Index into `history` of the epoch after which the parameters were best; -1 if the initial
            parameters were best.
        stopped: How training ended: "finished", "early", "callback", "interrupted" or "diverged".
    """

    parameters: Parameters
    optimizer_state: Any
    history: tuple[EpochRecord, ...]
    best_epoch: int
    stopped: str


def drawn_by_weight(weights: NDArray, size: int, rng: np.random.Generator) -> NDArray:
    """How often each sample is drawn for a batch of `size`, in proportion to the weights, (samples,).

    Systematic sampling in a random order: a count differs by less than 1 from its expected value, so samples
    of equal weight are drawn without repetition. A step that searches for the least loss of its batch makes
    no use of the batch's total weight: there the weights decide who is drawn.
    """
    order = rng.permutation(len(weights))
    shares = np.cumsum(weights[order], dtype=np.float64)
    size = min(size, len(weights))
    marks = np.floor(shares * (size / shares[-1]) + rng.random())
    marks[-1] = size  # whatever rounding made of it
    counts = np.empty(len(weights), dtype=np.int64)
    counts[order] = np.diff(marks, prepend=0.0)
    return counts


def merge_repeats(data: TrainingSet) -> TrainingSet:
    """Join equal samples of one target into one of their summed weight, in a canonical order.

    For full-batch training this changes nothing but makes a sample of weight k and k copies of it
    the same computation, bit for bit.
    """
    rows: NDArray = np.column_stack([data.X, data.y])
    _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return TrainingSet(data.X[first], data.y[first], np.bincount(inverse.ravel(), weights=data.weights))
