"""Dynamical decoupling: pulses on waiting qubits that cancel slow drifts of their phase."""

from dataclasses import dataclass, replace

from qiskit.circuit.library import XGate

from qtnml.errors import InvalidInputError
from qtnml.program.device import Device
from qtnml.program.operations import Gate, Operation, Wait
from qtnml.program.passes.waits import check_delays, flat_steps, waiting
from qtnml.program.program import Program
from qtnml.program.timing import TypicalTimes, timeline


@dataclass(frozen=True)
class Decouple:
    """Two X pulses in every wait: after one quarter and after three quarters of it.

    A rotation about Z at an unknown but constant rate in the first and the last quarter is cancelled in
    between (Hahn's echo, twice). This helps against drifts that are slow compared with the wait, as on
    devices whose T2 with echo is longer than without. A calibration and the exact distribution know only T1
    and white dephasing. There the pulses spread the decay of |1> evenly over both states, and cost two gates.

    Qiskit's `PadDynamicalDecoupling` pads the delays of a circuit that it scheduled itself, with all gates as
    late as possible. Here the waits are those of the toolkit's own schedule, with early read-outs. A qubit
    that is reset next gets no pulses.

    Attributes:
        shortest: Shortest wait that gets pulses, in seconds.
    """

    shortest: float = 1e-6
    name = "decouple"
    binds_weights = False

    def __call__(self, program: Program, device: Device | None) -> Program:
        """The program with pulses in its waits.

        Raises:
            InvalidInputError: The device has no X gate, or no delays.
        """
        check_delays(device, self.name)
        if device is not None and "x" not in device.target.operation_names:
            raise InvalidInputError(
                f"device {device.name!r} has no x gate to decouple qubits with; leave the pass out"
            )
        times = device or TypicalTimes()
        line = timeline(program, times)
        found = list[Operation]()
        for row, operation in flat_steps(program):
            waits = () if row is None else line.waits[row]
            longest = max(waits, default=0.0)
            if longest < self.shortest:
                found.append(operation)
                continue
            if not isinstance(operation, Wait):  # a delay is replaced by its pulses
                found.append(operation)
            for qubit, seconds in zip(operation.qubits, waits, strict=True):
                found += _pulses(seconds, qubit, device, times.duration("x", (qubit,)), self.shortest)
        return replace(program, operations=tuple(found))


def _pulses(
    seconds: float, qubit: int, device: Device | None, pulse: float, shortest: float
) -> list[Operation]:
    free = seconds - 2 * pulse
    if seconds < shortest or free <= 0:
        return list(waiting(seconds, (qubit,), device)) if seconds > 0 else []
    quarter = waiting(free / 4, (qubit,), device)
    half = waiting(free / 2, (qubit,), device)
    if not quarter or not half:
        return list(waiting(seconds, (qubit,), device))
    x = Gate(XGate(), (qubit,))
    return [*quarter, x, *half, x, *quarter]
