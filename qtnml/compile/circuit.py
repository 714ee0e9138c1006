"""The compiler: every node into gates, every gate onto the scheduled qubits, every angle a parameter."""

from collections.abc import Iterator
from itertools import accumulate

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import ParameterVector

from qtnml.arrays import NDArray
from qtnml.compile.compiled import CompiledCircuit
from qtnml.compile.schedule import Prepare, Schedule, all_qubits, schedule_network
from qtnml.contract import Model, Parameters
from qtnml.encoding import Encoding, FeatureScaler
from qtnml.errors import InvalidInputError
from qtnml.gates import NodeGates, Synthesis, SynthesizedNode, own_gates, synthesize_node
from qtnml.network import FullUnitary, TensorNetwork, Topology, unitarity_error
from qtnml.network.tensor_network import stacking

_UNITARITY_TOLERANCE = 1e-9


def compile_model(
    model: Model,
    parameters: Parameters,
    *,
    reuse_qubits: bool = True,
    num_qubits: int | None = None,
    synthesis: Synthesis | None = None,
    scaler: FeatureScaler | None = None,
) -> CompiledCircuit:
    """Compile a trained model into a circuit with the same outcome probabilities.

    Args:
        model: With discard="trace".
        parameters: Matrices exactly unitary (to 1e-9).
        reuse_qubits: Reset and reuse qubits that were let go (7 instead of 64 for 64 features).
        num_qubits: With reuse, the most physical qubits; the more, the less deep. None takes the fewest.
        synthesis: How nodes become gates; by default exactly, with the fewest CX.
        scaler: Kept for `bind`, which then takes features as the model does.
    """
    if num_qubits is not None and not reuse_qubits:
        raise InvalidInputError(f"num_qubits={num_qubits} needs reuse_qubits=True; leave one of them out")
    if model.discard != "trace":
        raise InvalidInputError(
            "a post-selected model has no circuit that answers in every shot; train it on with "
            "discard='trace', warm_start=True and homotopy=EPOCHS, then compile"
        )
    network = model.network(parameters)
    error = max(unitarity_error(np.asarray(stack)) for stack in network.unitaries)
    if not error <= _UNITARITY_TOLERANCE:
        raise InvalidInputError(
            f"the network's matrices are off unitary by {error:.1e}; call Model.project(parameters) first"
        )
    synthesized = list(_synthesized_nodes(network, _own_gates(model, parameters), synthesis or Synthesis()))
    nodes = [node.circuit for node in synthesized]
    weights = np.array([angle for node in nodes for angle in _angles(node)])
    x = ParameterVector("x", network.topology.num_data_qubits)
    w = ParameterVector("w", len(weights))
    limit = num_qubits if reuse_qubits else all_qubits(network.topology)
    schedule = schedule_network(network.topology, limit, [max(1, node.depth()) for node in nodes], 1.0)
    return CompiledCircuit(
        circuit=_assemble(network.topology, model.encoding, schedule, nodes, x, w),
        x=x,
        w=w,
        weights=weights,
        schedule=schedule,
        infidelity=float(1.0 - np.prod([1.0 - node.infidelity for node in synthesized])),
        encoding=model.encoding,
        encoding_parameters=tuple(np.asarray(p, dtype=np.float64) for p in parameters.encoding),
        scaler=scaler,
        nodes=tuple(synthesized),
        topology=network.topology,
        network=network,
    )


def compile_network(
    network: TensorNetwork,
    encoding: Encoding,
    *,
    reuse_qubits: bool = True,
    num_qubits: int | None = None,
    synthesis: Synthesis | None = None,
    scaler: FeatureScaler | None = None,
) -> CompiledCircuit:
    """Compile a network of any unitaries; see `compile_model`."""
    network.check_shapes()
    model = Model(network.topology, encoding, FullUnitary())
    parameters = Parameters(network.unitaries, encoding.parameters(model.num_features))
    return compile_model(
        model,
        parameters,
        reuse_qubits=reuse_qubits,
        num_qubits=num_qubits,
        synthesis=synthesis,
        scaler=scaler,
    )


def _own_gates(model: Model, parameters: Parameters) -> list[SynthesizedNode | None]:
    """Gates of each node where the ansatz prescribes them, None where its matrix is to be synthesised."""
    gates: list[SynthesizedNode | None] = [None] * len(model.topology.nodes)
    if not model.ansatz.prescribes_gates:
        return gates
    for (size, nodes), stack in zip(stacking(model.topology), parameters.nodes, strict=True):
        for node, row in zip(nodes, np.asarray(stack), strict=True):
            gates[node] = model.ansatz.gates(row, size)
    return gates


def _synthesized_nodes(
    network: TensorNetwork, own: list[SynthesizedNode | None], synthesis: Synthesis
) -> Iterator[NodeGates]:
    """Gates of every node with their trained angles.

    What is done last to a kept wire moves into the node above, where it costs nothing; what is done last
    to a qubit let go is left out, because nothing after it can see it. An ansatz's own gates stay as they
    are, and so does what stands before data that are uploaded again.
    """
    topology = network.topology
    owed: list[NDArray] = [np.eye(2**width) for width in topology.leaf_widths]
    for k, (node, unitary) in enumerate(zip(topology.nodes, network.node_unitaries(), strict=True)):
        shape = topology.node_shapes[k]
        wanted = unitary @ _kron([*[owed[wire] for wire in node.children], np.eye(2**node.fresh)])
        prescribed = own[k]
        if prescribed is None:
            gates = synthesize_node(wanted, shape, synthesis)
        else:
            gates = own_gates(prescribed, wanted, shape, synthesis)
        owed.append(gates.owed)
        yield gates


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
    encoding: Encoding,
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
            for place, qubit in zip(topology.leaf_qubits[operation.leaf], operation.qubits, strict=True):
                circuit.append(encoding.gate(x[place]), [qubit])
        else:
            first = starts[operation.node]
            for place, qubit in zip(topology.nodes[operation.node].uploads, operation.qubits, strict=False):
                circuit.append(encoding.gate(x[place]), [qubit])
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
        operation = instruction.operation
        if operation.params:
            operation = operation.base_class(*[next(free) for _ in operation.params])
        circuit.append(operation, where)
