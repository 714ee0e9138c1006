"""Canonical form: cores with orthonormal rows, so that the norm of a network is that of its root."""

from collections.abc import Sequence

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.structure import Tree


def canonical_cores(tree: Tree, cores: Sequence[NDArray]) -> tuple[NDArray, ...]:
    """The same amplitudes up to a positive factor, of norm 1, from any cores.

    As matrices (wire to the parent, the rest) all but the root's have orthonormal rows; bonds wider than the
    rest of their core shrink to it. A label's axis may stand behind the others at the root.

    Raises:
        InvalidInputError: The cores contract to zero or to no finite number.
    """
    made: list[NDArray] = []
    carried: list[NDArray] = []
    for k, given in enumerate(cores):
        core = np.asarray(given, dtype=np.complex128 if np.iscomplexobj(given) else np.float64)
        for axis, wire in enumerate(tree.nodes[k], 1):
            if wire >= tree.num_leaves:
                core = np.moveaxis(np.tensordot(core, carried[wire - tree.num_leaves], (axis, 0)), -1, axis)
        rows, rest = (core, core) if k == tree.root else orthonormal_rows(core)
        norm = float(np.linalg.norm(rest))
        if not (np.isfinite(norm) and norm > 0):
            raise InvalidInputError("the cores contract to zero or to no finite number; no state has norm 0")
        made.append(rows / norm if k == tree.root else rows)
        carried.append(rest / norm)
    return tuple(made)


def orthonormal_rows(core: NDArray) -> tuple[NDArray, NDArray]:
    """(rest, core') with core = rest @ core', core' of orthonormal rows; returned (core', rest)."""
    q, r = np.linalg.qr(core.reshape(core.shape[0], -1).T)
    return q.T.reshape(-1, *core.shape[1:]), r.T
