"""How Born machines learn: the first state, the starts, the training run."""

import os
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from sklearn.base import DensityMixin
from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.born.markov import MarkovTree, cut, markov_parents
from qtnml.born.reconnection import reconnected
from qtnml.contract.layout import middle
from qtnml.data.table_encoder import TableEncoder
from qtnml.errors import (
    IndependentColumnsWarning,
    InvalidInputError,
    TrainingInterruptedWarning,
    warn_user,
)
from qtnml.models.born_settings import check_born_settings
from qtnml.models.level_input import LevelInput, strings_of
from qtnml.models.progress import each_epoch
from qtnml.models.validation import generator
from qtnml.progress import progress_bar
from qtnml.structure import Sites, Tree
from qtnml.train import Callback, Checkpoint, EpochRecord
from qtnml.train.born_gradient import train_born_by_gradient
from qtnml.train.born_loop import BornResult, Strings, train_born
from qtnml.train.born_structure import GreedyGrowth, GrowthRecord, grow_bonds
from qtnml.train.ladder import Ladder
from qtnml.train.mixture import best_cuts
from qtnml.train.sweep_loop import SweepTraining

_AUTO_EPOCHS, _AUTO_EDGES, _MOST_AUTO_EPOCHS, _AUTO_STEPS = 30, 3000, 300, 600
_MOST_AUTO_COMPLEX = 32
_AUTO_PATIENCE = 20
_AUTO_GRADIENT_BATCH = 250
_LEAST_AUTO_BATCH, _MOST_SWEEP_BYTES = 4096, 2**30
_MARKOV_NOISE = (
    0.05  # norm of a row's noise, so that starts differ and complex amplitudes leave the real ones
)


class Labels(NamedTuple):
    """The classes of labelled samples.

    Attributes:
        number: Of classes.
        discriminative: Weight of the cross-entropy in the loss, see `BornClassifier`.
    """

    number: int
    discriminative: float = 0.0

    def beside(self, sites: Sites) -> Sites:
        """Sites with one more for the class, the last, at the node in the middle of the tree."""
        tree, leaf = sites.tree, sites.tree.num_leaves
        at = middle(tree)
        nodes = tuple(
            (*(wire + (wire >= leaf) for wire in wires), *((leaf,) if k == at else ()))
            for k, wires in enumerate(tree.nodes)
        )
        return Sites((*sites.dims, self.number), Tree(leaf + 1, nodes))


