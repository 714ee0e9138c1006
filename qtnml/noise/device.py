"""Noise of a quantum computer, in seconds and probabilities."""

import hashlib
import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qtnml.errors import InvalidInputError
from qtnml.noise.channels import (
    Channel,
    check_relaxation_times,
    depolarizing,
    is_number,
    probability,
    thermal_relaxation,
)

_TIMES = ("one_qubit_time", "two_qubit_time", "reset_time", "readout_time")
_ERRORS = ("one_qubit_error", "two_qubit_error", "reset_error", "excited_population", "start_error")
#: Fields that one number can stand for.
NUMBERS = ("t1", "t2", *_TIMES, *_ERRORS, "readout_error")
_VIRTUAL = ("rz", "p", "z", "s", "sdg", "t", "tdg", "barrier", "delay")
_LONGEST = 1e6  # seconds: times of a circuit add up to a finite number
_STRONGEST = 1e9
PerQubit = float | tuple[float, ...]


@dataclass(frozen=True)
class Instruction:
    """Calibration of one gate on given qubits.

    Attributes:
        name: Qiskit's name of the gate.
        qubits: The device's qubits it acts on, in order.
        time: Seconds.
        error: Average infidelity, including relaxation, as calibrations report it.
    """

    name: str
    qubits: tuple[int, ...]
    time: float
    error: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "qubits", tuple(self.qubits))


