"""The order of wires that needs the fewest qubits, over all topological orders, not only depth-first ones.

This is generalised pebbling of a tree (Liu, SIAM J. Algebraic Discrete Methods 8, 375, 1987). Follow the
number of occupied qubits while a subtree runs. It is cut into *segments*; each rises to a hill and falls to a
valley. In an optimal order a segment can be taken as a whole. Segments of different subtrees are merged by
one rule: first the segments that end lower than they begin, lowest hill first; then the others, deepest
descent from their hill first.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from qtnml.structure.topology import Topology


@dataclass(frozen=True)
class Segment:
    """A run of steps: the most qubits beyond those at its beginning, the change at its end, its wires."""

    hill: int
    change: int
    wires: tuple[int, ...]

    @property
    def rank(self) -> tuple[int, int]:
        """Segments are taken in ascending order of it."""
        return (0, self.hill) if self.change <= 0 else (1, self.change - self.hill)


def minimal_order(topology: Topology) -> tuple[int, tuple[int, ...]]:
    """Smallest number of qubits over all orders of wires, and an order that reaches it.

    For data leaves with N/V a power of two it is V log2(2N/V) (arXiv:1803.11537). For fresh leaves it is
    V (log2 N + 1), and for a chain V + 1.
    """
    segments = Remaining(topology).to_root()
    return peak(segments), tuple(wire for segment in segments for wire in segment.wires)


class Remaining:
    """Segments of every subtree, given which wires are there already.

    Attributes:
        segments: For each wire, those of everything that is still to be done for it, in order; up to date
            after `to_root`.
        parents: For each wire but the root's, the wire that leaves the node it enters.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        first = topology.num_leaves
        self.parents = {w: first + k for k, node in enumerate(topology.nodes) for w in node.children}
        self.segments: list[tuple[Segment, ...]] = []
        self._finished: list[int] = []
        for wire in range(first + len(topology.nodes)):
            self.segments.append(self._of(wire, {}))

    def _of(self, wire: int, changed: dict[int, tuple[Segment, ...]]) -> tuple[Segment, ...]:
        topology = self._topology
        width = topology.wire_width(wire)
        if wire < topology.num_leaves:
            return (Segment(width, width, (wire,)),)
        node = topology.nodes[wire - topology.num_leaves]
        inputs = sum(map(topology.wire_width, node.children))
        step = Segment(max(node.fresh, width - inputs), width - inputs, (wire,))
        return tuple(
            _canonical([*merged(changed.get(child, self.segments[child]) for child in node.children), step])
        )

    def after(self, wire: int) -> dict[int, tuple[Segment, ...]]:
        """What changes, up to the root, once a wire is there: nothing is left to do for it."""
        self.to_root()
        changed: dict[int, tuple[Segment, ...]] = {wire: ()}
        while wire in self.parents:
            wire = self.parents[wire]
            changed[wire] = self._of(wire, changed)
        return changed

    def finish(self, wire: int) -> None:
        """A wire is there; what changes above it is worked out when it is asked for."""
        self._finished.append(wire)

    def to_root(self) -> tuple[Segment, ...]:
        """Segments of everything that is left."""
        changed = set()
        for wire in self._finished:
            self.segments[wire] = ()
            while wire in self.parents and self.parents[wire] not in changed:
                wire = self.parents[wire]
                changed.add(wire)
        self._finished.clear()
        for wire in sorted(changed):
            if self.segments[wire]:
                self.segments[wire] = self._of(wire, {})
        return self.segments[-1]


def merged(parts: Iterable[tuple[Segment, ...]]) -> list[Segment]:
    """Segments of independent subtrees in the order that needs the fewest qubits."""
    return sorted((segment for part in parts for segment in part), key=lambda segment: segment.rank)


def peak(segments: Iterable[Segment]) -> int:
    """Most qubits at any time, beyond those at the beginning."""
    level = highest = 0
    for segment in segments:
        highest = max(highest, level + segment.hill)
        level += segment.change
    return highest


def _canonical(steps: list[Segment]) -> Iterator[Segment]:
    """Join steps into segments of ascending rank."""
    levels = [0]
    for step in steps:
        levels.append(levels[-1] + step.change)
    lowest = max(k for k, level in enumerate(levels) if level == min(levels))
    # Up to the lowest level time runs backwards: the same cuts, seen from there.
    backwards = [Segment(s.hill - s.change, -s.change, s.wires) for s in reversed(steps[:lowest])]
    for part in reversed(list(_ascending(backwards))):
        segment = _joined(steps[:lowest][len(backwards) - part[1] : len(backwards) - part[0]])
        yield segment
    for start, stop in _ascending(steps[lowest:]):
        yield _joined(steps[lowest:][start:stop])


def _ascending(steps: list[Segment]) -> Iterator[tuple[int, int]]:
    """Cuts (start, stop) at hills that fall and valleys that rise: each to the lowest point after the
    highest.
    """
    tops, levels = [], [0]
    for step in steps:
        tops.append(levels[-1] + step.hill)
        levels.append(levels[-1] + step.change)
    start = 0
    while start < len(steps):
        highest = max(range(start, len(steps)), key=lambda k: (tops[k], k))
        stop = min(range(highest + 1, len(steps) + 1), key=lambda k: (levels[k], -k))
        yield start, stop
        start = stop


def _joined(steps: list[Segment]) -> Segment:
    wires = tuple(wire for step in steps for wire in step.wires)
    return Segment(peak(steps), sum(step.change for step in steps), wires)
