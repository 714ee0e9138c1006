"""The compiler: every node into gates, every gate onto the scheduled qubits, every angle a parameter."""

from collections.abc import Iterator
from itertools import accumulate

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import UGate
from qiskit.quantum_info import Operator

from qtnml.arrays import NDArray
from qtnml.compile.compiled import CompiledCircuit
from qtnml.compile.schedule import Prepare, Schedule, schedule_network
from qtnml.encoding import AngleEncoding, FeatureScaler
from qtnml.errors import InvalidInputError
from qtnml.gates import append_rotation, channel_infidelity, synthesize
from qtnml.network.tensor_network import TensorNetwork
from qtnml.network.topology import Topology
from qtnml.network.unitaries import unitarity_error

_UNITARITY_TOLERANCE = 1e-9


def compile_network(
    network: TensorNetwork,
    encoding: AngleEncoding,
    *,
    reuse_qubits: bool = True,
    scaler: FeatureScaler | None = None,
) -> CompiledCircuit:
    """Compile a network into a circuit with the same outcome probabilities.

    Args:
        network: Exact unitaries (to 1e-9).
        encoding: Prepares the data qubits.
        reuse_qubits: Reset and reuse qubits that were let go (7 instead of 64 for 64 features).
        scaler: Kept for `bind`, which then takes features as the model does.
    """
    error = max(unitarity_error(np.asarray(stack)) for stack in network.unitaries)
    if not error <= _UNITARITY_TOLERANCE:
        raise InvalidInputError(
            f"the network's matrices are off unitary by {error:.1e}; call TensorNetwork.projected() first"
        )
    nodes, infidelities = zip(*_synthesized_nodes(network), strict=True)
    weights = np.array([angle for node in nodes for angle in _angles(node)])
    x = ParameterVector("x", network.topology.num_features)
    w = ParameterVector("w", len(weights))
    schedule = schedule_network(network.topology, reuse_qubits=reuse_qubits)
    return CompiledCircuit(
        circuit=_assemble(network.topology, encoding, schedule, list(nodes), x, w),
        x=x,
        w=w,
        weights=weights,
        schedule=schedule,
        infidelity=float(1.0 - np.prod(1.0 - np.array(infidelities))),
        encoding=encoding,
        scaler=scaler,
    )


def _synthesized_nodes(network: TensorNetwork) -> Iterator[tuple[QuantumCircuit, float]]:
    """Gates of every node with their trained angles, and their infidelity as a channel.

    The last rotation of a kept qubit moves into the node above, where it costs nothing; that of a
    qubit let go is left out, because nothing after it can see it.
    """
    topology = network.topology
    owed: list[list[NDArray]] = [[np.eye(2)] * width for width in topology.leaf_widths]
    for k, (node, unitary) in enumerate(zip(topology.nodes, network.node_unitaries(), strict=True)):
        rotations = [rotation for wire in node.children for rotation in owed[wire]]
        wanted = unitary @ _kron([*rotations, *[np.eye(2)] * node.fresh])
        synthesized = synthesize(wanted)
        circuit, last = synthesized.circuit, list(synthesized.last)
        built = _kron(last) @ Operator(circuit.reverse_bits()).data
        if k == len(topology.nodes) - 1:
            for qubit in range(node.width):
                append_rotation(circuit, last[qubit], qubit)
        owed.append(last[: node.width])
        yield circuit, channel_infidelity(wanted, built, node.width)


def _kron(matrices: list[NDArray]) -> NDArray:
    product: NDArray = np.eye(1)
    for matrix in matrices:
        product = np.kron(product, matrix)
    return product


def _angles(node: QuantumCircuit) -> list[float]:
    """All rotation angles of a node's gates, in order."""
    return [float(angle) for instruction in node.data for angle in instruction.operation.params]


def _assemble(
    topology: Topology,
    encoding: AngleEncoding,
    schedule: Schedule,
    nodes: list[QuantumCircuit],
    x: ParameterVector,
    w: ParameterVector,
) -> QuantumCircuit:
    """Lay data gates and node gates out on the scheduled qubits, then measure the root."""
    bits = ClassicalRegister(len(schedule.measured), "c")
    circuit = QuantumCircuit(QuantumRegister(schedule.num_qubits, "q"), bits)
    starts = list(accumulate((len(_angles(node)) for node in nodes), initial=0))
    for operation in schedule.operations:
        for qubit in operation.resets:
            circuit.reset(qubit)
        if isinstance(operation, Prepare):
            for feature, qubit in zip(topology.leaf_features[operation.leaf], operation.qubits, strict=True):
                circuit.append(encoding.gate(x[feature]), [qubit])
        else:
            first = starts[operation.node]
            _append_node(
                circuit, nodes[operation.node], operation.qubits, w[first : starts[operation.node + 1]]
            )
    # Kept qubit 0 is the most significant bit of an outcome, classical bit 0 the least.
    circuit.measure(schedule.measured, list(reversed(bits)))
    return circuit


def _append_node(
    circuit: QuantumCircuit, node: QuantumCircuit, qubits: tuple[int, ...], angles: list[object]
) -> None:
    """Append a node's gates on physical qubits, with parameters in the place of its angles."""
    free = iter(angles)
    for instruction in node.data:
        where = [qubits[node.find_bit(bit).index] for bit in instruction.qubits]
        if instruction.operation.params:
            circuit.append(UGate(next(free), next(free), next(free)), where)
        else:
            circuit.append(instruction.operation, where)
