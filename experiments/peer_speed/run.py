"""Our gradient step beside TensorCircuit-NG, PennyLane, TensorKrowch and tn4ml; see README.md.

python experiments/peer_speed/run.py [--smoke]
"""

import argparse
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import chains
import trees
from contest import Contestant, attempt, race

FOLDER = Path(__file__).parent
PEERS = ("jax", "optax", "torch", "tensorkrowch", "tn4ml", "tensorcircuit-ng", "pennylane")


def tree_contest(qubits: int, rounds: int) -> list[dict[str, Any]]:
    problem = trees.TreeProblem(qubits)
    contestants: list[Contestant | str] = [trees.ours(problem), trees.ours(problem, with_optimiser=False)]
    builders = {
        "TensorCircuit-NG": trees.tensorcircuit_expectation,
        "density matrices": trees.tensorcircuit_density,
    }
    if qubits <= 16:
        builders = {"PennyLane": trees.pennylane_backprop}
    contestants += [attempt(lambda b=build: b(problem), name) for name, build in builders.items()]
    return race(f"traced tree, {qubits} qubits, V=1", contestants, rounds)


def chain_contest(bond_dim: int, rounds: int) -> list[dict[str, Any]]:
    problem = chains.ChainProblem(bond_dim)
    contestants: list[Contestant | str] = [chains.ours(problem)]
    builders = {
        "plain JAX scan": chains.plain_scan,
        "TensorKrowch": chains.tensorkrowch,
        "tn4ml": chains.tn4ml,
    }
    contestants += [attempt(lambda b=build: b(problem), name) for name, build in builders.items()]
    return race(f"amplitude MPS, 64 sites, 10 classes, D={bond_dim}", contestants, rounds)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    columns = {"contest": "s", "contestant": "s", "us_per_sample": ".2f", "ratio": ".1f"}
    columns |= {"first_call_s": ".1f", "note": "s"}
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        cells = (format(row[name], spec) if name in row else "" for name, spec in columns.items())
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "cores": str(len(os.sched_getaffinity(0)))}
    for name in PEERS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="two rounds, prints only")
    smoke = parser.parse_args().smoke
    rounds = 2 if smoke else 15
    rows = tree_contest(64, rounds) + tree_contest(16, rounds)
    rows += chain_contest(10, rounds) + chain_contest(32, rounds)
    print(table(rows))
    if not smoke:
        text = json.dumps({"versions": versions(), "rows": rows}, indent=1)
        (FOLDER / "results.json").write_text(text + "\n")
        (FOLDER / "results.md").write_text(table(rows) + "\n")


if __name__ == "__main__":
    main()