@dataclass(frozen=True)
class DeviceNoise:
    """Markovian noise of a device: relaxation during gates and waiting, gate errors, read-out errors.

    After every gate its qubits relax for the duration of the gate. They also depolarise by the part of the
    gate's error that relaxation does not explain. Waiting qubits relax, also during explicit delays of a
    circuit. A reset leaves |1> with probability `reset_error`, whatever the state before. Values that are not
    given mean no error and no time. Gates that only change phases (rz, ...) are virtual: no time, no error.

    Attributes:
        t1, t2: Seconds, one number or one for each qubit of the circuit. T2 is 2 T1 by default.
        one_qubit_time, two_qubit_time, reset_time, readout_time: Seconds.
        one_qubit_error, two_qubit_error: Average infidelity of a gate, including relaxation.
        reset_error: Probability of |1> after a reset.
        readout_error: Probability of a wrong bit; or a pair (reading 1 in |0>, reading 0 in |1>); or such a
            pair for each qubit.
        excited_population: Population of |1> in equilibrium, where relaxation ends.
        one_qubit_channel: An additional channel after every gate on one qubit. It acts before the other
            noise.
        two_qubit_channel: An additional channel after every gate on two qubits: a channel on two qubits, or
            on one qubit, which then acts on each of them.
        instructions: Gates with their own calibration. It replaces the numbers above.
        name: Name shown to people.
        strength: Factor on all rates; see `scaled`.
        dt: Seconds of one cycle of the device's clock. Delays in units of dt use it.
        start_error: Probability of |1> for a qubit that is used for the first time.

    >>> noise = DeviceNoise(t1=100e-6, two_qubit_time=70e-9, two_qubit_error=5e-3)
    >>> noise.gate_channel("cx", (0, 1))
    Channel('cx on 0, 1', 2 qubit(s), fidelity 0.995)
    """

    t1: PerQubit = math.inf
    t2: PerQubit | None = None
    one_qubit_time: float = 0.0
    two_qubit_time: float = 0.0
    reset_time: float = 0.0
    readout_time: float = 0.0
    one_qubit_error: float = 0.0
    two_qubit_error: float = 0.0
    reset_error: float = 0.0
    readout_error: float | tuple[float, float] | tuple[tuple[float, float], ...] = 0.0
    excited_population: float = 0.0
    one_qubit_channel: Channel | None = None
    two_qubit_channel: Channel | None = None
    instructions: tuple[Instruction, ...] = ()
    name: str = "device"
    strength: float = 1.0
    dt: float | None = field(default=None, repr=False)
    start_error: float = field(default=0.0, repr=False)

    def __post_init__(self) -> None:
        _checked_strength(self.strength)
        object.__setattr__(self, "t1", _numbers("t1", self.t1))
        longest = tuple(2 * t for t in self.t1) if isinstance(self.t1, tuple) else 2 * self.t1
        object.__setattr__(self, "t2", longest if self.t2 is None else _numbers("t2", self.t2))
        if isinstance(self.t1, tuple) and isinstance(self.t2, tuple) and len(self.t1) != len(self.t2):
            raise InvalidInputError(f"{len(self.t1)} values of t1 but {len(self.t2)} of t2")
        for qubit in range(self._given_qubits or 1):
            check_relaxation_times(*self.relaxation_times(qubit))
        for name in _TIMES:
            value = getattr(self, name)
            if not (is_number(value) and 0 <= value <= _LONGEST):
                raise InvalidInputError(
                    f"{name} must be a number of seconds from 0 to {_LONGEST:g}, got {value!r}"
                )
        if self.dt is not None and not (is_number(self.dt) and 0 < self.dt <= _LONGEST):
            raise InvalidInputError(f"dt must be a positive number of seconds or None, got {self.dt!r}")
        for name in _ERRORS:
            probability(name, getattr(self, name))
        object.__setattr__(self, "readout_error", _checked_readout(self.readout_error))
        object.__setattr__(self, "instructions", _checked_instructions(self.instructions))
        self._check_channels()
        table = {(i.name, i.qubits): i for i in self.instructions}
        object.__setattr__(self, "_table", table)
        self._check_strength()

    def _check_channels(self) -> None:
        for name, most in (("one_qubit_channel", 1), ("two_qubit_channel", 2)):
            channel = getattr(self, name)
            if channel is None:
                continue
            if not isinstance(channel, Channel) or channel.num_qubits > most:
                raise InvalidInputError(
                    f"{name} must be a Channel on at most {most} qubit(s), got {channel!r}"
                )
            if most == 2 and channel.num_qubits == 1:
                object.__setattr__(self, name, channel.tensor(channel))

    @property
    def _given_qubits(self) -> int | None:
        """Number of qubits that values are given for; None where all are alike."""
        lengths = [len(value) for value in (self.t1, self.t2) if isinstance(value, tuple)]
        if isinstance(self.readout_error, tuple) and isinstance(self.readout_error[0], tuple):
            lengths.append(len(self.readout_error))
        return min(lengths, default=None)

    def check_qubits(self, num_qubits: int) -> None:
        """Refuse a circuit that has more qubits than values are given for."""
        known = self._given_qubits
        if known is not None and known < num_qubits:
            raise InvalidInputError(
                f"{self.name!r} has values for {known} qubits, the circuit has {num_qubits}; give one "
                "for each qubit, or one number for all"
            )

    def duration(self, name: str, qubits: tuple[int, ...]) -> float:
        """Duration of an instruction in seconds."""
        known = self._known(name, qubits)
        if known is not None:
            return known.time
        if name in _VIRTUAL:
            return 0.0
        if name in ("reset", "measure"):
            return self.reset_time if name == "reset" else self.readout_time
        return self.one_qubit_time if len(qubits) == 1 else self.two_qubit_time

    def error(self, name: str, qubits: tuple[int, ...]) -> float:
        """Average infidelity of a gate."""
        known = self._known(name, qubits)
        if known is not None:
            return known.error
        if name in _VIRTUAL:
            return 0.0
        return self.one_qubit_error if len(qubits) == 1 else self.two_qubit_error

    def _known(self, name: str, qubits: tuple[int, ...]) -> Instruction | None:
        table: Mapping[Any, Instruction] = vars(self)["_table"]
        return table.get((name, qubits)) or table.get((name, qubits[::-1]))

    def relaxation(self, qubit: int, seconds: float) -> Channel:
        """Relaxation channel of a qubit over a time in seconds."""
        return thermal_relaxation(*self.relaxation_times(qubit), seconds, self.excited_population)

    def relaxation_times(self, qubit: int) -> tuple[float, float]:
        """T1 and T2 in seconds."""
        t1, t2 = self._given_times(qubit)
        return _divided(t1, self.strength), _divided(t2, self.strength)

    def _given_times(self, qubit: int) -> tuple[float, float]:
        assert self.t2 is not None  # set with the object
        return _of(self.t1, qubit), _of(self.t2, qubit)

    def depolarizing_probability(self, name: str, qubits: tuple[int, ...]) -> float:
        """Parameter p of a gate's depolarising channel: the part of its error beside relaxation.

        It is 0 if relaxation explains the whole error. With D the depolarising channel and R relaxation, p
        is chosen so that Tr(D R) = 1 + (1 - p)(Tr R - 1) of the Pauli transfer maps agrees with the error.
        """
        error = self.error(name, qubits)
        if not error:
            return 0.0
        dim, seconds = 2 ** len(qubits), self.duration(name, qubits)
        trace = math.prod(self._relaxation_trace(qubit, seconds) for qubit in qubits)
        wanted = dim * ((dim + 1) * (1 - error) - 1)
        if trace <= 1:
            return 0.0
        p = self.strength * max(1 - (wanted - 1) / (trace - 1), 0.0)
        return float(min(p, dim**2 / (dim**2 - 1)))

    def _relaxation_trace(self, qubit: int, seconds: float) -> float:
        """Trace of relaxation's transfer map at strength 1, which the errors of gates are given for."""
        t1, t2 = self._given_times(qubit)
        return 1 + 2 * math.exp(-seconds / t2) + math.exp(-seconds / t1)

    @property
    def reset_probability(self) -> float:
        """Probability of |1> after a reset, at the current strength."""
        return self.strength * self.reset_error

    @property
    def start_probability(self) -> float:
        """Probability of |1> before a qubit's first use, at the current strength."""
        return self.strength * self.start_error

    def extra_channel(self, name: str, num_qubits: int) -> Channel | None:
        """`one_qubit_channel` or `two_qubit_channel`, if the gate has one."""
        if name in _VIRTUAL:
            return None
        channel = self.one_qubit_channel if num_qubits == 1 else self.two_qubit_channel
        return _weakened(channel, self.strength)

    def gate_channel(self, name: str, qubits: tuple[int, ...]) -> Channel:
        """Noise channel of a gate on its qubits: depolarising, then relaxation."""
        seconds = self.duration(name, qubits)
        relaxed = self.relaxation(qubits[0], seconds)
        for qubit in qubits[1:]:
            relaxed = relaxed.tensor(self.relaxation(qubit, seconds))
        spoilt = depolarizing(self.depolarizing_probability(name, qubits), len(qubits))
        where = ", ".join(map(str, qubits))
        total = relaxed.transfer_map @ spoilt.transfer_map
        extra = self.extra_channel(name, len(qubits))
        if extra is not None:
            total = total @ extra.transfer_map
        return Channel(total, f"{name} on {where}")

    def readout(self, qubit: int) -> tuple[float, float]:
        """Probabilities of reading 1 in |0> and of reading 0 in |1>."""
        error: Any = self.readout_error
        if not isinstance(error, tuple):
            error = (error, error)
        up, down = error[qubit] if isinstance(error[0], tuple) else error
        return self.strength * up, self.strength * down

    def scaled(self, strength: float) -> "DeviceNoise":
        """The same noise with all rates multiplied by a strength; 0 is no noise.

        The rates are 1 / T1, 1 / T2, and the part of the errors that relaxation does not explain.

        Raises:
            InvalidInputError: A probability would be larger than 1.
        """
        return replace(self, strength=self.strength * _checked_strength(strength))

    def _check_strength(self) -> None:
        strength = _checked_strength(self.strength)
        if strength <= 1:
            return
        readings = self.readout_error if isinstance(self.readout_error, tuple) else (self.readout_error,)
        largest = float(np.max([np.max(error) for error in readings]))
        errors = {"reset_error": self.reset_error, "start_error": self.start_error, "readout_error": largest}
        for name, value in errors.items():
            if strength * value > 1:
                raise InvalidInputError(
                    f"{name}={value:g} cannot be {strength:g} times as large: it is above 1"
                )
        for name in ("one_qubit_channel", "two_qubit_channel"):
            if getattr(self, name) is not None:
                raise InvalidInputError(f"a {name} of your own cannot be made stronger; give a stronger one")

    @property
    def digest(self) -> str:
        """Hash that identifies the noise; it is the same in every process.

        Your own channels enter by their maps.
        """
        known = replace(self, one_qubit_channel=None, two_qubit_channel=None)
        content = hashlib.sha256(repr(known).encode())
        if self.dt is not None:
            content.update(repr(self.dt).encode())
        if self.start_error:
            content.update(f"start {self.start_error!r}".encode())
        for channel in (self.one_qubit_channel, self.two_qubit_channel):
            content.update(b"-" if channel is None else channel.transfer_map.tobytes())
        return content.hexdigest()[:16]

    def on(self, qubits: Iterable[int]) -> "DeviceNoise":
        """The same noise for a circuit whose qubit k is qubit `qubits[k]` of this noise."""
        try:
            chosen = [operator.index(q) for q in qubits]
        except TypeError as failure:
            raise InvalidInputError(f"qubits must be integers, got {qubits!r}") from failure
        if len(set(chosen)) != len(chosen) or min(chosen, default=0) < 0:
            raise InvalidInputError(f"qubits must differ and be at least 0, got {chosen}")
        known = self._given_qubits
        if known is not None and not all(0 <= q < known for q in chosen):
            raise InvalidInputError(f"{self.name!r} has qubits 0 to {known - 1}, got {chosen}")
        place = {q: k for k, q in enumerate(chosen)}
        error = self.readout_error
        if isinstance(error, tuple) and isinstance(error[0], tuple):
            error = tuple(error[q] for q in chosen)
        return replace(
            self,
            t1=tuple(self.t1[q] for q in chosen) if isinstance(self.t1, tuple) else self.t1,
            t2=tuple(self.t2[q] for q in chosen) if isinstance(self.t2, tuple) else self.t2,
            readout_error=error,
            instructions=tuple(
                replace(i, qubits=tuple(place[q] for q in i.qubits))
                for i in self.instructions
                if set(i.qubits) <= place.keys()
            ),
        )

    def to_aer(self, num_qubits: int, circuit: QuantumCircuit | None = None) -> Any:
        """An Aer `NoiseModel` of gates, resets and read-out, without the noise of waiting qubits.

        `get_backend("aer", noise=noise)` adds the waiting of a circuit's own schedule.

        Args:
            num_qubits: Number of qubits of the circuits.
            circuit: Only gates of this circuit get errors. By default the usual gates get them, on every
                qubit and pair.
        """
        from qtnml.noise.aer import noise_model

        return noise_model(self, num_qubits, circuit)

    @classmethod
    def from_backend(cls, backend: Any, layout: Iterable[int] | None = None) -> "DeviceNoise":
        """Noise from the calibration of a Qiskit backend or its `Target`, real or fake.

        Args:
            backend: A Qiskit backend with a `target`, or the target.
            layout: Qubit of the device for each qubit of the circuit. None means that the circuit is on the
                device's own qubits, as returned by `compile(target=backend)`.
        """
        from qtnml.noise.calibration import calibrated

        noise = calibrated(backend)
        return noise if layout is None else noise.on(layout)


