"""The loop of training on a backend: mini-batches, budgets, stops, and a checkpoint after every step."""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qtnml.arrays import NDArray
from qtnml.backends import Backend, Counts
from qtnml.compile import BoundCircuits, CompiledCircuit
from qtnml.errors import InvalidInputError, ModelFileError
from qtnml.hybrid.objective import Objective
from qtnml.hybrid.optimizers import HybridOptimizer, State, get_hybrid_optimizer
from qtnml.jobs import JobStore
from qtnml.jobs.identity import job_ids
from qtnml.storage import load_archive, save_archive
from qtnml.train import Loss, get_loss

KIND = "qtnml-hybrid-checkpoint"
_STEPS = 1_000_000  # more than a training has: a repeat of the training begins after them
_PLATEAU = 1e-3  # a smoothed loss must fall by this share of itself to count as progress


@dataclass(frozen=True)
class HybridTraining:
    """How a circuit is trained on a backend.

    Attributes:
        optimizer: "spsa", "averaged-spsa", "parameter-shift", or an object of `qtnml.hybrid`.
        steps: At most.
        batch_size: Samples of a step.
        shots: Of each circuit; None takes those of the classifier, unless `shots_per_step` is given.
        shots_per_step: Divided among the circuits of a step, instead of `shots`.
        loss: "cross-entropy", "hinge", "squared-error", or a loss of `qtnml.train`.
        trained_nodes: Only so many nodes next to the root are trained; None trains all weights.
        max_shots: Budget of the whole training; it stops before a step would exceed it.
        target: It stops when the smoothed loss is below.
        patience: It stops after so many steps without progress of the smoothed loss; None never.
        smoothing: Steps over which the loss is smoothed.
        tail: Share of the last steps whose weights are averaged; 0 takes the last ones.
        random_state: Seed of mini-batches and directions; None draws one, which the checkpoint keeps.
        checkpoint: File written after every step.
        resume: Go on from the checkpoint if it is there.
    """

    optimizer: HybridOptimizer | str = "spsa"
    steps: int = 100
    batch_size: int = 32
    shots: int | None = None
    shots_per_step: int | None = None
    loss: str | Loss = "cross-entropy"
    trained_nodes: int | None = None
    max_shots: int | None = None
    target: float | None = None
    patience: int | None = None
    smoothing: int = 10
    tail: float = 0.25
    random_state: int | None = None
    checkpoint: str | Path | None = None
    resume: bool = False

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
            if value is not None and not (isinstance(value, int) and value >= 1):
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
        if self.resume and self.checkpoint is None:
            raise InvalidInputError("resume=True needs checkpoint=PATH")


class HybridRecord(NamedTuple):
    """One step: the loss it saw, and circuits and shots spent until then."""

    step: int
    loss: float
    circuits: int
    shots: int
    seconds: float


@dataclass(frozen=True)
class HybridResult:
    """What training on a backend gave.

    Attributes:
        compiled: The circuit with its new weights.
        history: Of every step.
        stopped: "steps", "budget", "target", "plateau" or "interrupted".
    """

    compiled: CompiledCircuit
    history: tuple[HybridRecord, ...]
    stopped: str

    @property
    def circuits(self) -> int:
        """Run in all."""
        return self.history[-1].circuits if self.history else 0

    @property
    def shots(self) -> int:
        """Counted in all."""
        return self.history[-1].shots if self.history else 0


@dataclass(frozen=True)
class TrainingPlan:
    """What a training would spend at most: steps, circuits and shots."""

    steps: int
    circuits: int
    shots: int

    def __str__(self) -> str:
        return f"{self.steps:,} steps, at most {self.circuits:,} circuits and {self.shots:,} shots"


@dataclass(frozen=True)
class Where:
    """Where a training's circuits run.

    Attributes:
        backend, store: The backend, and the ledger every evaluation goes through.
        shots: Of each circuit, where the training does not say.
        repeat: Another number trains on independent shots.
        label: Of the runs in the ledger.
    """

    backend: Backend
    store: JobStore
    shots: int = 1024
    repeat: int = 0
    label: str = ""


@dataclass(frozen=True)
class _Progress:
    weights: NDArray
    state: State
    average: NDArray
    averaged: int
    history: tuple[HybridRecord, ...]
    seed: int


