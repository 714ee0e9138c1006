"""Circuits as QPY that every supported version of Qiskit can read."""

import io
import warnings

from qiskit import QuantumCircuit, qpy

# Of Qiskit 2.4, the oldest that pyproject.toml allows: others may have an older Qiskit than who writes.
_VERSION = 17


def qpy_bytes(circuits: QuantumCircuit | list[QuantumCircuit]) -> bytes:
    """What `qiskit.qpy.load` reads."""
    buffer = io.BytesIO()
    qpy.dump(circuits, buffer, version=_VERSION)
    return buffer.getvalue()


def circuits_of(content: bytes) -> list[QuantumCircuit]:
    """Circuits of QPY; files are bounded and their digests compared by who reads them."""
    with warnings.catch_warnings():
        # What a newer Qiskit wrote in the format of an older one is of the older one's gates.
        warnings.filterwarnings("ignore", "The qiskit version used to generate", UserWarning)
        # Angles that the circuit does not use; older Qiskits say so.
        warnings.filterwarnings("ignore", "The ParameterVector", UserWarning)
        return list(qpy.load(io.BytesIO(content)))
