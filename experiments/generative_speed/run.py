"""Seconds of what a Born machine is asked for, by shape and bond; see README.md.

python experiments/generative_speed/run.py [--smoke]     # writes results.json, results.md
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qtnml.born import TreeState, log_likelihood
from qtnml.born.completion import most_probable
from qtnml.born.evidence import log_marginal, observed
from qtnml.born.reduced import reduced_states
from qtnml.born.sampling import sample
from qtnml.compile import compile_state
from qtnml.noise import DeviceNoise, NoisyGenerativeCircuit
from qtnml.structure.sites import Sites, balanced_site_tree, site_chain

FOLDER = Path(__file__).parent
NOISE = DeviceNoise(
    t1=200e-6, two_qubit_time=70e-9, two_qubit_error=3e-3, reset_time=1e-6, readout_error=0.01
)


def timed(function: Callable[[], Any], repeats: int = 3) -> float:
    """Median seconds."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def row_of(name: str, sites: Sites, bond: int, samples: int) -> dict[str, Any]:
    """A random state of real amplitudes."""
    rng = np.random.default_rng(0)
    state = TreeState.random(sites, bond, rng)
    X = sample(state, rng, 1000)
    half = X[:100].astype(float)
    half[:, ::2] = np.nan
    seconds = {
        f"draw_{samples}": timed(lambda: sample(state, rng, samples), 1 if samples > 10_000 else 3),
        "likelihood_1000": timed(lambda: log_likelihood(state, X)),
        "likelihood_100_half_missing": timed(lambda: log_marginal(state, half)),
        "draw_100_given_half": timed(lambda: sample(state, rng, 1, observed(sites, half))),
        "complete_10_beam_16": timed(lambda: most_probable(state, observed(sites, half[:10]), 16)),
        "all_pairs": timed(lambda: reduced_states(state), 1),
    }
    return {"network": name, "sites": len(sites.dims), "bond": bond} | {
        key: round(value, 3) for key, value in seconds.items()
    }


def circuit_row(name: str, sites: Sites, bond: int) -> dict[str, Any]:
    """Compiling, and the exact distribution under noise."""
    rng = np.random.default_rng(0)
    state = TreeState.random(sites, bond, rng)
    began = time.perf_counter()
    compiled = compile_state(state)
    compiling = time.perf_counter() - began
    began = time.perf_counter()
    noisy = NoisyGenerativeCircuit(compiled, NOISE)
    _ = noisy.distribution
    exact = time.perf_counter() - began
    X = sample(state, rng, 1000)
    return {
        "network": name,
        "sites": len(sites.dims),
        "bond": bond,
        "qubits": compiled.num_qubits,
        "two_qubit_gates": compiled.two_qubit_gates,
        "largest_deviation": f"{compiled.verify(state, X):.0e}",
        "compile_s": round(compiling, 2),
        "noisy_distribution_s": round(exact, 2),
        "noisy_draw_1000_s": round(timed(lambda: noisy.sample(rng, 1000)), 3),
        "noisy_likelihood_1000_s": round(timed(lambda: noisy.log_likelihood(X)), 3),
        "noise_free_likelihood_1000_s": round(timed(lambda: log_likelihood(state, X)), 3),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="seconds; writes nothing")
    arguments = parser.parse_args()
    if arguments.smoke:
        print(table([row_of("chain", site_chain([2] * 20), 4, 500)]))
        print(table([circuit_row("chain", site_chain([2] * 8), 2)]))
        return
    exact = [
        row_of("chain", site_chain([2] * 784), 8, 100_000),
        row_of("chain", site_chain([2] * 784), 32, 100_000),
    ]
    trees = [row_of("tree", balanced_site_tree([2] * 784), bond, 1000) for bond in (4, 16)]
    circuits = [
        circuit_row("chain", site_chain([2] * 784), 2),
        circuit_row("chain", site_chain([2] * 784), 4),
        circuit_row("tree", balanced_site_tree([2] * 784), 2),
    ]
    (FOLDER / "results.json").write_text(json.dumps([exact, trees, circuits], indent=1) + "\n")
    (FOLDER / "results.md").write_text("\n".join(map(table, (exact, trees, circuits))))


if __name__ == "__main__":
    main()
