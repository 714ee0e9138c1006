"""The Bloch picture: real Pauli expectations on every wire, contracted level by level.

Letting a qubit go is tracing it out, which in this picture is leaving its Pauli strings away; the
cost of a node on wires of v qubits is 16**v * 4**v multiply-adds per sample, in one batched product
per level; a chain of nodes is a scan. The same code runs on NumPy (float64, no compilation) and on JAX
(jitted, differentiated).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from qtnml.ansatz.tensor_network import TensorNetwork
from qtnml.arrays import Array, NDArray, full_precision, namespace
from qtnml.contract.operations import Operations, operation_maps
from qtnml.contract.pauli import pauli_transfer_maps
from qtnml.contract.plan import Chain, MapGroup, Plan, contraction_plan
from qtnml.contract.wire_noise import WireChannels, fold
from qtnml.structure.topology import Topology

_UNROLL = 4  # nodes of a chain per pass of the compiled loop
_TINY = 1e-30


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
        postselection: Weight of the branch in which all qubits let go are 0; see
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
        _rows(stack, group.rows), kind.width, kind.fresh, out_paulis, in_paulis, postselection=postselection
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
        return pauli_transfer_maps(_rows(stack, group.rows), kind.width, 0, "IXYZ", inputs)
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
    root, _ = _contracted(topology, maps, bloch, renormalise=False)
    return _outcomes_from_z(root)


@full_precision
def contract_postselected(topology: Topology, maps: tuple[Array, ...], bloch: Array) -> tuple[Array, Array]:
    """Outcome probabilities given that every selected branch came out, and how likely that was.

    The norm of every wire is divided out where it arises and kept as a logarithm: the success
    probability of a network of hundreds of nodes is below the smallest float.

    Args:
        topology: The tree.
        maps: From `transfer_maps` with a `postselection`.
        bloch: As for `contract`.

    Returns:
        Probabilities (2**d, batch) summing to 1 (all 0 where success is impossible), and the natural
        logarithm of the success probability (batch,), of 0 a large negative number.
    """
    root, log_success = _contracted(topology, maps, bloch, renormalise=True)
    return _outcomes_from_z(root), log_success


def _contracted(
    topology: Topology, maps: tuple[Array, ...], bloch: Array, *, renormalise: bool
) -> tuple[Array, Array]:
    """Z expectations at the root, and the sum of the logarithms of all norms divided out."""
    xp = namespace(bloch)
    plan = contraction_plan(topology)
    pools = _leaf_arrays(topology, plan, bloch)
    log_norm = xp.zeros(bloch.shape[-1], dtype=bloch.dtype)
    for step in plan.steps:
        chosen = maps[step.group][step.start : step.stop]
        if isinstance(step, Chain):
            others = [_consecutive(pools[pool], first, last) for pool, first, last in step.leaves]
            out, log = _run_chain(chosen, _gathered(pools, step.carried)[0], others, renormalise=renormalise)
            out = out[None]
        else:
            joint = _joint([_gathered(pools, gather) for gather in step.gathers])
            for qubit, places in enumerate(step.uploads):
                joint = _turned(joint, qubit, _rows(bloch.swapaxes(0, 1), places))
            out, log = _apply(chosen, joint, renormalise=renormalise)
        pools.append(out)
        log_norm = log_norm + log
    return pools[-1][0], log_norm


def _joint(inputs: list[Array]) -> Array:
    """Joint states of child wires, each (n, labels, batch)."""
    joint, *others = inputs
    for other in others:
        joint = (joint[:, :, None, :] * other[:, None, :, :]).reshape(joint.shape[0], -1, joint.shape[-1])
    return joint


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


def _apply(maps: Array, joint: Array, *, renormalise: bool) -> tuple[Array, Array | float]:
    """Maps (n, out, in) on joint states (n, in, batch)."""
    xp = namespace(maps)
    out = xp.matmul(maps, joint)
    if not renormalise:
        return out, 0.0
    norm = xp.maximum(out[:, :1], _TINY)
    return out / norm, xp.sum(xp.log(norm[:, 0]), axis=0)


def _run_chain(
    maps: Array, carried: Array, others: list[Array], *, renormalise: bool
) -> tuple[Array, Array | float]:
    """Maps one after the other on the carried wire (labels, batch): a scan on JAX, a loop on NumPy."""

    def step(carried: Array, inputs: tuple[Array, ...]) -> tuple[Array, Any]:
        map_, *leaves = inputs
        joint = _joint([carried[None], *(leaf[None] for leaf in leaves)])
        out, log = _apply(map_[None], joint, renormalise=renormalise)
        return out[0], log

    if isinstance(maps, np.ndarray):
        logs: Any = 0.0
        for inputs in zip(maps, *others, strict=True):
            carried, log = step(carried, inputs)
            logs = logs + log
        return carried, logs
    import jax

    carried, logs = jax.lax.scan(step, carried, (maps, *others), unroll=_UNROLL)
    return carried, logs.sum(axis=0) if renormalise else 0.0


def _outcomes_from_z(expectations: Array) -> Array:
    """Probabilities of bit strings from the expectations of all Z strings: a Hadamard transform."""
    xp = namespace(expectations)
    hadamard: NDArray = np.eye(1)
    while len(hadamard) < expectations.shape[0]:
        hadamard = np.kron(hadamard, [[0.5, 0.5], [0.5, -0.5]])
    return xp.matmul(xp.asarray(hadamard, dtype=expectations.dtype), expectations)  # type: ignore[no-any-return]


def _leaf_arrays(topology: Topology, plan: Plan, bloch: Array) -> list[Array]:
    """Product states of each leaf pool, shape (leaves, labels**width, batch)."""
    xp, pools = namespace(bloch), []
    for width, leaves in plan.leaf_pools:
        places = tuple(q for leaf in leaves for q in topology.leaf_qubits[leaf])
        qubits = _rows(bloch.swapaxes(0, 1), places)
        qubits = qubits.reshape(len(leaves), width, *qubits.shape[1:])
        joint = qubits[:, 0]
        for qubit in range(1, width):
            joint = (joint[:, :, None] * qubits[:, qubit, None]).reshape(len(leaves), -1, joint.shape[-1])
        pools.append(xp.asarray(joint))
    return pools


def _gathered(pools: list[Array], gather: tuple[tuple[int, tuple[int, ...]], ...]) -> Array:
    segments = [_rows(pools[pool], rows) for pool, rows in gather]
    if len(segments) == 1:
        return segments[0]
    joined: Array = namespace(segments[0]).concat(segments, axis=0)
    return joined


def _consecutive(array: Array, first: int, last: int) -> Array:
    """Rows `first` to `last`, in rising or falling order."""
    return array[first : last + 1] if first <= last else array[last : first + 1][::-1]


def _rows(array: Array, rows: tuple[int, ...]) -> Array:
    """Rows of an array: a slice where they are evenly spaced (no copy, cheap gradient)."""
    step = rows[1] - rows[0] if len(rows) > 1 else 1
    if step > 0 and rows == tuple(range(rows[0], rows[-1] + 1, step)):
        return array[rows[0] : rows[-1] + 1 : step]
    return array[np.asarray(rows)]
