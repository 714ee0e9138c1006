"""Exponential of small skew-Hermitian matrices, on NumPy or JAX, with a gradient."""

from typing import Any

from qtnml.arrays import Array, namespace

_SQUARINGS = 6
_ORDER = 10


def exponential(matrices: Array) -> Array:
    """exp of a stack of skew-Hermitian (or antisymmetric) matrices, shape (..., dim, dim).

    Scaling and squaring with a Taylor series: for a norm of 16 the series is left at (1/4)**11 / 11!,
    below rounding, and nothing depends on the values, so that JAX can trace and differentiate it.
    """
    xp = namespace(matrices)
    small = matrices / 2**_SQUARINGS
    result: Any = xp.eye(matrices.shape[-1], dtype=matrices.dtype) + small / _ORDER
    for order in range(_ORDER - 1, 0, -1):  # Horner's scheme
        result = xp.eye(matrices.shape[-1], dtype=matrices.dtype) + xp.matmul(small, result) / order
    for _ in range(_SQUARINGS):
        result = xp.matmul(result, result)
    return result  # type: ignore[no-any-return]
