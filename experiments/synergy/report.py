"""results.md and curves.png from what `run.py` and `noisy.py` found."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(__file__).parent
TITLES = {
    "bars-and-stripes-adam": "Bars and stripes 4x3, KL divergence (nats), Adam",
    "bars-and-stripes-cma-es": "Bars and stripes 4x3, KL divergence (nats), CMA-ES (lowest so far)",
    "heisenberg-adam": "Heisenberg's chain of 12, energy above the ground state, Adam",
}


def losses_of(facts: dict[str, Any], start: str) -> np.ndarray:
    """(seeds, marks); energies from the ground state on."""
    return np.array(facts["starts"][start]["losses"]) - facts.get("exact", 0.0)


def table(name: str, facts: dict[str, Any]) -> list[str]:
    """Medians over seeds after so many steps, and the quartiles at the end."""
    marks = facts["marks"]
    lines = [f"## {TITLES[name]}", ""]
    lines.append(
        f"| start | chain itself | fidelity of the circuit | {' | '.join(map(str, marks))} | quartiles |"
    )
    lines.append("|---" * (len(marks) + 4) + "|")
    for start, own in facts["starts"].items():
        losses = losses_of(facts, start)
        cells = ["", ""]
        if own["chain"][0] is not None:
            chain = np.median(own["chain"]) - facts.get("exact", 0.0)
            cells = [f"{chain:.3g}", f"{np.median(own['fidelity']):.3f}"]
        cells += [f"{value:.3g}" for value in np.median(losses, axis=0)]
        low, high = np.quantile(losses[:, -1], [0.25, 0.75])
        lines.append(f"| {start} | {' | '.join(cells)} | {low:.3g} to {high:.3g} |")
    return [*lines, ""]


def noisy() -> list[str]:
    """KL under noise before and after."""
    rows = json.loads((HERE / "noisy.json").read_text())
    lines = [
        "## Bars and stripes 3x2 under a device's noise: exact KL divergence (nats)",
        "",
        "| start | optimiser | before | after | range | CX | qubits | shots |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for start, optimizer in dict.fromkeys((row["start"], row["optimizer"]) for row in rows):
        own = [row for row in rows if (row["start"], row["optimizer"]) == (start, optimizer)]
        before, after = (np.array([row[key] for row in own]) for key in ("before", "after"))
        lines.append(
            f"| {start} | {optimizer} | {np.median(before):.2f} | **{np.median(after):.2f}** | "
            f"{after.min():.2f} to {after.max():.2f} | {own[0]['two_qubit_gates']} | {own[0]['qubits']} | "
            f"{own[0]['shots']:,} |"
        )
    return [*lines, ""]


def figure(found: dict[str, dict[str, Any]]) -> None:
    """Medians and quartiles against steps."""
    plot, panels = plt.subplots(1, len(found), figsize=(5 * len(found), 4), layout="constrained")
    for axes, (name, facts) in zip(np.atleast_1d(panels), found.items(), strict=True):
        for k, start in enumerate(facts["starts"]):
            losses = losses_of(facts, start)
            low, middle, high = np.quantile(losses, [0.25, 0.5, 0.75], axis=0)
            steps = np.maximum(facts["marks"], 3)  # the first mark is 0
            dashes = ":" if start in ("random", "near identity") else "--" if "layers" in start else "-"
            axes.loglog(steps, middle, f"o{dashes}", color=f"C{k}", label=start, markersize=3)
            axes.fill_between(steps, low, high, color=f"C{k}", alpha=0.12, lw=0)
        axes.set_title(TITLES[name], fontsize=9)
        axes.set_xlabel("steps (the first point is the start)")
        axes.legend(fontsize=7)
    plot.savefig(HERE / "curves.png", dpi=130)


def main() -> None:
    """Tables and figure of the runs that are there."""
    paths = {name: HERE / f"{name}.json" for name in TITLES}
    found = {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}
    lines = [line for name, facts in found.items() for line in table(name, facts)]
    if (HERE / "noisy.json").exists():
        lines += noisy()
    (HERE / "results.md").write_text("\n".join(lines))
    print("\n".join(lines))
    figure(found)


if __name__ == "__main__":
    main()
