"""What a compiled circuit consists of: each operation says what it is, not only where it stands."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from qiskit import QuantumCircuit
from qiskit.circuit import Barrier as BarrierInstruction
from qiskit.circuit import Delay, IfElseOp, Instruction, Measure
from qiskit.circuit import Reset as ResetInstruction


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate.

    Attributes:
        instruction: Qiskit's; its angles may be parameters.
        qubits: Where it acts, in the instruction's order.
    """

    instruction: Instruction
    qubits: tuple[int, ...]

    @property
    def name(self) -> str:
        """As in Qiskit."""
        return str(self.instruction.name)


@dataclass(frozen=True, slots=True)
class Encode:
    """A gate that brings a data angle in.

    Attributes:
        place: Of the angle among `x`.
        instruction: Qiskit's, of that angle alone.
        qubits: The one it turns.
    """

    place: int
    instruction: Instruction
    qubits: tuple[int, ...]

    @property
    def name(self) -> str:
        """Of the gate."""
        return str(self.instruction.name)


@dataclass(frozen=True, slots=True)
class Node:
    """The gates of a node of the network.

    Attributes:
        number: Of the node.
        qubits: Of its wires, in order: those that are kept first.
        gates: In order.
    """

    number: int
    qubits: tuple[int, ...]
    gates: tuple[Gate, ...]


@dataclass(frozen=True, slots=True)
class Reset:
    """Back to |0>."""

    qubits: tuple[int, ...]
    name = "reset"

    @property
    def instruction(self) -> Instruction:
        """Qiskit's."""
        return ResetInstruction()


@dataclass(frozen=True, slots=True)
class Read:
    """A measurement that decides a bit of the result.

    Attributes:
        qubits: The one that is measured.
        bit: Classical bit of the program.
    """

    qubits: tuple[int, ...]
    bit: int
    name = "measure"

    @property
    def instruction(self) -> Instruction:
        """Qiskit's."""
        return Measure()


@dataclass(frozen=True, slots=True)
class Check:
    """A measurement whose bit must be 0, or the shot does not count."""

    qubits: tuple[int, ...]
    bit: int
    name = "measure"

    @property
    def instruction(self) -> Instruction:
        """Qiskit's."""
        return Measure()


@dataclass(frozen=True, slots=True)
class FlipIf:
    """An X where a bit that was read before is 1: what brings a qubit back to |0> after its read-out.

    Attributes:
        qubits: The one that is turned.
        bit: Classical bit of the program.
    """

    qubits: tuple[int, ...]
    bit: int
    name = "if_else"

    def on(self, qubit: Any, bit: Any) -> Instruction:
        """Qiskit's, for bits of a circuit."""
        body = QuantumCircuit([qubit], [bit])
        body.x(qubit)
        return IfElseOp((bit, 1), body)


@dataclass(frozen=True, slots=True)
class Wait:
    """A delay that is written out.

    Attributes:
        instruction: Qiskit's, with its length and unit.
        qubits: The one that waits.
    """

    instruction: Delay
    qubits: tuple[int, ...]
    name = "delay"


@dataclass(frozen=True, slots=True)
class Barrier:
    """Nothing that happens: it keeps compilers from joining gates across it."""

    qubits: tuple[int, ...]
    name = "barrier"

    @property
    def instruction(self) -> Instruction:
        """Qiskit's."""
        return BarrierInstruction(len(self.qubits))


#: What happens at once; a `Node` is several gates.
Step: TypeAlias = Gate | Encode | Reset | Read | Check | FlipIf | Wait
Operation: TypeAlias = Step | Node | Barrier


def one_by_one(operations: tuple[Operation, ...]) -> Iterator[Step | Barrier]:
    """Operations with the gates of nodes one by one."""
    for operation in operations:
        if isinstance(operation, Node):
            yield from operation.gates
        else:
            yield operation
