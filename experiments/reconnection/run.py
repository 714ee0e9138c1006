"""What reconnection of trained trees gains, by the tree that training begins on; see README.md.

QTNML_DATA=... python experiments/reconnection/run.py [--sets nltcs plants] [--smoke]
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from qtnml import TreeBornMachine

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent / "density_benchmark"))
from sets import folder_of, load  # noqa: E402

SETS = ("nltcs", "plants")
TOPOLOGIES = ("chow-liu", "hierarchical", "balanced")
ROUNDS = 5
SEEDS = 3


def measured(name: str, topology: str, seed: int) -> dict[str, Any]:
    """Test log-likelihoods with and without reconnection, from the same start."""
    train, validation, test = load(folder_of(None), name)
    found: dict[str, Any] = {}
    for rounds in (0, ROUNDS):
        began = time.perf_counter()
        model = TreeBornMachine(16, topology=topology, reconnect=rounds, random_state=seed)
        model.fit(train, validation=validation)
        found["after" if rounds else "before"] = {
            "test": float(model.score(test)),
            "bond": max(model.bond_dims_),
            "seconds": round(time.perf_counter() - began, 1),
        }
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for name in options.sets[:1] if options.smoke else options.sets:
        for topology in TOPOLOGIES:
            seeds = range(1 if options.smoke else SEEDS)
            results[f"{name}, {topology}"] = [measured(name, topology, seed) for seed in seeds]
            print(name, topology, results[f"{name}, {topology}"], flush=True)
            if options.smoke:
                return
    (FOLDER / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    lines = [
        "| set, tree | before | after reconnection | gain | least gain | seconds before | after |",
        "|---|---|---|---|---|---|---|",
    ]
    for label, rows in results.items():
        before, after = (np.array([row[when]["test"] for row in rows]) for when in ("before", "after"))
        times = (np.median([row[when]["seconds"] for row in rows]) for when in ("before", "after"))
        cells = [np.median(before), np.median(after), np.median(after - before), (after - before).min()]
        shown = " | ".join(f"{cell:.4f}" for cell in cells)
        lines.append(f"| {label} | {shown} | {' | '.join(f'{t:.0f}' for t in times)} |")
    (FOLDER / "results.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
