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
from qtnml.structure import Topology, balanced_tree, mps

FOLDER = Path(__file__).parent
SIZES = (64, 256, 784, 1024)
BUILDERS = {"tree": balanced_tree, "mps": mps}


class Training:
    """Gradient steps on one topology."""

    def __init__(self, topology: Topology) -> None:
        rng = np.random.default_rng(0)
        model = Model(topology)
        # The signal of hundreds of nodes lives near the identity only.
        start = model.start(rng, scale=0.5 if topology.tree.heights[-1] < 20 else 0.1)
        X = jnp.asarray(rng.random((BATCH, topology.num_data_qubits)), dtype=jnp.float32)
        y = (X[:, 0] > 0.5).astype(jnp.int32)

        def loss(stacks: tuple[jax.Array, ...], X: jax.Array, y: jax.Array) -> jax.Array:
            outcomes, _ = model.outcomes(start._replace(nodes=stacks), X)
            return jnp.mean(LOSS(outcomes, y))

        @jax.jit
        def step(stacks, state, X, y):
            return ADAM.update(jax.grad(loss)(stacks, X, y), state, stacks, 0.01)

        self.nodes, self._step, self._loss = len(topology.nodes), step, jax.jit(loss)
        stacks = tuple(jnp.asarray(stack, jnp.complex64) for stack in start.nodes)
        self._arguments = (stacks, ADAM.init(stacks), X, y)

    def seconds(self, calls: int) -> float:
        """Of one step."""
        return seconds_per_call(self._step, self._arguments, calls)

    def loss_ratio(self, steps: int = 60) -> float:
        """The loss after some steps over that before."""
        stacks, state, X, y = self._arguments
        before = self._loss(stacks, X, y)
        for _ in range(steps):
            stacks, state = self._step(stacks, state, X, y)
        return float(self._loss(stacks, X, y) / before)


def rows(name: str, bond_qubits: int, smoke: bool) -> list[str]:
    """A line per size; the sizes take turns, so that what slows the machine slows all of them."""
    sizes = SIZES[:2] if smoke else SIZES
    runs = {features: Training(BUILDERS[name](features, bond_qubits)) for features in sizes}
    first = {features: run.seconds(1) for features, run in runs.items()}
    per_node: dict[int, list[float]] = {features: [] for features in sizes}
    for _ in range(2 if smoke else 15):
        for features, run in runs.items():
            calls = max(1, int(4000 // (run.nodes * 4**bond_qubits)))
            per_node[features].append(1e9 * run.seconds(calls) / BATCH / run.nodes)
    lines = []
    for features, run in runs.items():
        nanoseconds = statistics.median(per_node[features])
        ratio = statistics.median(np.divide(per_node[features], per_node[sizes[0]]))
        cells = [name, bond_qubits, features, run.nodes, f"{nanoseconds * run.nodes / 1e3:.2f}"]
        cells += [f"{nanoseconds:.0f}", f"{ratio:.2f}", f"{first[features]:.1f}", f"{run.loss_ratio():.2f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="two sizes, prints only")
    smoke = parser.parse_args().smoke
    columns = ["shape", "V", "features", "nodes", "us_per_sample", "ns_per_node", "beyond_linear"]
    columns += ["first_call_s", "loss_ratio"]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for name in BUILDERS:
        for bond_qubits in (1, 2):
            lines += rows(name, bond_qubits, smoke)
    print("\n".join(lines))
    if not smoke:
        (FOLDER / "results_scaling.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
