"""States that are approximated: ground states, AKLT, random ones, bars and stripes, W, GHZ, images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qtnml import states
from qtnml.born import TreeState
from qtnml.states import State
from qtnml.structure import site_chain


@dataclass(frozen=True)
class Goal:
    """A state and how far its front goes.

    Attributes:
        name: Of the files.
        make: The state.
        most: CX of its longest circuit.
        starts: Circuits optimised side by side.
        short, short_starts: Up to so many CX there are many local minima: searched again with more starts.
        iterations: Of each optimisation, and of the last one of every point.
        orders: Of the sites along the chain; the front is over all of them.
        kinds: Of blocks; None for all that suit. Single CX take many layers, whose windows are wide: minutes
            for a layer beside a chain of a large bond.
    """

    name: str
    make: Callable[[], State]
    most: int
    starts: int = 4
    short: int = 0
    short_starts: int = 24
    iterations: tuple[int, int] = (600, 1500)
    orders: tuple[str | None, ...] = (None,)
    kinds: tuple[str | None, ...] = (None,)


def ground(hamiltonian: states.Hamiltonian, bond: int) -> State:
    """A ground state; the energy is checked in the tests of `qtnml.states`."""
    return states.ground_state(hamiltonian, max_bond=bond)


def aklt(spins: int) -> State:
    """Affleck, Kennedy, Lieb and Tasaki's chain of spins 1, each as the triplet of two qubits."""
    core = np.zeros((2, 3, 2))
    core[0, 0, 1], core[1, 2, 0] = np.sqrt(2 / 3), -np.sqrt(2 / 3)
    core[0, 1, 0], core[1, 1, 1] = -np.sqrt(1 / 3), np.sqrt(1 / 3)
    triplet = np.zeros((3, 4))
    triplet[0, 0] = triplet[2, 3] = 1
    triplet[1, 1] = triplet[1, 2] = np.sqrt(1 / 2)
    middle = np.einsum("lpr,pq->lqr", core, triplet)
    return states.from_arrays([middle[:1], *[middle] * (spins - 2), middle[:, :, :1]]).qubits()


def random_chain(count: int, bond: int) -> State:
    """Complex Gaussian cores, seed 1."""
    rng = np.random.default_rng(1)
    return State(TreeState.random(site_chain([2] * count), bond, rng, is_complex=True))


def bars_and_stripes(rows: int, columns: int) -> State:
    """All patterns of full rows or of full columns, each as likely as the others."""
    patterns = set()
    for bits in np.ndindex(*[2] * rows):
        patterns.add(tuple(np.repeat(bits, columns)))
    for bits in np.ndindex(*[2] * columns):
        patterns.add(tuple(np.tile(bits, rows)))
    vector = np.zeros([2] * (rows * columns))
    for pattern in patterns:
        vector[pattern] = 1
    return states.from_vector(vector)


def w_state(count: int) -> State:
    """One qubit of all in |1>."""
    core = np.zeros((2, 2, 2))
    core[0, 0, 0] = core[1, 0, 1] = core[0, 1, 1] = 1
    return states.from_arrays([core[:1], *[core] * (count - 2), core[:, :, 1:]])


def ghz(count: int) -> State:
    """All qubits alike."""
    core = np.zeros((2, 2, 2))
    core[0, 0, 0] = core[1, 1, 1] = 1
    return states.from_arrays([core.sum(0)[None], *[core] * (count - 2), core.sum(2)[..., None]])


LARGE: dict[str, Any] = {"starts": 2, "iterations": (250, 300), "kinds": ("so4", "two-cx")}

GOALS = [
    Goal("ghz-12", lambda: ghz(12), 22),
    Goal("w-12", lambda: w_state(12), 22),
    Goal("ising-critical-12", lambda: ground(states.ising(12), 16), 66),
    Goal("ising-gapped-12", lambda: ground(states.ising(12, field=0.5), 8), 44),
    Goal(
        "bars-and-stripes-4x3",
        lambda: bars_and_stripes(4, 3),
        130,
        short=66,
        orders=(None, "mutual-information"),
    ),
    Goal("random-bond-4", lambda: random_chain(12, 4), 88, short=22),
    Goal("aklt-24", lambda: aklt(12), 115),
    Goal("ising-critical-20", lambda: ground(states.ising(20), 32), 114),
    Goal("ising-gapped-20", lambda: ground(states.ising(20, field=0.5), 8), 76),
    Goal("heisenberg-20", lambda: ground(states.heisenberg(20), 32), 152),
    Goal("random-bond-8", lambda: random_chain(12, 8), 200, short=22),
    Goal("heisenberg-32", lambda: ground(states.heisenberg(32), 64), 340, **LARGE),
    Goal("ising-gapped-64", lambda: ground(states.ising(64, field=0.5), 8), 260, **LARGE),
    Goal("ising-critical-64", lambda: ground(states.ising(64), 32), 390, **LARGE),
]
