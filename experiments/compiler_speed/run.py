"""How long compiling and binding take; see README.md.

python experiments/compiler_speed/run.py [--smoke]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qtnml import Synthesis
from qtnml.ansatz import TensorNetwork
from qtnml.compile import compile_network
from qtnml.encoding import AngleEncoding
from qtnml.structure import balanced_tree, mps

FOLDER = Path(__file__).parent
CASES = {  # topology, synthesis, seconds it may take
    "tree, 64 leaves, V=1": (balanced_tree(64), Synthesis(), 1),
    "tree, 1,024 leaves, V=1": (balanced_tree(1024), Synthesis(), 20),
    "tree, 64 leaves, V=2": (balanced_tree(64, 2), Synthesis(), 900),
    "tree, 64 leaves, V=2, analytic": (balanced_tree(64, 2), Synthesis("analytic"), None),
    "chain, 64 sites, V=1": (mps(64), Synthesis(), None),
    "chain, 784 sites, V=1": (mps(784), Synthesis(), None),
    "chain, 64 sites, V=2": (mps(64, 2), Synthesis(), None),
    "chain, 64 sites, V=3": (mps(64, 3), Synthesis(), None),
}
BOUND = 10_000
LOOPED = 200  # circuits bound one by one, to compare with


def seconds(action: Callable[[int], Any], rounds: int) -> float:
    """Median over rounds; the action is told which, so that it need not find its last result again."""
    times = []
    for number in range(rounds):
        began = time.perf_counter()
        action(number)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def compile_row(name: str, rounds: int) -> dict[str, Any]:
    topology, synthesis, allowed = CASES[name]
    networks = [TensorNetwork.random(topology, np.random.default_rng(k), scale=2.0) for k in range(rounds)]
    taken = seconds(lambda k: compile_network(networks[k], AngleEncoding(), synthesis=synthesis), rounds)
    compiled = compile_network(networks[0], AngleEncoding(), synthesis=synthesis)
    X = np.random.default_rng(1).random((5, topology.num_data_qubits))
    return {
        "circuit": name,
        "qubits": compiled.num_qubits,
        "two_qubit_gates": compiled.two_qubit_gates,
        "weights": len(compiled.w),
        "seconds": taken,
        "allowed": allowed,
        "deviation": compiled.verify(X),
    }


def bind_rows(rounds: int) -> list[dict[str, Any]]:
    """Binding 10,000 samples, and what the same costs circuit by circuit."""
    network = TensorNetwork.random(balanced_tree(64), np.random.default_rng(0), scale=2.0)
    compiled = compile_network(network, AngleEncoding())
    X = np.random.default_rng(1).random((BOUND, 64))
    template = compiled.trained_circuit
    angles = compiled.angles(X)

    def loop(_: int) -> None:
        for row in angles[:LOOPED]:
            template.assign_parameters(dict(zip(compiled.x, row, strict=True)))

    one_by_one = seconds(loop, rounds) * BOUND / LOOPED
    ways = {
        "pub: arrays for a primitive": lambda _: compiled.pub(X),
        "pub with free weights": lambda _: compiled.pub(X, free_weights=True),
        "bind: circuits made when asked for": lambda _: compiled.bind(X),
    }
    rows = [{"way": way, "seconds": seconds(action, rounds)} for way, action in ways.items()]
    rows.append({"way": f"one circuit after the other (from {LOOPED})", "seconds": one_by_one})
    return [row | {"ratio": one_by_one / row["seconds"]} for row in rows]


def tables(compiled: list[dict[str, Any]], bound: list[dict[str, Any]]) -> str:
    lines = [
        "| circuit | qubits | two-qubit gates | weights | seconds | target | deviation |",
        f"|{'---|' * 7}",
    ]
    for row in compiled:
        target = "" if row["allowed"] is None else f"{row['allowed']}"
        cells = [row["circuit"], row["qubits"], f"{row['two_qubit_gates']:,}", f"{row['weights']:,}"]
        cells += [f"{row['seconds']:.2f}", target, f"{row['deviation']:.0e}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", f"| {BOUND:,} samples, 64 features | seconds | one by one takes |", f"|{'---|' * 3}"]
    for row in bound:
        lines.append(f"| {row['way']} | {row['seconds']:.3f} | {row['ratio']:,.0f}x |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="seconds, prints only")
    smoke = parser.parse_args().smoke
    compiled = []
    for name in list(CASES)[:1] if smoke else CASES:
        compiled.append(compile_row(name, 1 if smoke else 3))
        print(compiled[-1], flush=True)
    bound = bind_rows(1 if smoke else 5)
    print(tables(compiled, bound))
    if not smoke:
        (FOLDER / "results.json").write_text(
            json.dumps({"compile": compiled, "bind": bound}, indent=1) + "\n"
        )
        (FOLDER / "results.md").write_text(tables(compiled, bound))


if __name__ == "__main__":
    main()
