"""Losses of the state that a circuit prepares: energy, likelihood of data, distance of reduced states.

The circuit's state is a matrix product state of bond 2**(width - 1). Every tensor is an isometry from its
left bond, so that tensors further along the chain drop out of local quantities. All losses are exact, and one
reverse pass gives the gradients of all gates.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

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
from qtnml.shallow.state_vector import permuted
from qtnml.shallow.window import window_of
from qtnml.states import Hamiltonian

_WIDEST = 8  # qubits in the window: tensors of 2**15 numbers for each place


class Walk(NamedTuple):
    """A window's tables, as a scan takes them; see `Tables`."""

    gates: Array
    rows: Array
    back: Array
    leaving_rows: Array
    leaving_back: Array
    leaves: Array


def tensors_of_circuit(gates: Array, walk: Walk, ends: Array) -> Array:
    """Tensors (places, left bond, 2, right bond) of what a circuit prepares, in the order of the walk.

    Args:
        gates: (gates, 4, 4).
        walk: Of the window.
        ends: Steps at which a place leaves, (places,).
    """
    padded = jnp.concatenate([gates, jnp.eye(4, dtype=gates.dtype)[None]])
    size = walk.leaving_rows.shape[1]
    # From a bond to amplitudes: the slot that was left is |0>, and stands first.
    fresh = jnp.concatenate([jnp.eye(size // 2), jnp.zeros((size // 2, size // 2))]).astype(gates.dtype)

    def step(array: Any, now: Any) -> tuple[Any, Any]:
        for k in range(now.gates.shape[0]):
            array = permuted(array, now.rows[k], now.back[k])
            array = (padded[now.gates[k]] @ array.reshape(4, -1)).reshape(size, size // 2)
        array = permuted(array, now.leaving_rows, now.leaving_back)
        return jnp.where(now.leaves, fresh, array), array

    _, found = jax.lax.scan(step, fresh, walk)
    tensors: Array = found[ends].reshape(-1, 2, size // 2, size // 2).transpose(0, 3, 1, 2)
    return tensors


Loss = Callable[[Array, Any], Array]
"""(tensors of the circuit in the order of the walk, what it is compared with) -> loss: a pure function."""


class OnTensors:
    """A loss of what circuits prepare, and its slopes: an `Objective`.

    Args:
        blocks: Of all circuits.
        loss: See `Loss`.
        data: What it is compared with: arrays.

    Raises:
        InvalidInputError: A window of more than 8 qubits.
    """

    def __init__(self, blocks: Blocks, loss: Loss, data: Any) -> None:
        window = window_of(blocks.num_places, blocks.pairs)
        if window.width > _WIDEST:
            raise InvalidInputError(
                f"this layout has {window.width} qubits in its window, more than the {_WIDEST} for which "
                "losses other than the fidelity are computed; take fewer layers"
            )
        tables = window.tables
        self._loss = loss
        with jax.enable_x64(True):
            walk = Walk(*tables[:-1])
            self._walk: Any = jax.tree.map(jnp.asarray, walk)
            self._ends = jnp.asarray(np.flatnonzero(tables.leaves))
            self._structure = Structure(*map(jnp.asarray, blocks.structure))
            self._data = jax.tree.map(jnp.asarray, data)

    def __call__(self, points: Point, steps: NDArray) -> tuple[Point, NDArray, NDArray]:
        """See `Objective`."""
        with jax.enable_x64(True):
            moved, losses, slopes = _evaluated(
                self._loss,
                self._structure,
                self._walk,
                self._ends,
                self._data,
                on_jax(points),
                jnp.asarray(steps),
            )
            return on_numpy(moved), np.asarray(losses), np.asarray(slopes)


@partial(jax.jit, static_argnums=0)
@partial(jax.vmap, in_axes=(None, None, None, None, None, 0, 0))
def _evaluated(
    loss: Loss, structure: Structure, walk: Walk, ends: Array, data: Any, point: Point, step: Array
) -> tuple[Point, Array, Array]:
    def value(point: Point) -> Array:
        return loss(tensors_of_circuit(gates_of(structure, point), walk, ends), data)

    return value_and_slopes(value, point, step)


def energy(blocks: Blocks, hamiltonian: Hamiltonian, places: Sequence[int] | None = None) -> OnTensors:
    """<H> per place of what circuits prepare.

    Args:
        blocks: Of all circuits.
        hamiltonian: A sum over neighbours and single sites.
        places: Place of each site; site k at place k by default.

    Raises:
        InvalidInputError: Terms of sites that are no neighbours, or another number of sites.
    """
    count = blocks.num_places
    if hamiltonian.num_sites != count:
        raise InvalidInputError(
            f"the Hamiltonian is of {hamiltonian.num_sites} sites, the circuit of {count}"
        )
    window = window_of(count, blocks.pairs)
    terms = np.zeros((count - 1, 4, 4), complex)
    for (first, second), matrix in hamiltonian.bonds().items():
        one, two = (window.turn(site if places is None else places[site]) for site in (first, second))
        if abs(one - two) != 1:
            raise InvalidInputError(
                f"the term of sites {(first, second)} joins no neighbours of the chain; their energy is "
                "exact by found.state().expectation(hamiltonian), but is not trained on"
            )
        swapped = matrix.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4)
        terms[min(one, two)] += matrix if one < two else swapped
    real = not np.abs(terms.imag).max()
    return OnTensors(blocks, _energy, terms.real if real and blocks.is_real else terms)


def _energy(tensors: Array, terms: Array) -> Array:
    def value(state: Array, term: Array) -> Array:
        return jnp.einsum("abcd,cdab->", state, term.reshape(2, 2, 2, 2)).real

    return jax.vmap(value)(_neighbours(tensors), terms).sum() / len(tensors)


def local_distance(blocks: Blocks, target: Sequence[NDArray]) -> OnTensors:
    """Mean over neighbours of half the squared Frobenius distance of their reduced states from the target's.

    It has slopes that do not fall with the number of qubits, where the fidelity itself has none left.

    Args:
        blocks: Of all circuits.
        target: Tensors (left bond, level, right bond) of each place.
    """
    window = window_of(blocks.num_places, blocks.pairs)
    tensors = [t.transpose(2, 1, 0) for t in target[::-1]] if window.is_reversed else list(target)
    return OnTensors(blocks, _distance, reduced_neighbours(tensors))


def reduced_neighbours(tensors: Sequence[NDArray]) -> NDArray:
    """Reduced states (places - 1, 2, 2, 2, 2) of all neighbours of a chain of norm 1: kets, then bras."""
    rights: list[NDArray] = [np.ones((1, 1))]
    for tensor in tensors[::-1]:
        after = np.tensordot(tensor, rights[-1], (2, 0))
        rights.append(np.tensordot(after, tensor.conj(), ((1, 2), (1, 2))))
    rights = rights[::-1]
    left: NDArray = np.ones((1, 1))
    found = []
    for k in range(len(tensors) - 1):
        pair = np.tensordot(tensors[k], tensors[k + 1], (2, 0))
        ket = np.tensordot(np.tensordot(left, pair, (0, 0)), rights[k + 2], (3, 0))
        found.append(np.einsum("bstc,buvc->stuv", ket, pair.conj()))
        left = np.tensordot(np.tensordot(left, tensors[k], (0, 0)), tensors[k].conj(), ((0, 1), (0, 1)))
    return np.stack(found)


def _distance(tensors: Array, wanted: Array) -> Array:
    difference = _neighbours(tensors) - wanted
    return (difference.real**2 + difference.imag**2).sum() / (2 * len(wanted))


def _neighbours(tensors: Array) -> Array:
    """Reduced states of neighbours: right of them every tensor is an isometry."""
    bond = tensors.shape[1]
    start = jnp.zeros((bond, bond), tensors.dtype).at[0, 0].set(1.0)

    def step(left: Any, pair: Any) -> tuple[Any, Any]:
        one, two = pair
        ket = jnp.einsum("ab,asc->bsc", left, one)
        both = jnp.einsum("bsc,ctd->bstd", ket, two)
        bras = jnp.einsum("buc,cvd->buvd", one.conj(), two.conj())
        return jnp.einsum("bsc,bsd->cd", ket, one.conj()), jnp.einsum("bstd,buvd->stuv", both, bras)

    _, found = jax.lax.scan(step, start, (tensors[:-1], tensors[1:]))
    reduced: Array = found
    return reduced


def likelihood(blocks: Blocks, strings: NDArray, weights: NDArray | None = None) -> OnTensors:
    """Mean negative log-likelihood per place, nats, of strings (samples, places) of bits.

    Args:
        blocks: Of all circuits.
        strings: Columns in the order of the places.
        weights: (samples,); all alike by default.
    """
    strings = np.asarray(strings)
    if strings.ndim != 2 or strings.shape[1] != blocks.num_places or not np.isin(strings, (0, 1)).all():
        raise InvalidInputError(
            f"expected bits of shape (samples, {blocks.num_places}), got shape {strings.shape}"
        )
    unique, inverse = np.unique(strings, axis=0, return_inverse=True)
    shares = np.bincount(inverse.reshape(-1), row_weights(weights, len(strings)))
    window = window_of(blocks.num_places, blocks.pairs)
    columns = unique[:, ::-1] if window.is_reversed else unique
    return OnTensors(blocks, _nll, (columns, shares / shares.sum()))


def _nll(tensors: Array, data: Any) -> Array:
    strings, shares = data
    bond = tensors.shape[1]
    start = jnp.zeros((len(strings), bond), tensors.dtype).at[:, 0].set(1.0)

    def step(vectors: Any, now: Any) -> tuple[Any, Any]:
        tensor, bits = now
        both = jnp.einsum("na,asb->nsb", vectors, tensor)
        found = jnp.where(bits[:, None] == 0, both[:, 0], both[:, 1])
        size = jnp.sqrt((found.real**2 + found.imag**2).sum(axis=1))
        scale = jax.lax.stop_gradient(jnp.maximum(size, 1e-150))
        return found / scale[:, None], jnp.log(scale)

    vectors, logs = jax.lax.scan(step, start, (tensors, strings.T))
    squares = vectors[:, 0].real ** 2 + vectors[:, 0].imag ** 2
    total = jnp.log(jnp.maximum(squares, 1e-300)) + 2 * logs.sum(axis=0)
    mean: Array = -(shares * total).sum() / len(tensors)
    return mean
