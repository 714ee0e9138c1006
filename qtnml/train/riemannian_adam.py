"""Adam on the manifold of unitary or isometric matrices, and plain Adam for angles."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import optax

from qtnml.contract import Parameters
from qtnml.train.optimizer import LossFunction
from qtnml.train.riemannian import isometric_cores, riemannian, scale_by_norm_adam, unitary_stacks


@dataclass(frozen=True)
class RiemannianAdam:
    """Adam in the tangent space, see `riemannian`.

    `beta1`, `beta2` and `epsilon` are those of Adam (arXiv:1412.6980).

    Attributes:
        max_angle: Bound on the step of a unitary, see `riemannian`.
        matrices: "unitary": arrays of rank 3 are stacks of unitary (orthogonal, if real) matrices. Arrays of
            lower rank are angles or scales and take Adam's own step. "isometric": all arrays are stacks of
            isometric cores. A core's second moment is one number (see `scale_by_norm_adam`), and the learning
            rate is the length of its step in radians.
    """

    needs_gradient: ClassVar[bool] = True
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8
    max_angle: float = 0.1
    matrices: Literal["unitary", "isometric"] = "unitary"

    def init(self, parameters: Parameters) -> Any:
        """Initial state: all moments are zero."""
        return self._inner().init(parameters)

    def step(
        self,
        loss: LossFunction,
        parameters: Parameters,
        state: Any,
        learning_rate: jax.Array,
        key: jax.Array,
    ) -> tuple[Parameters, Any, Any]:
        """Differentiate the loss and update the parameters."""
        gradients, sums = jax.grad(loss, has_aux=True)(parameters, key)
        parameters, state = self.update(gradients, state, parameters, learning_rate)
        return parameters, state, sums

    def update(
        self, gradients: Any, state: Any, parameters: Any, learning_rate: jax.Array | float
    ) -> tuple[Any, Any]:
        """Take one step down the gradients that `jax.grad` returns for a pytree of parameters."""
        inner = self._inner()

        # A rate that changes from step to step is an argument, so that a schedule costs no compilation.
        def scaled(given: Any, inner_state: Any, flat: Any = None) -> tuple[Any, Any]:
            directions, inner_state = inner.update(given, inner_state, flat)
            return jax.tree.map(lambda direction: -learning_rate * direction, directions), inner_state

        steps = riemannian(
            optax.GradientTransformation(inner.init, scaled),
            max_angle=self.max_angle,
            manifolds=unitary_stacks if self.matrices == "unitary" else isometric_cores,
        )
        updates, state = steps.update(gradients, state, parameters)
        return jax.tree.map(jnp.add, parameters, updates), state

    def _inner(self) -> optax.GradientTransformation:
        if self.matrices == "isometric":
            return scale_by_norm_adam(self.beta1, self.beta2)
        return optax.scale_by_adam(self.beta1, self.beta2, self.epsilon)
