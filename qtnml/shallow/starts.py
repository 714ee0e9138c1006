"""Starts of the search: near the identity, or at a circuit that is found without any search.

"bond-2": the chain of bond 2 that is closest to a state is one staircase; the next staircase comes from what
the circuit so far leaves of the state (arXiv:1908.07958). "product": the closest product of rotated qubits.
"tree": a tree of bond 2, a circuit of logarithmic depth (arXiv:2605.06579).
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from scipy.linalg import null_space

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.shallow.blocks import Blocks, Point
from qtnml.shallow.layouts import entering, staircase, tree
from qtnml.states.chains import compressed
from qtnml.states.evolution import MovingChain
from qtnml.states.renormalise import isometries

Start = Literal["identity", "bond-2", "product", "tree"]
_RESIDUAL_BOND = 64  # of what a circuit leaves of a state


def check_start(start: Any, layout: str, kinds: Sequence[str]) -> None:
    """Refuse starts that are unknown, or unlike the layout or the blocks.

    Raises:
        InvalidInputError: Which, and what it goes with.
    """
    if start not in get_args(Start):
        raise InvalidInputError(f"start must be one of {', '.join(get_args(Start))}, got {start!r}")
    wanted = {"bond-2": "staircase", "tree": "tree"}.get(start)
    if wanted is not None and layout != wanted:
        raise InvalidInputError(f"start={start!r} is of the layout {wanted!r}, got {layout!r}")
    if start != "identity" and (rotated := [kind for kind in kinds if kind not in ("su4", "so4")]):
        raise InvalidInputError(f"start={start!r} takes whole blocks, 'su4' or 'so4', got {rotated[0]!r}")


def first_layer(start: Start, blocks: Blocks, tensors: Sequence[NDArray]) -> Point:
    """Numbers of a first layer.

    Args:
        start: Not "identity".
        blocks: Whole ones, of one layer.
        tensors: Target, (left bond, 2, right bond) of each place.
    """
    make = {"bond-2": _of_bond_two, "product": _of_product, "tree": _of_tree}[start]
    gates = make(blocks, tensors)
    if blocks.is_real and np.iscomplexobj(gates):
        raise InvalidInputError(
            f"start={start!r} of a complex state has complex gates; take blocks='su4' instead of 'so4'"
        )
    kind = np.float64 if blocks.is_real else np.complex128
    return blocks.identity()._replace(whole=gates.astype(kind))


def next_layer(blocks: Blocks, point: Point, tensors: Sequence[NDArray]) -> Point:
    """A staircase of what a circuit leaves of a state, to stand before it.

    Args:
        blocks: Of one layer more.
        point: Numbers of the circuit so far.
        tensors: Target.
    """
    moving = MovingChain(tensors, _RESIDUAL_BOND)
    for pair, gate in zip(blocks.pairs[::-1], np.asarray(point.whole)[::-1], strict=False):
        moving.apply(gate.conj().T, *pair)
    one = Blocks(blocks.num_places, staircase(blocks.num_places, 1), blocks.kind)
    return first_layer("bond-2", one, moving.tensors)


def _of_bond_two(_: Blocks, tensors: Sequence[NDArray]) -> NDArray:
    """Each gate takes in the bond at its first place, and |0>, and gives the level and the next bond."""
    found = compressed(tensors, 2)
    found[0] = found[0] / np.linalg.norm(found[0])
    found[-2:] = [np.tensordot(found[-2], found[-1], (2, 0))[..., 0]]
    return np.stack([_completed(tensor.reshape(len(tensor), -1)) for tensor in _padded(found)])


def _padded(tensors: list[NDArray]) -> list[NDArray]:
    """(left, 2, 2): a bond of 1 is the state |0> of a qubit."""
    return [np.pad(tensor, ((0, 0), (0, 0), (0, 2 - tensor.shape[2]))) for tensor in tensors]


def _completed(rows: NDArray) -> NDArray:
    """A unitary (4, 4) that takes |p, 0> to row p of an isometry (1 or 2, 4)."""
    rest = null_space(rows.conj()).T
    found = np.empty((4, 4), rows.dtype)
    used = [2 * p for p in range(len(rows))]
    found[:, used] = rows.T
    found[:, [k for k in range(4) if k not in used]] = rest.T
    return found


def _of_product(blocks: Blocks, tensors: Sequence[NDArray]) -> NDArray:
    """Rotations before each place's first block."""
    turns = []
    for tensor in compressed(tensors, 1):
        level = tensor.reshape(2) / np.linalg.norm(tensor)
        turns.append(np.stack([level, np.array([-level[1].conj(), level[0].conj()])], axis=1))
    found = []
    for pair, new in zip(blocks.pairs, entering(blocks.num_places, blocks.pairs), strict=True):
        one, two = (turns[place] if fresh else np.eye(2) for place, fresh in zip(pair, new, strict=True))
        found.append(np.kron(one, two))
    return np.stack(found)


def _of_tree(blocks: Blocks, tensors: Sequence[NDArray]) -> NDArray:
    """Each gate splits the bond at its first place in two, from the root to the leaves."""
    nodes = isometries(tensors, 2)
    gates = []
    for pair in tree(blocks.num_places, 1):
        core = nodes[pair]
        padded = np.pad(core, ((0, 0), *((0, 2 - dim) for dim in core.shape[1:])))
        gates.append(_completed(padded.reshape(len(core), 4)))
    return np.stack(gates)
