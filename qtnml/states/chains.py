"""Matrix product states as lists of tensors (left bond, level, right bond), in the order of the chain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.errors import InvalidInputError
from qtnml.structure import Tree, site_chain

NEGLIGIBLE = 1e-14  # of the norm: smaller singular values are rounding


@dataclass(frozen=True, eq=False)
class Chain:
    """A matrix product state.

    Attributes:
        tensors: One for each place, (left bond, level, right bond); the outer bonds are 1.
        order: Site at each place.
    """

    tensors: tuple[NDArray, ...]
    order: tuple[int, ...]

    @property
    def bond_dims(self) -> tuple[int, ...]:
        """Between neighbouring places."""
        return tuple(tensor.shape[2] for tensor in self.tensors[:-1])

    def state(self) -> TreeState:
        """The same state, normalised, its root at the first place."""
        dims = [0] * len(self.order)
        for site, tensor in zip(self.order, self.tensors, strict=True):
            dims[site] = tensor.shape[1]
        cores = [self.tensors[-1][..., 0], *self.tensors[-2::-1]]  # the last site has no bond below
        return TreeState.canonical(site_chain(dims, self.order), cores)


def check_bond(max_bond: Any) -> None:
    """Refuse what is no largest bond.

    Raises:
        InvalidInputError: Neither an integer of at least 1 nor None.
    """
    if max_bond is None:
        return
    if isinstance(max_bond, bool) or not isinstance(max_bond, int | np.integer) or max_bond < 1:
        raise InvalidInputError(f"max_bond must be an integer of at least 1 or None, got {max_bond!r}")


def check_cutoff(cutoff: Any) -> None:
    """Refuse what is no share below which singular values are dropped.

    Raises:
        InvalidInputError: Not a number of at least 0 and below 1.
    """
    is_number = isinstance(cutoff, float | int | np.floating | np.integer) and not isinstance(cutoff, bool)
    if not is_number or not 0 <= cutoff < 1:
        raise InvalidInputError(f"cutoff must be at least 0 and below 1, got {cutoff!r}")


def chain_of(state: TreeState, max_bond: int | None = None) -> Chain:
    """A state as a chain: its own, or of another tree its sites in the order of a walk from the root.

    Args:
        state: On any tree.
        max_bond: Of the chain that another tree becomes. None is exact: up to the product of all bonds of
            the tree that a cut severs.
    """
    path = path_of(state.tree)
    if path is None:
        order = list[int]()
        tensors = compressed(_below(state, state.tree.root, order), max_bond)
        return Chain(tuple(tensors), tuple(order))
    tree, tensors, order = state.tree, list[NDArray](), list[int]()
    for place, k in enumerate(path):
        axis_of = {wire: axis for axis, wire in enumerate(tree.nodes[k], 1)}
        (site,) = (wire for wire in axis_of if wire < tree.num_leaves)
        axes = [_axis_towards(tree, k, path[place - 1]) if place else None]
        axes += [axis_of[site], _axis_towards(tree, k, path[place + 1]) if place + 1 < len(path) else None]
        core = state.cores[k]
        shape = [1 if axis is None else core.shape[axis] for axis in axes]
        # The root's bond to its parent, of dimension 1, falls away.
        used = [axis for axis in axes if axis is not None]
        tensors.append(core.transpose(*used, *(a for a in range(core.ndim) if a not in used)).reshape(shape))
        order.append(site)
    return Chain(tuple(tensors), tuple(order))


def path_of(tree: Tree) -> list[int] | None:
    """Nodes from one end to the other, where every node has one site and they form a path; None elsewhere.

    A chain is read as it was built: from its root, or of two arms from the end of the first.
    """
    neighbours: list[list[int]] = [[] for _ in tree.nodes]
    for k, wires in enumerate(tree.nodes):
        below = [wire - tree.num_leaves for wire in wires if wire >= tree.num_leaves]
        if len(wires) != len(below) + 1:
            return None
        neighbours[k] += below
        for b in below:
            neighbours[b].append(k)
    if any(len(found) > 2 for found in neighbours):
        return None
    if len(neighbours[tree.root]) == 2:
        towards, start = neighbours[tree.root]
        start = tree.root
        while len(neighbours[towards]) == 2:
            start, towards = towards, next(k for k in neighbours[towards] if k != start)
        path = [towards]
    else:
        path = [tree.root]
    while onward := [k for k in neighbours[path[-1]] if k not in path[-2:]]:
        path.append(onward[0])
    return path


def _axis_towards(tree: Tree, node: int, neighbour: int) -> int:
    """Axis of a node's core that leads to another node."""
    if tree.parents[node] == neighbour:
        return 0
    return 1 + tree.nodes[node].index(tree.num_leaves + neighbour)


