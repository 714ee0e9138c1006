"""Two-qubit gates of trained networks beside Qiskit's generic synthesis; see README.md.

python experiments/compiler_gates/run.py [--smoke]
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.circuit.library import Isometry, UnitaryGate
from qiskit.quantum_info import random_unitary

from qtnml import MPSClassifier, Synthesis, TreeClassifier, load_dataset
from qtnml.compile.certificate import circuit_probabilities, network_probabilities
from qtnml.gates import NodeShape, synthesize_node

FOLDER = Path(__file__).parent
MODELS: dict[str, tuple[type, dict[str, Any]]] = {
    "tree V=1": (TreeClassifier, {"bond_qubits": 1, "epochs": 30}),
    "tree V=2": (TreeClassifier, {"bond_qubits": 2, "epochs": 20}),
    "tree V=2, fresh leaves": (TreeClassifier, {"bond_qubits": 2, "epochs": 20, "leaf": "fresh"}),
    "tree V=2, real": (TreeClassifier, {"bond_qubits": 2, "epochs": 20, "ansatz": "orthogonal"}),
    "MPS V=1": (MPSClassifier, {"bond_qubits": 1, "epochs": 20}),
    "MPS V=2": (MPSClassifier, {"bond_qubits": 2, "epochs": 15}),
    "MPS V=3": (MPSClassifier, {"bond_qubits": 3, "epochs": 8, "learning_rate": 0.01}),
}
SYNTHESES = {
    "exact": Synthesis(),
    "infidelity 1e-5 a node": Synthesis(target_infidelity=1e-5),
    "infidelity 1e-4 a node": Synthesis(target_infidelity=1e-4),
}
APPROXIMATED = ("tree V=1", "tree V=2", "MPS V=2")  # minutes each
SAMPLES = 200  # whose probabilities are compared


def qiskit_gates(clf: Any) -> int:
    """CX of every node by the cheaper of Qiskit's two, each transpiled at level 3."""
    network = clf.network_
    return sum(
        cheaper(unitary, node.fresh)
        for unitary, node in zip(network.node_unitaries(), network.topology.nodes, strict=True)
    )


def cheaper(unitary: np.ndarray, fresh: int) -> int:
    size = len(unitary).bit_length() - 1
    gates = [UnitaryGate(unitary)]
    if fresh:
        gates.append(Isometry(unitary[:, :: 2**fresh], 0, 0))
    counts = []
    for gate in gates:
        circuit = QuantumCircuit(size)
        circuit.append(gate, range(size))
        basic = transpile(circuit, basis_gates=["u", "cx"], optimization_level=3, seed_transpiler=0)
        counts.append(basic.count_ops().get("cx", 0))
    return int(min(counts))


def measure(name: str, syntheses: dict[str, Synthesis], data: Any, **more: Any) -> list[dict[str, Any]]:
    """Train a model and compile it every way."""
    cls, arguments = MODELS[name]
    clf = cls(**arguments | {"feature_range": (0, 1), "random_state": 0} | more)
    clf.fit(data.X_train, data.y_train)
    X = data.X_test[:SAMPLES]
    began = time.perf_counter()
    theirs = qiskit_gates(clf)
    their_seconds = time.perf_counter() - began
    rows = []
    for label, synthesis in syntheses.items():
        began = time.perf_counter()
        compiled = clf.compile(synthesis=synthesis)
        seconds = time.perf_counter() - began
        found = circuit_probabilities(compiled, compiled.angles(X))
        deviation = np.abs(found - network_probabilities(compiled, X)).max()
        agree = np.argmax(found, axis=1) == np.argmax(network_probabilities(compiled, X), axis=1)
        rows.append(
            {
                "model": name,
                "synthesis": label,
                "nodes": len(clf.network_.topology.nodes),
                "qiskit": theirs,
                "ours": compiled.two_qubit_gates,
                "saved": 1 - compiled.two_qubit_gates / theirs,
                "depth": compiled.depth,
                "infidelity": compiled.infidelity,
                "deviation": float(deviation),
                "same_class": float(np.mean(agree)),
                "test_accuracy": clf.score(data.X_test, data.y_test),
                "seconds": seconds,
                "qiskit_seconds": their_seconds,
            }
        )
        print(table(rows[-1:]).splitlines()[-1], flush=True)
    return rows


def wide_node() -> None:
    """A random node of six qubits that keeps three, by the two methods."""
    for method in ("analytic", "fitted"):
        began = time.perf_counter()
        unitary = random_unitary(64, seed=0).data
        node = synthesize_node(unitary, NodeShape(6, 3), Synthesis(method))  # type: ignore[arg-type]
        gates = node.circuit.num_nonlocal_gates()
        print(
            f"{method}: {gates:,} CX, infidelity {node.infidelity:.0e}, {time.perf_counter() - began:.1f} s"
        )


def table(rows: list[dict[str, Any]]) -> str:
    columns = ["model", "nodes", "synthesis", "Qiskit", "this package", "saved", "depth", "infidelity"]
    columns += ["largest deviation", "same class", "compile s", "Qiskit s"]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        cells = [row["model"], row["nodes"], row["synthesis"], f"{row['qiskit']:,}", f"{row['ours']:,}"]
        cells += [f"{100 * row['saved']:.0f} %", f"{row['depth']:,}", f"{row['infidelity']:.0e}"]
        cells += [f"{row['deviation']:.0e}", f"{row['same_class']:.3f}"]
        cells += [f"{row['seconds']:.1f}", f"{row['qiskit_seconds']:.1f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="16 pixels of digits, prints only")
    parser.add_argument("--wide-node", action="store_true", help="one V=3 node, fitted; prints only")
    parser.add_argument("--models", nargs="*", choices=MODELS, help="only these; other results are kept")
    arguments = parser.parse_args()
    smoke = arguments.smoke
    if arguments.wide_node:
        wide_node()
        return
    name = "digits" if smoke else "mnist"
    data = load_dataset(name, size=4 if smoke else 8, classes=(3, 5), order="z")
    results, rows = FOLDER / "results.json", []
    todo = ["tree V=1", "tree V=2", "MPS V=2"] if smoke else arguments.models or list(MODELS)
    if not smoke and results.exists():
        rows = [row for row in json.loads(results.read_text()) if row["model"] not in todo]
    for model in todo:
        chosen = SYNTHESES if model in APPROXIMATED and not smoke else {"exact": SYNTHESES["exact"]}
        rows += measure(model, chosen, data, **({"epochs": 2} if smoke else {}))
        rows.sort(key=lambda row: list(MODELS).index(row["model"]))
        if not smoke:
            results.write_text(json.dumps(rows, indent=1) + "\n")
            (FOLDER / "results.md").write_text(table(rows) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
