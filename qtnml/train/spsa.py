"""SPSA with momentum: two measurements of the loss give a step for all parameters at once.

This is simultaneous perturbation stochastic approximation (Spall, 1992) with the momentum of
arXiv:1803.11537, section V: perturb every angle by +-alpha_k, g = (L_+ - L_-) / (2 alpha_k), v <- gamma v -
beta_k g Delta, theta <- theta + v. There are three settings: as printed in the paper, the same group's later
variant, and our own.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from qtnml.contract import Parameters
from qtnml.errors import InvalidInputError
from qtnml.train.directions import coordinates_like, move
from qtnml.train.optimizer import LossFunction


class SPSAState(NamedTuple):
    """Velocity in every coordinate, running mean square of g, and the number of steps taken."""

    velocity: Any
    mean_square: jax.Array
    step: jax.Array


@dataclass(frozen=True)
class SPSA:
    """SPSA with momentum and the gain sequences printed in arXiv:1803.11537.

    The perturbation is alpha_k = a / (k + 1 + A)**s, the step is beta_k = b / (k + 1)**t, both in radians of
    a rotation. Delta is +-1 with equal probability. The learning rate of the loop has no effect.

    As printed, alpha_0 is 5e-7. Exact probabilities in double precision resolve it; shots (and float32) do
    not. `SPSA.later()` has the constants of the group's later code, where alpha_0 is 2.5.
    """

    needs_gradient: ClassVar[bool] = False
    a: float = 28.0
    b: float = 33.0
    A: float = 74.1
    s: float = 4.13
    t: float = 0.658
    gamma: float = 0.882

    @classmethod
    def later(cls) -> "SPSA":
        """The later variant of the same group: A = 7.41, s = 1.13."""
        return cls(A=7.41, s=1.13)

    def init(self, parameters: Parameters) -> SPSAState:
        """Initial state, with zero velocity."""
        return _at_rest(parameters)

    def step(
        self,
        loss: LossFunction,
        parameters: Parameters,
        state: SPSAState,
        learning_rate: jax.Array,  # noqa: ARG002
        key: jax.Array,
    ) -> tuple[Parameters, SPSAState, Any]:
        """Measure on both sides, update the velocity, and move."""
        k = state.step + 1
        alpha = self.a / (k + self.A) ** self.s
        beta = self.b / k**self.t
        difference, signs, sums = _two_sided(loss, parameters, alpha, key)
        kick = beta * difference / (2 * alpha)
        velocity = jax.tree.map(lambda v, sign: self.gamma * v - kick * sign, state.velocity, signs)
        return move(parameters, velocity), SPSAState(velocity, state.mean_square, k), sums


@dataclass(frozen=True)
class CalibratedSPSA:
    """SPSA with Rademacher perturbations and self-calibrating gains.

    The measured slope g is divided by its own running root mean square. So a step is `learning_rate` in every
    coordinate, for any scale of the loss, number of parameters or shot noise. The learning rate is the
    loop's, which falls along a half cosine. Momentum then averages the steps. The perturbation is as large as
    the landscape allows, so that the difference of losses is well above the noise. It shrinks as
    (k + 1)**-0.101, the rate that Spall recommends for a finite number of steps.

    Attributes:
        perturbation: Initial perturbation in radians.
        momentum: Momentum of the velocity.
        memory: Fraction of the running mean square that a step keeps.
        max_angle: Largest step of one coordinate in radians.
    """

    needs_gradient: ClassVar[bool] = False
    perturbation: float = 0.1
    momentum: float = 0.9
    memory: float = 0.98
    max_angle: float = 0.1

    def __post_init__(self) -> None:
        if not (self.perturbation > 0 and 0 <= self.momentum < 1 and 0 <= self.memory < 1):
            raise InvalidInputError(
                f"perturbation must be positive, momentum and memory in [0, 1), got {self}"
            )

    def init(self, parameters: Parameters) -> SPSAState:
        """Initial state, with zero velocity."""
        return _at_rest(parameters)

    def step(
        self,
        loss: LossFunction,
        parameters: Parameters,
        state: SPSAState,
        learning_rate: jax.Array,
        key: jax.Array,
    ) -> tuple[Parameters, SPSAState, Any]:
        """Measure on both sides, normalise the slope, update the velocity, and move."""
        k = state.step + 1
        alpha = self.perturbation / k**0.101
        difference, signs, sums = _two_sided(loss, parameters, alpha, key)
        slope = difference / (2 * alpha)
        mean_square = self.memory * state.mean_square + (1 - self.memory) * slope**2
        scale = jnp.sqrt(mean_square / (1 - self.memory**k)) + 1e-12
        kick = jnp.clip(learning_rate * slope / scale, -self.max_angle, self.max_angle)
        kick = (1 - self.momentum) * kick
        velocity = jax.tree.map(lambda v, sign: self.momentum * v - kick * sign, state.velocity, signs)
        return move(parameters, velocity), SPSAState(velocity, mean_square, k), sums


def _at_rest(parameters: Parameters) -> SPSAState:
    zero = jnp.zeros((), dtype=jax.tree.leaves(parameters)[0].real.dtype)
    return SPSAState(coordinates_like(parameters), zero, jnp.zeros((), dtype=jnp.int32))


def _two_sided(
    loss: LossFunction, parameters: Parameters, alpha: jax.Array, key: jax.Array
) -> tuple[jax.Array, Any, Any]:
    """L_+ - L_-, the signs of the perturbation, and the sums of both sides."""
    coordinates, structure = jax.tree.flatten(coordinates_like(parameters))
    direction_key, plus_key, minus_key = jax.random.split(key, 3)
    keys = jax.random.split(direction_key, len(coordinates))
    signs = jax.tree.unflatten(
        structure,
        [jax.random.rademacher(k, c.shape, dtype=c.dtype) for k, c in zip(keys, coordinates, strict=True)],
    )
    plus, plus_sums = loss(move(parameters, jax.tree.map(lambda sign: alpha * sign, signs)), plus_key)
    minus, minus_sums = loss(move(parameters, jax.tree.map(lambda sign: -alpha * sign, signs)), minus_key)
    sums = jax.tree.map(lambda one, other: (one + other) / 2, plus_sums, minus_sums)
    return plus - minus, signs, sums
