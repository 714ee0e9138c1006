"""A canonical state on a tree of sites as a tree of unitaries: a post-selected network run outward."""

import numpy as np

from qtnml.ansatz import TensorNetwork
from qtnml.ansatz.tensor_network import stacking
from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.errors import InvalidInputError
from qtnml.structure import Node, Topology
from qtnml.structure.tree import Tree

_MOST_QUBITS = 9  # of one node: half a million numbers


def circuit_tree(state: TreeState) -> TensorNetwork:
    """A state as a tree of unitaries, from the leaves to the root, every site a leaf.

    A post-selected network: W = <0|_let-go U is the conjugate of the (padded) core; the root counts where
    its one kept qubit is 0 as well. A node that keeps all its qubits is multiplied into the node above.
    """
    tree = state.tree
    widths = [max(1, _bits(dim)) for dim in state.sites.dims]
    wire_of: dict[int, tuple[tuple[int, ...], NDArray]] = {}
    nodes, unitaries = list[Node](), list[NDArray]()
    number: dict[int, int] = {}
    for k, (core, legs) in enumerate(zip(state.cores, tree.nodes, strict=True)):
        wires, tensor = _opened(tree, core, legs, wire_of, widths, number)
        size, is_root = sum(widths[wire] for wire in wires), k == tree.root
        width = 1 if is_root else max(1, _bits(core.shape[0]))
        if size > _MOST_QUBITS:
            raise InvalidInputError(
                f"a node of this state takes {size} qubits, more than {_MOST_QUBITS}; truncate its bonds "
                f"first (the largest is {max(state.bond_dims, default=1)})"
            )
        rows = tensor.reshape(core.shape[0], -1).conj()
        if width == size and not is_root:
            square = _completed(rows, 2**size, 1).conj()
            shape = (2**width, *(2 ** widths[wire] for wire in wires))
            wire_of[tree.num_leaves + k] = wires, square.reshape(shape)
            continue
        nodes.append(Node(wires, 0, width))
        unitaries.append(_completed(rows, 2**size, 2 ** (size - width)))
        number[tree.num_leaves + k] = len(widths)
        widths.append(width)
    topology = Topology(tuple(widths[: tree.num_leaves]), tuple(nodes))
    return TensorNetwork(
        topology, tuple(np.stack([unitaries[k] for k in members]) for _, members in stacking(topology))
    )


def _opened(
    tree: Tree,
    core: NDArray,
    legs: tuple[int, ...],
    merged: dict[int, tuple[tuple[int, ...], NDArray]],
    widths: list[int],
    number: dict[int, int],
) -> tuple[tuple[int, ...], NDArray]:
    """Wires of a node and its core over them, padded; nodes below that keep everything are multiplied in."""
    tensor, wires = core, list[int]()
    axis = 1
    for leg in legs:
        if leg in merged:
            inner, square = merged.pop(leg)
            used = square[: tensor.shape[axis]]
            tensor = np.tensordot(tensor, used, (axis, 0))
            tensor = np.moveaxis(
                tensor, range(tensor.ndim - len(inner), tensor.ndim), range(axis, axis + len(inner))
            )
            wires += inner
            axis += len(inner)
            continue
        wire = leg if leg < tree.num_leaves else number[leg]
        padding = [(0, 0)] * tensor.ndim
        padding[axis] = (0, 2 ** widths[wire] - tensor.shape[axis])
        tensor = np.pad(tensor, padding)
        wires.append(wire)
        axis += 1
    return tuple(wires), tensor


def _bits(dim: int) -> int:
    return (dim - 1).bit_length()


def _completed(rows: NDArray, size: int, stride: int) -> NDArray:
    """A unitary (size, size) with these orthonormal rows at 0, stride, 2 stride, ..., real if they are."""
    count = len(rows)
    basis, _ = np.linalg.qr(np.hstack([rows.conj().T, np.eye(size, dtype=rows.dtype)]))
    others = basis[:, count:size].conj().T
    unitary = np.empty((size, size), dtype=rows.dtype)
    places = np.arange(0, size, stride)[:count]
    unitary[places] = rows
    unitary[np.setdiff1d(np.arange(size), places)] = others
    return unitary
