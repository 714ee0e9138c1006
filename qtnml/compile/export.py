"""Compiled circuits written to files that other tools read, and read back."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, qasm3
from qiskit.circuit import Delay, ParameterVector
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.transpiler import Target

from qtnml.arrays import NDArray
from qtnml.compile.compiled import Compiled, CompiledCircuit
from qtnml.compile.expected import Expected
from qtnml.compile.generative import GenerativeCircuit
from qtnml.compile.schedule import Apply, Prepare, Schedule
from qtnml.encoding import Encoding, FeatureScaler, encoding_name, get_encoding
from qtnml.errors import CircuitFileError, InvalidInputError, MissingExtraError
from qtnml.gates.node import GATE_SETS
from qtnml.program import Device, Program, Wait
from qtnml.program.qpy_bytes import circuits_of, qpy_bytes
from qtnml.storage import write_atomically
from qtnml.structure import Topology

_FORMAT = 1
_COMMENT = "// qtnml: "


def export_circuit(compiled: Compiled, path: str | os.PathLike[str], *, free_weights: bool = False) -> None:
    """Write a circuit as OpenQASM 3 (`.qasm`) or QPY (`.qpy`), atomically; `import_circuit` reads it back.

    The data angles `x` stay inputs of the circuit. The weights `w` are bound to their trained values unless
    `free_weights` is set. Comments in OpenQASM files say how features become angles, or which bits belong to
    which site.
    """
    path = Path(path)
    circuit = (compiled.circuit if free_weights else compiled.trained_circuit).copy()
    facts = circuit_facts(compiled, free_weights=free_weights)
    if path.suffix == ".qasm":
        text = qasm3.dumps(circuit)
        facts["sha256"] = _sha256(text)
        content = f"{_comments(compiled)}{_COMMENT}{json.dumps(facts)}\n{text}".encode()
    elif path.suffix == ".qpy":
        if isinstance(compiled, GenerativeCircuit):
            facts["site_bits"] = [
                list(bits) for bits in compiled.site_bits
            ]  # for whoever reads the file alone
        circuit.metadata = {"qtnml": facts | {"sha256": _sha256(_listing(circuit))}}
        content = qpy_bytes(circuit)
    else:
        raise InvalidInputError(f"cannot tell the circuit format of {path}; end it in .qasm or .qpy")
    write_atomically(path, content)


def import_circuit(path: str | os.PathLike[str], *, encoding: Encoding | None = None) -> Any:
    """Read a circuit written by `export_circuit`.

    The result is a `CompiledCircuit`, ready to `bind` samples, or a `GenerativeCircuit`, ready to draw. A
    circuit for a device keeps the device's name, its layout and the time of its calibration. The network is
    not in the file: for `verify` and the report's levels, compile the model again.

    Args:
        path: A `.qpy` file or, with the package qiskit-qasm3-import, a `.qasm` file.
        encoding: The encoding it was compiled with, if that is your own.

    Raises:
        CircuitFileError: The file is missing, damaged, foreign, or of a newer format.
    """
    path = Path(path)
    if path.suffix not in (".qasm", ".qpy"):
        raise InvalidInputError(f"cannot tell the circuit format of {path}; end it in .qasm or .qpy")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CircuitFileError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        circuit, facts, listing = _parsed(content) if path.suffix == ".qasm" else _unpacked(content)
    except MissingExtraError:
        raise
    except Exception as error:  # parsers fail on a damaged file in whatever way they like
        raise CircuitFileError(
            f"{path} is damaged or no circuit file ({_first_line(error)}); export it again"
        ) from error
    if facts is None:
        raise CircuitFileError(
            f"{path} was not written by qtnml; read it with qiskit.qpy or qiskit.qasm3 instead"
        )
    if not isinstance(facts, dict) or facts.get("format") != _FORMAT:
        found = facts.get("format") if isinstance(facts, dict) else facts
        raise CircuitFileError(f"{path} has format {found!r}, this version reads {_FORMAT}; update qtnml")
    if facts.get("sha256") != _sha256(listing):
        raise CircuitFileError(
            f"{path} is damaged: its gates are not those that were written; export it again"
        )
    if encoding is None and "site_dims" not in facts and facts.get("encoding") is None:
        raise InvalidInputError("this circuit's encoding is your own; pass it as encoding=")
    try:
        return rebuilt_circuit(circuit, facts, encoding)
    except Exception as error:  # a header may hold anything
        raise CircuitFileError(f"{path} is damaged ({_first_line(error)}); export it again") from error


def _first_line(error: Exception) -> str:
    """Without the traces that some parsers put into their messages."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _listing(circuit: QuantumCircuit) -> str:
    """Every gate, where it acts, and its parameters to the last bit."""
    lines = []
    for instruction in circuit.data:
        bits = [circuit.find_bit(bit).index for bit in (*instruction.qubits, *instruction.clbits)]
        name = instruction.operation.name
        angles = (
            [f"{float(p):.17g}" for p in instruction.operation.params]
            if name == "delay"
            else [
                p.hex() if isinstance(p, float) else _listing(p) if isinstance(p, QuantumCircuit) else str(p)
                for p in instruction.operation.params
            ]
        )
        lines.append(f"{name} {bits} {angles}")
    return "\n".join(lines)


