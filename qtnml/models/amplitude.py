"""What the amplitude classifiers share: trees of any bond dimension with a label."""

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
from qtnml.models.classifiers import NetworkClassifier
from qtnml.models.handover import as_network
from qtnml.models.progress import each_epoch
from qtnml.models.table_input import TableInput
from qtnml.models.validation import checked_samples, checked_training_data, generator
from qtnml.progress import progress_bar
from qtnml.structure import Tree
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
