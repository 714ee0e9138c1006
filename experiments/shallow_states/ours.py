"""Fronts of all goals by `qtnml.shallow.pareto`, every point refined; one JSON file for each goal."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from targets import GOALS, Goal

from qtnml import shallow
from qtnml.shallow import Approximation
from qtnml.shallow.front import front_of
from qtnml.states import State

HERE = Path(__file__).parent


def points_of(goal: Goal, state: State, most: int, starts: int, *, smoke: bool) -> list[Approximation]:
    """The front up to so many CX, every point refined."""
    found = front_of(
        point
        for order in goal.orders
        for kind in goal.kinds
        for point in shallow.pareto(
            state,
            max_two_qubit_gates=most,
            iterations=60 if smoke else goal.iterations[0],
            starts=2 if smoke else starts,
            order=order,  # type: ignore[arg-type]
            blocks=kind,  # type: ignore[arg-type]
        ).points
    )
    return list(found) if smoke else [shallow.refine(point, goal.iterations[1]) for point in found]


def row_of(point: Approximation) -> dict[str, Any]:
    """A circuit's numbers."""
    return {
        "two_qubit_gates": point.two_qubit_gates,
        "two_qubit_depth": point.two_qubit_depth,
        "infidelity": point.infidelity,
        "blocks": point.blocks.kind,
        "qubits_with_reuse": point.compile().num_qubits,
        "deviation_of_certificate": point.verify(),
    }


def best_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those than which none is both shorter and nearer."""
    best = list[dict[str, Any]]()
    for row in sorted(rows, key=lambda row: (row["two_qubit_gates"], row["infidelity"])):
        if not best or row["infidelity"] < best[-1]["infidelity"]:
            best.append(row)
    return best


def front(goal: Goal, known: dict[str, Any] | None, *, smoke: bool) -> dict[str, Any]:
    """Points of one goal; of one that is known already the short circuits alone are searched again."""
    state = goal.make()
    began = time.perf_counter()
    rows = [] if known is None else known["points"]
    if known is None:
        rows += map(row_of, points_of(goal, state, goal.most, goal.starts, smoke=smoke))
    if goal.short:
        rows += map(row_of, points_of(goal, state, goal.short, goal.short_starts, smoke=smoke))
    return {
        "goal": goal.name,
        "qubits": state.num_sites,
        "bond": int(max(state.bond_dims)),
        "entropy": float(np.max(state.entropies())),
        "seconds": round(time.perf_counter() - began + (0.0 if known is None else known["seconds"]), 1),
        "points": best_of(rows),
    }


def main() -> None:
    """All goals, or those named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--short", action="store_true", help="add short circuits to fronts that are there")
    options = parser.parse_args()
    folder = HERE / "fronts"
    for goal in GOALS:
        if options.only and goal.name not in options.only:
            continue
        if options.smoke and goal.name not in ("ghz-12", "random-bond-4"):
            continue
        path = folder / f"{goal.name}.json"
        found = front(goal, json.loads(path.read_text()) if options.short else None, smoke=options.smoke)
        for row in found["points"]:
            print(goal.name, row, flush=True)
        print(goal.name, found["seconds"], "s", flush=True)
        if not options.smoke:
            folder.mkdir(exist_ok=True)
            path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