def circuit_facts(compiled: Compiled, *, free_weights: bool) -> dict[str, Any]:
    """What a circuit alone does not tell."""
    device = compiled.device
    facts = {
        "format": _FORMAT,
        "weights": compiled.weights.tolist() if free_weights else [],
        "infidelity": None if np.isnan(compiled.infidelity) else compiled.infidelity,
        "topology": compiled.topology.to_dict(),
        "schedule": stored_schedule(compiled.schedule),
        "outline": compiled.program.outline(),
        "device": None if device is None else [device.name, device.two_qubit_gate, device.calibration],
        "layout": None if compiled.layout is None else [int(qubit) for qubit in compiled.layout],
        "method": compiled.method,
        "passes": list(compiled.passes),
        "delay_unit": next((s.instruction.unit for s in compiled.program.steps if isinstance(s, Wait)), None),
        "estimated_success": compiled.estimated_success,
        "expected": None if compiled.expected is None else compiled.expected.to_dict(),
    }
    if isinstance(compiled, GenerativeCircuit):
        return facts | {"site_dims": list(compiled.site_dims), "gates_given": compiled.gates_given}
    assert isinstance(compiled, CompiledCircuit)
    scaler = compiled.scaler
    return facts | {
        "encoding": encoding_name(compiled.encoding),
        "encoding_parameters": [array.tolist() for array in compiled.encoding_parameters],
        "scaler": None if scaler is None else [scaler.low.tolist(), scaler.high.tolist()],
        "data_qubits": len(compiled.x),
        "postselected": compiled.postselected,
    }


def stored_schedule(schedule: Schedule) -> list[Any]:
    """A schedule as JSON types."""
    operations = [
        ["node", op.node, op.qubits, op.resets]
        if isinstance(op, Apply)
        else ["leaf", op.leaf, op.qubits, op.resets]
        for op in schedule.operations
    ]
    return [schedule.num_qubits, operations, list(schedule.measured)]


def _unpacked(content: bytes) -> tuple[QuantumCircuit, Any, str]:
    circuit = circuits_of(content)[0]
    return circuit, (circuit.metadata or {}).get("qtnml"), _listing(circuit)


def _parsed(content: bytes) -> tuple[QuantumCircuit, Any, str]:
    """Given to the parser only if it is what was written: a line more can make it run for ever."""
    text = content.decode()
    lines = text.splitlines(keepends=True)
    place = next((k for k, line in enumerate(lines) if line.startswith(_COMMENT)), None)
    if place is None:
        return QuantumCircuit(), None, ""
    facts, program = json.loads(lines[place][len(_COMMENT) :]), "".join(lines[place + 1 :])
    if not isinstance(facts, dict) or facts.get("sha256") != _sha256(program):
        return QuantumCircuit(), facts, program
    try:
        circuit = qasm3.loads(program)
    except ImportError as error:
        raise MissingExtraError(
            "reading OpenQASM 3 needs qiskit-qasm3-import; pip install qiskit-qasm3-import, or export as .qpy"
        ) from error
    return _with_standard_gates(circuit), facts, program


def _with_standard_gates(circuit: QuantumCircuit) -> QuantumCircuit:
    """Gates that OpenQASM's own library lacks (ecr, rzz) as Qiskit's, which have a matrix."""
    known = get_standard_gate_name_mapping()
    found = circuit.copy_empty_like()
    for instruction in circuit.data:
        operation = instruction.operation
        if operation.name in ("ecr", "rzz") and not isinstance(operation, known[operation.name].base_class):
            operation = known[operation.name].base_class(*operation.params)
        found.append(operation, instruction.qubits, instruction.clbits)
    return found


