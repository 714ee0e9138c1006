"""results.md and slopes.png from results.json."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(__file__).parent
TITLES = {
    "global": "1 - fidelity with the ground state",
    "local": "energy of the critical Ising chain, per spin",
}


def table(found: dict[str, Any]) -> list[str]:
    """A row for each start: slopes at the largest size, and the rate by which they fall."""
    size = max(row["qubits"] for row in found["rows"])
    lines = []
    for loss, title in TITLES.items():
        lines += [
            f"## Loss: {title}",
            "",
            f"| start | mean squared slope, {size} qubits | 95 % interval | loss still to fall | "
            "log2 of the mean squared slope, for each qubit more |",
            "|---|---|---|---|---|",
        ]
        for row in (row for row in found["rows"] if row["qubits"] == size):
            fit = next(f for f in found["slopes"] if (f["start"], f["loss"]) == (row["start"], loss))
            lines.append(
                f"| {row['start']} | {row[loss]:.2e} | "
                f"{row[f'{loss}, low']:.1e} to {row[f'{loss}, high']:.1e} | {row[f'{loss}, gap']:.2e} | "
                f"**{fit['slope']:+.2f}** +- {1.96 * fit['error']:.2f} |"
            )
        lines.append("")
    return lines


def figure(found: dict[str, Any]) -> None:
    """Mean squared slopes against qubits; below, as a share of what the loss has left to fall, squared."""
    plot, panels = plt.subplots(2, 2, figsize=(10, 7), layout="constrained", sharex=True)
    for column, (loss, title) in zip(panels.T, TITLES.items(), strict=True):
        for start in dict.fromkeys(row["start"] for row in found["rows"]):
            own = [row for row in found["rows"] if row["start"] == start]
            sizes = [row["qubits"] for row in own]
            dashes = "s:" if start in ("random", "near identity") else "o-"
            for axes, power in zip(column, (0, 2), strict=True):
                scale = np.array([row[f"{loss}, gap"] ** power for row in own])
                low, middle, high = (
                    np.array([row[key] for row in own]) / scale
                    for key in (f"{loss}, low", loss, f"{loss}, high")
                )
                (line,) = axes.semilogy(sizes, middle, dashes, label=start, markersize=4)
                axes.fill_between(sizes, low, high, color=line.get_color(), alpha=0.15, lw=0)
        column[0].set_title(title, fontsize=9)
        column[1].set_xlabel("qubits")
    panels[0, 0].set_ylabel("mean squared slope")
    panels[1, 0].set_ylabel("the same / (loss still to fall)$^2$")
    panels[0, 0].legend(fontsize=7)
    plot.savefig(HERE / "slopes.png", dpi=130)


def main() -> None:
    """Table and figure."""
    found = json.loads((HERE / "results.json").read_text())
    lines = table(found)
    (HERE / "results.md").write_text("\n".join(lines))
    print("\n".join(lines))
    figure(found)


if __name__ == "__main__":
    main()
