"""Milliseconds of one loss with the slopes of all gates; medians of 15."""

import json
import time
from pathlib import Path
from statistics import median

import numpy as np
from targets import random_chain

from qtnml.shallow.blocks import Blocks, Point
from qtnml.shallow.fidelity import Fidelity
from qtnml.shallow.layouts import brick_wall, staircase

CASES = [
    ("12 qubits, bond 8, 4 staircases", 12, 8, staircase(12, 4)),
    ("50 qubits, bond 5, brick wall of 3", 50, 5, brick_wall(50, 3)),
    ("64 qubits, bond 32, 4 staircases", 64, 32, staircase(64, 4)),
    ("784 qubits, bond 10, 3 staircases", 784, 10, staircase(784, 3)),
]


def main() -> None:
    """All cases."""
    rows = []
    for name, count, bond, pairs in CASES:
        state = random_chain(count, bond)
        blocks = Blocks(count, pairs, "su4")
        objective = Fidelity(blocks, state.chain().tensors)
        point = blocks.start(np.random.default_rng(0), 0.3)
        batch, step = Point(*(part[None] for part in point)), np.zeros((1, blocks.dimension))
        began = time.perf_counter()
        objective(batch, step)
        first = time.perf_counter() - began
        times = []
        for _ in range(15):
            began = time.perf_counter()
            objective(batch, step)
            times.append(time.perf_counter() - began)
        row = {"case": name, "gates": len(pairs), "first_seconds": round(first, 2)}
        rows.append(row | {"milliseconds": round(1e3 * median(times), 2)})
        print(rows[-1], flush=True)
    (Path(__file__).parent / "speed.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
