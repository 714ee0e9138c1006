"""Circuits a second of the exact backend beside Aer, and whether its counts are right; see README.md.

python experiments/exact_backend/run.py [--smoke]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.stats import chisquare

from qtnml import JobStore, get_backend
from qtnml.ansatz import TensorNetwork
from qtnml.backends import exact_probabilities, run_circuits
from qtnml.born import TreeState
from qtnml.compile import CompiledCircuit, compile_network, compile_state
from qtnml.compile.certificate import circuit_probabilities
from qtnml.encoding import AngleEncoding
from qtnml.noise import CircuitDistribution, DeviceNoise, NoisyCircuit, sensitivity
from qtnml.structure import Topology, balanced_tree, mps, site_chain

FOLDER = Path(__file__).parent
NOISE = DeviceNoise(
    t1=150e-6,
    t2=120e-6,
    one_qubit_time=35e-9,
    two_qubit_time=70e-9,
    reset_time=1e-6,
    readout_time=1e-6,
    one_qubit_error=4e-4,
    two_qubit_error=5e-3,
    reset_error=0.01,
    readout_error=(0.01, 0.03),
)
SHOTS = 1024


def network(topology: Topology, *, reuse: bool = True) -> CompiledCircuit:
    return compile_network(
        TensorNetwork.random(topology, np.random.default_rng(0), scale=0.5),
        AngleEncoding(),
        reuse_qubits=reuse,
    )


def seconds(function: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return median(times)


def per_circuit(circuit: CompiledCircuit, samples: int, noise: DeviceNoise | None, name: str) -> float:
    """Seconds a circuit, what is done once for a template included."""
    X = np.random.default_rng(1).random((samples, circuit.num_features))
    backend = get_backend(name, **({} if noise is None else {"noise": noise}))
    return seconds(lambda: run_circuits(backend, circuit.bind(X), shots=SHOTS, seed=0), 3) / samples


def through_the_ledger(circuit: CompiledCircuit, samples: int, name: str) -> float:
    """The same with every job written down first."""
    X = np.random.default_rng(1).random((samples, circuit.num_features))
    found = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            store = JobStore(Path(folder) / "jobs.sqlite")
            backend = get_backend(name, noise=NOISE, seed=0)
            began = time.perf_counter()
            store.run(circuit.bind(X), backend, shots=SHOTS)
            found.append((time.perf_counter() - began) / samples)
    return median(found)


def speed(many: int, few: int) -> list[dict[str, Any]]:
    """The 7-qubit circuit of 64 pixels."""
    circuit = network(balanced_tree(64))
    rows = []
    for what, noise in (("noisy", NOISE), ("ideal", None)):
        ours, aers = per_circuit(circuit, many, noise, "exact"), per_circuit(circuit, few, noise, "aer")
        rows.append({"run": what, "exact_us": 1e6 * ours, "aer_us": 1e6 * aers, "times": aers / ours})
    ours, aers = (through_the_ledger(circuit, n, name) for n, name in ((many, "exact"), (few, "aer")))
    rows.append(
        {
            "run": "noisy, through the ledger",
            "exact_us": 1e6 * ours,
            "aer_us": 1e6 * aers,
            "times": aers / ours,
        }
    )
    return rows


def sizes(samples: int, *, smoke: bool) -> list[dict[str, Any]]:
    """Where Aer's density matrix does not go."""
    leaves = 64 if smoke else 1024
    cases = {
        "64 leaves on 64 qubits": network(balanced_tree(64), reuse=False),
        f"{8 if smoke else 64} leaves on the fewest qubits, V=2": network(
            balanced_tree(8 if smoke else 64, 2)
        ),
        f"{leaves} leaves on the fewest qubits": network(balanced_tree(leaves)),
        f"chain of {leaves}": network(mps(leaves)),
    }
    rows = []
    for name, circuit in cases.items():
        X = np.random.default_rng(1).random((samples, circuit.num_features))
        backend = get_backend("exact", noise=NOISE)
        began = time.perf_counter()
        run_circuits(backend, circuit.bind(X[:1]), shots=SHOTS, seed=0)
        first = time.perf_counter() - began
        run = partial(run_circuits, backend, circuit.bind(X), shots=SHOTS, seed=0)
        run()
        again = seconds(run, 3)
        rows.append(
            {
                "circuit": name,
                "qubits": circuit.num_qubits,
                "first_circuit_s": first,
                "us_per_circuit": 1e6 * again / samples,
            }
        )
    state = TreeState.random(site_chain([2] * leaves), 4, np.random.default_rng(0))
    drawn = compile_state(state)
    backend = get_backend("exact", noise=NOISE)
    shots = 10 * SHOTS
    first = seconds(lambda: run_circuits(backend, [drawn.trained_circuit], shots=1, seed=0), 3)
    all_shots = seconds(lambda: run_circuits(backend, [drawn.trained_circuit], shots=shots, seed=0), 3)
    rows.append(
        {
            "circuit": f"strings of {leaves} bits, bond 4, {shots:,} shots",
            "qubits": drawn.num_qubits,
            "first_circuit_s": first,
            "us_per_circuit": 1e6 * all_shots,
        }
    )
    return rows


