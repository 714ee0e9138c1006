"""All 45 pairs of digits, tree and MPS, V = 1 and 2; see README.md.

python experiments/pairwise_mnist/run.py [--smoke] [--engine loky|dask|serial] [--scheduler ADDRESS]
"""

import argparse
import json
import statistics
import tempfile
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qtnml import load_dataset
from qtnml.errors import DataError
from qtnml.models import run_trial, trial
from qtnml.study import add_engine_options, engine_options, run_study

FOLDER = Path(__file__).parent
PAIRS = list(combinations(range(10), 2))
MODELS = [("tree", 1, 30), ("tree", 2, 15), ("mps", 1, 30), ("mps", 2, 15)]  # shape, V, epochs


def available_data() -> str:
    """MNIST, or the digits that scikit-learn ships where MNIST is not to be had."""
    try:
        load_dataset("mnist", size=8)
    except DataError as error:
        print(f"MNIST is not here ({error}); using 'digits'")
        return "digits"
    return "mnist"


def tasks(data: str, shape: str, bond_qubits: int, epochs: int, pairs: list[tuple[int, int]]) -> list[Any]:
    options = {"bond_qubits": bond_qubits, "epochs": epochs, "feature_range": [0, 1], "random_state": 0}
    return [trial(data, shape, classes=list(pair), **options) for pair in pairs]  # type: ignore[arg-type]


def summary(shape: str, bond_qubits: int, results: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    accuracies = [result["test_accuracy"] for result in results]
    worst = int(np.argmin(accuracies))
    return {
        "model": shape,
        "V": bond_qubits,
        "mean": statistics.mean(accuracies),
        "worst": f"{PAIRS[worst][0]}v{PAIRS[worst][1]} {accuracies[worst]:.4f}",
        "mean_1024_shots": statistics.mean(result["test_accuracy_1024_shots"] for result in results),
        "parameters": results[0]["parameters"],
        "two_qubit_gates": results[0]["two_qubit_gates"],
        "qubits": results[0]["qubits_with_reuse"],
        "median_train_s": statistics.median(result["train_seconds"] for result in results),
        "wall_s": round(seconds, 1),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [f"| {' | '.join(rows[0])} |", f"|{'---|' * len(rows[0])}"]
    for row in rows:
        cells = (f"{v:.4f}" if isinstance(v, float) and v < 1 else str(v) for v in row.values())
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def heat_map(accuracies: dict[tuple[str, int], list[float]]) -> Figure:
    """Error rates by pair: one panel for each model."""
    figure = Figure(figsize=(11, 10), layout="constrained")
    panels = figure.subplots(2, 2)
    highest = max(1 - min(values) for values in accuracies.values())
    for axes, ((shape, bond_qubits), values) in zip(panels.ravel(), accuracies.items(), strict=True):
        errors = np.full((10, 10), np.nan)
        for pair, accuracy in zip(PAIRS, values, strict=True):
            errors[pair[::-1]] = 100 * (1 - accuracy)
        image = axes.imshow(errors, cmap="viridis_r", vmin=0, vmax=100 * highest)
        for one, other in PAIRS:
            value = errors[other, one]
            colour = "white" if value > 50 * highest else "black"
            axes.text(one, other, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=8)
        mean = 100 * (1 - statistics.mean(values))
        axes.set(title=f"{shape}, V={bond_qubits}: mean {mean:.2f} %", xticks=range(9), yticks=range(1, 10))
        axes.set(xlim=(-0.5, 8.5), ylim=(9.5, 0.5))
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("Test error in % for every pair of digits, MNIST 8x8")
    figure.colorbar(image, ax=panels, shrink=0.6, label="test error (%)")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="three pairs of small digits, prints only")
    add_engine_options(parser)
    arguments = parser.parse_args()
    data = "digits" if arguments.smoke else available_data()
    pairs = PAIRS[:3] if arguments.smoke else PAIRS
    rows, accuracies, times = [], {}, {}
    results_file = Path(tempfile.mkdtemp()) / "smoke.jsonl" if arguments.smoke else FOLDER / "results.jsonl"
    times_file = FOLDER / "wall_seconds.json"
    if times_file.exists() and not arguments.smoke:
        times = json.loads(times_file.read_text())
    for shape, bond_qubits, epochs in MODELS:
        began = time.perf_counter()
        todo = tasks(data, shape, bond_qubits, 2 if arguments.smoke else epochs, pairs)
        results = run_study(run_trial, todo, results_file, **engine_options(arguments))
        name, seconds = f"{shape}{bond_qubits}", time.perf_counter() - began
        times[name] = max(seconds, times.get(name, 0.0))  # a rerun that finds everything done takes no time
        rows.append(summary(shape, bond_qubits, results, times[name]))
        accuracies[shape, bond_qubits] = [result["test_accuracy"] for result in results]
        print(table(rows[-1:]), flush=True)
    print(table(rows))
    if not arguments.smoke:
        times_file.write_text(json.dumps(times) + "\n")
        (FOLDER / "results.md").write_text(table(rows) + "\n")
        heat_map(accuracies).savefig(FOLDER / "pairs.png", dpi=110)


if __name__ == "__main__":
    main()
