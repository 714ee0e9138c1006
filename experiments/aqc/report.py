"""results.md, tutorials.png and long_chains.png from what `run.py` and `long_chains.py` found."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

HERE = Path(__file__).parent


def tutorials(rows: list[dict[str, Any]]) -> list[str]:
    """A row for each case."""
    lines = [
        "| case | F of the start: addon, qtnml | published end | addon: end | qtnml: end, same target | "
        "qtnml: end, target not truncated | ms per iteration: addon, qtnml | seconds: addon, qtnml |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        theirs, same, ours = row["addon"], row["ours_on_its_target"], row["ours"]
        ratio = theirs["ms_per_iteration"] / same["ms_per_iteration"]
        lines.append(
            f"| {row['case']} | {theirs['start_without_truncation']:.7f}, {ours['start']:.7f} | "
            f"{row['published'][1]:.8f} | {theirs['end']:.8f} | {same['end']:.8f} | **{ours['end']:.8f}** | "
            f"{theirs['ms_per_iteration']:.1f}, **{same['ms_per_iteration']:.1f}** ({ratio:.0f} times) | "
            f"{theirs['seconds']:.1f}, {same['seconds']:.1f} |"
        )
    return lines


def chains(found: dict[str, Any]) -> list[str]:
    """Depths beside Trotter circuits that err as little."""
    lines = [
        "| 100 spins | steps | blocks deep | CX depth | CX | angles | 1 - F of the Trotter circuit | "
        "1 - F optimised | Trotter circuit as good: steps, blocks deep | s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found["chains"]:
        for each in row["optimised"]:
            good = [t for t in row["trotter"] if t["infidelity"] <= each["infidelity"]]
            equal = f"{good[0]['steps']}, {good[0]['blocks_deep']}" if good else "none tried"
            lines.append(
                f"| {row['hamiltonian']} | {each['steps']} | {each['blocks_deep']} | "
                f"{each['two_qubit_depth']} | {each['two_qubit_gates']} | {each['parameters']} | "
                f"{each['infidelity_of_start']:.1e} | **{each['infidelity']:.1e}** | {equal} | "
                f"{each['seconds']} |"
            )
    return lines


def figures(rows: list[dict[str, Any]], found: dict[str, Any]) -> None:
    """Infidelity against seconds, and against depth."""
    plot, panels = plt.subplots(1, len(rows), figsize=(3.4 * len(rows), 3), layout="constrained")
    for axes, row in zip(panels, rows, strict=True):
        for name, key, colour in (
            ("qiskit-addon-aqc-tensor", "addon", "#c55"),
            ("qtnml, same target", "ours_on_its_target", "#1f4e9c"),
        ):
            seconds, fidelities = zip(*row[key]["curve"], strict=True)
            axes.semilogy(seconds[1:], [max(1 - f, 1e-12) for f in fidelities[1:]], label=name, color=colour)
        axes.axhline(1 - row["published"][1], color="gray", lw=0.8, ls="--")
        axes.set_title(row["case"], fontsize=9)
        axes.set_xlim(left=0)
        axes.tick_params(labelsize=7, which="both")
        axes.set_xlabel("seconds, compilation included", fontsize=8)
    panels[0].set_ylabel("1 - fidelity")
    panels[0].legend(fontsize=7)
    plot.savefig(HERE / "tutorials.png", dpi=130)
    plot, panels = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained", sharey=True)
    for axes, row in zip(panels, found["chains"], strict=True):
        for name, key, mark in (("Trotter", "trotter", "s--"), ("optimised", "optimised", "o-")):
            points = [(each["blocks_deep"], each["infidelity"]) for each in row[key]]
            axes.semilogy(*zip(*points, strict=True), mark, label=name, markersize=4)
        axes.set_title(f"{row['hamiltonian']}, 100 spins, t = {found['time']:g}", fontsize=9)
        axes.set_xlabel("depth in two-qubit blocks")
    panels[0].set_ylabel("1 - fidelity")
    panels[0].legend(fontsize=8)
    plot.savefig(HERE / "long_chains.png", dpi=130)


def main() -> None:
    """Tables and figures."""
    rows = json.loads((HERE / "tutorials.json").read_text())
    found = json.loads((HERE / "long_chains.json").read_text())
    angles = found["many_angles"]
    lines = [*tutorials(rows), "", *chains(found), ""]
    before, after = angles["infidelity_of_start"], angles["infidelity"]
    lines.append(
        f"{angles['qubits']} spins, {angles['parameters']:,} angles: 1 - F {before:.2e} -> {after:.2e} in "
        f"{angles['iterations']} iterations, {angles['ms_per_iteration']:.0f} ms each, "
        f"{angles['seconds']} s in all; certificate {angles['deviation_of_certificate']:.0e}."
    )
    (HERE / "results.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    figures(rows, found)


if __name__ == "__main__":
    main()
