"""`MPSBornMachine`, `TreeBornMachine`: networks whose squared amplitudes are the distribution of the data."""

import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from qtnml.born import TreeState
from qtnml.data.table_encoder import TableEncoder
from qtnml.errors import InvalidInputError
from qtnml.models.born_machine import BornMachine
from qtnml.states import State
from qtnml.states.chains import chain_of
from qtnml.structure import Sites, Tree, balanced, chain, chow_liu, dependence_tree
from qtnml.structure.information import seriation
from qtnml.train import Callback
from qtnml.train.born_loop import Strings


class MPSBornMachine(BornMachine):
    """Matrix product state whose squared amplitudes are the distribution of the data (arXiv:1709.01662).

    A density estimator as scikit-learn has them: `fit`, `score_samples`, `score`, `sample`; and exactly:
    likelihoods and samples of any features given any others, most probable completions, and a circuit that
    draws samples on V + 1 qubits.

    Args:
        max_bond: Largest bond dimension; where rows are held out, training ends at the best.
        encoder: None for bits; a `TableEncoder` for categories, numbers and mixed tables.
        order: Features along the chain: as they come, a permutation, or "mutual-information", which
            brings together what knows about each other.
        method: "sweeps" over pairs of cores, whose bonds adapt to the data; "gradient", all cores at once
            (Riemannian Adam) at bond `max_bond`; "greedy" raises bonds one by one where a trial gains
            most, until held-out data are no longer better explained (arXiv:2008.05437).
        complex_amplitudes: Complex instead of real amplitudes: twice the numbers, and fewer local minima
            where training starts at noise. None takes them for up to 32 features where it does: for a
            gradient, and from a product.
        epochs: The most sweeps, or passes over the samples. With held-out rows sweeps raise the bonds step by
            step from 2 to `max_bond` (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, ...) and end at the first that
            explains those rows no better; None takes 8 on each step, a number is shared out evenly. Where
            nothing is held out, and for a gradient, all have bonds up to `max_bond`, and None takes 30, or
            more where features (for a gradient: samples) are few.
        batch_size: Samples of a sweep (by default what fits in a gigabyte, 4,096 at least), or of a gradient
            step (250). A sweep holds 4 bytes for each sample of its batch, feature and bond dimension: small
            batches are remembered, large ones take memory (20,000 samples of 784 at bond 100: 6 GB).
        learning_rate: Largest angle of a step in radians; falls along a half cosine, to a tenth in sweeps, to
            zero in gradient training.
        cutoff: Of sweeps: singular values below this share of the largest are dropped.
        steps: Of sweeps: conjugate-gradient steps on every pair. Many small steps end lower than few
            greedy ones.
        init: State that training starts from. "markov": each feature depends on its neighbour in the
            network, as far as that predicts left-out rows; along a chain that is a Markov chain, on the
            Chow-Liu tree the Chow-Liu distribution. "product": every column on its own, and noise; a network
            whose nodes have no features of their own has no other.
        init_bond: Bond of the noise of "product".
        smoothing: Share of the training weight that noisy copies of the samples get: with 0, values that
            never occur are learnt to be impossible; 0.01 to 0.1 leaves them unlikely.
        precision: "single" or "double", of training; the state itself is always in double precision.
        validation_fraction: Share of the samples held out to pick the best epoch: at least 50, or a quarter
            where there are fewer than 200, and none of fewer than 40. Bins, too, are learnt without them.
            Columns that are taken as independent are kept where nothing explains held-out rows better.
        patience: Stop after this many epochs without improvement of the held-out likelihood (of the
            training likelihood where nothing is held out); while bonds are raised step by step, go on to the
            next. None takes 3 there, 200 steps of a gradient (20 epochs at least) where rows are held out and
            `epochs` is None, and otherwise no end before the last epoch.
        n_init: Starts; the best by the held-out likelihood (of training where nothing is held out) is kept.
        warm_start: Go on from the state of the last `fit`.
        checkpoint, checkpoint_every, resume: As for `TreeClassifier`.
        devices: Of a gradient: share each batch over so many JAX devices.
        callback: Called with the `EpochRecord` of every epoch; returning True ends training.
        random_state: Seed of the first state, split and batches.
        verbose: 1 shows a progress bar on standard error.

    Attributes:
        state_: The `qtnml.born.TreeState`.
        encoder_: The fitted encoder, or None.
        bond_dims_: Dimension of the bond above each node but the root (from the end of the chain).
        history_: An `EpochRecord` for each epoch; its losses are mean negative log-likelihoods in nats.
        nll_: Mean negative log-likelihood, nats, of the held-out rows (of training where nothing is held out)
            under `state_`.
        independent_nll_: The same under independent columns: what `nll_` is to be compared with.
        growth_: With method="greedy", a `GrowthRecord` for each round; absent otherwise.
        best_epoch_: Index of the best epoch; -1 where the first state, or independent columns, were kept.
        n_iter_, stopped_, n_features_in_, notes_: As for `TreeClassifier`.

    >>> bits = np.repeat([[0, 0, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0]], 10, axis=0)
    >>> born = MPSBornMachine(max_bond=4, random_state=0).fit(bits)
    >>> round(born.score(bits), 2)  # -ln 3
    -1.1
    >>> born.impute([[1, np.nan, 0, np.nan]]).tolist()
    [[1, 1, 0, 0]]
    """

    def sites_for(self, data: Strings, dims: tuple[int, ...]) -> Sites:
        """See `LearntDensity`."""
        order = self.order
        if isinstance(order, str):
            order = seriation(data.information(dims))
        return Sites(dims, chain(len(dims), order))

    @classmethod
    def _on_own_tree(cls, state: State) -> TreeState:
        return state.chain().state()

    @classmethod
    def _settings_for(cls, state: TreeState) -> dict[str, Any]:
        order = chain_of(state).order
        in_order = order == tuple(range(len(order)))
        return {"max_bond": max(state.bond_dims, default=1), "order": None if in_order else order}


