"""Schedule of a circuit: physical qubits of each leaf and node, their order, and the resets between them."""

import bisect
import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qtnml.compile.order import Remaining, minimal_order, peak
from qtnml.errors import InvalidInputError
from qtnml.program.timing import makespan
from qtnml.structure.topology import Topology

_PATIENCE = 16  # nodes that are ready but would block the rest, before the next event is waited for


@dataclass(frozen=True)
class Prepare:
    """Reset `resets`, then encode the leaf's features on `qubits`."""

    leaf: int
    qubits: tuple[int, ...]
    resets: tuple[int, ...]


@dataclass(frozen=True)
class Apply:
    """Reset `resets` (fresh qubits used before), then run the node's gates on `qubits`."""

    node: int
    qubits: tuple[int, ...]
    resets: tuple[int, ...]


@dataclass(frozen=True)
class Schedule:
    """Operations in order; `measured` are the root's kept qubits."""

    num_qubits: int
    operations: tuple[Prepare | Apply, ...]
    measured: tuple[int, ...]

    @property
    def num_resets(self) -> int:
        """Number of reset operations."""
        return sum(len(operation.resets) for operation in self.operations)

    def makespan(self, durations: Sequence[float], overhead: float = 0.0) -> float:
        """Length of the schedule if every operation runs as soon as its qubits are free.

        Args:
            durations: Duration of each node, in any unit.
            overhead: Duration of preparing a leaf, and of resetting qubits.
        """
        steps: list[tuple[Sequence[int], float]] = []
        for operation in self.operations:
            if operation.resets:
                steps.append((operation.resets, overhead))
            time = overhead if isinstance(operation, Prepare) else durations[operation.node]
            steps.append((operation.qubits, time))
        return makespan(steps, self.num_qubits)


def schedule_network(
    topology: Topology,
    num_qubits: int | None = None,
    durations: Sequence[float] | None = None,
    overhead: float = 0.0,
) -> Schedule:
    """A schedule of small depth on at most `num_qubits` physical qubits, by list scheduling.

    A node starts as soon as its inputs are ready and qubits for its leaves and fresh qubits are free. The
    node with the longest way to the root goes first, unless the rest would then no longer fit on
    `num_qubits`. A discarded qubit is reset when it is needed again, never before. Leaves are prepared when
    their node needs them.

    Args:
        topology: Tree to schedule.
        num_qubits: From `minimal_order(topology)[0]`, the default, to `all_qubits(topology)`.
        durations: Duration of each node, in any unit; all 1 by default.
        overhead: Duration of preparing a leaf, and of resetting qubits.

    Raises:
        InvalidInputError: Too few qubits.
    """
    least, most = minimal_order(topology)[0], all_qubits(topology)
    if num_qubits is not None and (
        isinstance(num_qubits, bool) or not isinstance(num_qubits, int | np.integer)
    ):
        raise InvalidInputError(f"num_qubits must be an integer from {least} to {most}, got {num_qubits!r}")
    k = least if num_qubits is None else min(num_qubits, most)
    if k < least:
        raise InvalidInputError(f"this network needs {least} to {most} qubits, got num_qubits={num_qubits}")
    times = [1.0] * len(topology.nodes) if durations is None else durations
    listed = _Scheduler(topology, k, times).run()
    if k > 2 * least:
        return listed
    # With few qubits to choose from, the order that needs fewest can be the shorter one.
    ordered = _Scheduler(topology, k, times).run_in_order(minimal_order(topology)[1])
    return min(
        listed, ordered, key=lambda schedule: (schedule.makespan(times, overhead), schedule.num_resets)
    )


def all_qubits(topology: Topology) -> int:
    """Number of physical qubits without any reuse."""
    return topology.num_data_qubits + sum(node.fresh for node in topology.nodes)


def depth_bound(topology: Topology, num_qubits: int, durations: Sequence[float]) -> float:
    """Lower bound on the length of schedules on `num_qubits`: the longest path, or all work shared evenly."""
    work = sum(size * time for size, time in zip(topology.num_qubits, durations, strict=True))
    return max(*_ways_to_root(topology, durations), work / num_qubits)


def _ways_to_root(topology: Topology, durations: Sequence[float]) -> list[float]:
    """Of each node: its own duration and those of all above it."""
    ways = list(durations)
    for k in reversed(range(len(topology.nodes))):
        for wire in topology.nodes[k].children:
            if wire >= topology.num_leaves:
                ways[wire - topology.num_leaves] += ways[k]
    return ways


