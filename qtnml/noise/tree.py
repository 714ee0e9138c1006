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
        shapes = tuple(None if given is None else given.shape[-2:] for given in self.inputs)
        return (shapes, self.pairs, tuple(row.shape[-2:] for row in self.last))


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
        settings: How many settings of the weights it is of; None for one.
    """

    topology: Topology
    places: tuple[int, ...]
    pieces: tuple[Piece, ...]
    postselected: bool
    by_angle: bool
    owners: tuple[int, ...]
    settings: int | None = None

    def maps(self) -> list[NDArray]:
        """Transfer map (outputs, inputs) of every node; (settings, outputs, inputs) if there are several."""
        found = piece_maps(self.pieces, self.settings or 1)
        return found if self.settings is not None else [maps[0] for maps in found]

    def stacked_maps(self) -> tuple[NDArray, ...]:
        """Maps as `contract` takes them: stacked by the groups of the contraction plan."""
        return self.stacked(self.maps())

    def stacked(self, maps: Sequence[NDArray]) -> tuple[NDArray, ...]:
        """Maps of the nodes, stacked by the groups of the contraction plan."""
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


def evaluated_each(tree: CircuitTree, maps: list[NDArray], leaves: NDArray) -> tuple[NDArray, NDArray]:
    """As `evaluated`, each sample with maps of its own: one setting of the weights for each.

    Args:
        tree: A circuit without data that are uploaded again.
        maps: Of each node (samples, outputs, inputs).
        leaves: Leaf vectors (labels, leaves, samples).
    """
    topology = tree.topology
    log = np.zeros(leaves.shape[-1])
    wires: list[NDArray] = list(leaves.transpose(1, 2, 0))
    for node, matrices in zip(topology.nodes, maps, strict=True):
        vector = np.ones((len(log), 1))
        for wire in node.children:
            vector = (vector[:, :, None] * wires[wire][:, None, :]).reshape(len(log), -1)
        found = (matrices @ vector[:, :, None])[:, :, 0]
        if tree.postselected:
            scale = np.where(found[:, 0] > 0, found[:, 0], 1.0)
            log, found = log + np.log(scale), found / scale[:, None]
        wires.append(found)
    outcomes = wires[-1].reshape(len(log), *[2] * topology.root_qubits)
    for axis in range(1, outcomes.ndim):  # (1, <Z>) -> probabilities
        one, z = np.moveaxis(outcomes, axis, 0)
        outcomes = np.stack([(one + z) / 2, (one - z) / 2], axis=axis)
    return np.clip(outcomes.reshape(len(log), -1), 0.0, 1.0), log


def piece_maps(pieces: Sequence[Piece], settings: int) -> list[NDArray]:
    """Maps (settings, outputs, inputs) of every piece, those of one pattern together."""
    found: list[NDArray | None] = [None] * len(pieces)
    alike: dict[tuple[object, ...], list[int]] = {}
    for k, piece in enumerate(pieces):
        alike.setdefault(piece.pattern, []).append(k)
    for members in alike.values():
        chosen = [pieces[k] for k in members]
        for k, computed in zip(members, _computed(chosen, settings), strict=True):
            found[k] = computed
    return [computed for computed in found if computed is not None]


def _computed(pieces: list[Piece], settings: int) -> NDArray:
    """Maps (pieces, settings, outputs, inputs) of pieces of one pattern, from the last gate to the first."""
    first = pieces[0]
    size = len(first.inputs)
    count = len(pieces) * settings

    def together(arrays: list[NDArray]) -> NDArray:
        """One for each piece and setting, (count, ...)."""
        spread = [np.broadcast_to(a, (settings, *a.shape[-2:])) for a in arrays]
        return np.concatenate(spread) if settings > 1 else np.array(spread)[:, 0]

    rows = np.ones((count, 1, 1))
    for place in range(size):
        last = together([piece.last[place] for piece in pieces])
        rows = np.einsum("nab,ncd->nacbd", rows, last).reshape(
            count, rows.shape[1] * last.shape[1], rows.shape[2] * 4
        )
    outputs = rows.shape[1]
    tensor = rows.reshape(count, outputs, *[4] * size)
    for gate in reversed(range(len(first.pairs))):
        i, j = first.pairs[gate]
        moved = np.moveaxis(tensor, (2 + i, 2 + j), (-2, -1))
        flat = moved.reshape(count, -1, 16) @ together([piece.maps[gate] for piece in pieces])
        tensor = np.moveaxis(flat.reshape(moved.shape), (-2, -1), (2 + i, 2 + j))
    for place, given in enumerate(first.inputs):
        if given is not None:
            matrices = together([entry for piece in pieces if (entry := piece.inputs[place]) is not None])
            moved = np.moveaxis(tensor, 2 + place, -1)
            flat = moved.reshape(count, -1, 4) @ matrices
            tensor = np.moveaxis(flat.reshape(*moved.shape[:-1], -1), -1, 2 + place)
    by_piece = tensor.reshape(len(pieces), settings, outputs, -1)
    return np.asarray(_in_order(by_piece, pieces))


def _in_order(maps: NDArray, pieces: list[Piece]) -> NDArray:
    """Rows by local place -> rows by the order in which the qubits are kept."""
    sizes = [row.shape[-2] for row in pieces[0].last]
    settings, inputs = maps.shape[1], maps.shape[-1]
    by_place = maps.reshape(len(pieces), settings, *sizes, inputs)
    found = []
    for piece, tensor in zip(pieces, by_place, strict=True):
        rest = [place for place in range(len(sizes)) if place not in piece.kept]
        axes = [0, *(1 + place for place in (*rest, *piece.kept)), 1 + len(sizes)]
        found.append(tensor.transpose(axes).reshape(settings, -1, inputs))
    return np.array(found)
