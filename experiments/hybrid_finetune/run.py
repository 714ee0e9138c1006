"""Models trained without noise, fine-tuned on a noisy device; see README.md.

python experiments/hybrid_finetune/run.py [--smoke]
"""

import argparse
import json
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from qtnml import MPSBornMachine, MPSClassifier, TreeClassifier, get_backend, load_dataset
from qtnml.backends import Backend
from qtnml.backends.ibm import fake_device
from qtnml.compile import CompiledCircuit, GenerativeCircuit
from qtnml.errors import ClippedDataWarning
from qtnml.hybrid import (
    SPSA,
    AveragedSPSA,
    HybridTraining,
    Where,
    train_generative_on_backend,
    train_on_backend,
)
from qtnml.jobs import Unstored
from qtnml.noise import DeviceNoise, NoisyCircuit, NoisyGenerativeCircuit
from qtnml.train import CrossEntropy

FOLDER = Path(__file__).parent
SEEDS = 10
PAIR = (4, 9)
#: Physical qubits of fake:torino that relax quickly (T1 of 40 to 75 microseconds): where noise hurts.
QUBITS = (22, 21, 23, 24, 25)
CLASSIFIERS = {"tree": (TreeClassifier, "z"), "chain": (MPSClassifier, "snake")}
#: Times the snapshot's noise: by itself it costs the tree only one to three percent.
STRENGTHS = {"tree": 2.0, "chain": 1.0, "Born machine": 1.0}
TUNING = HybridTraining(
    AveragedSPSA(4, scatter=True, spsa=SPSA(learning_rate=0.03, perturbation=0.15)),
    steps=70, batch_size=64, shots=1024, loss=CrossEntropy(sharpness=40),
)  # fmt: skip
DRAWING = HybridTraining(
    AveragedSPSA(8, spsa=SPSA(learning_rate=0.003, perturbation=0.1)),
    steps=150, batch_size=140, shots=4096, loss="clipped-nll",
)  # fmt: skip
FROZEN = 1e-12  # rad: a learning rate that changes nothing
SHOTS = 8192  # of each held-out image, where both simulators are timed
TRAINED_ON, TIMED = 4000, 500  # images


def noise(family: str) -> DeviceNoise:
    """The calibration of these qubits, for circuits on qubits 0 to 4."""
    return DeviceNoise.from_backend(fake_device("fake:torino"), QUBITS).scaled(STRENGTHS[family])


def frozen(how: HybridTraining) -> HybridTraining:
    """The same shots, no updates."""
    assert isinstance(how.optimizer, AveragedSPSA)
    return replace(
        how, optimizer=replace(how.optimizer, spsa=replace(how.optimizer.spsa, learning_rate=FROZEN))
    )


def trained(family: str, seed: int) -> tuple[Any, Any, CompiledCircuit]:
    kind, order = CLASSIFIERS[family]
    data = load_dataset("mnist", size=4, classes=PAIR, order=order)
    clf = kind(feature_range=(0, 1), epochs=20, random_state=seed).fit(data.X_train, data.y_train)
    return data, clf, clf.compile()


def right(family: str, compiled: CompiledCircuit, data: Any) -> np.ndarray:
    """Which held-out images the noisy circuit gets right, exactly."""
    found = NoisyCircuit(compiled, noise(family)).probabilities(data.X_test).argmax(axis=1)
    return np.asarray(np.array(PAIR)[found] == data.y_test)


