"""Markov trees as states: square roots of conditional distributions on the nodes of a tree.

On a chain this is the Markov chain of the data. On the Chow-Liu tree it is the Chow-Liu distribution (IEEE
Trans. Inf. Theory 14, 462, 1968). For bits it is a state of bond dimension 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born.reduced import bond_states
from qtnml.born.state import TreeState
from qtnml.structure import Sites, Tree
from qtnml.structure.information import effective_rows, shrunk_conditional


def markov_parents(tree: Tree) -> tuple[int, ...] | None:
    """The leaf on which each leaf depends, -1 for the first; None where the tree has no such order.

    The first leaf of a node depends on the first leaf of the nearest node above that has one; other leaves of
    a node on its first. The root needs a leaf.
    """
    first = _first_leaves(tree)
    if first[tree.root] < 0:
        return None
    told = _told(tree, first)
    return tuple(
        told[node] if first[node] == leaf else first[node] for leaf, node in enumerate(tree.node_of_leaf)
    )


@dataclass(frozen=True, eq=False)
class MarkovTree:
    """A distribution in which each site depends on one other: the Chow-Liu distribution of a tree.

    Attributes:
        parents: The site on which each depends, -1 for none.
        tables: P(site | parent) of each, (levels of the parent or 1, levels of the site).
    """

    parents: tuple[int, ...]
    tables: tuple[NDArray, ...]

    @classmethod
    def of(
        cls,
        sites: Sites,
        levels: NDArray,
        weights: NDArray,
        *,
        rows: float | None = None,
        numbers: Sequence[NDArray | None] = (),
        dependent: bool = True,
    ) -> "MarkovTree":
        """Learn it along a tree of sites; with no dependence at all where the tree has no Markov order.

        Conditional distributions are drawn to the marginal ones as far as predicts left-out rows best, see
        `shrunk_conditional`: none of them is 0.

        Args:
            sites: Tree and levels; see `markov_parents`.
            levels: (samples, sites), integers.
            weights: (samples,).
            rows: Independent rows that the samples stand for; by default their effective number.
            numbers: Of each site the number that each level stands for, (levels,), or None where levels are
                categories; empty where all are. Between numbers a smooth dependence is tried as well.
            dependent: False for independent sites.
        """
        parents = (markov_parents(sites.tree) if dependent else None) or (-1,) * len(sites.dims)
        rows = effective_rows(weights) if rows is None else rows
        counts = weights * (rows / weights.sum())
        numbers = numbers or (None,) * len(sites.dims)
        return cls(
            parents,
            tuple(
                _conditional(levels, counts, sites.dims, numbers, leaf, above)
                for leaf, above in enumerate(parents)
            ),
        )

    def log_likelihood(self, levels: NDArray) -> NDArray:
        """ln P of strings (samples, sites) in nats, (samples,)."""
        logs = np.zeros(len(levels))
        for site, (parent, table) in enumerate(zip(self.parents, self.tables, strict=True)):
            known = levels[:, parent] if parent >= 0 else 0
            logs += np.log(table)[known, levels[:, site]]
        return logs

    def state(self, sites: Sites) -> TreeState:
        """The state on the tree it was learnt along whose squared amplitudes it is."""
        tree, roots = sites.tree, [np.sqrt(table) for table in self.tables]
        if max(self.parents) < 0:
            return TreeState.product(sites, [root[0] for root in roots])
        told = _told(tree, _first_leaves(tree))
        cores = [_core(tree, k, roots, told, sites.dims) for k in range(len(tree.nodes))]
        return TreeState.canonical(sites, cores)


def cut(state: TreeState, max_bond: int) -> TreeState:
    """The state with every bond cut to its `max_bond` largest Schmidt values, normalised again.

    All bonds at once: the squared error is at most the sum of what each of them loses.
    """
    if max(state.bond_dims, default=1) <= max_bond:
        return state
    tree, cores = state.tree, list(state.cores)
    for k, reduced in enumerate(bond_states(state)):
        matrix = reduced[0]
        if len(matrix) <= max_bond:
            continue
        kept = np.linalg.eigh(matrix)[1][:, ::-1][:, :max_bond]
        parent = tree.parents[k]
        axis = 1 + tree.nodes[parent].index(tree.num_leaves + k)
        cores[k] = np.tensordot(kept.T, cores[k], 1)
        cores[parent] = np.moveaxis(np.tensordot(cores[parent], kept.conj(), (axis, 0)), -1, axis)
    return TreeState.canonical(state.sites, cores)


def _conditional(
    levels: NDArray,
    counts: NDArray,
    dims: Sequence[int],
    numbers: Sequence[NDArray | None],
    leaf: int,
    parent: int,
) -> NDArray:
    """P(leaf | parent), (levels of the parent, levels of the leaf); of the first leaf one row."""
    if parent < 0:
        table = np.bincount(levels[:, leaf], counts, dims[leaf])[None] + 0.5
        return np.asarray(table / table.sum())
    shape = (dims[parent], dims[leaf])
    flat = np.ravel_multi_index((levels[:, parent], levels[:, leaf]), shape)
    both = np.bincount(flat, counts, shape[0] * shape[1]).reshape(shape)
    return shrunk_conditional(both, numbers[parent], numbers[leaf])


def _first_leaves(tree: Tree) -> list[int]:
    """Of each node, -1 where it has none."""
    return [next((w for w in wires if tree.is_leaf(w)), -1) for wires in tree.nodes]


def _told(tree: Tree, first: Sequence[int]) -> list[int]:
    """The leaf of which the bond above each node tells: the first of the nearest node above that has one."""
    told = [-1] * len(tree.nodes)
    for k in reversed(range(tree.root)):
        parent = tree.parents[k]
        told[k] = first[parent] if first[parent] >= 0 else told[parent]
    return told


def _core(
    tree: Tree, node: int, roots: Sequence[NDArray], told: Sequence[int], dims: Sequence[int]
) -> NDArray:
    """sqrt P of the node's leaves given what the bond above tells; bonds below tell the first leaf's level.

    A node without a leaf hands on what it is told.
    """
    wires = tree.nodes[node]
    leaves = [w for w in wires if tree.is_leaf(w)]
    above = 1 if told[node] < 0 else dims[told[node]]
    source = leaves[0] if leaves else told[node]
    core = np.zeros((above, *(dims[w] if tree.is_leaf(w) else dims[source] for w in wires)))
    for level in range(dims[source]):
        fixed: list[int | slice] = [slice(None) if tree.is_leaf(w) and w != source else level for w in wires]
        if not leaves:
            core[(level, *fixed)] = 1.0
            continue
        part = roots[source][:, level]
        for leaf in leaves[1:]:
            part = np.multiply.outer(part, roots[leaf][level])
        core[(slice(None), *fixed)] = part
    return core
