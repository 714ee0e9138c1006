"""Mixtures of states by expectation maximisation: first of Markov trees, then of the states made from them.

A round for Markov trees counts pairs and takes a fraction of a second. So responsibilities are settled before
any state is swept. After that, a round is one sweep of each component, with strings weighted by the
component's responsibility for them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
from scipy.special import logsumexp

from qtnml.arrays import NDArray
from qtnml.born.markov import MarkovTree, cut
from qtnml.born.state import TreeState
from qtnml.structure.sites import Sites
from qtnml.train.born_loop import Strings
from qtnml.train.checkpoint import Checkpoint, Progress
from qtnml.train.fingerprint import fingerprint
from qtnml.train.fit_loop import Callback, Epoch, fit_loop
from qtnml.train.objectives import LogLikelihood
from qtnml.train.records import EpochRecord
from qtnml.train.sweep_loop import SweepTraining
from qtnml.train.sweeps import sweep

_FEWEST = 1e-9  # responsibility that every string keeps: no component dies
_SPREAD = 0.1  # concentration of the first responsibilities: nearly every string belongs to one component
_PATIENCE = 3
_LEAST_LOG = -1e6  # nats, of a string that is impossible in a component: differences stay finite

#: Sites of a component from the weights of the strings.
Structure = Callable[[Strings], Sites]


class MarkovMixture(NamedTuple):
    """A mixture of Markov trees.

    Attributes:
        sites: Of each component.
        trees: The components.
        weights: Their shares.
        rounds: Of expectation maximisation.
        converged: Whether they ended by the tolerance, or by the held-out strings.
    """

    sites: tuple[Sites, ...]
    trees: tuple[MarkovTree, ...]
    weights: NDArray
    rounds: int
    converged: bool

    def log_likelihood(self, levels: NDArray) -> NDArray:
        """ln P of strings, (samples,)."""
        joint = np.stack([tree.log_likelihood(levels) for tree in self.trees], axis=1) + np.log(self.weights)
        return np.asarray(logsumexp(joint, axis=1))


def markov_mixture(
    data: Strings,
    validation: Strings | None,
    structure: Structure,
    count: int,
    rng: np.random.Generator,
    *,
    max_iter: int = 50,
    tol: float = 1e-3,
    dependent: bool = True,
) -> MarkovMixture:
    """Mixture of trees by expectation maximisation (Meila and Jordan, JMLR 1, 1, 2000).

    Args:
        data: To learn.
        validation: Held-out strings; ends after rounds without a gain there, and chooses the best.
        structure: Makes each component's sites, anew in every round.
        count: Components.
        rng: Draws the first responsibilities.
        max_iter: Most rounds.
        tol: Ends where the mean log-likelihood rises by less, nats.
        dependent: False for independent columns in each component.
    """
    judge = data if validation is None else validation
    shares = rng.dirichlet(np.full(count, _SPREAD), len(data.X)) if count > 1 else np.ones((len(data.X), 1))
    best: MarkovMixture | None = None
    score, last, since, rounds, converged = -np.inf, -np.inf, 0, 0, False
    for rounds in range(1, (max_iter if count > 1 else 1) + 1):
        own = data.weights[:, None] * np.maximum(shares, _FEWEST)
        masses = own.sum(axis=0)
        parts = [data.weighed(weights) for weights in own.T]
        sites = tuple(structure(part) for part in parts)
        trees = tuple(
            MarkovTree.of(at, part.X, part.weights, rows=part.rows, numbers=part.numbers, dependent=dependent)
            for at, part in zip(sites, parts, strict=True)
        )
        # As if each component had one more row: none is left without a share.
        weights = (data.rows * masses + 1) / (data.rows * masses.sum() + count)
        mixture = MarkovMixture(sites, trees, weights, rounds, False)
        joint = np.stack([tree.log_likelihood(data.X) for tree in trees], axis=1) + np.log(weights)
        total = logsumexp(joint, axis=1)
        shares = np.exp(joint - total[:, None])
        mean = float(data.weights @ total)
        judged = mean if validation is None else float(judge.weights @ mixture.log_likelihood(judge.X))
        if judged > score + tol / 10:
            score, best, since = judged, mixture, 0
        else:
            since += 1
        if abs(mean - last) < tol or (validation is not None and since >= _PATIENCE):
            converged = True
            break
        last = mean
    assert best is not None
    return best._replace(rounds=rounds, converged=converged or count == 1)


@dataclass(frozen=True)
class MixtureResult:
    """A trained mixture; see `BornResult`.

    Attributes:
        states: Of the components.
        weights: Their shares.
        history, best_epoch, stopped, score: Of all together.
    """

    states: tuple[TreeState, ...]
    weights: NDArray
    history: tuple[EpochRecord, ...]
    best_epoch: int
    stopped: str
    score: float


@dataclass(frozen=True)
class MixtureStep:
    """One sweep of every component, as a `Step`; parameters are the cores of each and the shares."""

    sites: tuple[Sites, ...]
    data: Strings
    validation: Strings | None
    training: SweepTraining
    start_score: float
    warm_up: ClassVar[int] = 0
    comparable: ClassVar[bool] = True

    @property
    def cure(self) -> str:
        """What to do if the first round diverges."""
        return f"lower the learning rate ({self.training.learning_rate:g})"

    def is_over(self, progress: Progress) -> bool:
        """At the end of the ladder."""
        return self.training.is_over(self.start_score, progress)

    def epoch(self, progress: Progress) -> Epoch:
        """One round."""
        rng = np.random.default_rng()
        rng.bit_generator.state = progress.rng_state
        (cores, weights), joint = progress.parameters, progress.state
        options, anew = self.training.following(self.start_score, progress)
        if anew:
            cores, weights = progress.best
            joint = log_joint(self.sites, cores, weights, self.data)
        shares = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        own = self.data.weights[:, None] * np.maximum(shares, _FEWEST)
        dtype = np.float32 if self.training.precision == "single" else np.float64
        moved, logs = [], []
        for sites, component, mine in zip(self.sites, cores, own.T, strict=True):
            part = self.data.weighed(mine)
            whole = len(part.X) <= self.training.batch_size
            part = part if whole else part.drawn(self.training.batch_size, rng)
            swept = sweep(component, part.batch(sites), LogLikelihood(part.weights.astype(dtype)), options)
            moved.append(swept.cores)
            if whole:
                with np.errstate(divide="ignore"):
                    logs.append(2 * (swept.logs + np.log(np.abs(swept.amplitudes[:, 0]))))
            else:
                logs.append(self.data.log_likelihood(sites, swept.cores))
        weights = own.sum(axis=0) / own.sum()
        joint = np.maximum(np.stack(logs, axis=1), _LEAST_LOG) + np.log(weights)
        loss = -float(self.data.weights @ logsumexp(joint, axis=1))
        parameters = (tuple(moved), weights)
        held = None
        if self.validation is not None:
            held = nll_of_mixture(self.sites, tuple(moved), weights, self.validation)
        largest = max(core.shape[0] for component in moved for core in component)
        state = dict(rng.bit_generator.state)
        return Epoch(parameters, joint, state, parameters, loss, None, held, None, largest_bond=largest)

    def finish(self, progress: Progress) -> Progress:
        """Nothing is left to be judged."""
        return progress


def log_joint(
    sites: Sequence[Sites], cores: Sequence[tuple[NDArray, ...]], weights: NDArray, data: Strings
) -> NDArray:
    """ln (share P(x)) of every component, (samples, components)."""
    logs = [data.log_likelihood(at, own) for at, own in zip(sites, cores, strict=True)]
    return np.asarray(np.maximum(np.stack(logs, axis=1), _LEAST_LOG) + np.log(weights))


def nll_of_mixture(
    sites: Sequence[Sites], cores: Sequence[tuple[NDArray, ...]], weights: NDArray, data: Strings
) -> float:
    """Weighted mean negative log-likelihood in nats."""
    return -float(data.weights @ logsumexp(log_joint(sites, cores, weights, data), axis=1))


def best_cuts(states: Sequence[TreeState], weights: NDArray, validation: Strings) -> list[TreeState]:
    """States cut to the largest bond that explains held-out strings best, as a mixture of these weights.

    Of columns on functions: tables of the conditional distributions of many cells say more than is true.
    """
    widest, bond = max(max(state.bond_dims, default=1) for state in states), 2
    tried = [list(states)]
    while bond < widest:
        tried.append([cut(state, bond) for state in states])
        bond = max(bond + 1, bond * 3 // 2)
    sites = [state.sites for state in states]
    scores = [nll_of_mixture(sites, [state.cores for state in some], weights, validation) for some in tried]
    return tried[int(np.argmin(scores))]


def train_mixture(
    states: Sequence[TreeState],
    weights: NDArray,
    data: Strings,
    training: SweepTraining,
    rng: np.random.Generator,
    *,
    validation: Strings | None = None,
    callback: Callback | None = None,
    checkpoint: Checkpoint | None = None,
) -> MixtureResult:
    """Train all components together by sweeps: see `fit_loop`."""
    sites = tuple(state.sites for state in states)
    cores = tuple(state.cores for state in states)
    start = np.inf if validation is None else nll_of_mixture(sites, cores, weights, validation)
    joint = log_joint(sites, cores, weights, data)
    first = (cores, weights)
    progress = Progress(first, joint, first, dict(rng.bit_generator.state), np.zeros(0))
    if np.isfinite(start):
        progress = replace(progress, best_score=start)
    identity = ""
    if checkpoint is not None:
        held_out = () if validation is None else (validation.X, validation.weights)
        identity = fingerprint("mixture", sites, first, (data.X, data.weights), training, held_out)

    def check(parameters: tuple[Sequence[tuple[NDArray, ...]], NDArray]) -> None:
        for at, own in zip(sites, parameters[0], strict=True):
            TreeState(at, tuple(own)).check()

    progress, stopped = fit_loop(
        MixtureStep(sites, data, validation, training, start),
        progress,
        epochs=training.epochs,
        patience=training.patience,
        callback=callback,
        checkpoint=None if checkpoint is None else replace(checkpoint, check=check),
        identity=identity,
    )
    found, shares = progress.best
    best = tuple(TreeState.canonical(at, own) for at, own in zip(sites, found, strict=True))
    return MixtureResult(best, shares, progress.history, progress.best_epoch, stopped, progress.best_score)