def _checked_strength(strength: Any) -> float:
    if not (is_number(strength) and 0 <= strength <= _STRONGEST):
        raise InvalidInputError(f"strength must be a number from 0 to {_STRONGEST:g}, got {strength!r}")
    return float(strength)


def _of(values: PerQubit, qubit: int) -> float:
    return values[qubit] if isinstance(values, tuple) else values


def _numbers(name: str, values: Any) -> PerQubit:
    """One number as it is, several as a tuple."""
    try:
        if is_number(values):
            return float(values)
        found = () if isinstance(values, str) else tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        found = ()
    if not found:
        raise InvalidInputError(
            f"{name} must be seconds, one number or one for each qubit, got {_shown(values)}"
        )
    return found


def _shown(value: Any, most: int = 80) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a number beyond all bounds"
    return text if len(text) <= most else f"{text[:most]}..."


def _checked_readout(error: Any) -> Any:
    """A probability, a pair of them, or a pair for each qubit."""
    if is_number(error):
        return probability("readout_error", error)
    try:
        values = tuple(error)
        if values and all(is_number(value) for value in values) and len(values) == 2:
            return tuple(probability("readout_error", value) for value in values)
        pairs = tuple((probability("readout_error", a), probability("readout_error", b)) for a, b in values)
    except InvalidInputError:
        raise
    except (TypeError, ValueError):
        pairs = ()
    if not pairs:
        raise InvalidInputError(
            "readout_error must be a probability, a pair (reading 1 in |0>, reading 0 in |1>), or such "
            f"a pair for each qubit, got {error!r}"
        )
    return pairs


def _checked_instructions(instructions: Any) -> tuple[Instruction, ...]:
    try:
        found = tuple(instructions)
    except TypeError:
        found = (instructions,)
    for instruction in found:
        if not isinstance(instruction, Instruction):
            raise InvalidInputError(f"instructions are qtnml.noise.Instruction objects, got {instruction!r}")
        what = f"of {instruction.name} on {instruction.qubits}"
        if not (is_number(instruction.time) and 0 <= instruction.time <= _LONGEST):
            raise InvalidInputError(
                f"the time {what} must be seconds from 0 to {_LONGEST:g}, got {instruction.time!r}"
            )
        probability(f"the error {what}", instruction.error)
    return found


def _divided(seconds: float, strength: float) -> float:
    return math.inf if strength == 0 else seconds / strength


def _weakened(channel: Channel | None, strength: float) -> Channel | None:
    """The channel with probability `strength`, nothing otherwise."""
    if channel is None or strength == 1:
        return channel
    size = len(channel.transfer_map)
    return Channel((1 - strength) * np.eye(size) + strength * channel.transfer_map, channel.name)


#: No noise at all; whatever the unit of a circuit's delays, they do nothing.
NOISELESS = DeviceNoise(dt=1e-9)
