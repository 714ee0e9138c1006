"""Compiled circuits as files other tools read, and back."""

import io
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, qasm3, qpy
from qiskit.circuit import ParameterVector

from qtnml.compile.compiled import CompiledCircuit
from qtnml.compile.schedule import Apply, Prepare, Schedule
from qtnml.encoding import Encoding, FeatureScaler, encoding_name, get_encoding
from qtnml.errors import CircuitFileError, InvalidInputError, MissingExtraError
from qtnml.network import Topology
from qtnml.storage import write_atomically

_FORMAT = 1
_COMMENT = "// qtnml: "


def export_circuit(
    compiled: CompiledCircuit, path: str | os.PathLike[str], *, free_weights: bool = False
) -> None:
    """Write a circuit as OpenQASM 3 (`.qasm`) or QPY (`.qpy`), atomically; `import_circuit` reads it back.

    The data angles `x` stay inputs of the circuit; the weights `w` are bound to their trained
    values unless `free_weights`. OpenQASM files say in comments how features become angles.
    """
    path = Path(path)
    circuit = (compiled.circuit if free_weights else compiled.trained_circuit).copy()
    facts = _facts(compiled, free_weights=free_weights)
    if path.suffix == ".qasm":
        comments = f"{_input_comments(compiled)}{_COMMENT}{json.dumps(facts)}\n"
        content = (comments + qasm3.dumps(circuit)).encode()
    elif path.suffix == ".qpy":
        circuit.metadata = {"qtnml": facts}
        buffer = io.BytesIO()
        qpy.dump(circuit, buffer)
        content = buffer.getvalue()
    else:
        raise InvalidInputError(f"cannot tell the circuit format of {path}; end it in .qasm or .qpy")
    write_atomically(path, content)


def import_circuit(path: str | os.PathLike[str], *, encoding: Encoding | None = None) -> CompiledCircuit:
    """Read a circuit that `export_circuit` wrote, ready to `bind` samples.

    It no longer knows its network: `verify` and the report's levels need the model, compiled again.

    Args:
        path: Of a `.qpy` or, with the package qiskit-qasm3-import, a `.qasm` file.
        encoding: The encoding it was compiled with, if that is your own.

    Raises:
        CircuitFileError: Missing, damaged or foreign file, or one of a newer format.
    """
    path = Path(path)
    if path.suffix not in (".qasm", ".qpy"):
        raise InvalidInputError(f"cannot tell the circuit format of {path}; end it in .qasm or .qpy")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CircuitFileError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        circuit, facts = _parsed(content) if path.suffix == ".qasm" else _unpacked(content)
    except MissingExtraError:
        raise
    except Exception as error:  # parsers fail on a damaged file in whatever way they like
        raise CircuitFileError(
            f"{path} is damaged or no circuit file ({type(error).__name__}: {error}); export it again"
        ) from error
    if facts is None:
        raise CircuitFileError(
            f"{path} was not written by qtnml; read it with qiskit.qpy or qiskit.qasm3 instead"
        )
    if facts.get("format") != _FORMAT:
        raise CircuitFileError(
            f"{path} has format {facts.get('format')!r}, this version reads {_FORMAT}; update qtnml"
        )
    try:
        return _rebuilt(circuit, facts, encoding)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise CircuitFileError(
            f"{path} is damaged ({type(error).__name__}: {error}); export it again"
        ) from error


def _facts(compiled: CompiledCircuit, *, free_weights: bool) -> dict[str, Any]:
    """What a circuit alone does not tell."""
    scaler = compiled.scaler
    operations = [
        ["node", op.node, op.qubits, op.resets]
        if isinstance(op, Apply)
        else ["leaf", op.leaf, op.qubits, op.resets]
        for op in compiled.schedule.operations
    ]
    return {
        "format": _FORMAT,
        "encoding": encoding_name(compiled.encoding),
        "encoding_parameters": [array.tolist() for array in compiled.encoding_parameters],
        "scaler": None if scaler is None else [scaler.low.tolist(), scaler.high.tolist()],
        "data_qubits": len(compiled.x),
        "weights": compiled.weights.tolist() if free_weights else [],
        "infidelity": None if np.isnan(compiled.infidelity) else compiled.infidelity,
        "topology": compiled.topology.to_dict(),
        "postselected": compiled.postselected,
        "schedule": [compiled.schedule.num_qubits, operations, list(compiled.schedule.measured)],
    }


