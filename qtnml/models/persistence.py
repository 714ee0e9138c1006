"""Models on disk: every parameter and every learnt value, as JSON and arrays."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from qtnml.ansatz import get_ansatz, unitarity_error
from qtnml.arrays import NDArray
from qtnml.compile.stored import circuit_entry, restored_circuit
from qtnml.contract import AmplitudeModel, AmplitudeNetwork, FactorisedNetwork, Model, Parameters
from qtnml.encoding import FeatureScaler, get_encoding
from qtnml.errors import InvalidInputError, ModelFileError, NotRegisteredError
from qtnml.models.amplitude import AmplitudeClassifier
from qtnml.models.amplitude_mps import AmplitudeMPSClassifier
from qtnml.models.amplitude_tree import AmplitudeTreeClassifier
from qtnml.models.backend_born import BackendBornMachine
from qtnml.models.backend_classifier import BackendClassifier
from qtnml.models.backend_regressor import BackendRegressor
from qtnml.models.born import MPSBornMachine, TreeBornMachine
from qtnml.models.born_persistence import born_entry, restored_born
from qtnml.models.built_persistence import BUILT, restored
from qtnml.models.built_persistence import entry_of as built_entry
from qtnml.models.circuit_born import CircuitBornMachine
from qtnml.models.circuit_born_persistence import circuit_born_entry, restored_circuit_born
from qtnml.models.classifiers import MPSClassifier, TreeClassifier
from qtnml.models.forest import TreeForestClassifier, forest_entry, restored_forest
from qtnml.models.objects import OBJECTS, plain, stored_object, stored_setting, unfitted_encoder
from qtnml.models.old_files import with_trimmed_cores
from qtnml.models.on_backend import backend_entry, restore_backend, tuned_weights
from qtnml.models.regressors import MPSRegressor, TreeRegressor
from qtnml.models.saved import set_format
from qtnml.models.settings import is_number
from qtnml.models.table_input import TableInput
from qtnml.models.training import TrainedEstimator
from qtnml.noise.stored import noise_entry, noise_from_entry
from qtnml.registry import REGISTRIES, register
from qtnml.storage import arrays_under, load_archive
from qtnml.structure import Topology, Tree, structure_from_dict
from qtnml.train import EpochRecord

MeasuredModel: TypeAlias = BackendClassifier | BackendRegressor | BackendBornMachine

for _class in (
    TreeClassifier,
    MPSClassifier,
    TreeRegressor,
    MPSRegressor,
    AmplitudeMPSClassifier,
    AmplitudeTreeClassifier,
    BackendClassifier,
    BackendRegressor,
    BackendBornMachine,
    MPSBornMachine,
    TreeBornMachine,
    CircuitBornMachine,
    TreeForestClassifier,
    *BUILT,
):
    register("estimator", _class)

# A file must not choose where checkpoints are written, and holds no code.
_NOT_SAVED = {"checkpoint": None, "resume": False, "callback": None, "augment": None}


def entry_of(estimator: Any) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """A fitted estimator as JSON types and arrays.

    Raises:
        ModelFileError: Its class or that of one of its settings is not registered, and could not be read
            again.
    """
    kind = type(estimator)
    name = REGISTRIES["estimator"].name_of(kind)
    if name is None:
        raise ModelFileError(
            f"{kind.__name__} cannot be saved: a file holds registered classes only; register it: "
            f"qtnml.register('estimator', {kind.__name__}), or save params_ or state_ yourself"
        )
    if isinstance(estimator, TrainedEstimator):
        header, arrays = _trained_entry(estimator)
    elif isinstance(estimator, MeasuredModel):
        header, arrays = _measured_entry(estimator)
    elif isinstance(estimator, CircuitBornMachine):
        header, arrays = circuit_born_entry(estimator)
    elif isinstance(estimator, TreeForestClassifier):
        header, arrays = forest_entry(estimator, entry_of)
    else:
        header, arrays = built_entry(estimator)
    own = {key: getattr(estimator, key) for key in getattr(estimator, "learnt_attributes", ())}
    found = {f"own_{key}": value for key, value in own.items() if _is_numeric(value)}
    header |= {"model": name}
    if own:
        header["own"] = plain({key: value for key, value in own.items() if not _is_numeric(value)})
    return header, arrays | found


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype != object


def _trained_entry(model: TrainedEstimator) -> tuple[dict[str, Any], dict[str, NDArray]]:
    model.check_settings()
    arrays = {"feature_low": model.scaler_.low, "feature_high": model.scaler_.high}
    for part, stacks in model.params_._asdict().items():
        arrays |= {f"{part}_{k}": np.asarray(stack) for k, stack in enumerate(stacks)}
    header: dict[str, Any] = {
        "parameters": _plain_parameters(model),
        "network": _stored_network(model.model_),
        "history": [list(record) for record in model.history_],
        "best_epoch": model.best_epoch_,
        "stopped": model.stopped_,
        "notes": getattr(model, "notes_", {}),
    }
    if model.table_ is not None:
        header["table"] = plain(model.table_.to_dict())
    if isinstance(model, TreeRegressor | MPSRegressor):
        header["target"] = [model.target_mean_, model.target_scale_]
        arrays["residuals"] = model.residuals_
    else:
        header["temperature"] = model.temperature_
        if model.classes_.dtype == object:
            header["object_classes"] = [str(label) for label in model.classes_]
        else:
            arrays["classes"] = model.classes_
    if hasattr(model, "feature_names_in_"):
        header["feature_names_in"] = [str(name) for name in model.feature_names_in_]
    return header, arrays


def load_model(path: str | os.PathLike[str]) -> Any:
    """Read a model that `save` wrote; its predictions are the same to the last bit.

    Raises:
        ModelFileError: Missing, damaged or foreign file, or one of a newer format.
    """
    header, arrays = load_archive(Path(path))
    try:
        return restored_model(header, arrays)
    except NotRegisteredError as error:
        raise NotRegisteredError(f"cannot load {path}: {error}") from error
    except Exception as error:  # whatever a hostile file makes the parts below raise
        raise ModelFileError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def restored_model(header: dict[str, Any], arrays: Mapping[str, NDArray]) -> Any:
    """The inverse of `entry_of`; whatever does not fit raises."""
    cls = REGISTRIES["estimator"].find(header["model"])
    if issubclass(cls, TrainedEstimator):
        estimator: Any = _restored(cls, header, arrays)
    elif issubclass(cls, MeasuredModel):
        estimator = _restored_measured(cls, header, arrays)
    elif issubclass(cls, CircuitBornMachine):
        estimator = restored_circuit_born(cls, header, arrays)
    elif issubclass(cls, TreeForestClassifier):
        estimator = restored_forest(cls, header, arrays, restored_model, arrays_under)
    else:
        estimator = restored(cls, header, arrays)
    for key in getattr(cls, "learnt_attributes", ()):
        setattr(estimator, key, arrays[f"own_{key}"] if f"own_{key}" in arrays else header["own"][key])
    return estimator


def _measured_entry(
    model: MeasuredModel,
) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """A model on a backend: its circuit and tuned weights, where it was measured, and what it came from."""
    header = dict(backend_entry(model))
    if isinstance(model, BackendBornMachine):
        header["born"], cores = born_entry(model.model)
        header["circuit"], arrays = circuit_entry(model.compiled)
        arrays |= {f"born_{name}": core for name, core in cores.items()}
    else:
        header["circuit"], arrays = circuit_entry(model.compiled)
        names = model.feature_names
        header["feature_names"] = None if names is None else [str(name) for name in names]
        if model.table is not None:
            header["table"] = plain(model.table.to_dict())
        if isinstance(model, BackendRegressor):
            arrays["values"] = np.asarray(model.values, dtype=np.float64)
            if model.residuals is not None:
                arrays["residuals"] = model.residuals
        else:
            header["temperature"] = model.temperature
            if model.classes.dtype == object:
                header["object_classes"] = [str(label) for label in model.classes]
            else:
                arrays["classes"] = model.classes
    return header, arrays | tuned_weights(model)


def _restored_measured(cls: Any, header: dict[str, Any], arrays: Mapping[str, NDArray]) -> Any:
    """The inverse of `_measured_entry`."""
    model: MeasuredModel
    if issubclass(cls, BackendBornMachine):
        cores = arrays_under(arrays, "born_")
        compiled = restored_circuit(header["circuit"], arrays)
        model = cls(
            restored_born(REGISTRIES["estimator"].find(header["born"]["model"]), header["born"], cores),
            compiled,
            None,
        )
    else:
        circuit = restored_circuit(header["circuit"], arrays)
        stand_for = (
            _checked_values(circuit, arrays)
            if issubclass(cls, BackendRegressor)
            else _checked_classes(header, arrays)
        )
        if not 2 <= len(stand_for) <= circuit.num_outcomes:
            raise ModelFileError(f"{len(stand_for)} classes do not fit {circuit.num_outcomes} outcomes")
        names = header["feature_names"]
        table = TableInput.from_dict(header["table"]) if "table" in header else None
        if table is not None and len(table.names) != circuit.num_features:
            raise ModelFileError("its table does not fit its circuit")
        model = cls(
            circuit,
            stand_for,
            None,
            feature_names=None if names is None else np.array(names, dtype=object),
            table=table,
        )
        if isinstance(model, BackendClassifier):
            model.temperature = _restored_temperature(header)
        elif "residuals" in arrays:
            model.residuals = _restored_residuals(arrays)
    restore_backend(model, header, arrays.get("tuned"))
    return model


def _checked_values(circuit: Any, arrays: Mapping[str, NDArray]) -> NDArray:
    values = arrays["values"]
    if values.shape != (circuit.num_outcomes,) or values.dtype != np.float64 or not np.isfinite(values).all():
        raise ModelFileError(f"its values are not {circuit.num_outcomes} finite numbers")
    return values


def _restored(cls: Any, header: dict[str, Any], arrays: Mapping[str, NDArray]) -> TrainedEstimator:
    parameters = dict(header["parameters"])
    for name in set(OBJECTS) & parameters.keys():
        parameters[name] = stored_object(name, parameters[name])
    parameters |= {name: value for name, value in _NOT_SAVED.items() if name in parameters}
    if isinstance(parameters.get("encoder"), dict):
        parameters["encoder"] = unfitted_encoder(parameters["encoder"])
    if "noise" in parameters:  # files of version 0.1 have none
        parameters["noise"] = noise_from_entry(parameters["noise"])
    if isinstance(by_class := parameters.get("class_weight"), dict):
        parameters["class_weight"] = dict(zip(by_class["labels"], by_class["weights"], strict=True))
    if isinstance(parameters["feature_range"], list):
        parameters["feature_range"] = tuple(parameters["feature_range"])
    if isinstance(parameters.get("topology"), dict):
        parameters["topology"] = structure_from_dict(parameters["topology"])
    estimator: Any = cls(**parameters)
    is_regressor = isinstance(estimator, TreeRegressor | MPSRegressor)
    if "amplitude_mps" in header["network"]:
        header, arrays = with_trimmed_cores(header, arrays)
    model = _restored_network(header["network"], "expectation" if is_regressor else "outcomes")
    if isinstance(model, AmplitudeModel) != isinstance(estimator, AmplitudeClassifier):
        raise ModelFileError("its network is not of the model's kind")
    estimator.model_, estimator.params_ = model, _restored_parameters(model, arrays)
    estimator.scaler_ = _restored_scaler(model, arrays)
    if is_regressor:
        mean, scale = map(float, header["target"])
        if not (np.isfinite(mean) and np.isfinite(scale) and scale > 0):
            raise ModelFileError("its target scale is not a positive number")
        estimator.target_mean_, estimator.target_scale_ = mean, scale
        estimator.residuals_ = _restored_residuals(arrays)
    else:
        estimator.classes_ = _restored_classes(model, header, arrays)
        estimator.temperature_ = _restored_temperature(header)
    estimator.history_ = [EpochRecord(*record) for record in header["history"]]
    estimator.best_epoch_, estimator.n_iter_ = int(header["best_epoch"]), len(estimator.history_)
    estimator.stopped_, estimator.notes_ = str(header["stopped"]), dict(header["notes"])
    estimator.table_ = _restored_table(model, header)
    estimator.n_features_in_ = (
        model.num_features if estimator.table_ is None else estimator.table_.num_columns
    )
    if "feature_names_in" in header:
        estimator.feature_names_in_ = np.array(header["feature_names_in"], dtype=object)
    return estimator  # type: ignore[no-any-return]


def _restored_temperature(header: dict[str, Any]) -> float:
    """Of a classifier; files of older versions have none."""
    temperature = header.get("temperature", 1.0)
    if not (is_number(temperature, int, float) and 0 < temperature < np.inf):
        raise ModelFileError("its temperature is not a positive number")
    return float(temperature)


def _restored_residuals(arrays: Mapping[str, NDArray]) -> NDArray:
    """Of a regressor; files of older versions have none."""
    residuals = np.asarray(arrays.get("residuals", np.zeros(0)))
    sound = residuals.ndim == 1 and residuals.dtype == np.float64 and bool((np.diff(residuals) >= 0).all())
    if not (sound and np.isfinite(residuals).all() and (residuals >= 0).all()):
        raise ModelFileError("its residuals are not rising numbers")
    return residuals


def _restored_table(model: Model | AmplitudeModel, header: dict[str, Any]) -> TableInput | None:
    if "table" not in header:
        return None
    table = TableInput.from_dict(header["table"])
    if isinstance(model, AmplitudeModel):
        fits = model.encoding is None and table.dims == model.network.leaf_dims
    else:
        fits = len(table.names) == model.num_features
    if not fits:
        raise ModelFileError("its table does not fit its network")
    return table


def _stored_network(model: Model | AmplitudeModel) -> dict[str, Any]:
    encoding = stored_setting("encoding", model.encoding)
    if isinstance(model, AmplitudeModel):
        network = model.network
        return {
            "amplitudes": {
                "tree": network.tree.to_dict(),
                "leaf_dims": list(network.leaf_dims),
                "bond_dims": list(network.bond_dims),
                "classes": [network.num_classes, network.label_node],
                "root_terms": network.terms[-1] if isinstance(network, FactorisedNetwork) else 0,
            },
            "encoding": encoding,
        }
    return {
        "topology": model.topology.to_dict(),
        "discard": model.discard,
        "encoding": encoding,
        "ansatz": stored_setting("ansatz", model.ansatz),
    }


def _restored_network(stored: dict[str, Any], readout: Any) -> Model | AmplitudeModel:
    if "amplitudes" in stored:
        given = stored_object("encoding", stored["encoding"])
        encoding = None if given is None else get_encoding(given)
        entry = stored["amplitudes"]
        dims = (tuple(map(int, entry[name])) for name in ("leaf_dims", "bond_dims", "classes"))
        leaf_dims, bond_dims, (num_classes, label_node) = dims
        tree, terms = Tree.from_dict(entry["tree"]), int(entry.get("root_terms", 0))
        network = AmplitudeNetwork(tree, leaf_dims, bond_dims, num_classes, label_node)
        if terms:
            network = FactorisedNetwork(tree, leaf_dims, bond_dims, num_classes, label_node, terms)
        return AmplitudeModel(network, encoding)
    encoding = get_encoding(stored_object("encoding", stored["encoding"]))
    ansatz = get_ansatz(stored_object("ansatz", stored["ansatz"]))
    topology = Topology.from_dict(stored["topology"])
    return Model(topology, encoding, ansatz, stored["discard"], readout=readout)


def _restored_parameters(model: Model | AmplitudeModel, arrays: Mapping[str, NDArray]) -> Parameters:
    """Arrays of the shapes and types the model needs, matrices unitary."""
    expected = model.parameter_shapes()
    found = Parameters(
        *(
            tuple(arrays[f"{part}_{k}"] for k in range(len(stacks)))
            for part, stacks in expected._asdict().items()
        )
    )
    for part, wanted, given in zip(Parameters._fields, expected, found, strict=True):
        for stack, array in zip(wanted, given, strict=True):
            wanted_dtype = np.complex128 if stack.dtype.kind == "c" else np.float64
            if array.shape != stack.shape or array.dtype != wanted_dtype:
                raise ModelFileError(f"its {part} do not fit its topology and ansatz")
            if not np.isfinite(array).all():
                raise ModelFileError(f"its {part} are not finite")
    if isinstance(model, Model) and not max(map(_unitarity_error, model.network(found).unitaries)) < 1e-9:
        raise ModelFileError("its matrices are not unitary")
    return found


def _unitarity_error(stack: Any) -> float:
    return unitarity_error(np.asarray(stack))


def _restored_scaler(model: Model | AmplitudeModel, arrays: Mapping[str, NDArray]) -> FeatureScaler:
    scaler = FeatureScaler(arrays["feature_low"], arrays["feature_high"])
    features = 0 if isinstance(model, AmplitudeModel) and model.encoding is None else model.num_features
    for bound in (scaler.low, scaler.high):
        if bound.dtype != np.float64 or bound.shape != (features,):
            raise ModelFileError("its feature ranges do not fit its topology")
    if not (np.isfinite([scaler.low, scaler.high]).all() and (scaler.low <= scaler.high).all()):
        raise ModelFileError("its feature ranges are not finite and in order")
    return scaler


def _restored_classes(
    model: Model | AmplitudeModel, header: dict[str, Any], arrays: Mapping[str, NDArray]
) -> NDArray:
    classes = _checked_classes(header, arrays)
    if isinstance(model, AmplitudeModel):
        if len(classes) != model.num_classes:
            raise ModelFileError(f"{len(classes)} classes do not fit a label of {model.num_classes} values")
    elif not 2 <= len(classes) <= 2**model.topology.root_qubits:
        raise ModelFileError(f"{len(classes)} classes do not fit {model.topology.root_qubits} root qubits")
    return classes


def _checked_classes(header: dict[str, Any], arrays: Mapping[str, NDArray]) -> NDArray:
    classes = arrays.get("classes")
    if classes is None:
        classes = np.array(header["object_classes"], dtype=object)
    if classes.ndim != 1 or len(set(classes.tolist())) != len(classes):
        raise ModelFileError("its classes are not a list of different labels")
    return classes


def _plain_parameters(model: TrainedEstimator) -> dict[str, Any]:
    """Constructor arguments as JSON types; a generator as random_state is not kept."""
    parameters = model.get_params(deep=False)
    for name in set(OBJECTS) & parameters.keys():
        parameters[name] = stored_setting(name, parameters[name])
    if parameters.get("encoder") is not None:
        parameters["encoder"] = parameters["encoder"].plain_settings()
    if "noise" in parameters:
        try:
            parameters["noise"] = noise_entry(parameters["noise"])
        except InvalidInputError as error:
            raise ModelFileError(str(error)) from error
    if isinstance(by_class := parameters.get("class_weight"), dict):
        labels = [label.item() if isinstance(label, np.generic) else label for label in by_class]
        parameters["class_weight"] = {"labels": labels, "weights": list(map(float, by_class.values()))}
    if isinstance(parameters.get("topology"), Topology | Tree):
        parameters["topology"] = parameters["topology"].to_dict()
    if isinstance(parameters["random_state"], np.random.RandomState):
        parameters["random_state"] = None
    parameters |= {name: value for name, value in _NOT_SAVED.items() if name in parameters}
    return {name: plain(value) for name, value in parameters.items()}


set_format(entry_of, restored_model)
