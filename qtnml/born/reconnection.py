"""Reconnection: a state on another tree, whose bonds carry less entanglement (arXiv:2408.10669).

Two neighbouring nodes with two lower bonds each have four legs together, including the upper bond. The legs
can be paired in three ways. Each pairing has its own Schmidt values. The pairing with the smallest entropy is
kept, and the bond is truncated to its limit. A walk from the root downwards does this at every bond.
"""

from typing import NamedTuple

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born.reduced import entropy
from qtnml.born.state import TreeState
from qtnml.structure import Sites, Tree

_LEAST_GAIN = 1e-6  # nats of entropy


class Reconnected(NamedTuple):
    """A state on its new tree.

    Attributes:
        state: See above.
        moves: Bonds whose legs were paired anew.
    """

    state: TreeState
    moves: int


def reconnected(state: TreeState, max_bond: int, *, cutoff: float = 1e-9) -> Reconnected:
    """Reconnect all bonds between nodes with two lower bonds, in one walk; other bonds stay unchanged.

    If no bond is truncated, the result is the same state on another tree.

    Args:
        state: A canonical state.
        max_bond: Largest dimension of a reconnected bond.
        cutoff: Singular values below this fraction of the largest are dropped at reconnected bonds.
    """
    walk = _Walk(state, max_bond, cutoff)
    walk.run()
    return Reconnected(walk.state(), walk.moves)


class _Walk:
    """Nodes as lists of wires that change: leaves, and nodes behind them under the names they began with."""

    def __init__(self, state: TreeState, max_bond: int, cutoff: float) -> None:
        self._sites, self._leaves = state.sites, state.tree.num_leaves
        self._wires = [list(wires) for wires in state.tree.nodes]
        self._cores = list(state.cores)
        self._root, self._most, self._cutoff = state.tree.root, max_bond, cutoff
        self.moves = 0

    def run(self) -> None:
        """From the root downwards, with the reduced state of the bond above each node."""
        pending: list[tuple[int, NDArray]] = [(self._root, np.ones((1, 1)))]
        while pending:
            node, above = pending.pop()
            for wire in list(self._wires[node]):
                if wire >= self._leaves and wire in self._wires[node]:
                    self._pair(node, wire, above)
            for axis, wire in enumerate(self._wires[node], 1):
                if wire >= self._leaves:
                    pending.append((wire - self._leaves, self._seen(node, axis, above)))

    def _seen(self, node: int, axis: int, above: NDArray) -> NDArray:
        """The reduced state of the bond on an axis of a node."""
        core = np.moveaxis(self._cores[node], axis, -1)
        flat = core.reshape(core.shape[0], -1, core.shape[-1])
        return np.asarray(np.einsum("pq,pxi,qxj->ij", above, flat, flat.conj(), optimize=True))

    def _pair(self, node: int, wire: int, above: NDArray) -> None:
        """Choose how the legs of a node and of one below it are paired."""
        below = wire - self._leaves
        upper, lower = self._wires[node], self._wires[below]
        if len(upper) != 2 or len(lower) != 2:
            return
        stays = next(other for other in upper if other != wire)
        core = self._cores[node]
        if upper[0] == wire:
            core = core.swapaxes(1, 2)
        joint = np.tensordot(core, self._cores[below], (2, 0))  # (up, stays, two legs of the lower)
        values, vectors = np.linalg.eigh(above)
        weighed = np.tensordot((vectors * np.sqrt(np.maximum(values, 0))).T, joint, 1)
        legs = [stays, *lower]
        entropies = [_entropy(_matrix(weighed, k)) for k in range(3)]
        best = int(np.argmin(entropies))
        if entropies[best] > entropies[0] - _LEAST_GAIN:
            return
        self.moves += 1
        going = [k for k in range(3) if k != best]
        rows = self._kept(_matrix(weighed, best))
        shape = joint.shape
        self._cores[below] = rows.reshape(len(rows), shape[1 + going[0]], shape[1 + going[1]])
        upper_core = _matrix(joint, best) @ rows.conj().T
        self._cores[node] = upper_core.reshape(shape[0], shape[1 + best], len(rows))
        self._wires[node] = [legs[best], wire]
        self._wires[below] = [legs[k] for k in going]

    def _kept(self, matrix: NDArray) -> NDArray:
        """The right singular vectors that a bond holds, as rows."""
        _, values, rows = np.linalg.svd(matrix, full_matrices=False)
        number = int((values > self._cutoff * values[0]).sum())
        return np.asarray(rows[: max(1, min(number, self._most))])

    def state(self) -> TreeState:
        """On a tree whose nodes stand in order again."""
        order, stack = list[int](), [self._root]
        while stack:
            node = stack.pop()
            order.append(node)
            stack += [wire - self._leaves for wire in self._wires[node] if wire >= self._leaves]
        order.reverse()
        name = {node: self._leaves + place for place, node in enumerate(order)}
        nodes = tuple(
            tuple(wire if wire < self._leaves else name[wire - self._leaves] for wire in self._wires[node])
            for node in order
        )
        sites = Sites(self._sites.dims, Tree(self._leaves, nodes))
        return TreeState.canonical(sites, [self._cores[node] for node in order])


def _matrix(joint: NDArray, stays: int) -> NDArray:
    """(up and the leg that stays, the two others)."""
    moved = np.moveaxis(joint, 1 + stays, 1)
    return np.asarray(moved.reshape(moved.shape[0] * moved.shape[1], -1))


def _entropy(matrix: NDArray) -> float:
    squares = np.linalg.svd(matrix, compute_uv=False) ** 2
    return entropy(squares / squares.sum())
