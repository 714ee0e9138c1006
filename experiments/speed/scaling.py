"""Time per sample by the number of features, trees and chains: is it linear? See README.md.

python experiments/speed/scaling.py [--smoke]
"""

import argparse
import statistics
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from run import ADAM, BATCH, LOSS, seconds_per_call

from qtnml.contract import Model
from qtnml.network import Topology, balanced_tree, mps

FOLDER = Path(__file__).parent
SIZES = (64, 256, 784, 1024)


def gradient_steps(topology: Topology, rounds: int, calls: int) -> tuple[float, float, float]:
    """First call in seconds, microseconds per sample, and the loss after all steps over that before."""
    rng = np.random.default_rng(0)
    model = Model(topology)
    # The signal of hundreds of nodes lives near the identity only.
    start = model.start(rng, scale=0.5 if topology.heights[-1] < 20 else 0.1)
    stacks = tuple(jnp.asarray(stack, jnp.complex64) for stack in start.nodes)
    X = jnp.asarray(rng.random((BATCH, topology.num_data_qubits)), dtype=jnp.float32)
    y = (X[:, 0] > 0.5).astype(jnp.int32)

    def loss(stacks: tuple[jax.Array, ...], X: jax.Array, y: jax.Array) -> jax.Array:
        outcomes, _ = model.outcomes(start._replace(nodes=stacks), X)
        return jnp.mean(LOSS(outcomes, y))

    @jax.jit
    def step(stacks, state, X, y):
        return ADAM.update(jax.grad(loss)(stacks, X, y), state, stacks, 0.01)

    arguments = (stacks, ADAM.init(stacks), X, y)
    first = seconds_per_call(step, arguments, 1)
    times = [seconds_per_call(step, arguments, calls) for _ in range(rounds)]
    trained, state = stacks, ADAM.init(stacks)
    for _ in range(60):
        trained, state = step(trained, state, X, y)
    ratio = float(jax.jit(loss)(trained, X, y) / jax.jit(loss)(stacks, X, y))
    return first, 1e6 * statistics.median(times) / BATCH, ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="two sizes, prints only")
    smoke = parser.parse_args().smoke
    columns = ["shape", "V", "features", "nodes", "us_per_sample", "ns_per_node", "beyond_linear"]
    columns += ["first_call_s", "loss_ratio"]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for name, builder in (("tree", balanced_tree), ("mps", mps)):
        for bond_qubits in (1, 2):
            smallest = None
            for features in SIZES[:2] if smoke else SIZES:
                topology = builder(features, bond_qubits)
                rounds, calls = (2, 1) if smoke else (15, 5)
                first, microseconds, ratio = gradient_steps(topology, rounds, calls)
                per_node = 1e3 * microseconds / len(topology.nodes)
                smallest = smallest or per_node
                cells = [name, bond_qubits, features, len(topology.nodes), f"{microseconds:.2f}"]
                cells += [f"{per_node:.0f}", f"{per_node / smallest:.2f}", f"{first:.1f}", f"{ratio:.2f}"]
                lines.append(f"| {' | '.join(map(str, cells))} |")
                print(lines[-1], flush=True)
    if not smoke:
        (FOLDER / "results_scaling.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
