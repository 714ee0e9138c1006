"""Optimisers that use measured shots only.

Each is a pair of pure functions, `init(weights) -> state` and `step(objective, weights, places, state, rng)
-> (weights, state, loss)`. The state is a flat dictionary of arrays, which a checkpoint stores. All circuits
of a step run together.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.hybrid.cma import CMAES
from qtnml.hybrid.objective import MeasuredLoss

State: TypeAlias = dict[str, NDArray]


class HybridOptimizer(Protocol):
    """Takes steps on measured losses; `places` are the indices of the trained weights."""

    name: ClassVar[str]

    def init(self, weights: NDArray) -> State:
        """Initial state of the optimiser."""

    def circuits_per_step(self, num_samples: int, num_trained: int) -> int:
        """Largest number of circuits in a step."""

    def step(
        self,
        objective: MeasuredLoss,
        weights: NDArray,
        places: NDArray,
        state: State,
        rng: np.random.Generator,
    ) -> tuple[NDArray, State, float]:
        """New weights, new state, and the loss measured in the step."""


def _check_positive(optimizer: object, *names: str) -> None:
    for name in names:
        value = getattr(optimizer, name)
        whole = name in ("directions", "subset", "samples_per_weight")
        if value is not None and not (isinstance(value, int if whole else int | float) and value > 0):
            kind = "a positive integer" if whole else "positive"
            raise InvalidInputError(f"{name} must be {kind}, got {value!r}")


@dataclass(frozen=True)
class SPSA:
    """SPSA with momentum and self-calibrating gains: two points a step.

    This is simultaneous perturbation stochastic approximation (Spall, 1992) with momentum (arXiv:1803.11537,
    section V). The measured slope is divided by its running root mean square. So a step is `learning_rate`
    radians in each weight, for any scale of the loss and any number of shots. `qtnml.train.CalibratedSPSA` is
    the same method for a simulated loss.

    Attributes:
        learning_rate: Initial step in radians; it falls as (1 + step / decay)**-0.602.
        perturbation: Initial perturbation in radians; it falls as (step + 1)**-0.101.
        momentum: Fraction of the velocity that a step keeps.
        memory: Fraction of the mean square that a step keeps.
        decay: Number of steps in the formula of `learning_rate`.
    """

    name: ClassVar[str] = "spsa"
    learning_rate: float = 0.03
    perturbation: float = 0.15
    momentum: float = 0.9
    memory: float = 0.95
    decay: float = 50.0

    def __post_init__(self) -> None:
        _check_positive(self, "learning_rate", "perturbation", "decay")
        if not (0 <= self.momentum < 1 and 0 <= self.memory < 1):
            raise InvalidInputError(f"momentum and memory must be in [0, 1), got {self}")

    def init(self, weights: NDArray) -> State:
        """Initial state of the optimiser."""
        return {"velocity": np.zeros_like(weights), "mean_square": np.zeros(1), "step": np.zeros(1)}

    def circuits_per_step(self, num_samples: int, num_trained: int) -> int:  # noqa: ARG002
        """Number of circuits in a step: those of two points."""
        return 2 * num_samples

    def step(
        self,
        objective: MeasuredLoss,
        weights: NDArray,
        places: NDArray,
        state: State,
        rng: np.random.Generator,
    ) -> tuple[NDArray, State, float]:
        """Measure on both sides, normalise the slope, update the velocity, and move."""
        direction = _signs(places, len(weights), rng)
        size = self.perturbation / (state["step"][0] + 1) ** 0.101
        plus, minus = objective.losses([weights + size * direction, weights - size * direction])
        return *self._moved(weights, state, (plus - minus) / (2 * size) * direction), float(plus + minus) / 2

    def _moved(self, weights: NDArray, state: State, gradient: NDArray) -> tuple[NDArray, State]:
        step = state["step"] + 1
        trained = max(np.count_nonzero(gradient), 1)
        mean_square = self.memory * state["mean_square"] + (1 - self.memory) * np.sum(gradient**2) / trained
        scale = np.sqrt(mean_square / (1 - self.memory**step)) + 1e-12
        rate = self.learning_rate * (1 + state["step"] / self.decay) ** -0.602
        velocity = self.momentum * state["velocity"] - (1 - self.momentum) * rate * gradient / scale
        return weights + velocity, {"velocity": velocity, "mean_square": mean_square, "step": step}


@dataclass(frozen=True)
class AveragedSPSA:
    """SPSA with a slope averaged over several directions: 2 * directions points a step.

    Attributes:
        directions: Number of directions in one step.
        scatter: Give each direction its own part of the mini-batch. Shots are then spread over the samples,
            and a step needs no more circuits than with one direction.
        spsa: Gains and momentum.
    """

    name: ClassVar[str] = "averaged-spsa"
    directions: int = 4
    scatter: bool = False
    spsa: SPSA = SPSA()

    def __post_init__(self) -> None:
        _check_positive(self, "directions")

    def init(self, weights: NDArray) -> State:
        """Initial state of the optimiser."""
        return self.spsa.init(weights)

    def circuits_per_step(self, num_samples: int, num_trained: int) -> int:  # noqa: ARG002
        """Number of circuits in a step: those of two points for each direction."""
        return 2 * num_samples * (1 if self.scatter else self.directions)

    def step(
        self,
        objective: MeasuredLoss,
        weights: NDArray,
        places: NDArray,
        state: State,
        rng: np.random.Generator,
    ) -> tuple[NDArray, State, float]:
        """Measure on both sides of every direction in one run, and move."""
        parts = _parts(objective.num_samples, self.directions, rng, scatter=self.scatter)
        directions = [_signs(places, len(weights), rng) for _ in parts]
        size = self.spsa.perturbation / (state["step"][0] + 1) ** 0.101
        points = [weights + sign * size * d for d in directions for sign in (1, -1)]
        losses = objective.losses(points, [part for part in parts for _ in (1, -1)]).reshape(-1, 2)
        slopes = (losses[:, 0] - losses[:, 1]) / (2 * size)
        gradient = np.mean(slopes[:, None] * directions, axis=0)
        return *self.spsa._moved(weights, state, gradient), float(losses.mean())


@dataclass(frozen=True)
class ParameterShift:
    """Parameter-shift gradients of measured probabilities, with Adam (arXiv:1412.6980).

    Attributes:
        subset: Number of weights whose derivative is measured, drawn anew in each step; None for all.
        samples_per_weight: Number of samples on which a weight's derivative is measured, drawn separately for
            each weight. Shots are then spread over the samples (doubly stochastic gradient descent,
            arXiv:1910.01155). None for all samples.
        learning_rate: Learning rate in radians.
        beta1, beta2: Decay rates of Adam's moments.
    """

    name: ClassVar[str] = "parameter-shift"
    subset: int | None = None
    samples_per_weight: int | None = None
    learning_rate: float = 0.03
    beta1: float = 0.9
    beta2: float = 0.99

    def __post_init__(self) -> None:
        _check_positive(self, "learning_rate", "subset", "samples_per_weight")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise InvalidInputError(f"beta1 and beta2 must be in [0, 1), got {self}")

    def init(self, weights: NDArray) -> State:
        """Initial state of the optimiser."""
        return {name: np.zeros_like(weights) for name in ("first", "second", "times")}

    def circuits_per_step(self, num_samples: int, num_trained: int) -> int:
        """Number of circuits in a step: those of two points for each weight and of the unshifted point.

        A weight needs more points if its gates have more frequencies.
        """
        weights = num_trained if self.subset is None else min(self.subset, num_trained)
        each = num_samples if self.samples_per_weight is None else min(self.samples_per_weight, num_samples)
        return num_samples + 2 * weights * each

    def step(
        self,
        objective: MeasuredLoss,
        weights: NDArray,
        places: NDArray,
        state: State,
        rng: np.random.Generator,
    ) -> tuple[NDArray, State, float]:
        """Measure the derivatives of the chosen weights and move these weights."""
        if self.subset is None or self.subset >= len(places):
            chosen = places
        else:
            chosen = np.sort(rng.choice(places, self.subset, replace=False))
        gradient, loss = objective.shift_gradient(weights, chosen, self._samples(objective, chosen, rng))
        times, first, second = (state[name].copy() for name in ("times", "first", "second"))
        times[chosen] += 1
        first[chosen] = self.beta1 * first[chosen] + (1 - self.beta1) * gradient
        second[chosen] = self.beta2 * second[chosen] + (1 - self.beta2) * gradient**2
        mean = first[chosen] / (1 - self.beta1 ** times[chosen])
        scale = np.sqrt(second[chosen] / (1 - self.beta2 ** times[chosen])) + 1e-8
        moved = weights.copy()
        moved[chosen] -= self.learning_rate * mean / scale
        return moved, {"first": first, "second": second, "times": times}, loss

    def _samples(self, objective: MeasuredLoss, chosen: NDArray, rng: np.random.Generator) -> list[NDArray]:
        everyone = np.arange(objective.num_samples)
        if self.samples_per_weight is None or self.samples_per_weight >= len(everyone):
            return [everyone] * len(chosen)
        return [np.sort(rng.choice(everyone, self.samples_per_weight, replace=False)) for _ in chosen]


def _signs(places: NDArray, size: int, rng: np.random.Generator) -> NDArray:
    """+-1 with equal chance for the trained weights, 0 for the others."""
    direction = np.zeros(size)
    direction[places] = rng.choice([-1.0, 1.0], len(places))
    return direction


def _parts(samples: int, count: int, rng: np.random.Generator, *, scatter: bool) -> list[NDArray]:
    if not scatter:
        return [np.arange(samples)] * count
    return [np.sort(part) for part in np.array_split(rng.permutation(samples), min(count, samples))]


OPTIMIZERS: dict[str, type[SPSA] | type[AveragedSPSA] | type[ParameterShift] | type[CMAES]] = {
    SPSA.name: SPSA,
    AveragedSPSA.name: AveragedSPSA,
    ParameterShift.name: ParameterShift,
    CMAES.name: CMAES,
}


def get_hybrid_optimizer(optimizer: "HybridOptimizer | str") -> HybridOptimizer:
    """The optimiser called by a name; an object passes through."""
    if isinstance(optimizer, str) and optimizer in OPTIMIZERS:
        return OPTIMIZERS[optimizer]()
    if isinstance(optimizer, str | type) or not hasattr(optimizer, "step"):
        raise InvalidInputError(
            f"unknown optimizer {optimizer!r}; choose one of {sorted(OPTIMIZERS)} or pass an object such as "
            "qtnml.hybrid.SPSA()"
        )
    return optimizer
