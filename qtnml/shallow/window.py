"""The contraction of a circuit with a chain: a window of qubits that slides from site to site.

A qubit enters the window in |0> before its first gate. It leaves the window after its last gate, into the
tensor of its site. The largest array has (bond dimension) * 2**(qubits in the window) numbers. The window
holds L + 1 qubits for L staircases of gates on neighbours, and at most D + 1 qubits for a brick wall of depth
D, for any length of the chain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError

Pair = tuple[int, int]
MOST_QUBITS = 16  # in the window


@dataclass(frozen=True)
class Visit:
    """What happens before a place leaves the window.

    Attributes:
        gates: (gate, slot of its first qubit, slot of its second one), in order.
        place: Place in the chain that leaves; None for gates alone.
        slot: Where it was; its next tenant starts in |0>.
    """

    gates: tuple[tuple[int, int, int], ...]
    place: int | None
    slot: int


@dataclass(frozen=True)
class Window:
    """The walk along a chain of the qubits of a circuit.

    Attributes:
        num_places: Of the chain.
        pairs: Places of each gate, in order of time.
        visits: One for each place, in the order of `places`.
        width: Slots.
    """

    num_places: int
    pairs: tuple[Pair, ...]
    visits: tuple[Visit, ...]
    width: int

    @property
    def is_reversed(self) -> bool:
        """Whether it slides from the last place to the first."""
        return self.visits[0].place == self.num_places - 1 and self.num_places > 1

    def turn(self, place: int) -> int:
        """A place counted from the start of the walk."""
        return self.num_places - 1 - place if self.is_reversed else place

    @cached_property
    def tables(self) -> "Tables":
        """The walk as arrays of one shape for every step."""
        return _tables(self)


class Tables(NamedTuple):
    """A walk as steps that are all alike: so many gates each, and then perhaps a place that leaves.

    Amplitudes are rows (2**width); a permutation of rows brings the qubits that are acted on to the front.

    Attributes:
        gates: (steps, slots for gates); the number of gates stands for an identity.
        rows: Rows before each gate, (steps, gates, 2**width).
        back: Their inverses.
        leaving_rows, leaving_back: Before a place leaves, (steps, 2**width).
        leaves: Whether one does, (steps,).
        places: Which one, (steps,); 0 where none does.
    """

    gates: NDArray
    rows: NDArray
    back: NDArray
    leaving_rows: NDArray
    leaving_back: NDArray
    leaves: NDArray
    places: NDArray


@lru_cache(maxsize=256)
def window_of(num_places: int, pairs: tuple[Pair, ...], *, forward: bool = False) -> Window:
    """The narrower of the two walks, from the first place or from the last; with `forward` from the first.

    Raises:
        InvalidInputError: More than 16 qubits would be in the window.
    """
    for first, second in pairs:
        if not (0 <= first < num_places and 0 <= second < num_places) or first == second:
            raise InvalidInputError(
                f"a gate acts on two different places from 0 to {num_places - 1}, got {(first, second)}"
            )
    orders = [range(num_places)] if forward else [range(num_places), range(num_places)[::-1]]
    walks = [_walk(num_places, pairs, order) for order in orders]
    best = min(walks, key=lambda walk: walk.width)
    if best.width > MOST_QUBITS:
        raise InvalidInputError(
            f"this layout needs {best.width} qubits at once for its exact overlap with a chain, more than "
            f"{MOST_QUBITS}; take fewer layers, or gates between nearer sites"
        )
    return best


def _walk(num_places: int, pairs: Sequence[Pair], order: Sequence[int]) -> Window:
    on_place: list[list[int]] = [[] for _ in range(num_places)]
    for gate, pair in enumerate(pairs):
        for place in pair:
            on_place[place].append(gate)
    done = [False] * len(pairs)
    slot_of: dict[int, int] = {}
    free, width = list[int](), 0
    visits = []

    def slot(place: int) -> int:
        nonlocal width
        if place not in slot_of:
            if free:
                slot_of[place] = free.pop(0)
            else:
                slot_of[place] = width
                width += 1
        return slot_of[place]

    for place in order:
        cone = _cone(place, pairs, on_place, done)
        gates = tuple((gate, slot(pairs[gate][0]), slot(pairs[gate][1])) for gate in cone)
        for gate in cone:
            done[gate] = True
        leaving = slot(place)
        free.append(slot_of.pop(place))
        visits.append(Visit(gates, place, leaving))
    return Window(num_places, tuple(pairs), tuple(visits), max(2, width))  # a gate acts on two


def _cone(place: int, pairs: Sequence[Pair], on_place: list[list[int]], done: list[bool]) -> list[int]:
    """Gates that must come before a place leaves and have not come yet, in order of time."""
    latest: dict[int, int] = {place: len(pairs)}  # gates on a place count up to this one
    pending, found = [place], set[int]()
    while pending:
        at = pending.pop()
        for gate in on_place[at]:
            if gate >= latest[at] or gate in found or done[gate]:
                continue
            found.add(gate)
            for other in pairs[gate]:
                if latest.get(other, -1) < gate:
                    latest[other] = gate
                    pending.append(other)
    return sorted(found)


def _tables(window: Window) -> Tables:
    steps = _even_steps(window)
    size = max(1, max(len(step.gates) for step in steps))
    dim, none = 2**window.width, len(window.pairs)
    identity = np.arange(dim, dtype=np.int32)
    gates = np.full((len(steps), size), none, np.int32)
    rows, back = np.tile(identity, (2, len(steps), size, 1))
    leaving_rows, leaving_back = np.tile(identity, (2, len(steps), 1))
    axes = list(range(window.width))  # slot at each axis
    for t, step in enumerate(steps):
        for k, (gate, first, second) in enumerate(step.gates):
            gates[t, k] = gate
            rows[t, k], axes = to_front(axes, (first, second))
            back[t, k] = np.argsort(rows[t, k])
        if step.place is not None:
            leaving_rows[t], axes = to_front(axes, (step.slot,))
            leaving_back[t] = np.argsort(leaving_rows[t])
    leaves = np.array([step.place is not None for step in steps])
    places = np.array([step.place or 0 for step in steps], np.int32)
    return Tables(gates, rows, back, leaving_rows, leaving_back, leaves, places)


def to_front(axes: list[int], slots: tuple[int, ...]) -> tuple[NDArray, list[int]]:
    """Rows of an array of qubits after some slots' axes have moved to the front, and the new order."""
    order = [*(axes.index(slot) for slot in slots), *(k for k, slot in enumerate(axes) if slot not in slots)]
    rows = np.arange(2 ** len(axes), dtype=np.int32).reshape([2] * len(axes)).transpose(order).reshape(-1)
    return rows, [axes[k] for k in order]


def _even_steps(window: Window) -> list[Visit]:
    """Visits cut into steps of at most so many gates: the number for which all together cost least."""
    most = max(len(visit.gates) for visit in window.visits)

    def steps_of(size: int) -> int:
        return sum(max(1, -(-len(visit.gates) // size)) for visit in window.visits)

    # A place that leaves costs about as much as two gates.
    size = min(range(1, max(most, 1) + 1), key=lambda size: steps_of(size) * (size + 2))
    steps = []
    for visit in window.visits:
        parts = [visit.gates[k : k + size] for k in range(0, len(visit.gates), size)] or [()]
        steps += [Visit(part, None, visit.slot) for part in parts[:-1]]
        steps.append(Visit(parts[-1], visit.place, visit.slot))
    return steps
