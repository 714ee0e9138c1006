"""Every backend against exact probabilities, and Aer's throughput; see README.md.

python experiments/backends/run.py [--smoke] [--only NAME ...] [--out FOLDER]
"""

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qtnml import JobStore, get_backend
from qtnml.ansatz import TensorNetwork
from qtnml.backends import Backend, exact_probabilities, run_circuits
from qtnml.compile import CompiledCircuit, compile_network
from qtnml.encoding import AngleEncoding
from qtnml.errors import QtnmlError
from qtnml.jobs import store_for
from qtnml.jobs.plan import TYPICAL_PAUSE
from qtnml.structure import balanced_tree, mps

FOLDER = Path(__file__).parent
NAMES = (
    "aer", "aer:statevector", "aer:density_matrix", "aer, noise of fake:torino", "Qiskit StatevectorSampler",
    "Qiskit BackendSamplerV2", "Qiskit AerSimulator", "pennylane:default.qubit", "pennylane:lightning.qubit",
    "cutensornet on the CPU", "braket:local", "aqt:offline", "quantinuum:H2-1LE",
)  # fmt: skip
SAMPLES, SHOTS = 8, 4000


def made(name: str) -> Backend:
    if name == "Qiskit StatevectorSampler":
        from qiskit.primitives import StatevectorSampler

        return get_backend(StatevectorSampler(seed=7))
    if name == "Qiskit BackendSamplerV2":
        from qiskit.primitives import BackendSamplerV2
        from qiskit_aer import AerSimulator

        return get_backend(BackendSamplerV2(backend=AerSimulator(seed_simulator=7)))
    if name == "Qiskit AerSimulator":
        from qiskit_aer import AerSimulator

        return get_backend(AerSimulator())
    special: dict[str, Callable[[], Backend]] = {
        "aer, noise of fake:torino": lambda: get_backend("aer", noise="fake:torino"),
        "cutensornet on the CPU": lambda: get_backend("cutensornet", device="cpu"),
    }
    return special[name]() if name in special else get_backend(name)


def circuits(leaves: int) -> dict[str, CompiledCircuit]:
    tree = TensorNetwork.random(balanced_tree(leaves), np.random.default_rng(0))
    chain = TensorNetwork.random(mps(leaves), np.random.default_rng(1))
    return {
        "tree, reuse": compile_network(tree, AngleEncoding()),
        "MPS, reuse": compile_network(chain, AngleEncoding()),
        "tree, no reuse": compile_network(tree, AngleEncoding(), reuse_qubits=False),
    }


def deviation(backend: Backend, compiled: CompiledCircuit, shots: int) -> float | str:
    """Largest of all outcomes of all samples, in standard deviations of the counts."""
    X = np.random.default_rng(2).random((SAMPLES, compiled.num_features))
    bound = compiled.bind(X)
    if backend.name.startswith("quantinuum") and compiled.num_qubits > 10:
        return "left out: a state vector for each shot"
    noisy = "noise" in backend.settings
    try:
        exact = exact_probabilities(backend, bound) if noisy else compiled.probabilities(X)
        counts = JobStore("sqlite://").run(bound, backend, shots=shots)
    except QtnmlError as error:
        told = str(error)
        known = {"lacks": "refused: no resets", "density matrix": "too wide for a density matrix"}
        known["memory"] = known["density matrix"]  # in Aer's own words
        return next((short for word, short in known.items() if word in told), f"refused: {told}")
    found = np.array([[each.get(k, 0) / shots for k in range(compiled.num_outcomes)] for each in counts])
    return float(np.abs((found - exact) / np.sqrt(exact * (1 - exact) / shots)).max())


def table(names: list[str], leaves: int, shots: int) -> list[dict[str, Any]]:
    rows = []
    for name in names:
        try:
            backend = made(name)
        except QtnmlError as error:
            rows.append({"backend": name, "not_here": str(error)})
            continue
        row: dict[str, Any] = {"backend": name}
        for kind, compiled in circuits(leaves).items():
            began = time.perf_counter()
            row[kind] = deviation(backend, compiled, shots)
            row[f"seconds, {kind}"] = round(time.perf_counter() - began, 2)
        rows.append(row)
        print(row, flush=True)
    return rows


