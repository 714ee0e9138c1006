"""Riemannian steps around any optax transformation: unitary and isometric matrices stay so.

The Euclidean gradient is projected onto the tangent space. `riemannian(inner)` passes it to `inner` as if the
space were flat. The result is projected again, bounded and retracted. For unitaries U the tangent space is
the Lie algebra, A = (G U^+ - U G^+) / 2, where moments need no transport from step to step. The step is
exp(-A) U with a truncated exponential. For isometries W (orthonormal rows) it is the tangent space of the
Stiefel manifold, Z = G - (G W^+ + W G^+) W / 2, and the step is W - Z. Both end with Newton-Schulz iterations
back onto the manifold. No derivative of a matrix exponential is taken.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from qtnml.arrays import full_precision

Manifold = Literal["unitary", "isometry", "flat"]
#: Manifold of an array of parameters.
Manifolds = Callable[[jax.Array], Manifold]

_LONGEST_STEP = 0.8  # Frobenius norm of an isometry's step: Newton-Schulz then converges in few iterations
_POLAR_STEPS = 5
_TINY = 1e-12


def unitary_stacks(leaf: jax.Array) -> Manifold:
    """Manifolds: arrays of rank 3 are stacks of unitary (orthogonal, if real) matrices; others are flat."""
    return "unitary" if leaf.ndim == 3 else "flat"


def isometric_cores(leaf: jax.Array) -> Manifold:
    """Manifolds: arrays are stacks of cores (n, parent, legs...), isometries as matrices (parent, legs)."""
    del leaf
    return "isometry"


def riemannian(
    inner: optax.GradientTransformation, *, max_angle: float = 0.1, manifolds: Manifolds = unitary_stacks
) -> optax.GradientTransformation:
    """Keep matrices on their manifold under any gradient transformation `inner`.

    The result is an ordinary optax transformation: `optax.apply_updates` adds its updates.

    Args:
        inner: Any transformation of gradients, with its own learning rate. Weight decay acts only on flat
            arrays.
        max_angle: Largest Frobenius norm of one unitary's step, in radians per square root of its dimension.
            It bounds the error of the truncated exponential for any gradient: after one step in float32,
            U U^+ differs from 1 by less than 1e-5 for up to 6 qubits.
        manifolds: Function that says which arrays lie on which manifold.

    >>> unitaries = jnp.eye(4)[None]
    >>> optimizer = riemannian(optax.adam(0.05))
    >>> updates, _ = optimizer.update(jnp.ones((1, 4, 4)), optimizer.init(unitaries), unitaries)
    >>> moved = optax.apply_updates(unitaries, updates)[0]
    >>> bool(jnp.abs(moved @ moved.T - jnp.eye(4)).max() < 1e-5)
    True
    """

    def init(parameters: Any) -> Any:
        return inner.init(parameters)

    @full_precision
    def update(gradients: Any, state: Any, parameters: Any = None) -> tuple[Any, Any]:
        if parameters is None:
            raise ValueError("riemannian needs parameters: update(gradients, state, parameters)")
        tangents = jax.tree.map(lambda g, leaf: _tangent(g, leaf, manifolds(leaf)), gradients, parameters)
        flat = jax.tree.map(
            lambda leaf: leaf if manifolds(leaf) == "flat" else jnp.zeros_like(leaf), parameters
        )
        steps, state = inner.update(tangents, state, flat)
        updates = jax.tree.map(
            lambda step, leaf: _update(step, leaf, manifolds(leaf), max_angle), steps, parameters
        )
        return updates, state

    return optax.GradientTransformation(init, update)


class NormAdamState(NamedTuple):
    """Moments of every array, those of the second order one number for each matrix, and steps taken."""

    first: Any
    second: Any
    step: jax.Array


def scale_by_norm_adam(beta1: float = 0.9, beta2: float = 0.99) -> optax.GradientTransformation:
    """Adam whose second moment is one number for each matrix of a stack: the mean square of its norm.

    Directions within a matrix are not rescaled against each other, so that the step does not depend on the
    basis of a bond. Its updates have norm about 1 for each matrix.
    """

    def init(parameters: Any) -> NormAdamState:
        second = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[0], leaf.real.dtype), parameters)
        return NormAdamState(jax.tree.map(jnp.zeros_like, parameters), second, jnp.zeros((), dtype=jnp.int32))

    def update(gradients: Any, state: NormAdamState, parameters: Any = None) -> tuple[Any, NormAdamState]:
        del parameters
        step = state.step + 1
        first = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, state.first, gradients)
        second = jax.tree.map(
            lambda v, g: beta2 * v + (1 - beta2) * _squared_norms(g).reshape(-1), state.second, gradients
        )

        def scaled(m: jax.Array, v: jax.Array) -> jax.Array:
            size = jnp.sqrt(v / (1 - beta2**step)) + _TINY
            return m / (1 - beta1**step) / size.reshape(-1, *[1] * (m.ndim - 1))

        return jax.tree.map(scaled, first, second), NormAdamState(first, second, step)

    return optax.GradientTransformation(init, update)


def _tangent(gradient: jax.Array, leaf: jax.Array, manifold: Manifold) -> jax.Array:
    """Of the gradient that `jax.grad` returns, which for complex numbers is the conjugate one."""
    if manifold == "flat":
        return gradient
    if manifold == "unitary":
        product = jnp.matmul(jnp.conj(gradient), _dagger(leaf))
        return 0.5 * (product - _dagger(product))
    rows = _rows(leaf)
    return _projected(_rows(jnp.conj(gradient)), rows).reshape(leaf.shape)


def _update(step: jax.Array, leaf: jax.Array, manifold: Manifold, max_angle: float) -> jax.Array:
    """What to add to parameters so that they move by a step in the tangent space."""
    if manifold == "flat":
        return step
    if manifold == "unitary":
        return _turned(leaf, _bounded(step, max_angle * leaf.shape[-1] ** 0.5)) - leaf
    rows = _rows(leaf)
    moved = rows + _bounded(_projected(_rows(step), rows), _LONGEST_STEP)
    for _ in range(_POLAR_STEPS):
        moved = _nearer(moved)
    return moved.reshape(leaf.shape) - leaf


def _turned(unitary: jax.Array, direction: jax.Array) -> jax.Array:
    """exp(direction) @ unitary, pulled back by one Newton-Schulz iteration.

    The series is cut after order 2 or, for matrices so large that `max_angle` allows long steps,
    after order 4; what it lacks of unitarity is x**4 / 4 and x**6 / 72 at an angle x.
    """
    term = moved = unitary
    for order in range(1, 3 if unitary.shape[-1] <= 4 else 5):
        term = jnp.matmul(direction, term) / order
        moved = moved + term
    return 1.5 * moved - 0.5 * jnp.matmul(moved, jnp.matmul(_dagger(moved), moved))


def _nearer(rows: jax.Array) -> jax.Array:
    """One Newton-Schulz iteration towards orthonormal rows."""
    return 1.5 * rows - 0.5 * jnp.matmul(jnp.matmul(rows, _dagger(rows)), rows)


def _projected(directions: jax.Array, rows: jax.Array) -> jax.Array:
    """Onto the tangent space at matrices of orthonormal rows."""
    overlap = jnp.matmul(directions, _dagger(rows))
    return directions - jnp.matmul(overlap + _dagger(overlap), rows) / 2


def _bounded(steps: jax.Array, limit: float) -> jax.Array:
    return steps * jnp.minimum(1.0, limit / (jnp.sqrt(_squared_norms(steps)) + _TINY))


def _squared_norms(stack: jax.Array) -> jax.Array:
    """Of each matrix, all other axes kept with dimension 1."""
    return jnp.sum(stack.real**2 + stack.imag**2, axis=tuple(range(1, stack.ndim)), keepdims=True)


def _rows(stack: jax.Array) -> jax.Array:
    """Cores (n, parent, legs...) as matrices (n, parent, legs)."""
    return stack.reshape(*stack.shape[:2], -1)


def _dagger(matrices: jax.Array) -> jax.Array:
    return jnp.conj(jnp.swapaxes(matrices, -1, -2))
