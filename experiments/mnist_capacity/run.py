"""How much of 1,000 binarised MNIST images a Born machine remembers, by bond dimension; see README.md.

python experiments/mnist_capacity/run.py [--bonds 10 20 ...] [--smoke]
    # writes results.json, results.md, capacity.png
python experiments/mnist_capacity/run.py --whole
    # all of MNIST: test NLL, samples, in-painting
"""

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from baselines import chow_liu, independent, mixture
from matplotlib.figure import Figure
from reference import Reference

from qtnml import MPSBornMachine, TreeBornMachine, load_dataset
from qtnml.born import TreeState
from qtnml.data import pixel_order
from qtnml.train import SweepOptions, SweepTraining
from qtnml.train.born_loop import Strings, sweep_state

FOLDER = Path(__file__).parent
PUBLISHED = {10: 95.2, 20: 77.1, 30: 67.0, 50: 55.1, 100: 39.9, 200: 26.8}  # authors of arXiv:1709.01662
# Larger bonds want smaller steps from a wider start.
SETTINGS = {10: {"learning_rate": 0.05, "init_bond": 4}, 200: {"learning_rate": 0.02, "init_bond": 16}}
USUAL = {"learning_rate": 0.02, "init_bond": 8}
START = {"init": "product", "complex_amplitudes": False}
SWEEPS = {10: 100, 20: 100, 30: 100, 50: 100, 100: 60, 200: 120}


def bits(count: int, part: str = "train") -> np.ndarray:
    """Images as bits: brightness of at least one half."""
    data = load_dataset("mnist")
    X = data.X_train if part == "train" else data.X_test
    return (X[:count] >= 0.5).astype(np.int64)


def capacity(X: np.ndarray, bond: int, sweeps: int) -> dict[str, Any]:
    """Train on all images and look at the NLL of the same ones."""
    began = time.perf_counter()
    settings = SETTINGS.get(bond, USUAL)
    born = MPSBornMachine(
        bond, epochs=sweeps, validation_fraction=0, random_state=0, **START, **settings
    ).fit(X)
    seconds = time.perf_counter() - began
    row = {
        "bond": bond,
        "nll": round(-born.score(X), 3),
        "published": PUBLISHED.get(bond),
        "largest_bond": max(born.bond_dims_),
        "mean_bond": round(float(np.mean(born.bond_dims_)), 1),
        "sweeps": sweeps,
        "seconds": round(seconds, 1),
    }
    return row | beside_reference(born.state_, X, bond)


def beside_reference(state: TreeState, X: np.ndarray, bond: int, repeats: int = 3) -> dict[str, Any]:
    """Seconds of one sweep from the trained state, ours and the reference's in turn; and that they agree."""
    strings = Strings(X, np.full(len(X), 1 / len(X)))
    strings.batch(state.sites)
    # The chain's nodes stand from the last site to the first, as (parent, site, child).
    cores = [core if core.ndim == 3 else core[:, :, None] for core in state.cores[::-1]]
    angle = SweepTraining(epochs=100).rate(99)
    ours, theirs = [], []
    for _ in range(repeats):
        began = time.perf_counter()
        _, nll, _ = sweep_state(state, strings, SweepOptions(bond, max_angle=angle))
        ours.append(time.perf_counter() - began)
        reference = Reference(cores, X, bond)
        began = time.perf_counter()
        reference.sweep(angle)
        theirs.append(time.perf_counter() - began)
    found = TreeState.canonical(state.sites, _nodes(reference.cores))
    born = MPSBornMachine(bond)
    born.state_, born.encoder_, born.n_features_in_ = found, None, X.shape[1]
    return {
        "sweep_s": round(median(ours), 3),
        "reference_sweep_s": round(median(theirs), 3),
        "reference_over_ours": round(median(theirs) / median(ours), 2),
        "nll_after_that_sweep": [round(nll, 3), round(-born.score(X), 3)],
    }


def _nodes(cores: list[np.ndarray]) -> list[np.ndarray]:
    return [cores[-1][:, :, 0], *cores[-2::-1]]


