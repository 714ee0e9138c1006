"""A noisy circuit as a tree of maps, found by walking through the circuit. No network is needed.

Qubits that a gate joins are held together. Once some of them are discarded (reset next, or never used again),
the others form a *wire*. What happened to them is one linear map of the wires and qubits that went in. Noise
on single qubits and on a gate's qubits stays inside such a map, so the map is exact for any noise. Samples
enter only at the leaves. Circuits whose qubits do not separate, such as those routed by SWAPs, are refused.
"""

from dataclasses import replace

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.noise.groups import TRACE, Group, Groups, kron
from qtnml.noise.instructions import DataGate, Instructions, mixed, read_out
from qtnml.noise.tree import CircuitTree
from qtnml.structure import Node, Topology


def walk(
    instructions: Instructions, num_labels: int, *, constant: bool = False, largest: int | None = None
) -> CircuitTree:
    """The tree of a circuit.

    Args:
        instructions: The circuit.
        num_labels: Pauli expectations of a leaf whose data gate is no plain rotation (3 or 4).
        constant: For a circuit without data: each qubit that starts or is reset is a leaf that takes angle 0.
        largest: Numbers of a map, at most; 2**24 by default.

    Raises:
        InvalidInputError: The circuit is no tree of maps, or a map is too large.
    """
    return _Walk(instructions, num_labels, constant=constant, largest=largest).run()


