"""The same on counted shots under a device's noise: bars and stripes 3x2 on the exact backend; see README.md.

python experiments/synergy/noisy.py [--smoke]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from tasks import bars_and_stripes

from qtnml import CircuitBornMachine, MPSBornMachine, get_backend
from qtnml.backends.ibm import fake_device
from qtnml.compile import GenerativeCircuit
from qtnml.hybrid import CMAES, SPSA, HybridTraining, Where, train_generative_on_backend
from qtnml.jobs import Unstored
from qtnml.noise import DeviceNoise, NoisyGenerativeCircuit

HERE = Path(__file__).parent
DEVICE, QUBITS = "fake:torino", (22, 21, 23, 24, 25)  # of which the circuit takes the first
SEEDS, SHOTS, IN_ALL = 3, 10_000, 4_000_000
STARTS = ("bond 2", "bond 4", "near identity", "random")
OPTIMIZERS = {"spsa": SPSA(learning_rate=0.02), "cma-es": CMAES(spread=0.03, population=12)}
LAYERS = 1


def circuit_of(start: str, X: np.ndarray, seed: int) -> GenerativeCircuit:
    """A staircase and a brick wall of two layers, on few qubits by reset."""
    if start.startswith("bond"):
        bond = int(start.split()[1])
        born = MPSBornMachine(
            bond, random_state=seed, validation_fraction=0.0, epochs=60, n_init=3, init="product"
        ).fit(X)
        return CircuitBornMachine.from_born(born, LAYERS, extend="neighbours", random_state=seed).compile()
    kind = "random" if start == "random" else "identity"
    machine = CircuitBornMachine(
        LAYERS,
        extend="neighbours",
        start=kind,
        iterations=1,
        learning_rate=1e-9,
        random_state=seed,
    )
    return machine.fit(X).compile()


def row_of(start: str, optimizer: str, seed: int, *, smoke: bool) -> dict[str, Any]:
    """Exact KL divergence in nats under noise, before and after so many shots."""
    X = bars_and_stripes(3, 2)
    compiled = circuit_of(start, X, seed)
    noise = DeviceNoise.from_backend(fake_device(DEVICE), QUBITS[: compiled.num_qubits])
    backend = get_backend("exact", noise=noise)
    entropy = float(np.log(len(X)))

    def divergence(circuit: GenerativeCircuit) -> float:
        return float(-NoisyGenerativeCircuit(circuit, noise).log_likelihood(X).mean()) - entropy

    how = HybridTraining(
        optimizer=OPTIMIZERS[optimizer],
        steps=10**6,
        max_shots=200_000 if smoke else IN_ALL,
        loss="clipped-nll",
        batch_size=len(X),
        tail=0.0,
        random_state=seed,
    )
    before = divergence(compiled)
    result = train_generative_on_backend(compiled, X, Where(backend, Unstored(), SHOTS, seed + 1), how)
    return {
        "start": start,
        "optimizer": optimizer,
        "seed": seed,
        "two_qubit_gates": compiled.two_qubit_gates,
        "qubits": compiled.num_qubits,
        "before": before,
        "after": divergence(result.compiled),
        "steps": len(result.history),
        "shots": result.shots,
    }


def main() -> None:
    """All starts, optimisers and seeds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    rows = []
    for start in STARTS[:: 2 if options.smoke else 1]:
        for optimizer in OPTIMIZERS:
            for seed in range(1 if options.smoke else SEEDS):
                rows.append(row_of(start, optimizer, seed, smoke=options.smoke))
                print(rows[-1], flush=True)
            if not options.smoke:
                (HERE / "noisy.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
