"""Exact distribution of any circuit's read-out under a device's noise, for simulators and estimates.

A circuit that gathers data into few bits is walked through forwards. A circuit that spreads a state over many
bits is walked through backwards. If the qubits separate in one of the two directions, the distribution is
exact for any number of them; otherwise the circuit is refused. Only the circuit is needed, not its model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterExpression

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.noise.backwards import distributions_backwards
from qtnml.noise.device import DeviceNoise
from qtnml.noise.instructions import PLANES, Copy, Fed, Instructions, Misread, Moved, Place
from qtnml.noise.order import order_of
from qtnml.noise.rows import RowTemplate
from qtnml.noise.tree import CircuitTree, evaluated, evaluated_each
from qtnml.noise.walk import walk
from qtnml.program import Check, FlipIf, Gate, Program, Read, Reset

MOST_BITS = 16  # of a table of all probabilities
_FEW_BITS = 6  # so many at the end of a circuit are tried forwards first
_SETTINGS = 64  # of the weights, whose maps are made at once
_TOGETHER = 32  # circuits of one setting, from which on they are contracted by themselves
_CONTROL = ("if_else", "while_loop", "for_loop", "switch_case", "box", "break_loop", "continue_loop")


class CircuitDistribution:
    """The distribution of a circuit's classical bits.

    An outcome is all bits read as a binary number; the first bit is the least significant. A bit that nothing
    is measured into is 0. A shot of a circuit with data can fail a check: a bit of the register `postselect`
    is 1. Such a shot counts as outcome 2**k, with k the lowest such bit; its other bits are not told.

    Args:
        circuit: Circuit of gates on one or two qubits, resets, delays and measurements; parameters may be
            free.
        parameters: The parameter of each column of values.
        noise: Noise on the circuit's own qubits.

    >>> circuit = QuantumCircuit(2, 2)
    >>> _ = circuit.h(0), circuit.cx(0, 1), circuit.measure([0, 1], [0, 1])
    >>> noisy = CircuitDistribution(circuit, (), DeviceNoise(readout_error=0.01))
    >>> noisy.probabilities(np.empty((1, 0))).round(4)
    array([[0.4901, 0.0099, 0.0099, 0.4901]])
    """

    def __init__(self, circuit: QuantumCircuit, parameters: Sequence[Parameter], noise: DeviceNoise) -> None:
        program = Program.read(circuit)
        if found := [step.name for step in program.steps if isinstance(step, Gate) and step.name in _CONTROL]:
            raise InvalidInputError(
                f"the exact distribution knows no {found[0]!r}: what a circuit does must not depend on what "
                "it read; run it on Aer"
            )
        _check_bits(program)
        self._parameters = tuple(parameters)
        self._num_bits = circuit.num_clbits
        gathers = len(program.measured) <= _FEW_BITS
        self._data = _data_columns(program, self._parameters) if gathers else []
        self._weights = [k for k in range(len(self._parameters)) if k not in self._data]
        self._rows = RowTemplate(
            Program.read(circuit, [self._parameters[k] for k in self._data]),
            noise,
            [self._parameters[k] for k in self._weights],
        )
        self._plain: _Forwards | _Backwards | None = None
        self._orders: dict[bool, list[Place]] = {}  # forwards and backwards

    def probabilities(self, values: NDArray) -> NDArray:
        """Probabilities (circuits, 2**bits) for values of the parameters (circuits, parameters)."""
        if self._num_bits > MOST_BITS:
            raise InvalidInputError(
                f"a table of the probabilities of {self._num_bits} bits has 2**{self._num_bits} columns; "
                f"draw shots instead (a table has at most {MOST_BITS} bits)"
            )
        found = np.zeros((len(values), 2**self._num_bits))
        for places, settings, distribution in self._distributions(values):
            outcomes, table = distribution.table(values[places], settings)
            found[places[:, None], outcomes] = table
        return found

    def sample(self, values: NDArray, shots: int, rng: np.random.Generator) -> list[dict[int, int]]:
        """Counts drawn from the distribution of each circuit."""
        found: list[dict[int, int]] = [{} for _ in values]
        for places, settings, distribution in self._distributions(values):
            drawn = distribution.counts(values[places], settings, shots, rng)
            for place, counts in zip(places, drawn, strict=True):
                found[place] = counts
        return found

    def given_success(self, values: NDArray) -> tuple[NDArray, NDArray]:
        """Probabilities (circuits, outcomes) given that all checks pass, and the log-probability of passing.

        Raises:
            InvalidInputError: The circuit spreads a state over many bits.
        """
        found = np.empty((len(values), 0))
        log = np.empty(len(values))
        for places, settings, distribution in self._distributions(values):
            if not isinstance(distribution, _Forwards):
                raise InvalidInputError(
                    "this circuit spreads its outcome over many bits; ask for `probabilities`, or draw shots"
                )
            part, log[places] = distribution.evaluated(values[places], settings)
            if not found.shape[1]:
                found = np.empty((len(values), part.shape[1]))
            found[places] = part
        return found, log

    def _distributions(self, values: NDArray) -> "Iterator[tuple[NDArray, NDArray, _Forwards | _Backwards]]":
        """Circuits of a few settings of the weights, the setting of each, and their distribution."""
        if not len(values):
            return
        if not self._weights:
            if self._plain is None:
                self._plain = self._distribution(None)
            yield np.arange(len(values)), np.zeros(len(values), dtype=int), self._plain
            return
        known, group = _distinct(values[:, self._weights])
        for start in range(0, len(known), _SETTINGS):
            part = known[start : start + _SETTINGS]
            places = np.flatnonzero((group >= start) & (group < start + len(part)))
            yield places, group[places] - start, self._distribution(part)

    def _distribution(self, values: NDArray | None) -> "_Forwards | _Backwards":
        rows = self._rows.at(values)
        if self._data:
            return self._forwards(rows)
        if len(rows.measured) <= _FEW_BITS:
            try:
                return self._forwards(rows)
            except InvalidInputError:
                return self._backwards(rows)
        try:
            return self._backwards(rows)
        except InvalidInputError:
            if len(rows.measured) > MOST_BITS:
                raise
            return self._forwards(rows)

    def _forwards(self, rows: Instructions) -> "_Forwards":
        return _Forwards(rows.taken(self._order(rows, backwards=False)), self._data)

    def _backwards(self, rows: Instructions) -> "_Backwards":
        return _Backwards(rows.taken(self._order(rows, backwards=True)))

    def _order(self, rows: Instructions, *, backwards: bool) -> "list[Place]":
        """In which a circuit is walked through, with copies; the same for all values of its weights."""
        if backwards not in self._orders:
            copies = copies_in(rows, before_resets=not backwards)
            found = order_of(rows.taken(copies), backwards=backwards)
            self._orders[backwards] = [copies[row] for row in found]
        return self._orders[backwards]


class _Forwards:
    """A circuit that gathers data into the bits read at its end; its rows in order, with copies."""

    def __init__(self, rows: Instructions, columns: Sequence[int]) -> None:
        self._columns = list(columns)
        reads = [bit for bit in rows.bits if bit is not None]
        checks = sorted(bit for row in rows.checks if (bit := rows.bits[row]) is not None)
        self._bits = sorted(set(reads) - set(checks), reverse=True)
        self._failed = 2 ** checks[0] if checks else None
        tree = walk(rows, 3, constant=not columns)
        self._settings = tree.settings or 1
        self._tree: CircuitTree = replace(tree, settings=self._settings)
        self._maps = self._tree.maps()  # of each node (settings, outputs, inputs)

    def table(self, values: NDArray, settings: NDArray) -> tuple[NDArray, NDArray]:
        """Outcomes that there are, and their probabilities (circuits, outcomes)."""
        found, log = self.evaluated(values, settings)
        outcomes = _outcomes(self._bits)
        if self._failed is not None:
            success = np.exp(log)[:, None]
            found = np.hstack([found * success, 1 - success])
            outcomes = np.append(outcomes, self._failed)
        return outcomes, found

    def evaluated(self, values: NDArray, settings: NDArray) -> tuple[NDArray, NDArray]:
        """Probabilities (circuits, outcomes) given success, and its logarithm (circuits,)."""
        angles = values[:, self._columns] if self._columns else np.zeros((len(values), 1))
        uploads = any(node.uploads for node in self._tree.topology.nodes)
        if len(angles) < _TOGETHER * self._settings and not uploads:
            leaves = self._tree.leaves_by_angle(angles)
            return evaluated_each(self._tree, [maps[settings] for maps in self._maps], leaves)
        found = np.empty((len(angles), 2**self._tree.topology.root_qubits))
        log = np.empty(len(angles))
        for number in range(self._settings):
            chosen = np.flatnonzero(settings == number)
            maps = self._tree.stacked([maps[number] for maps in self._maps])
            found[chosen], log[chosen] = evaluated(
                self._tree, maps, self._tree.leaves_by_angle, angles[chosen]
            )
        return found, log

    def counts(
        self, values: NDArray, settings: NDArray, shots: int, rng: np.random.Generator
    ) -> list[dict[int, int]]:
        """Drawn shots of each circuit."""
        outcomes, table = self.table(values, settings)
        table = np.clip(table, 0.0, 1.0)
        drawn = rng.multinomial(shots, table / table.sum(axis=1, keepdims=True))
        names = outcomes.tolist()
        return [{names[k]: int(row[k]) for k in np.flatnonzero(row)} for row in drawn]


class _Backwards:
    """A circuit that draws strings; its rows in order, with copies."""

    def __init__(self, rows: Instructions) -> None:
        self._bits = sorted(bit for bit in rows.bits if bit is not None)
        self._distributions = distributions_backwards(rows, [(bit,) for bit in self._bits])

    def table(self, values: NDArray, settings: NDArray) -> tuple[NDArray, NDArray]:  # noqa: ARG002
        """Outcomes that there are, and their probabilities (circuits, outcomes)."""
        count = len(self._bits)
        strings = np.arange(2**count)[:, None] >> np.arange(count) & 1
        rows = np.exp([distribution.log_probability(strings) for distribution in self._distributions])
        return _outcomes(self._bits[::-1]), rows[settings]

    def counts(
        self, values: NDArray, settings: NDArray, shots: int, rng: np.random.Generator
    ) -> list[dict[int, int]]:
        """Drawn shots of each circuit."""
        found: list[dict[int, int]] = [{} for _ in values]
        for number, distribution in enumerate(self._distributions):
            places = np.flatnonzero(settings == number)
            strings = distribution.sample(rng, shots * len(places)).reshape(len(places), shots, -1)
            for place, part in zip(places, strings, strict=True):
                found[place] = self._counted(part)
        return found

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


def _check_bits(program: Program) -> None:
    """Refuse programs that read nothing, and flips whose bit is not read once, before, for them alone."""
    if not program.measured:
        raise InvalidInputError("this circuit measures nothing; end it with a measurement")
    writers: dict[int, list[int]] = {}
    flips: dict[int, list[int]] = {}
    for row, step in enumerate(program.steps):
        if isinstance(step, Read | Check):
            writers.setdefault(step.bit, []).append(row)
        elif isinstance(step, FlipIf):
            flips.setdefault(step.bit, []).append(row)
    for bit, rows in flips.items():
        known = writers.get(bit, [])
        if len(rows) > 1 or len(known) != 1 or known[0] > rows[0]:
            raise InvalidInputError(
                f"the exact distribution knows an 'if_else' on bit {bit} only where the bit is read once, "
                "before it, and decides on one X; run this circuit on Aer"
            )


def _distinct(rows: NDArray) -> tuple[NDArray, NDArray]:
    """Different rows, in the order of their first appearance, and the number of each row's."""
    numbers: dict[bytes, int] = {}
    group = np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in rows])
    first = np.unique(group, return_index=True)[1]
    return rows[first], group


