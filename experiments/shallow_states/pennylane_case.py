"""PennyLane's documented case: a random complex chain of 10 sites and bond 8, exactly and with fewer CX.

python experiments/shallow_states/pennylane_case.py
"""

import json
import time
from pathlib import Path
from typing import Any

import pennylane.estimator as estimator
from targets import random_chain

from qtnml import shallow

HERE = Path(__file__).parent
SITES, BOND, LAYERS = 10, 8, (2, 4, 8, 11)
GATES = {"CNOT", "RZ", "RY", "RX", "Hadamard", "GlobalPhase", "X", "S", "T"}


def main() -> None:
    """Their estimate, the exact circuit, and approximate ones."""
    resources = estimator.estimate(
        estimator.MPSPrep(num_mps_matrices=SITES, max_bond_dim=BOND), gate_set=GATES
    )
    rows: list[dict[str, Any]] = [
        {
            "what": "PennyLane's estimate for qml.MPSPrep",
            "two_qubit_gates": int(resources.gate_counts["CNOT"]),
            "qubits": int(resources.total_wires),
        }
    ]
    state = random_chain(SITES, BOND)
    began = time.perf_counter()
    compiled = state.compile()
    rows.append(
        {
            "what": "exact",
            "two_qubit_gates": compiled.two_qubit_gates,
            "qubits": compiled.num_qubits,
            "infidelity": compiled.infidelity,
            "seconds": round(time.perf_counter() - began, 1),
        }
    )
    print(rows, flush=True)
    for layers in LAYERS:
        began = time.perf_counter()
        found = shallow.approximate(state, layers=layers, blocks="two-cx", starts=2, iterations=400)
        rows.append(
            {
                "what": f"{layers} layers",
                "two_qubit_gates": found.two_qubit_gates,
                "qubits": found.compile().num_qubits,
                "infidelity": found.infidelity,
                "deviation_of_certificate": found.verify(),
                "seconds": round(time.perf_counter() - began, 1),
            }
        )
    for row in rows:
        print(row)
    (HERE / "pennylane_case.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
