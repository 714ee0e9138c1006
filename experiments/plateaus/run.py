"""Variance of slopes against the number of qubits, by start and loss; see README.md.

python experiments/plateaus/run.py [--smoke]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from qtnml import shallow, states
from qtnml.shallow.blocks import Blocks, Point
from qtnml.shallow.layouts import brick_wall, staircase
from qtnml.shallow.search import stacked
from qtnml.shallow.vector import OnVector, energy

HERE = Path(__file__).parent
SIZES = (4, 6, 8, 10, 12)
SEEDS = 24
BONDS = (2, 4, 8, 16)


def hamiltonian(count: int) -> states.Hamiltonian:
    """The critical Ising chain."""
    return states.ising(count)


def _infidelity(vector: Any, target: Any) -> Any:
    overlap = (target.conj() * vector).sum()
    return 1 - (overlap.real**2 + overlap.imag**2)


def circuit(count: int, start: str, seed: int) -> tuple[Blocks, Point]:
    """Two staircases and a brick wall of as many layers as there are qubits."""
    rng = np.random.default_rng(seed)
    stairs = Blocks(count, staircase(count, 2), "su4")
    blocks = Blocks(count, (*stairs.pairs, *brick_wall(count, count)), "su4")
    point = blocks.start(rng, 3.0 if start == "random" else 0.01)
    if start.startswith("bond"):
        bond = int(start.split()[1])
        state = states.ground_state(hamiltonian(count), max_bond=bond)
        found = shallow.approximate(state, layers=2, blocks="su4", iterations=300, starts=2)
        whole = np.asarray(point.whole).copy()
        whole[: len(stairs.pairs)] = found.blocks.gates(found.point)
        point = point._replace(whole=whole)
    return blocks, point


def variances(count: int, start: str, seeds: int) -> dict[str, float]:
    """Mean squared slope over seeds by loss, its interval by resampling, and how far the loss is to fall."""
    ground = states.ground_state(hamiltonian(count), max_bond=32)
    exact = ground.to_vector()
    blocks, first = circuit(count, start, 0)
    points = [first]
    for seed in range(1, seeds):
        if start.startswith("bond"):
            # The same chain; the brick wall behind it is drawn anew.
            whole = np.asarray(blocks.start(np.random.default_rng(seed), 0.01).whole).copy()
            stairs = 2 * (count - 1)
            whole[:stairs] = np.asarray(first.whole)[:stairs]
            points.append(first._replace(whole=whole))
        else:
            points.append(circuit(count, start, seed)[1])
    found: dict[str, float] = {}
    lowest = {"global": 0.0, "local": float(ground.expectation(hamiltonian(count)).real)}
    for loss, objective in (
        ("global", OnVector(blocks, _infidelity, exact)),
        ("local", energy(blocks, hamiltonian(count))),
    ):
        parts = [_evaluated(objective, blocks, points[k : k + 4]) for k in range(0, seeds, 4)]
        losses, slopes = (np.concatenate(part) for part in zip(*parts, strict=True))
        scale = 1.0 if loss == "global" else 1.0 / count
        each = ((slopes * scale) ** 2).mean(axis=1)
        found[f"{loss}, gap"] = float(np.mean((losses - lowest[loss]) * scale))
        rng = np.random.default_rng(0)
        means = [each[rng.integers(seeds, size=seeds)].mean() for _ in range(400)]
        found[loss] = float(each.mean())
        found[f"{loss}, low"], found[f"{loss}, high"] = map(float, np.quantile(means, [0.025, 0.975]))
    return found


def _evaluated(objective: OnVector, blocks: Blocks, points: list[Point]) -> tuple[np.ndarray, np.ndarray]:
    """Losses (circuits,) and slopes (circuits, coordinates)."""
    _, losses, slopes = objective(stacked(points), np.zeros((len(points), blocks.dimension)))
    return losses, slopes


def slope_of(sizes: list[int], values: list[float]) -> tuple[float, float]:
    """d log2(variance) / d qubits by least squares, and its standard error."""
    x, y = np.array(sizes, float), np.log2(values)
    (slope, _), covariance = np.polyfit(x, y, 1, cov="unscaled")
    rest = y - np.polyval(np.polyfit(x, y, 1), x)
    return float(slope), float(np.sqrt(covariance[0, 0] * (rest**2).sum() / max(1, len(x) - 2)))


def main() -> None:
    """All sizes and starts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    sizes, seeds = ([4, 6], 4) if options.smoke else (list(SIZES), SEEDS)
    rows: list[dict[str, Any]] = []
    for start in ("random", "near identity", *(f"bond {bond}" for bond in BONDS)):
        for count in sizes:
            row = {"start": start, "qubits": count, **variances(count, start, seeds)}
            print(row, flush=True)
            rows.append(row)
    fits = []
    for start in dict.fromkeys(row["start"] for row in rows):
        for loss in ("global", "local"):
            own = [row for row in rows if row["start"] == start and (row["qubits"] > 4 or options.smoke)]
            slope, error = slope_of([row["qubits"] for row in own], [row[loss] for row in own])
            fits.append({"start": start, "loss": loss, "slope": slope, "error": error})
            print(fits[-1], flush=True)
    if not options.smoke:
        (HERE / "results.json").write_text(json.dumps({"rows": rows, "slopes": fits}, indent=1) + "\n")


if __name__ == "__main__":
    main()
