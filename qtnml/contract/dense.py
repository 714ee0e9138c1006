"""Reference for checks: the whole register as one dense density matrix, complex and unoptimised.

It shares no code with the contraction and holds 4**qubits numbers. Other results are compared with it.
"""

import numpy as np

from qtnml.ansatz.tensor_network import TensorNetwork
from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError

MAX_QUBITS = 10


def dense_outcome_probabilities(
    network: TensorNetwork, vectors: NDArray, gates: NDArray | None = None
) -> NDArray:
    """Root outcome probabilities of one encoded sample.

    Args:
        network: Network with at most 10 qubits, including fresh qubits.
        vectors: Amplitudes of each data qubit, shape (data qubits, 2).
        gates: Matrices of the data gates (data qubits, 2, 2), for nodes that upload data again.

    Returns:
        Shape (2**root_qubits,).
    """
    topology = network.topology
    total = topology.num_data_qubits + sum(node.fresh for node in topology.nodes)
    if total > MAX_QUBITS:
        raise InvalidInputError(f"the dense referee holds at most {MAX_QUBITS} qubits, got {total}")
    zero = np.array([1.0, 0.0])
    state = np.eye(1)[0]
    for amplitudes in [*vectors, *[zero] * (total - topology.num_data_qubits)]:
        state = np.kron(state, amplitudes)
    rho = np.outer(state, state.conj())
    wires = {leaf: list(features) for leaf, features in enumerate(topology.leaf_qubits)}
    fresh = topology.num_data_qubits
    for k, (node, unitary) in enumerate(zip(topology.nodes, network.node_unitaries(), strict=True)):
        qubits = [qubit for wire in node.children for qubit in wires[wire]]
        qubits += range(fresh, fresh + node.fresh)
        fresh += node.fresh
        for qubit, place in zip(qubits, node.uploads, strict=False):
            turn = _embed(gates[place], [qubit], total)  # type: ignore[index]
            rho = turn @ rho @ turn.conj().T
        full = _embed(unitary, qubits, total)
        rho = full @ rho @ full.conj().T
        wires[topology.num_leaves + k] = qubits[: node.width]
    return _marginal(np.diag(rho).real, qubits[: topology.root_qubits], total)


def _embed(unitary: NDArray, qubits: list[int], total: int) -> NDArray:
    """The unitary on `qubits` (first one most significant) of a register of `total` qubits."""
    rest = [qubit for qubit in range(total) if qubit not in qubits]
    full = np.kron(unitary, np.eye(2 ** len(rest))).reshape((2,) * (2 * total))
    order = np.argsort(qubits + rest)
    return np.asarray(full.transpose([*order, *(order + total)]).reshape(2**total, 2**total))


def _marginal(probabilities: NDArray, qubits: list[int], total: int) -> NDArray:
    tensor = probabilities.reshape((2,) * total)
    tensor = tensor.sum(axis=tuple(q for q in range(total) if q not in qubits))
    return np.asarray(tensor.transpose(np.argsort(np.argsort(qubits))).reshape(-1))
