"""Gates of nodes laid out on scheduled qubits, with parameters in the place of their angles."""

from collections.abc import Sequence
from itertools import accumulate

from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import ParameterVector

from qtnml.compile.schedule import Prepare, Schedule
from qtnml.encoding import Encoding
from qtnml.structure import Topology


def node_angles(node: QuantumCircuit) -> list[float]:
    """All rotation angles of a node's gates, in order."""
    return [float(angle) for instruction in node.data for angle in instruction.operation.params]


def assemble(
    topology: Topology,
    encoding: Encoding,
    schedule: Schedule,
    nodes: Sequence[QuantumCircuit],
    x: ParameterVector,
    w: ParameterVector,
    *,
    postselected: bool = False,
) -> QuantumCircuit:
    """Lay data gates and node gates out on the scheduled qubits, then measure the root.

    Where discarded qubits are post-selected, each is measured into a bit of its own of a second register,
    `postselect`, which is 0 in shots that count.
    """
    bits = ClassicalRegister(len(schedule.measured), "c")
    circuit = QuantumCircuit(QuantumRegister(schedule.num_qubits, "q"), bits)
    checks = iter(())
    if postselected:
        number = sum(topology.num_qubits) - sum(node.width for node in topology.nodes)
        circuit.add_register(register := ClassicalRegister(number, "postselect"))
        checks = iter(register)
    starts = list(accumulate((len(node_angles(node)) for node in nodes), initial=0))
    for operation in schedule.operations:
        for qubit in operation.resets:
            circuit.reset(qubit)
        if isinstance(operation, Prepare):
            for place, qubit in zip(topology.leaf_qubits[operation.leaf], operation.qubits, strict=True):
                circuit.append(encoding.gate(x[place]), [qubit])
        else:
            first = starts[operation.node]
            for place, qubit in zip(topology.nodes[operation.node].uploads, operation.qubits, strict=False):
                circuit.append(encoding.gate(x[place]), [qubit])
            append_node(
                circuit, nodes[operation.node], operation.qubits, w[first : starts[operation.node + 1]]
            )
            if postselected:
                for qubit in operation.qubits[topology.nodes[operation.node].width :]:
                    circuit.measure(qubit, next(checks))
    # Kept qubit 0 is the most significant bit of an outcome, classical bit 0 the least.
    circuit.measure(schedule.measured, list(reversed(bits)))
    return circuit


def append_node(
    circuit: QuantumCircuit, node: QuantumCircuit, qubits: tuple[int, ...], angles: list[object]
) -> None:
    """Append a node's gates on physical qubits, with parameters in the place of its angles."""
    free = iter(angles)
    for instruction in node.data:
        where = [qubits[node.find_bit(bit).index] for bit in instruction.qubits]
        operation = instruction.operation
        if operation.params:
            operation = operation.base_class(*[next(free) for _ in operation.params])
        circuit.append(operation, where)
