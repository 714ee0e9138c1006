"""100 spins: depth of optimised circuits and of Trotter circuits that err as little; and 10,000 angles.

python experiments/aqc/long_chains.py [--smoke]
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from qtnml import shallow, states
from qtnml.states import Hamiltonian, State

HERE = Path(__file__).parent
TIME = 2.0  # in units of 1 / J of spins S = sigma / 2
FEW = (1, 2, 3, 4)
MANY = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48)
CUTOFF = 1e-7  # of singular values, in the targets


def chains(count: int) -> dict[str, Hamiltonian]:
    """J = 1 between spins, from the Neel state: Heisenberg's chain, and XXZ of anisotropy 2."""
    return {
        "Heisenberg": states.xxz(count, couplings=0.25),
        "XXZ, anisotropy 2": states.xxz(count, couplings=0.25, anisotropy=2.0),
    }


def neel(count: int) -> State:
    """0101..."""
    cores = [np.eye(2)[[k % 2]].reshape(1, 2, 1) for k in range(count)]
    return states.from_arrays(cores)


def trotter(hamiltonian: Hamiltonian, duration: float, steps: int) -> Any:
    """A circuit of second-order steps from the Neel state."""
    bits = [k % 2 for k in range(hamiltonian.num_sites)]
    return shallow.trotter_circuit(hamiltonian, duration, steps, initial=bits)


def compared(name: str, hamiltonian: Hamiltonian, *, smoke: bool) -> dict[str, Any]:
    """Infidelities of Trotter circuits and of optimised ones."""
    count = hamiltonian.num_sites
    fine = states.evolve(neel(count), hamiltonian, TIME, 20, order=4, cutoff=CUTOFF)
    finer = states.evolve(neel(count), hamiltonian, TIME, 30, order=4, cutoff=CUTOFF / 3)
    print(name, "target", max(fine.bond_dims), "1 - F of a finer one", 1 - fine.fidelity(finer), flush=True)
    plain = []
    for steps in MANY[: 3 if smoke else None]:
        circuit = trotter(hamiltonian, TIME, steps)
        state = states.from_circuit(circuit, cutoff=CUTOFF)
        plain.append({"steps": steps, "blocks_deep": 2 * steps + 1, "infidelity": 1 - fine.fidelity(state)})
        print(name, plain[-1], flush=True)
    optimised = []
    for steps in FEW[: 1 if smoke else None]:
        began = time.perf_counter()
        start = shallow.from_circuit(fine, trotter(hamiltonian, TIME, steps))
        found = shallow.refine(start, 30 if smoke else 400, tolerance=1e-4)
        optimised.append(
            {
                "steps": steps,
                "blocks_deep": 2 * steps + 1,
                "infidelity_of_start": start.infidelity,
                "infidelity": found.infidelity,
                "parameters": found.num_parameters,
                "two_qubit_gates": found.two_qubit_gates,
                "two_qubit_depth": found.two_qubit_depth,
                "seconds": round(time.perf_counter() - began, 1),
                "deviation_of_certificate": found.verify(),
            }
        )
        print(name, optimised[-1], flush=True)
    return {
        "hamiltonian": name,
        "qubits": count,
        "bond": int(max(fine.bond_dims)),
        "infidelity_of_target": 1 - fine.fidelity(finer),
        "trotter": plain,
        "optimised": optimised,
    }


def many_angles(count: int) -> dict[str, Any]:
    """Two steps of a long chain: all angles at once."""
    hamiltonian = chains(count)["Heisenberg"]
    target = states.evolve(neel(count), hamiltonian, 1.0, 20, order=4, cutoff=CUTOFF)
    began = time.perf_counter()
    start = shallow.from_circuit(target, trotter(hamiltonian, 1.0, 2))
    moments = [time.perf_counter()]
    found = shallow.refine(start, 300, on_iteration=lambda *_: bool(moments.append(time.perf_counter())))
    row = {
        "qubits": count,
        "parameters": found.num_parameters,
        "infidelity_of_start": start.infidelity,
        "infidelity": found.infidelity,
        "iterations": len(moments) - 1,
        "ms_per_iteration": float(1e3 * np.median(np.diff(moments))),
        "seconds": round(time.perf_counter() - began, 1),
        "deviation_of_certificate": found.verify(),
    }
    print(row, flush=True)
    return row


def main() -> None:
    """Both chains, and many angles."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    count = 16 if options.smoke else 100
    rows = [compared(name, each, smoke=options.smoke) for name, each in chains(count).items()]
    angles = many_angles(24 if options.smoke else 400)
    if not options.smoke:
        found = {"time": TIME, "chains": rows, "many_angles": angles}
        (HERE / "long_chains.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