def right(samples: int) -> dict[str, Any]:
    """Deviation from Aer's density matrix, and chi-squared of the counts."""
    circuit = network(balanced_tree(64))
    X = np.random.default_rng(2).random((samples, 64))
    ours, theirs = (
        exact_probabilities(get_backend(name, noise=NOISE), circuit.bind(X)) for name in ("exact", "aer")
    )
    counts = run_circuits(get_backend("exact", noise=NOISE), circuit.bind(X), shots=100_000, seed=0)
    values = [
        chisquare([row.get(k, 0) for k in range(2)], p * 100_000 / p.sum()).pvalue
        for row, p in zip(counts, theirs, strict=True)
    ]
    chain = compile_state(
        TreeState.random(site_chain([2] * 8), 4, np.random.default_rng(0)), reuse_qubits=False
    )
    distribution = CircuitDistribution(chain.trained_circuit, (), NOISE).probabilities(np.empty((1, 0)))[0]
    aer = exact_probabilities(get_backend("aer", noise=NOISE), [chain.trained_circuit])[0]
    drawn = run_circuits(get_backend("exact", noise=NOISE), [chain.trained_circuit], shots=1_000_000, seed=0)[
        0
    ]
    seen = np.array([drawn.get(k, 0) for k in range(256)])
    often = aer * 1_000_000 > 5
    strings = chisquare(seen[often], aer[often] / aer[often].sum() * seen[often].sum()).pvalue
    return {
        "largest deviation from Aer, 64 pixels": float(np.abs(ours - theirs).max()),
        "largest deviation from Aer, strings of 8 bits": float(np.abs(distribution - aer).max()),
        f"chi-squared p of {samples} samples: smallest, median": [float(min(values)), float(median(values))],
        "chi-squared p of 1,000,000 strings": float(strings),
    }


def elsewhere(samples: int, *, smoke: bool) -> list[dict[str, Any]]:
    """The same engine where there was another before: exact probabilities, and what noise costs where."""
    rng, rows = np.random.default_rng(0), []
    trees = {"tree, V=1": balanced_tree(64), "tree, V=2": balanced_tree(64, 2), "chain, V=2": mps(64, 2)}
    for name, topology in list(trees.items())[: 1 if smoke else 3]:
        compiled = network(topology)
        X = rng.random((samples, 64))
        compiled.probabilities(X[:1])
        few = X[:64]  # a chunk of the gate-by-gate simulation
        now = seconds(partial(compiled.probabilities, X), 3) / samples
        before = seconds(partial(circuit_probabilities, compiled, compiled.angles(few)), 1) / len(few)
        rows.append(_times(f"probabilities, 64 leaves, {name}: us a sample", 1e6 * now, 1e6 * before))
    for size, reuse in ((64, True),) if smoke else ((64, True), (1024, True), (1024, False)):
        noisy = NoisyCircuit(network(balanced_tree(size), reuse=reuse), NOISE)
        X, outcomes = rng.random((20, size)), rng.integers(0, 2, 20)
        sensitivity(noisy, X, outcomes)  # compiles the gradient
        now = seconds(partial(sensitivity, noisy, X, outcomes), 1 if smoke else 3)
        # One qubit and source after the other took two walks for each, and two more for each source.
        walks = 2 * (noisy.compiled.schedule.num_qubits + 1) * 5
        before = walks * seconds(lambda n=noisy: n.tree_of(n.instructions).stacked_maps(), 3)
        where = f"{noisy.compiled.schedule.num_qubits} qubits"
        rows.append(_times(f"sensitivity, {size} leaves on {where}: s ({walks:,} walks before)", now, before))
    return rows


def _times(what: str, now: float, before: float) -> dict[str, Any]:
    return {"what": what, "now": now, "before": before, "times": before / now}


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    for row in rows:
        shown = [
            f"{value:.3g}"
            if isinstance(value, float) and value < 100
            else f"{value:,.0f}"
            if isinstance(value, float)
            else str(value)
            for value in row.values()
        ]
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="seconds, prints only")
    smoke = parser.parse_args().smoke
    found = {
        "right": right(3 if smoke else 20),
        "speed": speed(*((200, 2) if smoke else (5000, 20))),
        "sizes": sizes(10 if smoke else 1000, smoke=smoke),
        "elsewhere": elsewhere(100 if smoke else 2000, smoke=smoke),
    }
    text = "".join(f"- {name}: {value}\n" for name, value in found["right"].items())
    text += "\n" + "\n".join(table(found[part]) for part in ("speed", "sizes", "elsewhere"))
    print(text)
    if not smoke:
        (FOLDER / "results.json").write_text(json.dumps(found, indent=1) + "\n")
        (FOLDER / "results.md").write_text(text)


if __name__ == "__main__":
    main()
