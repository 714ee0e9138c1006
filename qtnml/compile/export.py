"""Compiled circuits as files other tools read."""

import io
import os
from pathlib import Path

from qiskit import qasm3, qpy

from qtnml.compile.compiled import CompiledCircuit
from qtnml.errors import InvalidInputError
from qtnml.storage import write_atomically


def export_circuit(
    compiled: CompiledCircuit, path: str | os.PathLike[str], *, free_weights: bool = False
) -> None:
    """Write a circuit as OpenQASM 3 (`.qasm`) or QPY (`.qpy`), atomically.

    The data angles `x` stay inputs of the circuit; the weights `w` are bound to their trained
    values unless `free_weights`. OpenQASM files say in comments how features become angles.
    """
    path = Path(path)
    circuit = compiled.circuit if free_weights else compiled.trained_circuit
    if path.suffix == ".qasm":
        content = (_input_comments(compiled) + qasm3.dumps(circuit)).encode()
    elif path.suffix == ".qpy":
        buffer = io.BytesIO()
        qpy.dump(circuit, buffer)
        content = buffer.getvalue()
    else:
        raise InvalidInputError(f"cannot tell the circuit format of {path}; end it in .qasm or .qpy")
    write_atomically(path, content)


def _input_comments(compiled: CompiledCircuit) -> str:
    """What a reader of the file alone must know to feed it: the angles of each feature, the outcome."""
    encoding, scaler = compiled.encoding, compiled.scaler
    lines = [
        f"Inputs are angles in radians, encoding {encoding.name!r}, of features scaled and clipped to "
        "[0, 1]: f = (feature - low) / (high - low), 0 where both are equal.",
        "Outcome: c as a binary number, c[0] the least significant bit.",
    ]
    formula = getattr(encoding, "formula", None)
    for place in range(len(compiled.x)):
        feature, qubit = divmod(place, encoding.qubits_per_feature)
        low, high = (0.0, 1.0) if scaler is None else (scaler.low[feature], scaler.high[feature])
        own = tuple(float(array[feature]) for array in compiled.encoding_parameters)
        angle = "" if formula is None else f" = {formula(qubit, *own)}"
        lines.append(f"_x_{place}_{angle}, feature {feature}: low {low:.17g}, high {high:.17g}")
    return "".join(f"// {line}\n" for line in lines)
