"""Ten classes at once, one against one, and amplitude MPS by bond dimension; see README.md.

python experiments/ten_classes/run.py [--smoke] [--engine loky|dask|serial] [--scheduler ADDRESS]
"""

import argparse
import tempfile
import warnings
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qtnml import TreeClassifier, load_dataset
from qtnml.compile import minimal_order
from qtnml.errors import ClippedDataWarning
from qtnml.models import run_trial, trial
from qtnml.study import add_engine_options, engine_options, run_study

FOLDER = Path(__file__).parent
COMMON = {"feature_range": [0, 1], "random_state": 0}
SETS = ("mnist", "fashion-mnist")
ROWS = [
    *(("tree", 2, data, 8, {"bond_qubits": 2, "epochs": 20}) for data in SETS),
    *(
        ("amplitude-mps", D, data, size, {"max_bond": D, "epochs": e})
        for data, size, bonds in (
            ("mnist", 8, ((4, 30), (8, 30), (16, 30), (32, 30), (64, 20), (120, 10))),
            ("mnist", 14, ((8, 20), (16, 20), (32, 15))),
            ("mnist", 28, ((16, 12),)),
            ("fashion-mnist", 14, ((16, 20), (32, 15))),
        )
        for D, e in bonds
    ),
    ("amplitude-mps", 16, "mnist", 8, {"max_bond": 16, "epochs": 8, "method": "sweeps", "batch_size": 1000}),
    *(("tree", 3, data, 8, {"bond_qubits": 3, "epochs": 12}) for data in SETS),  # the slow ones last
    *(("mps", 3, data, 8, {"bond_qubits": 3, "epochs": 8, "learning_rate": 0.01}) for data in SETS),
]


def settings(model: str, data: str, size: int, options: dict[str, Any]) -> dict[str, Any]:
    order = "snake" if model == "amplitude-mps" else "z"
    return trial(data, model, size=size, order=order, **COMMON, **options)  # type: ignore[arg-type]


def run_with_checkpoints(task: dict[str, Any]) -> dict[str, Any]:
    """A killed run goes on from its last epoch, where there are epochs."""
    if "votes" in task:
        return one_against_one(task)
    return run_trial(task, str(FOLDER / "checkpoints"))


def one_against_one(task: dict[str, Any]) -> dict[str, Any]:
    """45 pair models; the class with the most votes wins, the sums of probabilities break ties."""
    warnings.simplefilter("ignore", ClippedDataWarning)
    data = load_dataset(task["data"], size=8, order="z")
    sums, votes, seconds, gates = np.zeros((len(data.y_test), 10)), np.zeros((len(data.y_test), 10)), 0.0, 0
    for pair in combinations(range(10), 2):
        chosen = np.isin(data.y_train, pair)
        clf = TreeClassifier(task["votes"], epochs=task["epochs"], feature_range=(0, 1), random_state=0)
        clf.fit(data.X_train[chosen], data.y_train[chosen])
        proba = clf.predict_proba(data.X_test)
        sums[:, pair] += proba
        votes[np.arange(len(votes)), np.array(pair)[proba.argmax(axis=1)]] += 1
        seconds += clf.history_[-1].seconds
        gates += clf.model_.two_qubit_gates
    decided = (votes + sums / 100).argmax(axis=1)
    return {
        "test_accuracy": float((decided == data.y_test).mean()),
        "test_accuracy_by_sums": float((sums.argmax(axis=1) == data.y_test).mean()),
        "parameters": 45 * clf.model_.num_parameters,
        "two_qubit_gates": gates,
        "qubits_with_reuse": minimal_order(clf.model_.topology)[0],
        "epochs": task["epochs"],
        "train_seconds": round(seconds, 1),
        "train_samples": len(data.y_train),
    }


