"""A quantum computer as the compiler sees it: couplings, gate times and gate errors."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.transpiler import Target

from qtnml.errors import InvalidInputError
from qtnml.gates.node import GATE_SETS
from qtnml.program.timing import TypicalTimes, timeline

_BROKEN = 0.5  # devices report couplings that do not work with an error of 1


@dataclass(frozen=True, eq=False)
class Device:
    """A device read from a Qiskit `Target`.

    Times that the target does not give are taken from `TypicalTimes`; missing errors count as zero. A reset
    without its own error has the error of the measurement it contains.

    Attributes:
        name: Name for reports.
        target: Qiskit's description of the device.
        two_qubit_gate: The native gate that nodes are synthesised with.
        calibration: Time of the description's calibration (ISO 8601), if it is known.
    """

    name: str
    target: Target
    two_qubit_gate: str
    calibration: str | None = None
    _typical: TypicalTimes = field(default_factory=TypicalTimes)

    @property
    def num_qubits(self) -> int:
        """Number of physical qubits."""
        return int(self.target.num_qubits)

    @property
    def dt(self) -> float | None:
        """Seconds of a clock cycle, if the target gives them."""
        return None if self.target.dt is None else float(self.target.dt)

    @property
    def clock_grid(self) -> int:
        """Number of clock cycles that delays must be integer multiples of."""
        target = self.target
        return math.lcm(int(target.granularity or 1), int(target.pulse_alignment or 1))

    @cached_property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        """For each qubit, the qubits joined to it by a working two-qubit gate, in either direction."""
        found: list[set[int]] = [set() for _ in range(self.num_qubits)]
        for a, b in self._pairs:
            if self.error(self.two_qubit_gate, (a, b)) < _BROKEN:
                found[a].add(b)
                found[b].add(a)
        return tuple(tuple(sorted(each)) for each in found)

    @cached_property
    def _pairs(self) -> set[tuple[int, int]]:
        given = self.target[self.two_qubit_gate]
        if None in given:  # an ideal target joins all qubits
            return {(a, b) for a in range(self.num_qubits) for b in range(a)}
        return {pair for pair in given if pair is not None}

    @cached_property
    def joins_all(self) -> bool:
        """Whether every pair of qubits interacts, as in an ion trap, so that no routing is needed."""
        return all(len(others) == self.num_qubits - 1 for others in self.neighbours)

    @property
    def can_reset(self) -> bool:
        """Whether qubits can be reset in the middle of a circuit."""
        return "reset" in self.target.operation_names

    def typical_times(self) -> TypicalTimes:
        """Median times over the device."""
        one = next((name for name in ("sx", "x", "u", "rx") if name in self.target.operation_names), "sx")
        medians = []
        for name, width in ((one, 1), (self.two_qubit_gate, 2), ("reset", 1), ("measure", 1)):
            given = self.target[name] if name in self.target.operation_names else {}
            known = [p.duration for p in given.values() if p is not None and p.duration is not None]
            usual = self._typical.duration(name, tuple(range(width)))
            medians.append(float(np.median(known)) if known else usual)
        one_qubit, two_qubit, reset, readout = medians
        return TypicalTimes(one_qubit, two_qubit, reset, readout, self._typical.feedforward)

    def duration(self, name: str, qubits: tuple[int, ...]) -> float:
        """Duration of an operation in seconds."""
        properties = self._properties(name, qubits)
        known = None if properties is None else properties.duration
        return self._typical.duration(name, qubits) if known is None else float(known)

    def error(self, name: str, qubits: tuple[int, ...]) -> float:
        """Probability that an operation fails."""
        properties = self._properties(name, qubits)
        if properties is not None and properties.error is not None:
            error = float(properties.error)  # NaN is how some devices report what does not work
            return min(max(error, 0.0), 1.0) if math.isfinite(error) else 1.0
        return self.error("measure", qubits) if name == "reset" else 0.0

    def relaxation_error(self, qubit: int, seconds: float) -> float:
        """Average infidelity of waiting for a time t: 1/2 - exp(-t/T1)/6 - exp(-t/T2)/3."""
        t1, t2 = self.relaxation_times(qubit)
        return 0.5 - math.exp(-seconds / t1) / 6 - math.exp(-seconds / t2) / 3

    def relaxation_times(self, qubit: int) -> tuple[float, float]:
        """T1 and T2 in seconds, infinity if they are not known; T2 is at most 2 T1."""
        given = self.target.qubit_properties
        known = None if given is None else given[qubit]
        times = (getattr(known, name, None) for name in ("t1", "t2"))
        t1, t2 = (math.inf if t is None else max(float(t), 1e-12) for t in times)
        return t1, min(t2, 2 * t1)

    def _properties(self, name: str, qubits: tuple[int, ...]) -> Any:
        if name not in self.target.operation_names:
            return None
        given = self.target[name]
        if qubits in given:
            return given[qubits]
        return given.get(tuple(reversed(qubits)))


def device_of(target: Any) -> Device:
    """The device behind a Qiskit backend or `Target`.

    Raises:
        InvalidInputError: The object is neither of them, or has no two-qubit gate that the compiler knows.
    """
    given = target if isinstance(target, Target) else getattr(target, "target", None)
    if not isinstance(given, Target):
        raise InvalidInputError(f"target must be a Qiskit backend (BackendV2) or Target, got {target!r}")
    native = [gate for gate in GATE_SETS if gate in given.operation_names]
    if not native or given.num_qubits is None:
        raise InvalidInputError(
            f"this target has none of the two-qubit gates {GATE_SETS}, or no number of qubits; compile "
            "without target= and transpile the circuit with Qiskit"
        )
    best = max(native, key=lambda gate: (len(given[gate]), gate != "rzz"))
    described = getattr(target, "described", None) or target  # of a simulator, the device that it simulates
    name = getattr(described, "name", None) or given.description or "target"
    return Device(str(name), given, best, _calibration_time(described))


def _calibration_time(backend: Any) -> str | None:
    read = getattr(backend, "properties", None)
    if not callable(read):
        return None
    try:
        found = read().last_update_date
        return str(found.isoformat())
    except Exception:  # a vendor's client may fail in whatever way it likes
        return None


def can_compile_for(target: Any) -> bool:
    """Whether an object is a `Target` with a coupling map and a two-qubit gate that the compiler knows."""
    return (
        isinstance(target, Target)
        and target.build_coupling_map() is not None
        and any(gate in target.operation_names for gate in GATE_SETS)
    )


def estimated_success(circuit: QuantumCircuit, device: Device) -> float:
    """Probability that no operation fails and no qubit decays while it waits and its state matters.

    It is a rough figure of merit for comparing circuits. Errors of gates, resets and read-outs, and
    relaxation by T1 and T2, are counted as if any single error spoilt the result.
    """
    total = 0.0
    for instruction in circuit.data:
        qubits = tuple(circuit.find_bit(bit).index for bit in instruction.qubits)
        error = device.error(instruction.operation.name, qubits)
        if error >= 1:
            return 0.0
        total += math.log1p(-error)
    for qubit, seconds in enumerate(timeline(circuit, device).idle):
        if seconds:
            total += math.log1p(-device.relaxation_error(qubit, seconds))
    return math.exp(total)
