"""What is learnt: bars and stripes, and the ground state of Heisenberg's chain; and where circuits start."""

from typing import Any

import numpy as np

from qtnml import MPSBornMachine, shallow, states
from qtnml.shallow.blocks import Blocks, Point
from qtnml.shallow.extension import extended_by, extension_pairs
from qtnml.shallow.layouts import staircase
from qtnml.shallow.vector import OnVector, divergence, energy
from qtnml.states import State

LAYERS = 2
BONDS = (2, 4, 8, 16)
STARTS = (*(f"bond {bond}" for bond in BONDS), "near identity", "random")


def bars_and_stripes(rows: int, columns: int) -> np.ndarray:
    """All patterns of full rows or of full columns, (patterns, pixels)."""
    found = {tuple(np.repeat(bits, columns)) for bits in np.ndindex(*[2] * rows)}
    found |= {tuple(np.tile(bits, rows)) for bits in np.ndindex(*[2] * columns)}
    return np.array(sorted(found))


def trained_chain(patterns: np.ndarray, bond: int, seed: int) -> State:
    """A Born machine of the patterns."""
    born = MPSBornMachine(
        max_bond=bond, validation_fraction=0.0, epochs=60, n_init=3, init="product", random_state=seed
    )
    return states.from_born(born.fit(patterns))


class Task:
    """A loss that circuits lower.

    Args:
        name: "bars-and-stripes" (4 rows, 3 columns; KL divergence, nats) or "heisenberg" (12 spins; energy).
    """

    qubits = 12

    def __init__(self, name: str) -> None:
        self.name = name
        self.patterns = bars_and_stripes(4, 3)
        self.hamiltonian = states.heisenberg(self.qubits)

    def objective(self, blocks: Blocks) -> OnVector:
        """Of circuits of these blocks."""
        if self.name == "heisenberg":
            return energy(blocks, self.hamiltonian)
        return divergence(blocks, self.patterns)

    def chain(self, bond: int, seed: int) -> tuple[State, float]:
        """What a chain of a bond learns classically, and its loss."""
        if self.name == "heisenberg":
            state = states.ground_state(self.hamiltonian, max_bond=bond, random_state=seed)
            return state, float(state.expectation(self.hamiltonian).real)
        state = trained_chain(self.patterns, bond, seed)
        logs = np.log(np.maximum(np.abs(state.amplitudes(self.patterns)) ** 2, 1e-300))
        return state, float(-np.log(len(self.patterns)) - logs.mean())

    def start(self, name: str, seed: int, layers: int = LAYERS) -> tuple[Blocks, Point, dict[str, float]]:
        """A circuit, its numbers, and of one from a chain the chain's loss and the circuit's fidelity.

        Two staircases, then a gate on each pair that they do not join, near the identity.
        """
        rng = np.random.default_rng(seed)
        blocks = Blocks(self.qubits, staircase(self.qubits, layers), "su4")
        facts: dict[str, float] = {}
        if name.startswith("bond"):
            state, facts["chain"] = self.chain(int(name.split()[1]), seed)
            found = shallow.approximate(state, layers=layers, blocks="su4", random_state=seed)
            facts["fidelity"] = found.fidelity
            blocks, point = found.blocks, found.point
        else:
            point = blocks.start(rng, 0.01)
        longer, point = extended_by(blocks, point, extension_pairs("all", self.qubits, blocks.pairs), rng)
        return longer, (longer.start(rng, 3.0) if name == "random" else point), facts


def starts_of(task: Task, name: str, seeds: range, layers: int) -> tuple[Blocks, list[Point], Any]:
    """A start for each seed: circuits of the same blocks."""
    found = [task.start(name, seed, layers) for seed in seeds]
    return found[0][0], [point for _, point, _ in found], [facts for _, _, facts in found]
