"""Adds delays after read-outs, so that a device's scheduler reads as early as possible."""

from dataclasses import dataclass, replace

from qtnml.program.device import Device
from qtnml.program.operations import Operation
from qtnml.program.passes.waits import check_delays, flat_steps, waiting
from qtnml.program.program import Program
from qtnml.program.timing import TypicalTimes, timeline


@dataclass(frozen=True)
class HoldReads:
    """Write the remaining time after each read-out into the circuit as a delay.

    Devices schedule as late as possible: a qubit that is finished early waits for the end of the circuit
    before it is read, and decays. `timeline` and the exact distribution assume read-outs as early as
    possible. On a device, this delay makes the assumption true.

    Attributes:
        shortest: Shortest time that is written as a delay, in seconds.
    """

    shortest: float = 100e-9
    name = "hold-reads"
    binds_weights = False

    def __call__(self, program: Program, device: Device | None) -> Program:
        """The program with delays after its read-outs.

        Raises:
            InvalidInputError: The device has no delays.
        """
        check_delays(device, self.name)
        line = timeline(program, device or TypicalTimes())
        found = list[Operation]()
        for row, operation in flat_steps(program):
            found.append(operation)
            seconds = 0.0 if row is None else line.after_reads[row]
            if seconds >= self.shortest:
                found += waiting(seconds, operation.qubits, device)
        return replace(program, operations=tuple(found))
