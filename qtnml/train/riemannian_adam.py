"""Adam on the manifold of unitary (or orthogonal) matrices, and plain Adam for angles.

The Euclidean gradient G of a node U is projected to the Lie algebra, A = (G U^+ - U G^+) / 2, where
Adam keeps its moments: unlike tangent vectors they need no transport from step to step. The step is
U <- exp(-lr m / sqrt(v)) U with the exponential cut short, then one Newton-Schulz iteration back onto
the manifold. No derivative of a matrix exponential is taken.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from qtnml.arrays import full_precision
from qtnml.contract import Parameters
from qtnml.train.optimizer import LossFunction


class AdamState(NamedTuple):
    """Moments of every array of parameters, in the order of the pytree, and the number of steps taken."""

    first: tuple[jax.Array, ...]
    second: tuple[jax.Array, ...]
    step: jax.Array


@dataclass(frozen=True)
class RiemannianAdam:
    """`beta1`, `beta2`, `epsilon` as in Adam (arXiv:1412.6980).

    Arrays of rank 3 are stacks of unitary (orthogonal, if real) matrices and move on their manifold;
    arrays of lower rank are angles or scales and take Adam's own step.

    Attributes:
        max_angle: Largest Frobenius norm of one matrix's step, in radians per square root of its
            dimension. It bounds what the short exponential leaves out, whatever the gradient:
            after one step in float32 U U^+ differs from 1 by less than 1e-5 for up to 6 qubits.
    """

    needs_gradient: ClassVar[bool] = True
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8
    max_angle: float = 0.1

    def init(self, parameters: Parameters) -> AdamState:
        """Moments of zero."""
        leaves = jax.tree.leaves(parameters)
        return AdamState(
            first=tuple(jnp.zeros_like(leaf) for leaf in leaves),
            second=tuple(jnp.zeros_like(leaf.real) for leaf in leaves),
            step=jnp.zeros((), dtype=jnp.int32),
        )

    def step(
        self,
        loss: LossFunction,
        parameters: Parameters,
        state: AdamState,
        learning_rate: jax.Array,
        key: jax.Array,
    ) -> tuple[Parameters, AdamState, Any]:
        """Differentiate and update."""
        gradients, sums = jax.grad(loss, has_aux=True)(parameters, key)
        parameters, state = self.update(gradients, state, parameters, learning_rate)
        return parameters, state, sums

    @full_precision
    def update(
        self, gradients: Any, state: AdamState, parameters: Any, learning_rate: jax.Array | float
    ) -> tuple[Any, AdamState]:
        """One step down the gradients that `jax.grad` returns for a pytree of parameters."""
        step = state.step + 1
        leaves, structure = jax.tree.flatten(parameters)
        first, second, moved = [], [], []
        for gradient, m, v, leaf in zip(
            jax.tree.leaves(gradients), state.first, state.second, leaves, strict=True
        ):
            on_manifold = leaf.ndim == 3
            tangent = _lie_algebra(gradient, leaf) if on_manifold else gradient
            m = self.beta1 * m + (1 - self.beta1) * tangent
            v = self.beta2 * v + (1 - self.beta2) * (tangent.real**2 + tangent.imag**2)
            scale = jnp.sqrt(v / (1 - self.beta2**step)) + self.epsilon
            direction = -learning_rate / (1 - self.beta1**step) * m / scale
            moved.append(_retract(leaf, self._bounded(direction)) if on_manifold else leaf + direction)
            first.append(m)
            second.append(v)
        new_state = AdamState(tuple(first), tuple(second), step)
        return jax.tree.unflatten(structure, moved), new_state

    def _bounded(self, direction: jax.Array) -> jax.Array:
        limit = self.max_angle * direction.shape[-1] ** 0.5
        norm = jnp.sqrt(jnp.sum(direction.real**2 + direction.imag**2, axis=(1, 2), keepdims=True))
        return direction * jnp.minimum(1.0, limit / (norm + self.epsilon))


def _dagger(matrices: jax.Array) -> jax.Array:
    return jnp.conj(jnp.swapaxes(matrices, -1, -2))


def _lie_algebra(gradient: jax.Array, unitary: jax.Array) -> jax.Array:
    """Skew-Hermitian part of G U^+; JAX returns the conjugate of G for a real loss."""
    product = jnp.matmul(jnp.conj(gradient), _dagger(unitary))
    return 0.5 * (product - _dagger(product))


def _retract(unitary: jax.Array, direction: jax.Array) -> jax.Array:
    """exp(direction) @ unitary, pulled back by Newton-Schulz.

    The series is cut after order 2 or, for matrices so large that `max_angle` allows long steps,
    after order 4; what it lacks of unitarity is x**4 / 4 and x**6 / 72 at an angle x.
    """
    term = moved = unitary
    for order in range(1, 3 if unitary.shape[-1] <= 4 else 5):
        term = jnp.matmul(direction, term) / order
        moved = moved + term
    return 1.5 * moved - 0.5 * jnp.matmul(moved, jnp.matmul(_dagger(moved), moved))
