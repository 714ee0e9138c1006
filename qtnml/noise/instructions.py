"""A program as arrays: what each of its steps does, and what noise does after it.

One row per step. Noise is kept as rates (times over T1 and T2, depolarising probabilities), so that
it can be scaled row by row, and made into Pauli transfer maps of all instructions at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from qiskit.circuit import Parameter, ParameterExpression

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.noise.channels import relaxation_maps, unitary_maps
from qtnml.noise.device import DeviceNoise
from qtnml.program import Check, Encode, FlipIf, Gate, Program, Read, Step, timeline

# Planes (a, b) of labels that rotations turn: a' = cos a - sin b, b' = sin a + cos b.
PLANES = {"rx": (2, 3), "ry": (3, 1), "rz": (1, 2), "p": (1, 2)}


@dataclass(frozen=True)
class DataGate:
    """A rotation by sign * x[place] + offset in a plane of Pauli labels; no plane for another gate of x."""

    place: int
    plane: tuple[int, int] | None
    sign: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, eq=False)
class Instructions:
    """Rows are instructions; columns of rates the first and second qubit.

    Attributes:
        names: As in Qiskit.
        qubits: Physical qubits.
        data: The data gate that a row is, or None.
        checks: Rows that measure a bit which must be 0.
        singles: Noise-free maps (rows, 4, 4) of gates on one qubit, the identity elsewhere; (rows, settings,
            4, 4) for several settings of the weights at once.
        pairs: Noise-free maps (16, 16) of gates on two qubits, by row; (settings, 16, 16) where they differ.
        decay, coherence: Times over T1 and T2, of the gate and of waiting after it, (rows, 2).
        waiting: The part of both that is waiting, as a share (rows, 2).
        depolarizing: Probabilities (rows,).
        extra: One more map (4, 4) or (16, 16) right after a gate, by row.
        reset_error: Of each row that is a reset.
        readout: Probabilities (rows, 2) of reading 1 in |0> and 0 in |1>, of measurements.
        excited: Population of |1> in equilibrium.
        measured: Physical qubits of the outcome, the most significant first.
        bits: Of each row that is a measurement the classical bit it decides; None of the others.
        decides: Of each row that flips a qubit by a bit that bit; None of the others.
        start_error: Probability (qubits,) of |1> of each qubit before its first use.
        copies: Qubits that hold what a measurement wrote, and begin in |0>.

    Rates may have a last axis of strengths, many of which are walked through at once; see `scaled`.
    """

    names: tuple[str, ...]
    qubits: tuple[tuple[int, ...], ...]
    data: tuple[DataGate | None, ...]
    checks: frozenset[int]
    singles: NDArray
    pairs: dict[int, NDArray]
    decay: NDArray
    coherence: NDArray
    waiting: NDArray
    depolarizing: NDArray
    extra: dict[int, NDArray]
    reset_error: NDArray
    readout: NDArray
    excited: float
    measured: tuple[int, ...]
    bits: tuple[int | None, ...]
    decides: tuple[int | None, ...]
    start_error: NDArray
    copies: frozenset[int] = frozenset()

    @property
    def settings(self) -> int | None:
        """How many settings of the weights, or strengths; None for one, without an axis of its own."""
        if self.decay.ndim == 3:
            return int(self.decay.shape[2])
        return None if self.singles.ndim == 3 else self.singles.shape[1]

    def start(self, qubit: int) -> NDArray:
        """Pauli expectations (4,) of a qubit before its first use."""
        return np.array([1.0, 0.0, 0.0, 1.0]) if qubit in self.copies else mixed(self.start_error[qubit])

    def noise_maps(self) -> tuple[NDArray, NDArray]:
        """Relaxation (rows, 2, 4, 4) of each qubit, and factors (rows,) of depolarising before it."""
        return relaxation_maps(self.decay, self.coherence, self.excited), 1 - self.depolarizing

    def gate_singles(self) -> NDArray:
        """Maps (rows, 4, 4) of gates on one qubit and of `extra` after them; of data gates `extra` alone."""
        more = {row: extra for row, extra in self.extra.items() if extra.shape[-1] == 4}
        found = self.singles.copy()
        if any(extra.ndim == 3 for extra in more.values()):
            found = np.repeat(found[:, None], self.settings or 1, axis=1)
        for row, extra in more.items():
            found[row] = extra @ found[row]
        return found

    def singles_under_noise(self) -> NDArray:
        """Maps (rows, 4, 4) of gates on one qubit and the noise after them; of data gates the noise alone."""
        relaxation, kept = self.noise_maps()
        depolarised = kept[..., None, None] * np.eye(4)
        depolarised[..., 0, 0] = 1.0
        noise, gates = relaxation[:, 0] @ depolarised, self.gate_singles()
        if noise.ndim < gates.ndim:
            noise = noise[:, None]
        elif gates.ndim < noise.ndim:
            gates = gates[:, None]
        return np.asarray(noise @ gates)

    def taken(self, order: "Sequence[Place]") -> "Instructions":
        """Some rows in order, some of them on other qubits, and copies of qubits in between."""
        source = [place if isinstance(place, int) else place.row for place in order]
        copies = {k for k, place in enumerate(order) if isinstance(place, Copy | Fed)}
        misread = {k for k, place in enumerate(order) if isinstance(place, Misread)}
        made = copies | misread
        qubits = [self.qubits[row] for row in source]
        for k, place in enumerate(order):
            if isinstance(place, Copy):
                qubits[k] = (self.qubits[place.row][0], place.onto)
            elif isinstance(place, Fed):
                qubits[k] = (place.onto, self.qubits[place.row][0])
            elif isinstance(place, Moved | Misread):
                qubits[k] = (place.onto,)
        new = {row: k for k, row in enumerate(source) if k not in made}
        rates = {name: getattr(self, name)[source] for name in ("decay", "coherence", "waiting")}
        for k, place in enumerate(order):
            if isinstance(place, Copy):  # the qubit waits on, what was read does not
                for name in rates:
                    rates[name][k, 1] = 0.0
            elif not isinstance(place, int):
                for name in rates:
                    rates[name][k] = 0.0
        readout, depolarizing, singles = self.readout[source], self.depolarizing[source], self.singles[source]
        for k, place in enumerate(order):
            if isinstance(place, Misread):  # from now on the copy is what was read
                zero, one = np.moveaxis(read_out(*readout[k]), -2, 0)
                singles[k] = np.stack([zero + one, 0 * zero, 0 * zero, zero - one], axis=-2)
                readout[k] = 0.0
            elif isinstance(place, Moved) and place.is_known:
                readout[k] = 0.0
            elif isinstance(place, Fed):
                depolarizing[k] = 0.0
        fed = {place.row for place in order if isinstance(place, Fed)}
        pairs = {new[row]: matrix for row, matrix in self.pairs.items() if row in new}
        found = replace(
            self,
            names=tuple(
                "cx" if k in copies else "id" if k in misread or row in fed else self.names[row]
                for k, row in enumerate(source)
            ),
            qubits=tuple(qubits),
            data=tuple(None if k in made else self.data[row] for k, row in enumerate(source)),
            bits=tuple(None if k in made else self.bits[row] for k, row in enumerate(source)),
            decides=tuple(self.decides[row] for row in source),
            checks=frozenset(new[row] for row in self.checks if row in new),
            singles=singles,
            pairs=pairs | {k: pair_map("cx", ()) for k in copies},
            depolarizing=depolarizing,
            extra={new[row]: matrix for row, matrix in self.extra.items() if row in new},
            reset_error=self.reset_error[source],
            readout=readout,
            copies=self.copies | {place.onto for place in order if isinstance(place, Copy)},
            **rates,
        )
        reads = {
            b: q[0]
            for b, q, row in zip(found.bits, found.qubits, source, strict=True)
            if b is not None and row not in self.checks
        }
        return replace(found, measured=tuple(reads[bit] for bit in sorted(reads, reverse=True)))

    def scaled(self, factors: NDArray, sources: "Sources | None" = None) -> "Instructions":
        """Rates times factors, one for each qubit of a row, for the sources meant.

        Args:
            factors: Shape (rows, 2); or (rows, 2, strengths), for many at once.
            sources: All by default.
        """
        sources, several = sources or Sources(), factors.ndim == 3
        if several:
            spread = {
                name: getattr(self, name)[..., None]
                for name in ("decay", "coherence", "waiting", "depolarizing", "reset_error", "readout")
            }
            return replace(self, **spread)._scaled(factors, sources)
        return self._scaled(factors, sources)

    def _scaled(self, factors: NDArray, sources: "Sources") -> "Instructions":
        busy = 1 - self.waiting
        weight = factors * (busy * sources.gate_time + self.waiting * sources.waiting) + (
            busy * (not sources.gate_time) + self.waiting * (not sources.waiting)
        )
        is_pair = np.array([len(q) > 1 for q in self.qubits]).reshape(-1, *[1] * (factors.ndim - 2))
        both = np.where(is_pair, factors.mean(axis=1), factors[:, 0])
        start = self.start_error
        if sources.start:
            start = np.broadcast_to(
                start.reshape(-1, *[1] * (factors.ndim - 2)), (len(start), *factors.shape[2:])
            )
            start = start.copy()
            for qubit, (row, place) in self.first_uses().items():
                start[qubit] = start[qubit] * factors[row, place]
        return replace(
            self,
            decay=self.decay * weight,
            coherence=self.coherence * weight,
            depolarizing=self.depolarizing * (both if sources.gate_errors else 1.0),
            extra={
                row: _between(matrix, both[row] if sources.gate_errors else 1.0)
                for row, matrix in self.extra.items()
            },
            reset_error=self.reset_error * (factors[:, 0] if sources.resets else 1.0),
            readout=self.readout * (factors[:, :1] if sources.readout else 1.0),
            start_error=start,
        )

    def first_uses(self) -> dict[int, tuple[int, int]]:
        """Row and place in it of the first use of each qubit that does not begin in |0>."""
        found: dict[int, tuple[int, int]] = {}
        for row, (name, qubits) in enumerate(zip(self.names, self.qubits, strict=True)):
            for place, qubit in enumerate(qubits):
                if qubit not in found and qubit not in self.copies and name != "reset":
                    found[qubit] = (row, place)
        return {qubit: where for qubit, where in found.items() if qubit < len(self.start_error)}


@dataclass(frozen=True)
class Copy:
    """A perfect CX from the qubit that a row measures onto a new one: what a measurement does."""

    row: int
    onto: int


@dataclass(frozen=True)
class Moved:
    """A measurement, of the copy; one that is known already errs no more."""

    row: int
    onto: int
    is_known: bool = False


@dataclass(frozen=True)
class Misread:
    """What a measurement's errors make of the copy: from then on it is the bit that was read."""

    row: int
    onto: int