def with_copies(rows: Instructions, *, before_resets: bool) -> Instructions:
    """The circuit changed so that no qubit is needed after it was read; see `copies_in`."""
    return rows.taken(copies_in(rows, before_resets=before_resets))


def copies_in(rows: Instructions, *, before_resets: bool) -> list[Place]:
    """The order of a circuit's rows, changed so that no qubit is needed after it was read.

    A qubit that goes on after it was read is copied onto a new one, which is read instead. What only waits
    after its last read-out is left out.

    Args:
        rows: A circuit.
        before_resets: Copy a qubit that is reset next as well, unless what was read is a check.
    """
    later: dict[int, str] = {}
    found: list[Place] = []
    onto = 1 + max((q for qubits in rows.qubits for q in qubits), default=-1)
    fed: dict[int, int] = {}  # of each bit that decides on a flip its copy
    reader = {bit: row for row, bit in enumerate(rows.bits) if bit is not None}
    for row in reversed(range(len(rows.names))):
        name, qubits = rows.names[row], rows.qubits[row]
        following = later.get(qubits[0])
        if name == "delay" and following is None:
            continue
        if name == "if_else":
            bit = rows.decides[row]
            assert bit is not None
            found += [row, Moved(reader[bit], onto, is_known=True), Fed(row, onto)]
            fed[bit], onto = onto, onto + 1
            later[qubits[0]] = name
            continue
        read = rows.bits[row] if name == "measure" else None
        if read is not None and read in fed:
            copy = fed.pop(read)
            found += [Misread(row, copy), Copy(row, copy)]
            later[qubits[0]] = "copy"
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
    return found[::-1]


def _data_columns(program: Program, parameters: Sequence[Parameter]) -> list[int]:
    """Columns that enter as data: each turns a qubit in a known state, and others by rotations alone."""
    column = {parameter: k for k, parameter in enumerate(parameters)}
    entered, refused = set[int](), set[int]()
    is_known = [True] * program.num_qubits
    for step in program.steps:
        if isinstance(step, Reset):
            is_known[step.qubits[0]] = True
            continue
        angles = [] if isinstance(step, FlipIf) else step.instruction.params
        used = {column[p] for e in angles if isinstance(e, ParameterExpression) for p in e.parameters}
        if used and (step.name not in PLANES or len(used) > 1):
            refused |= used
        elif used and is_known[step.qubits[0]]:
            entered |= used
        if used or len(step.qubits) > 1:
            for qubit in step.qubits:
                is_known[qubit] = False
    return sorted(entered - refused)
