"""Amplitude networks of CP rank: every core is a sum of products, one factor for each child.

For each term r, the output of a node is the product over its children of a linear form of their vectors. The
factor that would join terms to the upper bond is part of the next node's linear forms (arXiv:2305.19440,
where the rank is the bond dimension). A node of k children costs k D**2 instead of D**(k + 1). This allows
wide bonds, and more than two children, as in a quad-tree of pixels.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import jax
import numpy as np

from qtnml.arrays import Array, NDArray, common_namespace, full_precision
from qtnml.contract.amplitude_network import AmplitudeNetwork
from qtnml.contract.kernel import rows_of
from qtnml.errors import InvalidInputError

_MOST_DENSE = 2**26  # numbers of a core that is written out
_TINY = 1e-30
_SPREAD = 0.6  # of first factors, times the scale


@dataclass(frozen=True, repr=False)
class FactorisedNetwork(AmplitudeNetwork):
    """An `AmplitudeNetwork` with factorised cores and a label at the root.

    A core holds the factors of its children side by side, (terms, dimensions of the children's bonds, 1). At
    the root the factors of the label follow them. The last axis distinguishes stacks of cores from stacks of
    unitaries. The number of terms of a node is the dimension of the bond above it.

    Attributes:
        root_terms: Number of terms of the root; 0 takes the dimension of the widest bond.

    >>> from qtnml.structure import balanced
    >>> FactorisedNetwork(balanced(4), (2, 2, 2, 2), (8, 8, 1), 3, 2).core_shapes
    ((8, 4, 1), (8, 4, 1), (8, 19, 1))
    """

    root_terms: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_classes < 2 or self.label_node != self.tree.root:
            raise InvalidInputError("a factorised network has a label, at the root of its tree")

    @property
    def is_factorised(self) -> bool:
        """Whether cores are sums of products: always True here."""
        return True

    @cached_property
    def terms(self) -> tuple[int, ...]:
        """Number of terms of each node."""
        return (*self.bond_dims[:-1], self.root_terms or max(self.bond_dims))

    def _child_dims(self, node: int) -> list[int]:
        leaves = self.tree.num_leaves
        return [
            self.leaf_dims[w] if w < leaves else self.bond_dims[w - leaves] for w in self.tree.nodes[node]
        ]

    @cached_property
    def core_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each node's core."""
        return tuple(
            (terms, sum(self._child_dims(k)) + (self.num_classes if k == self.label_node else 0), 1)
            for k, terms in enumerate(self.terms)
        )

    @cached_property
    def useful_bonds(self) -> tuple[int, ...]:
        """Dimension of the bond above each node."""
        return self.bond_dims

    @cached_property
    def num_steps(self) -> int:
        """Number of steps of the contraction, which determine the compilation time."""
        return sum(len(group.children) for group in _groups(self))

    @cached_property
    def numbers_per_sample(self) -> int:
        """Count of numbers in the contraction of one sample."""
        return sum(terms * len(wires) for terms, wires in zip(self.terms, self.tree.nodes, strict=True))

    @cached_property
    def widest(self) -> int:
        """Count of numbers in the largest step of one sample."""
        return max(
            self.terms[group.nodes[0]] * sum(len(wires) for _, wires, _ in group.children)
            for group in _groups(self)
        )

    @full_precision
    def amplitudes(self, stacks: tuple[Array, ...], leaves: Array) -> tuple[Array, Array]:
        """Amplitudes of samples, see `AmplitudeNetwork.amplitudes`."""
        xp = common_namespace(leaves, *stacks)
        place = {k: (s, row) for s, nodes in enumerate(self.stacking) for row, k in enumerate(nodes)}
        sent: list[Array] = [leaves]  # (wires, dimension, batch) of the leaves, then of each group
        logs = xp.zeros(leaves.shape[-1], dtype=leaves.real.dtype)
        for group in _groups(self):
            stack, rows = place[group.nodes[0]][0], [place[k][1] for k in group.nodes]
            cores, start = rows_of(stacks[stack], tuple(rows))[..., 0], 0
            forms = []
            for source, wires, dim in group.children:
                count = len(wires) // len(group.nodes)
                given = rows_of(sent[source], wires)[:, :dim]
                given = given.reshape(len(group.nodes), count, dim, -1)
                factors = cores[:, :, start : start + count * dim]
                factors = factors.reshape(len(group.nodes), -1, count, dim).swapaxes(1, 2)
                forms.append(xp.matmul(factors, given))  # (nodes, children, terms, batch)
                start += count * dim
            product, own = _product(forms[0] if len(forms) == 1 else xp.concat(forms, axis=1))
            logs = logs + own
            sent.append(product)
            if group.nodes[-1] == self.tree.root:
                label = cores[0, :, start:].T  # (classes, terms)
                return label @ sent[-1][0], logs
        raise AssertionError("a tree ends at its root")

    def begun(self, node: int, rng: np.random.Generator, *, scale: float) -> NDArray:
        """Initial core of a node: it passes on the mean of each child's vector, plus random linear forms.

        So every term at the root depends on every leaf along many paths, and dropout at one bond does not
        remove the information.
        """
        terms, leaves, parts = self.terms[node], self.tree.num_leaves, []
        for wire, dim in zip(self.tree.nodes[node], self._child_dims(node), strict=True):
            noise = _SPREAD * scale * rng.normal(size=(terms, dim))
            parts.append(1 + noise if wire < leaves else 1 / dim + noise / np.sqrt(dim))
        if node == self.label_node:
            noise = scale * rng.normal(size=(terms, self.num_classes))
            parts.append((1 + noise) / np.sqrt(terms))
        return np.concatenate(parts, axis=1)[..., None]

    def first_columns(self, node: int) -> int:
        """Number of columns of a core that belong to its first factor."""
        return self._child_dims(node)[0]

    def dense(self, stacks: tuple[Array, ...]) -> tuple[AmplitudeNetwork, tuple[NDArray, ...]]:
        """A network with dense cores and the same amplitudes.

        Raises:
            InvalidInputError: A core would have more than 2**26 numbers.
        """
        network = AmplitudeNetwork(
            self.tree, self.leaf_dims, self.bond_dims, self.num_classes, self.label_node
        )
        cores = []
        for k, (core, shape) in enumerate(zip(self.cores(stacks), network.core_shapes, strict=True)):
            if math.prod(shape) > _MOST_DENSE:
                raise InvalidInputError(
                    f"node {k} written out has {math.prod(shape):,} numbers; lower max_bond, or take a tree "
                    "of fewer children"
                )
            dims, start = self._child_dims(k), 0
            found = np.ones((self.terms[k], 1))
            for dim in dims:
                factor = np.asarray(core, np.float64)[:, start : start + dim, 0]
                found = (found[:, :, None] * factor[:, None]).reshape(len(found), -1)
                start += dim
            if k == self.label_node:
                label = np.asarray(core, np.float64)[:, start:, 0]
                found = (label.T @ found).T  # (children, classes)
                cores.append(found.reshape(1, *dims, self.num_classes))
            else:
                cores.append(found.reshape(self.terms[k], *dims, 1))
        return network, network.stacks(cores)  # type: ignore[return-value]


@dataclass(frozen=True)
class _Group:
    """Nodes of one shape that are contracted together.

    Attributes:
        nodes: Their numbers.
        children: For each run of places the array their wires are in (0 the leaves, then the groups in
            order), their rows there, node by node, and their dimension.
    """

    nodes: tuple[int, ...]
    children: tuple[tuple[int, tuple[int, ...], int], ...]


@lru_cache(maxsize=64)
def _groups(network: FactorisedNetwork) -> tuple[_Group, ...]:
    """From the leaves to the root: nodes whose children are in the same arrays, as soon as these are made."""
    tree, leaves = network.tree, network.tree.num_leaves
    at: dict[int, tuple[int, int]] = {leaf: (0, leaf) for leaf in range(leaves)}
    left, found = list(range(len(tree.nodes))), list[_Group]()
    while left:
        ready: dict[Any, list[int]] = {}
        for k in left:
            wires = tree.nodes[k]
            if all(w in at for w in wires):
                key = (network.core_shapes[k], k == tree.root, tuple(at[w][0] for w in wires))
                ready.setdefault((*key, tuple(network._child_dims(k))), []).append(k)
        for (_, _, sources, dims), nodes in ready.items():
            children, place = [], 0
            for (source, dim), run in itertools.groupby(zip(sources, dims, strict=True)):
                end = place + len(list(run))
                rows = [at[wire][1] for k in nodes for wire in tree.nodes[k][place:end]]
                children.append((source, tuple(rows), dim))
                place = end
            found.append(_Group(tuple(nodes), tuple(children)))
        first = len(found) - len(ready)
        for number, group in enumerate(found[first:], first + 1):
            for row, k in enumerate(group.nodes):
                at[leaves + k] = (number, row)
        left = [k for k in left if leaves + k not in at]
    return tuple(found)


def _product(forms: Array) -> tuple[Array, Array]:
    """Products over the children of (nodes, children, terms, batch), and logarithms of factors taken out.

    By halves, rescaled each time: hundreds of factors neither over- nor underflow.
    """
    xp = common_namespace(forms)
    logs = xp.zeros(forms.shape[-1], dtype=forms.real.dtype)
    while True:
        size = _constant(xp.abs(forms).max(axis=2, keepdims=True) + _TINY)
        forms, logs = forms / size, logs + xp.log(size).sum(axis=(0, 1, 2))
        count = forms.shape[1]
        if count == 1:
            return forms[:, 0], logs
        half = forms[:, : count - count % 2 : 2] * forms[:, 1::2]
        forms = half if count % 2 == 0 else xp.concat([half, forms[:, -1:]], axis=1)


def _constant(array: Array) -> Array:
    """As far as derivatives are concerned."""
    if isinstance(array, np.ndarray):
        return array
    return jax.lax.stop_gradient(array)
