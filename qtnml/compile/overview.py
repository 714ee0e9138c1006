"""A compiled circuit at the level of nodes, to look at."""

from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Gate

from qtnml.compile.compiled import CompiledCircuit
from qtnml.compile.schedule import Prepare


def overview_circuit(compiled: CompiledCircuit) -> QuantumCircuit:
    """The same schedule with one box per leaf (`x3` or `x3-4`) and one per node (`U7`)."""
    bits = ClassicalRegister(len(compiled.schedule.measured), "c")
    circuit = QuantumCircuit(QuantumRegister(compiled.num_qubits, "q"), bits)
    next_feature = _first_features(compiled)
    for operation in compiled.schedule.operations:
        for qubit in operation.resets:
            circuit.reset(qubit)
        if isinstance(operation, Prepare):
            for offset, qubit in enumerate(operation.qubits):
                label = f"x{next_feature[operation.leaf] + offset}"
                circuit.append(Gate(label, 1, [], label=label), [qubit])
        else:
            label = f"U{operation.node}"
            circuit.append(Gate(label, len(operation.qubits), [], label=label), operation.qubits)
    circuit.measure(compiled.schedule.measured, list(reversed(bits)))
    return circuit


def _first_features(compiled: CompiledCircuit) -> dict[int, int]:
    widths = {op.leaf: len(op.qubits) for op in compiled.schedule.operations if isinstance(op, Prepare)}
    starts, total = {}, 0
    for leaf in sorted(widths):
        starts[leaf] = total
        total += widths[leaf]
    return starts
