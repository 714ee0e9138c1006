"""Speed, compile time and memory of training; see README.md.

python experiments/speed/run.py [--smoke]
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import density_matrix
import jax
import jax.numpy as jnp
import numpy as np

from qtnml.ansatz import TensorNetwork
from qtnml.contract import Model, contract, transfer_maps
from qtnml.encoding import AngleEncoding, bloch_vectors, leaf_paulis
from qtnml.structure import balanced_tree
from qtnml.train import CrossEntropy, RiemannianAdam, TrainingOptions, TrainingSet, train

FOLDER = Path(__file__).parent
BATCH = 250
ENCODING, LOSS, ADAM = AngleEncoding(), CrossEntropy(), RiemannianAdam()
# 64 leaf wires of V qubits: the same tree of 63 nodes at every V, so that both sides can stack levels.
LEAVES = 64


def bloch_probabilities(topology: Any) -> Callable[..., jax.Array]:
    def probabilities(stacks: tuple[jax.Array, ...], X: jax.Array) -> jax.Array:
        maps = transfer_maps(TensorNetwork(topology, stacks), leaf_paulis(ENCODING))
        return contract(topology, maps, bloch_vectors(ENCODING, X))

    return probabilities


def einsum_probabilities(bond_qubits: int) -> Callable[..., jax.Array]:
    def probabilities(stacks: tuple[jax.Array, ...], X: jax.Array) -> jax.Array:
        return density_matrix.class_probabilities(stacks[0], X, bond_qubits)

    return probabilities


def gradient_step(probabilities: Callable[..., jax.Array]) -> Callable[..., Any]:
    """Loss, gradient and optimiser step, jitted; the same but for `probabilities`."""

    def loss(stacks: tuple[jax.Array, ...], X: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.mean(LOSS(probabilities(stacks, X), y))

    @jax.jit
    def step(stacks: Any, state: Any, X: jax.Array, y: jax.Array) -> Any:
        return ADAM.update(jax.grad(loss)(stacks, X, y), state, stacks, 0.01)

    return step


def seconds_per_call(step: Callable[..., Any], arguments: Any, calls: int) -> float:
    stacks, state, X, y = arguments
    began = time.perf_counter()
    for _ in range(calls):
        stacks, state = step(stacks, state, X, y)
    jax.block_until_ready(stacks)
    return (time.perf_counter() - began) / calls


def compare(num_features: int, bond_qubits: int, rounds: int, calls: int) -> dict[str, float]:
    """Microseconds per sample, both sides in turn, medians over rounds."""
    rng = np.random.default_rng(0)
    topology = balanced_tree(num_features, bond_qubits)
    stacks = tuple(jnp.asarray(s, dtype=jnp.complex64) for s in TensorNetwork.random(topology, rng).unitaries)
    X = jnp.asarray(rng.random((BATCH, num_features)), dtype=jnp.float32)
    y = jnp.asarray(rng.integers(0, 2, BATCH))
    ours, theirs = bloch_probabilities(topology), einsum_probabilities(bond_qubits)
    error = float(jnp.abs(jax.jit(ours)(stacks, X) - jax.jit(theirs)(stacks, X)).max())
    arguments = (stacks, ADAM.init(stacks), X, y)
    steps = {"bloch": gradient_step(ours), "einsum": gradient_step(theirs)}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        seconds_per_call(step, arguments, 1)
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(seconds_per_call(step, arguments, calls))
    ratios = [b / a for a, b in zip(times["bloch"], times["einsum"], strict=True)]
    return {
        "num_features": num_features,
        "bond_qubits": bond_qubits,
        "nodes": len(topology.nodes),
        "bloch_us": 1e6 * statistics.median(times["bloch"]) / BATCH,
        "einsum_us": 1e6 * statistics.median(times["einsum"]) / BATCH,
        "ratio": statistics.median(ratios),
        "largest_difference": error,
    }


def training_run(bond_qubits: int, samples: int, epochs: int, leaf: str = "data") -> dict[str, float]:
    """One `train` call in this fresh process: first-call compile time, epoch time, peak memory."""
    rng = np.random.default_rng(0)
    data = TrainingSet(rng.random((samples, 64)), rng.integers(0, 2, samples), np.ones(samples))
    model = Model(balanced_tree(64, bond_qubits, leaf=leaf))
    result = train(model, model.start(rng), data, TrainingOptions(epochs), rng)
    ends = [0.0, *(record.seconds for record in result.history)]
    spans = np.diff(ends)
    return {
        "bond_qubits": bond_qubits,
        "leaf": leaf,  # type: ignore[dict-item]
        "samples": samples,
        "first_call_s": float(spans[0] - np.median(spans[1:])),
        "epoch_us_per_sample": float(1e6 * np.median(spans[1:]) / samples),
        "peak_mb": peak_memory_mb(),
    }


def peak_memory_mb() -> float:
    """Largest resident set of this process so far (Linux; rusage would count the parent's before exec)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def in_fresh_process(*arguments: object) -> dict[str, float]:
    command = [sys.executable, __file__, "--training-run", *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def table(rows: list[dict[str, Any]], columns: dict[str, str]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        cells = (format(row[key], spec) for key, spec in columns.items())
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few seconds, prints only")
    parser.add_argument("--training-run", nargs=4, metavar=("V", "SAMPLES", "EPOCHS", "LEAF"))
    options = parser.parse_args()
    if options.training_run:
        bond_qubits, samples, epochs = map(int, options.training_run[:3])
        print(json.dumps(training_run(bond_qubits, samples, epochs, options.training_run[3])))
        return
    cases = (
        [(64, 1, 15, 20)]
        if options.smoke
        else [(64, 1, 15, 40), (64, 2, 15, 8), (128, 2, 15, 5), (192, 3, 5, 1)]
    )
    steps = [compare(*case) for case in cases]
    runs = (
        [(1, 2_500, 3, "data")]
        if options.smoke
        else [
            (1, 10_000, 8, "data"),
            (2, 10_000, 5, "data"),
            (3, 10_000, 3, "data"),
            (2, 10_000, 3, "fresh"),
            (2, 60_000, 3, "data"),
        ]
    )
    trainings = [in_fresh_process(*run) for run in runs]
    text = "\n\n".join(
        [
            table(
                steps,
                {
                    "num_features": "d",
                    "bond_qubits": "d",
                    "nodes": "d",
                    "bloch_us": ".2f",
                    "einsum_us": ".1f",
                    "ratio": ".1f",
                    "largest_difference": ".0e",
                },
            ),
            table(
                trainings,
                {
                    "bond_qubits": "d",
                    "leaf": "s",
                    "samples": "d",
                    "first_call_s": ".2f",
                    "epoch_us_per_sample": ".2f",
                    "peak_mb": ".0f",
                },
            ),
        ]
    )
    print(text)
    if not options.smoke:
        machine = {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "cores": len(os.sched_getaffinity(0)),
        }
        (FOLDER / "results.json").write_text(
            json.dumps({"machine": machine, "steps": steps, "trainings": trainings}, indent=1) + "\n"
        )
        (FOLDER / "results.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