def classifier(family: str, seed: int, how: HybridTraining) -> dict[str, Any]:
    data, clf, compiled = trained(family, seed)
    backend, store = get_backend("exact", noise=noise(family)), Unstored()
    angles = compiled.angles(data.X_train[:TRAINED_ON])
    targets = np.searchsorted(clf.classes_, data.y_train[:TRAINED_ON])
    how = replace(how, random_state=seed)
    random = compiled.with_weights(np.random.default_rng(seed).uniform(-np.pi, np.pi, len(compiled.weights)))
    row: dict[str, Any] = {
        "family": family,
        "seed": seed,
        "without noise": float(clf.score(data.X_test, data.y_test)),
        "before": float(right(family, compiled, data).mean()),
    }
    seen = {}
    for name, start, training in (
        ("fine-tuned", compiled, how),
        ("same shots, no updates", compiled, frozen(how)),
        ("random start", random, how),
    ):
        result = train_on_backend(start, angles, targets, Where(backend, store, repeat=1 + seed), training)
        seen[name] = right(family, result.compiled, data)
        row[name] = float(seen[name].mean())
        row[f"losses, {name}"] = [record.loss for record in result.history]
        row["circuits"], row["shots"] = result.circuits, result.shots
    # The same images before and after: only those that change sides count (McNemar).
    won = int((seen["fine-tuned"] & ~seen["same shots, no updates"]).sum())
    lost = int((~seen["fine-tuned"] & seen["same shots, no updates"]).sum())
    row["sigma"] = (won - lost) / max(np.sqrt(won + lost), 1.0)
    return row


def bars_and_stripes(side: int) -> np.ndarray:
    """All pictures of full rows, or of full columns."""
    bits = np.arange(2**side)[:, None] >> np.arange(side) & 1
    rows = np.repeat(bits[:, :, None], side, axis=2)
    return np.unique(np.concatenate([rows, rows.swapaxes(1, 2)]).reshape(-1, side * side), axis=0)


def born(seed: int, how: HybridTraining) -> dict[str, Any]:
    """A Born machine of bond 4 that draws bars and stripes of 3x3; judged by the exact NLL under noise."""
    X = np.repeat(bars_and_stripes(3), 10, axis=0)
    model = MPSBornMachine(4, random_state=seed).fit(X)
    compiled, levels = model.compile(), model.levels(X)

    def nll(circuit: GenerativeCircuit) -> float:
        return float(-NoisyGenerativeCircuit(circuit, noise("Born machine")).log_likelihood(levels).mean())

    backend, how = get_backend("exact", noise=noise("Born machine")), replace(how, random_state=seed)
    row: dict[str, Any] = {
        "family": "Born machine",
        "seed": seed,
        "without noise": -model.score(X),
        "before": nll(compiled),
    }
    for name, training in (("fine-tuned", how), ("same shots, no updates", frozen(how))):
        where = Where(backend, Unstored(), repeat=1 + seed)
        result = train_generative_on_backend(compiled, levels, where, training)
        row[name] = nll(result.compiled)
        row[f"losses, {name}"] = [record.loss for record in result.history]
        row["circuits"], row["shots"] = result.circuits, result.shots
    return row


def timed(how: HybridTraining) -> dict[str, dict[str, float]]:
    """Seconds of the same training and the same held-out images on both simulators, taking turns."""
    data, clf, compiled = trained("tree", 0)
    angles = compiled.angles(data.X_train[:TRAINED_ON])
    targets = np.searchsorted(clf.classes_, data.y_train[:TRAINED_ON])
    test = compiled.bind_angles(compiled.angles(data.X_test[:TIMED]), compiled.weights)
    backends = {name: get_backend(name, noise=noise("tree")) for name in ("exact", "aer")}
    for backend in backends.values():  # what is made once is not in the times
        train_on_backend(compiled, angles, targets, Where(backend, Unstored()), replace(how, steps=1))
    found: dict[str, list[tuple[float, float]]] = {"exact": [], "aer": []}
    for _ in range(3):
        for name, backend in backends.items():
            found[name].append(_seconds(backend, compiled, angles, targets, test, how))
    return {
        name: dict(zip(("training", "held out"), np.median(times, axis=0).tolist(), strict=True))
        for name, times in found.items()
    }


def _seconds(
    backend: Backend, compiled: CompiledCircuit, angles: Any, targets: Any, test: Any, how: HybridTraining
) -> tuple[float, float]:
    """Of a step, and of the held-out images."""
    steps = min(how.steps, 5 if backend.name == "aer" else 50)
    began = time.perf_counter()
    train_on_backend(
        compiled, angles, targets, Where(backend, Unstored()), replace(how, steps=steps, random_state=0)
    )
    middle = time.perf_counter()
    Unstored().run(test, backend, shots=SHOTS)
    return (middle - began) / steps, time.perf_counter() - middle


