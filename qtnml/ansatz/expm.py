"""Exponential of Hermitian generators, exactly unitary at any norm, on NumPy or JAX, with a gradient."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import Array, full_precision


def exp_i(hermitian: Array) -> Array:
    """exp(i H) of a stack (..., dim, dim) through its eigenvalues.

    In JAX the derivative is that of Daleckii and Krein, whose divided differences are written as
    exp(i (a + b) / 2) sinc((a - b) / 2): smooth where eigenvalues meet, which the derivative of the
    eigenvectors is not.
    """
    if isinstance(hermitian, np.ndarray):
        values, vectors = np.linalg.eigh(hermitian)
        return np.asarray((vectors * np.exp(1j * values)[..., None, :]) @ vectors.conj().swapaxes(-1, -2))
    return _exp_i(hermitian)


def _dagger(matrices: jax.Array) -> jax.Array:
    return jnp.conj(jnp.swapaxes(matrices, -1, -2))


@jax.custom_jvp
@full_precision
def _exp_i(hermitian: jax.Array) -> jax.Array:
    values, vectors = jnp.linalg.eigh(hermitian)
    return jnp.matmul(vectors * jnp.exp(1j * values)[..., None, :], _dagger(vectors))


@_exp_i.defjvp
@full_precision
def _exp_i_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[Any, Any]:
    values, vectors = jnp.linalg.eigh(primals[0])
    unitary = jnp.matmul(vectors * jnp.exp(1j * values)[..., None, :], _dagger(vectors))
    a, b = values[..., :, None], values[..., None, :]
    # jnp.sinc(x) is sin(pi x) / (pi x).
    weights = 1j * jnp.exp(0.5j * (a + b)) * jnp.sinc((a - b) / (2 * jnp.pi))
    inner = jnp.matmul(_dagger(vectors), jnp.matmul(tangents[0], vectors))
    return unitary, jnp.matmul(vectors, jnp.matmul(weights * inner, _dagger(vectors)))
