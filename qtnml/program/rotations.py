"""Rotations in a form for which Qiskit's translation into a device's gates adds no phase."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import ParameterExpression
from qiskit.transpiler import Target


def without_symbolic_phases(circuit: QuantumCircuit, target: Target | None) -> QuantumCircuit:
    """The same circuit, up to a phase, for which Qiskit keeps no sum of all its parameters.

    Qiskit translates `u` with a global phase; with free parameters that sum grows from gate to gate, and past
    twenty gates translation takes for ever (Qiskit 2.6).

    Args:
        circuit: With free parameters.
        target: What it is to be translated for.
    """
    names = set() if target is None else set(target.operation_names)
    if {"rz", "sx"} <= names:
        return _rewritten(circuit, _in_rz_and_sx, lambda name, _: name in ("u", "ry"))
    if "u" in names:
        return circuit
    return _rewritten(
        circuit,
        _in_rz_and_ry,
        lambda name, angles: name == "u" and any(isinstance(a, ParameterExpression) for a in angles),
    )


def _rewritten(
    circuit: QuantumCircuit,
    append: Callable[[QuantumCircuit, Sequence[Any], Any], None],
    applies: Callable[[str, Sequence[Any]], bool],
) -> QuantumCircuit:
    found = circuit.copy_empty_like()
    for instruction in circuit.data:
        operation = instruction.operation
        if applies(operation.name, operation.params):
            append(found, operation.params, instruction.qubits)
        else:
            found.append(instruction)
    return found


def _in_rz_and_sx(circuit: QuantumCircuit, angles: Sequence[Any], qubits: Any) -> None:
    theta, phi, lam = (*angles, 0.0, 0.0)[:3]
    if len(angles) == 3:
        circuit.rz(lam, qubits)
    circuit.sx(qubits)
    circuit.rz(theta + math.pi, qubits)
    circuit.sx(qubits)
    circuit.rz(phi + math.pi, qubits)


def _in_rz_and_ry(circuit: QuantumCircuit, angles: Sequence[Any], qubits: Any) -> None:
    theta, phi, lam = angles
    circuit.rz(lam, qubits)
    circuit.ry(theta, qubits)
    circuit.rz(phi, qubits)
