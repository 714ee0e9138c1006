"""The measured loss of a step: which circuits run, with how many shots, and their results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import NDArray
from qtnml.backends import Counts
from qtnml.compile import BoundCircuits, CompiledCircuit
from qtnml.hybrid.shift import ShiftRule, shift_rules, shifted
from qtnml.train import Loss

#: Runs bound circuits; the shots of each are given.
Run = Callable[[BoundCircuits, int], list[Counts]]


class MeasuredLoss(Protocol):
    """The loss as an optimiser sees it: a function of weights, measured by running circuits.

    Attributes:
        circuits_run, shots_run: Number of circuits and shots used so far.
    """

    circuits_run: int
    shots_run: int

    @property
    def num_samples(self) -> int:
        """Number of circuits for one point."""

    def losses(self, points: Sequence[NDArray], samples: Sequence[NDArray] | None = None) -> NDArray:
        """Mean loss at each point (points,), on all samples unless some are given for each."""

    def shift_gradient(
        self, weights: NDArray, chosen: NDArray, samples: list[NDArray]
    ) -> tuple[NDArray, float]:
        """Derivatives by the chosen weights, each on its own samples, and the loss on all samples."""


@dataclass
class Objective:
    """The loss on a mini-batch, as a function of the weights.

    Attributes:
        compiled: The circuit; its parameters `w` are the weights.
        angles: Data angles of the mini-batch (samples, data qubits), radians.
        targets: Class of each sample (samples,).
        loss: Loss of probabilities (outcomes, samples) and targets.
        run: Function that runs circuits through the ledger.
        shots: Shots of each circuit; None divides `shots_in_all` among the circuits of a call.
        shots_in_all: Shots of one call, if `shots` is None.
        circuits_run, shots_run: Number of circuits and shots used so far.
    """

    compiled: CompiledCircuit
    angles: NDArray
    targets: NDArray
    loss: Loss
    run: Run
    shots: int | None = 1024
    shots_in_all: int | None = None
    circuits_run: int = field(default=0, init=False)
    shots_run: int = field(default=0, init=False)

    @property
    def num_samples(self) -> int:
        """Number of samples in the mini-batch."""
        return len(self.targets)

    def outcomes(self, points: Sequence[NDArray], samples: Sequence[NDArray]) -> list[NDArray]:
        """Measured frequencies of each point on its samples, all in one run.

        Args:
            points: Weights.
            samples: Indices in the mini-batch, for each point.

        Returns:
            One array for each point, shape (outcomes, its samples): fractions of all shots, including shots
            that fail post-selection.
        """
        rows = np.concatenate(list(samples))
        weights = np.repeat(np.stack(points), [len(places) for places in samples], axis=0)
        circuits = self.compiled.bind_angles(self.angles[rows], weights)
        shots = self.shots_for(len(circuits))
        counts = self.run(circuits, shots)
        self.circuits_run += len(circuits)
        self.shots_run += shots * len(circuits)
        table = np.array([_frequencies(each, self.compiled.num_outcomes) for each in counts])
        ends = np.cumsum([len(places) for places in samples])
        return [part.T for part in np.split(table, ends[:-1])]

    def shots_for(self, circuits: int) -> int:
        """Shots of each circuit if a call runs `circuits` circuits."""
        return shots_each(self.shots, self.shots_in_all, circuits)

    def losses(self, points: Sequence[NDArray], samples: Sequence[NDArray] | None = None) -> NDArray:
        """Mean loss at each point (points,), on all samples unless some are given for each."""
        everyone = np.arange(self.num_samples)
        chosen = [everyone] * len(points) if samples is None else samples
        tables = [given_success(table)[0] for table in self.outcomes(points, chosen)]
        targets = self.targets[np.concatenate(list(chosen))]
        each = np.asarray(self.loss(jnp.asarray(np.concatenate(tables, axis=1)), jnp.asarray(targets)))
        ends = np.cumsum([len(places) for places in chosen])
        return np.array([part.mean(dtype=np.float64) for part in np.split(each, ends[:-1])])

    def value(self, probabilities: NDArray, places: NDArray) -> float:
        """Mean loss of probabilities (outcomes, samples) of some samples."""
        return float(jnp.mean(self.loss(jnp.asarray(probabilities), jnp.asarray(self.targets[places]))))

    def slopes(self, probabilities: NDArray, places: NDArray) -> NDArray:
        """Derivative of each sample's loss by its probabilities (outcomes, samples)."""
        targets = jnp.asarray(self.targets[places])

        def total(p: jax.Array) -> Any:
            return jnp.sum(self.loss(p, targets))

        return np.asarray(jax.grad(total)(jnp.asarray(probabilities)), dtype=np.float64)

    def shift_gradient(
        self, weights: NDArray, chosen: NDArray, samples: list[NDArray]
    ) -> tuple[NDArray, float]:
        """Derivatives of the mean loss by chosen weights, each on its own samples, and the loss on all."""
        everyone = np.arange(self.num_samples)
        rules = shift_rules(self.compiled.circuit, [self.compiled.w[int(k)] for k in chosen])
        points, places = [weights], [everyone]
        for place, rule, own in zip(chosen, rules, samples, strict=True):
            shifts = shifted(weights, int(place), rule)
            points += shifts
            places += [own] * len(shifts)
        tables = self.outcomes(points, places)
        probabilities, success = given_success(tables[0])
        slopes = self.slopes(probabilities, everyone)
        rest = iter(tables[1:])
        gradient = [
            _derivative(
                rule, [next(rest) for _ in rule.terms], probabilities[:, own], success[own], slopes[:, own]
            )
            for rule, own in zip(rules, samples, strict=True)
        ]
        return np.array(gradient), self.value(probabilities, everyone)


def shots_each(shots: int | None, shots_in_all: int | None, circuits: int) -> int:
    """Shots of each of so many circuits: those given, or a share of all."""
    return shots if shots is not None else max(1, int(shots_in_all or 0) // circuits)


def given_success(table: NDArray) -> tuple[NDArray, NDArray]:
    """Probabilities (outcomes, samples) given success of post-selection, and its probability (samples,)."""
    success = table.sum(axis=0)
    uniform = np.full_like(table, 1.0 / len(table))
    return np.divide(table, success, out=uniform, where=success > 0), success


def _derivative(
    rule: ShiftRule, tables: list[NDArray], probabilities: NDArray, success: NDArray, slopes: NDArray
) -> float:
    """Mean over samples of d loss / d p times d p / d weight, where p is given success."""
    if not rule.terms:
        return 0.0
    change = sum(coefficient * table for (coefficient, _), table in zip(rule.terms, tables, strict=True))
    change = (change - probabilities * np.sum(change, axis=0)) / np.where(success > 0, success, 1.0)
    return float(np.mean(np.sum(slopes * change, axis=0)))


def _frequencies(counts: Counts, num_outcomes: int) -> NDArray:
    total = sum(counts.values())
    found = np.zeros(num_outcomes)
    for outcome, shots in counts.items():
        if outcome < num_outcomes:
            found[outcome] = shots / total
    return found
