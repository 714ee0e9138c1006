"""The Bloch picture: real Pauli expectations on every wire, contracted level by level.

In this picture a qubit is traced out by leaving out its Pauli strings. A node on wires of v qubits costs
16**v * 4**v multiply-adds per sample. The same code runs on NumPy (float64, no compilation) and on JAX
(jitted, differentiated).
"""

from collections.abc import Sequence

import jax
import numpy as np

from qtnml.ansatz.tensor_network import TensorNetwork
from qtnml.arrays import Array, NDArray, full_precision, namespace
from qtnml.contract.bloch_plan import MapGroup, contraction_plan
from qtnml.contract.kernel import contract_plan, outer, rows_of
from qtnml.contract.operations import Operations, operation_maps
from qtnml.contract.pauli import pauli_transfer_maps
from qtnml.contract.plan import Plan, Step
from qtnml.contract.wire_noise import WireChannels, fold
from qtnml.structure.topology import Topology


@full_precision
def transfer_maps(
    network: TensorNetwork,
    leaf_paulis: str,
    *,
    postselection: Array | float = 0.0,
) -> tuple[Array, ...]:
    """One stack of transfer maps per map group of the contraction plan.

    Args:
        network: NumPy or JAX unitaries.
        leaf_paulis: The Pauli labels that the encoding can produce, "IXZ" for real states.
        postselection: Weight of the branch in which all discarded qubits are 0; see
            `pauli_transfer_maps`.
    """
    plan = contraction_plan(network.topology)
    return tuple(
        _group_maps(group, network.unitaries[group.stack], leaf_paulis, postselection)
        for group in plan.groups
    )


def _group_maps(group: MapGroup, stack: Array, leaf_paulis: str, postselection: Array | float) -> Array:
    kind = group.kind
    in_paulis = tuple(
        leaf_paulis if child.is_leaf else "IXYZ" for child in kind.children for _ in range(child.width)
    )
    out_paulis = "IZ" if kind.is_root else "IXYZ"
    return pauli_transfer_maps(
        rows_of(stack, group.rows), kind.width, kind.fresh, out_paulis, in_paulis, postselection=postselection
    )


@full_precision
def noisy_transfer_maps(
    network: TensorNetwork,
    leaf_paulis: str,
    channels: WireChannels,
    operations: Sequence[Operations | None],
) -> tuple[Array, ...]:
    """`transfer_maps` of a network that traces, with noise.

    Args:
        network, leaf_paulis: As for `transfer_maps`.
        channels: The noise.
        operations: For each stack of unitaries what they are made of, where the noise has `gates` for it.
    """
    topology = network.topology
    return tuple(
        fold(
            _maps_of_all_labels(group, network.unitaries[group.stack], channels, operations[group.stack]),
            topology,
            group,
            channels,
            leaf_paulis,
        )
        for group in contraction_plan(topology).groups
    )


def _maps_of_all_labels(
    group: MapGroup, stack: Array, channels: WireChannels, operations: Operations | None
) -> Array:
    kind, rows = group.kind, np.asarray(group.rows)
    if operations is None:
        inputs = ("IXYZ",) * kind.num_inputs + ("IZ",) * kind.fresh
        return pauli_transfer_maps(rows_of(stack, group.rows), kind.width, 0, "IXYZ", inputs)
    noise = [after[rows] for after in channels.gates[group.stack]]
    chosen = [(qubits, unitaries[rows]) for qubits, unitaries in operations]
    return operation_maps(chosen, noise, kind.num_inputs + kind.fresh, kind.width, kind.fresh)


@full_precision
def contract(topology: Topology, maps: tuple[Array, ...], bloch: Array) -> Array:
    """Outcome probabilities at the root.

    Args:
        topology: The tree.
        maps: From `transfer_maps`, possibly with noise folded in.
        bloch: Leaf expectations, shape (labels, data qubits, batch).

    Returns:
        Probabilities of the 2**d root outcomes, shape (2**d, batch); kept qubit 0 is the most
        significant bit. Rounding may leave values slightly below 0.
    """
    root, _ = _in_either(topology, maps, bloch, renormalise=False)
    return _outcomes_from_z(root)


