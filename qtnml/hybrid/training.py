"""The loop of training on a backend: mini-batches, budgets and stops."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from qtnml.arrays import NDArray
from qtnml.backends import Counts
from qtnml.compile import BoundCircuits, CompiledCircuit
from qtnml.compile.assemble import node_angles
from qtnml.errors import InvalidInputError
from qtnml.hybrid.checkpoint import Progress, fingerprint_of, restored, save
from qtnml.hybrid.objective import MeasuredLoss, Objective, Run
from qtnml.hybrid.optimizers import HybridOptimizer, get_hybrid_optimizer
from qtnml.hybrid.settings import HybridRecord, HybridResult, HybridTraining, TrainingPlan, Where
from qtnml.train import get_loss

DEFAULT_LOSS = "cross-entropy"
_STEPS = 1_000_000  # more than a training has: a repeat of the training begins after them
_PLATEAU = 1e-3  # a smoothed loss must fall by this share of itself to count as progress


class Problem(Protocol):
    """What the loop trains."""

    @property
    def weights(self) -> NDArray:
        """To start from."""

    @property
    def node_counts(self) -> list[int]:
        """Weights of each node, from the first to the last."""

    def circuits_per_point(self, how: HybridTraining) -> int:
        """Circuits that one point of the loss takes, at most."""

    def fingerprint(self, where: Where, how: HybridTraining) -> str:
        """Of all that the training depends on."""

    def objective(
        self, rng: np.random.Generator, run: Run, shots: int | None, how: HybridTraining
    ) -> MeasuredLoss:
        """The loss of a step, on samples that `rng` draws."""


@dataclass(frozen=True)
class Supervised:
    """The circuit of a classifier or regressor and its samples.

    Attributes:
        compiled: The circuit.
        angles: Data angles (samples, data qubits), radians.
        targets: What the loss compares with: of a class the number of its outcome.
    """

    compiled: CompiledCircuit
    angles: NDArray
    targets: NDArray

    @property
    def weights(self) -> NDArray:
        """To start from."""
        return self.compiled.weights

    @property
    def node_counts(self) -> list[int]:
        """Weights of each node."""
        return [len(node_angles(node.circuit)) for node in self.compiled.nodes]

    def circuits_per_point(self, how: HybridTraining) -> int:
        """One for each sample of the mini-batch."""
        return min(how.batch_size, len(self.targets))

    def fingerprint(self, where: Where, how: HybridTraining) -> str:
        """Of all that the training depends on."""
        start = self.compiled.bind_angles(np.zeros((1, len(self.compiled.x))))
        data = np.round(self.angles, 12).tobytes() + np.ascontiguousarray(self.targets).tobytes()
        return fingerprint_of(start, get_loss(how.loss or DEFAULT_LOSS), data, where, how)

    def objective(
        self, rng: np.random.Generator, run: Run, shots: int | None, how: HybridTraining
    ) -> MeasuredLoss:
        """The loss on a mini-batch."""
        batch = np.sort(rng.permutation(len(self.targets))[: self.circuits_per_point(how)])
        loss = get_loss(how.loss or DEFAULT_LOSS)
        return Objective(
            self.compiled, self.angles[batch], self.targets[batch], loss, run, shots, how.shots_per_step
        )


def plan_training(problem: Problem, how: HybridTraining, shots: int) -> TrainingPlan:
    """What a training would spend at most."""
    per_step, shots_per_step = _cost_of_step(problem, how, shots)
    steps = how.steps if how.max_shots is None else min(how.steps, how.max_shots // shots_per_step)
    return TrainingPlan(steps, steps * per_step, steps * shots_per_step, submissions=steps)


def train_on_backend(
    compiled: CompiledCircuit,
    angles: NDArray,
    targets: NDArray,
    where: Where,
    how: HybridTraining,
    *,
    on_step: Callable[[HybridRecord], None] | None = None,
) -> HybridResult:
    """Train a classifier's circuit on a backend, starting at its current weights; see `train_weights`.

    Args:
        compiled: The circuit.
        angles: Data angles (samples, data qubits), radians.
        targets: Class of each sample, as the index of its outcome.
        where: Backend and ledger.
        how: Optimiser, budgets and stops.
        on_step: Called after each step.
    """
    problem = Supervised(compiled, angles, targets)
    weights, history, stopped = train_weights(problem, where, how, on_step=on_step)
    return HybridResult(compiled.with_weights(weights), history, stopped)


def train_weights(
    problem: Problem,
    where: Where,
    how: HybridTraining,
    *,
    on_step: Callable[[HybridRecord], None] | None = None,
) -> tuple[NDArray, tuple[HybridRecord, ...], str]:
    """Weights that lower a measured loss, how it went, and why it ended.

    Every evaluation goes through the ledger and every step is written to the checkpoint. A killed training
    goes on with the same mini-batches and directions, so that what was evaluated before is read, not bought.

    Args:
        problem: What is trained.
        where: Backend and ledger.
        how: Optimiser, budgets and stops.
        on_step: Called after each step.

    Raises:
        ModelFileError: The checkpoint is of another training.
        JobError: A run failed; the checkpoint keeps the steps before it.
    """
    optimizer, places = get_hybrid_optimizer(how.optimizer), trained_places(problem, how.trained_nodes)
    fingerprint = problem.fingerprint(where, how)
    progress = restored(how, fingerprint)
    if progress is None:
        progress = _fresh(problem, optimizer, how)
        save(how, fingerprint, progress)  # with its seed: a kill in the first step repeats that step
    cost = _cost_of_step(problem, how, where.shots)[1]
    began = time.monotonic() - (progress.history[-1].seconds if progress.history else 0.0)
    stopped = _stop(how, progress, cost)
    try:
        while not stopped:
            objective = _objective(problem, where, how, progress)
            progress = _stepped(objective, optimizer, places, how, progress, began)
            save(how, fingerprint, progress)
            if on_step is not None:
                on_step(progress.history[-1])
            stopped = _stop(how, progress, cost)
            if how.callback is not None and how.callback(progress.history[-1]):
                stopped = stopped or "callback"
    except KeyboardInterrupt:
        if not progress.history:
            raise
        stopped = "interrupted"
    return _final(progress), progress.history, stopped


def trained_places(problem: Problem, nodes: int | None) -> NDArray:
    """Which weights are trained: all, or those of the last nodes.

    Raises:
        InvalidInputError: The circuit has none.
    """
    if not len(problem.weights):
        raise InvalidInputError(
            "this circuit has no weights to train: they are bound, as the pass 'merge' (or 'auto') needs; "
            "train one compiled without it"
        )
    counts = problem.node_counts
    if nodes is None or nodes >= len(counts):
        return np.arange(len(problem.weights))
    return np.arange(len(problem.weights) - sum(counts[len(counts) - nodes :]), len(problem.weights))


def _cost_of_step(problem: Problem, how: HybridTraining, shots: int) -> tuple[int, int]:
    """Circuits and shots of a step, at most."""
    trained = len(trained_places(problem, how.trained_nodes))
    circuits = get_hybrid_optimizer(how.optimizer).circuits_per_step(problem.circuits_per_point(how), trained)
    if how.shots_per_step is not None:
        return circuits, max(how.shots_per_step, circuits)
    return circuits, circuits * (how.shots or shots)


def _fresh(problem: Problem, optimizer: HybridOptimizer, how: HybridTraining) -> Progress:
    seed = None if how.random_state is None else int(how.random_state)
    if seed is None:
        seed = int(np.random.default_rng().integers(2**31))
    weights = problem.weights.copy()
    return Progress(weights, optimizer.init(weights), np.zeros_like(weights), 0, (), seed)


def _objective(problem: Problem, where: Where, how: HybridTraining, progress: Progress) -> MeasuredLoss:
    """The loss of the next step."""
    step = len(progress.history)

    def run(circuits: BoundCircuits, shots: int) -> list[Counts]:
        # A step is a repeat of its own: weights that come back are measured anew.
        number = where.repeat * _STEPS + step + 1
        return where.store.run(circuits, where.backend, shots=shots, repeat=number, label=where.label)

    fixed = None if how.shots_per_step is not None else (how.shots or where.shots)
    return problem.objective(np.random.default_rng([progress.seed, step, 0]), run, fixed, how)


def _stepped(
    objective: MeasuredLoss,
    optimizer: HybridOptimizer,
    places: NDArray,
    how: HybridTraining,
    progress: Progress,
    began: float,
) -> Progress:
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


def _final(progress: Progress) -> NDArray:
    return progress.average / progress.averaged if progress.averaged else progress.weights


def _stop(how: HybridTraining, progress: Progress, cost: int) -> str:
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
