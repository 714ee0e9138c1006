"""Trained with and without noise in the loop, tested under three devices' calibrations; see README.md.

python experiments/noise_aware/run.py [--smoke] [--engine loky|dask|serial] [--scheduler ADDRESS]
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qtnml import TreeClassifier, load_dataset
from qtnml.ansatz import BrickWall
from qtnml.backends.ibm import fake_device
from qtnml.errors import ClippedDataWarning
from qtnml.noise import DeviceNoise, NoisyCircuit
from qtnml.study import add_engine_options, engine_options, run_study

FOLDER = Path(__file__).parent
DEVICES = ("torino", "sherbrooke", "fez")
ANSAETZE = {"wall": BrickWall(3), "full": "full"}
PAIRS = ((4, 9), (3, 5))
QUBITS = 7
COMPARED = 64  # training images by which circuits and passes are chosen
WAYS = {
    "plain": ("trained without", "#b3261e"),
    "plain, passes": ("trained without, passes", "#e8a33d"),
    "aware": ("trained with noise", "#1f5fa8"),
    "aware, passes": ("trained with noise, passes", "#2c8a6b"),
}


def on_device(
    clf: TreeClassifier, device: Any, X: Any, labels: Any, samples: Any, passes: Any = ()
) -> dict[str, float]:
    """Exactly, in the circuit for the device's own qubits, under its calibration.

    Args:
        clf: Trained.
        device: Where it is tested.
        X, labels: Test images.
        samples: Training images that circuits and passes are compared on.
        passes: See `CompiledCircuit.with_passes`.
    """
    compiled = clf.compile(target=device, num_qubits=QUBITS, samples=samples, passes=passes)
    outcomes = NoisyCircuit(compiled, DeviceNoise.from_backend(device)).probabilities(X)
    counts = np.random.default_rng(0).multinomial(1024, outcomes / outcomes.sum(axis=1, keepdims=True))
    return {
        "accuracy": float((outcomes.argmax(axis=1) == labels).mean()),
        "accuracy_1024_shots": float((counts.argmax(axis=1) == labels).mean()),
        "probability": float(outcomes[np.arange(len(labels)), labels].mean()),
    }


def run_case(task: dict[str, Any]) -> dict[str, Any]:
    """One network trained both ways."""
    data = load_dataset(task["data"], size=8, classes=tuple(task["pair"]), order="z")
    device = fake_device(f"fake:{task['device']}")
    settings = {
        "ansatz": ANSAETZE[task["ansatz"]],
        "epochs": task["epochs"],
        "feature_range": (0, 1),
        "random_state": task["seed"],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedDataWarning)
        plain = TreeClassifier(**settings).fit(data.X_train, data.y_train)
        began = time.perf_counter()
        aware = TreeClassifier(noise=device, num_qubits=QUBITS, **settings).fit(data.X_train, data.y_train)
        seconds = time.perf_counter() - began
        labels = np.searchsorted(plain.classes_, data.y_test)
        return {
            "noise-free": plain.score(data.X_test, data.y_test),
            **{
                f"{kind}{', passes' if passes else ''}": on_device(
                    clf, device, data.X_test, labels, data.X_train[:COMPARED], passes
                )
                for kind, clf in (("plain", plain), ("aware", aware))
                for passes in ((), "auto")
            },
            "aware, noise-free": aware.score(data.X_test, data.y_test),
            "seconds": round(seconds, 1),
        }


def tasks(small: bool) -> list[dict[str, Any]]:
    if small:
        return [
            {"data": "digits", "device": "torino", "ansatz": "wall", "pair": [3, 5], "epochs": 5, "seed": 0}
        ]
    return [
        {"data": "mnist", "device": device, "ansatz": ansatz, "pair": list(pair), "epochs": 30, "seed": seed}
        for device in DEVICES
        for ansatz in ANSAETZE
        for pair in PAIRS
        for seed in (0, 1, 2)
    ]


def table(todo: list[dict[str, Any]], results: list[dict[str, Any]]) -> str:
    """Mean over seeds, and every seed in brackets."""
    lines = [
        f"| device | ansatz | pair | without noise | {' | '.join(title for title, _ in WAYS.values())} |",
        f"|{'---|' * (4 + len(WAYS))}",
    ]
    for key in dict.fromkeys((t["device"], t["ansatz"], tuple(t["pair"])) for t in todo):
        mine = [
            r
            for t, r in zip(todo, results, strict=True)
            if (t["device"], t["ansatz"], tuple(t["pair"])) == key
        ]

        def cell(values: list[float]) -> str:
            return f"{mean(values):.4f} ({', '.join(f'{v:.3f}' for v in values)})"

        clean = mean(r["noise-free"] for r in mine)
        pair = "v".join(map(str, key[2]))
        cells = [cell([r[kind]["accuracy"] for r in mine]) for kind in WAYS]
        lines.append(f"| {key[0]} | {key[1]} | {pair} | {clean:.4f} | {' | '.join(cells)} |")
    means = [f"{mean(r[kind]['accuracy'] for r in results):.4f}" for kind in WAYS]
    lines.append(f"| all | | | {mean(r['noise-free'] for r in results):.4f} | {' | '.join(means)} |")
    return "\n".join(lines)


def figure(todo: list[dict[str, Any]], results: list[dict[str, Any]]) -> Figure:
    """Error by device: without noise, trained without it, trained with it; every seed a dot."""
    drawn = Figure(figsize=(11, 4), layout="constrained")
    for axes, ansatz in zip(drawn.subplots(1, 2, sharey=True), ANSAETZE, strict=True):
        for place, (device, pair) in enumerate((d, p) for d in DEVICES for p in PAIRS):
            mine = [
                r
                for t, r in zip(todo, results, strict=True)
                if (t["device"], t["ansatz"], tuple(t["pair"])) == (device, ansatz, pair)
            ]
            for number, (kind, (_, colour)) in enumerate(WAYS.items()):
                errors, shift = [100 * (1 - r[kind]["accuracy"]) for r in mine], 0.2 * (number - 1.5)
                axes.bar(place + shift, mean(errors), 0.18, color=colour, alpha=0.55)
                axes.plot([place + shift] * len(errors), errors, ".", color=colour, markersize=4)
            clean = 100 * (1 - mean(r["noise-free"] for r in mine))
            axes.plot([place - 0.42, place + 0.42], [clean, clean], color="0.3", linewidth=1)
        names = [f"{d}\n{'v'.join(map(str, p))}" for d in DEVICES for p in PAIRS]
        axes.set_xticks(range(len(names)), names, fontsize=8)
        axes.set_title(
            {"wall": "three CX and all rotations a node", "full": "any unitary"}[ansatz], fontsize=10
        )
        axes.spines[["top", "right"]].set_visible(False)
    first = drawn.axes[0]
    first.set(ylabel="test error on the device (%)")
    for label, colour in WAYS.values():
        first.bar([0], [0], color=colour, alpha=0.55, label=label)
    first.plot([], [], color="0.3", linewidth=1, label="no noise")
    first.legend(frameon=False, fontsize=8)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--smoke", action="store_true", help="one short case on the built-in digits, prints only"
    )
    add_engine_options(parser)
    arguments = parser.parse_args()
    todo = tasks(arguments.smoke)
    with tempfile.TemporaryDirectory() as folder:
        results = run_study(
            run_case,
            todo,
            Path(folder) / "r" if arguments.smoke else FOLDER / "results.jsonl",
            on_result=lambda task, result: print(task, result, flush=True),
            **engine_options(arguments),
        )
    print(table(todo, results))
    if not arguments.smoke:
        (FOLDER / "results.md").write_text(table(todo, results) + "\n")
        figure(todo, results).savefig(FOLDER / "errors.png", dpi=110)


if __name__ == "__main__":
    main()
