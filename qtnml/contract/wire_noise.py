"""Noise on the wires of a network, folded into its transfer maps.

Channels on single qubits of a wire, and a depolarising channel on all qubits of a node, multiply the node's
transfer map once. The contraction over samples then has the same form and the same cost. The code is pure
NumPy or JAX, so that training can differentiate through the noise and with respect to it.
"""

from typing import NamedTuple

import numpy as np

from qtnml.arrays import Array, namespace
from qtnml.contract.bloch_plan import MapGroup
from qtnml.structure.topology import Topology


class WireChannels(NamedTuple):
    """Pauli transfer maps (labels I, X, Y, Z) of the noise around the unitaries: a pytree of arrays.

    Stacks are those of `TensorNetwork`: one per number m of node qubits.

    Attributes:
        leaves: Maps on each data qubit between its preparation and its node, (data qubits, 4, 4).
        nodes: Maps on each outgoing qubit of each node, one array (nodes, m, 4, 4) per stack. Only the first
            `width` entries of a node count.
        kept: Factor on everything except the trace, one array (nodes,) per stack: 1 - p of a depolarising
            channel on all qubits of a node.
        readout: Maps on (1, <Z>) of each root qubit, (root_qubits, 2, 2).
        fresh: <Z> of qubits that enter in |0>, (nodes, m) for each stack. Only the last entries, one for each
            fresh qubit, count.
        gates: Maps after each operation of a node, if the ansatz has operations: for each stack a tuple of
            (nodes, 4**k, 4**k), or () if the node's unitary is in one piece.
    """

    leaves: Array
    nodes: tuple[Array, ...]
    kept: tuple[Array, ...]
    readout: Array
    fresh: tuple[Array, ...]
    gates: tuple[tuple[Array, ...], ...] = ()


def fold(maps: Array, topology: Topology, group: MapGroup, channels: WireChannels, leaf_paulis: str) -> Array:
    """A group's maps with noise.

    Args:
        maps: Shape (nodes, 4**width, 4**inputs * 2**fresh): every label on kept qubits and inputs, I and Z on
            fresh ones.
        topology: Of the network.
        group: The nodes.
        channels: The noise.
        leaf_paulis: Labels that a leaf's state has.

    Returns:
        Shape (nodes, outputs, inputs) of `transfer_maps`: the root with labels I and Z alone, leaves with
        their own.
    """
    nodes = group.nodes
    rows = np.asarray(group.rows)
    for qubit in range(group.kind.fresh):
        pairs = maps.reshape(*maps.shape[:2], -1, 2)
        maps = pairs[..., 0] + channels.fresh[group.stack][rows, -1 - qubit, None, None] * pairs[..., 1]
    maps = _on_leaves(maps, topology, nodes, channels.leaves, leaf_paulis)
    after = channels.nodes[group.stack][rows]
    for qubit in range(group.kind.width):
        maps = _on_output(maps, after[:, qubit], 4**qubit)
    maps = _scaled(maps, channels.kept[group.stack][rows])
    return _read(maps, channels.readout) if group.kind.is_root else maps


def _on_leaves(
    maps: Array, topology: Topology, nodes: tuple[int, ...], leaves: Array, leaf_paulis: str
) -> Array:
    """Channels on the qubits of leaf wires, from the labels that their states have."""
    xp, columns = namespace(maps), ["IXYZ".index(label) for label in leaf_paulis]
    before = 1
    for slot, child in enumerate(topology.nodes[nodes[0]].children):
        for place in range(topology.wire_width(child)):
            if child >= topology.num_leaves:
                before *= 4
                continue
            qubits = [topology.leaf_qubits[topology.nodes[k].children[slot]][place] for k in nodes]
            chosen = leaves[np.asarray(qubits)][:, :, np.asarray(columns)]
            split = maps.reshape(*maps.shape[:2], before, 4, -1)
            split = xp.einsum("noapb,npq->noaqb", split, chosen)
            maps = split.reshape(*maps.shape[:2], -1)
            before *= len(columns)
    return maps


def _on_output(maps: Array, channel: Array, before: int) -> Array:
    """A channel (nodes, 4, 4) on one outgoing qubit, behind `before` labels of others."""
    split = maps.reshape(maps.shape[0], before, 4, -1)
    return namespace(maps).einsum("npq,naqb->napb", channel, split).reshape(maps.shape)  # type: ignore[no-any-return]


def _scaled(maps: Array, kept: Array) -> Array:
    """All rows but the trace's times a factor (nodes,)."""
    return namespace(maps).concat([maps[:, :1], kept[:, None, None] * maps[:, 1:]], axis=1)  # type: ignore[no-any-return]


def _read(maps: Array, readout: Array) -> Array:
    """The root's rows I and Z, and errors of the read-out on them."""
    xp, width, inputs = namespace(maps), readout.shape[0], maps.shape[-1]
    for qubit in range(width):
        split = maps.reshape(maps.shape[0], 2**qubit, 4, -1)[:, :, np.array([0, 3])]
        maps = xp.einsum("pq,naqb->napb", readout[qubit], split)
    return maps.reshape(maps.shape[0], 2**width, inputs)
