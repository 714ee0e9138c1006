"""`AmplitudeMPSClassifier`: a chain of any bond dimension with a label."""

import os
from typing import Any, Literal

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.augmentation import Augmentation
from qtnml.data.table_encoder import TableEncoder
from qtnml.encoding import Encoding
from qtnml.errors import InvalidInputError, LongChainWarning, warn_user
from qtnml.models.amplitude import AmplitudeClassifier
from qtnml.models.classifiers import MPSClassifier
from qtnml.structure import Tree, chain
from qtnml.train import Callback, Loss, Optimizer

#: MNIST of 20x20 pixels learns with the label at the end, of 24x24 it does not (experiments/long_chains).
_LONGEST_ARM = 450


class AmplitudeMPSClassifier(AmplitudeClassifier):
    """Label amplitudes f_c(x) of a matrix product state; the probability of class c is f_c**2 / sum f**2.

    The classifier of arXiv:1605.05775: bond dimensions beyond what a circuit of few qubits holds, for
    images of 14x14 or 28x28 pixels. Features in snake order keep neighbouring pixels together.

    Args:
        max_bond: Largest bond dimension D; time grows as D**2.
        label: Where its leg is: at the "middle" site, nearest to all, or at the "end": the circuit of the
            chain is then one of V + 1 qubits for a bond of 2**V, each node on V + 1; the middle one has
            2 V + 1, and many gates.
        method: "gradient" trains all cores at once at bond dimension D; "sweeps" goes through the network
            pair by pair and lets singular values decide each bond (arXiv:1605.05775).
        cutoff: For sweeps: singular values below this share of the largest are dropped.
        metric: For sweeps: what a split keeps, see `qtnml.train.SweepOptions`.
        encoder: None for numbers; a `TableEncoder` for tables of any kind, whose columns are then sites of so
            many levels.
        encoding: As for `TreeClassifier`, without an encoder; for sweeps one with real amplitudes.
        epochs: Passes over the training samples, or sweeps; None takes 30, or more on small data until 600
            steps are made, and 4 sweeps.
        batch_size: Samples per step; sweeps take 16 times as many.
        learning_rate: Of the first step; falls to zero along a half cosine. None takes 2 / (D sites): the
            steps of all elements of all cores add up. Of sweeps: the largest angle of a step, in radians;
            None leaves it to the search for the best one.
        loss: As for `TreeClassifier`.
        optimizer: As for `TreeClassifier`; for method="gradient".
        class_weight, augment, feature_range, validation_fraction, patience: As for `TreeClassifier`.
        dropout: Share of each bond's entries that a step leaves out (tensor dropout, arXiv:2305.19440);
            for method="gradient". What a feature says passes as many bonds as its leaf lies deep: small
            shares in trees, none in long chains.
        init_scale: Spread of the first cores around the identity, in units of 0.1 / D.
        warm_start: Go on from the cores and feature ranges of the last `fit`; sweeps may grow its bonds.
        checkpoint, checkpoint_every, resume: As for `TreeClassifier`.
        devices: As for `TreeClassifier`; for method="gradient".
        callback: As for `TreeClassifier`.
        random_state: Seed of weights, split and batches.
        verbose: 1 shows a progress bar on standard error.

    Attributes:
        bond_dims_: Dimension of every bond, left to right.
        model_: The `AmplitudeModel`: a pure function for JAX users, `model_.apply(params_, x)`.
        params_: Its trained `Parameters`, stacks of cores in double precision.
        scaler_, table_, classes_, history_, best_epoch_, n_iter_, stopped_, n_features_in_, notes_: As for \
            `TreeClassifier`.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = AmplitudeMPSClassifier(max_bond=6, random_state=0).fit(X, y)
    >>> bool(clf.score(X, y) > 0.9), clf.bond_dims_
    (True, (2, 4, 2))
    """

    _network_class = MPSClassifier

    def __init__(
        self,
        max_bond: int = 16,
        *,
        label: Literal["middle", "end"] = "middle",
        method: Literal["gradient", "sweeps"] = "gradient",
        cutoff: float = 1e-4,
        metric: Literal["data", "cores"] = "data",
        encoder: TableEncoder | None = None,
        encoding: str | Encoding = "angle",
        epochs: int | None = None,
        batch_size: int = 250,
        learning_rate: float | None = None,
        loss: str | Loss | None = None,
        optimizer: str | Optimizer = "adam",
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        augment: Augmentation | None = None,
        dropout: float = 0.0,
        feature_range: Literal["learn"] | tuple[float, float] = "learn",
        validation_fraction: float = 0.1,
        patience: int | None = None,
        init_scale: float = 0.5,
        warm_start: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
        resume: bool = False,
        devices: int | None = None,
        callback: Callback | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.label = label
        super().__init__(
            max_bond,
            method=method,
            cutoff=cutoff,
            metric=metric,
            encoder=encoder,
            encoding=encoding,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            loss=loss,
            optimizer=optimizer,
            class_weight=class_weight,
            augment=augment,
            dropout=dropout,
            feature_range=feature_range,
            validation_fraction=validation_fraction,
            patience=patience,
            init_scale=init_scale,
            warm_start=warm_start,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            resume=resume,
            devices=devices,
            callback=callback,
            random_state=random_state,
            verbose=verbose,
        )

    def _tree(self, X: NDArray, leaves: int, levels: tuple[int, ...] | None = None) -> Tree:
        del X, levels
        root = leaves // 2 if self.label == "middle" else leaves - 1
        if root > _LONGEST_ARM and self.method == "gradient":
            cure = "label='middle', or " if self.label == "end" else ""
            warn_user(
                f"{root} data qubits lie on one side of the label; training by gradient hardly starts beyond "
                f"{_LONGEST_ARM}. Use {cure}a tree (AmplitudeTreeClassifier), or fewer features",
                LongChainWarning,
            )
        return chain(leaves, root=root)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.label not in ("middle", "end"):
            raise InvalidInputError(f"label must be 'middle' or 'end', got {self.label!r}")

    @property
    def bond_dims_(self) -> tuple[int, ...]:
        """Dimension of every bond, left to right: what its core holds, at most what the ends allow."""
        network = self.model_.network
        leaves, root = network.tree.num_leaves, network.tree.nodes[network.tree.root]
        place = next(wire for wire in root if wire < leaves)
        bonds = network.useful_bonds[:-1]
        return (*bonds[:place], *bonds[place:][::-1])
