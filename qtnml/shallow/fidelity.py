"""The fidelity of circuits with a target chain as an objective."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import Array, NDArray
from qtnml.shallow.blocks import (
    Blocks,
    Point,
    Structure,
    gates_of,
    on_jax,
    on_numpy,
    value_and_slopes,
)
from qtnml.shallow.overlap import Data, beside, log_overlap


class Fidelity:
    """-ln F / N of circuits of the same blocks, and its slopes.

    The logarithm has slopes however small the fidelity is; per site it is of order one for any length.

    Args:
        blocks: Of all circuits.
        tensors: Target, (left bond, level, right bond) of each place.
    """

    def __init__(self, blocks: Blocks, tensors: Sequence[NDArray]) -> None:
        self._blocks = blocks
        with jax.enable_x64(True):
            data = beside(blocks.num_places, blocks.pairs, tensors)
            self._data: Any = jax.tree.map(jnp.asarray, data)
            self._structure = Structure(*map(jnp.asarray, blocks.structure))

    def __call__(self, points: Point, steps: NDArray) -> tuple[Point, NDArray, NDArray]:
        """See `Objective`."""
        with jax.enable_x64(True):
            moved, losses, slopes = _evaluated(
                self._structure, self._data, on_jax(points), jnp.asarray(steps)
            )
            return on_numpy(moved), np.asarray(losses), np.asarray(slopes)

    def log_fidelity(self, point: Point) -> float:
        """ln F of one circuit."""
        with jax.enable_x64(True):
            log, _ = _one_overlap(self._structure, self._data, on_jax(point))
            return 2 * float(log)


@jax.jit
def _one_overlap(structure: Structure, data: Data, point: Point) -> tuple[Array, Array]:
    return log_overlap(gates_of(structure, point), data)


@jax.jit
@partial(jax.vmap, in_axes=(None, None, 0, 0))
def _evaluated(structure: Structure, data: Data, point: Point, step: Array) -> tuple[Point, Array, Array]:
    def loss(point: Point) -> Array:
        log, _ = log_overlap(gates_of(structure, point), data)
        return -2 * log / data.num_places

    return value_and_slopes(loss, point, step)
