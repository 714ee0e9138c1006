"""Bars and stripes: how near Born machines come to the entropy of the data, by bond and shape; see README.md.

python experiments/bars_and_stripes/run.py [--smoke]     # writes results.json, results.md, samples.png
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from qtnml import JobStore, MPSBornMachine, TreeBornMachine
from qtnml.plots import plot_strings
from qtnml.structure import Tree

FOLDER = Path(__file__).parent
STARTS = 20


def bars_and_stripes(rows: int, columns: int) -> np.ndarray:
    """Pictures of full rows, and of full columns, as strings in raster order."""
    bars = [np.repeat([list(map(int, f"{k:0{rows}b}"))], columns, 0).T.ravel() for k in range(2**rows)]
    stripes = [np.tile(list(map(int, f"{k:0{columns}b}")), rows) for k in range(2**columns)]
    return np.unique([*bars, *stripes], axis=0)


def snake(rows: int, columns: int) -> list[int]:
    """Row by row, every other one backwards."""
    grid = np.arange(rows * columns).reshape(rows, columns)
    return [int(k) for r, row in enumerate(grid) for k in (row if r % 2 == 0 else row[::-1])]


def spine(rows: int, columns: int) -> Tree:
    """A tree: one column from top to bottom, the rest of each row hanging on it to the left and right."""
    sites, middle, nodes = rows * columns, columns // 2, list[tuple[int, ...]]()
    above = None
    for row in reversed(range(rows)):
        ends = []
        for part in (range(middle), range(columns - 1, middle, -1)):
            wire = None
            for column in part:
                nodes.append((row * columns + column, *([] if wire is None else [wire])))
                wire = sites + len(nodes) - 1
            ends += [] if wire is None else [wire]
        nodes.append((row * columns + middle, *ends, *([] if above is None else [above])))
        above = sites + len(nodes) - 1
    return Tree(sites, tuple(nodes))


def trained(
    shape: tuple[int, int], kind: str, bond: int, seed: int, *, is_complex: bool, init: str = "product"
) -> Any:
    """One start: from independent columns and noise ("product"), or from the Markov chain ("markov")."""
    settings = {"complex_amplitudes": is_complex, "learning_rate": 0.5, "epochs": 60, "precision": "double"}
    settings |= {"init": init}
    X = bars_and_stripes(*shape)
    if kind == "spine":
        model: Any = TreeBornMachine(bond, topology=spine(*shape), random_state=seed, **settings)
    else:
        order = snake(*shape) if kind == "snake" else None
        model = MPSBornMachine(bond, order=order, random_state=seed, **settings)
    return model.fit(X)


def rows_of(shape: tuple[int, int], kind: str, bond: int, starts: int) -> list[dict[str, Any]]:
    """Best and median of so many random starts, and the default start; real and complex."""
    X, found = bars_and_stripes(*shape), []
    for is_complex in (False, True):
        nll = [-trained(shape, kind, bond, seed, is_complex=is_complex).score(X) for seed in range(starts)]
        markov = -trained(shape, kind, bond, 0, is_complex=is_complex, init="markov").score(X)
        found.append(
            {
                "pictures": f"{shape[0]}x{shape[1]}",
                "network": kind,
                "amplitudes": "complex" if is_complex else "real",
                "bond": bond,
                "nll_best": round(min(nll), 5),
                "nll_median": round(float(np.median(nll)), 5),
                "kl_best": round(min(nll) - np.log(len(X)), 5),
                "kl_median": round(float(np.median(nll)) - np.log(len(X)), 5),
                "kl_markov": round(markov - np.log(len(X)), 5),
            }
        )
        print(found[-1], flush=True)
    return found


def on_a_few_qubits(shape: tuple[int, int], bond: int, shots: int) -> dict[str, Any]:
    """Samples from Aer, with reuse: how many are pictures, and do they follow the distribution?"""
    X = bars_and_stripes(*shape)
    models = [trained(shape, "snake", bond, seed, is_complex=True) for seed in range(3)]
    model = max(models, key=lambda m: m.score(X))
    machine = model.to_backend("aer", jobs=JobStore("sqlite://"))
    drawn = machine.sample(shots, random_state=0)
    known = {row.tobytes() for row in X}
    valid = np.array([row.tobytes() in known for row in drawn])
    plot_strings(drawn[:40], shape, title=f"{shots:,} shots on {machine.compiled.num_qubits} qubits").savefig(
        FOLDER / "samples.png", dpi=110
    )
    logs = model.score_samples(drawn)
    exact = model.score_samples(model.sample(shots, random_state=1))
    return {
        "pictures": f"{shape[0]}x{shape[1]}",
        "bond": bond,
        "qubits": machine.compiled.num_qubits,
        "two_qubit_gates": machine.compiled.two_qubit_gates,
        "resets": machine.compiled.num_resets,
        "shots": shots,
        "share_of_pictures": round(float(valid.mean()), 4),
        "expected_share": round(float(np.exp(model.score_samples(X)).sum()), 4),
        "different_pictures": len({row.tobytes() for row in drawn[valid]}),
        "nll_of_samples": round(-float(logs.mean()), 4),
        "nll_of_exact_samples": round(-float(exact.mean()), 4),
        "error": round(float(np.hypot(logs.std(), exact.std()) / np.sqrt(shots)), 4),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="seconds; writes nothing")
    arguments = parser.parse_args()
    if arguments.smoke:
        print(table(rows_of((3, 2), "snake", 4, 2) + rows_of((3, 2), "spine", 2, 2)))
        return
    rows = []
    for shape, bonds in (((4, 3), (2, 4, 8)), ((4, 4), (2, 4, 8, 16))):
        for bond in bonds:
            for kind in ("raster", "snake", "spine") if bond < 16 else ("raster", "snake"):
                rows += rows_of(shape, kind, bond, STARTS)
    drawn = [on_a_few_qubits((4, 3), 4, 4096), on_a_few_qubits((4, 3), 8, 4096)]
    (FOLDER / "results.json").write_text(json.dumps({"training": rows, "drawn": drawn}, indent=1) + "\n")
    (FOLDER / "results.md").write_text(table(rows) + "\n" + table(drawn))


if __name__ == "__main__":
    main()
