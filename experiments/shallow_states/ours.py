"""Fronts of all goals by `qtnml.shallow.pareto`, every point refined; one JSON file for each goal."""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from targets import GOALS, Goal

from qtnml import shallow
from qtnml.shallow.front import front_of

HERE = Path(__file__).parent


def front(goal: Goal, *, smoke: bool) -> dict[str, object]:
    """Points of one goal."""
    state = goal.make()
    began = time.perf_counter()
    found = front_of(
        point
        for order in goal.orders
        for kind in goal.kinds
        for point in shallow.pareto(
            state,
            max_two_qubit_gates=goal.most,
            iterations=60 if smoke else goal.iterations[0],
            starts=2 if smoke else goal.starts,
            order=order,  # type: ignore[arg-type]
            blocks=kind,  # type: ignore[arg-type]
        ).points
    )
    searched = time.perf_counter() - began
    points = found if smoke else front_of([shallow.refine(point, goal.iterations[1]) for point in found])
    rows = [
        {
            "two_qubit_gates": point.two_qubit_gates,
            "two_qubit_depth": point.two_qubit_depth,
            "infidelity": point.infidelity,
            "blocks": point.blocks.kind,
            "qubits_with_reuse": point.compile().num_qubits,
            "deviation_of_certificate": point.verify(),
        }
        for point in points
    ]
    return {
        "goal": goal.name,
        "qubits": state.num_sites,
        "bond": int(max(state.bond_dims)),
        "entropy": float(np.max(state.entropies())),
        "seconds": round(searched, 1),
        "seconds_with_refinement": round(time.perf_counter() - began, 1),
        "points": rows,
    }


def main() -> None:
    """All goals, or those named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    folder = HERE / "fronts"
    for goal in GOALS:
        if options.only and goal.name not in options.only:
            continue
        if options.smoke and goal.name not in ("ghz-12", "random-bond-4"):
            continue
        found = front(goal, smoke=options.smoke)
        for row in found["points"]:  # type: ignore[attr-defined]
            print(goal.name, row, flush=True)
        print(goal.name, found["seconds"], found["seconds_with_refinement"], "s", flush=True)
        if not options.smoke:
            folder.mkdir(exist_ok=True)
            (folder / f"{goal.name}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
