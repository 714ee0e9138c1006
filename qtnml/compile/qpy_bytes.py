"""Circuits as QPY that every Qiskit we support can read."""

import io

from qiskit import QuantumCircuit, qpy

# Of Qiskit 2.4, the oldest that pyproject.toml allows: others may have an older Qiskit than who writes.
_VERSION = 17


def qpy_bytes(circuits: QuantumCircuit | list[QuantumCircuit]) -> bytes:
    """What `qiskit.qpy.load` reads."""
    buffer = io.BytesIO()
    qpy.dump(circuits, buffer, version=_VERSION)
    return buffer.getvalue()
