"""Circuit Born machines as files: their gates, settings and history."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import ModelFileError
from qtnml.models.circuit_born import CircuitBornMachine
from qtnml.models.objects import plain
from qtnml.shallow.blocks import Blocks, Point


def circuit_born_entry(model: CircuitBornMachine) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """A fitted machine as JSON types and arrays."""
    parameters = model.get_params(deep=False)
    if isinstance(parameters["random_state"], np.random.RandomState):
        parameters["random_state"] = None
    if not (parameters["extend"] is None or isinstance(parameters["extend"], str)):
        # Of a device what it stands for: the pairs behind the staircases.
        stairs = int(model.layers) * (model.n_features_in_ - 1)
        parameters["extend"] = [list(pair) for pair in model.blocks_.pairs[stairs:]]
    header = {
        "parameters": plain(parameters),
        "qubits": model.n_features_in_,
        "pairs": [list(pair) for pair in model.blocks_.pairs],
        "kind": model.blocks_.kind,
        "history": [float(loss) for loss in model.history_],
        "notes": model.notes_,
    }
    if hasattr(model, "feature_names_in_"):
        header["feature_names_in"] = [str(name) for name in model.feature_names_in_]
    return header, {"gates": np.asarray(model.point_.whole, np.complex128)}


def restored_circuit_born(
    cls: type[CircuitBornMachine], header: dict[str, Any], arrays: Mapping[str, NDArray]
) -> CircuitBornMachine:
    """The inverse of `circuit_born_entry`; whatever does not fit raises."""
    model = cls(**header["parameters"])
    model.check_settings()
    pairs = tuple((int(a), int(b)) for a, b in header["pairs"])
    count = int(header["qubits"])
    if header["kind"] != "su4" or any(a == b or not 0 <= min(a, b) <= max(a, b) < count for a, b in pairs):
        raise ModelFileError("its gates do not fit its qubits")
    gates = np.asarray(arrays["gates"], np.complex128)
    if gates.shape != (len(pairs), 4, 4):
        raise ModelFileError(f"its {len(pairs)} gates have shape {gates.shape}")
    if not np.abs(gates @ gates.conj().transpose(0, 2, 1) - np.eye(4)).max(initial=0.0) < 1e-8:
        raise ModelFileError("its gates are not unitary")
    model.blocks_ = Blocks(count, pairs, "su4")
    model.point_ = Point(gates, *model.blocks_.identity()[1:])
    model.n_features_in_ = count
    model.history_ = [float(loss) for loss in header["history"]]
    model.notes_ = header.get("notes", {})
    if "feature_names_in" in header:
        if len(header["feature_names_in"]) != count:
            raise ModelFileError("its feature names do not fit its qubits")
        model.feature_names_in_ = np.array(header["feature_names_in"], dtype=object)
    return model
