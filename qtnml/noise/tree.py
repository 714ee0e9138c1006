"""A circuit as a tree of maps: for each node its instructions, and the transfer map they make."""

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
    growing = _Growing(pieces, settings)
    for gate in reversed(range(len(pieces[0].pairs))):
        growing.apply(gate)
    return growing.finished()


class _Growing:
    """The map while gates are multiplied to it, last gate first: (count, outputs, inputs, 4, 4, ...).

    The last axes belong to the places that are between their last and their first gate: a place is opened by
    its last gate, and closed by what enters it once its first gate is there.
    """

    def __init__(self, pieces: list[Piece], settings: int) -> None:
        self._pieces, self._settings = pieces, settings
        self._first = pieces[0]
        self._count = len(pieces) * settings
        self._begins: dict[int, int] = {}  # of each place its first gate
        for gate, pair in enumerate(self._first.pairs):
            for place in pair:
                self._begins.setdefault(place, gate)
        self._tensor: NDArray = np.ones((self._count, 1, 1))
        self._open: list[int] = []
        self._outputs: list[int] = []  # places in the order in which they were opened, and closed
        self._inputs: list[int] = []
        self._input_dims: dict[int, int] = {}

    def apply(self, gate: int) -> None:
        """Multiply a gate."""
        pair = self._first.pairs[gate]
        for place in pair:
            if place not in self._open:
                self._begin(place)
        axes = [3 + self._open.index(place) for place in pair]
        moved = np.moveaxis(self._tensor, axes, (-2, -1))
        flat = moved.reshape(self._count, -1, 16) @ self._together(
            [piece.maps[gate] for piece in self._pieces]
        )
        self._tensor = np.moveaxis(flat.reshape(moved.shape), (-2, -1), axes)
        for place in pair:
            if self._begins[place] == gate:
                self._end(place)

    def finished(self) -> NDArray:
        """The maps, in the order of the places."""
        for place in range(len(self._first.inputs)):
            if place not in self._begins:
                self._begin(place)
                self._end(place)
        out = [self._first.last[place].shape[-2] for place in self._outputs]
        into = [self._input_dims[place] for place in self._inputs]
        whole = self._tensor.reshape(len(self._pieces), self._settings, *out, *into)
        inputs = [1 + len(out) + self._inputs.index(place) for place in range(len(into))]
        found = []
        for piece, tensor in zip(self._pieces, whole, strict=True):
            rest = [k for k, place in enumerate(self._outputs) if place not in piece.kept]
            kept = [self._outputs.index(place) for place in piece.kept]
            axes = [0, *(1 + k for k in (*rest, *kept)), *inputs]
            found.append(tensor.transpose(axes).reshape(self._settings, int(np.prod(out)), -1))
        return np.array(found)

    def _together(self, arrays: list[NDArray]) -> NDArray:
        """One for each piece and setting, (count, ...)."""
        spread = [np.broadcast_to(a, (self._settings, *a.shape[-2:])) for a in arrays]
        return np.concatenate(spread) if self._settings > 1 else np.array(spread)[:, 0]

    def _begin(self, place: int) -> None:
        last = self._together([piece.last[place] for piece in self._pieces])
        given = self._tensor[:, :, None, ..., None]
        between = [1] * (self._tensor.ndim - 2)
        product = given * last.reshape(self._count, 1, last.shape[1], *between, 4)
        self._tensor = product.reshape(self._count, -1, *product.shape[3:])
        self._open.append(place)
        self._outputs.append(place)

    def _end(self, place: int) -> None:
        moved = np.moveaxis(self._tensor, 3 + self._open.index(place), -1)
        if self._first.inputs[place] is not None:
            given = [entry for piece in self._pieces if (entry := piece.inputs[place]) is not None]
            flat = moved.reshape(self._count, -1, 4) @ self._together(given)
            moved = flat.reshape(*moved.shape[:-1], -1)
        self._input_dims[place] = moved.shape[-1]
        moved = np.moveaxis(moved, -1, 3)
        self._tensor = moved.reshape(*moved.shape[:2], -1, *moved.shape[4:])
        self._open.remove(place)
        self._inputs.append(place)
