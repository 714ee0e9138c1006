"""Array types, and the one way code reaches NumPy or JAX from an array in hand."""

from typing import Any, TypeAlias

import jax
import numpy as np

Array: TypeAlias = np.ndarray[Any, Any] | jax.Array
NDArray: TypeAlias = np.ndarray[Any, Any]


def namespace(array: Array) -> Any:
    """Return the module (`numpy` or `jax.numpy`) whose functions act on `array`.

    The contraction is written once against this namespace: NumPy runs it in float64 without any
    compilation, JAX runs it jitted and differentiated.
    """
    return array.__array_namespace__()


def common_namespace(*arrays: Array) -> Any:
    """`jax.numpy` if any of them is a JAX array, `numpy` otherwise."""
    return namespace(next((array for array in arrays if isinstance(array, jax.Array)), arrays[0]))
