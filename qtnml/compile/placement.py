"""Placement of a tree's lanes on a device: disjoint paths of good qubits, with their bottoms close together.

Many placements are grown at random, lane by lane, each near the lane it will be joined with. The placement
with the smallest expected damage from gates, resets, waiting and missing couplings is kept.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qtnml.arrays import NDArray
from qtnml.compile.lanes import Arrangement
from qtnml.program.device import Device

_RESTARTS = 1000
_STEPS = 400  # of the search for one path, before another bottom is tried
_SWAP = 3  # two-qubit gates


@dataclass(frozen=True)
class Load:
    """What the operations ask of each position.

    Attributes:
        gates: Two-qubit gates on pairs of positions.
        resets: Of each position, how many.
        idle: Seconds each position waits while its state matters.
        measured: Positions read out.
    """

    gates: dict[tuple[int, int], int]
    resets: tuple[int, ...]
    idle: tuple[float, ...]
    measured: tuple[int, ...]


def place(arrangement: Arrangement, load: Load, device: Device, seed: int = 0) -> tuple[int, ...] | None:
    """Physical qubit of every position, or None if no placement was found."""
    if arrangement.schedule.num_qubits > device.num_qubits:
        return None
    search = _Search(arrangement, load, device, np.random.default_rng(seed))
    found = (search.grow() for _ in range(_RESTARTS))
    best = min((layout for layout in found if layout is not None), key=search.cost, default=None)
    return None if best is None else tuple(best)


class _Search:
    def __init__(
        self, arrangement: Arrangement, load: Load, device: Device, rng: np.random.Generator
    ) -> None:
        self._arrangement, self._load, self._rng = arrangement, load, rng
        self._neighbours = device.neighbours
        self._distances = _distances(device)
        gate = device.two_qubit_gate
        self._gate_cost = np.full((device.num_qubits, device.num_qubits), np.inf)
        for a, joined in enumerate(device.neighbours):
            for b in joined:
                self._gate_cost[a, b] = _lost(device.error(gate, (a, b)))
        finite = self._gate_cost[np.isfinite(self._gate_cost)]
        self._typical = max(float(np.median(finite)), 1e-6)
        qubits = range(device.num_qubits)
        self._reset_cost = np.array([_lost(device.error("reset", (q,))) for q in qubits])
        self._readout_cost = np.array([_lost(device.error("measure", (q,))) for q in qubits])
        self._idle_cost = np.array(
            [[_lost(device.relaxation_error(q, t)) for q in qubits] for t in load.idle]
        )
        self._partners = self._joined_lanes()
        # Qubits in the order of how much they spoil, for starting points.
        spoil = self._reset_cost + np.where(np.isfinite(self._gate_cost), self._gate_cost, 0).max(axis=1)
        order = np.argsort(spoil)
        chances = 1.0 / (1.0 + np.argsort(order))
        self._chances = chances / chances.sum()

    def _joined_lanes(self) -> list[int | None]:
        """Of each lane, in the order they are placed, an earlier one whose bottom it will meet."""
        lane_of = {lane.positions[0]: k for k, lane in enumerate(self._arrangement.lanes)}
        partner: list[int | None] = [None] * len(self._arrangement.lanes)
        for join in self._arrangement.joins:
            bottoms = [lane_of[qubit] for qubit in join.qubits if qubit in lane_of]
            for other in bottoms[1:]:
                partner[other] = bottoms[0]
        return partner

    def grow(self) -> list[int] | None:
        """One random placement."""
        layout = [-1] * self._arrangement.schedule.num_qubits
        free = set(range(len(self._neighbours)))
        for k, lane in enumerate(self._arrangement.lanes):
            other = self._partners[k]
            near = None if other is None else layout[self._arrangement.lanes[other].positions[0]]
            path = self._path(len(lane.positions), near, free)
            if path is None:
                return None
            for position, qubit in zip(lane.positions, path, strict=True):
                layout[position] = qubit
            free.difference_update(path)
        for position, qubit in enumerate(layout):  # fresh qubits of joins
            if qubit < 0:
                layout[position] = min(free, key=lambda q: self._distances[layout[0], q])
                free.discard(layout[position])
        return layout

    def _path(self, length: int, near: int | None, free: set[int]) -> list[int] | None:
        """A simple path of free qubits whose first is near another."""
        if near is None:
            tried = min(8, len(self._chances))
            bottoms = list(self._rng.choice(len(self._chances), tried, replace=False, p=self._chances))
        else:
            noise = self._rng.random(len(self._chances))
            bottoms = sorted(free, key=lambda q: self._distances[near, q] + 0.9 * noise[q])[:12]
        for bottom in bottoms:
            if bottom in free and (path := self._walk(int(bottom), length, free)) is not None:
                return path
        return None

    def _walk(self, bottom: int, length: int, free: set[int]) -> list[int] | None:
        """Depth-first search with random choices, good couplings first."""
        path, options, steps = [bottom], [self._options(bottom, free, {bottom})], 0
        while len(path) < length:
            steps += 1
            if steps > _STEPS:
                return None
            if options[-1]:
                qubit = options[-1].pop()
                path.append(qubit)
                options.append(self._options(qubit, free, set(path)))
            else:
                path.pop()
                options.pop()
                if not path:
                    return None
        return path

    def _options(self, qubit: int, free: set[int], taken: set[int]) -> list[int]:
        """Free neighbours, the likeliest last."""
        found = [q for q in self._neighbours[qubit] if q in free and q not in taken]
        costs = [(self._gate_cost[qubit, q] + self._reset_cost[q]) * self._rng.exponential() for q in found]
        return [q for _, q in sorted(zip(costs, found, strict=True), reverse=True)]

    def cost(self, layout: Sequence[int]) -> float:
        """About minus the logarithm of the probability that nothing goes wrong."""
        total = 0.0
        for (a, b), number in self._load.gates.items():
            error = self._gate_cost[layout[a], layout[b]]
            if np.isfinite(error):
                total += number * error
            else:  # moved together once, and the partner back if it is used again
                total += self._typical * (number + _SWAP * (self._distances[layout[a], layout[b]] - 1))
        for position, qubit in enumerate(layout):
            total += self._load.resets[position] * self._reset_cost[qubit]
            total += self._idle_cost[position, qubit]
        return float(total + sum(self._readout_cost[layout[p]] for p in self._load.measured))


def _lost(error: float) -> float:
    """Minus the logarithm of success."""
    return -math.log1p(-min(error, 0.999))


def _distances(device: Device) -> NDArray:
    """Hops between every two qubits, (qubits, qubits)."""
    count = device.num_qubits
    found = np.full((count, count), 2 * count)
    for start in range(count):
        found[start, start] = 0
        queue = deque([start])
        while queue:
            qubit = queue.popleft()
            for other in device.neighbours[qubit]:
                if found[start, other] > found[start, qubit] + 1:
                    found[start, other] = found[start, qubit] + 1
                    queue.append(other)
    return found
