"""The loop over sweeps of a Born machine: validation, the best state, checkpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born import TreeState, log_likelihood, mean_nll
from qtnml.contract.environments import Batch, Environments
from qtnml.errors import ModelFileError
from qtnml.structure.information import effective_rows, predictive_information
from qtnml.structure.sites import Sites
from qtnml.train.checkpoint import Checkpoint, Progress
from qtnml.train.fingerprint import fingerprint
from qtnml.train.fit_loop import Callback, fit_loop
from qtnml.train.objectives import LogLikelihood
from qtnml.train.records import EpochRecord, drawn_by_weight
from qtnml.train.sweep_loop import SweepStep, SweepTraining
from qtnml.train.sweeps import Cores, SweepOptions, Swept, sweep

_MERGED = 12  # cells that say enough of whether two columns depend on each other
_COPIES = 1000  # of strings, at least, to smooth their distribution


@dataclass(frozen=True)
class Strings:
    """Samples: levels (samples, sites) as integers, and weights (samples,) of sum 1.

    Attributes:
        X, weights: See above.
        rows: Independent rows they stand for; by default as many as there are samples.
        numbers: Of each site the number that each of its levels stands for, (levels,), or None where they
            are categories; empty where all are.
        maps: Of each site orthonormal columns (levels, functions) that amplitudes are sums of, or None; empty
            where there are none. States on sites of so many functions are trained on vectors: the rows of the
            map that belong to the samples' levels.
    """

    X: NDArray
    weights: NDArray
    rows: float = 0.0
    numbers: tuple[NDArray | None, ...] = ()
    maps: tuple[NDArray | None, ...] = ()
    _batches: dict[Sites, Batch] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.rows:
            object.__setattr__(self, "rows", float(len(self.X)))

    @classmethod
    def of(
        cls,
        X: NDArray,
        weights: NDArray,
        numbers: tuple[NDArray | None, ...] = (),
        maps: tuple[NDArray | None, ...] = (),
    ) -> "Strings":
        """Equal strings as one of their summed weight, in a canonical order."""
        unique, inverse = np.unique(X, axis=0, return_inverse=True)
        summed = np.bincount(inverse.ravel(), weights=weights, minlength=len(unique))
        return cls(unique, summed / summed.sum(), effective_rows(weights), numbers, maps)

    def smoothed(self, dims: Sequence[int], share: float, rng: np.random.Generator) -> "Strings":
        """With noisy copies of strings, which weigh `share` of the whole: no neighbour stays impossible.

        A copy has each site drawn anew with probability 2 / sites, from a distribution that is half the
        frequencies of the site and half uniform.
        """
        if not share:
            return self
        number = max(_COPIES, len(self.X))
        copies = self.X[rng.choice(len(self.X), number, p=self.weights)]
        for site, dim in enumerate(dims):
            distribution = np.bincount(self.X[:, site], self.weights, dim) + 1 / dim
            anew = rng.random(number) < min(1.0, 2 / len(dims))
            copies[anew, site] = rng.choice(dim, int(anew.sum()), p=distribution / distribution.sum())
        weights = np.concatenate([(1 - share) * self.weights, np.full(number, share / number)])
        mixed = Strings.of(np.concatenate([self.X, copies]), weights, self.numbers, self.maps)
        return replace(mixed, rows=self.rows)

    def weighed(self, weights: NDArray) -> "Strings":
        """The same strings with other weights, (samples,), which say how much of each is meant.

        What was sorted for them is shared.
        """
        total = float(weights.sum())
        rows = max(1.0, self.rows * total)
        return replace(self, weights=weights / total, rows=rows, _batches=self._batches)

    def information(self, dims: Sequence[int]) -> NDArray:
        """What sites know about each other: see `predictive_information`. Cells of functions are merged."""
        X, dims, numbers = self.X, list(dims), list(self.numbers)
        for site, map_ in enumerate(self.maps):
            if map_ is None:
                continue
            merged = _merged(map_)
            if X is self.X:
                X = X.copy()
            X[:, site], dims[site] = merged[X[:, site]], int(merged[-1]) + 1
            if (own := numbers[site]) is not None:
                numbers[site] = np.bincount(merged, own) / np.bincount(merged)
        return predictive_information(X, dims, self.weights, rows=self.rows, numbers=numbers)

    def columns(self, count: int) -> "Strings":
        """The first sites alone."""
        return Strings(self.X[:, :count], self.weights, self.rows, self.numbers[:count], self.maps[:count])

    def drawn(self, size: int, rng: np.random.Generator) -> "Strings":
        """A batch that stands for all of them, drawn in proportion to the weights: see `drawn_by_weight`."""
        counts = drawn_by_weight(self.weights, size, rng)
        return Strings(self.X[counts > 0], counts[counts > 0] / counts.sum(), maps=self.maps)

    def batch(self, sites: Sites) -> Batch:
        """As training takes them; kept, so that sweeps over the same strings sort them once."""
        if self._batches.get(sites) is None:
            columns = [np.ascontiguousarray(column) for column in self.X.T]
            for site, map_ in self._mapped(sites):
                columns[site] = map_[columns[site]]
            self._batches[sites] = Batch(sites.tree, columns, sites.dims)
        return self._batches[sites]

    def _mapped(self, sites: Sites) -> list[tuple[int, NDArray]]:
        """Sites that stand for functions of levels instead of levels, and their maps."""
        found = [(site, map_) for site, map_ in enumerate(self.maps) if map_ is not None]
        return [(site, map_) for site, map_ in found if map_.shape[1] == sites.dims[site]]

    @property
    def is_smooth(self) -> bool:
        """Whether some sites stand for functions."""
        return any(map_ is not None for map_ in self.maps)

    def narrowed(self, state: TreeState) -> TreeState:
        """A state on levels as one on the functions of its sites: what is no sum of them is left out."""
        return _with_maps(state, [None if map_ is None else map_.T for map_ in self.maps])

    def widened(self, state: TreeState) -> TreeState:
        """The inverse of `narrowed`, exactly."""
        return _with_maps(state, self.maps)

    def log_likelihood(self, sites: Sites, cores: Cores) -> NDArray:
        """ln P of the strings under canonical cores, nats, in double precision.

        As sweeps contract them: without a compilation for every new size of a bond.
        """
        dtype = np.dtype(np.complex128 if any(map(np.iscomplexobj, cores)) else np.float64)
        return 2 * Environments(cores, self.batch(sites), dtype).log_amplitudes()

    def nll_of_cores(self, sites: Sites, cores: Cores) -> float:
        """Weighted mean negative log-likelihood in nats under canonical cores; see `mean_nll`."""
        return mean_nll(self.log_likelihood(sites, cores), self.weights, sites.tree.num_leaves)

    def nll(self, state: TreeState) -> float:
        """Weighted mean negative log-likelihood in nats; see `qtnml.born.mean_nll`."""
        if self._mapped(state.sites):
            return self.nll_of_cores(state.sites, state.cores)
        return mean_nll(np.asarray(log_likelihood(state, self.X)), self.weights, state.tree.num_leaves)


def _merged(map_: NDArray) -> NDArray:
    """For each level its number once cells are merged to a few; values with functions of their own stay."""
    alone = int((map_.max(axis=1) == 1.0).sum())
    cells = len(map_) - alone
    return np.concatenate([np.arange(alone), alone + np.arange(cells) * min(cells, _MERGED) // cells])


def _with_maps(state: TreeState, maps: Sequence[NDArray | None]) -> TreeState:
    """A state whose sites are multiplied by matrices (new, old)."""
    if all(matrix is None for matrix in maps):
        return state
    cores, dims = list(state.cores), list(state.sites.dims)
    for site, matrix in enumerate(maps):
        if matrix is None:
            continue
        node = state.tree.node_of_leaf[site]
        axis = 1 + state.tree.nodes[node].index(site)
        cores[node] = np.moveaxis(np.tensordot(cores[node], matrix, (axis, 1)), -1, axis)
        dims[site] = len(matrix)
    return TreeState.canonical(Sites(tuple(dims), state.tree), cores)


@dataclass(frozen=True)
class BornResult:
    """The best state, how training went (see `TrainingResult`), and the state's score.

    Attributes:
        state, history, best_epoch, stopped: See above; the index of the best epoch is -1 where the state that
            training started from explains held-out strings best.
        score: NLL in nats of held-out strings, or else of training.
    """

    state: TreeState
    history: tuple[EpochRecord, ...]
    best_epoch: int
    stopped: str
    score: float


def train_born(
    state: TreeState,
    data: Strings,
    training: SweepTraining,
    rng: np.random.Generator,
    *,
    validation: Strings | None = None,
    callback: Callback | None = None,
    checkpoint: Checkpoint | None = None,
) -> BornResult:
    """Train a state on strings by sweeps: see `fit_loop`."""
    dtype = np.dtype(np.float32 if training.precision == "single" else np.float64)
    if len(state.tree.nodes) == 1 and not data.is_smooth:  # the best state is known
        state = TreeState(state.sites, (frequencies(state.sites, data, state.cores[0]),))
    progress = Progress(state.cores, None, state.cores, dict(rng.bit_generator.state), np.zeros(0))
    start = np.inf if validation is None else validation.nll_of_cores(state.sites, state.cores)
    if np.isfinite(start):
        progress = replace(progress, best_score=start)
    identity = ""
    if checkpoint is not None:
        held_out = () if validation is None else (validation.X, validation.weights)
        identity = fingerprint("born", state.sites, state.cores, (data.X, data.weights), training, held_out)

    def check(cores: Any) -> None:
        TreeState(state.sites, tuple(cores)).check()

    progress, stopped = fit_loop(
        SweepStep(LawTask(state.sites, data, validation, dtype), training, start),
        progress,
        epochs=training.epochs,
        patience=training.patience,
        callback=callback,
        checkpoint=None if checkpoint is None else replace(checkpoint, check=check),
        identity=identity,
    )
    # What rounding made of orthonormal rows in many steps is put right.
    best = TreeState.canonical(state.sites, progress.best)
    score = progress.best_score
    if np.isinf(score):  # batches of training cannot be compared: the last one counts
        score = progress.history[progress.best_epoch].score
    return BornResult(best, progress.history, progress.best_epoch, stopped, score)


@dataclass(frozen=True)
class LawTask:
    """Sweeps of a Born machine: a `Task`."""

    sites: Sites
    data: Strings
    validation: Strings | None
    dtype: np.dtype[Any]

    def __len__(self) -> int:
        return len(self.data.X)

    def batch(self, size: int, rng: np.random.Generator) -> tuple[Batch, LogLikelihood]:
        """See `Task`."""
        data = self.data if len(self) <= size else self.data.drawn(size, rng)
        return data.batch(self.sites), LogLikelihood(data.weights.astype(self.dtype))

    def measured(self, swept: Swept, objective: LogLikelihood) -> tuple[float, float | None]:
        """See `Task`: mean NLL in nats."""
        return nll_of_sweep(swept, objective.weights, len(self.sites.dims)), None

    def held_out(self, cores: Cores) -> tuple[float | None, float | None]:
        """See `Task`."""
        if self.validation is None:
            return None, None
        return self.validation.nll_of_cores(self.sites, cores), None


def sweep_state(state: TreeState, data: Strings, options: SweepOptions) -> tuple[TreeState, float, float]:
    """One sweep: the state after it, the mean NLL of its strings in nats, and the largest norm that was cut.

    Args:
        state: To improve.
        data: The same object for the same strings saves sorting them again.
        options: How to sweep.
    """
    dtype = np.float32 if options.precision == "single" else np.float64
    objective = LogLikelihood(data.weights.astype(dtype))
    swept = sweep(state.cores, data.batch(state.sites), objective, options)
    nll = nll_of_sweep(swept, data.weights, len(state.sites.dims))
    return TreeState(state.sites, swept.cores), nll, swept.dropped


def nll_of_sweep(swept: Swept, weights: NDArray, num_sites: int) -> float:
    """Mean NLL in nats of a sweep's strings."""
    with np.errstate(divide="ignore"):
        logs = swept.logs + np.log(np.abs(swept.amplitudes[:, 0]))
    return mean_nll(2 * logs, weights, num_sites)


def frequencies(sites: Sites, data: Strings, core: NDArray) -> NDArray:
    """The core of a state of one node whose distribution is that of the data."""
    wires = sites.tree.nodes[0]
    flat = np.ravel_multi_index(tuple(data.X[:, w] for w in wires), tuple(sites.dims[w] for w in wires))
    return np.sqrt(np.bincount(flat, data.weights, core.size)).reshape(core.shape).astype(core.dtype)


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