class _Scheduler:
    """Simulates the circuit in time: nodes start, end, and let qubits go."""

    def __init__(self, topology: Topology, num_qubits: int, durations: Sequence[float]) -> None:
        self._topology, self._num_qubits, self._durations = topology, num_qubits, durations
        self._remaining, self._root = Remaining(topology), topology.num_leaves + len(topology.nodes) - 1
        self._unused, self._used = deque(range(num_qubits)), deque[int]()
        self._held: dict[int, tuple[int, ...]] = {}
        self._occupied = 0  # by the wires there will be once all that runs has ended
        self._operations: list[Prepare | Apply] = []
        self._running: list[tuple[float, int]] = []
        ways = _ways_to_root(topology, durations)
        self._missing = [sum(w >= topology.num_leaves for w in node.children) for node in topology.nodes]
        self._priority = lambda k: (-ways[k], k)
        self._ready = sorted((k for k, m in enumerate(self._missing) if not m), key=self._priority)

    def run(self) -> Schedule:
        """Until the root has ended."""
        time = 0.0
        while self._ready or self._running:
            self._start_what_can(time)
            time, k = heapq.heappop(self._running)
            self._end(k)
            while self._running and self._running[0][0] == time:
                self._end(heapq.heappop(self._running)[1])
        return Schedule(self._num_qubits, tuple(self._operations), self._held[self._root])

    def run_in_order(self, wires: Sequence[int]) -> Schedule:
        """Node after node in an order of wires."""
        for wire in wires:
            if wire >= self._topology.num_leaves:
                self._start(wire - self._topology.num_leaves, 0.0)
                self._end(heapq.heappop(self._running)[1])
        return Schedule(self._num_qubits, tuple(self._operations), self._held[self._root])

    def _start_what_can(self, time: float) -> None:
        if len(self._ready) == 1 and not self._running:  # nothing else could come first, as in a chain
            self._start(self._ready[0], time)
            return
        refused = 0
        for k in list(self._ready):
            if refused == _PATIENCE:
                break
            if self._needed(k) > len(self._unused) + len(self._used):
                continue
            if self._is_safe(k):
                self._start(k, time)
            else:
                refused += 1
        if not self._running:  # the next node of an optimal order always can
            wires = (w for segment in self._remaining.to_root() for w in segment.wires)
            k = next(w for w in wires if w >= self._topology.num_leaves) - self._topology.num_leaves
            self._start(k, time)

    def _leaves(self, k: int) -> list[int]:
        return [w for w in self._topology.nodes[k].children if w < self._topology.num_leaves]

    def _needed(self, k: int) -> int:
        """Qubits a node takes when it starts."""
        return self._topology.nodes[k].fresh + sum(map(self._topology.wire_width, self._leaves(k)))

    def _grown(self, k: int) -> int:
        """What it adds to the occupied qubits once it has ended."""
        node, width = self._topology.nodes[k], self._topology.wire_width
        return node.width - sum(width(w) for w in node.children if w >= self._topology.num_leaves)

    def _is_safe(self, k: int) -> bool:
        """All that is left can be done on the qubits there are, after this node."""
        changed = self._remaining.after(self._topology.num_leaves + k)
        level = self._occupied + self._grown(k)
        return level + peak(changed[self._root]) <= self._num_qubits

    def _start(self, k: int, time: float) -> None:
        topology, node = self._topology, self._topology.nodes[k]
        for leaf in self._leaves(k):
            qubits, resets = self._take(topology.leaf_widths[leaf])
            self._operations.append(Prepare(leaf, qubits, resets))
            self._held[leaf] = qubits
        fresh, resets = self._take(node.fresh)
        qubits = (*(q for wire in node.children for q in self._held.pop(wire)), *fresh)
        self._operations.append(Apply(k, qubits, resets))
        self._occupied += self._grown(k)
        wire = topology.num_leaves + k
        self._held[wire] = qubits
        self._remaining.finish(wire)
        self._ready.remove(k)
        heapq.heappush(self._running, (time + self._durations[k], k))

    def _end(self, k: int) -> None:
        wire, width = self._topology.num_leaves + k, self._topology.nodes[k].width
        qubits = self._held[wire]
        self._held[wire] = qubits[:width]
        self._used.extend(qubits[width:])
        parent = self._remaining.parents.get(wire)
        if parent is not None:
            above = parent - self._topology.num_leaves
            self._missing[above] -= 1
            if not self._missing[above]:
                bisect.insort(self._ready, above, key=self._priority)

    def _take(self, count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return (qubits, those of them to reset): unused ones first, then those discarded longest ago."""
        qubits = [self._unused.popleft() for _ in range(min(count, len(self._unused)))]
        resets = [self._used.popleft() for _ in range(count - len(qubits))]
        return (*qubits, *resets), tuple(resets)
