"""The order in which a circuit is walked through: qubits are joined as late as possible.

Gates on different qubits may change places. Gates within qubits that are already entangled come first, so
that finished qubits are discarded before others join. The reordering is needed because circuits translated by
Qiskit mix the gates of different nodes.
"""

import heapq
from collections import deque

from qtnml.noise.instructions import Instructions


def joins_last(rows: Instructions, *, backwards: bool = False) -> Instructions:
    """The same circuit in an order that keeps as few qubits together as it can be told one step ahead.

    Args:
        rows: A circuit.
        backwards: For a walk from the end.
    """
    return rows.taken(order_of(rows, backwards=backwards))


def order_of(rows: Instructions, *, backwards: bool) -> list[int]:
    """The order of `joins_last`, as row numbers."""
    count = len(rows.names)
    places = range(count - 1, -1, -1) if backwards else range(count)
    later: list[list[int]] = [[] for _ in range(count)]  # what follows on the qubits of each row
    missing = [0] * count
    last: dict[int, int] = {}
    for row in places:
        for qubit in rows.qubits[row]:
            if qubit in last:
                later[last[qubit]].append(row)
                missing[row] += 1
            last[qubit] = row
    groups = _Groups()
    inside, joins = deque[int](), list[int]()
    order = list[int]()

    def ready(row: int) -> None:
        if groups.holds(rows.qubits[row]):
            inside.append(row)
        else:
            groups.wait(row, rows.qubits[row])
            heapq.heappush(joins, -row if backwards else row)

    done = [False] * count
    for row in places:
        if not missing[row]:
            ready(row)
    while inside or joins:
        row = inside.popleft() if inside else abs(heapq.heappop(joins))
        if done[row]:
            continue
        done[row] = True
        order.append(row)
        qubits = rows.qubits[row]
        if rows.names[row] == "reset":
            groups.renew(qubits[0])
        elif len(qubits) > 1:
            inside.extend(groups.join(qubits))
        for following in later[row]:
            missing[following] -= 1
            if not missing[following]:
                ready(following)
    return order[::-1] if backwards else order


class _Groups:
    """Which qubits are entangled, and the gates that wait to join two groups."""

    def __init__(self) -> None:
        self._life: dict[int, int] = {}  # of each qubit; a reset begins another one
        self._parent: list[int] = []
        self._waiting: list[set[int]] = []

    def holds(self, qubits: tuple[int, ...]) -> bool:
        """Whether they are all in one group."""
        return len({self._root(qubit) for qubit in qubits}) == 1

    def wait(self, row: int, qubits: tuple[int, ...]) -> None:
        """Note a gate that would join groups."""
        for qubit in qubits:
            self._waiting[self._root(qubit)].add(row)

    def join(self, qubits: tuple[int, ...]) -> list[int]:
        """Make one group; the gates that waited to join just these."""
        found = list[int]()
        first = self._root(qubits[0])
        for qubit in qubits[1:]:
            other = self._root(qubit)
            if other == first:
                continue
            if len(self._waiting[other]) > len(self._waiting[first]):
                first, other = other, first
            both = self._waiting[first] & self._waiting[other]
            found += sorted(both)
            self._waiting[first] |= self._waiting[other]
            self._waiting[first] -= both
            self._waiting[other] = set()
            self._parent[other] = first
        return found

    def renew(self, qubit: int) -> None:
        """A qubit that is reset hangs together with none."""
        self._life[qubit] = self._new()

    def _new(self) -> int:
        self._parent.append(len(self._parent))
        self._waiting.append(set())
        return len(self._parent) - 1

    def _root(self, qubit: int) -> int:
        if qubit not in self._life:
            self._life[qubit] = self._new()
        root = self._life[qubit]
        while self._parent[root] != root:
            self._parent[root] = self._parent[self._parent[root]]
            root = self._parent[root]
        return root
