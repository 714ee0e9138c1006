"""Which instructions of a compiled circuit prepare which leaf and make which node."""

from collections.abc import Iterator
from dataclasses import dataclass

from qiskit import QuantumCircuit

from qtnml.compile.compiled import CompiledCircuit
from qtnml.compile.schedule import Prepare
from qtnml.errors import InvalidInputError


@dataclass(frozen=True)
class Block:
    """Consecutive instructions of one operation of the schedule, as places in `circuit.data`.

    Attributes:
        node: Of a node's gates; None where a leaf is prepared.
        leaf: Of a leaf.
        qubits: Physical ones, in local order.
        resets, uploads, gates, checks: Instructions, in this order.
    """

    node: int | None
    leaf: int | None
    qubits: tuple[int, ...]
    resets: range
    uploads: range
    gates: range
    checks: range


def blocks(compiled: CompiledCircuit) -> Iterator[Block]:
    """The circuit's instructions in the order in which they were assembled.

    Raises:
        InvalidInputError: The circuit was translated for a device, which mixes the blocks, or read from a
            file.
    """
    if compiled.device is not None or not compiled.nodes:
        raise InvalidInputError(
            "the gates of a circuit for a device, or from a file, do not tell their nodes"
        )
    row = 0
    for operation in compiled.schedule.operations:
        resets = range(row, row + len(operation.resets))
        if isinstance(operation, Prepare):
            row = resets.stop + len(operation.qubits)
            nothing = range(row, row)
            gates = range(resets.stop, row)
            yield Block(None, operation.leaf, operation.qubits, resets, nothing, gates, nothing)
            continue
        node = compiled.topology.nodes[operation.node]
        uploads = range(resets.stop, resets.stop + len(node.uploads))
        gates = range(uploads.stop, uploads.stop + len(compiled.nodes[operation.node].circuit.data))
        row = gates.stop + (len(operation.qubits) - node.width if compiled.postselected else 0)
        checks = range(gates.stop, row)
        yield Block(operation.node, None, operation.qubits, resets, uploads, gates, checks)


def without_barriers(circuit: QuantumCircuit) -> QuantumCircuit:
    """Barriers keep compilers from joining gates; they are nothing that happens."""
    if "barrier" not in circuit.count_ops():
        return circuit
    plain = circuit.copy_empty_like()
    for instruction in circuit.data:
        if instruction.operation.name != "barrier":
            plain.append(instruction)
    return plain
