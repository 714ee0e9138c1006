"""Settings and results of training a circuit on a backend."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qtnml.backends import Backend
from qtnml.errors import InvalidInputError
from qtnml.hybrid.optimizers import HybridOptimizer
from qtnml.jobs import JobStore, Unstored
from qtnml.jobs.plan import readable

_OPTIONAL = ("shots", "shots_per_step", "trained_nodes", "patience")


@dataclass(frozen=True)
class HybridTraining:
    """How a circuit is trained on a backend.

    Attributes:
        optimizer: "spsa", "averaged-spsa", "parameter-shift", "cma-es", or an object of `qtnml.hybrid`.
        steps: Largest number of steps.
        batch_size: Number of samples in a step. For a generative circuit: number of data samples that drawn
            samples are compared with.
        shots: Shots of each circuit. None takes the classifier's shots, unless `shots_per_step` is given.
        shots_per_step: Shots of a step, divided among its circuits, instead of `shots`.
        loss: "cross-entropy" (None), "hinge", "squared-error", or a loss of `qtnml.train`. For a generative
            circuit "mmd" (None), "clipped-nll", or an object such as `qtnml.hybrid.MMD(bandwidths=(0.5, 4))`.
        trained_nodes: Number of nodes next to the root that are trained; None trains all weights.
        max_shots: Budget of shots of the whole training. Training stops before a step would exceed it.
        target: Training stops when the smoothed loss is below this value.
        patience: Training stops after so many steps without progress of the smoothed loss; None never does.
        smoothing: Number of steps over which the loss is smoothed.
        tail: Fraction of the steps, the last ones, whose weights are averaged; 0 takes the last weights.
        random_state: Seed of mini-batches and directions. None draws a seed, which the checkpoint keeps.
        checkpoint: File written after every step.
        resume: Go on from the checkpoint if it exists.
        callback: Called with the `HybridRecord` of every step; returning True ends training.
    """

    optimizer: HybridOptimizer | str = "spsa"
    steps: int = 100
    batch_size: int = 32
    shots: int | None = None
    shots_per_step: int | None = None
    loss: Any = None
    trained_nodes: int | None = None
    max_shots: int | None = None
    target: float | None = None
    patience: int | None = None
    smoothing: int = 10
    tail: float = 0.25
    random_state: int | None = None
    checkpoint: str | Path | None = None
    resume: bool = False
    callback: "Callable[[HybridRecord], bool | None] | None" = None

    def __post_init__(self) -> None:
        for name in (
            "steps",
            "batch_size",
            "shots",
            "shots_per_step",
            "trained_nodes",
            "patience",
            "smoothing",
        ):
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if isinstance(value, bool) or not (isinstance(value, int | np.integer) and value >= 1):
                raise InvalidInputError(f"{name} must be an integer of at least 1, got {value!r}")
        if self.shots is not None and self.shots_per_step is not None:
            raise InvalidInputError("give shots (of each circuit) or shots_per_step, not both")
        seed = self.random_state
        if seed is not None and not (isinstance(seed, int | np.integer) and 0 <= seed < 2**32):
            raise InvalidInputError(f"random_state must be None or an integer of at least 0, got {seed!r}")
        if not (isinstance(self.tail, int | float) and 0 <= self.tail <= 1):
            raise InvalidInputError(f"tail must be in [0, 1], got {self.tail!r}")
        if self.target is not None and not isinstance(self.target, int | float):
            raise InvalidInputError(f"target must be None or a number, got {self.target!r}")
        if not isinstance(self.checkpoint, str | os.PathLike | None):
            raise InvalidInputError(f"checkpoint must be None or a path, got {self.checkpoint!r}")
        if self.max_shots is not None and not (isinstance(self.max_shots, int) and self.max_shots >= 0):
            raise InvalidInputError(f"max_shots must be None or at least 0, got {self.max_shots!r}")
        if self.callback is not None and not callable(self.callback):
            raise InvalidInputError(f"callback must be None or a function of records, got {self.callback!r}")
        if self.resume and self.checkpoint is None:
            raise InvalidInputError("resume=True needs checkpoint=PATH")


class HybridRecord(NamedTuple):
    """Record of one step: its measured loss, and the circuits and shots used so far."""

    step: int
    loss: float
    circuits: int
    shots: int
    seconds: float


@dataclass(frozen=True)
class HybridResult:
    """Result of training on a backend.

    Attributes:
        compiled: The circuit (a `CompiledCircuit` or `GenerativeCircuit`) with its new weights.
        history: Records of all steps.
        stopped: Why training ended: "steps", "budget", "target", "plateau", "callback" or "interrupted".
    """

    compiled: Any
    history: tuple[HybridRecord, ...]
    stopped: str

    def pass_on_interruption(self) -> None:
        """Raise KeyboardInterrupt if it ended training, so that a script does not go on and spend more."""
        if self.stopped == "interrupted":
            raise KeyboardInterrupt(
                f"training was interrupted after {len(self.history)} steps and {self.shots:,} shots; the "
                "weights so far are kept"
            )

    @property
    def circuits(self) -> int:
        """Total number of circuits that were run."""
        return self.history[-1].circuits if self.history else 0

    @property
    def shots(self) -> int:
        """Total number of shots."""
        return self.history[-1].shots if self.history else 0


@dataclass(frozen=True)
class TrainingPlan:
    """Largest amounts that a training would spend.

    Attributes:
        steps, circuits, shots: Totals.
        submissions: Number of submissions: one for each step, if a job takes all its circuits and shots.
        seconds: Estimated time on the device. None for a simulator, or if the device gives no estimate.
        cost: Cost by the price of the store; None without a price.
        currency: Currency of the cost.
        refused: What the budget of the store lacks. Training ends when the budget is used up.
    """

    steps: int
    circuits: int
    shots: int
    submissions: int = 0
    seconds: float | None = None
    cost: float | None = None
    currency: str = ""
    refused: str = ""

    def __str__(self) -> str:
        text = f"{self.steps:,} steps, at most {self.circuits:,} circuits and {self.shots:,} shots"
        if self.seconds is not None:
            text += f", about {readable(self.seconds)} on the device"
        if self.cost is not None:
            text += f", {self.cost:,.2f} {self.currency}"
        if self.refused:
            text += f"\nwould end early: {self.refused}"
        return text


@dataclass(frozen=True)
class Where:
    """Backend and ledger of a training.

    Attributes:
        backend: Backend that runs the circuits.
        store: The ledger that every evaluation goes through; `Unstored()` for simulators that need none.
        shots: Shots of each circuit, if the training does not set them.
        repeat: A different number trains on independent shots.
        label: Label of the runs in the ledger.
    """

    backend: Backend
    store: JobStore | Unstored
    shots: int = 1024
    repeat: int = 0
    label: str = ""