@dataclass(frozen=True)
class Fed:
    """A perfect CX from a copy back onto the qubit of a row: a flip that depends on the bit."""

    row: int
    onto: int


Place: TypeAlias = int | Copy | Moved | Misread | Fed


def _between(matrix: NDArray, weight: Any) -> NDArray:
    """The channel with this weight, nothing with the rest; one for each weight."""
    nothing = np.eye(len(matrix))
    return np.asarray(nothing + np.asarray(weight)[..., None, None] * (matrix - nothing))


def mixed(error: Any) -> NDArray:
    """Pauli expectations (..., 4) of a qubit that is in |1> with a probability (...)."""
    zero = np.zeros(np.shape(error))
    return np.stack([1 + zero, zero, zero, 1 - 2 * np.asarray(error)], axis=-1)


def read_out(up: Any, down: Any) -> NDArray:
    """Probabilities of reading 0 and 1 from Pauli expectations, (..., 2, 4).

    Args:
        up: Probability (...) of reading 1 in |0>.
        down: Of reading 0 in |1>.
    """
    up, down = np.asarray(up), np.asarray(down)
    nothing = np.zeros_like(up, dtype=float)
    zero = np.stack([1 - up + down, nothing, nothing, 1 - up - down], axis=-1) / 2
    whole = np.array([1.0, 0.0, 0.0, 0.0])
    return np.stack([zero, whole - zero], axis=-2)