class _Walk(Groups):
    def __init__(
        self, instructions: Instructions, num_labels: int, *, constant: bool, largest: int | None
    ) -> None:
        super().__init__(largest)
        self._rows, self._labels, self._constant = instructions, num_labels, constant
        self._places: list[int] = []
        self._postselected = False
        self._reads: dict[int, NDArray] = {}
        self._by_angle = all(gate is None or gate.plane is not None for gate in instructions.data)
        self._ends = _last_uses(instructions)

    def run(self) -> CircuitTree:
        rows = self._rows
        relaxation, kept = rows.noise_maps()
        singles = rows.singles_under_noise()
        for row, (name, qubits) in enumerate(zip(rows.names, rows.qubits, strict=True)):
            after = relaxation[row]
            if name == "reset":
                self._reset(row, qubits[0], after[0])
            elif name == "if_else":
                raise InvalidInputError("a gate depends on what was read before; run this circuit on Aer")
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
                    self._let_go(qubit, TRACE)
        return self._finished()

    def _group(self, qubit: int) -> Group:
        """The group of a qubit; one that was not used yet starts in |0>."""
        if qubit not in self._groups:
            self._groups[qubit] = self._known(qubit, self._rows.start(qubit))
        return self._groups[qubit]

    def _known(self, qubit: int, state: NDArray) -> Group:
        if not self._constant:
            return Group.known(qubit, state[..., None])
        self._places.append(0)
        leaf = np.stack([state, 0 * state, 0 * state], axis=-1)
        return Group.known(qubit, leaf, [-len(self._places)])

    def _reset(self, row: int, qubit: int, relaxation: NDArray) -> None:
        state = mixed(self._rows.reset_error[row])
        self._groups[qubit] = group = self._known(qubit, (relaxation @ state[..., None])[..., 0])
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
        if len(group.inputs) == 1 and not group.children and given is not None and given.shape[-1] == 1:
            state = (group.pending[0] @ given)[..., 0]
            leaf = _after_rotation(state, gate) if self._by_angle else self._after_gate(state)
            group.inputs, group.pending = [leaf], [noise]
            group.children = [-1 - len(self._places)]
            self._places.append(gate.place)
        else:
            group = self._opened_for_upload(group, qubit)
            if group.places.get(qubit) in group.uploads:
                raise InvalidInputError(
                    "data are uploaded again on a qubit that no other gate has joined since; run it on Aer"
                )
            if gate.plane is None or qubit not in group.places:
                raise InvalidInputError(
                    "data are uploaded again by a gate that is no rotation; run this circuit on Aer"
                )
            place = group.places[qubit]
            basis = _basis_of(gate)
            # The wire below ends in the basis in which the upload is a rotation about Y; what turned the
            # qubit since it left that wire is part of it.
            self._finish_below(group, place, basis.T @ group.pending[place])
            group.uploads[place] = gate.place
            group.pending[place] = noise @ _rotation(gate.plane, gate.offset) @ basis
        group.rows.append(row)

    def _after_gate(self, state: NDArray) -> NDArray:
        if np.abs(state[..., 1:3]).max() > 1e-12:
            raise InvalidInputError(
                "this circuit's data gate is no rotation and does not act on |0>; run it on Aer"
            )
        columns = [0, 1, 3] if self._labels == 3 else [0, 1, 2, 3]
        found = state[..., 3, None, None] * np.eye(4)
        found[..., 0, 0] = 1.0
        return np.asarray(found[..., columns])

    def _opened_for_upload(self, group: Group, qubit: int) -> Group:
        """A group whose qubit is an untouched qubit of a wire."""
        if group.is_untouched and group.children and all(given is None for given in group.inputs):
            return group
        self._close(group)
        return self._groups[qubit]

    def _finish_below(self, group: Group, place: int, matrix: NDArray) -> None:
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

    def _join(self, row: int, qubits: tuple[int, ...], kept: NDArray, relaxation: NDArray) -> None:
        for qubit in qubits:
            self._group(qubit)
        first, (i, j) = self._joined(qubits)
        before = kron(first.pending[i], first.pending[j])
        matrix = self._rows.pairs[row] @ before
        if row in self._rows.extra:
            matrix = self._rows.extra[row] @ matrix
        scale = np.ones((*np.shape(kept), 16, 1))
        scale[..., 1:, 0] = np.asarray(kept)[..., None]
        first.pairs.append((i, j))
        first.maps.append(scale * matrix)
        first.pending[i], first.pending[j] = relaxation
        first.rows.append(row)

    def _measure(self, row: int, qubit: int, _: NDArray) -> None:
        group = self._group(qubit)
        group.rows.append(row)
        up, down = self._rows.readout[row]
        if row in self._rows.checks:
            self._postselected = True
            self._let_go(qubit, read_out(up, down)[..., :1, :])
        else:
            # Only at the root: until then the qubit may be part of a wire.
            zero, one = np.moveaxis(read_out(up, down), -2, 0)
            self._reads[qubit] = np.stack([zero + one, zero - one], axis=-2)

    def _finished(self) -> CircuitTree:
        """Close the root, and number leaves and nodes as a topology does."""
        measured = self._rows.measured
        root, ends = self._joined(measured)
        for qubit, place in zip(measured, ends, strict=True):
            root.pending[place] = self._reads[qubit] @ root.pending[place]
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
            fresh = sum(given is not None and given.shape[-1] == 1 for given in piece.inputs)
            uploads = tuple(leaf_of[place] for place in piece.uploads)
            nodes.append(Node(wires, fresh, len(piece.kept), uploads))
            for row in self._piece_rows[k]:
                owners[row] = number
        if any(owners[row] < 0 for row in self._rows.checks):
            raise InvalidInputError(
                "a check of this circuit is joined with nothing that is read, so that how often it passes is "
                "not in the outcome's tree; run it on Aer"
            )
        topology = Topology((1,) * len(leaves), tuple(nodes))
        pieces = tuple(self._pieces[k] for k in numbers)
        return CircuitTree(
            topology,
            places,
            pieces,
            self._postselected,
            self._by_angle,
            tuple(owners),
            self._rows.settings,
        )

    def _reached(self) -> set[int]:
        """Leaves and nodes that the outcome depends on: a gate may have been no gate."""
        reached, open_ = set(), [len(self._pieces) - 1]
        while open_:
            child = open_.pop()
            reached.add(child)
            if child >= 0:
                open_.extend(self._pieces[child].children)
        return reached


def _last_uses(rows: Instructions) -> set[tuple[int, int]]:
    """(instruction, qubit) after which a qubit is reset next or never used; measured ones are kept."""
    needed, ends = set(rows.measured), set()
    for row in reversed(range(len(rows.names))):
        name = rows.names[row]
        for qubit in rows.qubits[row]:
            if name == "reset":
                needed.discard(qubit)
            elif qubit not in needed:
                needed.add(qubit)
                if row not in rows.checks:  # discarded where it is measured
                    ends.add((row, qubit))
    return ends


def _after_rotation(state: NDArray, gate: DataGate) -> NDArray:
    """Columns for 1, sin and cos of the data angle x of the state turned by sign * x + offset."""
    assert gate.plane is not None
    state = state @ _rotation(gate.plane, gate.offset).T
    a, b = gate.plane
    columns = np.zeros((*state.shape, 3))
    rest = np.ones(4, dtype=bool)
    rest[[a, b]] = False
    columns[..., rest, 0] = state[..., rest]
    columns[..., [a, b], 2] = state[..., [a, b]]
    columns[..., a, 1], columns[..., b, 1] = -gate.sign * state[..., b], gate.sign * state[..., a]
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
