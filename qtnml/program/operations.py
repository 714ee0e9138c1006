"""Operations of a compiled circuit: each operation has a type that says what it is for."""

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
        instruction: Qiskit's instruction; its angles may be parameters.
        qubits: Qubits it acts on, in the instruction's order.
    """

    instruction: Instruction
    qubits: tuple[int, ...]

    @property
    def name(self) -> str:
        """Qiskit's name of the gate."""
        return str(self.instruction.name)


@dataclass(frozen=True, slots=True)
class Encode:
    """A gate that encodes a data angle.

    Attributes:
        place: Index of the angle in `x`.
        instruction: Qiskit's instruction, with this angle as its only parameter.
        qubits: The qubit it rotates.
    """

    place: int
    instruction: Instruction
    qubits: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name of the gate."""
        return str(self.instruction.name)


@dataclass(frozen=True, slots=True)
class Node:
    """The gates of a node of the network.

    Attributes:
        number: Number of the node.
        qubits: Qubits of its wires, in order; kept qubits come first.
        gates: Gates in order.
    """

    number: int
    qubits: tuple[int, ...]
    gates: tuple[Gate, ...]


@dataclass(frozen=True, slots=True)
class Reset:
    """A reset of a qubit to |0>."""

    qubits: tuple[int, ...]
    name = "reset"

    @property
    def instruction(self) -> Instruction:
        """Qiskit's instruction."""
        return ResetInstruction()


@dataclass(frozen=True, slots=True)
class Read:
    """A measurement that decides a bit of the result.

    Attributes:
        qubits: The qubit that is measured.
        bit: Classical bit of the program.
    """

    qubits: tuple[int, ...]
    bit: int
    name = "measure"

    @property
    def instruction(self) -> Instruction:
        """Qiskit's instruction."""
        return Measure()


@dataclass(frozen=True, slots=True)
class Check:
    """A measurement whose bit must be 0; otherwise the shot does not count."""

    qubits: tuple[int, ...]
    bit: int
    name = "measure"

    @property
    def instruction(self) -> Instruction:
        """Qiskit's instruction."""
        return Measure()


@dataclass(frozen=True, slots=True)
class FlipIf:
    """An X gate if a bit that was read before is 1. It returns a qubit to |0> after its read-out.

    Attributes:
        qubits: The qubit that is flipped.
        bit: Classical bit of the program.
    """

    qubits: tuple[int, ...]
    bit: int
    name = "if_else"

    def on(self, qubit: Any, bit: Any) -> Instruction:
        """Qiskit's instruction for given bits of a circuit."""
        body = QuantumCircuit([qubit], [bit])
        body.x(qubit)
        return IfElseOp((bit, 1), body)


@dataclass(frozen=True, slots=True)
class Wait:
    """An explicit delay.

    Attributes:
        instruction: Qiskit's instruction, with its length and unit.
        qubits: The qubit that waits.
    """

    instruction: Delay
    qubits: tuple[int, ...]
    name = "delay"


@dataclass(frozen=True, slots=True)
class Barrier:
    """A barrier: it has no effect on the qubits, and stops compilers from joining gates across it."""

    qubits: tuple[int, ...]
    name = "barrier"

    @property
    def instruction(self) -> Instruction:
        """Qiskit's instruction."""
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
