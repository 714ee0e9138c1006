"""Objectives of sweeps: mean losses of amplitudes, their gradients, and the best angle of a rotation.

An objective sees amplitudes (samples, label) up to a factor for each sample. Such a factor changes a
log-likelihood by a constant, and does not change ratios of label amplitudes.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, Self

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import NDArray, full_precision
from qtnml.train.losses import Loss

_SMALLEST = 1e-6  # amplitude between unit vectors below which 1 / psi in a gradient falls to 0 again
_TINY = 1e-30


class Objective(Protocol):
    """A mean loss of some samples; lower is better.

    Attributes:
        weights: (samples,), of sum 1.
    """

    @property
    def weights(self) -> NDArray:
        """See the class."""

    def of(self, order: NDArray | None) -> Self:
        """The same of reordered samples; None leaves them as they are."""

    def loss(self, f: NDArray) -> float:
        """Of amplitudes (samples, label)."""

    def descent(self, f: NDArray) -> NDArray:
        """Minus half the loss, differentiated by conj(f), conjugated: (samples, label)."""

    def best_angle(self, f: NDArray, slope: NDArray, angles: NDArray) -> float:
        """Of all angles that of least loss for cos f + sin slope; the first, 0, if none is better."""

    def shares(self, f: NDArray) -> NDArray:
        """How much a sample's amplitudes matter to the loss, of sum about 1, (samples,)."""


@dataclass(frozen=True, eq=False)
class LogLikelihood:
    """Negative log-likelihood in nats up to a constant: -ln |psi|**2, of networks without a label.

    Attributes:
        weights: (samples,), of sum 1.
    """

    weights: NDArray

    def of(self, order: NDArray | None) -> "LogLikelihood":
        """See `Objective`."""
        return self if order is None else LogLikelihood(self.weights[order])

    def loss(self, f: NDArray) -> float:
        """See `Objective`."""
        return -float(np.log(np.abs(f[:, 0]) ** 2 + _TINY) @ self.weights)

    def descent(self, f: NDArray) -> NDArray:
        """See `Objective`."""
        size = np.maximum(np.abs(f), _SMALLEST)
        return np.asarray(self.weights[:, None] * f.conj() / size**2)

    def best_angle(self, f: NDArray, slope: NDArray, angles: NDArray) -> float:
        """See `Objective`."""
        cos, sin = (turn(angles).astype(self.weights.dtype)[:, None] for turn in (np.cos, np.sin))
        scores = np.log(np.abs(cos * f[:, 0] + sin * slope[:, 0]) ** 2 + _TINY) @ self.weights
        return float(angles[int(np.argmax(scores))])

    def shares(self, f: NDArray) -> NDArray:
        """See `Objective`."""
        return np.asarray(self.weights / np.maximum(np.abs(f[:, 0]), _SMALLEST) ** 2)


@dataclass(frozen=True, eq=False)
class ClassLoss:
    """A loss of class probabilities |f_c|**2 / sum |f|**2.

    Attributes:
        function: Loss of each sample from (classes, batch) and targets.
        y: Classes (samples,), integers.
        weights: (samples,), of sum 1.
    """

    function: Loss
    y: NDArray
    weights: NDArray

    def of(self, order: NDArray | None) -> "ClassLoss":
        """See `Objective`."""
        return self if order is None else ClassLoss(self.function, self.y[order], self.weights[order])

    def loss(self, f: NDArray) -> float:
        """See `Objective`."""
        return float(_mean_loss(f, self.y, self.weights, self.function))

    def accuracy(self, f: NDArray) -> float:
        """Weighted share of samples whose largest amplitude is that of their class."""
        return float((np.abs(f).argmax(axis=1) == self.y) @ self.weights)

    def descent(self, f: NDArray) -> NDArray:
        """See `Objective`."""
        return -np.asarray(_gradient(f, self.y, self.weights, self.function)) / 2

    def best_angle(self, f: NDArray, slope: NDArray, angles: NDArray) -> float:
        """See `Objective`."""
        turns = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(f.dtype)
        return float(angles[int(_best(f, slope, turns, self.y, self.weights, self.function))])

    def shares(self, f: NDArray) -> NDArray:
        """See `Objective`: only ratios of a sample's amplitudes count, so errors matter relative to them."""
        return np.asarray(self.weights / np.maximum((np.abs(f) ** 2).sum(axis=1), _TINY))


def _mean(f: Any, y: Any, weights: Any, loss: Loss) -> jax.Array:
    squares = f.T**2
    p = squares / (jnp.sum(squares, axis=0) + _TINY)
    return jnp.sum(loss(p, y) * weights)


_mean_loss = jax.jit(full_precision(_mean), static_argnums=3)
_gradient = jax.jit(full_precision(jax.grad(_mean)), static_argnums=3)


@partial(jax.jit, static_argnums=5)
@full_precision
def _best(f: Any, slope: Any, turns: Any, y: Any, weights: Any, loss: Loss) -> jax.Array:
    tried = jax.lax.map(lambda turn: _mean(turn[0] * f + turn[1] * slope, y, weights, loss), turns)
    return jnp.nanargmin(tried)
