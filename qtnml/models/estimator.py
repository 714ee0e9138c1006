"""What all estimators over a network share: settings, `fit`, the circuit, files."""

import os
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from qtnml.ansatz import NodeAnsatz, TensorNetwork, get_ansatz
from qtnml.arrays import NDArray
from qtnml.backends import Backend
from qtnml.compile import CompiledCircuit, compile_model, minimal_order
from qtnml.contract import Model, Parameters
from qtnml.data.augmentation import Augmentation
from qtnml.data.table_encoder import TableEncoder
from qtnml.encoding import Encoding, FeatureScaler, get_encoding
from qtnml.errors import InvalidInputError, warn_user
from qtnml.gates import Synthesis
from qtnml.models.noise import NoisyTraining, device_called, noisy_circuit, target_of, wire_noise
from qtnml.models.pinned import Pin, pin_of, pinned
from qtnml.models.readout import width_for
from qtnml.models.table_input import TableInput
from qtnml.models.training import TrainedEstimator, TrainingNoise
from qtnml.noise import Channel
from qtnml.progress import progress_bar
from qtnml.structure import Topology, Tree, balanced_tree, chow_liu_tree, mps, with_qubits, with_reuploads
from qtnml.train import Callback, Loss, Optimizer, TrainingSet


class NetworkEstimator(TrainedEstimator):
    """A tree or chain of nodes over encoded features, trained by one loop.

    Args:
        bond_qubits: Width V of the inner wires, 1 to 3; the bond dimension is 2**V. None takes the least
            whose root tells all classes apart: 1 for up to 4 classes, 2 for up to 16 in a tree.
        leaf: "data" for leaf wires of V data qubits (a chain starts with one such), "fresh" for one data
            qubit and V - 1 fresh ones.
        topology: None for this class's own (a balanced tree, a chain); "chow-liu" joins first what knows
            most about each other (learnt from the training samples); or a
            `qtnml.structure.Tree` over the data qubits (`from_brackets([[0, 1], [2, 3]])`), or a
            `qtnml.structure.Topology` with widths of your own.
        reuploads: Times that the data of its features are uploaded again inside every node, as gates
            between two parts of the node.
        encoder: None for numbers; a `TableEncoder` for tables with text, categories or gaps. A column of
            numbers is one feature, one of k categories the ceil(log2 k) bits of their numbers (see
            `features`).
        encoding: "angle", "trainable-angle", "rational", "multi-qubit", or an encoding object.
        ansatz: "full" (any unitary), "orthogonal" (real), "hermitian" (exp(iH)), "brick-wall", or an
            ansatz object such as `qtnml.ansatz.BrickWall(depth=4)`.
        discard: "trace" traces out the discarded qubits; "postselect" counts only the branch in which all of
            them are 0.
        homotopy: With discard="trace": epochs at the start over which the weight of the post-selected
            branch falls from 1 to 0. With `warm_start` it carries a post-selected model over to the trace.
        epochs: Passes over the training samples; None takes 30, or more on small data until 600
            optimiser steps are made.
        batch_size: Samples per step.
        learning_rate: Of the first step, in radians; falls to zero along a half cosine.
        loss: "cross-entropy" (a classifier's default), "hinge" (the paper's), "squared-error" (a
            regressor's only one), or a loss object such as `qtnml.train.CrossEntropy(sharpness=1)`.
        optimizer: "adam" (Riemannian), "spsa", "spsa-as-printed", "spsa-later", an optimiser object, or
            any optax gradient transformation, which brings its learning rate.
        shots: Emulate so many measurements per sample and evaluation while training (SPSA only).
        class_weight: Of classifiers: "balanced" weighs samples so that all classes count alike; a dict gives
            the weight of each label.
        augment: A function of training samples (samples, features), in the user's units, and a
            `numpy.random.Generator`: the samples that an epoch sees in their place, such as
            `qtnml.data.PictureAugmentation`. Not saved with the model.
        feature_range: "learn" takes each feature's range from the training samples (not those held out);
            (low, high) sets one for all. New data are clipped to it; the first time that this moves more
            than one value in a thousand, a `ClippedDataWarning` says so.
        validation_fraction: Share of the samples held out to pick the best epoch; nothing is held
            out where that would be fewer than 50, and the training loss picks.
        patience: Stop after this many epochs without improvement; None trains to the end.
        init_scale: Spread of the first unitaries around the identity.
        warm_start: Go on from the weights and feature ranges of the last `fit` instead of fresh ones.
        checkpoint: File that keeps the state of training, written every `checkpoint_every` epochs.
        checkpoint_every: Epochs between two writes.
        resume: Go on from `checkpoint` if it is there, bit for bit as if nothing had happened; needs the
            same data and settings, and an integer `random_state`. A file belongs to one run: do not use it
            under cross-validation.
        devices: Share each batch over so many JAX devices.
        noise: Train under it: a `qtnml.noise.DeviceNoise`; the name of a device such as "fake:torino", or a
            Qiskit backend, whose calibration is taken; a `Channel` that acts between the layers; or a
            `NoiseSchedule` by which one of them grows. Where the ansatz has gates of its own, noise acts
            after each of them; a full unitary gets channels that stand for its gates' number, time and
            errors.
        reuse_qubits, num_qubits: The circuit that noise in training, predictions under noise, `compile` and
            `to_backend` mean where they are not told otherwise; see `compile`.
        callback: Called with the `EpochRecord` of every epoch; returning True ends training.
        random_state: Seed of weights, split and batches; the same seed gives the same model.
        verbose: 1 shows a progress bar on standard error.

    Attributes:
        model_: The `Model`: a pure function for JAX users, `model_.apply(params_, x)` for x scaled by
            `scaler_`.
        params_: Its trained `Parameters` in double precision, matrices exactly unitary.
        network_: The unitaries they stand for, as a `TensorNetwork`.
        scaler_: The `FeatureScaler` in use.
        table_: What `encoder` learnt, a `TableInput`; None without one.
        history_: One `EpochRecord` per epoch.
        best_epoch_: Index into `history_` of the epoch after which the weights were best (and kept), -1
            if the first ones were.
        n_iter_: Epochs run.
        stopped_: Why training ended: "finished", "early", "callback", "interrupted" or "diverged".
        n_features_in_: Number of features.
        notes_: JSON types of your own, saved with the model if you set it (the `qtnml` command notes
            how it read the data).
    """

    _shape: ClassVar[Literal["tree", "mps"]]
    model_: Model

    def __init__(
        self,
        bond_qubits: int | None = None,
        *,
        leaf: Literal["data", "fresh"] = "data",
        topology: Tree | Topology | Literal["chow-liu"] | None = None,
        reuploads: int = 0,
        encoder: TableEncoder | None = None,
        encoding: str | Encoding = "angle",
        ansatz: str | NodeAnsatz = "full",
        discard: Literal["trace", "postselect"] = "trace",
        homotopy: int = 0,
        epochs: int | None = None,
        batch_size: int = 250,
        learning_rate: float = 0.03,
        loss: str | Loss | None = None,
        optimizer: str | Optimizer = "adam",
        shots: int | None = None,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        augment: Augmentation | None = None,
        feature_range: Literal["learn"] | tuple[float, float] = "learn",
        validation_fraction: float = 0.1,
        patience: int | None = None,
        init_scale: float = 0.5,
        warm_start: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
        resume: bool = False,
        devices: int | None = None,
        noise: Any = None,
        reuse_qubits: bool = True,
        num_qubits: int | None = None,
        callback: Callback | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.bond_qubits = bond_qubits
        self.leaf = leaf
        self.topology = topology
        self.reuploads = reuploads
        self.encoder = encoder
        self.encoding = encoding
        self.ansatz = ansatz
        self.discard = discard
        self.homotopy = homotopy
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.loss = loss
        self.optimizer = optimizer
        self.shots = shots
        self.class_weight = class_weight
        self.augment = augment
        self.feature_range = feature_range
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.init_scale = init_scale
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.resume = resume
        self.devices = devices
        self.noise = noise
        self.reuse_qubits = reuse_qubits
        self.num_qubits = num_qubits
        self.callback = callback
        self.random_state = random_state
        self.verbose = verbose

    @property
    def network_(self) -> TensorNetwork:
        """The trained unitaries."""
        check_is_fitted(self, "params_")
        return self.model_.network(self.params_)

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        noise: Any = None,
        reuse_qubits: bool | None = None,
        num_qubits: int | None = None,
    ) -> Self:
        """Train on samples X (samples, features) with targets y.

        Ctrl-C ends training with the best weights so far and a `TrainingInterruptedWarning`; before the first
        epoch is over it is raised.

        Args:
            X, y: Samples and their targets.
            sample_weight: (samples,) multiplies each sample's loss.
            noise, reuse_qubits, num_qubits: Deprecated: they are arguments of the constructor, so that they
                are cloned, searched and saved. Here `reuse_qubits` is False where it is not given, as it was.

        Raises:
            InvalidInputError: Data or parameters that cannot be used; nothing learnt before is lost.
        """
        noisy = self._noise_of_fit(noise, reuse_qubits, num_qubits)
        return self._restored_on_failure(lambda: self._fit(X, y, sample_weight, noisy))

    def _noise_of_fit(
        self, noise: Any, reuse_qubits: bool | None, num_qubits: int | None
    ) -> NoisyTraining | None:
        """Noise in training: the constructor's, or what `fit` was given as in earlier versions."""
        if noise is not None or reuse_qubits is not None or num_qubits is not None:
            warn_user(
                "noise, reuse_qubits and num_qubits of fit will go; give them to the constructor, as in "
                f"{type(self).__name__}(noise=...), which keeps them under clone, search and save",
                FutureWarning,
            )
            if noise is None:
                raise InvalidInputError(
                    "reuse_qubits and num_qubits tell which circuit noise is meant for; give noise"
                )
            noisy: NoisyTraining | None = NoisyTraining(noise, bool(reuse_qubits), num_qubits)
        elif self.noise is not None:
            noisy = NoisyTraining(self.noise, bool(self.reuse_qubits), self.num_qubits)
        else:
            noisy = None
        return noisy

    @abstractmethod
    def _fit(self, X: Any, y: Any, sample_weight: Any, noisy: NoisyTraining | None = None) -> Self: ...

    def _learn(
        self,
        training: TrainingSet,
        validation: TrainingSet | None,
        topology: Topology,
        readout: Any,
        rng: np.random.Generator,
        noisy: NoisyTraining | None,
        table: TableInput | None,
        first: Callable[[Model], tuple[Parameters, FeatureScaler] | None] | None = None,
    ) -> None:
        """Train on checked data in the user's units; set what every estimator has.

        `first` gives where to start, and the scale of the features there; nothing where it does not know.
        """
        model = Model(
            topology, get_encoding(self.encoding), get_ansatz(self.ansatz), self.discard, readout=readout
        )
        if self.warm_start and self.__sklearn_is_fitted__():
            self._check_same_model(model)
            parameters, scaler = self.params_, self.scaler_
        elif first is not None and (known := first(model)) is not None:
            parameters, scaler = known
        else:
            parameters = model.start(rng, scale=float(self.init_scale))
            scaler = self._new_scaler(training.X)
        noise = None
        if noisy is not None:
            noise = TrainingNoise(noisy.on_wires(model, parameters), *noisy.ramp)
        anew = self._anew(training.X, scaler)
        training = training._replace(X=scaler(training.X))
        if validation is not None:
            validation = validation._replace(X=scaler.clipped(validation.X))
        result = self._train(model, parameters, training, validation, rng, noise, anew)
        self._keep(model, scaler, result, table)

    def _width(self, root_qubits: int) -> int:
        """V, for so many qubits at the root."""
        return width_for(root_qubits, self._shape) if self.bond_qubits is None else int(self.bond_qubits)

    def _topology(self, X: NDArray, root_qubits: int, width: int | None = None) -> Topology:
        """The network's shape for these samples, re-uploads included."""
        width = self._width(root_qubits) if width is None else width
        return with_reuploads(self._plain_topology(X, root_qubits, width), int(self.reuploads))

    def _plain_topology(self, X: NDArray, root_qubits: int, width: int) -> Topology:
        qubits = X.shape[1] * get_encoding(self.encoding).qubits_per_feature
        if isinstance(self.topology, Topology):
            if self.topology.num_data_qubits != qubits or self.topology.root_qubits < root_qubits:
                raise InvalidInputError(
                    f"the topology has {self.topology.num_data_qubits} data qubits and "
                    f"{self.topology.root_qubits} root qubits; {X.shape[1]} features in encoding "
                    f"{get_encoding(self.encoding).name!r} need {qubits}, the targets {root_qubits}"
                )
            return self.topology
        if isinstance(self.topology, Tree):
            if self.topology.num_leaves != qubits:
                raise InvalidInputError(
                    f"the topology has {self.topology.num_leaves} leaves; {X.shape[1]} features in encoding "
                    f"{get_encoding(self.encoding).name!r} need {qubits}"
                )
            return with_qubits(self.topology, [1] * qubits, width, root_qubits=root_qubits)
        if self.topology == "chow-liu":
            if qubits != X.shape[1]:
                raise InvalidInputError("topology='chow-liu' needs an encoding with one qubit per feature")
            return chow_liu_tree(X, width, root_qubits=root_qubits)
        builder = balanced_tree if self._shape == "tree" else mps
        return builder(qubits, width, leaf=self.leaf, root_qubits=root_qubits)

    def _check_same_model(self, model: Model) -> None:
        old = self.model_
        if (model.topology, model.encoding, model.ansatz, model.readout) != (
            old.topology,
            old.encoding,
            old.ansatz,
            old.readout,
        ):
            raise InvalidInputError(
                f"warm_start goes on with the network of the last fit ({old.num_features} features, "
                f"encoding {old.encoding.name!r}, ansatz {old.ansatz.name!r}), which data and settings no "
                f"longer describe ({model.num_features} features, bond_qubits={self.bond_qubits}, "
                f"leaf={self.leaf!r}, encoding {model.encoding.name!r}, ansatz {model.ansatz.name!r}); set "
                "warm_start=False"
            )

    def _other_settings(self, model: Model) -> str:
        own = {
            "encoding": get_encoding(self.encoding) == model.encoding,
            "ansatz": get_ansatz(self.ansatz) == model.ansatz,
            "discard": self.discard == model.discard,
            "bond_qubits, leaf, topology or reuploads": self._may_describe(model.topology),
        }
        return ", ".join(name for name, alike in own.items() if not alike)

    def _may_describe(self, topology: Topology) -> bool:
        """Whether the settings lead to this topology; one learnt from data is known by its widths only."""
        if isinstance(self.topology, str):
            # Below a node that takes data up again all qubits are kept, however many.
            whole = {child for node in topology.nodes if node.uploads for child in node.children}
            widths = [
                node.width
                for wire, node in enumerate(topology.nodes[:-1], topology.num_leaves)
                if wire not in whole
            ]
            alike = bool(whole) == bool(self.reuploads)
            return alike and max(widths, default=1) <= self._width(topology.root_qubits)
        features = topology.num_data_qubits // get_encoding(self.encoding).qubits_per_feature
        return self._topology(np.empty((0, features)), topology.root_qubits) == topology

    def success_probability(self, X: Any) -> NDArray:
        """Probability that all discarded qubits are found in |0>, per sample; 1 where they are traced out.

        Of hundreds of post-selected qubits it is tiny; `log_success_probability` does not underflow.
        """
        return np.exp(self.log_success_probability(X))

    def circuit_meant(self, reuse_qubits: bool | None, num_qubits: int | None) -> dict[str, Any]:
        """The circuit that a call means, as arguments: the estimator's own where the call says nothing."""
        if reuse_qubits is None and num_qubits is None:
            return {"reuse_qubits": bool(self.reuse_qubits), "num_qubits": self.num_qubits}
        return {"reuse_qubits": True if reuse_qubits is None else reuse_qubits, "num_qubits": num_qubits}

    def _under_noise(
        self, X: Any, noise: Any = None, reuse_qubits: bool | None = None, num_qubits: int | None = None
    ) -> tuple[NDArray, NDArray]:
        """Outcomes or values of samples, and log success probabilities, under noise."""
        if noise is None:
            if reuse_qubits is not None or num_qubits is not None:
                raise InvalidInputError(
                    "without noise all circuits of a model answer alike; leave reuse_qubits and "
                    "num_qubits out, or give noise"
                )
            return self._evaluated(X)
        check_is_fitted(self)
        X = self.features(X)
        if isinstance(noise, Channel):
            if reuse_qubits is not None or num_qubits is not None:
                raise InvalidInputError(
                    "a channel acts between the layers of a network, whatever its circuit; leave "
                    "reuse_qubits and num_qubits out, or give a DeviceNoise"
                )
            wires = wire_noise(noise, self.model_, self.params_)
            return self.model_.predict(self.params_, self.scaler_(X), channels=wires.at(1.0))
        noisy = noisy_circuit(self, noise, **self.circuit_meant(reuse_qubits, num_qubits))
        outcomes, success = noisy.evaluate(noisy.compiled.angles(X))
        if self.model_.readout == "outcomes":
            return outcomes, success
        return np.asarray(self.model_.read_out(self.params_, outcomes.T)), success

    def log_success_probability(self, X: Any) -> NDArray:
        """Natural logarithm of `success_probability`, shape (samples,)."""
        return self._evaluated(X)[1]

    def compile(
        self,
        *,
        reuse_qubits: bool | None = None,
        num_qubits: int | None = None,
        target: Any = None,
        synthesis: Synthesis | None = None,
        samples: Any = None,
        passes: Any = (),
    ) -> CompiledCircuit:
        """Compile into a parameterised circuit whose measured outcomes are those of the contraction.

        Args:
            reuse_qubits: Reset and reuse qubits that were discarded: 7 qubits for 64 features in a tree at
                V=1, V + 1 in a chain. None takes it and num_qubits from the constructor: True, by default.
            num_qubits: With reuse, the most physical qubits; more of them make the circuit less deep. None
                takes the fewest there can be, or on a target the number that decides best under its noise.
            target: A backend to compile for: its gates, couplings, times and errors. A Qiskit backend or
                `Target`, one of `get_backend`, or a name such as "fake:torino".
            synthesis: How nodes become gates; by default exactly, with the fewest CX.
            samples: On a target, samples (samples, features) by whose decisions, exact under the target's
                calibration, circuits are compared; by default features that spread the model's
                probabilities evenly.
            passes: That rewrite the circuit so that it errs less, names or objects of `qtnml.program.passes`
                ("skip-resets", "feed-forward", "twirl", "merge", "decouple", "hold-reads"); "auto" takes, on
                a target, those that do best under its calibration. See `CompiledCircuit.with_passes`.
        """
        check_is_fitted(self)
        if isinstance(target, str):
            target = device_called(target)
        nodes = len(self.model_.topology.nodes)
        with progress_bar("compiling", nodes, show=bool(self.verbose)) as advance:
            return compile_model(
                self.model_,
                self.params_,
                **self.circuit_meant(reuse_qubits, num_qubits),
                target=target,
                synthesis=synthesis,
                scaler=self.scaler_,
                samples=None if samples is None else self.features(samples),
                passes=passes,
                on_node=lambda done, _: advance(done, "nodes"),
            )

    def _compiled_for(
        self, backend: Backend, jobs: Any, *, for_device: bool, recalibrate: bool, **how: Any
    ) -> tuple[CompiledCircuit, Pin | None]:
        """The circuit for a backend, and where the ledger keeps it."""
        if not for_device or target_of(backend) is None:
            return self.compile(**how), None
        simulated = backend.capabilities.simulated_qubits
        if simulated is not None and how["num_qubits"] is None and how["reuse_qubits"]:
            how["num_qubits"] = max(simulated, minimal_order(self.model_.topology)[0])
        facts = (self.model_, self.model_.topology.to_dict(), type(self.scaler_).__name__)
        pin = pin_of(jobs, backend, (self.params_, _numbers(self.scaler_)), facts, how)
        return pinned(pin, lambda: self.compile(target=backend, **how), recalibrate=recalibrate), pin


def _numbers(scaler: Any) -> dict[str, NDArray]:
    """What a scaler learnt."""
    found = {} if scaler is None else vars(scaler)
    return {name: np.asarray(value, dtype=np.float64) for name, value in found.items()}
