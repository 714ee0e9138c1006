"""Time of exact noisy probabilities and of training under noise, beside the noise-free ones and Aer; see
README.md.

python experiments/noise_speed/run.py [--smoke]
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from qtnml import TreeClassifier, get_backend
from qtnml.ansatz import BrickWall, TensorNetwork
from qtnml.compile import compile_network
from qtnml.contract import Model, Parameters
from qtnml.encoding import AngleEncoding
from qtnml.noise import DeviceNoise, NoisyCircuit, dephasing
from qtnml.structure import Topology, balanced_tree, mps

FOLDER = Path(__file__).parent
NOISE = DeviceNoise(
    t1=150e-6,
    t2=120e-6,
    one_qubit_time=35e-9,
    two_qubit_time=70e-9,
    reset_time=1e-6,
    one_qubit_error=4e-4,
    two_qubit_error=5e-3,
    reset_error=0.01,
    readout_error=(0.01, 0.03),
)


def timed(function: Callable[[], Any], repeats: int) -> float:
    """Median seconds."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return median(times)


def inference(name: str, topology: Topology, samples: int, repeats: int, *, reuse: bool) -> dict[str, Any]:
    """Samples under noise: the maps and the contraction, after compilation."""
    rng = np.random.default_rng(0)
    network = TensorNetwork.random(topology, rng, scale=0.5)
    compiled = compile_network(network, AngleEncoding(), reuse_qubits=reuse)
    X = rng.random((samples, topology.num_data_qubits))
    model, parameters = Model(topology), Parameters(network.unitaries)
    circuit = compiled.trained_circuit  # binding the weights belongs to compiling
    noisy_s, clean_s, maps_s = [], [], []
    for _ in range(repeats):
        began = time.perf_counter()
        noisy = NoisyCircuit(compiled, NOISE)
        _ = noisy.maps
        maps_s.append(time.perf_counter() - began)
        noisy.probabilities(X)
        noisy_s.append(time.perf_counter() - began)
        began = time.perf_counter()
        model.predict(parameters, X)
        clean_s.append(time.perf_counter() - began)
    return {
        "circuit": name,
        "qubits": topology.num_data_qubits,
        "physical": compiled.num_qubits,
        "nodes": len(topology.nodes),
        "gates": circuit.size(),
        "samples": samples,
        "maps_s": round(median(maps_s), 4),
        "noisy_s": round(median(noisy_s), 4),
        "noise_free_s": round(median(clean_s), 4),
        "per_sample_us": round(1e6 * (median(noisy_s) - median(maps_s)) / samples, 3),
        "noisy_over_free_contraction": round((median(noisy_s) - median(maps_s)) / median(clean_s), 2),
    }


def beside_aer(repeats: int) -> dict[str, Any]:
    """The seven-qubit circuit of 64 features: the same probabilities from Aer's density matrix."""
    rng = np.random.default_rng(0)
    compiled = compile_network(TensorNetwork.random(balanced_tree(64), rng, scale=0.5), AngleEncoding())
    X = rng.random((20, 64))
    noisy, backend = NoisyCircuit(compiled, NOISE), get_backend("aer", noise=NOISE)
    ours = noisy.probabilities(X)
    theirs = backend.probabilities(compiled.bind(X))
    many = np.tile(X, (500, 1))
    own = timed(lambda: noisy.probabilities(many), repeats) / len(many)
    aer = timed(lambda: backend.probabilities(compiled.bind(X)), repeats) / len(X)
    return {
        "largest_difference": float(np.abs(ours - theirs).max()),
        "ours_us_per_sample": round(1e6 * own, 2),
        "aer_us_per_sample": round(1e6 * aer, 0),
        "ratio": round(aer / own),
    }


def training(repeats: int, samples: int, epochs: int) -> list[dict[str, Any]]:
    """Seconds an epoch with and without noise in the loop, after compilation, one after the other."""
    rng = np.random.default_rng(0)
    X, y = rng.random((samples, 64)), rng.integers(0, 2, samples)
    cases: dict[str, tuple[dict[str, Any], Any]] = {
        "V=1, device": ({}, NOISE),
        "V=1, channel": ({}, dephasing(0.1)),
        "V=2, channel": ({"bond_qubits": 2}, dephasing(0.1)),
        "V=2, device": ({"bond_qubits": 2}, NOISE),
        "V=1, brick wall, device, gate by gate": (
            {"ansatz": BrickWall(3)},
            NOISE,
        ),
        "V=2, brick wall, device, gate by gate": (
            {"bond_qubits": 2, "ansatz": BrickWall(3)},
            NOISE,
        ),
    }
    found = []
    for name, (settings, noise) in cases.items():
        seconds: dict[str, list[float]] = {"with": [], "without": []}
        for _ in range(repeats):
            for kind, under in (("without", None), ("with", noise)):
                clf = TreeClassifier(
                    feature_range=(0, 1),
                    epochs=epochs,
                    random_state=0,
                    validation_fraction=0.0,
                    noise=under,
                    **settings,
                )
                clf.fit(X, y)
                times = np.diff([record.seconds for record in clf.history_])
                seconds[kind].append(float(np.median(times[1:])))
        pairs = zip(seconds["with"], seconds["without"], strict=True)
        found.append(
            {
                "training": name,
                "epoch_without_s": round(median(seconds["without"]), 4),
                "epoch_with_s": round(median(seconds["with"]), 4),
                "ratio": round(median([a / b for a, b in pairs]), 2),
            }
        )
    return found


def table(rows: list[dict[str, Any]]) -> str:
    lines = [f"| {' | '.join(rows[0])} |", f"|{'---|' * len(rows[0])}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row.values()))} |" for row in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small and short, prints only")
    small = parser.parse_args().smoke
    samples, repeats = (200, 1) if small else (10_000, 5)
    cases = [
        ("tree V=1, all qubits", balanced_tree(64), False),
        ("tree V=1, reuse", balanced_tree(64), True),
        ("MPS V=1, reuse", mps(64), True),
        ("tree V=2, reuse", balanced_tree(64, 2), True),
        ("MPS V=2, reuse", mps(64, 2), True),
    ]
    if not small:
        cases += [
            ("tree V=1, reuse", balanced_tree(256), True),
            ("tree V=1, all qubits", balanced_tree(1024), False),
            ("tree V=1, reuse", balanced_tree(1024), True),
        ]
    rows = [inference(name, topology, samples, repeats, reuse=reuse) for name, topology, reuse in cases]
    aer = beside_aer(1 if small else 5)
    trained = training(1 if small else 3, 1000 if small else 10_000, 3 if small else 8)
    parts = [table(rows), table([aer]), table(trained)]
    print("\n\n".join(parts))
    if not small:
        (FOLDER / "results.md").write_text("\n\n".join(parts) + "\n")
        whole = {"inference": rows, "aer": aer, "training": trained}
        (FOLDER / "results.json").write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
