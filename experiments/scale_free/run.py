"""A thousand spins on a scale-free graph, learnt by a tree; see README.md.

python experiments/scale_free/run.py    # writes results.json, results.md and scale_free.png
python experiments/scale_free/run.py --smoke
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from data import PUBLISHED, WIDTHS, drawn, graph, squared_mmd

from qtnml import TreeBornMachine

FOLDER = Path(__file__).parent


def measured(
    spins: int, rows: int, bonds: tuple[int | None, ...]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Distances of samples to test rows, for each model, and the samples."""
    rng = np.random.default_rng(0)
    couplings = graph(spins, rng)
    train, test = drawn(couplings, rows, rng), drawn(couplings, rows, rng)
    samples = {
        "true samples": train,
        "uniform bits": rng.integers(0, 2, test.shape).astype(np.int8),
        "independent bits": (rng.random(test.shape) < train.mean(axis=0)).astype(np.int8),
    }
    found: dict[str, Any] = {}
    for bond in bonds:
        name = "tree" if bond is None else f"tree, bond {bond}"
        began = time.perf_counter()
        model = TreeBornMachine(**({} if bond is None else {"max_bond": bond}), random_state=0).fit(train)
        found[name] = {
            "seconds": round(time.perf_counter() - began, 1),
            "bond": max(model.bond_dims_),
            "nll": round(-model.score(test), 3),
            "independent nll": round(model.independent_nll_, 3),
        }
        if bond == 2:
            circuit = model.compile()
            made = circuit.circuit
            found[name] |= {"qubits": made.num_qubits, "cx": made.count_ops().get("cx", 0)}
        samples[name] = model.sample(rows, random_state=1).astype(np.int8)
        print(name, found[name], flush=True)
    for name, bits in samples.items():
        entry = found.setdefault(name, {})
        entry["squared mmd"] = [squared_mmd(bits, test, width) for width in WIDTHS]
        print(name, np.round(entry["squared mmd"], 6), flush=True)
    return found, {"true samples": test} | {name: bits for name, bits in samples.items() if "tree" in name}


def table(found: dict[str, Any]) -> str:
    """Squared MMD of every model at every width, and what was published."""
    lines = [f"| model | {' | '.join(f'width {w:.1f}' for w in WIDTHS)} |", "|---" * (1 + len(WIDTHS)) + "|"]
    for name, entry in found.items():
        lines.append(f"| {name} | {' | '.join(f'{value:.1e}' for value in entry['squared mmd'])} |")
    for name, values in PUBLISHED.items():
        lines.append(f"| published: {name} | {' | '.join(f'{value:.1e}' for value in values)} |")
    lines += ["", "| model | bond | test NLL | independent | seconds | qubits | CX |", "|---" * 7 + "|"]
    for name, entry in found.items():
        if "nll" in entry:
            cells = [
                entry.get(key, "") for key in ("bond", "nll", "independent nll", "seconds", "qubits", "cx")
            ]
            lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def draw(samples: dict[str, np.ndarray], found: dict[str, Any], path: Path) -> None:
    """Magnetisations, pair correlations and distances."""
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    truth = np.corrcoef(samples["true samples"].T.astype(float))
    pairs = np.triu_indices(len(truth), 1)
    shown = np.random.default_rng(0).choice(len(pairs[0]), min(5000, len(pairs[0])), replace=False)
    for name, bits in samples.items():
        left.hist(
            2 * bits.mean(axis=1) - 1, bins=60, range=(-1, 1), histtype="step", label=name, density=True
        )
        if name != "true samples":
            own = np.corrcoef(bits.T.astype(float))
            middle.plot(truth[pairs][shown], own[pairs][shown], ".", ms=2, alpha=0.4, label=name)
    middle.axline((0, 0), slope=1, color="grey", lw=0.8)
    left.set(xlabel="magnetisation of a sample", ylabel="density")
    middle.set(xlabel="correlation of a pair, true samples", ylabel="model")
    for name, entry in found.items():
        right.plot(WIDTHS, np.maximum(entry["squared mmd"], 1e-7), "o-", ms=3, label=name)
    right.plot(WIDTHS, PUBLISHED["IQP circuit"], "kx--", label="IQP circuit, published")
    right.set(xlabel="width of the kernel", ylabel="squared MMD", yscale="log")
    for ax in (left, right):
        ax.legend(fontsize="x-small")
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        print(table(measured(12, 300, (2,))[0]))
        return
    found, samples = measured(1000, options.rows, (2, None))
    (FOLDER / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    (FOLDER / "results.md").write_text(table(found))
    draw(samples, found, FOLDER / "scale_free.png")


if __name__ == "__main__":
    main()
