"""Array types, and the one way code reaches NumPy or JAX from an array in hand."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeAlias, TypeVar

import jax
import numpy as np

Array: TypeAlias = np.ndarray[Any, Any] | jax.Array
NDArray: TypeAlias = np.ndarray[Any, Any]
_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")


def namespace(array: Array) -> Any:
    """Return the module (`numpy` or `jax.numpy`) whose functions act on `array`.

    The contraction is written once against this namespace: NumPy runs it in float64 without any
    compilation, JAX runs it jitted and differentiated.
    """
    return array.__array_namespace__()


def common_namespace(*arrays: Array) -> Any:
    """`jax.numpy` if any of them is a JAX array, `numpy` otherwise."""
    return namespace(next((array for array in arrays if isinstance(array, jax.Array)), arrays[0]))


def full_precision(function: Callable[_Given, _Found]) -> Callable[_Given, _Found]:
    """JAX multiplies matrices in the precision of their numbers, unless the user has chosen another one.

    On GPUs its default for float32 is TF32, with 10 bits of mantissa: probabilities are off by up to 1e-3
    and unitary matrices drift. `jax.default_matmul_precision("tensorfloat32")` brings it back.
    """

    @wraps(function)
    def precise(*args: _Given.args, **kwargs: _Given.kwargs) -> _Found:
        chosen: str | None = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
        with jax.default_matmul_precision(chosen or "highest"):
            return function(*args, **kwargs)

    return precise
