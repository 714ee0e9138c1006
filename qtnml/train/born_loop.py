"""The loop over sweeps of a Born machine: validation, the best state, checkpoints."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born import TreeState, log_likelihood, mean_nll
from qtnml.born.edges import Batch
from qtnml.errors import ModelFileError, TrainingError
from qtnml.storage import CHECKPOINT, load_archive, save_archive
from qtnml.structure.sites import Sites
from qtnml.train.born_sweeps import BornSweepOptions, sweep_state
from qtnml.train.checkpoint import Checkpoint
from qtnml.train.fingerprint import fingerprint
from qtnml.train.records import EpochRecord, drawn_by_weight

_LAST_ANGLE = 0.1  # of the first
_PROGRESS = 1e-6  # nats: a smaller fall of the NLL is none
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


@dataclass(frozen=True)
class _Progress:
    state: TreeState
    best: TreeState
    rng_state: dict[str, Any]
    history: tuple[EpochRecord, ...] = ()
    best_epoch: int = -1
    best_score: float = float("inf")
    improved: int = 0


def train_born(
    state: TreeState,
    data: Strings,
    training: BornTraining,
    rng: np.random.Generator,
    *,
    validation: Strings | None = None,
    on_epoch: Callable[[EpochRecord, TreeState], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> BornResult:
    """Train a state on strings; the best by validation NLL, or the last, is kept.

    Ctrl-C returns the best so far, or is passed on if no epoch has finished. With a checkpoint a killed
    run goes on bit for bit after its last whole epoch.

    Raises:
        TrainingError: The state is not finite after the first epoch.
        ModelFileError: The checkpoint to resume from is damaged or of another run.
    """
    progress = _Progress(state, state, dict(rng.bit_generator.state))
    identity = ""
    if checkpoint is not None:
        held_out = () if validation is None else (validation.X, validation.weights)
        identity = fingerprint("born", state.sites, state.cores, (data.X, data.weights), training, held_out)
        progress = _restored(checkpoint, progress, identity, training.epochs)
        rng.bit_generator.state = progress.rng_state
    before = progress.history[-1].seconds if progress.history else 0.0
    began, stopped = time.perf_counter() - before, "finished"
    try:
        while len(progress.history) < training.epochs:
            epoch = len(progress.history)
            if training.patience is not None and epoch - 1 - progress.improved >= training.patience:
                stopped = "early"
                break
            state, nll = _epoch(progress, data, training, rng)
            if not np.isfinite(nll) or not all(np.isfinite(core).all() for core in state.cores):
                stopped = "diverged"
                break
            held = None if validation is None else validation.nll(state)
            record = EpochRecord(epoch + 1, nll, None, held, None, time.perf_counter() - began)
            progress = replace(
                progress,
                state=state,
                rng_state=dict(rng.bit_generator.state),
                history=(*progress.history, record),
            )
            # Without held-out strings NLLs of different batches are not comparable: the last state is kept.
            if held is None or held < progress.best_score:
                progress = replace(progress, best=state, best_epoch=epoch)
            if record.score < progress.best_score - _PROGRESS:
                progress = replace(progress, best_score=record.score, improved=epoch)
            if on_epoch is not None:
                on_epoch(record, state)
            if checkpoint is not None and (
                (epoch + 1) % checkpoint.every == 0 or epoch + 1 == training.epochs
            ):
                _save(checkpoint, progress, identity)
    except KeyboardInterrupt:
        if not progress.history:  # nothing was learnt
            raise
        stopped = "interrupted"
    if stopped == "diverged" and not progress.history:
        raise TrainingError(
            "the state is not finite after the first epoch; lower the learning rate "
            f"({training.learning_rate:g})"
        )
    # What rounding made of orthonormal rows in many steps is put right.
    best = TreeState.canonical(progress.best.sites, progress.best.cores)
    return BornResult(best, progress.history, progress.best_epoch, stopped)


def _epoch(
    progress: _Progress, data: Strings, training: BornTraining, rng: np.random.Generator
) -> tuple[TreeState, float]:
    """One sweep on a batch; mean NLL of its strings after it."""
    number = len(progress.history)
    options = BornSweepOptions(
        training.max_bond,
        training.cutoff,
        training.steps,
        training.rate(number),
        training.sites(number),
        training.precision,
    )
    if len(data.X) > training.batch_size:
        data = data.drawn(training.batch_size, rng)
    state, swept = sweep_state(progress.state, data.batch(progress.state.sites), data.weights, options)
    return state, swept.nll


def _save(checkpoint: Checkpoint, progress: _Progress, identity: str) -> None:
    arrays = {f"state_{k}": core for k, core in enumerate(progress.state.cores)}
    arrays |= {f"best_{k}": core for k, core in enumerate(progress.best.cores)}
    header = {
        "fingerprint": identity,
        "rng_state": progress.rng_state,
        "history": [list(record) for record in progress.history],
        "best_epoch": progress.best_epoch,
        "best_score": progress.best_score,
        "improved": progress.improved,
    }
    save_archive(checkpoint.path, header, arrays, kind=CHECKPOINT)


def _check_history(history: tuple[EpochRecord, ...], header: dict[str, Any], epochs: int) -> None:
    numbers = [value for record in history for value in record if value is not None]
    numbers += [record.seconds for record in history] + [header["best_score"]]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers):
        raise ModelFileError("its history is not made of numbers")
    places = (header["best_epoch"], header["improved"])
    if not 0 < len(history) <= epochs or not all(type(k) is int and 0 <= k < len(history) for k in places):
        raise ModelFileError("its epochs are not those of this run")


def _restored(checkpoint: Checkpoint, fresh: _Progress, identity: str, epochs: int) -> _Progress:
    """The saved state; the fresh one if nothing is to be resumed."""
    if not checkpoint.path.exists():
        return fresh
    header, arrays = load_archive(checkpoint.path, kind=CHECKPOINT)  # only a checkpoint may be written over
    if not checkpoint.resume:
        return fresh
    if header.get("fingerprint") != identity:
        raise ModelFileError(
            f"the checkpoint {checkpoint.path} belongs to a run with other data, model or settings; resume "
            "with the same ones, or delete it or choose another path to start anew"
        )
    try:
        sites = fresh.state.sites
        np.random.default_rng().bit_generator.state = header["rng_state"]
        history = tuple(EpochRecord(*record) for record in header["history"])
        _check_history(history, header, epochs)
        return _Progress(
            stored_state(sites, arrays, "state"),
            stored_state(sites, arrays, "best"),
            header["rng_state"],
            history,
            int(header["best_epoch"]),
            float(header["best_score"]),
            int(header["improved"]),
        )
    except Exception as error:  # whatever a damaged file makes the parts above raise
        raise ModelFileError(
            f"the checkpoint {checkpoint.path} does not fit this run: {error}; delete it to start anew"
        ) from error


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
