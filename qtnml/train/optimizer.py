"""What an optimiser is, and where its name becomes the object.

An optimiser sees the loss as a function of all parameters, so that one that differentiates and one that
only measures (SPSA) run in the same loop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp

from qtnml.contract import Parameters
from qtnml.errors import InvalidInputError
from qtnml.train.riemannian import Manifolds, riemannian, unitary_stacks

LossFunction = Callable[[Parameters, jax.Array], tuple[jax.Array, Any]]
"""(parameters, key) -> (mean loss of the batch, sums to report); the key draws emulated shots."""


class Optimizer(Protocol):
    """Pure and hashable; its state is a pytree of arrays."""

    @property
    def needs_gradient(self) -> bool:
        """It differentiates the loss, and so cannot live on measured shots."""

    def init(self, parameters: Parameters) -> Any:
        """State before the first step."""

    def step(
        self, loss: LossFunction, parameters: Parameters, state: Any, learning_rate: jax.Array, key: jax.Array
    ) -> tuple[Parameters, Any, Any]:
        """One step; returns parameters, state and the sums that `loss` reports."""


@dataclass(frozen=True)
class OptaxOptimizer:
    """Any optax gradient transformation; it brings its own learning rate.

    Matrices stay on their manifold: see `riemannian`.

    Attributes:
        transformation: Has `init(parameters)` and `update(gradients, state, parameters)`.
        manifolds: Which arrays are matrices.
    """

    needs_gradient: ClassVar[bool] = True
    transformation: Any
    manifolds: Manifolds = unitary_stacks

    def init(self, parameters: Parameters) -> Any:
        """The transformation's state."""
        return self.transformation.init(parameters)

    def step(
        self,
        loss: LossFunction,
        parameters: Parameters,
        state: Any,
        learning_rate: jax.Array,  # noqa: ARG002
        key: jax.Array,
    ) -> tuple[Parameters, Any, Any]:
        """Add what the transformation makes of the gradients."""
        gradients, sums = jax.grad(loss, has_aux=True)(parameters, key)
        steps = riemannian(self.transformation, manifolds=self.manifolds)
        try:
            updates, state = steps.update(gradients, state, parameters)
        except TypeError as error:
            raise InvalidInputError(
                f"this optax transformation needs more than gradients ({error}); choose one without a search"
            ) from error
        return jax.tree.map(jnp.add, parameters, updates), state, sums
