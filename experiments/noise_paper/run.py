"""Trees and chains trained without noise, tested under relaxation: the study of arXiv:1803.11537, section
VI; see README.md.

python experiments/noise_paper/run.py [--smoke] [--engine loky|dask|serial] [--scheduler ADDRESS]
"""

import argparse
import tempfile
import warnings
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qtnml import MPSClassifier, TreeClassifier, load_dataset
from qtnml.errors import ClippedDataWarning
from qtnml.noise import DeviceNoise, NoisyCircuit
from qtnml.study import add_engine_options, engine_options, run_study

FOLDER = Path(__file__).parent
TIMES = (1e-6, 2e-6, 5e-6, 10e-6, 20e-6, 50e-6, 100e-6, 200e-6, 500e-6)
GATES = (10e-9, 50e-9, 200e-9)
RESET = 1e-6
MODELS = {"tree": TreeClassifier, "mps": MPSClassifier}


def points() -> list[tuple[float, float]]:
    """(T1, T2): both alike, and each of them swept with the other at 500 us (T2 at most 2 T1)."""
    alike = [(t, t) for t in TIMES]
    only_t2 = [(TIMES[-1], t) for t in TIMES[:-1]]
    only_t1 = [(t, 2 * t) for t in TIMES]
    return [*alike, *only_t2, *only_t1]


def run_pair(task: dict[str, Any]) -> dict[str, Any]:
    """Train one model on two digits, and test it at every point with every gate time."""
    data = load_dataset(task["data"], size=task["size"], classes=tuple(task["pair"]), order="z")
    clf = MODELS[task["model"]](epochs=task["epochs"], feature_range=(0, 1), random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedDataWarning)
        clf.fit(data.X_train, data.y_train)
        labels = np.searchsorted(clf.classes_, data.y_test)
        clean = float((clf.predict_proba(data.X_test).argmax(axis=1) == labels).mean())
        found: dict[str, Any] = {"clean": clean, "all": {}, "reuse": {}}
        for kind in ("all", "reuse"):
            compiled = clf.compile(reuse_qubits=kind == "reuse")
            for gate in GATES:
                for t1, t2 in points():
                    noise = DeviceNoise(
                        t1=t1, t2=t2, one_qubit_time=gate, two_qubit_time=gate, reset_time=RESET
                    )
                    proba = NoisyCircuit(compiled, noise).probabilities(data.X_test)
                    accuracy = float((proba.argmax(axis=1) == labels).mean())
                    found[kind][f"{gate:g},{t1:g},{t2:g}"] = accuracy
    return found


def tasks(
    data: str = "mnist", size: int = 8, epochs: int = 30, digits: Any = range(10)
) -> list[dict[str, Any]]:
    return [
        {"data": data, "size": size, "model": model, "pair": list(pair), "epochs": epochs}
        for pair in combinations(digits, 2)
        for model in MODELS
    ]


def drop(results: list[dict[str, Any]], kind: str, gate: float, t1: float, t2: float) -> list[float]:
    """Lost accuracy of each pair."""
    return [r["clean"] - r[kind][f"{gate:g},{t1:g},{t2:g}"] for r in results]


def table(done: dict[str, list[dict[str, Any]]]) -> str:
    """Mean accuracy lost, T1 = T2, and the pair that loses most."""
    head = " | ".join(f"{1e6 * t:g} us" for t in TIMES)
    lines = [f"| model | circuit | gate | {head} | worst pair at 50 us |", f"|{'---|' * (len(TIMES) + 4)}"]
    for model, results in done.items():
        for kind in ("all", "reuse"):
            for gate in GATES:
                drops = [mean(drop(results, kind, gate, t, t)) for t in TIMES]
                each = drop(results, kind, gate, 50e-6, 50e-6)
                worst = int(np.argmax(each))
                pair = "v".join(map(str, results[worst]["pair"]))
                cells = " | ".join(f"{x:.4f}" for x in drops)
                name = "all qubits" if kind == "all" else "reuse"
                lines.append(f"| {model} | {name} | {1e9 * gate:g} ns | {cells} | {pair} {each[worst]:.4f} |")
    return "\n".join(lines)


def pair_table(done: dict[str, list[dict[str, Any]]]) -> str:
    """Accuracy of every pair, without noise and at T1 = T2 = 10 us, 50 ns gates, all qubits and reuse."""
    lines = [
        "| pair | model | clean | all qubits, 5 us | all qubits, 10 us | reuse, 50 us | reuse, 100 us |",
        f"|{'---|' * 7}",
    ]
    for k in range(len(done["tree"])):
        for model, results in done.items():
            r = results[k]
            cells = [r["clean"]]
            cells += [r["all"][f"5e-08,{t:g},{t:g}"] for t in (5e-6, 10e-6)]
            cells += [r["reuse"][f"5e-08,{t:g},{t:g}"] for t in (50e-6, 100e-6)]
            shown = " | ".join(f"{c:.4f}" for c in cells)
            lines.append(f"| {'v'.join(map(str, r['pair']))} | {model} | {shown} |")
    return "\n".join(lines)


def figure(done: dict[str, list[dict[str, Any]]]) -> Figure:
    """Mean lost accuracy against T1 = T2, T2 alone and T1 alone."""
    drawn = Figure(figsize=(13, 7), layout="constrained")
    grid = drawn.subplots(2, 3, sharey="row")
    sweeps = {
        "T1 = T2": [(t, t, t) for t in TIMES],
        "T2 (T1 = 500 us)": [(t, TIMES[-1], t) for t in TIMES],
        "T1 (T2 = 2 T1)": [(t, t, 2 * t) for t in TIMES],
    }
    for row, kind in zip(grid, ("all", "reuse"), strict=True):
        for axes, (name, sweep) in zip(row, sweeps.items(), strict=True):
            for model, style in (("tree", "-"), ("mps", "--")):
                for gate, colour in zip(GATES, ("#3a7d44", "#1f5fa8", "#b3261e"), strict=True):
                    found = [drop(done[model], kind, gate, t1, t2) for _, t1, t2 in sweep]
                    label = f"{model}, {1e9 * gate:g} ns"
                    axes.plot(
                        [1e6 * t for t, *_ in sweep],
                        [100 * mean(x) for x in found],
                        style,
                        color=colour,
                        label=label,
                    )
            axes.set(xscale="log", xlabel=f"{name}, us")
            axes.grid(color="0.92")
            axes.spines[["top", "right"]].set_visible(False)
        name = "all qubits" if kind == "all" else f"qubit reuse, resets of {1e6 * RESET:g} us"
        row[0].set(ylabel=f"lost accuracy (points)\n{name}")
    grid[0][0].legend(frameon=False, fontsize=8)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="one pair of the built-in digits, prints only")
    add_engine_options(parser)
    arguments = parser.parse_args()
    small = arguments.smoke
    todo = tasks("digits", 4, 3, (3, 5)) if small else tasks()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r" if small else FOLDER / "results.jsonl"
        results = run_study(
            run_pair,
            todo,
            path,
            on_result=lambda task, result: print(task["model"], task["pair"], result["clean"], flush=True),
            **engine_options(arguments),
        )
    done: dict[str, list[dict[str, Any]]] = {model: [] for model in MODELS}
    for task, result in zip(todo, results, strict=True):
        done[task["model"]].append(result | {"pair": task["pair"]})
    print(table(done))
    if not small:
        (FOLDER / "results.md").write_text(f"{table(done)}\n\n{pair_table(done)}\n")
        figure(done).savefig(FOLDER / "drop.png", dpi=110)


if __name__ == "__main__":
    main()