@dataclass(frozen=True)
class Sources:
    """Which kinds of noise are meant: relaxation during gates and while waiting, and errors."""

    gate_time: bool = True
    waiting: bool = True
    gate_errors: bool = True
    resets: bool = True
    readout: bool = True
    start: bool = True


def rows_of(program: Program, noise: DeviceNoise) -> Instructions:
    """Rows of a program of gates on one or two qubits, one for each step, its weights bound."""
    return RowTemplate(program, noise, ()).at(None)


class RowTemplate:
    """Rows of a program whose weights are free: everything but what they turn is made once.

    Args:
        program: Gates on one or two qubits.
        noise: By the program's qubits.
        parameters: The weights.
    """

    def __init__(self, program: Program, noise: DeviceNoise, parameters: Sequence[Parameter]) -> None:
        noise.check_qubits(program.num_qubits)
        steps = program.steps
        qubits = tuple(step.qubits for step in steps)
        names = tuple(step.name for step in steps)
        line = timeline(program, noise)
        data = tuple(_data_gate(step) for step in steps)
        self._angles = Angles(parameters)
        self._turned: dict[str, tuple[list[int], list[list[int]]]] = {}  # by name: rows, angles of each
        self._others: list[tuple[int, Gate | Encode, list[int]]] = []
        singles, pairs = self._fixed_maps(steps, data)
        self._base = Instructions(
            names=names,
            qubits=qubits,
            data=data,
            checks=frozenset(row for row, step in enumerate(steps) if isinstance(step, Check)),
            singles=singles,
            pairs=pairs,
            excited=noise.excited_population,
            measured=program.measured,
            bits=_decided_bits(steps),
            decides=tuple(step.bit if isinstance(step, FlipIf) else None for step in steps),
            start_error=np.full(program.num_qubits, noise.start_probability),
            **_rates(names, qubits, line.waits, noise),
        )

    def _fixed_maps(
        self, steps: Sequence[Step], data: Sequence[DataGate | None]
    ) -> tuple[NDArray, dict[int, NDArray]]:
        """Maps of the gates that no weight turns; the others are noted."""
        singles, pairs = np.tile(np.eye(4), (len(steps), 1, 1)), dict[int, NDArray]()
        rows, matrices = list[int](), list[NDArray]()
        for row, step in enumerate(steps):
            if data[row] is not None or not isinstance(step, Gate | Encode):
                continue  # a delay is waiting, and nothing else
            name, instruction, qubits = step.name, step.instruction, step.qubits
            if len(qubits) > 2:
                raise InvalidInputError(
                    f"noise is known for gates on one or two qubits, {name!r} acts on {len(qubits)}"
                )
            if any(getattr(angle, "parameters", None) for angle in instruction.params):
                places = [self._angles.add(angle) for angle in instruction.params]
                if len(qubits) == 1 and name in _ROTATIONS:
                    of_name = self._turned.setdefault(name, ([], []))
                    of_name[0].append(row)
                    of_name[1].append(places)
                else:
                    self._others.append((row, step, places))
            elif len(qubits) == 2:
                pairs[row] = pair_map(name, tuple(float(angle) for angle in instruction.params))
            else:
                rows.append(row)
                matrices.append(_matrix(name, instruction))
        if rows:
            singles[np.array(rows)] = unitary_maps(np.array(matrices))
        return singles, pairs

    def at(self, values: NDArray | None) -> Instructions:
        """The rows at settings of the weights (settings, weights), all at once; None where there are none."""
        if values is None:
            return self._base
        angles = self._angles.at(values)  # (angles, settings)
        singles = np.repeat(self._base.singles[:, None], len(values), axis=1)
        for name, (rows, places) in self._turned.items():
            singles[np.array(rows)] = unitary_maps(_rotations(name, angles[np.array(places).T]))
        pairs = dict(self._base.pairs)
        for row, step, chosen in self._others:
            base = step.instruction.base_class
            settings = zip(*angles[chosen], strict=True)
            if len(step.qubits) == 1:
                matrices = np.array([base(*map(float, setting)).to_matrix() for setting in settings])
                singles[row] = unitary_maps(matrices)
            else:
                maps = [pair_map(step.name, tuple(map(float, setting))) for setting in settings]
                pairs[row] = np.array(maps)
        return replace(self._base, singles=singles, pairs=pairs)


