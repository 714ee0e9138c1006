"""Many samples at once: NumPy for few, a compiled function in double precision for many.

Compilation takes about a second. NumPy needs none, but is several times slower per sample. The choice depends
only on the network and the number of samples, so that the same call always gives the same numbers.
"""

import os
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import NDArray

#: Numbers that pass through a contraction, samples times those of one, from which a compilation pays: about
#: 30 milliseconds of NumPy.
SWITCH = 10**7
_COMPILED_NUMBERS = 2**23  # of a compiled chunk: 64 MB
_MOST_ROWS = 1024
THREADS = min(4, os.cpu_count() or 1)  # XLA runs the small products of one chunk on one core

#: (model, parameters, samples) -> arrays whose last axis is the batch.
Contraction = Callable[[Any, Any, Any], tuple[Any, ...]]


def pays(samples: int, numbers: int) -> bool:
    """Whether a compilation pays for so many samples, of so many numbers each."""
    return samples * numbers >= SWITCH


def evaluate_many(
    function: Contraction, model: Hashable, parameters: Any, X: NDArray, *, numbers: int, chunk: int
) -> tuple[NDArray, ...]:
    """Apply a pure function to samples X (samples, ...), a bounded number at a time, in double precision.

    Args:
        function: Of NumPy or JAX arrays alike.
        model: Static and hashable.
        parameters: Pytree of NumPy arrays.
        X: At least one sample.
        numbers: Numbers that pass through the contraction of one sample.
        chunk: Samples that NumPy contracts at once.
    """
    if not pays(len(X), numbers):
        parts = [function(model, parameters, X[k : k + chunk]) for k in range(0, len(X), chunk)]
        return tuple(np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
    # A power of two, so that batches of similar size share one compilation; the last one is filled up.
    rows = min(_MOST_ROWS, 1 << max(4, (_COMPILED_NUMBERS // numbers).bit_length() - 1))
    compiled = _compiled(function, model)
    with jax.enable_x64(True):
        on_device = jax.tree.map(jnp.asarray, parameters)

    def chunk_from(start: int) -> tuple[NDArray, ...]:
        part = X[start : start + rows]
        missing = rows - len(part)
        filled = np.concatenate([part, np.repeat(part[:1], missing, axis=0)]) if missing else part
        with jax.enable_x64(True):  # of this thread
            found = compiled(on_device, jnp.asarray(filled))
        return tuple(np.asarray(array)[..., : len(part)] for array in found)

    starts = range(0, len(X), rows)
    first = chunk_from(0)  # compiles
    with ThreadPoolExecutor(THREADS) as pool:
        parts = [first, *pool.map(chunk_from, starts[1:])]
    return tuple(np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))


@lru_cache(maxsize=64)
def _compiled(function: Contraction, model: Hashable) -> Callable[..., tuple[Any, ...]]:
    def of_arrays(parameters: Any, X: Any) -> tuple[Any, ...]:
        return function(model, parameters, X)

    return jax.jit(of_arrays)
