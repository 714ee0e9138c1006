"""Trees and chains on devices, beside Qiskit's layout and routing at level 3; see README.md.

python experiments/compiler_devices/run.py [--smoke]
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from qiskit import transpile
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.transpiler import CouplingMap

from qtnml import Synthesis
from qtnml.ansatz import TensorNetwork
from qtnml.compile import compile_network
from qtnml.encoding import AngleEncoding
from qtnml.program.device import device_of, estimated_success
from qtnml.program.timing import two_qubit_depth
from qtnml.structure import balanced_tree, mps

FOLDER = Path(__file__).parent
MODELS = {
    "tree, 16 leaves, V=1": balanced_tree(16),
    "tree, 32 leaves, V=1": balanced_tree(32),
    "tree, 64 leaves, V=1": balanced_tree(64),
    "tree, 16 leaves, V=2": balanced_tree(16, 2),
    "tree, 64 leaves, V=2": balanced_tree(64, 2),
    "chain, 16 sites, V=1": mps(16),
    "chain, 64 sites, V=1": mps(64),
    "chain, 16 sites, V=2": mps(16, 2),
}
SEEDS = (0, 1, 2)  # of Qiskit's transpiler, the best of which counts


def devices(smoke: bool) -> dict[str, Any]:
    if smoke:
        return {"heavy-hex, 57": GenericBackendV2(57, coupling_map=CouplingMap.from_heavy_hex(5), seed=1)}
    from qiskit_ibm_runtime.fake_provider import FakeSherbrooke, FakeTorino

    grid = GenericBackendV2(100, coupling_map=CouplingMap.from_grid(10, 10), seed=1)
    return {"FakeTorino": FakeTorino(), "FakeSherbrooke": FakeSherbrooke(), "10x10 grid": grid}


def measure(name: str, where: str, backend: Any) -> dict[str, Any]:
    """Ours, and the best of Qiskit's: with and without reuse, three seeds each, weights bound."""
    network = TensorNetwork.random(MODELS[name], np.random.default_rng(0), scale=2.0)
    began = time.perf_counter()
    ours = compile_network(network, AngleEncoding(), target=backend)
    seconds = time.perf_counter() - began
    X = np.random.default_rng(1).random((3, MODELS[name].num_data_qubits))
    best, their_seconds = {"success": -1.0}, 0.0
    for reuse in (True, False):
        # The same gates per node as ours, so that only layout and routing are compared.
        synthesis = Synthesis(two_qubit_gate=device_of(backend).two_qubit_gate)  # type: ignore[arg-type]
        plain = compile_network(network, AngleEncoding(), reuse_qubits=reuse, synthesis=synthesis)
        for seed in SEEDS:
            began = time.perf_counter()
            circuit = transpile(plain.trained_circuit, backend, optimization_level=3, seed_transpiler=seed)
            their_seconds += time.perf_counter() - began
            found = figures(circuit, backend) | {"qubits": plain.num_qubits}
            best = max(best, found, key=lambda each: each["success"])
    mine = figures(ours.trained_circuit, backend) | {"qubits": ours.num_qubits}
    return {
        "model": name,
        "device": where,
        "ours": mine,
        "qiskit": best,
        "method": ours.method,
        "seconds": seconds,
        "qiskit_seconds": their_seconds,
        "deviation": ours.verify(X),
    }


def figures(circuit: Any, backend: Any) -> dict[str, Any]:
    return {
        "gates": int(circuit.num_nonlocal_gates()),
        "two_qubit_depth": two_qubit_depth(circuit),
        "depth": circuit.depth(),
        "resets": int(circuit.count_ops().get("reset", 0)),
        "success": estimated_success(circuit, device_of(backend)),
    }


def table(rows: list[dict[str, Any]]) -> str:
    columns = ["model", "device", "qubits", "two-qubit gates", "two-qubit depth", "depth", "resets"]
    columns += ["estimated success", "better by", "chosen", "seconds", "deviation"]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        mine, theirs = row["ours"], row["qiskit"]
        pairs = [
            f"{mine[key]:,} / {theirs[key]:,}"
            for key in ("qubits", "gates", "two_qubit_depth", "depth", "resets")
        ]
        success = f"{mine['success']:.2g} / {theirs['success']:.2g}"
        better = f"{mine['success'] / theirs['success']:,.3g}x" if theirs["success"] else "-"
        cells = [row["model"], row["device"], *pairs, success, better, row["method"]]
        cells += [f"{row['seconds']:.1f} / {row['qiskit_seconds']:.1f}", f"{row['deviation']:.0e}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    won = [row for row in rows if row["ours"]["success"] > row["qiskit"]["success"]]
    own = [row for row in won if "Qiskit" not in row["method"]]
    ratios = [row["ours"]["success"] / row["qiskit"]["success"] for row in rows if row["qiskit"]["success"]]
    fewer = [1 - row["ours"]["gates"] / row["qiskit"]["gates"] for row in rows]
    lines += [
        "",
        f"Ours / Qiskit's. Better in {len(won)} of {len(rows)}, {len(own)} of them in lanes; median ratio of "
        f"estimated success {np.median(ratios):.3g}, median saving of two-qubit gates "
        f"{100 * np.median(fewer):.0f} %.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="one model on one generic device, prints only")
    smoke = parser.parse_args().smoke
    rows = []
    for where, backend in devices(smoke).items():
        for name in list(MODELS)[:1] if smoke else MODELS:
            rows.append(measure(name, where, backend))
            print(table(rows[-1:]).splitlines()[2], flush=True)
            if not smoke:
                (FOLDER / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
                (FOLDER / "results.md").write_text(table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
