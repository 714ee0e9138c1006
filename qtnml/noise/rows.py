"""Rows of instructions from a program and noise; what does not depend on weights is made once."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from qiskit.circuit import Parameter, ParameterExpression

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.noise.channels import unitary_maps
from qtnml.noise.device import DeviceNoise
from qtnml.noise.instructions import PLANES, DataGate, Instructions, pair_map
from qtnml.program import Check, Encode, FlipIf, Gate, Program, Read, Step, timeline


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
