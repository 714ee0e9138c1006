"""A noisy circuit as a tree of maps, found by walking through it: nothing is known of networks here.

Qubits that a gate joins are held together. Once some of them are discarded (reset next, or never used again),
the others are a *wire*, and what happened to them is one linear map of the wires and qubits that went in.
Noise on single qubits and on a gate's qubits stays inside such a map, so the map is exact whatever the
noise, and samples enter only at the leaves. Circuits whose qubits do not come apart, as those routed by
SWAPs, are refused.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.noise.instructions import DataGate, Instructions
from qtnml.noise.tree import CircuitTree, Piece
from qtnml.structure import Node, Topology

_LARGEST_MAP = 2**24  # numbers: 134 MB
_IDENTITY: NDArray = np.eye(4)
_TRACE: NDArray = np.array([[1.0, 0.0, 0.0, 0.0]])


@dataclass
class _Group:
    """Qubits that are held together: physical qubit -> local place, and what happened to them."""

    places: dict[int, int] = field(default_factory=dict)
    children: list[int] = field(default_factory=list)
    inputs: list[NDArray | None] = field(default_factory=list)
    pairs: list[tuple[int, int]] = field(default_factory=list)
    maps: list[NDArray] = field(default_factory=list)
    pending: list[NDArray] = field(default_factory=list)
    last: dict[int, NDArray] = field(default_factory=dict)
    uploads: dict[int, int] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)

    @property
    def is_untouched(self) -> bool:
        """Nothing but uploads has happened to it."""
        return not self.pairs and not self.last


def walk(instructions: Instructions, num_labels: int) -> CircuitTree:
    """The tree of a circuit.

    Args:
        instructions: The circuit.
        num_labels: Pauli expectations of a leaf whose data gate is no plain rotation (3 or 4).

    Raises:
        InvalidInputError: The circuit is no tree of maps, or a map is too large.
    """
    return _Walk(instructions, num_labels).run()


class _Walk:
    def __init__(self, instructions: Instructions, num_labels: int) -> None:
        self._rows, self._labels = instructions, num_labels
        self._groups: dict[int, _Group] = {}
        self._pieces: list[Piece] = []
        self._piece_rows: list[list[int]] = []
        self._places: list[int] = []
        self._postselected = False
        self._by_angle = all(gate is None or gate.plane is not None for gate in instructions.data)
        self._ends = _last_uses(instructions)

    def run(self) -> CircuitTree:
        rows = self._rows
        relaxation, kept = rows.noise_maps()
        singles = relaxation[:, 0] @ _depolarised(kept[:, None, None] * np.eye(4)) @ rows.gate_singles()
        for row, (name, qubits) in enumerate(zip(rows.names, rows.qubits, strict=True)):
            after = relaxation[row]
            if name == "reset":
                self._reset(row, qubits[0], after[0])
            elif name == "measure":
                self._measure(row, qubits[0], after[0])
            elif len(qubits) == 2:
                self._join(row, qubits, kept[row], after)
            elif rows.data[row] is not None:
                self._upload(row, qubits[0], rows.data[row], singles[row])  # type: ignore[arg-type]
            else:
                self._turn(row, qubits[0], singles[row])
            for qubit in qubits:
                if (row, qubit) in self._ends:
                    self._let_go(qubit, _TRACE)
        return self._finished()

    def _group(self, qubit: int) -> _Group:
        """The group of a qubit; one that was not used yet starts in |0>."""
        if qubit not in self._groups:
            self._groups[qubit] = self._known(qubit, np.array([1.0, 0.0, 0.0, 1.0]))
        return self._groups[qubit]

    def _known(self, qubit: int, state: NDArray) -> _Group:
        return _Group({qubit: 0}, [], [state[:, None]], pending=[_IDENTITY])

    def _reset(self, row: int, qubit: int, relaxation: NDArray) -> None:
        state = np.array([1.0, 0.0, 0.0, 1 - 2 * self._rows.reset_error[row]])
        self._groups[qubit] = group = self._known(qubit, relaxation @ state)
        group.rows.append(row)

    def _turn(self, row: int, qubit: int, matrix: NDArray) -> None:
        group = self._group(qubit)
        place = group.places[qubit]
        group.pending[place] = matrix @ group.pending[place]
        group.rows.append(row)

    def _upload(self, row: int, qubit: int, gate: DataGate, noise: NDArray) -> None:
        """A data gate: on a known state it makes a leaf, on a wire it is uploaded again."""
        group = self._group(qubit)
        given = group.inputs[group.places[qubit]]
        if len(group.inputs) == 1 and not group.children and given is not None and given.shape[1] == 1:
            state = (group.pending[0] @ given)[:, 0]
            leaf = _after_rotation(state, gate) if self._by_angle else self._after_gate(state)
            group.inputs, group.pending = [leaf], [noise]
            group.children = [-1 - len(self._places)]
            self._places.append(gate.place)
        else:
            group = self._opened_for_upload(group, qubit)
            if gate.plane is None or qubit not in group.places:
                raise InvalidInputError(
                    "data are uploaded again by a gate that is no rotation; run this circuit on Aer"
                )
            place = group.places[qubit]
            basis = _basis_of(gate)
            # The wire below ends in the basis in which the upload is a rotation about Y.
            self._finish_below(group, place, basis.T)
            group.uploads[place] = gate.place
            group.pending[place] = noise @ _rotation(gate.plane, gate.offset) @ basis
        group.rows.append(row)

    def _after_gate(self, state: NDArray) -> NDArray:
        if np.abs(state[1:3]).max() > 1e-12:
            raise InvalidInputError(
                "this circuit's data gate is no rotation and does not act on |0>; run it on Aer"
            )
        columns = [0, 1, 3] if self._labels == 3 else [0, 1, 2, 3]
        return np.diag([1.0, state[3], state[3], state[3]])[:, columns]

    def _opened_for_upload(self, group: _Group, qubit: int) -> _Group:
        """A group whose qubit is an untouched qubit of a wire."""
        if group.is_untouched and group.children and all(given is None for given in group.inputs):
            return group
        self._close(group)
        return self._groups[qubit]

    def _finish_below(self, group: _Group, place: int, matrix: NDArray) -> None:
        """Multiply what comes last to one qubit of the wire that enters at a place."""
        for child in group.children:
            width = len(self._pieces[child].kept)
            if place < width:
                piece = self._pieces[child]
                local = piece.kept[place]
                last = list(piece.last)
                last[local] = matrix @ last[local]
                self._pieces[child] = replace(piece, last=tuple(last))
                return
            place -= width
        raise InvalidInputError("data are uploaded again on a qubit that left no wire; run it on Aer")

    def _join(self, row: int, qubits: tuple[int, ...], kept: float, relaxation: NDArray) -> None:
        first, second = (self._group(q) for q in qubits)
        if first is not second:
            first = self._merged(first, second)
        i, j = (first.places[q] for q in qubits)
        before = np.kron(first.pending[i], first.pending[j])
        matrix = self._rows.pairs[row] @ before
        if row in self._rows.extra:
            matrix = self._rows.extra[row] @ matrix
        matrix[1:] *= kept
        first.pairs.append((i, j))
        first.maps.append(matrix)
        first.pending[i], first.pending[j] = relaxation
        first.rows.append(row)

    def _merged(self, first: _Group, second: _Group) -> _Group:
        first, second = (self._as_input(group) for group in (first, second))
        shift = len(first.inputs)
        first.places |= {qubit: place + shift for qubit, place in second.places.items()}
        first.children += second.children
        first.inputs += second.inputs
        first.pairs += [(i + shift, j + shift) for i, j in second.pairs]
        first.maps += second.maps
        first.pending += second.pending
        first.last |= {place + shift: row for place, row in second.last.items()}
        first.uploads |= {place + shift: data for place, data in second.uploads.items()}
        first.rows += second.rows
        for qubit in second.places:
            self._groups[qubit] = first
        _check_size(len(first.inputs), 1)
        return first

    def _as_input(self, group: _Group) -> _Group:
        """A group that has let qubits go becomes a wire, unless no data went in."""
        if not group.last or not group.children:
            return group
        self._close(group)
        return self._groups[next(iter(group.places))]

    def _measure(self, row: int, qubit: int, _: NDArray) -> None:
        group = self._group(qubit)
        group.rows.append(row)
        up, down = self._rows.readout[row]
        if row in self._rows.checks:
            self._postselected = True
            accepted = np.array([[(1 - up + down) / 2, 0.0, 0.0, (1 - up - down) / 2]])
            self._let_go(qubit, accepted)
        else:
            read = np.array([[1.0, 0.0, 0.0, 0.0], [down - up, 0.0, 0.0, 1 - up - down]])
            group.pending[group.places[qubit]] = read @ group.pending[group.places[qubit]]

    def _let_go(self, qubit: int, effect: NDArray) -> None:
        group = self._groups.pop(qubit)
        place = group.places.pop(qubit)
        group.last[place] = effect @ group.pending[place]

    def _close(self, group: _Group, order: Iterable[int] | None = None) -> int:
        """Make a group a node; its remaining qubits are its wire, and begin a new group."""
        qubits = list(order) if order is not None else sorted(group.places, key=group.places.__getitem__)
        kept = tuple(group.places[q] for q in qubits)
        _check_size(len(group.inputs), len(kept))
        last = tuple(group.last.get(place, group.pending[place]) for place in range(len(group.inputs)))
        uploads: tuple[int, ...] = ()
        if group.uploads:
            if len(group.uploads) < len(group.inputs):
                raise InvalidInputError(
                    "data are uploaded again on some qubits of a node only; run it on Aer"
                )
            uploads = tuple(group.uploads[place] for place in range(len(group.inputs)))
        maps = np.array(group.maps).reshape(-1, 16, 16)
        node = len(self._pieces)
        self._pieces.append(
            Piece(
                tuple(group.children),
                tuple(group.inputs),
                tuple(group.pairs),
                maps,
                last,
                kept,
                uploads,
            )
        )
        self._piece_rows.append(group.rows)
        wire = _Group(
            {q: k for k, q in enumerate(qubits)},
            [node],
            [None] * len(qubits),
            pending=[_IDENTITY] * len(qubits),
        )
        for qubit in qubits:
            self._groups[qubit] = wire
        return node

    def _finished(self) -> CircuitTree:
        """Close the root, and number leaves and nodes as a topology does."""
        measured = self._rows.measured
        root = self._groups[measured[0]]
        for qubit in measured[1:]:
            if self._groups[qubit] is not root:
                root = self._merged(root, self._groups[qubit])
        self._close(root, measured)
        used = self._reached()
        leaves = {c: k for k, c in enumerate(sorted((c for c in used if c < 0), reverse=True))}
        numbers = {c: k for k, c in enumerate(sorted(c for c in used if c >= 0))}
        places = tuple(self._places[-1 - c] for c in leaves)
        leaf_of = {place: leaf for leaf, place in enumerate(places)}
        nodes, owners = [], [-1] * len(self._rows.names)
        for k, number in numbers.items():
            piece = self._pieces[k]
            wires = tuple(leaves[c] if c < 0 else len(leaves) + numbers[c] for c in piece.children)
            if not wires or not set(piece.uploads) <= leaf_of.keys():
                raise InvalidInputError("a part of the circuit takes in no data; run it on Aer")
            fresh = sum(given is not None and given.shape[1] == 1 for given in piece.inputs)
            uploads = tuple(leaf_of[place] for place in piece.uploads)
            nodes.append(Node(wires, fresh, len(piece.kept), uploads))
            for row in self._piece_rows[k]:
                owners[row] = number
        topology = Topology((1,) * len(leaves), tuple(nodes))
        pieces = tuple(self._pieces[k] for k in numbers)
        return CircuitTree(topology, places, pieces, self._postselected, self._by_angle, tuple(owners))

    def _reached(self) -> set[int]:
        """Leaves and nodes that the outcome depends on: a gate may have been no gate."""
        reached, open_ = set(), [len(self._pieces) - 1]
        while open_:
            child = open_.pop()
            reached.add(child)
            if child >= 0:
                open_.extend(self._pieces[child].children)
        return reached


def _check_size(num_qubits: int, kept: int) -> None:
    if 4 ** (num_qubits + kept) > _LARGEST_MAP:
        raise InvalidInputError(
            f"{num_qubits} qubits of this circuit hang together at once (routing by SWAPs does that), "
            "too many for an exact map; compile it for fewer qubits (num_qubits=...), where a tree "
            "needs no SWAP, or run it on Aer: get_backend('aer', noise=noise)"
        )


def _last_uses(rows: Instructions) -> set[tuple[int, int]]:
    """(instruction, qubit) after which a qubit is reset next or never used; measured ones are kept."""
    needed, ends = set(rows.measured), set()
    for row in reversed(range(len(rows.names))):
        name = rows.names[row]
        if name == "barrier":
            continue
        for qubit in rows.qubits[row]:
            if name == "reset":
                needed.discard(qubit)
            elif qubit not in needed:
                needed.add(qubit)
                if row not in rows.checks:  # discarded where it is measured
                    ends.add((row, qubit))
    return ends


def _depolarised(scaled: NDArray) -> NDArray:
    """Maps (rows, 4, 4) that leave the trace alone."""
    scaled[:, 0, 0] = 1.0
    return scaled


def _after_rotation(state: NDArray, gate: DataGate) -> NDArray:
    """Columns for 1, sin and cos of the data angle x of the state turned by sign * x + offset."""
    assert gate.plane is not None
    state = _rotation(gate.plane, gate.offset) @ state
    a, b = gate.plane
    columns = np.zeros((4, 3))
    rest = np.ones(4, dtype=bool)
    rest[[a, b]] = False
    columns[rest, 0] = state[rest]
    columns[[a, b], 2] = state[[a, b]]
    columns[a, 1], columns[b, 1] = -gate.sign * state[b], gate.sign * state[a]
    return columns


def _rotation(plane: tuple[int, int], angle: float) -> NDArray:
    a, b = plane
    matrix = np.eye(4)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    return matrix


def _basis_of(gate: DataGate) -> NDArray:
    """B such that the data gate without its offset is B R B^-1, with R the rotation about Y by x."""
    assert gate.plane is not None
    a, b = gate.plane
    c = 6 - a - b
    basis = np.zeros((4, 4))
    basis[0, 0] = 1.0
    # R turns the plane (Z, X).
    basis[a, 3], basis[b, 1], basis[c, 2] = 1.0, 1.0, 1.0
    if gate.sign < 0:
        basis[:, [1, 2]] *= -1
    return basis
