"""`AmplitudeTreeClassifier`: a tree of any bond dimension with a label."""

import os
from typing import Any, Literal

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.augmentation import Augmentation
from qtnml.data.table_encoder import TableEncoder
from qtnml.encoding import Encoding
from qtnml.errors import InvalidInputError
from qtnml.models.amplitude import AmplitudeClassifier
from qtnml.models.classifiers import TreeClassifier
from qtnml.structure import Tree, balanced, chow_liu, mutual_information
from qtnml.structure.information import level_mutual_information
from qtnml.train import Callback, Loss, Optimizer


class AmplitudeTreeClassifier(AmplitudeClassifier):
    """Label amplitudes of a tree tensor network, the label at its root; see `AmplitudeMPSClassifier`.

    What is far apart in a chain is near in a tree. Pixels in z order (quad-tree) keep patches together.

    Args:
        max_bond: Largest bond dimension D; time grows as D**3.
        topology: None for a balanced binary tree over the data qubits; "chow-liu" joins first what knows
            most about each other (learnt from the training samples); "star" is one node for all, with
            cores="cp" a sum of `max_bond` product states, the baseline without entanglement; or a
            `qtnml.structure.Tree`, such as `qtnml.structure.balanced(784, arity=4)`.
        cores: "dense" cores have D**3 numbers; those of "cp" are sums of D products of one factor for each
            child (CP rank D, arXiv:2305.19440): D**2 numbers for each child, for bonds of hundreds and nodes
            of more than two children; by method="gradient".
        method, cutoff, metric, encoder, encoding, epochs, batch_size, learning_rate, loss, optimizer, \
            class_weight, augment, dropout, feature_range, validation_fraction, patience, init_scale, \
            warm_start, checkpoint, checkpoint_every, resume, devices, callback, random_state, verbose: As \
            for `AmplitudeMPSClassifier`.

    Attributes:
        bond_dims_: Dimension of the bond above each node but the root.
        model_, params_, scaler_, table_, classes_, history_, best_epoch_, n_iter_, stopped_, \
            n_features_in_, notes_: As for `AmplitudeMPSClassifier`.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = AmplitudeTreeClassifier(max_bond=6, random_state=0).fit(X, y)
    >>> bool(clf.score(X, y) > 0.9), clf.bond_dims_
    (True, (4, 4))
    """

    _network_class = TreeClassifier

    def __init__(
        self,
        max_bond: int = 16,
        *,
        topology: Tree | Literal["chow-liu", "star"] | None = None,
        cores: Literal["dense", "cp"] = "dense",
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
        self.topology = topology
        self.cores = cores
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
        if isinstance(self.topology, Tree):
            if self.topology.num_leaves != leaves:
                raise InvalidInputError(
                    f"the topology has {self.topology.num_leaves} leaves, the data {leaves} data qubits or "
                    "columns"
                )
            return self.topology
        if self.topology == "star":
            return balanced(leaves, arity=max(leaves, 2))
        if self.topology == "chow-liu" and leaves > 1:
            if leaves != X.shape[1]:
                raise InvalidInputError("topology='chow-liu' needs an encoding with one qubit per feature")
            if levels is not None:
                return chow_liu(level_mutual_information(X.astype(int), levels))
            return chow_liu(mutual_information(X))
        return balanced(leaves)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.cores not in ("dense", "cp"):
            raise InvalidInputError(f"cores must be 'dense' or 'cp', got {self.cores!r}")
        if self.topology == "star" and self.cores == "dense":
            raise InvalidInputError("a star of dense cores has 2**features numbers; set cores='cp'")
        if self.cores == "cp" and self.method == "sweeps":
            raise InvalidInputError("sweeps split dense cores; set cores='dense', or method='gradient'")

    @property
    def bond_dims_(self) -> tuple[int, ...]:
        """Dimension of the bond above each node but the root: at most what the leaves below it fill."""
        return self.model_.network.useful_bonds[:-1]
