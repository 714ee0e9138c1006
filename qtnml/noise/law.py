"""The exact distribution of what any circuit reads, under a device's noise: for simulators and estimates.

A circuit that gathers data into few bits is walked through forwards, one that spreads a state over many bits
backwards. Whichever way its qubits come apart, the distribution is exact for any number of them; a circuit
whose qubits do not come apart is refused. Nothing is known of models here, the circuit alone decides.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterExpression

from qtnml.arrays import NDArray
from qtnml.born.law import TreeLaw
from qtnml.errors import InvalidInputError
from qtnml.noise.backwards import law_backwards
from qtnml.noise.device import DeviceNoise
from qtnml.noise.instructions import PLANES, Copy, Instructions, Moved, rows_of
from qtnml.noise.tree import CircuitTree, evaluated
from qtnml.noise.walk import walk
from qtnml.program import Program, Reset

MOST_BITS = 16  # of a table of all probabilities
_FEW_BITS = 6  # so many at the end of a circuit are tried forwards first
_CONTROL = ("if_else", "while_loop", "for_loop", "switch_case", "box", "break_loop", "continue_loop")


class CircuitLaw:
    """The distribution of a circuit's classical bits.

    Outcomes are all bits read as a binary number, the first one least significant; a bit that nothing is
    measured into is 0. Of a shot that fails a check of a circuit with data (a bit of the register
    `postselect` that is 1), nothing more is told: it counts as outcome 2**k, with k the lowest such bit.

    Args:
        circuit: Of gates on one or two qubits, resets, delays and measurements; parameters may be free.
        parameters: Of the columns of values.
        noise: By the circuit's own qubits.

    >>> circuit = QuantumCircuit(2, 2)
    >>> _ = circuit.h(0), circuit.cx(0, 1), circuit.measure([0, 1], [0, 1])
    >>> CircuitLaw(circuit, (), DeviceNoise(readout_error=0.01)).probabilities(np.empty((1, 0))).round(4)
    array([[0.4901, 0.0099, 0.0099, 0.4901]])
    """

    def __init__(self, circuit: QuantumCircuit, parameters: Sequence[Parameter], noise: DeviceNoise) -> None:
        if found := [name for name in circuit.count_ops() if name in _CONTROL]:
            raise InvalidInputError(
                f"the exact distribution knows no {found[0]!r}: what a circuit does must not depend on what "
                "it read; run it on Aer"
            )
        self._circuit, self._parameters, self._noise = circuit, tuple(parameters), noise
        self._num_bits = circuit.num_clbits
        program = Program.read(circuit)
        gathers = len(program.measured) <= _FEW_BITS
        self._data = _data_columns(program, self._parameters) if gathers else []
        self._plain: _Forwards | _Backwards | None = None

    def probabilities(self, values: NDArray) -> NDArray:
        """Probabilities (circuits, 2**bits) at values of the parameters (circuits, parameters)."""
        if self._num_bits > MOST_BITS:
            raise InvalidInputError(
                f"a table of the probabilities of {self._num_bits} bits has 2**{self._num_bits} columns; "
                f"draw shots instead (a table has at most {MOST_BITS} bits)"
            )
        found = np.zeros((len(values), 2**self._num_bits))
        for places, law in self._laws(values):
            outcomes, table = law.table(values[places])
            found[np.array(places)[:, None], outcomes] = table
        return found

    def sample(self, values: NDArray, shots: int, rng: np.random.Generator) -> list[dict[int, int]]:
        """Counts of each circuit, drawn from its distribution."""
        found: list[dict[int, int]] = [{} for _ in values]
        for places, law in self._laws(values):
            for place, counts in zip(places, law.counts(values[places], shots, rng), strict=True):
                found[place] = counts
        return found

    def _laws(self, values: NDArray) -> "Iterator[tuple[list[int], _Forwards | _Backwards]]":
        """Circuits that differ in their data alone, each group with its law."""
        if not len(values):
            return
        weights = [k for k in range(len(self._parameters)) if k not in self._data]
        if not weights:
            if self._plain is None:
                self._plain = self._law(self._circuit)
            yield list(range(len(values))), self._plain
            return
        known, group = np.unique(values[:, weights], axis=0, return_inverse=True)
        for number, row in enumerate(known):
            bound = dict(zip((self._parameters[k] for k in weights), row, strict=True))
            law = self._law(self._circuit.assign_parameters(bound))
            yield np.flatnonzero(group.ravel() == number).tolist(), law

    def _law(self, circuit: QuantumCircuit) -> "_Forwards | _Backwards":
        program = Program.read(circuit, [self._parameters[k] for k in self._data])
        rows = rows_of(program, self._noise)
        if self._data:
            return _Forwards(rows, self._data)
        if len(rows.measured) <= _FEW_BITS:
            try:
                return _Forwards(rows, [])
            except InvalidInputError:
                return _Backwards(rows)
        try:
            return _Backwards(rows)
        except InvalidInputError:
            if len(rows.measured) > MOST_BITS:
                raise
            return _Forwards(rows, [])


class _Forwards:
    """A circuit that gathers data into the bits read at its end."""

    def __init__(self, rows: Instructions, columns: Sequence[int]) -> None:
        rows = with_copies(rows, before_resets=True)
        self._columns = list(columns)
        reads = {bit: q[0] for bit, q in zip(rows.bits, rows.qubits, strict=True) if bit is not None}
        checks = sorted(bit for row in rows.checks if (bit := rows.bits[row]) is not None)
        self._bits = [bit for bit in sorted(reads, reverse=True) if bit not in checks]

        self._failed = 2 ** checks[0] if checks else None
        self._tree: CircuitTree = walk(rows, 3, constant=not columns)
        self._maps = self._tree.stacked_maps()

    def table(self, values: NDArray) -> tuple[NDArray, NDArray]:
        """Outcomes that there are, and their probabilities (circuits, outcomes)."""
        angles = values[:, self._columns] if self._columns else np.zeros((1, 1))
        found, log = evaluated(self._tree, self._maps, self._tree.leaves_by_angle, angles)
        outcomes = _outcomes(self._bits)
        if self._failed is not None:
            success = np.exp(log)[:, None]
            found = np.hstack([found * success, 1 - success])
            outcomes = np.append(outcomes, self._failed)
        return outcomes, np.broadcast_to(found, (len(values), found.shape[1]))

    def counts(self, values: NDArray, shots: int, rng: np.random.Generator) -> list[dict[int, int]]:
        """Drawn shots of each circuit."""
        outcomes, table = self.table(values)
        table = np.clip(table, 0.0, 1.0)
        drawn = rng.multinomial(shots, table / table.sum(axis=1, keepdims=True))
        names = outcomes.tolist()
        return [{names[k]: int(row[k]) for k in np.flatnonzero(row)} for row in drawn]


class _Backwards:
    """A circuit that draws strings, all of its parameters bound."""

    def __init__(self, rows: Instructions) -> None:
        rows = with_copies(rows, before_resets=False)
        self._bits = sorted(bit for bit in rows.bits if bit is not None)
        self._law: TreeLaw = law_backwards(rows, [(bit,) for bit in self._bits])

    def table(self, values: NDArray) -> tuple[NDArray, NDArray]:
        """Outcomes that there are, and their probabilities (circuits, outcomes)."""
        count = len(self._bits)
        strings = np.arange(2**count)[:, None] >> np.arange(count) & 1
        row = np.exp(self._law.log_probability(strings))
        return _outcomes(self._bits[::-1]), np.broadcast_to(row, (len(values), len(row)))

    def counts(self, values: NDArray, shots: int, rng: np.random.Generator) -> list[dict[int, int]]:
        """Drawn shots of each circuit."""
        strings = self._law.sample(rng, shots * len(values)).reshape(len(values), shots, -1)
        return [self._counted(part) for part in strings]

    def _counted(self, strings: NDArray) -> dict[int, int]:
        width = self._bits[-1] + 1
        spread = np.zeros((len(strings), width), dtype=np.uint8)
        spread[:, self._bits] = strings
        packed = np.packbits(spread, axis=1, bitorder="little")
        found, counts = np.unique(packed, axis=0, return_counts=True)
        return {int.from_bytes(row.tobytes(), "little"): int(n) for row, n in zip(found, counts, strict=True)}


def _outcomes(bits: Sequence[int]) -> NDArray:
    """Binary numbers of all values of some bits, the first given the slowest to change."""
    found = np.zeros(1, dtype=object if max(bits, default=0) > 62 else np.int64)
    for bit in bits:
        found = np.add.outer(found, np.array([0, 2**bit], dtype=found.dtype)).ravel()
    return found


def with_copies(rows: Instructions, *, before_resets: bool) -> Instructions:
    """The circuit changed so that no qubit is needed after it was read.

    A qubit that goes on after it was read is copied onto a new one, which is read instead. What only waits
    after its last read-out is left out.

    Args:
        rows: A circuit.
        before_resets: Copy a qubit that is reset next as well, unless what was read is a check.
    """
    later: dict[int, str] = {}
    found: list[int | Copy | Moved] = []
    onto = 1 + max((q for qubits in rows.qubits for q in qubits), default=-1)
    for row in reversed(range(len(rows.names))):
        name, qubits = rows.names[row], rows.qubits[row]
        following = later.get(qubits[0])
        if name == "delay" and following is None:
            continue
        if name == "measure":
            is_read = rows.bits[row] is not None  # or overwritten by a later one
            stops = following is None or (
                following == "reset" and not (before_resets and is_read and row not in rows.checks)
            )
            if not stops:
                found += [Moved(row, onto), Copy(row, onto)] if is_read else [Copy(row, onto)]
                onto += 1
                later[qubits[0]] = "copy"
            elif is_read:
                found.append(row)
                later[qubits[0]] = name
            continue
        found.append(row)
        for qubit in qubits:
            later[qubit] = name
    return rows.taken(found[::-1])


def _data_columns(program: Program, parameters: Sequence[Parameter]) -> list[int]:
    """Columns that enter as data: each turns a qubit in a known state, and others by rotations alone."""
    column = {parameter: k for k, parameter in enumerate(parameters)}
    entered, refused = set[int](), set[int]()
    is_known = [True] * program.num_qubits
    for step in program.steps:
        if isinstance(step, Reset):
            is_known[step.qubits[0]] = True
            continue
        angles = step.instruction.params
        used = {column[p] for e in angles if isinstance(e, ParameterExpression) for p in e.parameters}
        if used and (step.name not in PLANES or len(used) > 1):
            refused |= used
        elif used and is_known[step.qubits[0]]:
            entered |= used
        if used or len(step.qubits) > 1:
            for qubit in step.qubits:
                is_known[qubit] = False
    return sorted(entered - refused)
