"""Leaves out resets after a check that found |0>."""

from dataclasses import dataclass, replace

from qtnml.program.device import Device
from qtnml.program.operations import Barrier, Check, Node, Operation, Reset, Wait
from qtnml.program.program import Program


@dataclass(frozen=True)
class SkipResets:
    """Leave out resets of qubits that a check measured last.

    A shot counts only if the check read 0, so that the qubit is already in |0>. This saves the time of the
    reset. A qubit whose check was misread then enters in |1>. All qubits stay entangled, so the exact
    distribution under noise is known only for small circuits (16 leaves). If it is not known, "auto" does not
    try this pass.
    """

    name = "skip-resets"
    binds_weights = False

    def __call__(self, program: Program, device: Device | None) -> Program:  # noqa: ARG002
        """The program without these resets."""
        checked = set[int]()
        operations = list[Operation]()
        for operation in program.operations:
            if isinstance(operation, Check):
                checked |= set(operation.qubits)
            elif isinstance(operation, Reset) and operation.qubits[0] in checked:
                continue
            elif not isinstance(operation, Barrier | Wait):
                checked -= _touched(operation)
            operations.append(operation)
        return replace(program, operations=tuple(operations))


def _touched(operation: Operation) -> set[int]:
    if isinstance(operation, Node):
        return {qubit for gate in operation.gates for qubit in gate.qubits}
    return set(operation.qubits)