def _below(state: TreeState, node: int, order: list[int]) -> list[NDArray]:
    """Tensors of the sites below a node; the first one's left bond is the wire to its parent.

    Bonds to wires that come later are carried along past the sites before them.
    """
    tree, rest = state.tree, state.cores[node]
    found: list[NDArray] = []
    for wire in tree.nodes[node]:
        left, dim, *later = rest.shape
        if wire < tree.num_leaves:
            order.append(wire)
            part = [np.eye(dim)[:, :, None]]
        else:
            part = _below(state, wire - tree.num_leaves, order)
        carried = int(np.prod(later, dtype=int))
        first = np.tensordot(rest.reshape(left, dim, carried), part[0], (1, 0)).transpose(0, 2, 3, 1)
        found.append(first.reshape(left, part[0].shape[1], -1))
        for tensor in part[1:]:
            wide = np.einsum("lsr,ab->lasrb", tensor, np.eye(carried))
            found.append(wide.reshape(tensor.shape[0] * carried, tensor.shape[1], -1))
        rest = np.eye(carried).reshape(carried, *later)
    return compressed(found)


def compressed(
    tensors: Sequence[NDArray], max_bond: int | None = None, cutoff: float = NEGLIGIBLE
) -> list[NDArray]:
    """The same state with the smallest bonds, by singular values; the first tensor holds the norm.

    Args:
        tensors: (left bond, level, right bond); the first left bond may be any.
        max_bond: Most singular values kept at a bond.
        cutoff: Those below this share of the largest are dropped.
    """
    carried: NDArray = np.eye(tensors[0].shape[0])
    whole: list[NDArray] = []
    for tensor in tensors[:-1]:
        joined = np.tensordot(carried, tensor, (1, 0))
        q, carried = np.linalg.qr(joined.reshape(-1, joined.shape[2]))
        whole.append(q.reshape(*joined.shape[:2], -1))
    whole.append(np.tensordot(carried, tensors[-1], (1, 0)))
    for k in range(len(whole) - 1, 0, -1):
        left, level, right = whole[k].shape
        u, s, vh = np.linalg.svd(whole[k].reshape(left, -1), full_matrices=False)
        kept = max(1, int((s > cutoff * s[0]).sum()))
        kept = kept if max_bond is None else min(kept, max_bond)
        whole[k] = vh[:kept].reshape(kept, level, right)
        whole[k - 1] = np.tensordot(whole[k - 1], u[:, :kept] * s[:kept], (2, 0))
    return whole


def vidal(tensors: Sequence[NDArray]) -> tuple[list[NDArray], list[NDArray]]:
    """Vidal's form of a normalised state: Gammas (left, level, right) and the Schmidt values between them."""
    whole = compressed(tensors)
    gammas, lambdas = list[NDArray](), list[NDArray]()
    carried: NDArray = np.eye(1)
    before = np.ones(1)
    for k, tensor in enumerate(whole):
        joined = np.tensordot(carried, tensor, (1, 0))
        if k == len(whole) - 1:
            gammas.append(joined / before[:, None, None])
            break
        u, s, vh = np.linalg.svd(joined.reshape(-1, joined.shape[2]), full_matrices=False)
        s = s / np.linalg.norm(s)
        gammas.append(u.reshape(*joined.shape[:2], -1) / before[:, None, None])
        lambdas.append(s)
        carried, before = s[:, None] * vh, s
    return gammas, lambdas


def overlap(bra: Sequence[NDArray], ket: Sequence[NDArray]) -> complex:
    """<bra|ket> of two chains with the same levels."""
    found: NDArray = np.ones((1, 1))
    for a, b in zip(bra, ket, strict=True):
        found = np.tensordot(found, b, (1, 0))
        found = np.tensordot(a.conj(), found, ((0, 1), (0, 1)))
    return complex(found[0, 0])
