"""Gates of nodes placed on scheduled qubits, with parameters instead of their angles."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, count
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

from qtnml.compile.schedule import Apply, Prepare, Schedule
from qtnml.encoding import Encoding
from qtnml.program import Check, Encode, Gate, Node, Operation, Program, Read, Reset
from qtnml.program.program import CHECKS
from qtnml.structure import Topology


def node_angles(node: QuantumCircuit) -> list[float]:
    """All rotation angles of a node's gates, in order."""
    return [float(angle) for instruction in node.data for angle in instruction.operation.params]


def gates_on(node: QuantumCircuit, qubits: Sequence[int], angles: Sequence[Any]) -> tuple[Gate, ...]:
    """A node's gates on other qubits, with other angles: numbers or parameters."""
    free = iter(angles)
    index = {bit: k for k, bit in enumerate(node.qubits)}
    gates = []
    for instruction in node.data:
        operation = instruction.operation
        if operation.params:
            operation = operation.base_class(*[next(free) for _ in operation.params])
        gates.append(Gate(operation, tuple(qubits[index[bit]] for bit in instruction.qubits)))
    return tuple(gates)


def inward(
    topology: Topology,
    encoding: Encoding,
    schedule: Schedule,
    nodes: Sequence[QuantumCircuit],
    x: ParameterVector,
    w: ParameterVector,
    *,
    postselected: bool = False,
) -> Program:
    """Data gates and node gates on the scheduled qubits, then the read-out of the root.

    Where discarded qubits are post-selected, each is measured into a bit of its own of a second register,
    `postselect`, which is 0 in shots that count.
    """
    starts = _starts(nodes)
    outcome_bits = len(schedule.measured)
    checks = count(outcome_bits)

    def operations() -> Iterator[Operation]:
        for operation in schedule.operations:
            for qubit in operation.resets:
                yield Reset((qubit,))
            if isinstance(operation, Prepare):
                places: Sequence[int] = topology.leaf_qubits[operation.leaf]
            else:
                places = topology.nodes[operation.node].uploads
            for place, qubit in zip(places, operation.qubits, strict=False):
                yield Encode(place, encoding.gate(x[place]), (qubit,))
            if isinstance(operation, Apply):
                k, qubits = operation.node, operation.qubits
                yield Node(k, qubits, gates_on(nodes[k], qubits, w[starts[k] : starts[k + 1]]))
                for qubit in qubits[topology.nodes[k].width :] if postselected else ():
                    yield Check((qubit,), next(checks))
        # Kept qubit 0 is the most significant bit of an outcome, classical bit 0 the least.
        for bit, qubit in zip(reversed(range(outcome_bits)), schedule.measured, strict=True):
            yield Read((qubit,), bit)

    found = tuple(operations())
    registers = [("c", outcome_bits)]
    if postselected:
        registers.append((CHECKS, next(checks) - outcome_bits))
    return Program(found, schedule.num_qubits, tuple(registers))


def outward(
    topology: Topology, schedule: Schedule, nodes: Sequence[QuantumCircuit], w: ParameterVector
) -> Program:
    """The schedule backwards: a node's discarded qubits are reset before it, its leaves read after it."""
    starts, used = _starts(nodes), set[int]()

    def operations() -> Iterator[Operation]:
        for operation in reversed(schedule.operations):
            if isinstance(operation, Prepare):
                # Qubit 0 of a site is its most significant bit, which is the last of its classical bits.
                places = reversed(topology.leaf_qubits[operation.leaf])
                for place, qubit in zip(places, operation.qubits, strict=True):
                    yield Read((qubit,), place)
                continue
            k, qubits = operation.node, operation.qubits
            width = topology.nodes[k].width if k < len(nodes) - 1 else 0
            for qubit in qubits[width:]:
                if qubit in used:
                    yield Reset((qubit,))
            used.update(qubits)
            yield Node(k, qubits, gates_on(nodes[k], qubits, w[starts[k] : starts[k + 1]]))

    return Program(tuple(operations()), schedule.num_qubits, (("c", topology.num_data_qubits),), "outward")


def _starts(nodes: Sequence[QuantumCircuit]) -> list[int]:
    return list(accumulate((len(node_angles(node)) for node in nodes), initial=0))