def markdown(rows: list[dict[str, Any]], seconds: dict[str, dict[str, float]]) -> str:
    lines = []
    for family in dict.fromkeys(row["family"] for row in rows):
        mine = [row for row in rows if row["family"] == family]
        names = ["without noise", "before", "same shots, no updates", "fine-tuned"]
        names += ["random start", "sigma"] if "sigma" in mine[0] else []
        title = "nats per sample" if family == "Born machine" else "accuracy"
        lines += ["", f"## {family}: {title}", "", f"| seed | {' | '.join(names)} |"]
        lines.append(f"|{'---|' * (len(names) + 1)}")
        for row in mine:
            cells = [f"{row[name]:.{1 if name == 'sigma' else 3}f}" for name in names]
            lines.append(f"| {row['seed']} | {' | '.join(cells)} |")
        middle = [np.median([row[name] for row in mine]) for name in names]
        cells = [
            f"{value:.{1 if name == 'sigma' else 3}f}" for name, value in zip(names, middle, strict=True)
        ]
        lines.append(f"| median | {' | '.join(cells)} |")
        lines += ["", f"{mine[0]['circuits']:,} circuits and {mine[0]['shots']:,} shots for each training."]
    lines += ["", "## Seconds (tree, median of three)", "", "| | exact | Aer | times |", "|---|---|---|---|"]
    for part, title in (("training", "a step"), ("held out", f"{TIMED} images, {SHOTS:,} shots each")):
        exact, aer = seconds["exact"][part], seconds["aer"][part]
        lines.append(f"| {title} | {exact:.4f} | {aer:.3f} | {aer / exact:.0f} |")
    return "\n".join(lines[1:]) + "\n"


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    families = list(dict.fromkeys(row["family"] for row in rows))
    figure, grid = plt.subplots(1, len(families), figsize=(4.2 * len(families), 3.6), constrained_layout=True)
    for axes, family in zip(grid, families, strict=True):
        mine = [row for row in rows if row["family"] == family]
        for name, colour in (("fine-tuned", "C0"), ("same shots, no updates", "0.6"), ("random start", "C3")):
            if f"losses, {name}" not in mine[0]:
                continue
            curves = np.array([row[f"losses, {name}"] for row in mine])
            smooth = np.array([np.convolve(curve, np.ones(8) / 8, mode="valid") for curve in curves])
            steps = np.arange(8, 8 + smooth.shape[1])
            axes.plot(steps, smooth.T, color=colour, alpha=0.25, lw=0.7)
            axes.plot(steps, np.median(smooth, axis=0), color=colour, label=name)
        axes.set(xlabel="step", title=family)
        axes.spines[["top", "right"]].set_visible(False)
    grid[0].set(ylabel="measured loss, mean of 8 steps")
    grid[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    warnings.simplefilter("ignore", ClippedDataWarning)  # a few test pixels at the border
    tuning, drawing = TUNING, DRAWING
    if smoke:
        tuning = replace(TUNING, steps=10, batch_size=8, shots=100)
        drawing = replace(DRAWING, steps=10, shots=100)
    seconds = timed(tuning)
    rows = []
    for seed in range(1 if smoke else SEEDS):
        for row in (*(classifier(f, seed, tuning) for f in CLASSIFIERS), born(seed, drawing)):
            print({name: value for name, value in row.items() if "losses" not in name}, flush=True)
            rows.append(row)
    rows.sort(key=lambda row: [*CLASSIFIERS, "Born machine"].index(row["family"]))
    print(markdown(rows, seconds))
    if smoke:
        return
    (FOLDER / "results.json").write_text(json.dumps({"rows": rows, "seconds": seconds}, indent=1) + "\n")
    (FOLDER / "results.md").write_text(markdown(rows, seconds))
    draw(rows, FOLDER / "curves.png")


if __name__ == "__main__":
    main()
