"""Slopes of an objective beside finite differences."""

import numpy as np

from qtnml.shallow.blocks import Blocks, Point
from qtnml.shallow.optimise import Objective
from qtnml.shallow.search import stacked


def loss_and_slope(objective: Objective, blocks: Blocks, point: Point) -> tuple[float, bool]:
    """The loss, and whether its slope along a random direction is that of finite differences."""
    batch, at = stacked([point]), np.zeros((1, blocks.dimension))
    _, loss, slope = objective(batch, at)
    direction = np.random.default_rng(1).normal(size=(1, blocks.dimension))
    there, back = (objective(batch, sign * 1e-5 * direction)[1][0] for sign in (1, -1))
    difference = (there - back) / 2e-5
    return float(loss[0]), bool(abs(slope[0] @ direction[0] - difference) < 1e-5 * max(1, abs(difference)))
