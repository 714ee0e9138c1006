"""Qubits that are entangled while a noisy circuit is walked through, and the maps they leave behind.

Qubits that a gate joins are held together. Once some of them are discarded, the others form a *wire*. What
happened to them is one linear map of the wires and qubits that went in. Noise on single qubits and on a
gate's qubits stays inside such a map, so the map is exact for any noise. This module does not depend on the
direction of time: `walk` follows states forwards, `backwards` follows effects from the end.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.noise.tree import Piece

_LARGEST_MAP = 2**24  # numbers: 134 MB
IDENTITY: NDArray = np.eye(4)
_TOO_WIDE = (
    "{} qubits of this circuit are entangled at once (routing by SWAPs does that), too many for an exact "
    "map; compile it for fewer qubits (num_qubits=...), where a tree needs no SWAP, truncate a Born "
    "machine's bonds, or run it on Aer: get_backend('aer', noise=noise)"
)
TRACE: NDArray = np.array([[1.0, 0.0, 0.0, 0.0]])


@dataclass
class Group:
    """Qubits that are held together: qubit -> local place, and what happened to them.

    Attributes:
        places: Of the qubits still held.
        children: Wires that went in; leaves are negative.
        inputs: Of each place a map onto it, None for a qubit of an inner wire.
        pairs, maps: Gates on two places.
        pending: Of each place what happened since the last of them.
        last: Of each discarded place, what became of it.
        uploads: Data angle of each place that data entered again.
        rows: Instructions it is made of.
    """

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

    @classmethod
    def known(cls, qubit: int, state: NDArray, children: Iterable[int] = ()) -> "Group":
        """One qubit with a map (4, levels) onto it."""
        return cls({qubit: 0}, list(children), [state], pending=[IDENTITY])


class Groups:
    """All of them at one time."""

    def __init__(self, largest: int | None = None) -> None:
        self._largest = _LARGEST_MAP if largest is None else largest
        self._groups: dict[int, Group] = {}
        self._pieces: list[Piece] = []
        self._piece_rows: list[list[int]] = []

    def __contains__(self, qubit: int) -> bool:
        return qubit in self._groups

    def _joined(self, qubits: tuple[int, ...]) -> tuple[Group, list[int]]:
        """The group of all of these qubits, and their places."""
        first = self._groups[qubits[0]]
        for qubit in qubits[1:]:
            if self._groups[qubit] is not first:
                first = self._merged(first, self._groups[qubit])
        return first, [first.places[q] for q in qubits]

    def _merged(self, first: Group, second: Group) -> Group:
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
        _check_inputs(first, self._largest)
        return first

    def _as_input(self, group: Group) -> Group:
        """A group that has let qubits go becomes a wire, unless nothing went in."""
        if not group.last or not group.children:
            return group
        self._close(group)
        return self._groups[next(iter(group.places))]

    def _let_go(self, qubit: int, effect: NDArray) -> Group:
        group = self._groups.pop(qubit)
        place = group.places.pop(qubit)
        group.last[place] = effect @ group.pending[place]
        return group

    def _close(self, group: Group, order: Iterable[int] | None = None) -> int:
        """Make a group a node; its remaining qubits are its wire, and begin a new group."""
        qubits = list(order) if order is not None else sorted(group.places, key=group.places.__getitem__)
        kept = tuple(group.places[q] for q in qubits)
        _check_size(group, len(kept), self._largest)
        last = tuple(group.last.get(place, group.pending[place]) for place in range(len(group.inputs)))
        uploads: tuple[int, ...] = ()
        if group.uploads:
            if len(group.uploads) < len(group.inputs):
                raise InvalidInputError(
                    "data are uploaded again on some qubits of a node only; run it on Aer"
                )
            uploads = tuple(group.uploads[place] for place in range(len(group.inputs)))
        maps = np.stack(np.broadcast_arrays(*group.maps)) if group.maps else np.empty((0, 16, 16))
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
        wire = Group(
            {q: k for k, q in enumerate(qubits)},
            [node],
            [None] * len(qubits),
            pending=[IDENTITY] * len(qubits),
        )
        for qubit in qubits:
            self._groups[qubit] = wire
        return node


def kron(a: NDArray, b: NDArray) -> NDArray:
    """The Kronecker product of the last two axes; those before are the same in both, or missing."""
    product = a[..., :, None, :, None] * b[..., None, :, None, :]
    rows, columns = a.shape[-2] * b.shape[-2], a.shape[-1] * b.shape[-1]
    return np.asarray(product.reshape(*product.shape[:-4], rows, columns))


def _check_inputs(group: Group, largest: int) -> None:
    """Early, while a group grows: its map is never smaller than what goes in."""
    if math.prod(_input_dim(given) for given in group.inputs) > largest:
        raise InvalidInputError(_TOO_WIDE.format(len(group.inputs)))


def _check_size(group: Group, kept: int, largest: int) -> None:
    """The largest map on the way from the last gate to the first, as `tree` makes it."""
    begins: dict[int, int] = {}
    for gate, pair in enumerate(group.pairs):
        for place in pair:
            begins.setdefault(place, gate)
    numbers = math.prod(_input_dim(given) for place, given in enumerate(group.inputs) if place not in begins)
    numbers, open_, widest = numbers * 4**kept, set[int](), 0
    for gate in reversed(range(len(group.pairs))):
        for place in group.pairs[gate]:
            if place not in open_:
                open_.add(place)
                numbers *= 4
        widest = max(widest, numbers)
        for place in group.pairs[gate]:
            if begins[place] == gate:
                open_.remove(place)
                numbers = numbers // 4 * _input_dim(group.inputs[place])
    if max(widest, numbers) > largest:
        raise InvalidInputError(_TOO_WIDE.format(len(group.inputs)))


def _input_dim(given: NDArray | None) -> int:
    return 4 if given is None else given.shape[-1]
