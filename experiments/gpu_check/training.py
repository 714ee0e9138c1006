"""Training steps on a GPU beside the same machine's processor; see README.md.

python experiments/gpu_check/training.py [--smoke]      (--smoke: on the CPU, small, writes nothing)
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from run import device_name

from qtnml.contract import Model
from qtnml.structure import balanced_tree
from qtnml.train import CrossEntropy, RiemannianAdam

FOLDER = Path(__file__).parent
FEATURES = 64
LOSS, ADAM = CrossEntropy(), RiemannianAdam()
CASES = ((1, (250, 4096, 32768)), (2, (250, 4096, 32768)))  # qubits of a bond V, batch sizes
SMOKE = ((1, (50,)),)
TOLERANCE = 1e-5


def training_step(model: Model) -> Callable[..., Any]:
    """Loss, gradient and optimiser step, jitted."""

    def loss(params: Any, X: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.mean(LOSS(jnp.moveaxis(model.apply(params, X), -1, 0), y))

    @jax.jit
    def step(params: Any, state: Any, X: jax.Array, y: jax.Array) -> Any:
        return ADAM.update(jax.grad(loss)(params, X, y), state, params, 0.01)

    return step


def seconds_per_step(step: Callable[..., Any], arguments: Any, rounds: int) -> float:
    """Median over rounds; the first call, which compiles, is left out."""
    params, state, X, y = arguments
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        params, state = jax.block_until_ready(step(params, state, X, y))
        times.append(time.perf_counter() - began)
    return median(times[1:])


def compare(bond_qubits: int, batch: int, devices: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Time of a step per sample by device, and how far single precision is from double."""
    model, rng = Model(balanced_tree(FEATURES, bond_qubits)), np.random.default_rng(0)
    start, X = model.start(rng), rng.random((batch, FEATURES))
    y = rng.integers(0, 2, batch)
    exact = model.apply(start, X[:100])  # NumPy, double precision
    found: dict[str, Any] = {"network": "tree", "bond_qubits": bond_qubits, "batch": batch}
    for name, device in devices.items():
        with jax.default_device(device):
            params = jax.tree.map(lambda a: jnp.asarray(a, _single(a)), start)
            few = jax.jit(model.apply)(params, jnp.asarray(X[:100], jnp.float32))
            found[f"{name}_deviation"] = float(np.abs(np.asarray(few) - exact).max())
            arguments = (params, ADAM.init(params), jnp.asarray(X, jnp.float32), jnp.asarray(y))
            found[f"{name}_us"] = 1e6 * seconds_per_step(training_step(model), arguments, rounds) / batch
    return found


def _single(array: Any) -> Any:
    return np.complex64 if np.iscomplexobj(array) else np.float32


def markdown(rows: list[dict[str, Any]], heading: str) -> str:
    lines = [
        heading,
        "",
        "| network | V | batch | CPU, us a sample | GPU, us a sample | CPU / GPU | deviation, CPU | "
        "deviation, GPU |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        gpu = r.get("gpu_us", float("nan"))
        lines.append(
            f"| {r['network']} | {r['bond_qubits']} | {r['batch']} | {r['cpu_us']:.2f} | {gpu:.3f} "
            f"| {r['cpu_us'] / gpu:.1f} | {r['cpu_deviation']:.0e} | {r.get('gpu_deviation', gpu):.0e} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    devices = {"cpu": jax.devices("cpu")[0]} | ({} if smoke else {"gpu": jax.devices("gpu")[0]})
    rows = []
    for bond_qubits, batches in SMOKE if smoke else CASES:
        for batch in batches:
            rows.append(compare(bond_qubits, batch, devices, 2 if smoke else 7))
            print(rows[-1], flush=True)
    cores, name = len(os.sched_getaffinity(0)), device_name("cpu" if smoke else "gpu")
    text = markdown(
        rows, f"On {name} and {cores} cores beside it, JAX {jax.__version__}, {FEATURES} features."
    )
    if not smoke:
        (FOLDER / "training.json").write_text(json.dumps(rows, indent=1) + "\n")
        (FOLDER / "training.md").write_text(text)
    print(text)
    worst = max(value for row in rows for key, value in row.items() if key.endswith("_deviation"))
    assert worst < TOLERANCE, f"off by {worst}: single precision is not kept"


if __name__ == "__main__":
    main()
