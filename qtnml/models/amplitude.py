"""`AmplitudeMPSClassifier`, `AmplitudeTreeClassifier`: trees of any bond dimension with a label."""

import os
from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from qtnml.ansatz import FullUnitary
from qtnml.arrays import NDArray
from qtnml.backends import Backend
from qtnml.compile import CompiledCircuit
from qtnml.contract import AmplitudeModel, FactorisedNetwork, Model, Parameters
from qtnml.data.augmentation import Augmentation
from qtnml.data.table_encoder import TableEncoder
from qtnml.encoding import Encoding, get_encoding
from qtnml.errors import InvalidInputError
from qtnml.models.backend_classifier import BackendClassifier
from qtnml.models.class_readout import ClassReadout
from qtnml.models.classifiers import MPSClassifier, NetworkClassifier, TreeClassifier
from qtnml.models.handover import as_network
from qtnml.models.progress import each_epoch
from qtnml.models.table_input import TableInput
from qtnml.models.validation import checked_samples, checked_training_data, generator
from qtnml.progress import progress_bar
from qtnml.structure import Tree, balanced, chain, chow_liu, mutual_information
from qtnml.structure.information import level_mutual_information
from qtnml.train import (
    Callback,
    Loss,
    Optimizer,
    SweepTraining,
    TrainingResult,
    TrainingSet,
    get_loss,
    train_by_sweeps,
)
from qtnml.train.records import merge_repeats

_FIRST_BOND = 2
_AUTO_SWEEPS = 4
_WHOLE_ANGLE = np.pi / 4
_SWEEP_STEPS = 2
_RATE_OF_TERMS, _FEW_TERMS = 0.064, 4
_LEARNT = (
    "scaler_",
    "table_",
    "classes_",
    "temperature_",
    "history_",
    "best_epoch_",
    "n_iter_",
    "stopped_",
    "notes_",
    "n_features_in_",
)


