"""Losses per sample, as pure functions of outcome probabilities and labels."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import jax
import jax.numpy as jnp

from qtnml.errors import InvalidInputError


class Loss(Protocol):
    """A hashable callable: (probabilities (outcomes, batch), labels (batch,)) -> losses (batch,).

    Outcomes beyond the number of classes are wrong for every sample.
    """

    name: ClassVar[str]

    def __call__(self, probabilities: jax.Array, labels: jax.Array) -> jax.Array:
        """Loss of each sample."""


@dataclass(frozen=True)
class CrossEntropy:
    """-ln q of the true class, where q is proportional to p**sharpness.

    A tree that traces qubits out answers with probabilities well inside (0, 1), and the class is
    read off as the likeliest outcome. The plain cross-entropy (sharpness 1) spends such a network on
    large probabilities; a sharper one asks only that the right outcome leads, by a margin that many
    shots can see. It is the cross-entropy of a reader who saw the outcome `sharpness` times over.

    Attributes:
        sharpness: Exponent; the higher, the smaller the margins that count as safe.
        floor: Probabilities are raised to it, so that the loss stays finite.
    """

    name: ClassVar[str] = "cross-entropy"
    sharpness: float = 8.0
    floor: float = 1e-6

    def __post_init__(self) -> None:
        if not (self.sharpness > 0 and 0 < self.floor < 1):
            raise InvalidInputError(f"sharpness must be positive and floor in (0, 1), got {self}")

    def __call__(self, probabilities: jax.Array, labels: jax.Array) -> jax.Array:
        """Loss of each sample."""
        logits = self.sharpness * jnp.log(jnp.maximum(probabilities, self.floor))
        return -_of_label(jax.nn.log_softmax(logits, axis=0), labels)


@dataclass(frozen=True)
class HingePower:
    """max(p_largest_wrong - p_true + lam, 0)**eta, the loss of arXiv:1803.11537, section V."""

    name: ClassVar[str] = "hinge"
    lam: float = 0.234
    eta: float = 5.59

    def __post_init__(self) -> None:
        if not self.eta >= 1:
            raise InvalidInputError(f"eta must be at least 1, got {self.eta}")

    def __call__(self, probabilities: jax.Array, labels: jax.Array) -> jax.Array:
        """Loss of each sample."""
        is_true = jnp.arange(probabilities.shape[0])[:, None] == labels
        largest_wrong = jnp.max(jnp.where(is_true, -jnp.inf, probabilities), axis=0)
        margin = largest_wrong - _of_label(probabilities, labels) + self.lam
        return jnp.maximum(margin, 0.0) ** self.eta


def _of_label(values: jax.Array, labels: jax.Array) -> jax.Array:
    """Row `labels[b]` of each column b; a masked sum, whose gradient needs no scatter."""
    is_true = jnp.arange(values.shape[0])[:, None] == labels
    return jnp.sum(jnp.where(is_true, values, 0.0), axis=0)


LOSSES: dict[str, type[CrossEntropy] | type[HingePower]] = {
    CrossEntropy.name: CrossEntropy,
    HingePower.name: HingePower,
}


def get_loss(loss: "str | Loss") -> Loss:
    """Return the loss called `loss`; a loss object passes through."""
    if callable(loss) and isinstance(loss, Hashable):
        return loss
    if not isinstance(loss, str) or loss not in LOSSES:
        raise InvalidInputError(
            f"unknown loss {loss!r}; choose one of {sorted(LOSSES)} or pass a hashable callable"
        )
    return LOSSES[loss]()
