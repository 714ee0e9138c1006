"""Every node of a network as gates."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from qtnml.ansatz import TensorNetwork
from qtnml.ansatz.tensor_network import stacking
from qtnml.arrays import NDArray
from qtnml.contract import Model, Parameters
from qtnml.errors import LargeCircuitWarning, warn_user
from qtnml.gates import NodeGates, NodeShape, Synthesis, SynthesizedNode, own_gates, synthesize_node

OnNode = Callable[[int, int], None]
"""(nodes synthesised so far, all nodes) -> None."""
_LARGE = 5000  # two-qubit gates: at an error of 1e-3 each, hardly a run is free of errors


def counted(nodes: Iterable[NodeGates], total: int, on_node: OnNode | None) -> Iterator[NodeGates]:
    """The nodes, and word of each to whoever wants to know."""
    for done, node in enumerate(nodes, 1):
        if on_node is not None:
            on_node(done, total)
        yield node


def remark_on_size(two_qubit_gates: int) -> None:
    """Warn of a circuit that no device of today carries."""
    if two_qubit_gates > _LARGE:
        warn_user(
            f"this circuit has {two_qubit_gates:,} two-qubit gates; with an error of 1e-3 each, one run in "
            f"{np.exp(min(two_qubit_gates / 1000, 50)):,.0f} is free of errors: a smaller bond has far fewer "
            "gates, and Synthesis(max_two_qubit_gates=...) fits approximate ones",
            LargeCircuitWarning,
        )


def prescribed_gates(model: Model, parameters: Parameters) -> list[SynthesizedNode | None]:
    """Gates of each node where the ansatz prescribes them, None where its matrix is to be synthesised."""
    gates: list[SynthesizedNode | None] = [None] * len(model.topology.nodes)
    if not model.ansatz.prescribes_gates:
        return gates
    for (size, nodes), stack in zip(stacking(model.topology), parameters.nodes, strict=True):
        for node, row in zip(nodes, np.asarray(stack), strict=True):
            gates[node] = model.ansatz.gates(row, size)
    return gates


def synthesized_nodes(
    network: TensorNetwork,
    own: Sequence[SynthesizedNode | None],
    synthesis: Sequence[Synthesis],
    *,
    postselected: bool = False,
) -> Iterator[NodeGates]:
    """Gates of every node with their trained angles.

    What is done last to a kept wire moves into the node above, where it costs nothing; what is done last
    to a discarded qubit is left out, because nothing after it can see it, unless it is post-selected. An
    ansatz's own gates stay as they are, and so does what stands before data that are uploaded again.
    """
    topology = network.topology
    owed: list[NDArray] = [np.eye(2**width) for width in topology.leaf_widths]
    for k, (node, unitary) in enumerate(zip(topology.nodes, network.node_unitaries(), strict=True)):
        shape = replace(topology.node_shapes[k], postselected=postselected)
        wanted = unitary @ _kron([*[owed[wire] for wire in node.children], np.eye(2**node.fresh)])
        prescribed = own[k]
        if prescribed is None:
            gates = synthesize_node(wanted, shape, synthesis[k])
        else:
            gates = own_gates(prescribed, wanted, shape, synthesis[k])
        owed.append(gates.owed)
        yield gates


def outward_nodes(network: TensorNetwork, synthesis: Sequence[Synthesis]) -> Iterator[NodeGates]:
    """Gates of every node of a state in the direction of the circuit, from the root to the leaves.

    What comes first on a wire moves to the end of the node above.
    """
    topology = network.topology
    owed: list[NDArray] = [np.eye(2**width) for width in topology.leaf_widths]
    for k, (node, unitary) in enumerate(zip(topology.nodes, network.node_unitaries(), strict=True)):
        wanted, size = unitary @ _kron([owed[wire] for wire in node.children]), topology.num_qubits[k]
        if k == len(topology.nodes) - 1:
            yield synthesize_node(wanted.conj().T, NodeShape(size, size, size, "fixed"), synthesis[k])
            return
        shape = NodeShape(size, node.width, 0, "wire", postselected=True)
        gates = synthesize_node(wanted, shape, synthesis[k])
        owed.append(gates.owed)
        yield replace(gates, circuit=gates.circuit.inverse())


def _kron(matrices: list[NDArray]) -> NDArray:
    product: NDArray = np.eye(1)
    for matrix in matrices:
        product = np.kron(product, matrix)
    return product
