"""No reset where a check has just found |0>."""

from dataclasses import dataclass, replace

from qtnml.program.device import Device
from qtnml.program.operations import Barrier, Check, Node, Operation, Reset, Wait
from qtnml.program.program import Program


@dataclass(frozen=True)
class SkipResets:
    """Leave out resets of qubits that a check measured last.

    A shot counts only if the check read 0, so that the qubit is in |0> already. This saves the time of the
    reset; a qubit whose check was misread then enters in |1>. All qubits stay entangled then: under noise the
    exact distribution is known of small circuits only (16 leaves), and "auto" does not try this pass where it
    is not.
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