def throughput(images: int, rounds: int) -> dict[str, Any]:
    """Test images of a 64-pixel tree on 7 qubits, 1,024 shots each, with and without the ledger in turns."""
    tree = TensorNetwork.random(balanced_tree(64), np.random.default_rng(0))
    compiled = compile_network(tree, AngleEncoding())
    X = np.random.default_rng(3).random((images, 64))
    ways: dict[str, Callable[[int], Any]] = {
        "without": lambda k: run_circuits(get_backend("aer"), compiled.bind(X), shots=1024, seed=k),
        "in memory": lambda k: JobStore("sqlite://").run(compiled.bind(X), "aer", shots=1024, repeat=k),
    }
    with tempfile.TemporaryDirectory() as folder:
        store = JobStore(Path(folder) / "jobs.sqlite")
        ways["in a file"] = lambda k: store.run(compiled.bind(X), "aer", shots=1024, repeat=k)
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds):
            for name, way in ways.items():
                seconds[name].append(timed(lambda way=way, number=number: way(number)))
        again = timed(lambda: ways["in a file"](0))
    bare = np.array(seconds["without"])
    return {
        "images": images,
        "qubits": compiled.num_qubits,
        "cores": os.cpu_count(),
        "seconds": {name: float(np.median(taken)) for name, taken in seconds.items()},
        "ratio": {name: float(np.median(np.array(taken) / bare)) for name, taken in seconds.items()},
        "seconds_from_the_ledger": again,
        "exact": exact_rates(compiled, 20 * images, rounds),
    }


def exact_rates(compiled: CompiledCircuit, images: int, rounds: int) -> dict[str, float]:
    """Circuits a second of the exact backend: by itself, and through its usual ledger in memory."""
    X = np.random.default_rng(4).random((images, 64))
    backend, bound = get_backend("exact"), compiled.bind(X)
    run_circuits(backend, bound[:64], shots=1024)  # its distribution is made once
    bare = [timed(lambda: run_circuits(backend, bound, shots=1024)) for _ in range(rounds)]
    kept = [
        timed(lambda k=k: store_for(None, backend).run(bound, backend, shots=1024, repeat=k))
        for k in range(rounds)
    ]
    return {"without": images / float(np.median(bare)), "in memory": images / float(np.median(kept))}


def timed(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def cost() -> list[dict[str, Any]]:
    """Time of a shot on FakeTorino's calibration, and of 100 images with 1,024 shots each."""
    device = get_backend("fake:torino")
    tree = TensorNetwork.random(balanced_tree(64), np.random.default_rng(0))
    rows = []
    for width in (7, 64):
        compiled = compile_network(tree, AngleEncoding(), target=device.target, num_qubits=width)
        seconds = device.seconds_per_shot(compiled.trained_circuit)
        rows.append(
            {
                "qubits": compiled.num_qubits,
                "resets": compiled.num_resets,
                "microseconds_per_shot": 1e6 * seconds,
                "seconds_for_100_images": 100 * 1024 * (seconds + TYPICAL_PAUSE),
            }
        )
    return rows


def markdown(rows: list[dict[str, Any]], aer: dict[str, Any] | None, costs: list[dict[str, Any]]) -> str:
    kinds = ("tree, reuse", "MPS, reuse", "tree, no reuse")
    lines = ["| backend | " + " | ".join(kinds) + " |", "|---|" + "---|" * len(kinds)]
    for row in rows:
        if "not_here" in row:
            continue
        cells = [f"{row[kind]:.1f}" if isinstance(row[kind], float) else row[kind] for kind in kinds]
        lines.append(f"| {row['backend']} | " + " | ".join(cells) + " |")
    if aer is not None:
        seconds, ratio, exact = aer["seconds"], aer["ratio"], aer["exact"]
        lines += [
            "",
            f"{aer['images']:,} images, 64 pixels, {aer['qubits']} qubits, 1,024 shots each, on Aer with "
            f"{aer['cores']} cores: {seconds['without']:.1f} s without a ledger, {seconds['in memory']:.1f} "
            f"s with one in memory ({ratio['in memory']:.3f} times as long), {seconds['in a file']:.1f} s "
            f"with one in a file ({ratio['in a file']:.3f}; medians over rounds, in turns); asked for again: "
            f"{aer['seconds_from_the_ledger']:.2f} s.",
            "",
            f"The exact backend runs {exact['without']:,.0f} such circuits a second by itself, and "
            f"{exact['in memory']:,.0f} through the ledger in memory that it has by default.",
        ]
    for each in costs:
        lines += [
            "",
            f"64 leaves on {each['qubits']} qubits of FakeTorino, {each['resets']} resets: "
            f"{each['microseconds_per_shot']:.1f} microseconds a shot; 100 images of 1,024 shots, with "
            f"the pause of 250 microseconds between two: {each['seconds_for_100_images']:.0f} s.",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--only", nargs="+", default=list(NAMES))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)  # inside the vendors' clients
    rows = table(options.only, 4 if options.smoke else 16, 500 if options.smoke else SHOTS)
    aer = None
    if "aer" in options.only:
        aer = throughput(20 if options.smoke else 1000, 1 if options.smoke else 5)
        print(aer)
    costs = cost() if "aer" in options.only and not options.smoke else []
    out = options.out or (None if options.smoke else FOLDER)
    if out is not None:
        out.mkdir(exist_ok=True)
        (out / "results.json").write_text(
            json.dumps({"table": rows, "throughput": aer, "cost": costs}, indent=1) + "\n"
        )
        (out / "results.md").write_text(markdown(rows, aer, costs))
    print(markdown(rows, aer, costs))


if __name__ == "__main__":
    main()
