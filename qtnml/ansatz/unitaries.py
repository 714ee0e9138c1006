"""Stacks of unitary matrices: their deviation from unitarity, and projection back to unitaries."""

import numpy as np

from qtnml.arrays import NDArray


def project_to_unitary(matrices: NDArray) -> NDArray:
    """Nearest unitaries in Frobenius norm (polar factors), complex128, shape (..., dim, dim)."""
    left, _, right = np.linalg.svd(np.asarray(matrices, dtype=np.complex128))
    return np.asarray(left @ right)


def unitarity_error(matrices: NDArray) -> float:
    """Largest entry of |U U^+ - 1| over a stack of shape (..., dim, dim)."""
    matrices = np.asarray(matrices, dtype=np.complex128)
    product = matrices @ matrices.conj().swapaxes(-1, -2)
    return float(np.abs(product - np.eye(matrices.shape[-1])).max(initial=0.0))
