"""Losses of circuits on any pairs of qubits, by the whole state vector: up to 20 qubits.

The window along a chain is narrow only for gates between neighbours. Circuits that join all pairs are held as
a vector. Gates of one kind are one scan, so that XLA compiles ten gates in the same time as a thousand.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import Array, NDArray
from qtnml.data.frames import row_weights
from qtnml.errors import InvalidInputError
from qtnml.shallow.blocks import (
    Blocks,
    Point,
    Structure,
    gates_of,
    on_jax,
    on_numpy,
    value_and_slopes,
)
from qtnml.shallow.state_vector import MOST_IN_TABLES, VectorWalk, permuted, vector_walk, walked
from qtnml.states import Hamiltonian

MOST_QUBITS = 20

Loss = Callable[[Array, Any], Array]
"""(state vector, what it is compared with) -> loss: a pure function."""


def vector_of_gates(gates: Array, where: VectorWalk | Array, num_qubits: int) -> Array:
    """State vector (2**qubits,) of gates (gates, 4, 4) on |0...0>; qubit 0 varies slowest.

    Args:
        gates: In order of time.
        where: Tables of their pairs, or, of more qubits than tables are made for, the pairs (gates, 2).
        num_qubits: Of the vector.
    """
    if isinstance(where, VectorWalk):
        return walked(gates, where)
    start = jnp.zeros(2**num_qubits, gates.dtype).at[0].set(1.0)

    def step(vector: Any, now: Any) -> tuple[Any, None]:
        gate, pair = now
        rows, back = _rows(pair, num_qubits)
        moved = gate @ permuted(vector, rows, back).reshape(4, -1)
        return permuted(moved.reshape(-1), back, rows), None

    vector, _ = jax.lax.scan(step, start, (gates, where))
    found: Array = vector
    return found


def _rows(pair: Array, num_qubits: int) -> tuple[Array, Array]:
    """Rows of a vector after two qubits have moved to the front, and the inverse permutation."""
    index = jnp.arange(2**num_qubits)
    shifts = num_qubits - 1 - pair  # of the two qubits' bits
    low, high = jnp.min(shifts), jnp.max(shifts)
    # The rest of an index, without the two bits.
    rest = jnp.bitwise_and(index, 2 ** (num_qubits - 2) - 1)
    below = rest & ((1 << low) - 1)
    middle = (rest >> low) & ((1 << (high - low - 1)) - 1)
    above = rest >> (high - 1)
    first, second = index >> (num_qubits - 1), (index >> (num_qubits - 2)) & 1
    rows = (
        below | (middle << (low + 1)) | (above << (high + 1)) | (first << shifts[0]) | (second << shifts[1])
    )
    below = index & ((1 << low) - 1)
    middle = (index >> (low + 1)) & ((1 << (high - low - 1)) - 1)
    above = index >> (high + 1)
    both = ((index >> shifts[0]) & 1) << (num_qubits - 1) | ((index >> shifts[1]) & 1) << (num_qubits - 2)
    back = below | (middle << low) | (above << (high - 1)) | both
    return rows, back


class OnVector:
    """A loss of what circuits prepare, by their state vectors, and its slopes: an `Objective`.

    Args:
        blocks: Of all circuits, on any pairs.
        loss: See `Loss`.
        data: What it is compared with: arrays.

    Raises:
        InvalidInputError: More than 20 qubits.
    """

    def __init__(self, blocks: Blocks, loss: Loss, data: Any) -> None:
        if not 2 <= blocks.num_places <= MOST_QUBITS:
            raise InvalidInputError(
                f"state vectors are held of 2 to {MOST_QUBITS} qubits, got {blocks.num_places}; gates "
                "between neighbours of a chain have objectives of any length (qtnml.shallow.objectives)"
            )
        self._loss, self._blocks = loss, blocks
        with jax.enable_x64(True):
            pairs = np.array(blocks.pairs, int).reshape(-1, 2)
            small = blocks.num_places <= MOST_IN_TABLES
            where: Any = vector_walk(blocks.num_places, blocks.pairs) if small else pairs
            self._where: Any = jax.tree.map(jnp.asarray, where)
            self._structure = Structure(*map(jnp.asarray, blocks.structure))
            self._data = jax.tree.map(jnp.asarray, data)

    def __call__(self, points: Point, steps: NDArray) -> tuple[Point, NDArray, NDArray]:
        """See `Objective`."""
        with jax.enable_x64(True):
            moved, losses, slopes = _evaluated(
                self._loss,
                self._blocks.num_places,
                self._structure,
                self._where,
                self._data,
                on_jax(points),
                jnp.asarray(steps),
            )
            return on_numpy(moved), np.asarray(losses), np.asarray(slopes)

    def vector(self, point: Point) -> NDArray:
        """State vector of one circuit."""
        with jax.enable_x64(True):
            gates = gates_of(self._structure, on_jax(point))
            return np.asarray(vector_of_gates(gates, self._where, self._blocks.num_places))


@partial(jax.jit, static_argnums=(0, 1))
@partial(jax.vmap, in_axes=(None, None, None, None, None, 0, 0))
def _evaluated(
    loss: Loss, num_qubits: int, structure: Structure, where: Any, data: Any, point: Point, step: Array
) -> tuple[Point, Array, Array]:
    def value(point: Point) -> Array:
        return loss(vector_of_gates(gates_of(structure, point), where, num_qubits), data)

    return value_and_slopes(value, point, step)


def energy(blocks: Blocks, hamiltonian: Hamiltonian, places: Sequence[int] | None = None) -> OnVector:
    """<H> of what circuits prepare.

    Args:
        blocks: Of all circuits, on any pairs.
        hamiltonian: Terms on any one or two sites.
        places: Place of each site; site k at place k by default.
    """
    if hamiltonian.num_sites != blocks.num_places:
        raise InvalidInputError(
            f"the Hamiltonian is of {hamiltonian.num_sites} sites, the circuit of {blocks.num_places}"
        )
    bonds = hamiltonian.bonds()
    pairs = np.array(list(bonds))
    if places is not None:
        pairs = np.asarray(places)[pairs]
    return OnVector(blocks, _energy, (pairs, np.array(list(bonds.values()))))


def _energy(vector: Array, terms: Any) -> Array:
    num_qubits = int(np.log2(vector.shape[0]))

    def value(now: Any) -> Array:
        pair, matrix = now
        both = permuted(vector, *_rows(pair, num_qubits)).reshape(4, -1)
        found: Array = (both.conj() * (matrix @ both)).sum().real
        return found

    total: Array = jax.lax.map(value, terms).sum()
    return total


def divergence(blocks: Blocks, strings: NDArray, weights: NDArray | None = None) -> OnVector:
    """KL divergence in nats of what circuits draw from the frequencies of strings (samples, qubits)."""
    index, shares = _frequencies(blocks, strings, weights)
    return OnVector(blocks, _divergence, (index, shares))


def _divergence(vector: Array, data: Any) -> Array:
    index, shares = data
    chosen = vector[index]
    logs = jnp.log(jnp.maximum(chosen.real**2 + chosen.imag**2, 1e-300))
    found: Array = (shares * (jnp.log(shares) - logs)).sum()
    return found


def discrepancy(
    blocks: Blocks, strings: NDArray, weights: NDArray | None = None, *, widths: Sequence[float] = (0.5, 2.0)
) -> OnVector:
    """Squared maximum mean discrepancy of what circuits draw from strings (samples, qubits), exactly.

    The kernel is a mean of Gaussians of the Hamming distance, exp(-d / (2 width)), a product over qubits.
    """
    index, shares = _frequencies(blocks, strings, weights)
    wanted = np.zeros(2**blocks.num_places)
    wanted[index] = shares
    return OnVector(blocks, _discrepancy, (wanted, np.exp(-1 / (2 * np.asarray(widths, float)))))


def _discrepancy(vector: Array, data: Any) -> Array:
    wanted, closeness = data
    num_qubits = int(np.log2(wanted.shape[0]))
    difference = vector.real**2 + vector.imag**2 - wanted

    def value(near: Array) -> Array:
        smoothed = difference
        for qubit in range(num_qubits):
            split = smoothed.reshape(2**qubit, 2, -1)
            smoothed = (split + near * split[:, ::-1]).reshape(-1)
        found: Array = (difference * smoothed).sum()
        return found

    mean: Array = jax.vmap(value)(closeness).mean()
    return mean


def _frequencies(blocks: Blocks, strings: NDArray, weights: NDArray | None) -> tuple[NDArray, NDArray]:
    strings = np.asarray(strings)
    if strings.ndim != 2 or strings.shape[1] != blocks.num_places or not np.isin(strings, (0, 1)).all():
        raise InvalidInputError(
            f"expected bits of shape (samples, {blocks.num_places}), got shape {strings.shape}"
        )
    numbers = strings.astype(np.int64) @ (1 << np.arange(blocks.num_places - 1, -1, -1))
    index, inverse = np.unique(numbers, return_inverse=True)
    shares = np.bincount(inverse.reshape(-1), row_weights(weights, len(strings)))
    return index[shares > 0], shares[shares > 0] / shares.sum()


def all_unlinked(num_qubits: int, linked: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Pairs of qubits that no gate joins yet, disjoint ones next to each other."""
    known = {tuple(sorted(pair)) for pair in linked}
    left = [pair for pair in combinations(range(num_qubits), 2) if pair not in known]
    found = list[tuple[int, int]]()
    while left:
        busy = set[int]()
        for pair in list(left):
            if not busy & set(pair):
                busy |= set(pair)
                found.append(pair)
                left.remove(pair)
    return tuple(found)
