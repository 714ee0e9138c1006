"""SPSA in three settings, exact and with shots, beside Riemannian Adam; see README.md.

python experiments/optimisers/run.py [--smoke] [--engine loky|dask|serial] [--scheduler ADDRESS]
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from qtnml import TreeClassifier, load_dataset
from qtnml.study import add_engine_options, engine_options, run_study
from qtnml.train.directions import coordinates_like

FOLDER = Path(__file__).parent
BATCH, EPOCHS = 222, 30  # the paper's
SEEDS = (0, 1, 2)
SETTINGS = {
    "SPSA as printed": {"optimizer": "spsa-as-printed", "ansatz": "hermitian", "loss": "hinge"},
    "SPSA, later variant": {"optimizer": "spsa-later", "ansatz": "hermitian", "loss": "hinge"},
    "SPSA, default": {"optimizer": "spsa"},
    "Riemannian Adam": {"optimizer": "adam"},
}
SHOTS = (None, 100, 1000, 10_000)
COLOURS = ("#b3261e", "#d9822b", "#1f5fa8", "0.35")


def run(task: dict[str, Any]) -> dict[str, Any]:
    """Train; accuracy on the test images as it goes, against circuits run."""
    # As printed, the perturbation of 5e-7 radians needs double precision.
    jax.config.update("jax_enable_x64", True)
    data = load_dataset(task["data"], size=4, classes=tuple(task["classes"]), order="z")
    options = {"epochs": EPOCHS, "batch_size": BATCH, "feature_range": (0, 1), "random_state": task["seed"]}
    clf = TreeClassifier(**options, **SETTINGS[task["setting"]], shots=task["shots"], **task.get("more", {}))
    clf.fit(data.X_train, data.y_train)
    samples = round(0.9 * len(data.y_train))
    steps = -(-samples // BATCH)
    # SPSA measures every sample of a batch at two points; parameter shift at two points for each angle.
    points = (
        2
        if task["setting"] != "Riemannian Adam"
        else 2 * sum(c.size for c in jax.tree.leaves(coordinates_like(clf.params_)))
    )
    return {
        "test_accuracy": clf.score(data.X_test, data.y_test),
        "validation": [record.validation_accuracy for record in clf.history_],
        "evaluations_per_epoch": points * samples,
        "steps_per_epoch": steps,
        "seconds": round(clf.history_[-1].seconds, 2),
    }


def tasks(data: str) -> list[dict[str, Any]]:
    return [
        {"data": data, "classes": pair, "setting": setting, "shots": shots, "seed": seed}
        for pair in ([0, 1], [3, 5])
        for setting in SETTINGS
        for shots in (SHOTS if "SPSA" in setting else (None,))
        for seed in SEEDS
    ]


def table(todo: list[dict[str, Any]], results: list[dict[str, Any]]) -> str:
    """Markdown: median test accuracy over seeds, and the lowest."""
    cells: dict[tuple[str, str, object], list[float]] = {}
    for task, result in zip(todo, results, strict=True):
        key = (f"{task['classes'][0]} vs {task['classes'][1]}", task["setting"], task["shots"])
        cells.setdefault(key, []).append(result["test_accuracy"])
    names = ["exact" if shots is None else f"{shots} shots" for shots in SHOTS]
    lines = [f"| task | optimiser | {' | '.join(names)} |", f"|{'---|' * (2 + len(SHOTS))}"]
    for pair, setting in dict.fromkeys(key[:2] for key in cells):
        values = [cells.get((pair, setting, shots)) for shots in SHOTS]
        shown = ["" if v is None else f"{np.median(v):.3f} ({min(v):.3f})" for v in values]
        lines.append(f"| {pair} | {setting} | {' | '.join(shown)} |")
    return "\n".join(lines)


def figure(todo: list[dict[str, Any]], results: list[dict[str, Any]]) -> Figure:
    """Best validation accuracy so far by circuit evaluations, medians over seeds."""
    drawn = Figure(figsize=(12, 4.2), layout="constrained")
    panels = drawn.subplots(1, 3, sharey=True)
    for axes, shots in zip(panels, (None, 100, 1000), strict=True):
        for setting, colour in zip(SETTINGS, COLOURS, strict=True):
            wanted = None if setting == "Riemannian Adam" else shots
            chosen = [
                r
                for t, r in zip(todo, results, strict=True)
                if t["classes"] == [3, 5] and (t["setting"], t["shots"]) == (setting, wanted)
            ]
            curves = np.maximum.accumulate([r["validation"] for r in chosen], axis=1)
            evaluations = chosen[0]["evaluations_per_epoch"] * np.arange(1, curves.shape[1] + 1)
            label = f"{setting} (exact, by parameter shift)" if "Adam" in setting else setting
            axes.plot(evaluations, np.median(curves, axis=0), color=colour, label=label)
        axes.set(xscale="log", xlabel="circuits run", title="exact" if shots is None else f"{shots} shots")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="0.9")
    panels[0].set_ylabel("validation accuracy, 3 vs 5 (4x4)")
    panels[0].legend(frameon=False, fontsize=8, loc="lower right")
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="two short runs on the digits, prints only")
    add_engine_options(parser)
    arguments = parser.parse_args()
    if arguments.smoke:
        chosen = [
            {
                "data": "digits",
                "classes": [3, 5],
                "setting": s,
                "shots": 100,
                "seed": 0,
                "more": {"verbose": 0},
            }
            for s in ("SPSA, later variant", "SPSA, default")
        ]
        with tempfile.TemporaryDirectory() as folder:
            for result in run_study(run, chosen, f"{folder}/r", **engine_options(arguments)):
                print(result)
        return
    todo = tasks("mnist")
    results = run_study(run, todo, FOLDER / "results.jsonl", **engine_options(arguments))
    print(table(todo, results))
    (FOLDER / "results.md").write_text(table(todo, results) + "\n")
    figure(todo, results).savefig(FOLDER / "evaluations.png", dpi=110)


if __name__ == "__main__":
    main()
