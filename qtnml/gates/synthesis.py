"""Exact synthesis of a unitary into `u` rotations and CX gates.

Two qubits use the Cartan (KAK) form with at most three CX (quant-ph/0308006). More qubits use Qiskit's
quantum Shannon decomposition (quant-ph/0406176). In both, neighbouring rotations of a qubit are merged into
one `u`, and the last rotation of every qubit is returned separately. On a discarded qubit it cannot be
observed; on a kept wire the next node can absorb it.
"""

from dataclasses import dataclass

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit.library import CXGate
from qiskit.synthesis import (
    OneQubitEulerDecomposer,
    TwoQubitBasisDecomposer,
    TwoQubitWeylDecomposition,
    qs_decomposition,
)

from qtnml.arrays import NDArray

_EULER = OneQubitEulerDecomposer("U")
# Until Qiskit 2.4 the public methods refuse Qiskit's own decomposition; what they call takes it (2.1 to 2.6).
_KAK = TwoQubitBasisDecomposer(CXGate(), euler_basis="U")._inner_decomposer
_IDENTITY_TOLERANCE = 1e-13
_WEYL_TOLERANCE = 1e-13


@dataclass(frozen=True)
class SynthesizedNode:
    """A unitary as gates, up to a global phase: `circuit`, then `last[q]` on every qubit q.

    Qubit 0 is the most significant bit of the matrix index.
    """

    circuit: QuantumCircuit
    last: tuple[NDArray, ...]


def synthesize(unitary: NDArray) -> SynthesizedNode:
    """Decompose a unitary of shape (2**m, 2**m) exactly."""
    return merge_rotations(_decompose(np.asarray(unitary, dtype=np.complex128)).reverse_bits())


def append_rotation(circuit: QuantumCircuit, matrix: NDArray, qubit: int) -> None:
    """Append a 2x2 unitary as one `u` gate, or `ry` if it is a real rotation; the identity is left out."""
    phase = matrix[0, 0] / abs(matrix[0, 0]) if abs(matrix[0, 0]) > 0.5 else 1.0
    if np.abs(matrix - phase * np.eye(2)).max() <= _IDENTITY_TOLERANCE:
        return
    is_rotation = (
        max(abs(matrix[0, 0] - matrix[1, 1]), abs(matrix[0, 1] + matrix[1, 0])) <= _IDENTITY_TOLERANCE
    )
    if np.abs(matrix.imag).max() == 0 and is_rotation:  # not X, say: its determinant is -1
        circuit.ry(2 * float(np.arctan2(matrix[1, 0].real, matrix[0, 0].real)), qubit)
    else:
        circuit.u(*_EULER.angles(matrix), qubit)


def _decompose(unitary: NDArray) -> QuantumCircuit:
    if unitary.shape[0] == 2:
        circuit = QuantumCircuit(1)
        circuit.u(*_EULER.angles(unitary), 0)
        return circuit
    return _kak(unitary) if unitary.shape[0] == 4 else qs_decomposition(unitary)


def _kak(unitary: NDArray) -> QuantumCircuit:
    """Rotations around as few CX as the Weyl coordinates allow.

    Qiskit's own decomposer first snaps a unitary to special classes within a fidelity of 1 - 1e-9,
    which moves matrix elements by up to 3e-5; asked for no such fidelity, its parts are exact.
    """
    weyl = TwoQubitWeylDecomposition(unitary, fidelity=None)
    inner = weyl._inner_decomposition
    on_axis = abs(weyl.b) <= _WEYL_TOLERANCE and abs(weyl.c) <= _WEYL_TOLERANCE
    if abs(weyl.c) > _WEYL_TOLERANCE:
        rotations = _KAK.decomp3_supercontrolled(inner)
    elif on_axis and abs(weyl.a) <= _WEYL_TOLERANCE:
        rotations = _KAK.decomp0(inner)
    elif on_axis and abs(weyl.a - np.pi / 4) <= _WEYL_TOLERANCE:
        rotations = _KAK.decomp1(inner)
    else:
        rotations = _KAK.decomp2_supercontrolled(inner)
    circuit = QuantumCircuit(2)
    for layer, (first, second) in enumerate(zip(rotations[::2], rotations[1::2], strict=True)):
        if layer:
            circuit.cx(0, 1)
        circuit.u(*_EULER.angles(first), 0)
        circuit.u(*_EULER.angles(second), 1)
    return circuit


def merge_rotations(circuit: QuantumCircuit) -> SynthesizedNode:
    """Multiply rotations that meet on a qubit, and split the last ones off."""
    size = circuit.num_qubits
    merged = QuantumCircuit(size)
    pending = [np.eye(2, dtype=np.complex128) for _ in range(size)]
    for instruction in circuit.data:
        qubits = [circuit.find_bit(bit).index for bit in instruction.qubits]
        if len(qubits) == 1:
            pending[qubits[0]] = instruction.operation.to_matrix() @ pending[qubits[0]]
            continue
        for qubit in qubits:
            append_rotation(merged, pending[qubit], qubit)
            pending[qubit] = np.eye(2, dtype=np.complex128)
        merged.append(instruction.operation, qubits)
    return SynthesizedNode(merged, tuple(pending))