def plan_training(compiled: CompiledCircuit, samples: int, how: HybridTraining, shots: int) -> TrainingPlan:
    """What `train_on_backend` would spend at most."""
    per_step, shots_per_step = _cost_of_step(compiled, samples, how, shots)
    steps = how.steps if how.max_shots is None else min(how.steps, how.max_shots // shots_per_step)
    return TrainingPlan(steps, steps * per_step, steps * shots_per_step)


def train_on_backend(
    compiled: CompiledCircuit,
    angles: NDArray,
    targets: NDArray,
    where: Where,
    how: HybridTraining,
    *,
    on_step: Callable[[HybridRecord], None] | None = None,
) -> HybridResult:
    """Train a circuit's weights, from those it has, by circuits run on a backend.

    Every evaluation goes through the ledger and every step is written to the checkpoint. A killed training
    goes on with the same mini-batches and directions, so that what was evaluated before is read, not bought.

    Args:
        compiled: The circuit.
        angles: Data angles (samples, data qubits), radians.
        targets: Class of each sample, as the number of its outcome.
        where: Backend and ledger.
        how: Optimiser, budgets and stops.
        on_step: Called after each step.

    Raises:
        ModelFileError: The checkpoint is of another training.
        JobError: A run failed; the checkpoint keeps the steps before it.
    """
    optimizer, places = get_hybrid_optimizer(how.optimizer), trained_places(compiled, how.trained_nodes)
    fingerprint = _fingerprint(compiled, angles, targets, where, how)
    progress = _restored(how, fingerprint)
    if progress is None:
        progress = _fresh(compiled, optimizer, how)
        _save(how, fingerprint, progress)  # with its seed: a kill in the first step repeats that step
    cost = _cost_of_step(compiled, len(targets), how, where.shots)[1]
    began = time.monotonic() - (progress.history[-1].seconds if progress.history else 0.0)
    stopped = _stop(how, progress, cost)
    try:
        while not stopped:
            objective = _objective(compiled, angles, targets, where, how, progress)
            progress = _stepped(objective, optimizer, places, how, progress, began)
            _save(how, fingerprint, progress)
            if on_step is not None:
                on_step(progress.history[-1])
            stopped = _stop(how, progress, cost)
    except KeyboardInterrupt:
        if not progress.history:
            raise
        stopped = "interrupted"
    return HybridResult(compiled.with_weights(_final(progress)), progress.history, stopped)


def trained_places(compiled: CompiledCircuit, nodes: int | None) -> NDArray:
    """Which weights are trained: all, or those of the last nodes."""
    counts = [sum(len(gate.operation.params) for gate in node.circuit.data) for node in compiled.nodes]
    if nodes is None or nodes >= len(counts):
        return np.arange(len(compiled.weights))
    return np.arange(len(compiled.weights) - sum(counts[len(counts) - nodes :]), len(compiled.weights))


def _cost_of_step(
    compiled: CompiledCircuit, samples: int, how: HybridTraining, shots: int
) -> tuple[int, int]:
    """Circuits and shots of a step, at most."""
    batch = min(how.batch_size, samples)
    trained = len(trained_places(compiled, how.trained_nodes))
    circuits = get_hybrid_optimizer(how.optimizer).circuits_per_step(batch, trained)
    if how.shots_per_step is not None:
        return circuits, max(how.shots_per_step, circuits)
    return circuits, circuits * (how.shots or shots)


def _fresh(compiled: CompiledCircuit, optimizer: HybridOptimizer, how: HybridTraining) -> _Progress:
    seed = None if how.random_state is None else int(how.random_state)
    if seed is None:
        seed = int(np.random.default_rng().integers(2**31))
    weights = compiled.weights.copy()
    return _Progress(weights, optimizer.init(weights), np.zeros_like(weights), 0, (), seed)


def _objective(
    compiled: CompiledCircuit,
    angles: NDArray,
    targets: NDArray,
    where: Where,
    how: HybridTraining,
    progress: _Progress,
) -> Objective:
    """The loss on the next step's mini-batch."""
    step = len(progress.history)
    rng = np.random.default_rng([progress.seed, step, 0])
    batch = np.sort(rng.permutation(len(targets))[: min(how.batch_size, len(targets))])

    def run(circuits: BoundCircuits, shots: int) -> list[Counts]:
        # A step is a repeat of its own: weights that come back are measured anew.
        number = where.repeat * _STEPS + step + 1
        return where.store.run(circuits, where.backend, shots=shots, repeat=number, label=where.label)

    fixed = None if how.shots_per_step is not None else (how.shots or where.shots)
    return Objective(
        compiled, angles[batch], targets[batch], get_loss(how.loss), run, fixed, how.shots_per_step
    )


def _stepped(
    objective: Objective,
    optimizer: HybridOptimizer,
    places: NDArray,
    how: HybridTraining,
    progress: _Progress,
    began: float,
) -> _Progress:
    number = len(progress.history)
    rng = np.random.default_rng([progress.seed, number, 1])
    weights, state, loss = optimizer.step(objective, progress.weights, places, progress.state, rng)
    last = progress.history[-1] if progress.history else HybridRecord(0, 0.0, 0, 0, 0.0)
    record = HybridRecord(
        number + 1,
        loss,
        last.circuits + objective.circuits_run,
        last.shots + objective.shots_run,
        time.monotonic() - began,
    )
    in_tail = number >= round((1 - how.tail) * how.steps)
    return replace(
        progress,
        weights=weights,
        state=state,
        average=progress.average + weights if in_tail else progress.average,
        averaged=progress.averaged + int(in_tail),
        history=(*progress.history, record),
    )


def _final(progress: _Progress) -> NDArray:
    return progress.average / progress.averaged if progress.averaged else progress.weights


def _stop(how: HybridTraining, progress: _Progress, cost: int) -> str:
    """Why training ends now, or nothing."""
    history = progress.history
    if len(history) >= how.steps:
        return "steps"
    if how.max_shots is not None and (history[-1].shots if history else 0) + cost > how.max_shots:
        return "budget"
    if len(history) < how.smoothing:
        return ""
    losses = np.array([record.loss for record in history])
    smooth = np.convolve(losses, np.ones(how.smoothing) / how.smoothing, mode="valid")
    if how.target is not None and smooth[-1] < how.target:
        return "target"
    if how.patience is not None and len(smooth) > how.patience:
        before = smooth[: -how.patience].min()
        if smooth[-how.patience :].min() > before - _PLATEAU * abs(before):
            return "plateau"
    return ""


def _fingerprint(
    compiled: CompiledCircuit, angles: NDArray, targets: NDArray, where: Where, how: HybridTraining
) -> str:
    """Of all that a training depends on, but for its length and its stops."""
    free = (
        "steps",
        "max_shots",
        "target",
        "patience",
        "smoothing",
        "tail",
        "checkpoint",
        "resume",
        "random_state",
    )
    settings = {name: repr(value) for name, value in asdict(how).items() if name not in free}
    settings["optimizer"] = repr(get_hybrid_optimizer(how.optimizer))
    # The address of a plain function is another one in the next process.
    settings["loss"] = re.sub(r" at 0x[0-9a-f]+", "", repr(get_loss(how.loss)))
    start = job_ids(compiled.bind_angles(np.zeros((1, len(compiled.x)))), where.backend)
    text = json.dumps([settings, where.shots, where.repeat, str(how.random_state), start])
    data = np.round(angles, 12).tobytes() + np.ascontiguousarray(targets).tobytes()
    return hashlib.sha256(text.encode() + data).hexdigest()


def _save(how: HybridTraining, fingerprint: str, progress: _Progress) -> None:
    if how.checkpoint is None:
        return
    header = {
        "fingerprint": fingerprint,
        "seed": progress.seed,
        "averaged": progress.averaged,
        "history": [list(record) for record in progress.history],
    }
    arrays = {"weights": progress.weights, "average": progress.average}
    arrays |= {f"state_{name}": array for name, array in progress.state.items()}
    save_archive(Path(how.checkpoint), header, arrays, kind=KIND)


def _restored(how: HybridTraining, fingerprint: str) -> _Progress | None:
    """Where a checkpoint stands; None if there is nothing to resume."""
    if how.checkpoint is None or not Path(how.checkpoint).exists():
        return None
    header, arrays = load_archive(Path(how.checkpoint), kind=KIND)
    if not how.resume:
        return None
    if header.get("fingerprint") != fingerprint:
        raise ModelFileError(
            f"the checkpoint {how.checkpoint} belongs to a training with other data, circuit, backend or "
            "settings; resume with the same ones, or choose another path to start anew"
        )
    try:
        state = {name.removeprefix("state_"): a for name, a in arrays.items() if name.startswith("state_")}
        history = tuple(HybridRecord(*record) for record in header["history"])
        progress = _Progress(
            arrays["weights"], state, arrays["average"], int(header["averaged"]), history, int(header["seed"])
        )
        if len(history) < round(
            (1 - how.tail) * how.steps
        ):  # now a longer training, whose tail is yet to come
            progress = replace(progress, average=np.zeros_like(progress.weights), averaged=0)
        if not np.isfinite(progress.weights).all():
            raise ValueError("its weights are not finite")
    except Exception as error:  # a damaged file may hold anything
        raise ModelFileError(
            f"the checkpoint {how.checkpoint} is damaged ({error}); delete it to start anew"
        ) from error
    return progress
