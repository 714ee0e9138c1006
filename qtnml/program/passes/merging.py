"""Joins neighbouring gates on one qubit after the weights are bound."""

from dataclasses import dataclass
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import ParameterExpression
from qiskit.transpiler import PassManager
from qiskit.transpiler.passes import Optimize1qGatesDecomposition

from qtnml.program.device import Device
from qtnml.program.operations import Encode
from qtnml.program.program import Program


@dataclass(frozen=True)
class Merge:
    """Replace consecutive gates on one qubit by the fewest equivalent gates, with the weights bound.

    With free weights, a rotation that is the identity, or two rotations that could be one, cannot be removed.
    With bound weights they are removed, which saves about a fifth of the pulses. Qubits and two-qubit gates
    stay unchanged. Gates of data angles, which stay free, are not joined with others.
    """

    name = "merge"
    binds_weights = True

    def __call__(self, program: Program, device: Device | None) -> Program:
        """The program with fewer gates."""
        circuit = program.circuit()
        if device is None:
            merging = Optimize1qGatesDecomposition(basis=sorted(_basis(circuit)))
        else:
            merging = Optimize1qGatesDecomposition(target=device.target)
        # Qiskit's other passes drop rotations below 1e-5, which is no longer the same circuit.
        found = PassManager([merging]).run(circuit)
        found.global_phase = 0.0
        return Program.read(found, _data_parameters(program), program.direction)


def _data_parameters(program: Program) -> list[Any]:
    """The data angles in order; of places that no gate uses, None."""
    found: dict[int, Any] = {}
    for step in program.steps:
        if isinstance(step, Encode):
            for angle in step.instruction.params:
                if isinstance(angle, ParameterExpression):
                    found |= dict.fromkeys([step.place], next(iter(angle.parameters)))
    return [found.get(place) for place in range(max(found, default=-1) + 1)]


def _basis(circuit: QuantumCircuit) -> set[str]:
    """Gates that there are; any rotation of one qubit can be written in two of them."""
    names = {instruction.operation.name for instruction in circuit.data} - {"measure", "reset", "barrier"}
    return names | {"rz", "ry"}
