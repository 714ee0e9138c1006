"""Qubits against depth and time, from the fewest qubits to all; see README.md.

python experiments/compiler_tradeoff/run.py [--smoke]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qtnml.ansatz import TensorNetwork
from qtnml.compile import all_qubits, compile_network, depth_bound, minimal_order
from qtnml.encoding import AngleEncoding
from qtnml.structure import Topology, balanced_tree

FOLDER = Path(__file__).parent
TREES = {"V=1": balanced_tree(64), "V=2": balanced_tree(64, 2)}


def measure(name: str, topology: Topology) -> list[dict[str, Any]]:
    """One row for each number of qubits."""
    network = TensorNetwork.random(topology, np.random.default_rng(0), scale=2.0)
    rows = []
    for width in range(minimal_order(topology)[0], all_qubits(topology) + 1):
        compiled = compile_network(network, AngleEncoding(), num_qubits=width)
        report = compiled.report()
        durations = [max(1, node.circuit.depth()) for node in compiled.nodes]
        rows.append(
            {
                "tree": name,
                "qubits": width,
                "depth": compiled.depth,
                "gate_depth": compiled.schedule.makespan(durations),
                "bound": depth_bound(topology, width, durations),
                "resets": report.resets,
                "duration_us": report.duration * 1e6,
                "idle_us": sum(report.idle) * 1e6,
            }
        )
    return rows


def pareto(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that no row with fewer qubits beats in depth."""
    found, least = [], float("inf")
    for row in rows:
        if row["depth"] < least:
            found.append(row)
            least = row["depth"]
    return found


def table(rows: list[dict[str, Any]]) -> str:
    columns = ["tree", "qubits", "depth", "depth of nodes", "lower bound", "ratio", "resets", "duration us"]
    columns += ["idle us, all qubits"]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        cells = [row["tree"], row["qubits"], row["depth"], f"{row['gate_depth']:.0f}", f"{row['bound']:.0f}"]
        cells += [f"{row['gate_depth'] / row['bound']:.2f}", row["resets"]]
        cells += [f"{row['duration_us']:.1f}", f"{row['idle_us']:.0f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def figure(rows: list[dict[str, Any]]) -> Figure:
    drawn = Figure(figsize=(10, 4), layout="constrained")
    panels = drawn.subplots(1, 2)
    for axes, name in zip(panels, TREES, strict=True):
        chosen = [row for row in rows if row["tree"] == name]
        widths = [row["qubits"] for row in chosen]
        axes.plot(
            widths, [row["gate_depth"] for row in chosen], ".", color="0.7", label="every number of qubits"
        )
        front = pareto(chosen)
        axes.step(
            [row["qubits"] for row in front],
            [row["gate_depth"] for row in front],
            where="post",
            color="#1f5fa8",
            label="Pareto front",
        )
        axes.plot(widths, [row["bound"] for row in chosen], "--", color="#b3261e", label="lower bound")
        axes.set(
            xlabel="qubits", ylabel="depth of the nodes' gates", title=f"64 leaves, {name}", ylim=(0, None)
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="16 leaves, prints only")
    if parser.parse_args().smoke:
        print(table(pareto(measure("V=1", balanced_tree(16)))))
        return
    rows = [row for name, topology in TREES.items() for row in measure(name, topology)]
    (FOLDER / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    fronts = [row for name in TREES for row in pareto([row for row in rows if row["tree"] == name])]
    (FOLDER / "results.md").write_text(table(fronts))
    figure(rows).savefig(FOLDER / "tradeoff.png", dpi=120)
    print(table(fronts))


if __name__ == "__main__":
    main()