def row(kind: str, width: int, data: str, size: int, result: dict[str, Any]) -> dict[str, Any]:
    return {
        "data": data,
        "pixels": f"{size}x{size}",
        "model": kind,
        "bond": f"D={width}" if "amplitude" in kind else f"V={width}",
        "accuracy": result["test_accuracy"],
        "parameters": result["parameters"],
        "qubits": result.get("qubits_with_reuse", "-"),
        "two_qubit_gates": result.get("two_qubit_gates", "-"),
        "lost_mass": round(result["lost_mass"], 3) if "lost_mass" in result else "-",
        "epochs": result["epochs"],
        "train_s": result["train_seconds"],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [f"| {' | '.join(rows[0])} |", f"|{'---|' * len(rows[0])}"]
    for entry in rows:
        cells = (f"{v:.4f}" if k == "accuracy" else str(v) for k, v in entry.items())
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(rows: list[dict[str, Any]]) -> Figure:
    """Test error of the amplitude MPS by bond dimension, circuits as horizontal lines."""
    drawn = Figure(figsize=(7.5, 4.4), layout="constrained")
    axes = drawn.subplots()
    for (data, pixels), colour in (
        (("mnist", "8x8"), "#1f5fa8"),
        (("mnist", "14x14"), "#2a8f5b"),
        (("fashion-mnist", "14x14"), "#d9822b"),
    ):
        points = [
            (int(r["bond"][2:]), 100 * (1 - r["accuracy"]))
            for r in rows
            if (r["data"], r["pixels"], r["model"]) == (data, pixels, "amplitude-mps")
        ]
        axes.plot(*zip(*points, strict=True), "o-", color=colour, label=f"amplitude MPS, {data} {pixels}")
    circuits = sorted(
        (100 * (1 - r["accuracy"]), f"{r['model']}, {r['bond']}")
        for r in rows
        if r["data"] == "mnist" and "amplitude" not in r["model"]
    )
    lowest = 0.0
    for error, label in circuits:
        axes.axhline(error, color="0.75", linewidth=0.8)
        lowest = max(error, 1.09 * lowest)  # labels above each other
        axes.text(130, lowest, f"{label}: {error:.1f} %", va="center", fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel="bond dimension D", ylabel="test error (%), ten classes")
    axes.set_xticks([4, 8, 16, 32, 64, 120], ["4", "8", "16", "32", "64", "120"])
    axes.set_yticks([1, 2, 3, 5, 10, 15], ["1", "2", "3", "5", "10", "15"])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="short runs on the digits, prints only")
    add_engine_options(parser)
    arguments = parser.parse_args()
    if arguments.smoke:
        tasks = [
            trial("digits", "tree", bond_qubits=2, epochs=3, **COMMON),
            trial("digits", "amplitude-mps", order="snake", max_bond=8, epochs=3, **COMMON),
        ]
        with tempfile.TemporaryDirectory() as folder:
            for result in run_study(run_trial, tasks, f"{folder}/r", **engine_options(arguments)):
                print(result)
        return
    votes = [
        {"data": data, "votes": V, "epochs": epochs} for data in SETS for V, epochs in ((1, 30), (2, 15))
    ]
    tasks = [settings(kind, data, size, options) for kind, _, data, size, options in ROWS]
    results = run_study(
        run_with_checkpoints,
        [*votes, *tasks],
        FOLDER / "results.jsonl",
        on_result=lambda task, result: print(task, result, flush=True),
        **engine_options(arguments),
    )
    rows = [
        row(f"{kind} (sweeps)" if options.get("method") == "sweeps" else kind, width, data, size, result)
        for (kind, width, data, size, options), result in zip(ROWS, results[len(votes) :], strict=True)
    ]
    rows += [
        row("45 pair trees, votes", task["votes"], task["data"], 8, result)
        for task, result in zip(votes, results[: len(votes)], strict=True)
    ]
    rows.sort(key=lambda r: (r["data"] != "mnist", r["pixels"], r["model"]))
    print(table(rows))
    (FOLDER / "results.md").write_text(table(rows) + "\n")
    figure(rows).savefig(FOLDER / "errors.png", dpi=110)


if __name__ == "__main__":
    main()
