"""The loop over sweeps of a Born machine: validation, the best state, checkpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born import TreeState, log_likelihood, mean_nll
from qtnml.born.edges import Batch
from qtnml.errors import ModelFileError
from qtnml.structure.sites import Sites
from qtnml.train.born_sweeps import BornSweepOptions, sweep_state
from qtnml.train.checkpoint import Checkpoint, Progress
from qtnml.train.fingerprint import fingerprint
from qtnml.train.fit_loop import Callback, Epoch, fit_loop
from qtnml.train.records import EpochRecord, drawn_by_weight

_LAST_ANGLE = 0.1  # of the first
_COPIES = 1000  # of strings, at least, to smooth their law


@dataclass(frozen=True)
class BornTraining:
    """How to train.

    Attributes:
        epochs: Sweeps.
        max_bond: Largest bond dimension of sweeps, or one for each bond.
        batch_size: Samples of one sweep.
        learning_rate: Largest angle of a step in radians; falls along a half cosine to a tenth.
        cutoff: Singular values below this share of the largest are dropped.
        steps: Conjugate-gradient steps on every pair.
        one_site_share: The last part of the sweeps improves single cores, which loses nothing to
            truncation.
        patience: Stop after so many epochs without a better validation NLL (of training where nothing is
            held out).
        precision: "single" or "double" of the contraction; cores are in double precision.
    """

    epochs: int = 20
    max_bond: int | tuple[int, ...] = 32
    batch_size: int = 4096
    learning_rate: float = 0.05
    cutoff: float = 1e-7
    steps: int = 1
    one_site_share: float = 0.1
    patience: int | None = None
    precision: Literal["single", "double"] = "single"

    def rate(self, epoch: int) -> float:
        """Largest angle in an epoch (from 0)."""
        fall = (1 + np.cos(np.pi * epoch / max(self.epochs, 1))) / 2
        return float(self.learning_rate * (_LAST_ANGLE + (1 - _LAST_ANGLE) * fall))

    def sites(self, epoch: int) -> Literal[1, 2]:
        """Cores improved at once in an epoch (from 0)."""
        return 1 if epoch >= self.epochs - int(self.one_site_share * self.epochs) else 2


@dataclass(frozen=True)
class Strings:
    """Samples: levels (samples, sites) as integers, and weights (samples,) of sum 1."""

    X: NDArray
    weights: NDArray
    _batches: dict[Sites, Batch] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, X: NDArray, weights: NDArray) -> "Strings":
        """Equal strings as one of their summed weight, in a canonical order."""
        unique, inverse = np.unique(X, axis=0, return_inverse=True)
        summed = np.bincount(inverse.ravel(), weights=weights, minlength=len(unique))
        return cls(unique, summed / summed.sum())

    def smoothed(self, dims: Sequence[int], share: float, rng: np.random.Generator) -> "Strings":
        """With noisy copies of strings, which weigh `share` of the whole: no neighbour stays impossible.

        A copy has each site drawn anew with probability 2 / sites, from a law that is half the site's own
        frequencies and half uniform.
        """
        if not share:
            return self
        number = max(_COPIES, len(self.X))
        copies = self.X[rng.choice(len(self.X), number, p=self.weights)]
        for site, dim in enumerate(dims):
            law = np.bincount(self.X[:, site], self.weights, dim) + 1 / dim
            anew = rng.random(number) < min(1.0, 2 / len(dims))
            copies[anew, site] = rng.choice(dim, int(anew.sum()), p=law / law.sum())
        weights = np.concatenate([(1 - share) * self.weights, np.full(number, share / number)])
        return Strings.of(np.concatenate([self.X, copies]), weights)

    def drawn(self, size: int, rng: np.random.Generator) -> "Strings":
        """A batch that stands for all of them, drawn in proportion to the weights: see `drawn_by_weight`."""
        counts = drawn_by_weight(self.weights, size, rng)
        return Strings(self.X[counts > 0], counts[counts > 0] / counts.sum())

    def batch(self, sites: Sites) -> Batch:
        """As training takes them; kept, so that sweeps over the same strings sort them once."""
        if self._batches.get(sites) is None:
            self._batches[sites] = Batch(sites, self.X)
        return self._batches[sites]

    def nll(self, state: TreeState) -> float:
        """Weighted mean negative log-likelihood in nats; see `qtnml.born.mean_nll`."""
        return mean_nll(np.asarray(log_likelihood(state, self.X)), self.weights, state.tree.num_leaves)


@dataclass(frozen=True)
class BornResult:
    """The best state and how training went; see `TrainingResult`."""

    state: TreeState
    history: tuple[EpochRecord, ...]
    best_epoch: int
    stopped: str


def train_born(
    state: TreeState,
    data: Strings,
    training: BornTraining,
    rng: np.random.Generator,
    *,
    validation: Strings | None = None,
    callback: Callback | None = None,
    checkpoint: Checkpoint | None = None,
) -> BornResult:
    """Train a state on strings by sweeps: see `fit_loop`."""
    progress = Progress(state.cores, None, state.cores, dict(rng.bit_generator.state), np.zeros(0))
    identity = ""
    if checkpoint is not None:
        held_out = () if validation is None else (validation.X, validation.weights)
        identity = fingerprint("born", state.sites, state.cores, (data.X, data.weights), training, held_out)

    def check(cores: Any) -> None:
        TreeState(state.sites, tuple(cores)).check()

    progress, stopped = fit_loop(
        BornSweepStep(state.sites, data, training, validation),
        progress,
        epochs=training.epochs,
        patience=training.patience,
        callback=callback,
        checkpoint=None if checkpoint is None else replace(checkpoint, check=check),
        identity=identity,
    )
    # What rounding made of orthonormal rows in many steps is put right.
    best = TreeState.canonical(state.sites, progress.best)
    return BornResult(best, progress.history, progress.best_epoch, stopped)


@dataclass(frozen=True)
class BornSweepStep:
    """One sweep on a batch, as a `Step`; parameters are the cores, whose bonds adapt."""

    sites: Sites
    data: Strings
    training: BornTraining
    validation: Strings | None
    warm_up: ClassVar[int] = 0

    @property
    def comparable(self) -> bool:
        """Every sweep sees all samples."""
        return len(self.data.X) <= self.training.batch_size

    @property
    def cure(self) -> str:
        """What to do if the first sweep diverges."""
        return f"lower the learning rate ({self.training.learning_rate:g})"

    def epoch(self, progress: Progress) -> Epoch:
        """One sweep."""
        training, number = self.training, progress.epoch
        rng = np.random.default_rng()
        rng.bit_generator.state = progress.rng_state
        options = BornSweepOptions(
            training.max_bond,
            training.cutoff,
            training.steps,
            training.rate(number),
            training.sites(number),
            training.precision,
        )
        data = self.data if self.comparable else self.data.drawn(training.batch_size, rng)
        state = TreeState(self.sites, progress.parameters)
        state, swept = sweep_state(state, data.batch(self.sites), data.weights, options)
        finite = np.isfinite(swept.nll) and all(np.isfinite(core).all() for core in state.cores)
        held = self.validation.nll(state) if finite and self.validation is not None else None
        largest = max(state.bond_dims, default=1)
        rng_state = dict(rng.bit_generator.state)
        return Epoch(state.cores, None, rng_state, state.cores, swept.nll, None, held, largest_bond=largest)

    def finish(self, progress: Progress) -> Progress:
        """Nothing is left to be judged."""
        return progress


def stored_state(sites: Sites, arrays: Mapping[str, NDArray], name: str) -> TreeState:
    """A state of arrays `name`_0, `name`_1, ..., checked.

    Raises:
        InvalidInputError: They do not fit the tree, are not finite or not canonical.
    """
    cores = tuple(arrays[f"{name}_{k}"] for k in range(len(sites.tree.nodes)))
    if any(core.dtype not in (np.float64, np.complex128) or not np.isfinite(core).all() for core in cores):
        raise ModelFileError("its cores are not finite numbers in double precision")
    state = TreeState(sites, cores)
    state.check()
    return state
