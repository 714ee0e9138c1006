"""Tensors of a matrix product state in the layouts of other packages."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.states.chains import compressed, vidal

Layout = Literal["lpr", "pennylane", "cuquantum", "aer", "vidal"]


def arrays_as(tensors: Sequence[NDArray], layout: Layout) -> Any:
    """Tensors in a layout.

    "lpr": (left, level, right) with outer bonds of 1, right-canonical. "pennylane": what `qml.MPSPrep` takes:
    (level, right), (left, level, right), ..., (left, level), right-canonical, bonds padded to powers of two.
    "cuquantum": the same shapes without padding, what `NetworkState.set_initial_mps` takes. "aer": what
    `QuantumCircuit.set_matrix_product_state` takes. "vidal": (Gammas (left, level, right), Schmidt values).
    """
    if layout == "vidal":
        return vidal(tensors)
    if layout == "aer":
        gammas, lambdas = vidal(_of_qubits(tensors, layout))
        # Aer reads the memory as it lies: complex numbers, row by row.
        pairs = [
            tuple(np.ascontiguousarray(gamma[:, level], np.complex128) for level in (0, 1))
            for gamma in gammas
        ]
        return pairs, lambdas
    whole = compressed(tensors)
    if layout == "lpr":
        return whole
    if layout not in ("pennylane", "cuquantum"):
        raise InvalidInputError(
            f"layout must be 'lpr', 'pennylane', 'cuquantum', 'aer' or 'vidal', got {layout!r}"
        )
    if len(whole) == 1:
        raise InvalidInputError(f"layout {layout!r} has no form for a single site")
    if layout == "pennylane":
        whole = _padded(_of_qubits(whole, layout))
    return [whole[0][0], *whole[1:-1], whole[-1][..., 0]]


def _of_qubits(tensors: Sequence[NDArray], layout: str) -> Sequence[NDArray]:
    if levels := [tensor.shape[1] for tensor in tensors if tensor.shape[1] != 2]:
        raise InvalidInputError(
            f"layout {layout!r} is of qubits, a site has {levels[0]} levels; state.qubits() splits it"
        )
    return tensors


def _padded(tensors: Sequence[NDArray]) -> list[NDArray]:
    """Right-canonical tensors with bonds that are powers of two; new rows complete the old ones."""
    bonds = [1, *(2 ** (tensor.shape[2] - 1).bit_length() for tensor in tensors[:-1]), 1]
    found = []
    for k, tensor in enumerate(tensors):
        left, level, right = tensor.shape
        wide = np.zeros((left, level, bonds[k + 1]), tensor.dtype)
        wide[:, :, :right] = tensor
        rows = wide.reshape(left, -1)
        if bonds[k] > left:
            basis, _ = np.linalg.qr(np.hstack([rows.conj().T, np.eye(rows.shape[1])]))
            rows = np.vstack([rows, basis[:, left : bonds[k]].conj().T])
        found.append(rows.reshape(bonds[k], level, -1))
    return found