class LearntDensity(DensityMixin, LevelInput):
    """Learns a state from samples; the settings are those of `MPSBornMachine` and `TreeBornMachine`."""

    state_: TreeState
    history_: list[EpochRecord]
    growth_: list[GrowthRecord]
    independent_nll_: float
    nll_: float

    def __init__(
        self,
        max_bond: int = 32,
        *,
        encoder: TableEncoder | None = None,
        order: Sequence[int] | Literal["mutual-information"] | None = None,
        method: Literal["sweeps", "gradient", "greedy"] = "sweeps",
        complex_amplitudes: bool | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 0.05,
        cutoff: float = 1e-9,
        steps: int = 1,
        init: Literal["markov", "product"] = "markov",
        init_bond: int = 4,
        smoothing: float = 0.0,
        precision: Literal["single", "double"] = "single",
        validation_fraction: float = 0.1,
        patience: int | None = None,
        n_init: int = 1,
        warm_start: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
        resume: bool = False,
        devices: int | None = None,
        callback: Callback | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.max_bond = max_bond
        self.encoder = encoder
        self.order = order
        self.method = method
        self.complex_amplitudes = complex_amplitudes
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.cutoff = cutoff
        self.steps = steps
        self.init = init
        self.init_bond = init_bond
        self.smoothing = smoothing
        self.precision = precision
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.n_init = n_init
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.resume = resume
        self.devices = devices
        self.callback = callback
        self.random_state = random_state
        self.verbose = verbose

    @abstractmethod
    def sites_for(self, data: Strings, dims: tuple[int, ...]) -> Sites:
        """The network for strings of so many levels."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = tags.input_tags.string = self.encoder is not None
        return tags

    def fit(
        self,
        X: Any,
        y: Any = None,  # noqa: ARG002
        sample_weight: Any = None,
        *,
        validation: Any = None,
    ) -> Self:
        """Learn the distribution of samples X (samples, features).

        Rows with missing values (NaN) are left out, with a warning. Ctrl-C ends training with the best
        state so far.

        Args:
            X: Bits 0 and 1; with `encoder=TableEncoder()` any table.
            y: Ignored.
            sample_weight: (samples,), how often each row counts.
            validation: Samples by which the best state is chosen; by default a share of X, see
                `validation_fraction`.

        Raises:
            InvalidInputError: Data or parameters that cannot be used; nothing learnt before is lost.
        """
        check_born_settings(self)
        rng = generator(self.random_state)
        encoder, levels, weights, split = self.encoded_split(X, sample_weight, rng, held_out=validation)
        self.learn(encoder, levels, weights, split, rng)
        self.remember_features(X, levels.shape[1])
        return self

    def learn(
        self,
        encoder: TableEncoder | None,
        levels: NDArray,
        weights: NDArray,
        split: tuple[NDArray, NDArray],
        rng: np.random.Generator,
        labels: Labels | None = None,
    ) -> None:
        """Learn from levels; with `labels` the last column is a class, whose site is at the tree's middle."""
        kept, held = split
        columns = levels.shape[1] - (labels is not None)
        dims = (2,) * columns if encoder is None else encoder.site_dims_
        training = strings_of(encoder, levels[kept], weights[kept])
        validation = strings_of(encoder, levels[held], weights[held]) if len(held) else None
        sites = self.sites_for(training.columns(columns), dims)
        if labels is not None:
            sites, dims = labels.beside(sites), (*dims, labels.number)
        independent = _independent(sites, training)
        training = training.smoothed(dims, float(self.smoothing), rng)
        share = 0.0 if labels is None else labels.discriminative
        result, growth = self._best_of_starts(sites, training, validation, rng, share)
        result = self._reconnected(result, training, validation, rng, share)
        result = replace(result, state=training.widened(result.state))
        baseline = (training if validation is None else validation).nll(independent)
        has_bonds = max(result.state.bond_dims, default=1) > 1
        if validation is not None and not share and has_bonds and baseline < result.score:
            # Nothing that was learnt explains new rows better than columns on their own.
            warn_user(
                f"independent columns explain the held-out rows best ({baseline:.4g} nats, what was trained "
                f"{result.score:.4g}) and are kept; there may be too few rows to learn more from",
                IndependentColumnsWarning,
            )
            kept_state = _like(independent, result.state)
            result = replace(result, state=kept_state, best_epoch=-1, score=baseline)
        if growth is not None:
            self.growth_ = growth
        elif hasattr(self, "growth_"):
            del self.growth_  # of an earlier fit
        self.encoder_, self.state_ = encoder, result.state
        self.history_, self.best_epoch_ = list(result.history), result.best_epoch
        self.n_iter_, self.stopped_ = len(result.history), result.stopped
        self.independent_nll_, self.nll_ = baseline, result.score
        self.n_features_in_ = columns
        self.notes_: dict[str, Any] = {}

    def _best_of_starts(
        self,
        sites: Sites,
        training: Strings,
        validation: Strings | None,
        rng: np.random.Generator,
        discriminative: float,
    ) -> tuple[BornResult, list[GrowthRecord] | None]:
        """Train from `n_init` starts; each has a generator of its own, so that a killed run can go on.

        With `warm_start` there is one, the last state. Ctrl-C keeps the starts that are done.
        """
        going_on = self.warm_start and hasattr(self, "state_")
        found: list[tuple[BornResult, list[GrowthRecord] | None]] = []
        inits = [str(self.init)] * (1 if going_on else int(self.n_init))
        if training.is_smooth and validation is not None and not going_on and self.init == "markov":
            inits.append("product")  # smooth amplitudes may change their sign, those of a Markov tree do not
        for number, (init, own) in enumerate(zip(inits, rng.spawn(len(inits)), strict=True)):
            start = training.narrowed(self._start(sites, training, own, number, init))
            if training.is_smooth and validation is not None and init == "markov" and not going_on:
                start = best_cuts([start], np.ones(1), validation)[0]
            checkpoint = self.checkpoint_of(number)
            try:
                found.append(self._trained(start, training, validation, own, checkpoint, discriminative))
            except KeyboardInterrupt:  # before the first epoch of this start was over
                if not found:
                    raise
                warn_user(
                    f"training was interrupted in start {number + 1} of {len(inits)}; the best of those "
                    "before it was kept",
                    TrainingInterruptedWarning,
                )
                break
            if found[-1][0].stopped in ("interrupted", "callback"):
                break
        return min(found, key=lambda pair: pair[0].score)

    def _start(
        self, sites: Sites, data: Strings, rng: np.random.Generator, number: int, init: str
    ) -> TreeState:
        """The state that the number-th start begins at."""
        if self.warm_start and hasattr(self, "state_"):
            if self.state_.sites != sites:
                raise InvalidInputError(
                    f"warm_start goes on with a state of {self.state_.tree.num_leaves} sites on another "
                    f"tree than these data and settings describe ({len(sites.dims)} sites); set "
                    "warm_start=False"
                )
            return self.state_
        is_markov = init == "markov" and self.max_bond > 1 and markov_parents(sites.tree) is not None
        is_complex = self.complex_amplitudes
        if is_complex is None:
            few = len(sites.dims) <= _MOST_AUTO_COMPLEX
            is_complex = few and (self.method == "gradient" or not is_markov)
        if is_markov:
            tree = MarkovTree.of(sites, data.X, data.weights, rows=data.rows, numbers=data.numbers)
            state = cut(tree.state(sites), int(self.max_bond))
            if self.method == "gradient":
                return state.with_noise(rng, bond_dim=int(self.max_bond), is_complex=bool(is_complex))
            return self.start_from(state, rng, anew=number > 0)
        bond = min(int(self.init_bond), int(self.max_bond))
        if self.method == "gradient":
            bond = int(self.max_bond)
        elif self.method == "greedy":
            # Across a node without sites of its own one bond alone cannot carry anything.
            alone = all(any(map(sites.tree.is_leaf, wires)) for wires in sites.tree.nodes)
            bond = 1 if alone else min(2, bond)
        vectors = _marginal_amplitudes(sites, data)
        if bond > 1:
            return TreeState.near_product(sites, vectors, bond, rng, is_complex=bool(is_complex))
        return TreeState.product(sites, [v.astype(np.complex128) for v in vectors] if is_complex else vectors)

    def start_from(self, state: TreeState, rng: np.random.Generator, *, anew: bool = False) -> TreeState:
        """A state to begin sweeps at: with noise, if it is `anew` or amplitudes are to be complex."""
        if not (anew or self.complex_amplitudes):
            return state
        return state.with_noise(rng, spread=_MARKOV_NOISE, is_complex=bool(self.complex_amplitudes))

    def sweep_training(self, start: TreeState, *, held_out: bool) -> SweepTraining:
        """How sweeps go on from a state, with or without held-out strings."""
        edges, epochs = len(start.tree.nodes) - 1, self.epochs
        batch, ladder = self._sweep_batch(start), None
        if held_out and self.method == "sweeps":
            ladder = Ladder.to(int(self.max_bond), max((2, *start.bond_dims)))
            if epochs is not None:
                ladder = replace(ladder, sweeps=max(1, int(epochs) // len(ladder.bonds)))
            if self.patience is not None:
                ladder = replace(ladder, patience=int(self.patience))
            epochs = ladder.most_sweeps if epochs is None else epochs
        if epochs is None:
            epochs = min(_MOST_AUTO_EPOCHS, max(_AUTO_EPOCHS, -(-_AUTO_EDGES // max(edges, 1))))
        return SweepTraining(
            epochs=int(epochs),
            max_bond=int(self.max_bond),
            batch_size=batch,
            learning_rate=float(self.learning_rate),
            cutoff=float(self.cutoff),
            steps=int(self.steps),
            patience=None if ladder is not None else self._patience(held_out=held_out),
            precision=self.precision,
            ladder=ladder,
        )

    def _sweep_batch(self, start: TreeState) -> int:
        """Samples of a sweep: all of them, where their vectors fit in a gigabyte."""
        if self.batch_size is not None:
            return int(self.batch_size)
        each = 4 * sum(min(int(self.max_bond), most) for most in start.sites.largest_bonds)
        return max(_LEAST_AUTO_BATCH, _MOST_SWEEP_BYTES // each)

    def _patience(self, *, held_out: bool, steps: int = 10) -> int | None:
        """Epochs, where one has so many steps."""
        if self.patience is not None:
            return int(self.patience)
        return max(_AUTO_PATIENCE, 10 * _AUTO_PATIENCE // steps) if held_out and self.epochs is None else None

    def _trained(
        self,
        start: TreeState,
        data: Strings,
        validation: Strings | None,
        rng: np.random.Generator,
        checkpoint: Checkpoint | None,
        discriminative: float = 0.0,
    ) -> tuple[BornResult, list[GrowthRecord] | None]:
        """The result, and with method="greedy" how bonds grew."""
        if self.method == "gradient":
            return self._by_gradient(start, data, validation, rng, checkpoint, discriminative), None
        held_out = validation is not None
        training, growth = self.sweep_training(start, held_out=held_out), None
        if self.method == "greedy":
            with progress_bar("growth", GreedyGrowth().rounds, show=bool(self.verbose)) as advance:
                start, records, interrupted = grow_bonds(
                    start,
                    data,
                    data if validation is None else validation,
                    training,
                    GreedyGrowth(),
                    rng,
                    lambda r: advance(
                        r.round,
                        f"NLL {r.nll:.3f}, held out {r.validation_nll:.3f}, bonds to {r.largest_bond}",
                    ),
                )
            growth = list(records)
            if interrupted:
                history = tuple(
                    EpochRecord(r.round, r.nll, None, r.validation_nll, None, 0.0) for r in growth
                )
                best = int(np.argmin([record.score for record in history]))
                ended = BornResult(start, history, best, "interrupted", history[best].score)
                return self._warned(ended, GreedyGrowth().rounds), growth
            training = replace(training, max_bond=tuple(start.bond_dims), one_site_share=1.0)
        with progress_bar(str(self.method), training.epochs, show=bool(self.verbose)) as advance:
            result = train_born(
                start,
                data,
                training,
                rng,
                validation=validation,
                callback=each_epoch(advance, "NLL", self.callback),
                checkpoint=checkpoint,
            )
        return self._warned(result, training.epochs), growth

    def _by_gradient(
        self,
        start: TreeState,
        data: Strings,
        validation: Strings | None,
        rng: np.random.Generator,
        checkpoint: Checkpoint | None,
        discriminative: float,
    ) -> BornResult:
        batch = _AUTO_GRADIENT_BATCH if self.batch_size is None else int(self.batch_size)
        steps = -(-len(data.X) // batch)
        epochs = max(_AUTO_EPOCHS, -(-_AUTO_STEPS // steps)) if self.epochs is None else int(self.epochs)
        with progress_bar("gradient", epochs, show=bool(self.verbose)) as advance:
            result = train_born_by_gradient(
                start,
                data,
                rng,
                epochs=epochs,
                batch_size=batch,
                learning_rate=float(self.learning_rate),
                patience=self._patience(held_out=validation is not None, steps=steps),
                precision=self.precision,
                devices=self.devices,
                validation=validation,
                callback=each_epoch(advance, "loss" if discriminative else "NLL", self.callback),
                checkpoint=checkpoint,
                discriminative=discriminative,
            )
        return self._warned(result, epochs)

    def _rounds(self) -> int:
        """Rounds of reconnection."""
        return 0

    def _reconnected(
        self,
        result: BornResult,
        training: Strings,
        validation: Strings | None,
        rng: np.random.Generator,
        discriminative: float,
    ) -> BornResult:
        """Trained further on trees whose bonds carry less entanglement, as long as that gains."""
        for number, own in enumerate(rng.spawn(self._rounds())):
            found = reconnected(result.state, max(result.state.bond_dims, default=1))
            if not found.moves or result.stopped in ("interrupted", "callback"):
                break
            checkpoint = self.checkpoint_of(number, "reconnect")
            again, _ = self._trained(found.state, training, validation, own, checkpoint, discriminative)
            if not again.score < result.score:
                break
            kept = again.best_epoch < 0  # what was paired anew explains held-out rows best as it is
            best = result.best_epoch if kept else len(result.history) + again.best_epoch
            result = replace(again, history=(*result.history, *again.history), best_epoch=best)
        return result

    def checkpoint_of(self, number: int, part: str = "") -> Checkpoint | None:
        """Of the number-th start, or round of a part; those but the first start have files of their own."""
        if self.checkpoint is None:
            return None
        path = Path(self.checkpoint)
        path = path.with_name(f"{path.name}.{part}{number}") if number or part else path
        return Checkpoint(path, int(self.checkpoint_every), bool(self.resume))

    def _warned(self, result: BornResult, epochs: int) -> BornResult:
        warn_if_stopped(result.stopped, len(result.history), epochs)
        return result

    @property
    def bond_dims_(self) -> tuple[int, ...]:
        """Dimension of the bond above each node but the root."""
        check_is_fitted(self, "state_")
        return self.state_.bond_dims


def _marginal_amplitudes(sites: Sites, data: Strings) -> list[NDArray]:
    """Square roots of the frequencies of each site's levels, none of them 0."""
    vectors = []
    for site, dim in enumerate(sites.dims):
        counts = np.bincount(data.X[:, site], data.weights, dim) + 0.5 / len(data.X)
        vectors.append(np.sqrt(counts / counts.sum()))
    return vectors


def _independent(sites: Sites, data: Strings) -> TreeState:
    """Every column on its own."""
    return TreeState.product(sites, _marginal_amplitudes(sites, data))


def _like(state: TreeState, other: TreeState) -> TreeState:
    """With amplitudes of the kind another state has."""
    if not other.is_complex:
        return state
    return TreeState(state.sites, tuple(core.astype(np.complex128) for core in state.cores))


def warn_if_stopped(stopped: str, done: int, epochs: int) -> None:
    """Warn where training was interrupted or diverged."""
    if stopped in ("interrupted", "diverged"):
        warn_user(
            f"training {'was interrupted' if stopped == 'interrupted' else 'diverged'} after {done} of "
            f"{epochs} epochs; the best state so far was kept",
            TrainingInterruptedWarning,
        )
