"""The loss of a step, measured: which circuits run, with how many shots, and what they say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import NDArray
from qtnml.backends import Counts
from qtnml.compile import BoundCircuits, CompiledCircuit
from qtnml.train import Loss

#: Runs bound circuits; the shots of each are given.
Run = Callable[[BoundCircuits, int], list[Counts]]


@dataclass
class Objective:
    """The loss on a mini-batch, as a function of the weights.

    Attributes:
        compiled: The circuit; its parameters `w` are the weights.
        angles: Data angles of the mini-batch (samples, data qubits), radians.
        targets: Class of each sample (samples,).
        loss: Of probabilities (outcomes, samples) and targets.
        run: Runs circuits through the ledger.
        shots: Of each circuit; None divides `shots_in_all` among the circuits of a call.
        shots_in_all: Of a call, where `shots` is None.
        circuits_run, shots_run: Counted so far.
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
        """Of the mini-batch."""
        return len(self.targets)

    def outcomes(self, points: Sequence[NDArray], samples: Sequence[NDArray]) -> list[NDArray]:
        """Measured frequencies of each point on its samples, all in one run.

        Args:
            points: Weights.
            samples: Places in the mini-batch, for each point.

        Returns:
            For each point shape (outcomes, its samples): shares of all shots, those that fail post-selection
            among them.
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
        """Shots of each of so many circuits."""
        if self.shots is not None:
            return self.shots
        return max(1, int(self.shots_in_all or 0) // circuits)

    def losses(self, points: Sequence[NDArray], samples: Sequence[NDArray] | None = None) -> NDArray:
        """Mean loss at each point (points,), on all samples unless some are given for each."""
        everyone = np.arange(self.num_samples)
        chosen = [everyone] * len(points) if samples is None else samples
        found = self.outcomes(points, chosen)
        return np.array(
            [self.value(given_success(table)[0], places) for table, places in zip(found, chosen, strict=True)]
        )

    def value(self, probabilities: NDArray, places: NDArray) -> float:
        """Mean loss of probabilities (outcomes, samples) of some samples."""
        return float(jnp.mean(self.loss(jnp.asarray(probabilities), jnp.asarray(self.targets[places]))))

    def slopes(self, probabilities: NDArray, places: NDArray) -> NDArray:
        """Derivative of each sample's own loss by its probabilities (outcomes, samples)."""
        targets = jnp.asarray(self.targets[places])

        def total(p: jax.Array) -> Any:
            return jnp.sum(self.loss(p, targets))

        return np.asarray(jax.grad(total)(jnp.asarray(probabilities)), dtype=np.float64)


def given_success(table: NDArray) -> tuple[NDArray, NDArray]:
    """Probabilities (outcomes, samples) given success of post-selection, and its probability (samples,)."""
    success = table.sum(axis=0)
    uniform = np.full_like(table, 1.0 / len(table))
    return np.divide(table, success, out=uniform, where=success > 0), success


def _frequencies(counts: Counts, num_outcomes: int) -> NDArray:
    total = sum(counts.values())
    found = np.zeros(num_outcomes)
    for outcome, shots in counts.items():
        if outcome < num_outcomes:
            found[outcome] = shots / total
    return found
