"""Circuits trained on from tensor networks, beside random and near-identity starts; see README.md.

python experiments/synergy/run.py [--smoke] [--only bars-and-stripes heisenberg] [--optimizer adam cma-es]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from tasks import STARTS, Task, starts_of

from qtnml.hybrid import CMAES
from qtnml.shallow.blocks import Blocks, Point
from qtnml.shallow.optimise import adam
from qtnml.shallow.search import stacked

HERE = Path(__file__).parent
SEEDS = {"adam": 10, "cma-es": 3}
MARKS = {"adam": (0, 10, 30, 100, 200, 400), "cma-es": (0, 30, 100)}
RATE = 0.01  # radians, of Adam
LAYERS_OF_BOND = {"bond 4": 3, "bond 8": 4, "bond 16": 5}


def by_adam(task: Task, blocks: Blocks, points: list[Point], steps: int) -> np.ndarray:
    """Losses after each step, (steps + 1, seeds)."""
    found = adam(
        task.objective(blocks),
        stacked(points),
        blocks.dimension,
        iterations=steps,
        learning_rate=RATE,
        tolerance=0.0,
    )
    return found.history


def by_evolution(task: Task, blocks: Blocks, points: list[Point], steps: int) -> np.ndarray:
    """Lowest losses after each population, (steps + 1, seeds)."""
    objective, columns = task.objective(blocks), []
    for seed, point in enumerate(points):
        strategy = CMAES(spread=0.05).strategy(np.zeros(blocks.dimension), {}, seed)
        size = strategy.population_size
        many = stacked([point] * size)
        best = float(objective(stacked([point]), np.zeros((1, blocks.dimension)))[1][0])
        history = [best]
        for _ in range(steps):
            drawn = [strategy.ask() for _ in range(size)]
            losses = objective(many, np.stack(drawn))[1]
            strategy.tell([(one, float(loss)) for one, loss in zip(drawn, losses, strict=True)])
            best = min(best, float(losses.min()))
            history.append(best)
        columns.append(history)
    return np.array(columns).T


def curves(task: Task, optimizer: str, *, smoke: bool) -> dict[str, Any]:
    """Losses after so many steps, of all starts and seeds."""
    seeds, marks = range(1 if smoke else SEEDS[optimizer]), MARKS[optimizer]
    steps = 10 if smoke else max(marks)
    run = by_adam if optimizer == "adam" else by_evolution
    found: dict[str, Any] = {}
    cases = [(name, name, 2) for name in STARTS]
    if optimizer == "cma-es":
        cases = [case for case in cases if case[0] not in ("bond 4", "bond 16")]
    if optimizer == "adam" and task.name != "heisenberg":
        # More staircases for larger bonds; as before a gate on each pair that they do not join.
        cases += [(f"{name}, {layers} layers", name, layers) for name, layers in LAYERS_OF_BOND.items()]
    for title, name, layers in cases[:: 4 if smoke else 1]:
        blocks, points, facts = starts_of(task, name, seeds, layers)
        history = run(task, blocks, points, steps)
        rows = [[float(history[mark, seed]) for mark in marks if mark <= steps] for seed in seeds]
        chain = [each.get("chain") for each in facts]
        fidelity = [each.get("fidelity") for each in facts]
        found[title] = {"losses": rows, "chain": chain, "fidelity": fidelity, "angles": blocks.dimension}
        print(task.name, optimizer, title, np.round(np.median(rows, axis=0), 4).tolist(), flush=True)
    return {"marks": marks, "starts": found}


def main() -> None:
    """Both tasks, both optimisers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--only", nargs="*", default=["bars-and-stripes", "heisenberg"])
    parser.add_argument("--optimizer", nargs="*", default=["adam", "cma-es"])
    options = parser.parse_args()
    for name in options.only:
        task = Task(name)
        for optimizer in options.optimizer:
            facts = curves(task, optimizer, smoke=options.smoke)
            if name == "heisenberg":
                facts["exact"] = float(np.linalg.eigvalsh(task.hamiltonian.matrix())[0])
            if not options.smoke:
                (HERE / f"{name}-{optimizer}.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
