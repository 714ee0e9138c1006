"""Renormalisation of a chain to a balanced tree: join neighbours and keep their most important levels.

The depth of the tree's circuit grows with the logarithm of the number of sites (arXiv:2605.06579).
"""

from collections.abc import Sequence

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.states.chains import NEGLIGIBLE, compressed
from qtnml.structure import Sites, Tree

Halves = tuple[int, int]
"""First place of a range of places, and of its second half."""


def isometries(tensors: Sequence[NDArray], max_bond: int | None) -> dict[Halves, NDArray]:
    """Of each range of places that is split in halves: (wire above, wire of the first half, of the second).

    Every one is an isometry from the wire above; that of the root is a state.

    Args:
        tensors: Chain, (left bond, level, right bond) of each place.
        max_bond: Most states kept of a wire; None keeps all that are there.
    """
    found: dict[Halves, NDArray] = {}
    current: dict[int, NDArray] = dict(enumerate(compressed(tensors)))
    for first, middle, last in _ranges(len(tensors)):
        order = sorted(current)
        chain = _centred([current[place] for place in order], order.index(first))
        current = dict(zip(order, chain, strict=True))
        pair = np.tensordot(current[first], current.pop(middle), (2, 0))
        left, one, two, right = pair.shape
        if (first, last) == (0, len(tensors)):
            root = pair.reshape(1, one, two)
            found[first, middle] = root / np.linalg.norm(root)
            break
        # The pair is the centre: its levels' singular values say how much of the state each carries.
        levels = pair.transpose(1, 2, 0, 3).reshape(one * two, left * right)
        u, s, vh = np.linalg.svd(levels, full_matrices=False)
        kept = max(1, int((s > NEGLIGIBLE * s[0]).sum()))
        kept = kept if max_bond is None else min(kept, max_bond)
        found[first, middle] = u[:, :kept].T.reshape(kept, one, two)
        current[first] = (s[:kept, None] * vh[:kept]).reshape(kept, left, right).transpose(1, 0, 2)
    return found


def _ranges(count: int) -> list[tuple[int, int, int]]:
    """(first, middle, last) of all ranges of more than one place, the smaller ones first."""
    found = list[tuple[int, int, int]]()

    def split(first: int, last: int) -> None:
        if last - first > 1:
            middle = (first + last + 1) // 2
            split(first, middle)
            split(middle, last)
            found.append((first, middle, last))

    split(0, count)
    return found


def _centred(tensors: list[NDArray], place: int) -> list[NDArray]:
    """The same chain, isometries towards one place and the next one from both sides."""
    whole = list(tensors)
    for k in range(place):
        q, rest = np.linalg.qr(whole[k].reshape(-1, whole[k].shape[2]))
        whole[k] = q.reshape(*whole[k].shape[:2], -1)
        whole[k + 1] = np.tensordot(rest, whole[k + 1], (1, 0))
    for k in range(len(whole) - 1, place + 1, -1):
        q, rest = np.linalg.qr(whole[k].reshape(whole[k].shape[0], -1).T)
        whole[k] = q.T.reshape(-1, *whole[k].shape[1:])
        whole[k - 1] = np.tensordot(whole[k - 1], rest.T, (2, 0))
    return whole


def on_balanced_tree(tensors: Sequence[NDArray], sites: Sequence[int], max_bond: int | None) -> TreeState:
    """The state of a chain on a balanced tree of its places.

    Args:
        tensors: Of at least two places.
        sites: Site at each place.
        max_bond: As for `isometries`.
    """
    nodes, count = isometries(tensors, max_bond), len(tensors)
    wire_of: dict[tuple[int, int], int] = {(k, k + 1): sites[k] for k in range(count)}
    wires, cores = list[tuple[int, ...]](), list[NDArray]()
    for first, middle, last in _ranges(count):
        wires.append((wire_of[first, middle], wire_of[middle, last]))
        wire_of[first, last] = count + len(wires) - 1
        cores.append(nodes[first, middle])
    dims = [0] * count
    for site, tensor in zip(sites, tensors, strict=True):
        dims[site] = tensor.shape[1]
    return TreeState.canonical(Sites(tuple(dims), Tree(count, tuple(wires))), cores)