def whole(train: int, test: int, sweeps: dict[str, int]) -> list[dict[str, Any]]:
    """All of binarised MNIST: a chain and a tree, by NLL of the test images; samples and in-painting."""
    X, held = bits(train), bits(test, "test")
    # z-order: neighbours in both directions are near in the tree.
    z = [k // 32 * 28 + k % 32 for k in pixel_order("z", 32, 32) if k // 32 < 28 and k % 32 < 28]
    # Smoothed, since test images have pixels that are never black in the others; large batches, since small
    # ones are remembered.
    common = {"init_bond": 8, "smoothing": 0.01, "random_state": 0, "verbose": 1}
    models = {
        "chain": MPSBornMachine(100, epochs=sweeps["chain"], learning_rate=0.1, batch_size=20_000, **common),
        "tree": TreeBornMachine(
            24, order=z, epochs=sweeps["tree"], learning_rate=0.15, batch_size=16_384, **common
        ),
    }
    rows: list[dict[str, Any]] = [
        {"model": "independent pixels", "test_nll": round(independent(X, held), 2)},
        {"model": "Chow-Liu tree", "test_nll": round(chow_liu(X, held), 2)},
        {"model": "mixture of 500", "test_nll": round(mixture(X, held, 500), 2)},
    ]
    for name, born in models.items():
        began = time.perf_counter()
        born.fit(X)
        scores = born.log_likelihood(held)
        rows.append(
            {
                "model": f"Born machine, {name}",
                "test_nll": round(-float(scores.mean()), 2),
                "worst_test_nll": round(-float(scores.min()), 1),
                "train_nll": round(-born.score(X[:5000]), 2),
                "max_bond": max(born.bond_dims_),
                "parameters": born.state_.num_parameters,
                "sweeps": sweeps[name],
                "best_sweep": born.best_epoch_ + 1,
                "seconds": round(time.perf_counter() - began),
            }
        )
        print(rows[-1], flush=True)
        pictures(born, held, name).savefig(FOLDER / f"{name}.png", dpi=110)
    return rows


def pictures(born: Any, held: np.ndarray, name: str) -> Figure:
    """Samples, and upper halves of test images completed twice."""
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    axes = figure.subplots(5, 10)
    drawn = born.sample(20, random_state=0)
    half = held[:10].astype(float)
    half[:, 392:] = np.nan
    filled = born.sample(1, given=half, random_state=1)
    likely = born.impute(half, beam=16)
    rows = [drawn[:10], drawn[10:], half, filled, likely]
    labels = ["samples", "samples", "given", "drawn", "likeliest"]
    for row, images, label in zip(axes, rows, labels, strict=True):
        for ax, image in zip(row, images, strict=True):
            shown = np.where(np.isnan(image.astype(float)), 0.5, 1 - image)
            ax.imshow(shown.reshape(28, 28), cmap="gray", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(label)
    figure.suptitle(f"Binarised MNIST, {name}: samples, and the lower half given the upper (test images)")
    return figure


def figure_of(rows: list[dict[str, Any]]) -> Figure:
    """NLL by bond dimension."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.subplots()
    known = [row for row in rows if row["published"]]
    ax.plot(
        [r["bond"] for r in known], [r["published"] for r in known], "o--", color="0.5", label="published"
    )
    ax.plot([r["bond"] for r in rows], [r["nll"] for r in rows], "o-", color="#1f5fa8", label="qtnml")
    ax.axhline(np.log(1000), color="0.8", label="ln 1000: all remembered")
    ax.set(xlabel="largest bond dimension", ylabel="training NLL (nats)", xscale="log", ylim=(0, None))
    ax.set_xticks([r["bond"] for r in rows], [str(r["bond"]) for r in rows], minor=False)
    ax.minorticks_off()
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return figure


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    names = list(max(rows, key=len))
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row.get(name, "")) for name in names) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bonds", type=int, nargs="+", default=[10, 20, 30, 50, 100, 200])
    parser.add_argument("--whole", action="store_true", help="all of MNIST instead")
    parser.add_argument("--smoke", action="store_true", help="seconds, on random bits; writes nothing")
    arguments = parser.parse_args()
    if arguments.smoke:
        X = (np.random.default_rng(0).random((200, 64)) < 0.3).astype(np.int64)
        print(table([capacity(X, bond, 5) for bond in (4, 8)]))
        return
    if arguments.whole:
        rows = whole(60_000, 10_000, {"chain": 24, "tree": 16})
        (FOLDER / "whole.json").write_text(json.dumps(rows, indent=1) + "\n")
        (FOLDER / "whole.md").write_text(table(rows))
        return
    X, file = bits(1000), FOLDER / "results.json"
    known = {row["bond"]: row for row in json.loads(file.read_text())} if file.exists() else {}
    for bond in arguments.bonds:
        known[bond] = capacity(X, bond, SWEEPS.get(bond, 100))
        print(known[bond], flush=True)
        file.write_text(json.dumps([known[key] for key in sorted(known)], indent=1) + "\n")
    rows = [known[key] for key in sorted(known)]
    (FOLDER / "results.md").write_text(table(rows))
    figure_of(rows).savefig(FOLDER / "capacity.png", dpi=110)


if __name__ == "__main__":
    main()
