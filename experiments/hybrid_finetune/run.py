"""A tree trained without noise, fine-tuned on a noisy device; see README.md.

python experiments/hybrid_finetune/run.py [--smoke]
"""

import argparse
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from qtnml import JobStore, TreeClassifier, get_backend, load_dataset
from qtnml.backends import Backend
from qtnml.compile import CompiledCircuit
from qtnml.errors import ClippedDataWarning
from qtnml.hybrid import SPSA, AveragedSPSA, HybridTraining, Where, train_on_backend
from qtnml.train import CrossEntropy

FOLDER = Path(__file__).parent
SEEDS = (0, 1, 2)
PAIR = (4, 9)
#: Physical qubits of fake:torino that relax quickly (T1 of 40 to 75 microseconds): where noise hurts.
QUBITS = (22, 21, 23, 24, 25)
TUNING = HybridTraining(
    AveragedSPSA(4, scatter=True, spsa=SPSA(learning_rate=0.03, perturbation=0.15)),
    steps=70, batch_size=64, shots=1024, loss=CrossEntropy(sharpness=40),
)  # fmt: skip
SHOTS = 8192  # of each held-out image


def accuracy(
    compiled: CompiledCircuit, backend: Backend, store: JobStore, data: Any, images: int
) -> tuple[float, Any]:
    """Held-out accuracy by counted shots, and which images are right."""
    X, y = data.X_test[:images], data.y_test[:images]
    # Weights stay parameters, as in training: bound, Qiskit would merge gates and the noise would be another.
    counts = store.run(compiled.bind_angles(compiled.angles(X), compiled.weights), backend, shots=SHOTS)
    zeros = np.array([each.get(0, 0) for each in counts]) / SHOTS
    right = np.where(zeros > 0.5, PAIR[0], PAIR[1]) == y
    return float(right.mean()), right


def trial(seed: int, how: HybridTraining, images: int, train_images: int) -> dict[str, Any]:
    data = load_dataset("mnist", size=4, classes=PAIR, order="z")
    clf = TreeClassifier(feature_range=(0, 1), epochs=20, random_state=seed).fit(data.X_train, data.y_train)
    compiled = clf.compile()
    backend, store = get_backend("aer", noise="fake:torino", qubits=QUBITS), JobStore("sqlite://")
    angles = compiled.angles(data.X_train[:train_images])
    targets = np.searchsorted(clf.classes_, data.y_train[:train_images])
    how = replace(how, random_state=seed)
    frozen = replace(how, optimizer=AveragedSPSA(4, scatter=True, spsa=SPSA(learning_rate=1e-12)))
    random = compiled.with_weights(np.random.default_rng(seed).uniform(-np.pi, np.pi, len(compiled.weights)))
    before, _ = accuracy(compiled, backend, store, data, images)
    row: dict[str, Any] = {
        "seed": seed,
        "images": images,
        "without noise": float(clf.score(data.X_test[:images], data.y_test[:images])),
        "before": before,
    }
    for name, start, training in (
        ("fine-tuned", compiled, how),
        ("same shots, no updates", compiled, frozen),
        ("random start", random, how),
    ):
        result = train_on_backend(start, angles, targets, Where(backend, store, repeat=1 + seed), training)
        row[name], right = accuracy(result.compiled, backend, store, data, images)
        row[f"losses, {name}"] = [record.loss for record in result.history]
        row["circuits"], row["shots"] = result.circuits, result.shots
        if name == "fine-tuned":
            tuned = right
        elif name == "same shots, no updates":
            # The same images before and after: only those that change sides count (McNemar).
            won, lost = int((tuned & ~right).sum()), int((~tuned & right).sum())
            row |= {"won": won, "lost": lost, "sigma_paired": (won - lost) / max(np.sqrt(won + lost), 1.0)}
            p, q = row["fine-tuned"], row[name]
            row["sigma"] = (p - q) / np.sqrt((p * (1 - p) + q * (1 - q)) / images)
    print({name: value for name, value in row.items() if "losses" not in name}, flush=True)
    return row


def markdown(rows: list[dict[str, Any]]) -> str:
    names = ("without noise", "before", "same shots, no updates", "fine-tuned", "random start")
    lines = [
        "| seed | " + " | ".join(names) + " | gain in sigma (paired) |",
        "|---|" + "---|" * (len(names) + 1),
    ]
    for row in rows:
        cells = [f"{row[name]:.3f}" for name in names]
        lines.append(
            f"| {row['seed']} | " + " | ".join(cells) + f" | {row['sigma']:.1f} ({row['sigma_paired']:.1f}) |"
        )
    lines += ["", f"{rows[0]['circuits']:,} circuits and {rows[0]['shots']:,} shots for each training."]
    return "\n".join(lines) + "\n"


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(6.5, 3.6), constrained_layout=True)
    for name, colour in (("fine-tuned", "C0"), ("same shots, no updates", "0.6"), ("random start", "C3")):
        curves = np.array([row[f"losses, {name}"] for row in rows])
        smooth = np.array([np.convolve(curve, np.ones(8) / 8, mode="valid") for curve in curves])
        steps = np.arange(8, 8 + smooth.shape[1])
        axes.plot(steps, smooth.T, color=colour, alpha=0.35, lw=0.8)
        axes.plot(steps, np.median(smooth, axis=0), color=colour, label=name)
    axes.set(xlabel="step (128 circuits, 1,024 shots each)", ylabel="measured loss, mean of 8 steps")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    warnings.simplefilter("ignore", ClippedDataWarning)  # a few test pixels at the border
    if smoke:
        quick = replace(TUNING, steps=10, batch_size=8, shots=100)
        print(markdown([trial(0, quick, 50, 200)]))
        return
    rows = [trial(seed, TUNING, 1991, 4000) for seed in SEEDS]
    (FOLDER / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    (FOLDER / "results.md").write_text(markdown(rows))
    draw(rows, FOLDER / "curves.png")
    print(markdown(rows))


if __name__ == "__main__":
    main()
