"""A compiled model as typed operations, from which the Qiskit circuit is made."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, IfElseOp, Instruction, Parameter, ParameterExpression

from qtnml.errors import InvalidInputError
from qtnml.program.operations import (
    Barrier,
    Check,
    Encode,
    FlipIf,
    Gate,
    Node,
    Operation,
    Read,
    Reset,
    Step,
    Wait,
    one_by_one,
)

#: Inward: data in, an outcome out. Outward: strings out.
Direction: TypeAlias = Literal["inward", "outward"]
CHECKS = "postselect"  # the register of bits that are 0 in shots that count


@dataclass(frozen=True, eq=False)
class Program:
    """Operations on qubits, in an order in which they can run.

    Attributes:
        operations: The operations, in order.
        num_qubits: Number of qubits; for a device the number of all its qubits.
        registers: Names and sizes of the classical registers; bits are numbered through all of them.
        direction: "inward" if data come in, "outward" if strings go out.

    >>> circuit = QuantumCircuit(2, 1)
    >>> _ = circuit.cx(0, 1), circuit.reset(0), circuit.measure(1, 0)
    >>> [type(step).__name__ for step in Program.read(circuit).steps]
    ['Gate', 'Reset', 'Read']
    """

    operations: tuple[Operation, ...]
    num_qubits: int
    registers: tuple[tuple[str, int], ...]
    direction: Direction = "inward"

    @classmethod
    def read(
        cls, circuit: QuantumCircuit, x: Sequence[Parameter] = (), direction: Direction = "inward"
    ) -> "Program":
        """The operations of any circuit.

        A measurement into a register `postselect` is a check.

        Args:
            circuit: A circuit; its parameters may be free.
            x: Parameters that are data angles.
            direction: Direction of the program, see `Program`.
        """
        index = {bit: k for k, bit in enumerate(circuit.qubits)}
        bits = {bit: k for k, bit in enumerate(circuit.clbits)}
        checks = {bits[bit] for register in circuit.cregs if register.name == CHECKS for bit in register}
        places = {parameter: k for k, parameter in enumerate(x)}
        operations: list[Operation] = []
        for entry in circuit.data:
            operation, qubits = entry.operation, tuple(index[bit] for bit in entry.qubits)
            name = operation.name
            if name == "measure":
                bit = bits[entry.clbits[0]]
                operations.append(Check(qubits, bit) if bit in checks else Read(qubits, bit))
            elif name == "reset":
                operations.append(Reset(qubits))
            elif name == "delay":
                operations.append(Wait(operation, qubits))
            elif name == "barrier":
                operations.append(Barrier(qubits))
            elif (flipped := _flipped_by(operation)) is not None:
                operations.append(FlipIf(qubits, bits[flipped]))
            else:
                operations.append(_gate(operation, qubits, places))
        registers = tuple((register.name, len(register)) for register in circuit.cregs)
        if sum(size for _, size in registers) != len(bits):  # bits of their own, or shared by registers
            registers = (("c", len(bits)),)
        return cls(tuple(operations), circuit.num_qubits, registers, direction)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """All single operations without barriers; nodes are split into their gates."""
        return tuple(step for step in one_by_one(self.operations) if not isinstance(step, Barrier))

    @property
    def num_bits(self) -> int:
        """Number of classical bits, including those of checks."""
        return sum(size for _, size in self.registers)

    @cached_property
    def measured(self) -> tuple[int, ...]:
        """Qubits of the result, the qubit of the most significant bit first."""
        qubits = {step.bit: step.qubits[0] for step in self.steps if isinstance(step, Read)}
        return tuple(qubits[bit] for bit in sorted(qubits, reverse=True))

    @cached_property
    def is_postselected(self) -> bool:
        """Whether some shots do not count."""
        return any(isinstance(step, Check) for step in self.steps)

    def circuit(self) -> QuantumCircuit:
        """The program as a Qiskit circuit."""
        registers = [ClassicalRegister(size, name) for name, size in self.registers]
        circuit = QuantumCircuit(QuantumRegister(self.num_qubits, "q"), *registers)
        qubits, bits = circuit.qubits, circuit.clbits
        for step in one_by_one(self.operations):
            clbits = [bits[step.bit]] if isinstance(step, Read | Check | FlipIf) else []
            where = [qubits[k] for k in step.qubits]
            operation = step.on(*where, *clbits) if isinstance(step, FlipIf) else step.instruction
            circuit.append(operation, where, clbits, copy=False)
        return circuit

    def written_as(self, circuit: QuantumCircuit) -> "Program":
        """The same operations with the instructions of a circuit, such as its own with parameters bound.

        Raises:
            InvalidInputError: The circuit does not consist of the same operations.
        """
        entries = iter(circuit.data)
        index = {bit: k for k, bit in enumerate(circuit.qubits)}

        def renewed(operation: Any) -> Any:
            if isinstance(operation, Node):
                return replace(operation, gates=tuple(map(renewed, operation.gates)))
            entry = next(entries, None)
            if (
                entry is None
                or entry.operation.name != operation.name
                or tuple(index[bit] for bit in entry.qubits) != operation.qubits
            ):
                raise InvalidInputError("this circuit does not consist of the program's operations")
            has_own = isinstance(operation, Gate | Encode | Wait)
            return replace(operation, instruction=entry.operation) if has_own else operation

        operations = tuple(map(renewed, self.operations))
        if next(entries, None) is not None:
            raise InvalidInputError("this circuit has more operations than the program")
        return replace(self, operations=operations)

    def outline(self) -> list[Any]:
        """The operations of nodes as JSON types: [operations before it, node, qubits, gates] for each node.

        Circuit and outline define the program: it is `Program.read(circuit, ...).outlined(outline)`.
        """
        found, before = list[Any](), 0
        for operation in self.operations:
            if isinstance(operation, Node):
                found.append([before, operation.number, list(operation.qubits), len(operation.gates)])
                before = 0
            else:
                before += 1
        return found

    def outlined(self, outline: Sequence[Any]) -> "Program":
        """The program with its nodes from their `outline`; an outline that does not fit is a ValueError."""
        operations, rest = list[Operation](), list(self.operations)
        for before, number, qubits, gates in outline:
            operations += rest[:before]
            part, rest = rest[before : before + gates], rest[before + gates :]
            plain = tuple(gate for gate in part if isinstance(gate, Gate))
            if len(plain) < gates or not {q for gate in plain for q in gate.qubits} <= set(qubits):
                raise ValueError("its nodes are not its circuit's")
            operations.append(Node(int(number), tuple(int(q) for q in qubits), plain))
        return replace(self, operations=(*operations, *rest))


def _flipped_by(operation: Instruction) -> Any:
    """The classical bit of an X that depends on it alone; None of all other operations."""
    if not isinstance(operation, IfElseOp) or len(operation.blocks) != 1:
        return None
    (body,), condition = operation.blocks, operation.condition
    is_x = len(body.data) == 1 and body.data[0].operation.name == "x"
    return condition[0] if is_x and isinstance(condition[0], Clbit) and condition[1] == 1 else None


def _gate(operation: Instruction, qubits: tuple[int, ...], places: dict[Parameter, int]) -> Gate | Encode:
    if places:
        found = {
            places[parameter]
            for angle in operation.params
            if isinstance(angle, ParameterExpression)
            for parameter in angle.parameters
            if parameter in places
        }
        if len(found) == 1:
            return Encode(found.pop(), operation, qubits)
    return Gate(operation, qubits)
