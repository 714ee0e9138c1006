"""Timing of circuits: when each gate runs and how long qubits wait, for given gate times."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from qiskit import QuantumCircuit
from qiskit.circuit import Delay, ParameterExpression

from qtnml.errors import InvalidInputError
from qtnml.program.operations import Check, FlipIf, Read, Wait
from qtnml.program.program import Program

_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}


class GateTimes(Protocol):
    """Durations of operations. An optional attribute `dt`, in seconds, is the unit of delays in cycles."""

    def duration(self, name: str, qubits: tuple[int, ...]) -> float:
        """Duration of an operation in seconds."""


@dataclass(frozen=True)
class TypicalTimes:
    """Typical times of superconducting devices, in seconds, the same for every qubit.

    Attributes:
        one_qubit: Duration of any one-qubit gate.
        two_qubit: Duration of any two-qubit gate.
        reset: Duration of a reset.
        readout: Duration of a measurement.
        feedforward: Time from a read-out to a gate that depends on it (about 650 ns in arXiv:2308.13065).
    """

    one_qubit: float = 35e-9
    two_qubit: float = 70e-9
    reset: float = 1e-6
    readout: float = 1e-6
    feedforward: float = 650e-9

    def duration(self, name: str, qubits: tuple[int, ...]) -> float:
        """Duration in seconds; for a gate it depends on the number of qubits."""
        if name in ("reset", "measure"):
            return self.reset if name == "reset" else self.readout
        if name == "barrier":
            return 0.0
        if name == "if_else":
            return self.feedforward + self.one_qubit
        return self.one_qubit if len(qubits) == 1 else self.two_qubit


@dataclass(frozen=True)
class Timeline:
    """A circuit in time: read-outs are as early as possible, all other operations as late as possible.

    Attributes:
        duration: Duration of the whole circuit, in seconds.
        idle: For each qubit, the seconds it waits while its state matters. Waits before its first use, and
            between its last gate and a reset, do not count.
        waits: For each step of the program, the seconds that each of its qubits waits after it, including
            delays.
        after_reads: For each step that is a measurement, the seconds from its end to the next operation on
            its qubit, or to the end of the circuit, without delays.
    """

    duration: float
    idle: tuple[float, ...]
    waits: tuple[tuple[float, ...], ...]
    after_reads: tuple[float, ...]


def timeline(circuit: QuantumCircuit | Program, times: GateTimes) -> Timeline:
    """Schedule operations as late as possible, as devices do, but read-outs as early as possible.

    Waiting before a read-out can spoil the bit; waiting after it cannot. On a device, a delay after the
    measurement keeps it early.
    """
    program = Program.read(circuit) if isinstance(circuit, QuantumCircuit) else circuit
    free = [0.0] * program.num_qubits  # from the end: when the qubit is needed next
    resets_next = [True] * program.num_qubits  # nothing that follows can see the qubit's state
    read_next: list[int | None] = [None] * program.num_qubits  # its index, if nothing joins others before
    idle = [0.0] * program.num_qubits
    is_last_use: dict[int, bool] = {}  # of each measurement
    waits: list[list[float]] = []  # of the instructions from the last to the first
    after_reads: list[float] = []
    flips: dict[int, int] = {}  # of each bit the step that depends on it
    for step in reversed(program.steps):
        qubits, name = step.qubits, step.name
        end = max(free[q] for q in qubits)
        delay = delay_seconds(step.instruction, times) if isinstance(step, Wait) else 0.0
        start = end + (delay if isinstance(step, Wait) else times.duration(name, qubits))
        waits.append([delay] * len(qubits))
        after_reads.append(0.0)
        for place, qubit in enumerate(qubits):
            gap, read = end - free[qubit], read_next[qubit]
            if read is not None:
                after_reads[read] += gap
            if resets_next[qubit]:
                waits[-1][place] = 0.0
            elif read is None:
                waits[-1][place] += gap
            elif not is_last_use[read]:  # the read-out comes at once, and what is left waits afterwards
                waits[read][0] += gap  # or after the flip, which comes at once as well
                idle[qubit] += gap
            idle[qubit] += waits[-1][place]
            free[qubit] = start
            if isinstance(step, FlipIf):
                flips[step.bit] = len(waits) - 1
            if isinstance(step, Read | Check):
                read_next[qubit] = flips.get(step.bit, len(waits) - 1)
            elif len(qubits) > 1 or name == "reset":  # what turns a qubit before its read-out comes early too
                read_next[qubit] = None
            if name == "measure":
                is_last_use[read_next[qubit] or 0] = resets_next[qubit]
            resets_next[qubit] = name == "reset"
    return Timeline(
        max(free, default=0.0),
        tuple(idle),
        tuple(tuple(wait) for wait in reversed(waits)),
        tuple(reversed(after_reads)),
    )


def delay_seconds(delay: Delay, times: GateTimes) -> float:
    """Seconds of a delay that is written into a circuit.

    Raises:
        InvalidInputError: Its length is a free parameter, or is given in cycles of an unknown clock.
    """
    dt: float | None = getattr(times, "dt", None)
    if delay.unit not in (*_UNITS, "dt") or isinstance(delay.duration, ParameterExpression):
        raise InvalidInputError(
            f"a delay of {delay.duration!r} {delay.unit} has no length yet; bind it, or give it in seconds"
        )
    if delay.unit == "dt" and dt is None:
        raise InvalidInputError(
            f"a delay of {delay.duration} dt takes a device's clock to be known; give it in seconds, or give "
            "the noise its dt"
        )
    unit = dt if delay.unit == "dt" and dt is not None else _UNITS[delay.unit]
    return float(delay.duration) * unit


def two_qubit_depth(circuit: QuantumCircuit) -> int:
    """Longest path, counting gates on two qubits alone."""
    return int(circuit.depth(lambda instruction: len(instruction.qubits) == 2))


def makespan(steps: Sequence[tuple[Sequence[int], float]], num_qubits: int) -> float:
    """Length of steps (qubits, duration), each as soon as its qubits are free."""
    free = [0.0] * num_qubits
    for qubits, duration in steps:
        end = max(free[q] for q in qubits) + duration
        for qubit in qubits:
            free[qubit] = end
    return max(free, default=0.0)