def rebuilt_circuit(circuit: QuantumCircuit, facts: dict[str, Any], encoding: Encoding | None) -> Compiled:
    """A compiled circuit from its gates and what `circuit_facts` says; what does not fit is a ValueError."""
    topology = Topology.from_dict(facts["topology"])
    draws = "site_dims" in facts
    data_qubits = 0 if draws else facts["data_qubits"]
    if not draws and data_qubits != topology.num_data_qubits:
        raise ValueError("its data qubits are not its topology's")
    weights = np.array(facts["weights"], dtype=np.float64)
    if weights.ndim != 1 or not np.isfinite(weights).all():
        raise ValueError("its weights are no finite numbers")
    vectors = {name: ParameterVector(name, size) for name, size in (("x", data_qubits), ("w", len(weights)))}
    values = {}
    for parameter in circuit.parameters:  # x[3] in QPY, _x_3_ in OpenQASM
        match = re.fullmatch(r"_?([xw])[_\[](\d+)[_\]]", parameter.name)
        if match is None:
            raise ValueError(f"unknown parameter {parameter.name!r}")
        values[parameter] = vectors[match[1]][int(match[2])]
    named = _with_delays_in(circuit.assign_parameters(values), facts.get("delay_unit"))
    program = Program.read(named, vectors["x"], "outward" if draws else "inward")
    expected = facts.get("expected")
    common: dict[str, Any] = {
        "program": program.outlined(facts.get("outline", [])),
        "w": vectors["w"],
        "weights": weights,
        "schedule": read_schedule(facts["schedule"], topology),
        "infidelity": float("nan") if facts["infidelity"] is None else float(facts["infidelity"]),
        "nodes": (),
        "topology": topology,
        "device": _read_device(facts.get("device"), circuit.num_qubits),
        "layout": None if facts.get("layout") is None else tuple(int(qubit) for qubit in facts["layout"]),
        "method": str(facts.get("method", "list scheduling")),
        "passes": tuple(str(name) for name in facts.get("passes", ())),
        "estimated_success": facts.get("estimated_success"),
        "expected": None if expected is None else Expected(**expected),
    }
    if draws:
        dims = tuple(int(dim) for dim in facts["site_dims"])
        if len(dims) != topology.num_leaves:
            raise ValueError("its sites are not its topology's")
        return GenerativeCircuit(**common, site_dims=dims, gates_given=bool(facts.get("gates_given", False)))
    encoding = get_encoding(facts["encoding"]) if encoding is None else encoding
    return CompiledCircuit(
        **common,
        x=vectors["x"],
        encoding=encoding,
        encoding_parameters=_read_encoding_parameters(facts, encoding, topology),
        scaler=_read_scaler(facts["scaler"], topology.num_data_qubits // encoding.qubits_per_feature),
        network=None,
        postselected=bool(facts["postselected"]),
    )


def _with_delays_in(circuit: QuantumCircuit, unit: str | None) -> QuantumCircuit:
    """Delays in their own unit again: QPY reads all of them as cycles of a clock (Qiskit 2.6)."""
    if unit in (None, "dt"):
        return circuit
    found = circuit.copy_empty_like()
    for entry in circuit.data:
        operation = entry.operation
        if operation.name == "delay" and operation.unit == "dt":
            operation = Delay(operation.duration, unit)
        found.append(operation, entry.qubits, entry.clbits)
    return found


def _read_device(stored: Any, num_qubits: int) -> Device | None:
    if stored is None:
        return None
    name, gate, *calibration = stored
    if gate not in GATE_SETS:
        raise ValueError(f"its device has the two-qubit gate {gate!r}")
    # Its description is the vendor's, and of another day: what is not known costs nothing.
    return Device(str(name), Target(num_qubits=num_qubits), gate, *calibration)


def read_schedule(stored: Any, topology: Topology) -> Schedule:
    """The inverse of `stored_schedule`; what does not fit the topology is a ValueError."""
    num_qubits, operations, measured = stored
    kinds: dict[str, type[Prepare | Apply]] = {"node": Apply, "leaf": Prepare}
    steps = [kinds[kind](int(k), tuple(qubits), tuple(resets)) for kind, k, qubits, resets in operations]
    used = {qubit for step in steps for qubit in (*step.qubits, *step.resets)}
    expected = topology.num_leaves + len(topology.nodes)
    if len(steps) != expected or len(measured) != topology.root_qubits or not used <= set(range(num_qubits)):
        raise ValueError("its schedule is not its topology's")
    return Schedule(int(num_qubits), tuple(steps), tuple(measured))


def _read_encoding_parameters(
    facts: dict[str, Any], encoding: Encoding, topology: Topology
) -> tuple[NDArray, ...]:
    expected = encoding.parameters(topology.num_data_qubits // encoding.qubits_per_feature)
    found = tuple(np.array(array, dtype=np.float64) for array in facts["encoding_parameters"])
    if [array.shape for array in found] != [array.shape for array in expected]:
        raise ValueError("its encoding parameters are not its encoding's")
    return found


def _read_scaler(stored: Any, num_features: int) -> FeatureScaler | None:
    if stored is None:
        return None
    low, high = (np.array(bound, dtype=np.float64) for bound in stored)
    if low.shape != (num_features,) or high.shape != (num_features,) or not (low <= high).all():
        raise ValueError("its feature ranges are not its topology's")
    return FeatureScaler(low, high)


def _comments(compiled: Compiled) -> str:
    if isinstance(compiled, GenerativeCircuit):
        bits = json.dumps([list(bits) for bits in compiled.site_bits])
        return f"// draws strings; bits of each site, the most significant first: {bits}\n"
    assert isinstance(compiled, CompiledCircuit)
    return _input_comments(compiled)


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
