"""Amplitude networks: trees of cores of any dimensions, contracted to the amplitudes of their leaves.

If a node carries an open leg for a label, the network gives one amplitude for each class (arXiv:1605.05775).
Without a label it gives the amplitude of a string of sites, whose square is a probability (arXiv:1709.01662).
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import jax
import numpy as np

from qtnml.arrays import Array, full_precision, namespace
from qtnml.contract.kernel import contract_plan, rows_of
from qtnml.contract.layout import Layout, Part, layout_of
from qtnml.contract.many import pays
from qtnml.contract.plan import Plan, plan_contraction
from qtnml.errors import InvalidInputError
from qtnml.shown import facts_html, some
from qtnml.structure import Tree

_FEW_STEPS = 24
_MOST_STEPS = 80


@dataclass(frozen=True, repr=False)
class AmplitudeNetwork:
    """A tree with the dimensions of its bonds; holds no parameters.

    A core has the axes (bond to the parent, children in order). With classes it has one more axis at the end.
    This axis has the dimension `num_classes` at `label_node` and 1 elsewhere. Cores of one shape are in one
    stack. Pure functions act on `stacks`, in NumPy or JAX.

    Attributes:
        tree: Connectivity.
        leaf_dims: Dimension of each leaf: 2 for an encoded feature or a bit, k for a category.
        bond_dims: Dimension of the bond above each node; 1 above the root.
        num_classes: Dimension of the label's leg; 0 without a label.
        label_node: Node that carries the label.

    >>> from qtnml.structure import chain
    >>> network = AmplitudeNetwork(chain(3), (2, 2, 2), (2, 2, 1))
    >>> network.core_shapes
    ((2, 2), (2, 2, 2), (1, 2, 2))
    """

    tree: Tree
    leaf_dims: tuple[int, ...]
    bond_dims: tuple[int, ...]
    num_classes: int = 0
    label_node: int = -1

    def __post_init__(self) -> None:
        if len(self.leaf_dims) != self.tree.num_leaves or len(self.bond_dims) != len(self.tree.nodes):
            raise InvalidInputError(
                f"a tree of {self.tree.num_leaves} leaves and {len(self.tree.nodes)} nodes needs as many "
                f"dimensions, got {len(self.leaf_dims)} and {len(self.bond_dims)}"
            )
        if self.bond_dims[-1] != 1:
            raise InvalidInputError(f"the wire above the root has dimension 1, got {self.bond_dims[-1]}")
        if self.num_classes and not 0 <= self.label_node < len(self.tree.nodes):
            raise InvalidInputError(
                f"the label is at one of {len(self.tree.nodes)} nodes, got label_node={self.label_node}"
            )

    def __repr__(self) -> str:
        label = f", {self.num_classes} classes at node {self.label_node}" if self.num_classes else ""
        return (
            f"AmplitudeNetwork({self.tree.num_leaves} leaves, {len(self.tree.nodes)} nodes, bonds up to "
            f"{max(self.bond_dims)}{label})"
        )

    def _repr_html_(self) -> str:
        facts = {
            "leaves": self.tree.num_leaves,
            "leaf dimensions": some(self.leaf_dims),
            "bond dimensions": some(self.bond_dims[:-1]),
            "classes": self.num_classes or "none",
        }
        return facts_html("AmplitudeNetwork", facts)

    @property
    def is_factorised(self) -> bool:
        """Whether cores are sums of products: see `FactorisedNetwork`."""
        return False

    @cached_property
    def core_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each node's core."""
        leaves = self.tree.num_leaves
        return tuple(
            (
                self.bond_dims[k],
                *(self.leaf_dims[w] if w < leaves else self.bond_dims[w - leaves] for w in wires),
                *((self.num_classes if k == self.label_node else 1,) if self.num_classes else ()),
            )
            for k, wires in enumerate(self.tree.nodes)
        )

    @cached_property
    def stacking(self) -> tuple[tuple[int, ...], ...]:
        """Nodes in each stack, in order."""
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for k, shape in enumerate(self.core_shapes):
            by_shape.setdefault(shape, []).append(k)
        return tuple(map(tuple, by_shape.values()))

    def stacks(self, cores: Any) -> tuple[Array, ...]:
        """Stacks, one array (nodes, axes of a core) for each shape, from one core for each node."""
        xp = namespace(cores[0])
        return tuple(xp.stack([cores[k] for k in nodes]) for nodes in self.stacking)

    def cores(self, stacks: tuple[Array, ...]) -> tuple[Array, ...]:
        """One core for each node; the inverse of `stacks`."""
        found: dict[int, Array] = {}
        for nodes, stack in zip(self.stacking, stacks, strict=True):
            found |= dict(zip(nodes, stack, strict=True))
        return tuple(found[k] for k in range(len(self.tree.nodes)))

    @cached_property
    def useful_bonds(self) -> tuple[int, ...]:
        """Dimension of the bond above each node, limited to the dimension of the leaves below it."""
        leaves, below = self.tree.num_leaves, list[int]()
        for wires, bond in zip(self.tree.nodes, self.bond_dims, strict=True):
            most = math.prod(self.leaf_dims[w] if w < leaves else below[w - leaves] for w in wires)
            below.append(min(bond, most))
        return tuple(below)

    @cached_property
    def num_steps(self) -> int:
        """Number of steps of the contraction, which determine the compilation time."""
        return len(_prepared(self).plan.steps)

    @cached_property
    def numbers_per_sample(self) -> int:
        """Count of numbers in the contraction of one sample."""
        return sum(math.prod(shape) // max(shape) for shape in self.core_shapes)

    @cached_property
    def widest(self) -> int:
        """Count of numbers in the largest step of one sample."""
        return max(math.prod(shape) // max(shape) for shape in self.core_shapes)

    @full_precision
    def amplitudes(self, stacks: tuple[Array, ...], leaves: Array) -> tuple[Array, Array]:
        """Amplitudes of samples, with their scale as a separate logarithm.

        Args:
            stacks: See `stacks`.
            leaves: Vector of every leaf, (leaves, largest dimension, batch). Entries beyond a leaf's own
                dimension are ignored.

        Returns:
            Amplitudes (classes or 1, batch), and the natural logarithms (batch,) of the factors taken out of
            them. Derivatives of amplitudes treat these factors as constants. This is correct for ratios, and
            for ln |amplitude| + factor.
        """
        if all(isinstance(array, np.ndarray) for array in (*stacks, leaves)):
            return _contracted(self, stacks, leaves)
        return _compiled(self, stacks, leaves)  # type: ignore[no-any-return]


def one_hot(X: Array, dim: int, dtype: Any) -> Array:
    """Leaf vectors (leaves, dim, samples) of levels (samples, leaves)."""
    levels = namespace(X).arange(dim)
    return (X.T[:, None] == levels[None, :, None]).astype(dtype)  # type: ignore[no-any-return]


def compilable(
    network: AmplitudeNetwork, stacks: tuple[Array, ...]
) -> tuple[AmplitudeNetwork, tuple[Array, ...]]:
    """The same amplitudes with bonds padded by zeros, where that makes the contraction a few steps.

    Bonds that a search has found differ from one to the next, so that no two nodes could share a step.
    """
    if network.num_steps <= _FEW_STEPS or network.is_factorised:
        return network, stacks
    largest = max(network.bond_dims)
    rounded = [min(largest, 1 << (bond - 1).bit_length()) for bond in network.bond_dims]
    natural = [min(largest, most) for most in _natural_bonds(network)]
    best = network
    for bonds in (rounded, natural):
        bonds[-1] = 1
        padded = replace(network, bond_dims=tuple(bonds))
        if 2 * padded.num_steps < best.num_steps:
            best = padded
    if best is network:
        return network, stacks
    cores = [
        np.pad(core, [(0, wide - dim) for dim, wide in zip(core.shape, shape, strict=True)])
        for core, shape in zip(network.cores(stacks), best.core_shapes, strict=True)
    ]
    return best, best.stacks(cores)


def _natural_bonds(network: AmplitudeNetwork) -> list[int]:
    """What the leaves on the smaller side of each bond can fill, as powers of two, and at least the bond."""
    tree, logs = network.tree, [(dim - 1).bit_length() for dim in network.leaf_dims]
    total, inside, bonds = sum(logs), list[int](), list[int]()
    for wires, bond in zip(tree.nodes, network.bond_dims, strict=True):
        inside.append(sum(logs[w] if w < tree.num_leaves else inside[w - tree.num_leaves] for w in wires))
        bonds.append(max(bond, 1 << min(inside[-1], total - inside[-1], 30)))
    return bonds


def _contracted(network: AmplitudeNetwork, stacks: tuple[Array, ...], leaves: Array) -> tuple[Array, Array]:
    prepared = _prepared(network)
    maps = tuple(
        _map_of([_core(part, stacks, at) for part, at in zip(parts, places, strict=True)])
        for parts, places in zip(prepared.parts, prepared.places, strict=True)
    )
    pools = [rows_of(leaves, pool)[:, : network.leaf_dims[pool[0]]] for pool in prepared.plan.leaf_pools]
    return contract_plan(prepared.plan, maps, pools, rescaling="largest")


# Outside of a transformation JAX would compile every operation on its own: one compilation is quicker.
_compiled = jax.jit(_contracted, static_argnums=0, inline=True)


def as_many_take_it(
    network: AmplitudeNetwork, stacks: tuple[Array, ...], samples: int
) -> tuple[AmplitudeNetwork, tuple[Array, ...], int]:
    """The network and stacks for `evaluate_many` of so many samples, and the numbers of one of them."""
    numbers = network.numbers_per_sample
    if not pays(samples, numbers):
        return network, stacks, numbers
    padded, wider = compilable(network, stacks)
    if padded.num_steps <= _MOST_STEPS:
        return padded, wider, numbers
    return network, stacks, 0  # a compilation would take minutes, whatever the number of samples


@dataclass(frozen=True)
class _Prepared:
    """Of each group of the plan: its parts, and of each of them the stack and rows of its nodes."""

    plan: Plan
    parts: tuple[tuple[Part, ...], ...]
    places: tuple[tuple[tuple[int, tuple[int, ...]], ...], ...]


@lru_cache(maxsize=256)
def _prepared(network: AmplitudeNetwork) -> _Prepared:
    tree, shapes = network.tree, network.core_shapes
    label = network.label_node if network.num_classes else None
    layout = layout_of(tree, network.leaf_dims, label)
    kinds = [
        tuple((shapes[part.node], part.outputs, part.inputs) for part in parts) for parts in layout.parts
    ]
    dims = _wire_dims(layout, network)
    described = [
        (kind, dims[tree.num_leaves + k], tuple((w < tree.num_leaves, dims[w]) for w in layout.tree.nodes[k]))
        for k, kind in enumerate(kinds)
    ]
    plan = plan_contraction(
        layout.tree, described, network.leaf_dims, lane_kind=lambda kind: (kind[1], kind[2])
    )
    place = {k: (s, row) for s, nodes in enumerate(network.stacking) for row, k in enumerate(nodes)}
    parts, places = [], []
    for nodes in plan.groups:
        parts.append(layout.parts[nodes[0]])
        found = []
        for which in range(len(parts[-1])):
            at = [place[layout.parts[k][which].node] for k in nodes]
            found.append((at[0][0], tuple(row for _, row in at)))
        places.append(tuple(found))
    return _Prepared(plan, tuple(parts), tuple(places))


def _wire_dims(layout: Layout, network: AmplitudeNetwork) -> list[int]:
    """Dimension of every wire of a layout."""
    outputs = (parts[0] for parts in layout.parts)
    return [
        *network.leaf_dims,
        *(math.prod(network.core_shapes[part.node][axis] for axis in part.outputs) for part in outputs),
    ]


def _core(part: Part, stacks: tuple[Array, ...], place: tuple[int, tuple[int, ...]]) -> Array:
    """Cores of a part as (nodes, first input, other inputs, outputs)."""
    stack, rows = place
    cores = rows_of(stacks[stack], rows)
    shape = cores.shape[1:]
    axes = (0, *(1 + axis for axis in (*part.inputs, *part.outputs)))
    out = math.prod(shape[axis] for axis in part.outputs)
    first = shape[part.inputs[0]] if part.inputs else 1
    return cores.transpose(axes).reshape(len(rows), first, -1, out)


def _map_of(parts: list[Array]) -> Array:
    """Maps (nodes, outputs, inputs) of one part, or of an upper and a lower one.

    Inputs come first until the end: a chain wants them so, and nothing is transposed twice.
    """
    n, bond, above, out = parts[0].shape
    if len(parts) == 1:
        return parts[0].reshape(n, -1, out).swapaxes(1, 2)
    lower = parts[1].reshape(n, -1, bond)
    joined = namespace(lower).matmul(lower, parts[0].reshape(n, bond, above * out))
    return joined.reshape(n, -1, out).swapaxes(1, 2)  # type: ignore[no-any-return]
