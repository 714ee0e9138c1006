"""The models of published tables, noise-free: 3 vs 5, even vs odd, Fashion even vs odd; see README.md.

python experiments/reference_tables/run.py [--smoke] [--engine loky|dask|serial] [--scheduler ADDRESS]
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from qtnml.models import run_trial, trial
from qtnml.study import ResultsFile, add_engine_options, engine_options, run_study, task_key

FOLDER = Path(__file__).parent
# Logs of the authors of arXiv:2209.01195, p = 0: leaf wires of one data and V - 1 fresh qubits.
PUBLISHED = {
    "3 vs 5": (0.936, 0.972, 0.977),
    "even vs odd": (0.876, 0.925, 0.955),
    "Fashion even vs odd": (0.942, 0.956, 0.962),
}
EPOCHS = {1: 60, 2: 20, 3: 12}


def case(name: str, bond_qubits: int, leaf: str, train_size: int | None, **changes: Any) -> Any:
    """A row: its task, and what to print beside the result."""
    where = {"data": "fashion-mnist" if name.startswith("Fashion") else "mnist"}
    where |= {"classes": [3, 5]} if name == "3 vs 5" else {"parity": True}
    options = {"bond_qubits": bond_qubits, "leaf": leaf, "epochs": EPOCHS[bond_qubits]}
    options |= {"feature_range": [0, 1], "random_state": 0, **changes}
    return name, bond_qubits, leaf, trial(model="tree", train_size=train_size, **where, **options)


CASES = [
    *(case("3 vs 5", V, "data", size) for V in (1, 2, 3) for size in (5000, None)),
    *(case("3 vs 5", 2, "fresh", size) for size in (5000, None)),
    *(case(name, V, "data", None) for V in (1, 2, 3) for name in ("even vs odd", "Fashion even vs odd")),
    *(case(name, 2, "fresh", None) for name in ("even vs odd", "Fashion even vs odd")),
    *(case("3 vs 5", 3, "fresh", size) for size in (5000, None)),
    case("even vs odd", 3, "fresh", None, epochs=4),
    case("Fashion even vs odd", 3, "fresh", None, epochs=4),
]


def run_with_checkpoints(settings: dict[str, Any]) -> dict[str, Any]:
    """A killed run goes on from its last epoch."""
    return run_trial(settings, str(FOLDER / "checkpoints"))


def rows(done: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, bond_qubits, leaf, task in CASES:
        result = done.get(task_key(task))
        if result is None:
            continue
        found.append(
            {
                "task": name,
                "V": bond_qubits,
                "leaf": leaf,
                "train": result["train_samples"],
                "nodes": result["nodes"],
                "qubits": result["qubits_with_reuse"],
                "accuracy": result["test_accuracy"],
                "with_1024_shots": result["test_accuracy_1024_shots"],
                "published": PUBLISHED[name][bond_qubits - 1],
                "epochs": result["epochs"],
                "train_s": result["train_seconds"],
            }
        )
    return found


def table(found: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [f"| {' | '.join(found[0])} |", f"|{'---|' * len(found[0])}"]
    for row in found:
        cells = (f"{v:.4f}" if isinstance(v, float) and v < 1 else str(v) for v in row.values())
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(found: list[dict[str, Any]]) -> Figure:
    """Test error by V beside the published one."""
    drawn = Figure(figsize=(11, 3.8), layout="constrained")
    for axes, (name, published) in zip(drawn.subplots(1, 3), PUBLISHED.items(), strict=True):
        axes.plot(
            (1, 2, 3), [100 * (1 - p) for p in published], "s--", color="0.5", label="published (fresh)"
        )
        for leaf, colour in (("data", "#1f5fa8"), ("fresh", "#d9822b")):
            mine = {
                r["V"]: 100 * (1 - r["accuracy"])
                for r in found
                if r["task"] == name
                and (r["leaf"] == leaf or r["V"] == 1)
                and (name != "3 vs 5" or r["train"] == 5000)
            }
            axes.plot(list(mine), list(mine.values()), "o-", color=colour, label=f"qtnml ({leaf})")
        axes.set(title=name, xlabel="V (bond_qubits)", xticks=(1, 2, 3), yscale="log")
        axes.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="0.9")
    drawn.axes[0].set_ylabel("test error (%)")
    drawn.axes[0].legend(frameon=False)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="two short runs on the digits, prints only")
    add_engine_options(parser)
    arguments = parser.parse_args()
    if arguments.smoke:
        tasks = [
            trial("digits", "tree", parity=True, bond_qubits=V, epochs=2, random_state=0) for V in (1, 2)
        ]
        with tempfile.TemporaryDirectory() as folder:
            for result in run_study(run_trial, tasks, f"{folder}/r", **engine_options(arguments)):
                print(result)
        return
    path = FOLDER / "results.jsonl"
    run_study(
        run_with_checkpoints,
        [task for *_, task in CASES],
        path,
        on_result=lambda task, result: print(task["options"], result, flush=True),
        **engine_options(arguments),
    )
    found = rows(ResultsFile(path).read())
    print(table(found))
    (FOLDER / "results.md").write_text(table(found) + "\n")
    figure(found).savefig(FOLDER / "errors.png", dpi=110)


if __name__ == "__main__":
    main()
