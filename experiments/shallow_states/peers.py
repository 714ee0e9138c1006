"""The same goals by other packages, each as its documentation uses it; CX counted after Qiskit's level 3.

Needs the extra `shallow-peers`. Every circuit's fidelity is computed from its own gates by
`qtnml.shallow.certificate`, whatever the package says of it.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from qiskit import QuantumCircuit, transpile
from scipy.optimize import minimize
from targets import GOALS, Goal

from qtnml.shallow.certificate import fidelity_of
from qtnml.shallow.target import Target

HERE = Path(__file__).parent
MOST_SECONDS = 120  # of one package on one goal; what it has then is kept
DENSE = 14  # qubits up to which packages that hold the state vector are asked
Made = Iterator[tuple[str, QuantumCircuit]]


def measured(circuit: QuantumCircuit, target: Target) -> tuple[int, int, float]:
    """CX and their depth after translation, and the fidelity, with qubit 0 at either end."""
    plain = transpile(circuit, basis_gates=["u", "cx"], optimization_level=3, seed_transpiler=0)
    count = target.num_places
    read = QuantumCircuit(count, count).compose(plain)
    read.measure(range(count), range(count))
    fidelities = [fidelity_of(read, target.tensors, order) for order in (range(count), range(count)[::-1])]
    depth = plain.depth(lambda gate: gate.operation.num_qubits == 2)
    return plain.count_ops().get("cx", 0), int(depth), max(fidelities)


def mps_to_circuit_layers(target: Target) -> Made:
    """`mps_to_circuit`, method "approximate": Ran's layers (arXiv:1908.07958)."""
    from mps_to_circuit import mps_to_circuit

    arrays = [t.transpose(0, 2, 1) for t in target.tensors]
    arrays = [arrays[0][0], *arrays[1:-1], arrays[-1][:, 0]]
    for layers in range(1, 12):
        circuit = mps_to_circuit(
            arrays, method="approximate", shape="lrp", num_layers=layers, compress=True, chi_max=32
        )
        yield f"{layers} layers", circuit


def qiu_layers(target: Target) -> Made:
    """`qiu_mps_initializer`: layers from the dense state vector."""
    from qiu_mps_initializer.state_preparation import mps_state_preparation

    if target.num_places > DENSE:
        return
    vector = target.state.to_vector()
    little = vector.reshape([2] * target.num_places).transpose().reshape(-1)
    for layers in range(1, 12):
        found = mps_state_preparation(little / np.linalg.norm(little), layers)
        yield f"{layers} layers", found.circuit


def quimb_optimiser(target: Target) -> Made:
    """quimb's `TNOptimizer` as its example of circuits uses it: U3 and CX, here staircases; jax, L-BFGS."""
    import jax
    import quimb.tensor as qtn

    if target.num_places > DENSE:
        return
    jax.config.update("jax_enable_x64", True)
    count = target.num_places
    bra = target.state.to_quimb()
    for layers in range(2, 13, 2):
        circuit, rng = qtn.Circuit(count), np.random.default_rng(0)
        for _ in range(layers):
            for k in range(count - 1):
                for qubit in (k, k + 1):
                    circuit.apply_gate("U3", *rng.uniform(-1, 1, 3), qubit, parametrize=True)
                circuit.apply_gate("CX", k, k + 1)
        for qubit in range(count):
            circuit.apply_gate("U3", *rng.uniform(-1, 1, 3), qubit, parametrize=True)
        found = qtn.TNOptimizer(
            circuit.psi,
            loss_fn=lambda psi, bra: 1 - abs((bra.H & psi).contract(all, optimize="auto-hq")) ** 2,
            loss_constants={"bra": bra},
            tags=["U3"],
            autodiff_backend="jax",
            optimizer="L-BFGS-B",
            progbar=False,
        ).optimize(400)
        circuit.update_params_from(found)
        made = QuantumCircuit(count)
        for gate in circuit.gates:
            if gate.label == "CX":
                made.cx(*gate.qubits)
            else:
                made.u(*map(float, gate.params), *gate.qubits)
        yield f"{layers} layers of U3 and CX", made


def aqc_tensor(target: Target) -> Made:
    """`qiskit-addon-aqc-tensor` from the circuit that `mps_to_circuit` makes: all angles, L-BFGS-B."""
    import quimb.tensor as qtn
    from qiskit_addon_aqc_tensor import generate_ansatz_from_circuit
    from qiskit_addon_aqc_tensor.objective import MaximizeStateFidelity
    from qiskit_addon_aqc_tensor.simulation.quimb import QuimbSimulator

    if target.num_places > 32:
        return
    settings = QuimbSimulator(qtn.CircuitMPS, autodiff_backend="jax")
    goal = qtn.CircuitMPS(psi0=target.state.to_quimb())
    for name, circuit in mps_to_circuit_layers(target):
        ansatz, start = generate_ansatz_from_circuit(circuit.decompose())
        objective = MaximizeStateFidelity(goal, ansatz, settings)
        found = minimize(
            objective.loss_function, start, jac=True, method="L-BFGS-B", options={"maxiter": 400}
        )
        yield name, ansatz.assign_parameters(found.x)


PEERS: dict[str, Callable[[Target], Made]] = {
    "mps-to-circuit": mps_to_circuit_layers,
    "qiu-mps-initializer": qiu_layers,
    "quimb": quimb_optimiser,
    "aqc-tensor": aqc_tensor,
}


def points_of(name: str, goal: Goal) -> list[dict[str, object]]:
    """Circuits of one package, until they have more CX than the goal's front or the time is over."""
    target = Target.of(goal.make())
    began, found = time.perf_counter(), list[dict[str, object]]()
    try:
        for what, circuit in PEERS[name](target):
            gates, depth, fidelity = measured(circuit, target)
            seconds = time.perf_counter() - began
            row = {
                "what": what,
                "two_qubit_gates": gates,
                "two_qubit_depth": depth,
                "infidelity": max(0.0, 1 - fidelity),
            }
            found.append(row | {"seconds": round(seconds, 1)})
            print(goal.name, name, found[-1], flush=True)
            if gates > 1.2 * goal.most or seconds > MOST_SECONDS:
                break
    except Exception as error:  # a package that cannot do a goal says so in the table
        print(goal.name, name, f"{type(error).__name__}: {error}"[:300], flush=True)
        found.append({"error": f"{type(error).__name__}: {error}"[:200]})
    return found


def main() -> None:
    """All goals and packages, or those named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--packages", nargs="*", default=list(PEERS))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    folder = HERE / "peers"
    folder.mkdir(exist_ok=True)
    for goal in GOALS:
        if options.only and goal.name not in options.only:
            continue
        path = folder / f"{goal.name}.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        known |= {name: points_of(name, goal) for name in options.packages}
        path.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