class Angles:
    """Angles of gates as functions of weights, evaluated together; most are one weight times a number."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self._column = {parameter: k for k, parameter in enumerate(parameters)}
        self._constants: list[float] = []
        self._slopes: list[float] = []
        self._columns: list[int] = []
        self._more: list[tuple[int, ParameterExpression]] = []

    def add(self, angle: Any) -> int:
        """The place of an angle."""
        place, free = len(self._constants), list(getattr(angle, "parameters", ()))
        if missing := [p.name for p in free if p not in self._column]:
            raise InvalidInputError(f"a gate depends on {missing[0]}, which has no value; bind it first")
        constant, slope, column = 0.0, 0.0, 0
        if not free:
            constant = float(angle)
        elif len(free) == 1 and not getattr(angle.gradient(free[0]), "parameters", None):
            constant, slope = float(angle.bind({free[0]: 0.0})), float(angle.gradient(free[0]))
            column = self._column[free[0]]
        else:
            self._more.append((place, angle))
        self._constants.append(constant)
        self._slopes.append(slope)
        self._columns.append(column)
        return place

    def at(self, values: NDArray) -> NDArray:
        """All angles (angles, settings) at settings of the weights (settings, weights)."""
        values = np.asarray(values, dtype=np.float64)
        found = (
            np.array(self._constants)[:, None] + np.array(self._slopes)[:, None] * values[:, self._columns].T
        )
        for place, angle in self._more:
            free = list(angle.parameters)
            rows = values[:, [self._column[p] for p in free]]
            found[place] = [float(angle.bind(dict(zip(free, row, strict=True)))) for row in rows]
        return np.asarray(found)


def _decided_bits(steps: Sequence[Step]) -> tuple[int | None, ...]:
    """The classical bit of each measurement that no later one overwrites."""
    found, seen = list[int | None](), set[int]()
    for step in reversed(steps):
        bit = step.bit if isinstance(step, Read | Check) else None
        found.append(None if bit in seen else bit)
        if bit is not None:
            seen.add(bit)
    return tuple(reversed(found))


def _rates(
    names: tuple[str, ...],
    qubits: tuple[tuple[int, ...], ...],
    waits: tuple[tuple[float, ...], ...],
    noise: DeviceNoise,
) -> dict[str, Any]:
    """The fields of `Instructions` that are noise."""
    rows = len(names)
    seconds, waiting = np.zeros((rows, 2)), np.zeros((rows, 2))
    t1, t2 = np.full((rows, 2), np.inf), np.full((rows, 2), np.inf)
    depolarizing, reset_error, readout = np.zeros(rows), np.zeros(rows), np.zeros((rows, 2))
    known: dict[Any, tuple[float, float]] = {}
    extra: dict[int, NDArray] = {}
    times = {qubit: noise.relaxation_times(qubit) for where in qubits for qubit in where}
    for row, (name, where) in enumerate(zip(names, qubits, strict=True)):
        duration = 0.0  # of a reset it does not matter, of a read-out it is part of its error
        if name == "reset":
            reset_error[row] = noise.reset_probability
        elif name == "measure":
            readout[row] = noise.readout(where[0])
        else:
            if (name, where) not in known:
                known[name, where] = (
                    noise.duration(name, where),
                    noise.depolarizing_probability(name, where),
                )
            duration, depolarizing[row] = known[name, where]
            more = noise.extra_channel(name, len(where))
            if more is not None:
                extra[row] = more.transfer_map
        for column, qubit in enumerate(where[:2]):
            wait = waits[row][column]
            seconds[row, column] = duration + wait
            waiting[row, column] = wait / (duration + wait) if wait else 0.0
            t1[row, column], t2[row, column] = times[qubit]
    return {
        "decay": seconds / t1,
        "coherence": seconds / t2,
        "waiting": waiting,
        "depolarizing": depolarizing,
        "extra": extra,
        "reset_error": reset_error,
        "readout": readout,
    }


_ROTATIONS = ("u", "ry", "rx", "rz", "p")


def _matrix(name: str, operation: Any) -> NDArray:
    """Of a gate on one qubit, (2, 2)."""
    # Qiskit's own method takes three times as long for the most frequent gates.
    if name in _ROTATIONS:
        return _rotations(name, np.array([float(angle) for angle in operation.params]))
    return np.asarray(operation.to_matrix())


def _rotations(name: str, angles: NDArray) -> NDArray:
    """Matrices (..., 2, 2) at angles (angles of the gate, ...), up to a phase, which nothing sees."""
    zero = np.zeros(angles.shape[1:])
    if name == "u":
        theta, phi, lam = angles
    elif name == "ry":
        theta, phi, lam = angles[0], zero, zero
    elif name == "rx":
        theta, phi, lam = angles[0], zero - np.pi / 2, zero + np.pi / 2
    else:  # rz and p
        theta, phi, lam = zero, zero, angles[0]
    cos, sin = np.cos(theta / 2), np.sin(theta / 2)
    entries = (cos, -np.exp(1j * lam) * sin, np.exp(1j * phi) * sin, np.exp(1j * (phi + lam)) * cos)
    return np.stack(entries, axis=-1).reshape(*angles.shape[1:], 2, 2)


@lru_cache(maxsize=4096)
def pair_map(name: str, params: tuple[float, ...]) -> NDArray:
    """Map (16, 16) of a standard gate on two qubits."""
    from qiskit.circuit.library import get_standard_gate_name_mapping

    gate = get_standard_gate_name_mapping().get(name)
    if gate is None:
        raise InvalidInputError(f"no standard gate {name!r} of Qiskit; translate the circuit first")
    matrix = np.asarray(gate.base_class(*params).to_matrix())
    # Qiskit's first qubit is the least significant; here it is the most.
    return np.asarray(unitary_maps(matrix.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4)))


def _data_gate(step: Step) -> DataGate | None:
    """A data angle that has no value yet."""
    if not isinstance(step, Encode):
        return None
    angles = step.instruction.params
    free = [a for a in angles if isinstance(a, ParameterExpression) and a.parameters]
    if not free:
        return None
    if len({parameter for angle in free for parameter in angle.parameters}) > 1:
        raise InvalidInputError(f"{step.name!r} depends on weights that have no value; bind them first")
    if step.name not in PLANES or len(angles) > 1:
        return DataGate(step.place, None)
    (parameter,) = free[0].parameters
    values = [float(free[0].bind({parameter: value})) for value in (0.0, 1.0)]
    sign = values[1] - values[0]
    if abs(abs(sign) - 1) > 1e-9:
        return DataGate(step.place, None)
    return DataGate(step.place, PLANES[step.name], sign, values[0])