class TreeBornMachine(BornMachine):
    """Tree tensor network whose squared amplitudes are the distribution of the data (arXiv:1901.02217).

    Everything `MPSBornMachine` does, on a tree: what is far apart in a chain is near in a tree.

    Args:
        max_bond: As for `MPSBornMachine`; an inner node holds up to its cube of numbers.
        topology: "chow-liu" is the Chow-Liu tree of the data with a node for each feature, on which training
            starts at the Chow-Liu distribution; "hierarchical" a binary tree with features at its leaves
            that joins first what knows most about each other; "balanced" one over the features in `order`;
            or a `qtnml.structure.Tree` (`from_brackets([[0, 1], [2, 3]])`). None is "chow-liu", and
            "balanced" where there is an `order`.
        reconnect: Rounds of reconnection after training: at every bond the two nodes pair their wires so that
            the bond carries least entanglement (`qtnml.born.reconnected`, arXiv:2408.10669), and training
            goes on from there; ends with the first round that explains held-out rows no better.
        encoder, order, method, complex_amplitudes, epochs, batch_size, learning_rate, cutoff, steps, init, \
            init_bond, smoothing, precision, validation_fraction, patience, n_init, warm_start, checkpoint, \
            checkpoint_every, resume, devices, callback, random_state, verbose: As for `MPSBornMachine`.

    Attributes:
        state_, encoder_, bond_dims_, history_, nll_, independent_nll_, growth_, best_epoch_, n_iter_, \
            stopped_, n_features_in_, notes_: As for `MPSBornMachine`.

    >>> bits = np.repeat([[0, 0, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0]], 10, axis=0)
    >>> born = TreeBornMachine(max_bond=4, topology="chow-liu", random_state=0).fit(bits)
    >>> round(born.score(bits), 2), born.compile().num_sites
    (-1.1, 4)
    """

    def __init__(
        self,
        max_bond: int = 16,
        *,
        topology: Tree | Literal["chow-liu", "hierarchical", "balanced"] | None = None,
        reconnect: int = 0,
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
        self.topology = topology
        self.reconnect = reconnect
        super().__init__(
            max_bond,
            encoder=encoder,
            order=order,
            method=method,
            complex_amplitudes=complex_amplitudes,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            cutoff=cutoff,
            steps=steps,
            init=init,
            init_bond=init_bond,
            smoothing=smoothing,
            precision=precision,
            validation_fraction=validation_fraction,
            patience=patience,
            n_init=n_init,
            warm_start=warm_start,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            resume=resume,
            devices=devices,
            callback=callback,
            random_state=random_state,
            verbose=verbose,
        )

    def sites_for(self, data: Strings, dims: tuple[int, ...]) -> Sites:
        """See `LearntDensity`."""
        topology, order = self.topology, self.order
        if self.warm_start and self.reconnect and hasattr(self, "state_") and self.state_.sites.dims == dims:
            return self.state_.sites
        if isinstance(topology, Tree):
            if topology.num_leaves != len(dims):
                raise InvalidInputError(
                    f"the topology has {topology.num_leaves} leaves, the data have {len(dims)} features"
                )
            return Sites(dims, topology)
        learnt = topology in ("chow-liu", "hierarchical") or (topology is None and order is None)
        if learnt and len(dims) > 1:
            information = data.information(dims)
            return Sites(dims, (chow_liu if topology == "hierarchical" else dependence_tree)(information))
        if isinstance(order, str):
            order = seriation(data.information(dims))
        return Sites(dims, balanced(len(dims), order))

    def _rounds(self) -> int:
        return int(self.reconnect)

    @classmethod
    def _settings_for(cls, state: TreeState) -> dict[str, Any]:
        return {"max_bond": max(state.bond_dims, default=1), "topology": state.tree}
