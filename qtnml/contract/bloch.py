"""The Bloch picture: real Pauli expectations on every wire, contracted level by level.

Letting a qubit go is tracing it out, which in this picture is leaving its Pauli strings away; the
cost of a node on wires of v qubits is 16**v * 4**v multiply-adds per sample, in one batched product
per level. The same code runs on NumPy (float64, no compilation) and on JAX (jitted, differentiated).
"""

from typing import ClassVar, Protocol

import numpy as np

from qtnml.arrays import Array, NDArray, namespace
from qtnml.contract.pauli import pauli_transfer_maps
from qtnml.contract.plan import MapGroup, Plan, contraction_plan
from qtnml.network.tensor_network import TensorNetwork
from qtnml.network.topology import Topology

_CHUNK_FLOATS = 2**22  # of the largest intermediate array in `outcome_probabilities`: 32 MB in float64


class BlochEncoding(Protocol):
    """What the contraction asks of an encoding."""

    paulis: ClassVar[str]

    def bloch(self, X: Array) -> Array:
        """Pauli expectations of each feature's qubit, stacked on a new first axis."""


def transfer_maps(network: TensorNetwork, leaf_paulis: str) -> tuple[Array, ...]:
    """One stack of transfer maps per map group of the contraction plan.

    Args:
        network: NumPy or JAX unitaries.
        leaf_paulis: The Pauli labels that the encoding can produce, "IXZ" for real states.
    """
    plan = contraction_plan(network.topology)
    return tuple(_group_maps(group, network.unitaries[group.stack], leaf_paulis) for group in plan.groups)


def _group_maps(group: MapGroup, stack: Array, leaf_paulis: str) -> Array:
    kind = group.kind
    in_paulis = tuple(
        leaf_paulis if child.is_leaf else "IXYZ" for child in kind.children for _ in range(child.width)
    )
    out_paulis = "IZ" if kind.is_root else "IXYZ"
    return pauli_transfer_maps(_rows(stack, group.rows), kind.width, kind.fresh, out_paulis, in_paulis)


def contract(topology: Topology, maps: tuple[Array, ...], bloch: Array) -> Array:
    """Outcome probabilities at the root.

    Args:
        topology: The tree.
        maps: From `transfer_maps`, possibly with noise folded in.
        bloch: Leaf expectations, shape (labels, features, batch).

    Returns:
        Probabilities of the 2**d root outcomes, shape (2**d, batch); kept qubit 0 is the most
        significant bit. Rounding may leave values slightly below 0.
    """
    xp = namespace(bloch)
    plan = contraction_plan(topology)
    pools = _leaf_arrays(topology, plan, bloch)
    for step in plan.steps:
        joint, *others = (_gathered(pools, gather) for gather in step.gathers)
        for other in others:
            joint = (joint[:, :, None, :] * other[:, None, :, :]).reshape(joint.shape[0], -1, joint.shape[-1])
        pools.append(xp.matmul(maps[step.group][step.start : step.stop], joint))
    return _outcomes_from_z(pools[-1][0])


def _outcomes_from_z(expectations: Array) -> Array:
    """Probabilities of bit strings from the expectations of all Z strings: a Hadamard transform."""
    xp = namespace(expectations)
    hadamard: NDArray = np.eye(1)
    while len(hadamard) < expectations.shape[0]:
        hadamard = np.kron(hadamard, [[0.5, 0.5], [0.5, -0.5]])
    return xp.matmul(xp.asarray(hadamard, dtype=expectations.dtype), expectations)  # type: ignore[no-any-return]


def outcome_probabilities(network: TensorNetwork, encoding: BlochEncoding, X: NDArray) -> NDArray:
    """Outcome probabilities of encoded samples on NumPy, in float64, a bounded chunk at a time.

    Args:
        network: With NumPy unitaries.
        encoding: Turns features into qubits.
        X: Features in [0, 1], shape (samples, features).

    Returns:
        Shape (samples, 2**root_qubits), rows summing to 1.
    """
    maps = transfer_maps(network, encoding.paulis)
    chunk = max(1, _CHUNK_FLOATS // _largest_intermediate(network.topology, maps))
    parts = [
        contract(network.topology, maps, encoding.bloch(np.ascontiguousarray(X[start : start + chunk].T))).T
        for start in range(0, len(X), chunk)
    ]
    outcomes = 2**network.topology.root_qubits
    return np.clip(np.concatenate(parts), 0.0, 1.0) if parts else np.empty((0, outcomes))


def _largest_intermediate(topology: Topology, maps: tuple[Array, ...]) -> int:
    """Largest number of floats per sample that one step holds."""
    steps = contraction_plan(topology).steps
    return max((step.stop - step.start) * int(maps[step.group].shape[2]) for step in steps)


def _leaf_arrays(topology: Topology, plan: Plan, bloch: Array) -> list[Array]:
    """Product states of each leaf pool, shape (leaves, labels**width, batch)."""
    xp, pools = namespace(bloch), []
    for width, leaves in plan.leaf_pools:
        features = tuple(f for leaf in leaves for f in topology.leaf_features[leaf])
        qubits = _rows(bloch.swapaxes(0, 1), features)
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


def _rows(array: Array, rows: tuple[int, ...]) -> Array:
    """Rows of an array: a slice where they are evenly spaced (no copy, cheap gradient)."""
    step = rows[1] - rows[0] if len(rows) > 1 else 1
    if step > 0 and rows == tuple(range(rows[0], rows[-1] + 1, step)):
        return array[rows[0] : rows[-1] + 1 : step]
    return array[np.asarray(rows)]
