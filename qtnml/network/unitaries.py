"""Stacks of unitary matrices: how they start, how far they are from unitary, how they get back."""

import numpy as np

from qtnml.arrays import NDArray


def near_identity_unitaries(count: int, dim: int, scale: float, rng: np.random.Generator) -> NDArray:
    """Draw `exp(i scale H)` with H from the Gaussian unitary ensemble of norm about 1.

    Returns complex128 of shape (count, dim, dim). A small `scale` keeps what the tree sees close to
    the data at the start; a large one approaches Haar-random nodes, whose signal dies with depth.
    """
    matrices = rng.normal(size=(count, dim, dim)) + 1j * rng.normal(size=(count, dim, dim))
    hermitian = (matrices + matrices.conj().swapaxes(1, 2)) / (2 * np.sqrt(2 * dim))
    values, vectors = np.linalg.eigh(hermitian)
    return np.asarray((vectors * np.exp(1j * scale * values)[:, None]) @ vectors.conj().swapaxes(1, 2))


def project_to_unitary(matrices: NDArray) -> NDArray:
    """Nearest unitaries in Frobenius norm (polar factors), complex128, shape (..., dim, dim)."""
    left, _, right = np.linalg.svd(np.asarray(matrices, dtype=np.complex128))
    return np.asarray(left @ right)


def unitarity_error(matrices: NDArray) -> float:
    """Largest entry of |U U^+ - 1| over a stack of shape (..., dim, dim)."""
    matrices = np.asarray(matrices, dtype=np.complex128)
    product = matrices @ matrices.conj().swapaxes(-1, -2)
    return float(np.abs(product - np.eye(matrices.shape[-1])).max(initial=0.0))
