"""The `Optimizer` protocol, and optax transformations as optimisers.

An optimiser sees the loss as a function of all parameters. So an optimiser that differentiates and one that
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
    """An optimiser: pure and hashable; its state is a pytree of arrays."""

    @property
    def needs_gradient(self) -> bool:
        """Whether it differentiates the loss. If so, it cannot use measured shots."""

    def init(self, parameters: Parameters) -> Any:
        """State before the first step."""

    def step(
        self, loss: LossFunction, parameters: Parameters, state: Any, learning_rate: jax.Array, key: jax.Array
    ) -> tuple[Parameters, Any, Any]:
        """Take one step; return parameters, state and the sums that `loss` reports."""


@dataclass(frozen=True)
class OptaxOptimizer:
    """Any optax gradient transformation, with its own learning rate.

    Matrices stay on their manifold, see `riemannian`.

    Attributes:
        transformation: An object with `init(parameters)` and `update(gradients, state, parameters)`.
        manifolds: Function that says which arrays are matrices.
    """

    needs_gradient: ClassVar[bool] = True
    transformation: Any
    manifolds: Manifolds = unitary_stacks

    def init(self, parameters: Parameters) -> Any:
        """Initial state of the transformation."""
        return self.transformation.init(parameters)

    def step(
        self,
        loss: LossFunction,
        parameters: Parameters,
        state: Any,
        learning_rate: jax.Array,  # noqa: ARG002
        key: jax.Array,
    ) -> tuple[Parameters, Any, Any]:
        """Add the updates that the transformation makes from the gradients."""
        gradients, sums = jax.grad(loss, has_aux=True)(parameters, key)
        steps = riemannian(self.transformation, manifolds=self.manifolds)
        try:
            updates, state = steps.update(gradients, state, parameters)
        except TypeError as error:
            raise InvalidInputError(
                f"this optax transformation needs more than gradients ({error}); choose one without a search"
            ) from error
        return jax.tree.map(jnp.add, parameters, updates), state, sums
