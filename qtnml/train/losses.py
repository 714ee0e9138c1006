"""Losses per sample, as pure functions of a model's outputs and the targets."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import jax
import jax.numpy as jnp

from qtnml.errors import InvalidInputError
from qtnml.registry import register


class Loss(Protocol):
    """A hashable callable: (outputs, targets (batch,)) -> losses (batch,).

    For a classifier, outputs are probabilities (outcomes, batch) and targets are class indices. Outcomes
    beyond the number of classes are wrong for every sample. For a regressor, outputs are values (batch,).
    """

    name: ClassVar[str]

    def __call__(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """Loss of each sample."""


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy -ln q of the true class, where q is proportional to p**sharpness.

    A tree that traces qubits out gives probabilities well inside (0, 1). The class is its most likely
    outcome. The plain cross-entropy (sharpness 1) makes the network work for large probabilities. A sharper
    one requires only that the right outcome leads, by a margin that many shots can resolve. It is the
    cross-entropy after the outcome was seen `sharpness` times.

    Attributes:
        sharpness: Exponent; a higher value accepts smaller margins.
        floor: Smallest probability; smaller values are raised to it, so that the loss stays finite.
        label_smoothing: Fraction of the target that is spread evenly over all outcomes (arXiv:1512.00567).
    """

    name: ClassVar[str] = "cross-entropy"
    sharpness: float = 8.0
    floor: float = 1e-6
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.sharpness < math.inf and 0 < self.floor < 1 and 0 <= self.label_smoothing < 1):
            raise InvalidInputError(
                "sharpness must be positive and finite, floor in (0, 1) and label_smoothing in [0, 1), got "
                f"{self}"
            )

    def __call__(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """Loss of each sample."""
        logits = self.sharpness * jnp.log(jnp.maximum(outputs, self.floor))
        log_q = jax.nn.log_softmax(logits, axis=0)
        loss = -_of_label(log_q, targets)
        if self.label_smoothing:
            loss = (1 - self.label_smoothing) * loss - self.label_smoothing * jnp.mean(log_q, axis=0)
        return loss


@dataclass(frozen=True)
class HingePower:
    """Hinge loss max(p_largest_wrong - p_true + lam, 0)**eta of arXiv:1803.11537, section V."""

    name: ClassVar[str] = "hinge"
    lam: float = 0.234
    eta: float = 5.59

    def __post_init__(self) -> None:
        if not self.eta >= 1:
            raise InvalidInputError(f"eta must be at least 1, got {self.eta}")

    def __call__(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """Loss of each sample."""
        is_true = jnp.arange(outputs.shape[0])[:, None] == targets
        largest_wrong = jnp.max(jnp.where(is_true, -jnp.inf, outputs), axis=0)
        margin = largest_wrong - _of_label(outputs, targets) + self.lam
        return jnp.maximum(margin, 0.0) ** self.eta


@dataclass(frozen=True)
class MeanSquaredError:
    """Squared error of a value. For a classifier: of its probabilities, summed over outcomes (Brier score).

    Attributes:
        label_smoothing: Fraction of a class target that is spread evenly over all outcomes.
    """

    name: ClassVar[str] = "squared-error"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise InvalidInputError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}")

    def __call__(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """Loss of each sample."""
        if outputs.ndim == 1:
            return (outputs - targets) ** 2
        wanted = (jnp.arange(outputs.shape[0])[:, None] == targets).astype(outputs.dtype)
        wanted = (1 - self.label_smoothing) * wanted + self.label_smoothing / outputs.shape[0]
        return jnp.sum((outputs - wanted) ** 2, axis=0)


def _of_label(values: jax.Array, labels: jax.Array) -> jax.Array:
    """Row `labels[b]` of each column b; a masked sum, whose gradient needs no scatter."""
    is_true = jnp.arange(values.shape[0])[:, None] == labels
    return jnp.sum(jnp.where(is_true, values, 0.0), axis=0)


LOSSES: dict[str, type[CrossEntropy] | type[HingePower] | type[MeanSquaredError]] = {
    CrossEntropy.name: CrossEntropy,
    HingePower.name: HingePower,
    MeanSquaredError.name: MeanSquaredError,
}

for _class in LOSSES.values():
    register("loss", _class)


def get_loss(loss: "str | Loss") -> Loss:
    """Return the loss called `loss`; a loss object is returned unchanged."""
    if isinstance(loss, type):
        raise InvalidInputError(f"loss={loss.__name__} is a class; pass an object, {loss.__name__}()")
    if callable(loss) and isinstance(loss, Hashable):
        return loss
    if not isinstance(loss, str) or loss not in LOSSES:
        raise InvalidInputError(
            f"unknown loss {loss!r}; choose one of {sorted(LOSSES)} or pass a hashable callable"
        )
    return LOSSES[loss]()