@full_precision
def contract_postselected(topology: Topology, maps: tuple[Array, ...], bloch: Array) -> tuple[Array, Array]:
    """Outcome probabilities given that post-selection succeeds, and the probability of success.

    The norm of every wire is divided out where it arises and stored as a logarithm, since the success
    probability of a network of hundreds of nodes is below the smallest float.

    Args:
        topology: The tree.
        maps: From `transfer_maps` with a `postselection`.
        bloch: As for `contract`.

    Returns:
        Probabilities (2**d, batch) that sum to 1 (all 0 if success is impossible), and the natural logarithm
        of the success probability (batch,). If that probability is 0, its logarithm is a large negative
        number.
    """
    root, log_success = _in_either(topology, maps, bloch, renormalise=True)
    return _outcomes_from_z(root), log_success


def _in_either(
    topology: Topology, maps: tuple[Array, ...], bloch: Array, *, renormalise: bool
) -> tuple[Array, Array]:
    """`_contracted` on NumPy; in JAX as one compilation where no transformation makes it part of another."""
    if all(isinstance(array, np.ndarray) for array in (*maps, bloch)):
        return _contracted(topology, maps, bloch, renormalise=renormalise)
    return _compiled(topology, maps, bloch, renormalise=renormalise)  # type: ignore[no-any-return]


def _contracted(
    topology: Topology, maps: tuple[Array, ...], bloch: Array, *, renormalise: bool
) -> tuple[Array, Array]:
    """Z expectations at the root, and the sum of the logarithms of all norms divided out."""
    plan = contraction_plan(topology).plan

    def uploaded(step: Step, inputs: list[Array]) -> Array | None:
        uploads = list(zip(*(topology.nodes[k].uploads for k in step.nodes), strict=True))
        if not uploads:
            return None
        joint = outer(inputs)
        for qubit, places in enumerate(uploads):
            joint = _turned(joint, qubit, rows_of(bloch.swapaxes(0, 1), places))
        return joint

    return contract_plan(
        plan,
        maps,
        _leaf_arrays(topology, plan, bloch),
        rescaling="first" if renormalise else None,
        before_maps=uploaded,
    )


_compiled = jax.jit(_contracted, static_argnums=0, static_argnames=("renormalise",), inline=True)


def _turned(joint: Array, qubit: int, data: Array) -> Array:
    """One qubit of joint states (n, 4**m, batch) turned by RY gates.

    `data` (n, 3, batch) are the Bloch vectors (1, sin, cos) that the same gates prepare from |0>: the
    gate takes Z to cos Z - sin X and X to cos X + sin Z, in expectations X' = cos X + sin Z.
    """
    xp = namespace(joint)
    labels = joint.reshape(joint.shape[0], 4**qubit, 4, -1, joint.shape[-1])
    identity, x, y, z = (labels[:, :, label] for label in range(4))
    sin, cos = data[:, 1, None, None], data[:, 2, None, None]
    turned = xp.stack([identity, cos * x + sin * z, y, cos * z - sin * x], axis=2)
    return turned.reshape(joint.shape)  # type: ignore[no-any-return]


def _outcomes_from_z(expectations: Array) -> Array:
    """Probabilities of bit strings from the expectations of all Z strings: a Hadamard transform."""
    xp = namespace(expectations)
    hadamard: NDArray = np.eye(1)
    while len(hadamard) < expectations.shape[0]:
        hadamard = np.kron(hadamard, [[0.5, 0.5], [0.5, -0.5]])
    return xp.matmul(xp.asarray(hadamard, dtype=expectations.dtype), expectations)  # type: ignore[no-any-return]


def _leaf_arrays(topology: Topology, plan: Plan, bloch: Array) -> list[Array]:
    """Product states of each leaf pool, shape (leaves, labels**width, batch)."""
    pools, data = [], bloch.swapaxes(0, 1)
    for leaves in plan.leaf_pools:
        width = topology.leaf_widths[leaves[0]]
        places = tuple(q for leaf in leaves for q in topology.leaf_qubits[leaf])
        qubits = rows_of(data, places)
        qubits = qubits.reshape(len(leaves), width, *qubits.shape[1:])
        pools.append(outer([qubits[:, qubit] for qubit in range(width)]))
    return pools
