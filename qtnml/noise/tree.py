"""A circuit as a tree of maps: for each node what happened in it, and the transfer map that makes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from qtnml.arrays import NDArray
from qtnml.contract import contract, contract_postselected
from qtnml.contract.bloch_plan import chunk_size, contraction_plan
from qtnml.structure import Topology


@dataclass(frozen=True)
class Piece:
    """One node: gates on two qubits, each with what happened to its qubits before it, and what comes last.

    Attributes:
        children: Wires that go in, in order; leaves are negative: -1 - leaf.
        inputs: For each local qubit a map onto it: (4, labels) of a leaf, (4, 1) of a qubit that enters in a
            known state, None for a qubit of an inner wire.
        pairs: Local qubits of each gate, in order.
        maps: Its maps (gates, 16, 16).
        last: Of each local qubit, (rows, 4): four rows, or two for a measured one, or the one of a qubit
            discarded.
        kept: Local qubits that go on, in order.
        uploads: Data angles that turn each local qubit first; empty for none.
    """

    children: tuple[int, ...]
    inputs: tuple[NDArray | None, ...]
    pairs: tuple[tuple[int, int], ...]
    maps: NDArray
    last: tuple[NDArray, ...]
    kept: tuple[int, ...]
    uploads: tuple[int, ...] = ()

    @property
    def pattern(self) -> tuple[object, ...]:
        """Pieces of one pattern are computed together."""
        shapes = tuple(None if given is None else given.shape for given in self.inputs)
        return (shapes, self.pairs, tuple(row.shape for row in self.last))


@dataclass(frozen=True)
class CircuitTree:
    """What the walk found.

    Attributes:
        topology: Leaves of one data qubit each, in the order in which they are used.
        places: Data angle of each leaf.
        pieces: One for each node.
        postselected: Some qubits count only in |0>.
        by_angle: Leaves take (1, sin, cos) of their angle; otherwise the encoding's Pauli expectations.
        owners: For each instruction the node it belongs to.
    """

    topology: Topology
    places: tuple[int, ...]
    pieces: tuple[Piece, ...]
    postselected: bool
    by_angle: bool
    owners: tuple[int, ...]

    def maps(self) -> list[NDArray]:
        """Transfer map (outputs, inputs) of every node."""
        return piece_maps(self.pieces)

    def stacked_maps(self) -> tuple[NDArray, ...]:
        """Maps as `contract` takes them: stacked by the groups of the contraction plan."""
        maps = self.maps()
        return tuple(np.stack([maps[k] for k in g.nodes]) for g in contraction_plan(self.topology).groups)

    def leaves_by_angle(self, angles: NDArray) -> NDArray:
        """1, sin and cos of the angle of each leaf, (3, leaves, samples), at angles (samples, places)."""
        angles = angles[:, list(self.places)].T
        return np.stack([np.ones_like(angles), np.sin(angles), np.cos(angles)])


def evaluated(
    tree: CircuitTree, maps: tuple[NDArray, ...], leaves: Callable[[NDArray], NDArray], angles: NDArray
) -> tuple[NDArray, NDArray]:
    """Outcome probabilities (samples, outcomes) and log success probabilities (samples,).

    Args:
        tree: A circuit.
        maps: Its `stacked_maps`.
        leaves: Leaf vectors of a few rows of angles.
        angles: Shape (samples, places), radians.
    """
    outcomes = [np.empty((0, 2**tree.topology.root_qubits))]
    success = [np.empty(0)]
    chunk = chunk_size(tree.topology)
    for start in range(0, len(angles), chunk):
        bloch = leaves(angles[start : start + chunk])
        if tree.postselected:
            found, log = contract_postselected(tree.topology, maps, bloch)
        else:
            found, log = contract(tree.topology, maps, bloch), np.zeros(bloch.shape[-1])
        outcomes.append(np.asarray(found).T)
        success.append(np.asarray(log))
    return np.clip(np.concatenate(outcomes), 0.0, 1.0), np.concatenate(success)


def piece_maps(pieces: Sequence[Piece]) -> list[NDArray]:
    """Map (outputs, inputs) of every piece, those of one pattern together."""
    found: list[NDArray | None] = [None] * len(pieces)
    alike: dict[tuple[object, ...], list[int]] = {}
    for k, piece in enumerate(pieces):
        alike.setdefault(piece.pattern, []).append(k)
    for members in alike.values():
        for k, computed in zip(members, _computed([pieces[k] for k in members]), strict=True):
            found[k] = computed
    return [computed for computed in found if computed is not None]


def _computed(pieces: list[Piece]) -> NDArray:
    """Maps (pieces, outputs, inputs) of pieces of one pattern, from the last gate to the first."""
    first = pieces[0]
    size = len(first.inputs)
    count = len(pieces)
    rows = np.ones((count, 1, 1))
    for place in range(size):
        last = np.array([piece.last[place] for piece in pieces])
        rows = np.einsum("nab,ncd->nacbd", rows, last).reshape(
            count, rows.shape[1] * last.shape[1], rows.shape[2] * 4
        )
    outputs = rows.shape[1]
    tensor = rows.reshape(count, outputs, *[4] * size)
    maps = np.array([piece.maps for piece in pieces])
    for gate in reversed(range(len(first.pairs))):
        i, j = first.pairs[gate]
        moved = np.moveaxis(tensor, (2 + i, 2 + j), (-2, -1))
        flat = moved.reshape(count, -1, 16) @ maps[:, gate]
        tensor = np.moveaxis(flat.reshape(moved.shape), (-2, -1), (2 + i, 2 + j))
    for place, given in enumerate(first.inputs):
        if given is not None:
            matrices = np.array([piece.inputs[place] for piece in pieces])
            moved = np.moveaxis(tensor, 2 + place, -1)
            flat = moved.reshape(count, -1, 4) @ matrices
            tensor = np.moveaxis(flat.reshape(*moved.shape[:-1], -1), -1, 2 + place)
    return np.asarray(_in_order(tensor.reshape(count, outputs, -1), pieces))


def _in_order(maps: NDArray, pieces: list[Piece]) -> NDArray:
    """Rows by local place -> rows by the order in which the qubits are kept."""
    first = pieces[0]
    sizes = [row.shape[0] for row in first.last]
    by_place = maps.reshape(len(pieces), *sizes, maps.shape[-1])
    found = []
    for piece, tensor in zip(pieces, by_place, strict=True):
        rest = [place for place in range(len(sizes)) if place not in piece.kept]
        found.append(tensor.transpose([*rest, *piece.kept, len(sizes)]).reshape(-1, maps.shape[-1]))
    return np.array(found)
