"""Optimisers on the manifold of blocks: several circuits at once, each with its own search.

An objective takes points and steps. It returns the moved points, their losses, and their gradients in
coordinates of the Lie algebra. There, vectors at different points are compared directly (transport is the
identity).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from qtnml.arrays import NDArray
from qtnml.shallow.blocks import Point

_LONGEST = 0.7  # radians: largest coordinate of one step
_SHRINKS = 12
_ENOUGH = 1e-4  # share of the decrease that the slope promises (Armijo)
_WINDOW = 50  # iterations over which progress is judged


class Objective(Protocol):
    """A loss of several circuits."""

    def __call__(self, points: Point, steps: NDArray) -> tuple[Point, NDArray, NDArray]:
        """Points moved by steps (circuits, coordinates); their losses (circuits,) and slopes."""
        ...


@dataclass(frozen=True)
class Optimised:
    """Where an optimiser ended.

    Attributes:
        points: Of all circuits.
        losses: (circuits,).
        history: Losses after each iteration, (iterations + 1, circuits).
    """

    points: Point
    losses: NDArray
    history: NDArray


OnIteration = Callable[[int, NDArray], bool]
"""(iterations done, losses) -> whether to stop."""


def lbfgs(
    objective: Objective,
    points: Point,
    dimension: int,
    *,
    iterations: int,
    memory: int = 30,
    tolerance: float = 1e-4,
    on_iteration: OnIteration | None = None,
) -> Optimised:
    """Riemannian L-BFGS: the two loops of Nocedal (1980) on coordinates of the Lie algebra, steps by Armijo.

    Args:
        objective: What falls.
        points: Where from, with a leading axis of circuits.
        dimension: Coordinates of a step.
        iterations: At most.
        memory: Steps remembered.
        tolerance: Ends when no loss has fallen by this share of itself in 50 iterations.
        on_iteration: Called after each.
    """
    count = len(points.whole)
    points, losses, slopes = objective(points, np.zeros((count, dimension)))
    past = [_Memory(memory) for _ in range(count)]
    history = [losses]
    stuck = np.zeros(count, bool)
    for iteration in range(iterations):
        directions = np.stack([each.direction(slope) for each, slope in zip(past, slopes, strict=True)])
        promised = np.einsum("cd,cd->c", directions, slopes)
        lengths = np.where(stuck, 0.0, 1.0)
        best_points, best_losses, best_slopes = points, losses, slopes
        taken = np.zeros(count, bool)
        for _ in range(_SHRINKS):
            new_points, new_losses, new_slopes = objective(points, lengths[:, None] * directions)
            good = ~taken & (new_losses <= losses + _ENOUGH * lengths * promised) & (lengths > 0)
            best_points = _chosen(good, new_points, best_points)
            best_losses = np.where(good, new_losses, best_losses)
            best_slopes = np.where(good[:, None], new_slopes, best_slopes)
            for c in np.flatnonzero(good):
                past[c].remember(lengths[c] * directions[c], new_slopes[c] - slopes[c])
            taken |= good
            if (taken | stuck).all():
                break
            lengths = np.where(taken | stuck, 0.0, _shorter(lengths, losses, new_losses, promised))
        for c in np.flatnonzero(~taken & ~stuck):
            # Along the steepest descent nothing is lower: this one has ended.
            stuck[c] = past[c].is_empty
            past[c].forget()
        points, losses, slopes = best_points, best_losses, best_slopes
        history.append(losses)
        if on_iteration is not None and on_iteration(iteration + 1, losses):
            break
        if stuck.all() or _ended(history, tolerance):
            break
    return Optimised(points, losses, np.stack(history))


def _shorter(lengths: NDArray, losses: NDArray, new: NDArray, promised: NDArray) -> NDArray:
    """The minimum of the parabola through both losses and the slope, a tenth to a half of the length."""
    bend = new - losses - lengths * promised
    with np.errstate(divide="ignore", invalid="ignore"):
        best = -promised * lengths**2 / (2 * bend)
    best = np.where(np.isfinite(best), best, 0.1 * lengths)
    return np.clip(best, 0.1 * lengths, 0.5 * lengths)


def _ended(history: list[NDArray], tolerance: float) -> bool:
    if len(history) <= _WINDOW:
        return False
    before, now = history[-_WINDOW - 1], history[-1]
    return bool((before - now <= tolerance * np.abs(now)).all())


def _chosen(mask: NDArray, yes: Point, no: Point) -> Point:
    def pick(one: Any, two: Any) -> NDArray:
        found: NDArray = np.where(mask.reshape(-1, *[1] * (np.ndim(one) - 1)), one, two)
        return found

    return Point(*map(pick, yes, no))


class _Memory:
    """Last steps and how the slope changed along them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._steps: list[NDArray] = []
        self._changes: list[NDArray] = []

    @property
    def is_empty(self) -> bool:
        return not self._steps

    def forget(self) -> None:
        self._steps, self._changes = [], []

    def remember(self, step: NDArray, change: NDArray) -> None:
        if step @ change <= 1e-12 * np.linalg.norm(step) * np.linalg.norm(change):
            return
        self._steps = [*self._steps, step][-self._size :]
        self._changes = [*self._changes, change][-self._size :]

    def direction(self, slope: NDArray) -> NDArray:
        """Minus the approximate inverse Hessian times the slope, its largest coordinate bounded."""
        found, factors = slope.copy(), list[float]()
        pairs = list(zip(self._steps, self._changes, strict=True))
        for step, change in reversed(pairs):
            factors.append((step @ found) / (step @ change))
            found -= factors[-1] * change
        if pairs:
            step, change = pairs[-1]
            found *= (step @ change) / (change @ change)
        for (step, change), factor in zip(pairs, reversed(factors), strict=True):
            found += (factor - (change @ found) / (step @ change)) * step
        if not pairs or found @ slope <= 0:
            self.forget()
            found = 0.3 * slope / max(np.abs(slope).max(), 1e-300)
        return np.asarray(-found * min(1.0, _LONGEST / max(np.abs(found).max(), 1e-300)))


def adam(
    objective: Objective,
    points: Point,
    dimension: int,
    *,
    iterations: int,
    learning_rate: float = 0.02,
    tolerance: float = 1e-4,
    on_iteration: OnIteration | None = None,
) -> Optimised:
    """Riemannian Adam: moments of slopes in the Lie algebra (arXiv:1810.00760), the rate falling to zero
    along half a cosine; the best points are kept.
    """
    count = len(points.whole)
    points, losses, slopes = objective(points, np.zeros((count, dimension)))
    first, second = np.zeros((count, dimension)), np.zeros((count, dimension))
    best_points, best_losses, history = points, losses, [losses]
    for iteration in range(iterations):
        first = 0.9 * first + 0.1 * slopes
        second = 0.999 * second + 0.001 * slopes**2
        rate = learning_rate * (1 + np.cos(np.pi * iteration / iterations)) / 2
        mean = first / (1 - 0.9 ** (iteration + 1))
        size = np.sqrt(second / (1 - 0.999 ** (iteration + 1)))
        points, losses, slopes = objective(points, -rate * mean / (size + 1e-12))
        better = losses < best_losses
        best_points, best_losses = _chosen(better, points, best_points), np.minimum(losses, best_losses)
        history.append(best_losses)
        if on_iteration is not None and on_iteration(iteration + 1, best_losses):
            break
        if iteration > iterations // 2 and _ended(history, tolerance / 10):
            break
    return Optimised(best_points, best_losses, np.stack(history))
