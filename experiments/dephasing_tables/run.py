"""Test accuracy under dephasing, retrained at each strength, beside the published table; see README.md.

python experiments/dephasing_tables/run.py [--smoke] [--engine loky|dask|serial] [--scheduler ADDRESS]
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from qtnml.models import run_trial, trial
from qtnml.study import ResultsFile, add_engine_options, engine_options, run_study, task_key

FOLDER = Path(__file__).parent
STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
# Logs of the authors of arXiv:2209.01195, by V.
PUBLISHED = {
    "3 vs 5": {
        1: (0.936, 0.882, 0.849, 0.827, 0.817, 0.812),
        2: (0.972, 0.944, 0.940, 0.943, 0.940, 0.940),
        3: (0.977, 0.948, 0.948, 0.944, 0.947, 0.938),
    },
    "even vs odd": {
        1: (0.876, 0.826, 0.812, 0.807, 0.805, 0.789),
        2: (0.925, 0.892, 0.886, 0.885, 0.880, 0.882),
        3: (0.955, 0.905, 0.897, 0.894, 0.890, 0.888),
    },
}
EPOCHS = {("3 vs 5", 1): 60, ("3 vs 5", 2): 20, ("3 vs 5", 3): 12}
EPOCHS |= {("even vs odd", 1): 60, ("even vs odd", 2): 20, ("even vs odd", 3): 4}


def task(name: str, bond_qubits: int, p: float) -> dict[str, Any]:
    """One cell; without noise it is a task of experiments/reference_tables."""
    where: dict[str, Any] = {"classes": [3, 5], "train_size": 5000} if name == "3 vs 5" else {"parity": True}
    leaf = "data" if bond_qubits == 1 else "fresh"  # at V = 1 the two rules are one
    options = {"bond_qubits": bond_qubits, "leaf": leaf, "epochs": EPOCHS[name, bond_qubits]}
    options |= {"feature_range": [0, 1], "random_state": 0}
    noise = {"channel": "dephasing", "p": p} if p else None
    return trial("mnist", "tree", noise=noise, **where, **options)


CELLS = [(name, V, p) for V in (1, 2, 3) for name in PUBLISHED for p in STRENGTHS]


def run_with_checkpoints(settings: dict[str, Any]) -> dict[str, Any]:
    """A killed run goes on from its last epoch."""
    return run_trial(settings, str(FOLDER / "checkpoints"))


def table(done: dict[str, Any]) -> str:
    """Markdown: ours, and the published value in brackets."""
    lines = [f"| task | V | {' | '.join(f'p={p:g}' for p in STRENGTHS)} |", f"|{'---|' * 8}"]
    for name, published in PUBLISHED.items():
        for V, row in published.items():
            cells = []
            for p, theirs in zip(STRENGTHS, row, strict=True):
                result = done.get(task_key(task(name, V, p)))
                ours = "" if result is None else f"{result['test_accuracy']:.3f}"
                cells.append(f"{ours} ({theirs:.3f})")
            lines.append(f"| {name} | {V} | {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(done: dict[str, Any]) -> Figure:
    """Test error by strength, ours and theirs."""
    drawn = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, (name, published) in zip(drawn.subplots(1, 2), PUBLISHED.items(), strict=True):
        for colour, (V, row) in zip(("#1f5fa8", "#d9822b", "#3a7d44"), published.items(), strict=True):
            results = [done.get(task_key(task(name, V, p))) for p in STRENGTHS]
            known = [(p, r["test_accuracy"]) for p, r in zip(STRENGTHS, results, strict=True) if r]
            axes.plot(
                *zip(*[(p, 100 * (1 - a)) for p, a in known], strict=True), "o-", color=colour, label=f"V={V}"
            )
            axes.plot(STRENGTHS, [100 * (1 - a) for a in row], "s--", color=colour, alpha=0.45, markersize=4)
        axes.set(title=name, xlabel="dephasing p", yscale="log")
        axes.set_yticks([2, 5, 10, 20], ["2", "5", "10", "20"])
        axes.minorticks_off()
        axes.grid(axis="y", color="0.9")
        axes.spines[["top", "right"]].set_visible(False)
    drawn.axes[0].set_ylabel("test error (%)")
    drawn.axes[0].plot([], [], "s--", color="0.5", markersize=4, label="published")
    drawn.axes[0].legend(frameon=False)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="two short runs on the digits, prints only")
    add_engine_options(parser)
    arguments = parser.parse_args()
    if arguments.smoke:
        tasks = [
            trial(
                "digits",
                "tree",
                parity=True,
                noise={"channel": "dephasing", "p": p},
                epochs=5,
                random_state=0,
            )
            for p in (0.2, 1.0)
        ]
        with tempfile.TemporaryDirectory() as folder:
            for result in run_study(run_trial, tasks, f"{folder}/r", **engine_options(arguments)):
                print(result)
        return
    path = FOLDER / "results.jsonl"
    known = ResultsFile(FOLDER.parent / "reference_tables" / "results.jsonl").read()
    run_study(
        run_with_checkpoints,
        [each for each in (task(*cell) for cell in CELLS) if task_key(each) not in known],
        path,
        on_result=lambda settings, result: print(
            settings["options"], settings.get("noise"), result, flush=True
        ),
        **engine_options(arguments),
    )
    done = known | ResultsFile(path).read()
    print(table(done))
    (FOLDER / "results.md").write_text(table(done) + "\n")
    figure(done).savefig(FOLDER / "errors.png", dpi=110)


if __name__ == "__main__":
    main()
