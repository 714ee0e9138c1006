"""A normalised pure state on a tree of sites, in canonical form."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from qtnml.arrays import NDArray
from qtnml.contract.canonical import canonical_cores
from qtnml.errors import InvalidInputError
from qtnml.shown import facts_html, some
from qtnml.structure.sites import Sites
from qtnml.structure.tree import Tree

_ISOMETRY_TOLERANCE = 1e-8
_MOST_NUMBERS = 2**28  # 2 GB


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False, repr=False)
class TreeState:
    """Amplitudes psi(x) of all strings of sites; their squares are probabilities.

    Attributes:
        sites: Tree and levels of the sites.
        cores: Core of each node, shape (bond to its parent, dimensions of its other bonds in order), real or
            complex double precision. Cores are canonical: as matrices (parent bond, the rest) they have
            orthonormal rows, including the root's single row. So the state has norm 1, and a subtree that is
            summed over contracts to the identity.
    """

    sites: Sites = field(metadata={"static": True})
    cores: tuple[NDArray, ...]

    @classmethod
    def canonical(cls, sites: Sites, cores: Sequence[NDArray]) -> "TreeState":
        """The normalised state of any cores; rows are made orthonormal from the leaves to the root."""
        return cls(sites, canonical_cores(sites.tree, cores))

    @classmethod
    def product(cls, sites: Sites, vectors: Sequence[NDArray]) -> "TreeState":
        """A product state from one amplitude vector for each site; all bonds are 1."""
        tree = sites.tree
        cores = []
        for wires in tree.nodes:
            core: NDArray = np.ones((1,))
            for wire in wires:
                part = vectors[wire] if wire < tree.num_leaves else np.ones(1)
                core = np.multiply.outer(core, part)
            cores.append(core)
        return cls.canonical(sites, cores)

    @classmethod
    def near_product(
        cls,
        sites: Sites,
        vectors: Sequence[NDArray],
        bond_dim: int,
        rng: np.random.Generator,
        *,
        spread: float = 0.1,
        is_complex: bool = False,
    ) -> "TreeState":
        """A product state with Gaussian noise in larger bonds: a good start of training.

        Args:
            sites: Tree and levels.
            vectors: Amplitudes of each site.
            bond_dim: Dimension of all bonds; no bond is larger than its smaller side needs.
            rng: Draws the noise.
            spread: Size of the noise: norm of its rows in a core, relative to 1 for the product state.
            is_complex: Whether the noise is complex.
        """
        product = cls.product(sites, vectors)
        return product.with_noise(rng, bond_dim=bond_dim, spread=spread, is_complex=is_complex)

    def with_noise(
        self, rng: np.random.Generator, *, bond_dim: int = 1, spread: float = 0.1, is_complex: bool = False
    ) -> "TreeState":
        """The state with Gaussian noise, in bonds of at least `bond_dim`.

        Args:
            rng: Draws the noise.
            bond_dim: Smaller bonds grow to this dimension, but not further than their smaller side needs.
            spread: Size of the noise: norm of its rows in a core, relative to 1 for the state.
            is_complex: Whether the noise is complex.
        """
        noisy = self.random(self.sites, bond_dim, rng, is_complex=is_complex, least=self.bond_dims)
        cores = []
        for core, own in zip(noisy.cores, self.cores, strict=True):
            moved = (spread * core).astype(np.result_type(core, own))  # rows of norm 1
            moved[tuple(map(slice, own.shape))] += own
            cores.append(moved)
        return TreeState.canonical(self.sites, cores)

    @classmethod
    def random(
        cls,
        sites: Sites,
        bond_dim: int,
        rng: np.random.Generator,
        *,
        is_complex: bool = False,
        least: Sequence[int] = (),
    ) -> "TreeState":
        """A random state: Gaussian cores made canonical.

        No bond is larger than its smaller side needs, or than `least` requires for the bond above each node
        except the root.
        """
        tree = sites.tree
        bonds = [max(1, min(bond_dim, most)) for most in sites.largest_bonds]
        bonds[tree.root] = 1
        bonds[: len(least)] = np.maximum(bonds[: len(least)], least).tolist()
        legs = [
            [sites.dims[w] if w < tree.num_leaves else bonds[w - tree.num_leaves] for w in wires]
            for wires in tree.nodes
        ]
        numbers = sum(bonds[k] * math.prod(dims) for k, dims in enumerate(legs))
        if numbers > _MOST_NUMBERS:
            raise InvalidInputError(
                f"a state of bond dimension {bond_dim} on this tree has {numbers:.1e} numbers, more than "
                f"{_MOST_NUMBERS:.0e}; take a smaller bond"
            )
        cores = []
        for k, dims in enumerate(legs):
            shape = (bonds[k], *dims)
            core = rng.normal(size=shape)
            cores.append(core + 1j * rng.normal(size=shape) if is_complex else core)
        return cls.canonical(sites, cores)

    @property
    def tree(self) -> Tree:
        """Connectivity without dimensions."""
        return self.sites.tree

    @property
    def is_complex(self) -> bool:
        """Whether amplitudes are complex."""
        return any(np.iscomplexobj(core) for core in self.cores)

    @property
    def bond_dims(self) -> tuple[int, ...]:
        """Dimension of the bond above each node except the root."""
        return tuple(core.shape[0] for core in self.cores[:-1])

    @property
    def num_parameters(self) -> int:
        """Number of entries in the cores."""
        return sum(core.size for core in self.cores)

    def __repr__(self) -> str:
        kind = "complex" if self.is_complex else "real"
        return (
            f"TreeState({len(self.sites.dims)} sites of {some(sorted(set(self.sites.dims)))} levels, "
            f"{len(self.cores)} cores, bonds up to {max(self.bond_dims, default=1)}, {kind})"
        )

    def _repr_html_(self) -> str:
        facts = {
            "sites": len(self.sites.dims),
            "levels": some(self.sites.dims),
            "bond dimensions": some(self.bond_dims),
            "amplitudes": "complex" if self.is_complex else "real",
            "parameters": f"{self.num_parameters:,}",
        }
        return facts_html("TreeState", facts)

    def check(self) -> None:
        """Refuse cores that do not fit the tree or are not canonical."""
        tree = self.tree
        for k, (core, wires) in enumerate(zip(self.cores, tree.nodes, strict=True)):
            below = (w - tree.num_leaves for w in wires)
            legs = [
                self.cores[b].shape[0] if b >= 0 else self.sites.dims[w]
                for b, w in zip(below, wires, strict=True)
            ]
            if core.shape[1:] != tuple(legs) or (k == tree.root and core.shape[0] != 1):
                raise InvalidInputError(f"core {k} has shape {core.shape}, its wires have dimensions {legs}")
            rows = core.reshape(core.shape[0], -1)
            error = np.abs(rows @ rows.conj().T - np.eye(len(rows))).max()
            if not error < _ISOMETRY_TOLERANCE:
                raise InvalidInputError(
                    f"core {k} is off canonical form by {error:.1e}; use TreeState.canonical"
                )


def levels_or_missing(sites: Sites, X: Any) -> NDArray:
    """Levels as integers (samples, sites), checked; -1 where a value is missing (NaN or -1)."""
    try:
        X = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"expected strings of levels: {error}") from error
    if X.ndim != 2 or X.shape[1] != len(sites.dims):
        raise InvalidInputError(f"expected strings of {len(sites.dims)} sites, got shape {X.shape}")
    levels = np.where(np.isnan(X), -1, X)
    if (levels != np.floor(levels)).any() or (levels < -1).any() or (levels >= np.array(sites.dims)).any():
        raise InvalidInputError(
            "levels are integers from 0 to each site's number of levels less 1; NaN or -1 where missing"
        )
    return levels.astype(np.int64)


def site_index(sites: Sites, X: Any) -> NDArray:
    """Levels as integers (samples, sites), checked."""
    X = np.asarray(X)
    if X.ndim != 2 or X.shape[1] != len(sites.dims):
        raise InvalidInputError(f"expected strings of {len(sites.dims)} sites, got shape {X.shape}")
    levels = X.astype(np.int64)
    if (levels != X).any() or (levels < 0).any() or (levels >= np.array(sites.dims)).any():
        raise InvalidInputError("levels are integers from 0 to each site's number of levels less 1")
    return np.asarray(levels)
