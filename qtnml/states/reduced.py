"""Reduced density matrices of a few sites of a state."""

from collections.abc import Sequence

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.errors import InvalidInputError

_MOST_LEVELS = 4096  # of all chosen sites together: a matrix of 256 MB


def reduced_density_matrix(state: TreeState, sites: Sequence[int]) -> NDArray:
    """Density matrix (levels, levels) of some sites, all others traced out; the first site varies slowest.

    Raises:
        InvalidInputError: No site, one twice or one that is not there, or too many levels together.
    """
    dims = state.sites.dims
    for site in sites:
        if isinstance(site, bool) or not isinstance(site, int | np.integer) or not 0 <= site < len(dims):
            raise InvalidInputError(f"sites are integers from 0 to {len(dims) - 1}, got {site!r}")
    if not len(sites) or len(set(sites)) != len(sites):
        raise InvalidInputError(f"expected one or more different sites, got {list(sites)}")
    levels = int(np.prod([dims[site] for site in sites]))
    if levels > _MOST_LEVELS:
        raise InvalidInputError(
            f"sites {list(sites)} have {levels} levels together, more than {_MOST_LEVELS}; ask for fewer"
        )
    found, order = _message_of_root(state, set(sites))
    shape = [dims[site] for site in order]
    places = [order.index(site) for site in sites]
    both = [*places, *(len(places) + place for place in places)]
    return np.asarray(found.reshape(*shape, *shape).transpose(both).reshape(levels, levels))


def _message_of_root(state: TreeState, chosen: set[int]) -> tuple[NDArray, list[int]]:
    """From the leaves to the root: (ket bond, bra bond, kets, bras) of the chosen sites below each node."""
    tree = state.tree
    messages: list[tuple[NDArray, list[int]] | None] = []
    for core, wires in zip(state.cores, tree.nodes, strict=True):
        ket, order = core, list[int]()
        for axis, wire in enumerate(wires, 1):
            if wire < tree.num_leaves:
                dim = core.shape[axis]
                # Both of a chosen site's levels stay open.
                opened = np.einsum("ik,jl->ijkl", np.eye(dim), np.eye(dim))
                below = (opened, [wire]) if wire in chosen else None
            else:
                below = messages[wire - tree.num_leaves]
            if below is not None:
                ket = np.moveaxis(np.tensordot(ket, below[0], (axis, 0)), -3, axis)
                order += below[1]
        messages.append((_closed(ket, core), order) if order else None)
    found = messages[-1]
    assert found is not None  # some site was chosen
    return found


def _closed(ket: NDArray, core: NDArray) -> NDArray:
    """A ket (bond, bra legs, kets and bras of each open part in turn) with the core's conjugate."""
    legs = range(1, core.ndim)
    joined = np.tensordot(ket, core.conj(), (legs, legs))  # (bond, kets, bras, kets, bras, ..., bra bond)
    kets, bras = range(1, joined.ndim - 1, 2), range(2, joined.ndim - 1, 2)
    moved = joined.transpose(0, joined.ndim - 1, *kets, *bras)
    size = int(np.prod([joined.shape[axis] for axis in kets], dtype=int))
    return moved.reshape(joined.shape[0], joined.shape[-1], size, size)
