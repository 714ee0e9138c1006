"""cuTensorNet on a GPU: correct, and how fast; see README.md.

python experiments/gpu_check/run.py [--smoke]      (--smoke: on the CPU, small, writes nothing)
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from qtnml import get_backend
from qtnml.ansatz import TensorNetwork
from qtnml.backends import exact_probabilities
from qtnml.compile import compile_network
from qtnml.encoding import AngleEncoding
from qtnml.structure import Topology, balanced_tree, mps

FOLDER = Path(__file__).parent
SIZES = {"einsum": (16, 32, 64, 128, 256), "mps": (16, 32)}
SAMPLES = {"einsum": 10, "mps": 3}
TOLERANCE = 1e-8


def row(kind: str, topology: Topology, method: str, device: str, samples: int) -> dict[str, Any]:
    """Exact probabilities of a few samples against the compiler's own simulation, and the time for each."""
    compiled = compile_network(
        TensorNetwork.random(topology, np.random.default_rng(0)), AngleEncoding(), reuse_qubits=False
    )
    X = np.random.default_rng(1).random((samples, compiled.num_features))
    backend = (
        get_backend("cutensornet", device=device) if method == "einsum" else get_backend("cutensornet:mps")
    )
    circuits = compiled.bind(X)
    began = time.perf_counter()
    first = exact_probabilities(backend, circuits[:1])
    first_seconds = time.perf_counter() - began
    began = time.perf_counter()
    found = exact_probabilities(backend, circuits)
    seconds = (time.perf_counter() - began) / samples
    expected = compiled.probabilities(X)
    off = float(max(np.abs(found - expected).max(), np.abs(first - expected[:1]).max()))
    assert method == "mps" or off < TOLERANCE, f"{kind}, {topology.num_data_qubits} qubits: off by {off}"
    return {
        "network": kind,
        "qubits": compiled.num_qubits,
        "method": method,
        "two_qubit_gates": compiled.two_qubit_gates,
        "deviation": off,
        "seconds_first": first_seconds,
        "seconds_per_sample": seconds,
    }


def device_name(device: str) -> str:
    if device == "cpu":
        return "CPU"
    import cupy

    return str(cupy.cuda.runtime.getDeviceProperties(0)["name"].decode())


def markdown(rows: list[dict[str, Any]], name: str) -> str:
    lines = [
        f"On {name}.",
        "",
        "| network | qubits | method | two-qubit gates | largest deviation | first, s | each sample, ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['network']} | {r['qubits']} | {r['method']} | {r['two_qubit_gates']} "
            f"| {r['deviation']:.1e} | {r['seconds_first']:.2f} | {1e3 * r['seconds_per_sample']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    device = "cpu" if smoke else "gpu"
    rows = []
    for method, sizes in {"einsum": (16,)}.items() if smoke else SIZES.items():
        for size in sizes:
            for kind, topology in (("tree", balanced_tree(size)), ("MPS", mps(size))):
                rows.append(row(kind, topology, method, device, 2 if smoke else SAMPLES[method]))
                print(rows[-1], flush=True)
    text = markdown(rows, device_name(device))
    if not smoke:
        (FOLDER / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
        (FOLDER / "results.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