class AmplitudeClassifier(ClassReadout):
    """What `AmplitudeMPSClassifier` and `AmplitudeTreeClassifier` share."""

    model_: AmplitudeModel
    _network_class: ClassVar[type[NetworkClassifier]]

    def __init__(
        self,
        max_bond: int = 16,
        *,
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
        self.max_bond = max_bond
        self.method = method
        self.cutoff = cutoff
        self.metric = metric
        self.encoder = encoder
        self.encoding = encoding
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.loss = loss
        self.optimizer = optimizer
        self.class_weight = class_weight
        self.augment = augment
        self.dropout = dropout
        self.feature_range = feature_range
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.init_scale = init_scale
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.resume = resume
        self.devices = devices
        self.callback = callback
        self.random_state = random_state
        self.verbose = verbose

    @property
    def _is_factorised(self) -> bool:
        """Whether cores are of CP rank."""
        return getattr(self, "cores", "dense") == "cp"

    @abstractmethod
    def _tree(self, X: NDArray, leaves: int, levels: tuple[int, ...] | None = None) -> Tree:
        """Over so many leaves, of training samples: numbers, or levels of so many values."""

    def _check_parameters(self) -> None:
        super()._check_parameters()
        unused: dict[str, Any] = {"metric": "data"}
        if self.method == "sweeps":
            unused = {"optimizer": "adam", "devices": None, "augment": None, "dropout": 0.0}
        for name, default in unused.items():
            value = getattr(self, name)
            if value is not default and value != default:
                other = "gradient" if self.method == "sweeps" else "sweeps"
                raise InvalidInputError(
                    f"{name}={value!r} has no effect on method={self.method!r}; leave it at {default!r}, or "
                    f"set method={other!r}"
                )

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> Self:
        self._check_parameters()
        given = X
        X, y, weights = checked_training_data(self, X, y, sample_weight)
        classes, labels = np.unique(y, return_inverse=True)
        self._check_same_classes(classes)
        rng = generator(self.random_state)
        bond = int(self.max_bond) if self.method == "gradient" else min(_FIRST_BOND, int(self.max_bond))
        data = TrainingSet(X, labels.ravel(), weights)
        training, validation, table = self._split_input(given, data, rng, as_levels=True)
        model = self._fresh(training.X, len(classes), bond, table)
        if self.warm_start and self.__sklearn_is_fitted__():
            self._check_same_model(model)
            model, parameters, scaler = self.model_, self.params_, self.scaler_
        else:
            parameters = model.start(rng, scale=float(self.init_scale))
            scaler = self._new_scaler(training.X if table is None else training.X[:, :0])
        anew = self._anew(training.X, scaler)
        if table is None:
            training = training._replace(X=scaler(training.X))
            if validation is not None:
                validation = validation._replace(X=scaler.clipped(validation.X))
        if self.method == "gradient":
            result = self._train(model, parameters, training, validation, rng, anew=anew)
        else:
            model, result = self._sweep(model, parameters, training, validation, rng)
        self._keep(model, scaler, result, table)
        self.classes_, self.temperature_ = classes, 1.0
        return self

    def _fresh(self, X: NDArray, num_classes: int, bond: int, table: TableInput | None) -> AmplitudeModel:
        if table is not None:
            tree = self._tree(X, X.shape[1], table.dims)
            return AmplitudeModel.on_tree(
                tree, num_classes, bond, levels=table.dims, factorised=self._is_factorised
            )
        encoding = get_encoding(self.encoding)
        tree = self._tree(X, X.shape[1] * encoding.qubits_per_feature)
        return AmplitudeModel.on_tree(tree, num_classes, bond, encoding, factorised=self._is_factorised)

    def features(self, X: Any) -> NDArray:
        """Samples as the network takes them, (samples, features): X itself, or a table's levels."""
        check_is_fitted(self)
        return checked_samples(self, X) if self.table_ is None else self.table_.levels(X)

    def _evaluated(self, X: Any) -> tuple[NDArray, NDArray]:
        features = self.features(X)
        given = features if self.table_ is not None else self.scaler_(features)
        return self.model_.predict(self.params_, given)

    def outcome_probabilities(self, X: Any, **noisy: Any) -> NDArray:
        """Probability of every class, (samples, classes): `predict_proba` before any temperature."""
        if noisy:
            raise InvalidInputError(
                f"noise acts on circuits: to_network() is one, and takes {', '.join(noisy)}"
            )
        return super().outcome_probabilities(X)

    def to_network(self) -> NetworkClassifier:
        """The same probabilities as a network of unitaries, post-selected: a circuit, for devices.

        Every node becomes a unitary whose discarded qubits count only where they are found in |0>; the root
        has fresh qubits, so that probabilities are exactly those of `predict_proba`. The classifier that
        comes back compiles, runs on backends, takes noise and is saved as any other with
        discard="postselect"; its `success_probability` says how few shots count. It is also where training
        without post-selection can start: `set_params(discard="trace", homotopy=..., warm_start=True)`.

        Raises:
            InvalidInputError: Columns are levels (an encoder); or a node has more qubits than 12.
        """
        check_is_fitted(self)
        model, stacks = self.model_, self.params_.nodes
        if isinstance(model.network, FactorisedNetwork):
            dense, stacks = model.network.dense(stacks)
            model = replace(model, network=dense)
        cores = model.network.cores(stacks)
        network = as_network(model, [np.asarray(core, np.float64) for core in cores])
        found: NetworkClassifier = self._network_class(
            topology=network.topology,
            encoding=self.encoding,
            discard="postselect",
            feature_range=self.feature_range,
            random_state=self.random_state,
        )
        encoding = get_encoding(self.encoding)
        found.model_ = Model(network.topology, encoding, FullUnitary(), "postselect")
        found.params_ = Parameters(network.unitaries, self.params_.encoding)
        for name in (*_LEARNT, *(["feature_names_in_"] if hasattr(self, "feature_names_in_") else [])):
            setattr(found, name, getattr(self, name))
        return found

    def compile(self, **settings: Any) -> CompiledCircuit:
        """The circuit of `to_network`, whose shots count where all discarded qubits are 0.

        Args:
            **settings: As for `TreeClassifier.compile`.
        """
        return self.to_network().compile(**settings)

    def to_backend(self, backend: Backend | str, **settings: Any) -> BackendClassifier:
        """`to_network` with its probabilities measured on a backend.

        Args:
            backend: A backend, its name, or a Qiskit backend or sampler.
            **settings: As for `TreeClassifier.to_backend`.
        """
        return self.to_network().to_backend(backend, **settings)

    def _check_same_model(self, model: AmplitudeModel) -> None:
        old, bond = self.model_, int(self.max_bond)
        fits = old.bond_dim <= bond if self.method == "sweeps" else old.bond_dim == bond
        fits = fits and type(model.network) is type(old.network)
        if (model.network.tree, model.encoding) != (old.network.tree, old.encoding) or not fits:
            raise InvalidInputError(
                f"warm_start goes on with the cores of the last fit ({old.num_features} features, bond "
                f"dimension {old.bond_dim}), which data and settings no longer describe "
                f"({model.num_features} features, max_bond={bond}, encoding {self.encoding!r}, and the "
                "tree); set warm_start=False, or grow the bonds with method='sweeps'"
            )

    def _other_settings(self, model: AmplitudeModel) -> str:
        bond = int(self.max_bond)
        own = {
            "encoding": model.encoding is None or get_encoding(self.encoding) == model.encoding,
            "max_bond": model.bond_dim <= bond if self.method == "sweeps" else model.bond_dim == bond,
            "cores": model.network.is_factorised == self._is_factorised,
        }
        return ", ".join(name for name, alike in own.items() if not alike)

    def _learning_rate(self, model: Any) -> float:
        if self.learning_rate is not None:
            return float(self.learning_rate)
        if self._is_factorised:
            return _RATE_OF_TERMS / max(int(self.max_bond), _FEW_TERMS)
        return float(2.0 / (int(self.max_bond) * max(model.network.tree.num_leaves, 8)))

    def _sweep(
        self,
        model: AmplitudeModel,
        parameters: Parameters,
        training: TrainingSet,
        validation: TrainingSet | None,
        rng: np.random.Generator,
    ) -> tuple[AmplitudeModel, TrainingResult]:
        """Sweeps in the place of epochs."""
        how = SweepTraining(
            epochs=_AUTO_SWEEPS if self.epochs is None else int(self.epochs),
            max_bond=int(self.max_bond),
            batch_size=16 * int(self.batch_size),
            learning_rate=_WHOLE_ANGLE if self.learning_rate is None else float(self.learning_rate),
            last_rate=1.0,
            cutoff=float(self.cutoff),
            steps=_SWEEP_STEPS,
            one_site_share=0.0,
            metric=self.metric,
            patience=self.patience,
        )
        if len(training.y) <= how.batch_size:
            training = merge_repeats(training)
        loss = get_loss(self._default_loss if self.loss is None else self.loss)
        with progress_bar("sweeps", how.epochs, show=bool(self.verbose)) as advance:
            model, result = train_by_sweeps(
                model,
                parameters,
                training,
                how,
                loss,
                rng,
                validation=validation,
                callback=each_epoch(advance, "loss", self.callback),
                checkpoint=self._checkpoint(),
            )
        self._report_end(result, how.epochs)
        return model, result


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
        return chain(leaves, root=leaves // 2 if self.label == "middle" else leaves - 1)

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
