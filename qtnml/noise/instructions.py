"""A program as arrays: what each of its steps does, and the noise after it.

There is one row per step. Noise is stored as rates (times over T1 and T2, depolarising probabilities). So it
can be scaled row by row, and the Pauli transfer maps of all instructions can be made at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.noise.channels import relaxation_maps, unitary_maps

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
