"""Tutorial evolutions compressed by qtnml and by qiskit-addon-aqc-tensor, in turn; see README.md.

python experiments/aqc/run.py [--without-addon]
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cases import CASES, Case
from qiskit import transpile

from qtnml import shallow, states
from qtnml.states import State

HERE = Path(__file__).parent
ITERATIONS = 500


def ours(case: Case, target: State) -> dict[str, Any]:
    """Start, end and milliseconds of each iteration."""
    began = time.perf_counter()
    start = shallow.from_circuit(target, case.circuit(case.few))
    moments, fidelities = [time.perf_counter()], [start.fidelity]

    def note(_: int, losses: Any) -> bool:
        moments.append(time.perf_counter())
        fidelities.append(float(np.exp(-losses[0] * target.num_sites)))
        return False

    end = shallow.refine(start, ITERATIONS, tolerance=1e-5, on_iteration=note)
    found = _facts(start.fidelity, end.fidelity, began, moments, fidelities)
    plain = transpile(end.circuit, basis_gates=["u", "cx"], optimization_level=3, seed_transpiler=0)
    return found | {
        "parameters": end.num_parameters,
        "two_qubit_gates": end.two_qubit_gates,
        "two_qubit_depth": end.two_qubit_depth,
        "two_qubit_depth_by_qiskit": plain.depth(lambda gate: gate.operation.num_qubits == 2),
        "deviation_of_certificate": end.verify(),
    }


def _facts(
    start: float, end: float, began: float, moments: list[float], fidelities: list[float]
) -> dict[str, Any]:
    """Numbers that both packages have: the first iteration's time holds compilation."""
    last = len(moments) - 1
    shown = sorted({*range(min(10, last)), *range(10, last, 10), last})
    return {
        "start": start,
        "end": end,
        "iterations": len(moments) - 1,
        "ms_per_iteration": float(1e3 * np.median(np.diff(moments))),
        "seconds": moments[-1] - began,
        "curve": [[round(moments[k] - began, 3), fidelities[k]] for k in shown],
    }


def addon(case: Case) -> tuple[dict[str, Any], Any]:
    """The same by the addon as its tutorial uses it, and its target."""
    import jax
    import quimb.tensor as qtn
    from qiskit_addon_aqc_tensor import generate_ansatz_from_circuit
    from qiskit_addon_aqc_tensor.objective import MaximizeStateFidelity
    from qiskit_addon_aqc_tensor.simulation import compute_overlap, tensornetwork_from_circuit
    from qiskit_addon_aqc_tensor.simulation.quimb import QuimbSimulator
    from scipy.optimize import OptimizeResult, minimize

    jax.config.update("jax_enable_x64", True)
    kind = qtn.CircuitMPS
    if case.name.startswith("Ising"):
        kind = partial(qtn.CircuitMPS, max_bond=100, cutoff=1e-8)  # as its tutorial of the ring
    settings = QuimbSimulator(kind, autodiff_backend="jax")
    target = tensornetwork_from_circuit(case.circuit(case.steps), settings)
    began = time.perf_counter()
    few = case.circuit(case.few)
    ansatz, first = generate_ansatz_from_circuit(few)
    start = abs(compute_overlap(tensornetwork_from_circuit(few, settings), target)) ** 2
    precise = QuimbSimulator(partial(qtn.CircuitMPS, cutoff=1e-14), autodiff_backend="jax")
    both = [tensornetwork_from_circuit(case.circuit(steps), precise) for steps in (case.few, case.steps)]
    objective = MaximizeStateFidelity(target, ansatz, settings)
    moments, fidelities = [time.perf_counter()], [float(start)]

    def note(intermediate_result: OptimizeResult) -> None:
        moments.append(time.perf_counter())
        fidelities.append(float(1 - intermediate_result.fun))

    found = minimize(
        objective.loss_function,
        first,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": ITERATIONS},
        callback=note,
    )
    facts = _facts(float(start), float(1 - found.fun), began, moments, fidelities)
    untruncated = float(abs(compute_overlap(*both)) ** 2)
    return facts | {"parameters": len(first), "start_without_truncation": untruncated}, target.psi


def main() -> None:
    """All cases."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--without-addon", action="store_true")
    options = parser.parse_args()
    rows = []
    for case in CASES:
        row: dict[str, Any] = {"case": case.name, "published": case.published}
        exact = states.from_circuit(case.circuit(case.steps), cutoff=1e-10)
        if not options.without_addon:
            row["addon"], theirs = addon(case)
            # Of the very same target, for the comparison; then of ours, which is not truncated.
            row["ours_on_its_target"] = ours(case, states.from_quimb(theirs))
        row["ours"] = ours(case, exact)
        row["trotter"] = []
        for steps in (case.few * 2**k for k in range(5)):
            plain = states.from_circuit(case.circuit(steps), cutoff=1e-10)
            row["trotter"].append([steps, exact.fidelity(plain)])
        rows.append(row)
        for name in ("addon", "ours_on_its_target", "ours"):
            if name in row:
                print(case.name, name, {k: v for k, v in row[name].items() if k != "curve"}, flush=True)
        (HERE / "tutorials.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
