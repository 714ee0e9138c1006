"""Costs of a compiled circuit, in total and level by level."""

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from qtnml.compile.expected import Expected
from qtnml.compile.schedule import depth_bound
from qtnml.program.timing import GateTimes, TypicalTimes, timeline, two_qubit_depth
from qtnml.shown import PrintedHtml

if TYPE_CHECKING:
    from qtnml.compile.compiled import Compiled


@dataclass(frozen=True)
class LevelReport:
    """Nodes of one height in the tree.

    Attributes:
        level: 1 above the leaves.
        nodes: How many.
        two_qubit_gates: In all of them.
        depth: Of the deepest node's gates.
        largest_infidelity: Of one node's channel to the network's.
    """

    level: int
    nodes: int
    two_qubit_gates: int
    depth: int
    largest_infidelity: float


@dataclass(frozen=True, repr=False)
class Report(PrintedHtml):
    """Resources of a circuit; prints as a table, `to_dict` and `to_json` for machines.

    Attributes:
        features: Of a sample.
        qubits: Physical qubits.
        depth: Longest path of gates, resets and the measurement.
        depth_over_bound: Depth of the nodes' gates in this schedule over the least that the longest path
            to the root, and the work on so many qubits, allow.
        two_qubit_gates: In all.
        two_qubit_depth: Longest path of them.
        gates: Number of each operation by name.
        resets: Mid-circuit resets.
        weights: Trained angles.
        duration: Seconds.
        idle: Seconds each physical qubit waits while its state matters.
        infidelity: 1 - product of the nodes' fidelities.
        levels: Level by level; empty where the circuit does not know its network.
        estimated_success: On the device it was compiled for: probability that nothing goes wrong.
        expected: What it will do there, exactly, by the calibration it was compiled for.
        device: Its name.
        layout: Physical qubits there.
        method: How qubits were chosen.
        passes: That rewrote the circuit.
    """

    features: int
    qubits: int
    depth: int
    depth_over_bound: float
    two_qubit_gates: int
    two_qubit_depth: int
    gates: dict[str, int]
    resets: int
    weights: int
    duration: float
    idle: tuple[float, ...]
    infidelity: float
    levels: tuple[LevelReport, ...]
    estimated_success: float | None = None
    expected: Expected | None = None
    device: str | None = None
    layout: tuple[int, ...] | None = None
    method: str = ""
    passes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; None is what is not known."""
        plain = asdict(self) | {
            "idle": list(self.idle),
            "layout": None if self.layout is None else list(self.layout),
            "passes": list(self.passes),
            "levels": [asdict(level) for level in self.levels],
            "expected": None if self.expected is None else self.expected.to_dict(),
        }
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in plain.items()}

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def rows(self) -> dict[str, str]:
        """Names and values for a person."""
        rows = {
            "features": f"{self.features}",
            "qubits": f"{self.qubits}",
            "two-qubit gates": f"{self.two_qubit_gates}",
            "two-qubit depth": f"{self.two_qubit_depth}",
            "depth": f"{self.depth} ({self.depth_over_bound:.2f} of its lower bound)",
            "gates": ", ".join(f"{number} {name}" for name, number in sorted(self.gates.items())),
            "resets": f"{self.resets}",
            "weights": f"{self.weights}",
            "duration": f"{self.duration * 1e6:.1f} us",
            "idle per qubit": f"{1e6 * sum(self.idle) / max(1, len(self.idle)):.1f} us on average, "
            f"{1e6 * max(self.idle, default=0.0):.1f} us at most",
            "infidelity": f"{self.infidelity:.1e}",
        }
        if self.passes:
            rows["passes"] = ", ".join(self.passes)
        if self.estimated_success is not None:
            rows["estimated success"] = f"{self.estimated_success:.3g} on {self.device} ({self.method})"
        if self.expected is not None:
            rows["expected"] = str(self.expected)
        for same in _alike(self.levels):
            level, last = same[0], same[-1].level
            name = f"level {level.level}" if last == level.level else f"levels {level.level} to {last}"
            worst = max(one.largest_infidelity for one in same)
            rows[name] = (
                f"{level.nodes} node(s), {level.two_qubit_gates} two-qubit gates, depth {level.depth} each, "
                f"infidelity up to {worst:.1e}"
            )
        return rows

    def __str__(self) -> str:
        rows = self.rows()
        width = max(map(len, rows))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def _alike(levels: tuple[LevelReport, ...]) -> list[list[LevelReport]]:
    """Runs of levels that cost the same."""
    runs = groupby(levels, key=lambda level: (level.nodes, level.two_qubit_gates, level.depth))
    return [list(run) for _, run in runs]


def report_on(compiled: "Compiled", times: GateTimes | None = None) -> Report:
    """See `CompiledCircuit.report`."""
    circuit = compiled.circuit
    line = timeline(compiled.program, times or compiled.device or TypicalTimes())
    used = range(circuit.num_qubits) if compiled.layout is None else compiled.layout
    gates = {str(name): int(number) for name, number in circuit.count_ops().items()}
    return Report(
        features=compiled.num_features,
        qubits=compiled.num_qubits,
        depth=compiled.depth,
        depth_over_bound=_over_bound(compiled),
        two_qubit_gates=compiled.two_qubit_gates,
        two_qubit_depth=two_qubit_depth(circuit),
        gates=gates,
        resets=compiled.num_resets,
        weights=len(compiled.w),
        duration=line.duration,
        idle=tuple(line.idle[qubit] for qubit in used),
        infidelity=compiled.infidelity,
        levels=_levels(compiled),
        estimated_success=compiled.estimated_success,
        expected=compiled.expected,
        device=None if compiled.device is None else compiled.device.name,
        layout=compiled.layout,
        method=compiled.method,
        passes=compiled.passes,
    )


def _over_bound(compiled: "Compiled") -> float:
    if not compiled.nodes:
        return float("nan")
    durations = [max(1, node.circuit.depth()) for node in compiled.nodes]
    bound = depth_bound(compiled.topology, compiled.num_qubits, durations)
    return compiled.schedule.makespan(durations) / bound


def _levels(compiled: "Compiled") -> tuple[LevelReport, ...]:
    if not compiled.nodes or math.isnan(compiled.infidelity):  # read from a file, or of other weights now
        return ()
    heights = compiled.topology.tree.heights
    count = Counter(heights)
    levels = []
    for level in sorted(count):
        nodes = [node for node, height in zip(compiled.nodes, heights, strict=True) if height == level]
        levels.append(
            LevelReport(
                level,
                count[level],
                sum(int(node.circuit.num_nonlocal_gates()) for node in nodes),
                max(int(node.circuit.depth()) for node in nodes),
                max(node.infidelity for node in nodes),
            )
        )
    return tuple(levels)
