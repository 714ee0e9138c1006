"""What a device's noise does to drawn samples, by bond and number of qubits; see README.md.

python experiments/generative_noise/run.py [--smoke]     # writes results.json, results.md, noise.png,
samples.png
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qtnml import MPSBornMachine, load_dataset
from qtnml.noise import DeviceNoise, NoisyGenerativeCircuit
from qtnml.plots import plot_strings

FOLDER = Path(__file__).parent
# Round numbers of superconducting devices; every error and every rate is multiplied by a strength.
NOISE = DeviceNoise(
    t1=200e-6,
    t2=150e-6,
    one_qubit_time=35e-9,
    two_qubit_time=70e-9,
    one_qubit_error=3e-4,
    two_qubit_error=3e-3,
    reset_time=1e-6,
    readout_time=1e-6,
    reset_error=0.005,
    readout_error=0.01,
)
STRENGTHS = (0.0, 0.1, 0.3, 1.0)


def bits(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Handwritten digits of 8x8 pixels as bits, in snake order: training and test."""
    data = load_dataset("digits", order="snake", seed=seed)
    return tuple((X >= 0.5).astype(np.int64) for X in (data.X_train, data.X_test))  # type: ignore[return-value]


def rows_of(
    V: int, train: np.ndarray, test: np.ndarray, widths: tuple[int, ...], seed: int
) -> list[dict[str, Any]]:
    """One model on several numbers of qubits, at several strengths."""
    model = MPSBornMachine(2**V, random_state=seed, epochs=60, smoothing=0.05).fit(train)
    found = []
    for width in widths:
        compiled = (
            model.compile(num_qubits=width) if width < test.shape[1] else model.compile(reuse_qubits=False)
        )
        for strength in STRENGTHS:
            began = time.perf_counter()
            noisy = NoisyGenerativeCircuit(compiled, NOISE.scaled(strength) if strength else DeviceNoise())
            drawn = noisy.sample(np.random.default_rng(seed), 5000)
            found.append(
                {
                    "V": V,
                    "qubits": compiled.num_qubits,
                    "resets": compiled.num_resets,
                    "two_qubit_gates": compiled.two_qubit_gates,
                    "duration_us": round(1e6 * compiled.duration(NOISE), 1),
                    "strength": strength,
                    "seed": seed,
                    "test_nll": round(-float(noisy.log_likelihood(test).mean()), 3),
                    "nll_of_samples": round(-float(np.median(model.score_samples(drawn))), 3),
                    "seconds": round(time.perf_counter() - began, 2),
                }
            )
            print(found[-1], flush=True)
    return found


def figure_of(rows: list[dict[str, Any]]) -> Figure:
    """Test NLL by strength, one line for each bond and width; means over seeds."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    for ax, key, label in zip(
        figure.subplots(1, 2),
        ("test_nll", "nll_of_samples"),
        (
            "NLL of test images (nats)",
            "NLL of noisy samples, median (nats)",
        ),
        strict=True,
    ):
        for V in sorted({row["V"] for row in rows}):
            widths = sorted({row["qubits"] for row in rows if row["V"] == V})
            for width, style in ((widths[0], "o-"), (widths[-1], "s--")):
                points = [
                    float(
                        np.mean(
                            [r[key] for r in rows if (r["V"], r["qubits"], r["strength"]) == (V, width, s)]
                        )
                    )
                    for s in STRENGTHS
                ]
                ax.plot(STRENGTHS, points, style, color=f"C{V}", markersize=4, label=f"V={V}, {width} qubits")
        ax.set(xlabel="strength of the noise", ylabel=label)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False, fontsize=8)
    return figure


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: means over seeds."""
    keys = ("V", "qubits", "resets", "duration_us", "strength")
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["V"], row["qubits"], row["strength"]), []).append(row)
    names = (*keys, "two_qubit_gates", "test_nll", "nll_of_samples")
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for group in groups.values():
        cells = [group[0][key] for key in keys]
        cells += [round(float(np.mean([row[key] for row in group])), 2) for key in names[len(keys) :]]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="seconds; writes nothing")
    arguments = parser.parse_args()
    if arguments.smoke:
        rng = np.random.default_rng(0)
        X = np.repeat(rng.integers(0, 2, size=(60, 4)), 2, axis=1)
        print(table(rows_of(1, X, X, (2, 8), 0)))
        return
    train, test = bits()
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        for V in (1, 2, 3):
            rows += rows_of(V, train, test, (V + 1, 8, 16, 64), seed)
            (FOLDER / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    (FOLDER / "results.md").write_text(table(rows))
    figure_of(rows).savefig(FOLDER / "noise.png", dpi=110)
    model = MPSBornMachine(8, random_state=0, epochs=60, smoothing=0.05).fit(train)
    order = load_dataset("digits", order="snake").order
    drawn = [model.sample(10, random_state=0)] + [
        model.sample(10, random_state=0, noise=NOISE.scaled(s), reuse_qubits=True) for s in STRENGTHS[1:]
    ]
    pictures = np.empty((40, 64))
    pictures[:, order] = np.concatenate(drawn)
    title = "Samples of V=3 on 4 qubits; rows: noise of strength " + ", ".join(map(str, STRENGTHS))
    plot_strings(pictures, (8, 8), title=title).savefig(FOLDER / "samples.png", dpi=110)


if __name__ == "__main__":
    main()
