"""Moves parameters along real coordinates: angles are shifted, matrices are rotated.

It serves optimisers that measure the loss instead of differentiating it. A matrix U on m qubits has one
coordinate per non-trivial Pauli string P, and moves to exp(-i t P / 2) U. So a coordinate is the angle of a
rotation gate. A real matrix uses only the strings with an odd number of Y, which keep it real.
"""

from functools import lru_cache
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.ansatz.expm import exp_i
from qtnml.arrays import NDArray, full_precision

_PAULIS = {
    "I": np.eye(2, dtype=complex),
    "X": np.array([[0, 1], [1, 0]], dtype=complex),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1.0 + 0j, -1.0]),
}


def coordinates_like(parameters: Any) -> Any:
    """Zero coordinates (a pytree) for every array of parameters."""
    return jax.tree.map(_zeros, parameters)


@full_precision
def move(parameters: Any, coordinates: Any) -> Any:
    """Parameters displaced by real coordinates."""
    return jax.tree.map(_moved, parameters, coordinates)


def _zeros(leaf: jax.Array) -> jax.Array:
    if leaf.ndim != 3:
        return jnp.zeros_like(leaf)
    count, dim = leaf.shape[0], leaf.shape[1]
    return jnp.zeros((count, len(_generators(dim, jnp.iscomplexobj(leaf)))), dtype=leaf.real.dtype)


def _moved(leaf: jax.Array, coordinates: jax.Array) -> jax.Array:
    if leaf.ndim != 3:
        return leaf + coordinates
    dim = leaf.shape[1]
    dtype = jnp.result_type(leaf.dtype, jnp.complex64)
    generators = jnp.asarray(_generators(dim, jnp.iscomplexobj(leaf)), dtype=dtype)
    hermitian = (coordinates.astype(dtype) @ generators.reshape(len(generators), -1)).reshape(-1, dim, dim)
    turn = jnp.asarray(exp_i(hermitian))
    return jnp.matmul(turn if jnp.iscomplexobj(leaf) else turn.real, leaf)


@lru_cache(maxsize=16)
def _generators(dim: int, is_complex: bool) -> NDArray:
    """-P / 2 for every string that is meant, shape (strings, dim, dim)."""
    matrices = []
    for letters in product("IXYZ", repeat=dim.bit_length() - 1):
        if set(letters) == {"I"} or (not is_complex and letters.count("Y") % 2 == 0):
            continue
        matrix = np.eye(1, dtype=complex)
        for letter in letters:
            matrix = np.kron(matrix, _PAULIS[letter])
        matrices.append(-0.5 * matrix)
    return np.array(matrices)
