"""CMA-ES, by the package `cmaes`: an evolution strategy that needs no gradients (arXiv:1604.00772).

Its state is stored as plain arrays, so that a checkpoint can hold it. This uses attributes of `cmaes` that
are not public; therefore the extra has an upper version bound.
"""

import importlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import BackendError, InvalidInputError
from qtnml.hybrid.objective import MeasuredLoss

_MOST_FULL = 60  # weights up to which the whole covariance is learnt
_KEPT = ("_mean", "_sigma", "_C", "_p_sigma", "_pc", "_g")


def _cmaes() -> Any:
    try:
        return importlib.import_module("cmaes")
    except ImportError as error:
        raise BackendError("CMA-ES needs the package cmaes: pip install 'qtnml[cmaes]'") from error


@dataclass(frozen=True)
class CMAES:
    """An evolution strategy: each step draws a population of points around the mean of the previous best.

    Attributes:
        spread: Spread of the first population, in radians.
        population: Number of points in a step; None takes 4 + 3 ln(weights).
        separable: Learn only variances, not covariances (Ros and Hansen, 2008). The time then grows with the
            number of weights instead of its cube. None does so for more than 60 weights.
    """

    name: ClassVar[str] = "cma-es"
    spread: float = 0.1
    population: int | None = None
    separable: bool | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.spread, float | int) and 0 < self.spread < np.inf):
            raise InvalidInputError(f"spread must be positive, got {self.spread!r}")
        size = self.population
        if size is not None and not (isinstance(size, int) and size >= 4):
            raise InvalidInputError(f"population must be None or an integer of at least 4, got {size!r}")

    def init(self, weights: NDArray) -> dict[str, NDArray]:  # noqa: ARG002
        """Initial state: nothing is learnt yet."""
        return {}

    def size_of(self, num_trained: int) -> int:
        """Number of points in a step."""
        return 4 + int(3 * np.log(max(2, num_trained))) if self.population is None else self.population

    def circuits_per_step(self, num_samples: int, num_trained: int) -> int:
        """Number of circuits in a step: those of one population."""
        return num_samples * self.size_of(num_trained)

    def step(
        self,
        objective: MeasuredLoss,
        weights: NDArray,
        places: NDArray,
        state: dict[str, NDArray],
        rng: np.random.Generator,
    ) -> tuple[NDArray, dict[str, NDArray], float]:
        """Draw a population, measure it, and move its mean. The new weights are the mean."""
        strategy = self.strategy(weights[places], state, int(rng.integers(2**31)))
        drawn = [strategy.ask() for _ in range(strategy.population_size)]
        points = [weights.copy() for _ in drawn]
        for point, values in zip(points, drawn, strict=True):
            point[places] = values
        losses = objective.losses(points)
        strategy.tell([(values, float(loss)) for values, loss in zip(drawn, losses, strict=True)])
        moved = weights.copy()
        moved[places] = strategy.mean
        return moved, state_of(strategy), float(np.mean(losses))

    def strategy(self, start: NDArray, state: dict[str, NDArray], seed: int) -> Any:
        """A strategy of `cmaes` in a given state.

        Args:
            start: Initial mean.
            state: State from `state_of`; empty at the start.
            seed: Seed of its random draws.
        """
        if len(start) < 2:
            raise InvalidInputError("CMA-ES needs at least two weights; take 'spsa'")
        separable = len(start) > _MOST_FULL if self.separable is None else self.separable
        kind = _cmaes().SepCMA if separable else _cmaes().CMA
        found = kind(
            mean=np.array(start, float),
            sigma=float(self.spread),
            seed=seed,
            population_size=self.size_of(len(start)),
        )
        for name in _KEPT if state else ():
            value = np.array(state[name.lstrip("_")])
            setattr(found, name, value.item() if value.ndim == 0 or name in ("_sigma", "_g") else value)
        return found


def state_of(strategy: Any) -> dict[str, NDArray]:
    """What a strategy has learnt, as arrays."""
    return {name.lstrip("_"): np.atleast_1d(np.array(getattr(strategy, name))) for name in _KEPT}
