"""Replaces a reset after a read-out: the bit that was read decides whether to flip the qubit."""

from dataclasses import dataclass, replace

from qtnml.errors import InvalidInputError
from qtnml.program.device import Device
from qtnml.program.operations import FlipIf, Node, Operation, Read, Reset, Wait
from qtnml.program.program import Program


@dataclass(frozen=True)
class FeedForward:
    """Flip a qubit by the bit that was just read, instead of a reset.

    A reset is a measurement and a gate that depends on it. After a read-out the measurement has already been
    made, so half of the time is saved. A misread bit then leaves the qubit in |1>: both errors occur
    together. The device must have conditional gates.
    """

    name = "feed-forward"
    binds_weights = False

    def __call__(self, program: Program, device: Device | None) -> Program:
        """The program with conditional gates instead of resets after read-outs.

        Raises:
            InvalidInputError: The device has no conditional gates.
        """
        if device is not None and "if_else" not in device.target.operation_names:
            raise InvalidInputError(
                f"device {device.name!r} has no gates that depend on a bit; leave the pass {self.name!r} out"
            )
        last = dict[int, Operation]()  # of each qubit what happened to it last
        operations = list[Operation]()
        for operation in program.operations:
            before = last.get(operation.qubits[0])
            if isinstance(operation, Reset) and isinstance(before, Read):
                operation = FlipIf(operation.qubits, before.bit)
            operations.append(operation)
            if not isinstance(operation, Wait):
                gates = operation.gates if isinstance(operation, Node) else (operation,)
                last |= {qubit: operation for gate in gates for qubit in gate.qubits}
        return replace(program, operations=tuple(operations))
