"""results.md and density.png from results.json."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from sets import PUBLISHED

HERE = Path(__file__).parent
OURS = {
    "tree": "one tree",
    "bond 2": "16 of bond 2",
    "mixture": "4 components",
    "average": "3 x 4, averaged",
    "tuned": "tuned",
}
NAMES = OURS | {"average of 1": "3 x 1, averaged"}
CANDIDATES = ("tree", "bond 2", "mixture", "average of 1", "average")
OTHERS = ("mixture of trees", "Strudel", "HCLT")


def tuned(rows: dict[str, Any]) -> dict[str, Any] | None:
    """Of all models the one with the best validation rows."""
    if not all(name in rows for name in CANDIDATES):
        return None
    return max((rows[name] | {"model": name} for name in CANDIDATES), key=lambda row: row["validation"])


def main() -> None:
    """Write both."""
    results = json.loads((HERE / "results.json").read_text())
    for rows in results.values():
        if (best := tuned(rows)) is not None:
            rows["tuned"] = best
    lines = ["## Mean test log-likelihood, nats", ""]
    shown = [name for name in OURS if all(name in rows for rows in results.values())]
    heads = ["set", "bits", "rows", "independent", "Chow-Liu", *(OURS[n] for n in shown), *OTHERS]
    lines += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    wins = dict.fromkeys(shown, 0)
    for name, rows in results.items():
        others = [PUBLISHED[name].get(other) for other in OTHERS]
        best = max(value for value in (*others, rows["chow-liu"]["test"]) if value is not None)
        cells = [name, str(rows["bits"]), f"{rows['rows']:,}"]
        cells += [f"{rows[key]['test']:.3f}" for key in ("independent", "chow-liu")]
        for model in shown:
            test = rows[model]["test"]
            wins[model] += test >= best
            cells.append(f"**{test:.4f}**" if test >= best else f"{test:.4f}")
        cells += ["" if value is None else f"{value:.4f}" for value in others]
        lines.append(f"| {' | '.join(cells)} |")
    means = [f"{np.mean([rows[m]['test'] for rows in results.values()]):.3f}" for m in shown]
    hclt = np.mean([PUBLISHED[name]["HCLT"] for name in results])
    lines.append(f"| mean | | | | | {' | '.join(means)} | | | {hclt:.3f} |")
    best_of = " | ".join(f"{wins[m]} of {len(results)}" for m in shown)
    lines += [f"| at or above the best published | | | | | {best_of} | | | |", ""]
    lines += ["Bold: at or above the best of Chow-Liu, the mixture of trees, Strudel and HCLT.", ""]
    lines += [*sizes(results, shown), ""]
    (HERE / "results.md").write_text("\n".join(lines))
    figure(results, shown)


def sizes(results: dict[str, Any], shown: list[str]) -> list[str]:
    """Seconds, parameters, bonds, qubits and CX."""
    lines = ["## Seconds of training on one core / parameters / largest bond / qubits and CX with reset", ""]
    lines += [f"| set | {' | '.join(OURS[m] for m in shown)} |", "|---" * (len(shown) + 1) + "|"]
    for name, rows in results.items():
        cells = []
        for model in shown:
            own = rows[model]
            cell = f"{own['seconds']:.0f} s / {own['parameters']:,} / {own['bond']}"
            if "cx" in own:
                each = " each" if "components" in own else ""
                cell += f" / {own['qubits']} qubits, {own['cx']:,} CX{each}"
            if "model" in own:
                cell += f" ({NAMES[own['model']]})"
            cells.append(cell)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def figure(results: dict[str, Any], shown: list[str]) -> None:
    """Nats above the Chow-Liu tree."""
    fig, axis = plt.subplots(figsize=(9, 4.2), constrained_layout=True)
    names = list(results)
    series = {OURS[m]: [results[n][m]["test"] for n in names] for m in shown}
    series |= {other: [PUBLISHED[n].get(other, np.nan) for n in names] for other in OTHERS}
    base = np.array([results[n]["independent"]["test"] for n in names])
    tree = np.array([results[n]["chow-liu"]["test"] for n in names])
    width = 0.8 / len(series)
    for k, (label, values) in enumerate(series.items()):
        share = (np.array(values) - base) / (tree - base)
        place = np.arange(len(names)) + (k - len(series) / 2 + 0.5) * width
        axis.bar(
            place,
            share,
            width,
            label=label,
            color=plt.cm.tab10(k),
            alpha=1 if label in OURS.values() else 0.5,
        )
    axis.axhline(1, color="black", linewidth=0.8)
    axis.set_xticks(np.arange(len(names)), names)
    axis.set_ylim(0.9, None)
    axis.set_ylabel("gain over independent columns\n(Chow-Liu tree = 1)")
    axis.legend(fontsize=8, ncols=2)
    fig.savefig(HERE / "density.png", dpi=120)


if __name__ == "__main__":
    main()
