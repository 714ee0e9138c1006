"""Seconds per sample of the compiled 64-feature reuse circuits on Aer; see README.md.

python experiments/speed/aer.py [--smoke]
"""

import argparse
import time
from pathlib import Path

import numpy as np

from qtnml import get_backend
from qtnml.compile import compile_model
from qtnml.contract import Model
from qtnml.structure import balanced_tree

SHOTS = 1024


def measure(bond_qubits: int, samples: int) -> str:
    """One row: time for shots and for exact probabilities, and the latter's largest deviation."""
    rng = np.random.default_rng(0)
    model = Model(balanced_tree(64, bond_qubits))
    parameters = model.start(rng, scale=1.0)
    compiled = compile_model(model, parameters)
    X = rng.random((samples, 64))
    backend, circuits = get_backend("aer"), compiled.bind(X)
    began = time.perf_counter()
    backend.run(circuits, shots=SHOTS, seed=0)
    with_shots = (time.perf_counter() - began) / samples
    began = time.perf_counter()
    probabilities = backend.probabilities(circuits)
    exact = (time.perf_counter() - began) / samples
    deviation = np.abs(probabilities - model.predict(parameters, X)[0]).max()
    cells = [bond_qubits, compiled.num_qubits, compiled.two_qubit_gates, samples]
    cells += [f"{with_shots:.3f}", f"{exact:.3f}", f"{deviation:.0e}"]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """V=1 and V=2; writes results_aer.md unless --smoke (V=1, few samples)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="seconds, prints only")
    smoke = parser.parse_args().smoke
    columns = ["bond_qubits", "qubits", "cx", "samples", "shots_s", "exact_s", "largest_difference"]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for case in [(1, 4)] if smoke else [(1, 64), (2, 1)]:
        lines.append(measure(*case))
        print(lines[-1], flush=True)
    if not smoke:
        (Path(__file__).parent / "results_aer.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
