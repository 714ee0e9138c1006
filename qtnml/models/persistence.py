"""Models on disk: every parameter and every learnt value, as JSON and arrays."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.encoding import FeatureScaler
from qtnml.errors import ModelFileError
from qtnml.models.tree import TreeClassifier
from qtnml.network import TensorNetwork, Topology, unitarity_error
from qtnml.storage import load_archive, save_archive
from qtnml.train import EpochRecord
from qtnml.train.losses import LOSSES

MODELS: dict[str, type[TreeClassifier]] = {"TreeClassifier": TreeClassifier}


def save_model(model: TreeClassifier, path: str | os.PathLike[str]) -> None:
    """Write a fitted model; see `TreeClassifier.save`."""
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(model)
    arrays = {f"unitaries_{k}": np.asarray(stack) for k, stack in enumerate(model.network_.unitaries)}
    arrays |= {"feature_low": model.scaler_.low, "feature_high": model.scaler_.high}
    header: dict[str, Any] = {
        "model": type(model).__name__,
        "parameters": _plain_parameters(model),
        "topology": model.network_.topology.to_dict(),
        "history": [list(record) for record in model.history_],
        "best_epoch": model.best_epoch_,
        "stopped": model.stopped_,
        "notes": getattr(model, "notes_", {}),
    }
    if model.classes_.dtype == object:
        header["object_classes"] = [str(label) for label in model.classes_]
    else:
        arrays["classes"] = model.classes_
    if hasattr(model, "feature_names_in_"):
        header["feature_names_in"] = [str(name) for name in model.feature_names_in_]
    save_archive(Path(path), header, arrays)


def load_model(path: str | os.PathLike[str]) -> TreeClassifier:
    """Read a model that `save` wrote; its predictions are the same to the last bit.

    Raises:
        ModelFileError: Missing, damaged or foreign file, or one of a newer format.
    """
    header, arrays = load_archive(Path(path))
    try:
        return _restored(header, arrays)
    except Exception as error:  # whatever a hostile file makes the parts below raise
        raise ModelFileError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def _restored(header: dict[str, Any], arrays: dict[str, NDArray]) -> TreeClassifier:
    parameters = dict(header["parameters"])
    if isinstance(parameters["loss"], dict):
        parameters["loss"] = LOSSES[parameters["loss"].pop("name")](**parameters["loss"])
    if isinstance(parameters["feature_range"], list):
        parameters["feature_range"] = tuple(parameters["feature_range"])
    model = MODELS[header["model"]](**parameters)
    model._check_parameters()
    topology = Topology.from_dict(header["topology"])
    stacks = sum(name.startswith("unitaries_") for name in arrays)
    network = TensorNetwork(topology, tuple(arrays[f"unitaries_{k}"] for k in range(stacks)))
    network.check_shapes()
    if not max(map(unitarity_error, network.unitaries)) < 1e-9:  # type: ignore[arg-type]
        raise ModelFileError("its matrices are not unitary")
    scaler = FeatureScaler(arrays["feature_low"], arrays["feature_high"])
    for bound in (scaler.low, scaler.high):
        if bound.dtype != np.float64 or bound.shape != (topology.num_features,):
            raise ModelFileError("its feature ranges do not fit its topology")
    if not (np.isfinite([scaler.low, scaler.high]).all() and (scaler.low <= scaler.high).all()):
        raise ModelFileError("its feature ranges are not finite and in order")
    classes = arrays.get("classes")
    if classes is None:
        classes = np.array(header["object_classes"], dtype=object)
    if classes.ndim != 1 or len(set(classes.tolist())) != len(classes):
        raise ModelFileError("its classes are not a list of different labels")
    if not 2 <= len(classes) <= 2**topology.root_qubits:
        raise ModelFileError(f"{len(classes)} classes do not fit {topology.root_qubits} root qubits")
    model.network_, model.scaler_, model.classes_ = network, scaler, classes
    model.history_ = [EpochRecord(*record) for record in header["history"]]
    model.best_epoch_, model.n_iter_ = int(header["best_epoch"]), len(model.history_)
    model.stopped_, model.notes_ = str(header["stopped"]), dict(header["notes"])
    model.n_features_in_ = topology.num_features
    if "feature_names_in" in header:
        model.feature_names_in_ = np.array(header["feature_names_in"], dtype=object)
    return model


def _plain_parameters(model: TreeClassifier) -> dict[str, Any]:
    """Constructor arguments as JSON types; a generator as random_state is not kept."""
    parameters = model.get_params(deep=False)
    loss = parameters["loss"]
    if not isinstance(loss, str):
        if LOSSES.get(loss.name) is not type(loss):
            raise ModelFileError(
                f"a model with the user-defined loss {loss!r} cannot be saved; "
                "set_params(loss='cross-entropy') first, predictions do not need it"
            )
        parameters["loss"] = {"name": loss.name, **asdict(loss)}
    if isinstance(parameters["random_state"], np.random.RandomState):
        parameters["random_state"] = None
    return {name: _plain(value) for name, value in parameters.items()}


def _plain(value: Any) -> Any:
    """JSON types for NumPy scalars and arrays, inside tuples and dicts as well."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