def _unpacked(content: bytes) -> tuple[QuantumCircuit, dict[str, Any] | None]:
    circuit = qpy.load(io.BytesIO(content))[0]
    return circuit, (circuit.metadata or {}).get("qtnml")


def _parsed(content: bytes) -> tuple[QuantumCircuit, dict[str, Any] | None]:
    text = content.decode()
    try:
        circuit = qasm3.loads(text)
    except ImportError as error:
        raise MissingExtraError(
            "reading OpenQASM 3 needs qiskit-qasm3-import; pip install qiskit-qasm3-import, or export as .qpy"
        ) from error
    found = next((line for line in text.splitlines() if line.startswith(_COMMENT)), None)
    return circuit, None if found is None else json.loads(found[len(_COMMENT) :])


def _rebuilt(circuit: QuantumCircuit, facts: dict[str, Any], encoding: Encoding | None) -> CompiledCircuit:
    if encoding is None:
        if facts["encoding"] is None:
            raise InvalidInputError("this circuit's encoding is your own; pass it as encoding=")
        encoding = get_encoding(facts["encoding"])
    lengths = {"x": facts["data_qubits"], "w": len(facts["weights"])}
    vectors = {name: ParameterVector(name, length) for name, length in lengths.items()}
    values = {}
    for parameter in circuit.parameters:  # x[3] in QPY, _x_3_ in OpenQASM
        match = re.fullmatch(r"_?([xw])[_\[](\d+)[_\]]", parameter.name)
        if match is None:
            raise ValueError(f"unknown parameter {parameter.name!r}")
        values[parameter] = vectors[match[1]][int(match[2])]
    num_qubits, operations, measured = facts["schedule"]
    kinds: dict[str, type[Prepare | Apply]] = {"node": Apply, "leaf": Prepare}
    steps = [kinds[kind](k, tuple(qubits), tuple(resets)) for kind, k, qubits, resets in operations]
    scaler = facts["scaler"]
    return CompiledCircuit(
        circuit=circuit.assign_parameters(values),
        x=vectors["x"],
        w=vectors["w"],
        weights=np.array(facts["weights"], dtype=np.float64),
        schedule=Schedule(num_qubits, tuple(steps), tuple(measured)),
        infidelity=float("nan") if facts["infidelity"] is None else float(facts["infidelity"]),
        encoding=encoding,
        encoding_parameters=tuple(np.array(array) for array in facts["encoding_parameters"]),
        scaler=None if scaler is None else FeatureScaler(*map(np.array, scaler)),
        nodes=(),
        topology=Topology.from_dict(facts["topology"]),
        network=None,
        postselected=bool(facts["postselected"]),
    )


def _input_comments(compiled: CompiledCircuit) -> str:
    """What a reader of the file alone must know to feed it: the angles of each feature, the outcome."""
    encoding, scaler = compiled.encoding, compiled.scaler
    lines = [
        f"Inputs are angles in radians, encoding {encoding.name!r}, of features scaled and clipped to "
        "[0, 1]: f = (feature - low) / (high - low), 0 where both are equal.",
        "Outcome: c as a binary number, c[0] the least significant bit."
        + (" Only shots in which every bit of postselect is 0 count." if compiled.postselected else ""),
    ]
    formula = getattr(encoding, "formula", None)
    for place in range(len(compiled.x)):
        feature, qubit = divmod(place, encoding.qubits_per_feature)
        low, high = (0.0, 1.0) if scaler is None else (scaler.low[feature], scaler.high[feature])
        own = tuple(float(array[feature]) for array in compiled.encoding_parameters)
        angle = "" if formula is None else f" = {formula(qubit, *own)}"
        lines.append(f"_x_{place}_{angle}, feature {feature}: low {low:.17g}, high {high:.17g}")
    return "".join(f"// {line}\n" for line in lines)
