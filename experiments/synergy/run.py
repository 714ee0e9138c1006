"""Circuits trained on from tensor networks, beside random and near-identity starts; see README.md.

python experiments/synergy/run.py [--smoke] [--only bars-and-stripes heisenberg]
"""

import argparse
import json
from pathlib import Path

import numpy as np

from qtnml import MPSBornMachine, shallow, states
from qtnml.shallow.blocks import Blocks
from qtnml.shallow.extension import extended_by, extension_pairs
from qtnml.shallow.layouts import staircase
from qtnml.shallow.optimise import adam
from qtnml.shallow.search import stacked
from qtnml.shallow.vector import OnVector, divergence, energy
from qtnml.states import State

HERE = Path(__file__).parent
QUBITS, LAYERS = 12, 2
BONDS = (2, 4, 8, 16)
SEEDS = 10
MARKS = (0, 10, 30, 100, 300, 1000)


def bars_and_stripes() -> np.ndarray:
    """The 22 patterns of 4 rows and 3 columns."""
    found = {tuple(np.repeat(bits, 3)) for bits in np.ndindex(2, 2, 2, 2)}
    found |= {tuple(np.tile(bits, 4)) for bits in np.ndindex(2, 2, 2)}
    return np.array(sorted(found))


def trained_chain(bond: int, seed: int) -> State:
    """A Born machine of bars and stripes."""
    born = MPSBornMachine(max_bond=bond, validation_fraction=0.0, epochs=60, n_init=3, random_state=seed)
    return states.from_born(born.fit(bars_and_stripes()))


def objective_of(task: str, blocks: Blocks) -> OnVector:
    """KL divergence in nats, or the energy."""
    if task == "bars-and-stripes":
        return divergence(blocks, bars_and_stripes())
    return energy(blocks, states.heisenberg(QUBITS))


def start_of(task: str, start: str, seed: int) -> tuple[Blocks, object, float]:
    """A circuit and its numbers, and the loss of the chain it comes from (NaN without one)."""
    rng = np.random.default_rng(seed)
    blocks = Blocks(QUBITS, staircase(QUBITS, LAYERS), "su4")
    before = float("nan")
    if start.startswith("bond"):
        bond = int(start.split()[1])
        if task == "bars-and-stripes":
            state = trained_chain(bond, seed)
            patterns = bars_and_stripes()
            logs = np.log(np.maximum(np.abs(state.amplitudes(patterns)) ** 2, 1e-300))
            before = float(-np.log(len(patterns)) - logs.mean())
        else:
            state = states.ground_state(states.heisenberg(QUBITS), max_bond=bond, random_state=seed)
            before = state.expectation(states.heisenberg(QUBITS)).real
        found = shallow.approximate(state, layers=LAYERS, blocks="su4", random_state=seed)
        blocks, point = found.blocks, found.point
    else:
        point = blocks.start(rng, 0.01)
    pairs = extension_pairs("all", QUBITS, blocks.pairs)
    longer, point = extended_by(blocks, point, pairs, rng)
    if start == "random":
        point = longer.start(rng, 3.0)
    return longer, point, before


def curves(task: str, seeds: int, iterations: int) -> dict[str, object]:
    """Losses after so many steps, of all starts and seeds."""
    found: dict[str, object] = {}
    for start in (*(f"bond {bond}" for bond in BONDS), "near identity", "random"):
        rows, chains = [], []
        for seed in range(seeds):
            blocks, point, before = start_of(task, start, seed)
            result = adam(
                objective_of(task, blocks),
                stacked([point]),
                blocks.dimension,  # type: ignore[list-item]
                iterations=iterations,
                learning_rate=0.01,
                tolerance=0.0,
            )
            history = result.history[:, 0]
            rows.append([float(history[min(mark, len(history) - 1)]) for mark in MARKS if mark <= iterations])
            chains.append(before)
        middle = np.median(rows, axis=0)
        print(
            task, start, "chain", round(float(np.median(chains)), 4), np.round(middle, 4).tolist(), flush=True
        )
        found[start] = {"losses": rows, "chain": chains}
    return found


def main() -> None:
    """Both tasks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--only", nargs="*", default=["bars-and-stripes", "heisenberg"])
    options = parser.parse_args()
    for task in options.only:
        result = curves(task, 1 if options.smoke else SEEDS, 10 if options.smoke else max(MARKS))
        if not options.smoke:
            facts = {"marks": MARKS, "starts": result}
            if task == "heisenberg":
                facts["exact"] = float(np.linalg.eigvalsh(states.heisenberg(QUBITS).matrix())[0])
            (HERE / f"{task}.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
