"""Rooted tree over sites: connectivity and levels (categories) of each site. Holds no parameters.

It is the generative counterpart of `Topology`. Bonds get their dimensions from data, and become bundles of
qubits only when a circuit is made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from qtnml.errors import InvalidInputError
from qtnml.structure.builders import balanced, chain
from qtnml.structure.tree import Tree

MOST_LEVELS = 256


@dataclass(frozen=True)
class Sites:
    """A `Tree` whose leaves are sites of given dimensions.

    Attributes:
        dims: Number of levels of each site (2 for a bit).
        tree: Tree whose leaves are the sites.

    >>> Sites((2, 2, 3), chain(3)).largest_bonds
    (3, 2, 1)
    """

    dims: tuple[int, ...]
    tree: Tree

    def __post_init__(self) -> None:
        if unusable := [dim for dim in self.dims if not 1 <= dim <= MOST_LEVELS]:
            raise InvalidInputError(f"a site has 1 to {MOST_LEVELS} levels, got {unusable[0]}")
        if len(self.dims) != self.tree.num_leaves:
            raise InvalidInputError(
                f"a tree of {self.tree.num_leaves} leaves needs as many dimensions, got {len(self.dims)}"
            )

    @cached_property
    def largest_bonds(self) -> tuple[int, ...]:
        """Largest useful bond dimension above each node: the dimension of the smaller side."""
        logs = np.log2(self.dims)
        total, inside = logs.sum(), list[float]()
        for wires in self.tree.nodes:
            inside.append(
                sum(
                    float(logs[w]) if w < self.tree.num_leaves else inside[w - self.tree.num_leaves]
                    for w in wires
                )
            )
        return tuple(round(2 ** min(part, total - part, 30)) for part in inside)

    def to_dict(self) -> dict[str, Any]:
        """The sites as plain JSON types; `from_dict` is the inverse."""
        return {"site_dims": list(self.dims), "nodes": [list(wires) for wires in self.tree.nodes]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Sites":
        """Rebuild (and validate) sites written by `to_dict`."""
        try:
            dims = tuple(data["site_dims"])
            tree = Tree.from_dict({"num_leaves": len(dims), "nodes": data["nodes"]})
        except (KeyError, TypeError) as error:
            raise InvalidInputError(f"a tree of sites has site_dims and nodes: {error!r}") from error
        if not all(isinstance(dim, int) for dim in dims):
            raise InvalidInputError("a tree of sites is made of integers")
        return cls(dims, tree)


def site_chain(site_dims: Sequence[int], order: Sequence[int] | None = None) -> Sites:
    """Matrix product state: one node for each site, with the root at the first site.

    Args:
        site_dims: Number of levels of each site.
        order: Sites from the root to the other end; by default 0, 1, 2, ...
    """
    return Sites(tuple(site_dims), chain(len(site_dims), order))


def balanced_site_tree(
    site_dims: Sequence[int], order: Sequence[int] | None = None, *, arity: int = 2
) -> Sites:
    """Balanced tree: neighbours in `order` are joined, level by level."""
    return Sites(tuple(site_dims), balanced(len(site_dims), order, arity=arity))
