"""The structure of exact tensors, found again; see README.md.

python experiments/graphs/run.py [--seeds 50]    # writes results.json and results.md
python experiments/graphs/run.py --smoke
"""

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from qtnml.graphs import GraphNetwork, decompose

FOLDER = Path(__file__).parent
# The four kinds of arXiv:2008.05437 (random_tensors.py of github merajhashemi/GreedyTN): bonds between modes
# of dimension 7, and nodes without a mode.
TARGETS: dict[str, tuple[dict[tuple[int, int], int], int]] = {
    "Tucker": ({(0, 5): 2, (1, 5): 3, (2, 5): 4, (3, 5): 3, (4, 5): 2}, 1),
    "chain": ({(0, 1): 2, (1, 2): 3, (2, 3): 6, (3, 4): 5}, 0),
    "ring": ({(0, 1): 2, (1, 2): 3, (2, 3): 4, (3, 4): 5, (0, 4): 5}, 0),
    "triangle": ({(0, 1): 5, (1, 2): 2, (2, 3): 5, (1, 4): 2, (2, 4): 2}, 0),
}


def measured(name: str, method: str, seed: int, dim: int) -> dict[str, Any]:
    """Whether the bonds are those of the target, the error, the numbers, the time."""
    ranks, hidden = TARGETS[name]
    target = GraphNetwork.random((dim,) * 5, ranks, hidden=hidden, seed=seed)
    order = np.random.default_rng(seed).permutation(5)  # modes in no order that would help
    began = time.perf_counter()
    found = decompose(
        target.dense().transpose(order),
        method=method,
        max_parameters=3000,
        random_state=seed,  # type: ignore[arg-type]
    )
    place = [*order.tolist(), 5]
    back = {
        (min(place[i], place[j]), max(place[i], place[j])): rank
        for (i, j), rank in found.network.ranks.items()
    }
    return {
        "same": back == ranks,
        "error": found.error,
        "numbers": found.network.num_parameters,
        "target": target.num_parameters,
        "seconds": time.perf_counter() - began,
    }


def tensor_train_numbers(name: str, dim: int) -> int:
    """Of the chain of the modes in their own order: its bonds are the ranks across its cuts."""
    ranks, hidden = TARGETS[name]
    tensor = GraphNetwork.random((dim,) * 5, ranks, hidden=hidden, seed=0).dense()
    bonds = [1, *(int(np.linalg.matrix_rank(tensor.reshape(dim**k, -1))) for k in range(1, 5)), 1]
    return sum(left * dim * right for left, right in pairwise(bonds))


def table(results: dict[str, Any]) -> str:
    """Success rates, medians."""
    lines = [
        "| target | method | seeds | bonds are the target's | numbers (target, chain) | error | seconds |"
    ]
    lines.append("|---" * 7 + "|")
    for name, found in results.items():
        for method, runs in found["runs"].items():
            median = {
                key: float(np.median([run[key] for run in runs])) for key in ("numbers", "error", "seconds")
            }
            cells = [
                name,
                method,
                len(runs),
                sum(run["same"] for run in runs),
                f"{median['numbers']:.0f} ({runs[0]['target']}, {found['chain']})",
                f"{median['error']:.0e}",
                f"{median['seconds']:.2f}",
            ]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--greedy-seeds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    dim, seeds = (
        (5, {"ranks": 1}) if options.smoke else (7, {"ranks": options.seeds, "greedy": options.greedy_seeds})
    )
    results: dict[str, Any] = {}
    for name in list(TARGETS)[1:2] if options.smoke else TARGETS:
        runs = {
            method: [measured(name, method, seed, dim) for seed in range(n)] for method, n in seeds.items()
        }
        results[name] = {"chain": tensor_train_numbers(name, dim), "runs": runs}
        print(table({name: results[name]}), flush=True)
    if not options.smoke:
        (FOLDER / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        (FOLDER / "results.md").write_text(table(results))


if __name__ == "__main__":
    main()
