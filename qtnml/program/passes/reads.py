"""Delays after read-outs, so that a device's scheduler reads as soon as it can."""

from dataclasses import dataclass, replace

from qtnml.program.device import Device
from qtnml.program.operations import Operation
from qtnml.program.passes.waits import check_delays, flat_steps, waiting
from qtnml.program.program import Program
from qtnml.program.timing import TypicalTimes, timeline


@dataclass(frozen=True)
class HoldReads:
    """Write the time that is left after each read-out into the circuit, as a delay.

    Devices schedule as late as possible: a qubit that is finished early waits for the end of the circuit
    before it is read, and decays. `timeline` and the exact distribution count read-outs as early as they
    can be; on a device it is this delay that makes it true.

    Attributes:
        shortest: Seconds; what is shorter stays as it is.
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
