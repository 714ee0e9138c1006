"""Conversion from and to dense vectors."""

from collections.abc import Sequence

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.errors import InvalidInputError
from qtnml.states.chains import Chain, compressed

_MOST_NUMBERS = 2**26  # 1 GB of complex numbers


def chain_from_vector(
    vector: NDArray, dims: Sequence[int], max_bond: int | None = None, cutoff: float = 1e-12
) -> Chain:
    """A vector as a chain, by singular values from one end to the other.

    Args:
        vector: (product of dims,), the first site varying slowest.
        dims: Levels of the sites.
        max_bond: Largest bond; None keeps all above `cutoff`.
        cutoff: Share of the largest singular value below which values are dropped.
    """
    tensors, rest = list[NDArray](), vector.reshape(1, -1)
    for dim in dims[:-1]:
        left = rest.shape[0]
        q, rest = np.linalg.qr(rest.reshape(left * dim, -1))
        tensors.append(q.reshape(left, dim, -1))
    tensors.append(rest.reshape(-1, dims[-1], 1))
    return Chain(tuple(compressed(tensors, max_bond, cutoff)), tuple(range(len(dims))))


def vector_of(state: TreeState) -> NDArray:
    """All amplitudes (product of levels,), the first site varying slowest.

    Raises:
        InvalidInputError: They do not fit in memory.
    """
    dims, tree = state.sites.dims, state.tree
    size = float(np.prod(dims, dtype=float))
    if size > _MOST_NUMBERS:
        raise InvalidInputError(
            f"a vector of {size:.1e} amplitudes does not fit; ask for amplitudes(strings)"
        )
    found: list[tuple[NDArray, list[int]]] = []
    for core, wires in zip(state.cores, tree.nodes, strict=True):
        tensor, order, axis = core, list[int](), 1
        for wire in wires:
            if wire < tree.num_leaves:
                tensor = np.moveaxis(tensor, axis, -1)
                order.append(wire)
            else:
                below, sites = found[wire - tree.num_leaves]
                tensor = np.tensordot(tensor, below, (axis, 0))
                order += sites
        found.append((tensor, order))
    tensor, order = found[-1]
    return np.asarray(np.moveaxis(tensor[0], range(len(order)), order).reshape(-1))
