"""A Born machine of 784 pixels as circuits: CX, fidelity per site, and what the circuit's samples are worth.

QTNML_DATA=/path/to/data python experiments/shallow_states/images.py [--smoke]
    ... --mps-to-circuit       # the same machine by that package, in the environment of `shallow-peers`
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from qiskit import transpile

from qtnml import MPSBornMachine, load_dataset, shallow, states
from qtnml.shallow import objectives
from qtnml.states import State

HERE = Path(__file__).parent
BOND, LAYERS = 10, (1, 2, 3, 4)


def nll(state: State, X: np.ndarray) -> float:
    """Mean negative log-likelihood of images, nats."""
    return float(-MPSBornMachine.from_state(state).score_samples(X).mean())


def row_of(found: shallow.Approximation, X: np.ndarray, held_out: np.ndarray, began: float) -> dict[str, Any]:
    """What a circuit costs and is worth."""
    state = found.state()
    return {
        "two_qubit_gates": found.two_qubit_gates,
        "two_qubit_depth": found.two_qubit_depth,
        "qubits_with_reuse": found.compile().num_qubits,
        "ln_fidelity_per_site": float(np.log(max(found.fidelity, 1e-300)) / found.target.num_places),
        "fidelity": found.fidelity,
        "nll": nll(state, X),
        "held_out_nll": nll(state, held_out),
        "seconds": round(time.perf_counter() - began, 1),
        "deviation_of_certificate": found.verify(),
    }


def by_mps_to_circuit(state: State, layers: int, X: np.ndarray, held_out: np.ndarray) -> dict[str, Any]:
    """Ran's layers (arXiv:1908.07958) of another package; what its circuit prepares, gate by gate."""
    from mps_to_circuit import mps_to_circuit

    began = time.perf_counter()
    arrays = [tensor.transpose(0, 2, 1) for tensor in state.to_arrays()]
    arrays = [arrays[0][0], *arrays[1:-1], arrays[-1][:, 0]]
    circuit = mps_to_circuit(
        arrays, method="approximate", shape="lrp", num_layers=layers, compress=True, chi_max=32
    )
    plain = transpile(circuit, basis_gates=["u", "cx"], optimization_level=3, seed_transpiler=0)
    made = states.from_circuit(plain, max_bond=64)
    ends = [made, states.from_arrays([t.transpose(2, 1, 0) for t in made.to_arrays()[::-1]])]
    best = max(ends, key=lambda each: each.fidelity(state))
    return {
        "two_qubit_gates": plain.count_ops().get("cx", 0),
        "two_qubit_depth": plain.depth(lambda gate: gate.operation.num_qubits == 2),
        "ln_fidelity_per_site": float(np.log(max(best.fidelity(state), 1e-300)) / state.num_sites),
        "fidelity": best.fidelity(state),
        "nll": nll(best, X),
        "held_out_nll": nll(best, held_out),
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    """By the fidelity, and by the likelihood of the images from there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--mps-to-circuit", action="store_true")
    options = parser.parse_args()
    pixels = load_dataset("digits" if options.smoke else "mnist").X_train
    X, held_out = ((part >= 0.5).astype(int) for part in (pixels[:1000], pixels[1000:2000]))
    born = MPSBornMachine(
        max_bond=BOND, epochs=20, validation_fraction=0.0, init="product", random_state=0
    ).fit(X)
    state = states.from_born(born)
    facts: dict[str, Any] = {"nll": float(-born.score(X)), "held_out_nll": float(-born.score(held_out))}
    facts |= {"sites": state.num_sites, "bond": int(max(state.bond_dims)), "rows": []}
    print(facts, flush=True)
    for layers in LAYERS if options.mps_to_circuit else ():
        row = {"layers": layers, **by_mps_to_circuit(state, layers, X, held_out)}
        print(row, flush=True)
        facts["rows"].append(row)
        (HERE / "images-mps-to-circuit.json").write_text(json.dumps(facts, indent=1) + "\n")
    for layers in () if options.mps_to_circuit else LAYERS[: 2 if options.smoke else None]:
        began = time.perf_counter()
        steps = 30 if options.smoke else 300
        found = shallow.approximate(state, layers=layers, blocks="so4", iterations=steps, starts=2)
        row = {"layers": layers, "loss": "fidelity", **row_of(found, X, held_out, began)}
        print(row, flush=True)
        facts["rows"].append(row)
        columns = X[:, list(found.target.sites)]
        objective = objectives.likelihood(found.blocks, columns)
        trained = shallow.refine(found, steps, objective=objective, tolerance=1e-4)
        row = {"layers": layers, "loss": "likelihood", **row_of(trained, X, held_out, began)}
        print(row, flush=True)
        facts["rows"].append(row)
        if not options.smoke:
            (HERE / "images.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
