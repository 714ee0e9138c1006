"""Fidelity of two nodes after their other qubits are discarded."""

import numpy as np

from qtnml.arrays import NDArray
from qtnml.gates.shape import NodeShape


def channel_infidelity(wanted: NDArray, built: NDArray, shape: NodeShape) -> float:
    """Infidelity, 1 - fidelity of the Choi states of two unitaries as channels (at the root: measurements).

    By Uhlmann's theorem the fidelity is the best overlap over unitaries on the discarded qubits, or before a
    measurement over one unitary for each outcome: (nuclear norm of Tr_kept(V U^+) / number of columns)**2.
    The infidelity of an exact synthesis is 0 up to rounding.
    """
    columns = shape.columns
    if shape.postselected:
        return _isometry_infidelity(wanted[shape.rows][:, columns], built[shape.rows][:, columns], shape)
    kept, lost = 2**shape.width, 2 ** (shape.num_qubits - shape.width)
    overlap = (built[:, columns] @ wanted[:, columns].conj().T).reshape(kept, lost, kept, lost)
    blocks = np.einsum("kakb->kab", overlap)
    if shape.output != "measured":
        blocks = blocks.sum(axis=0, keepdims=True)
    singular = np.linalg.svd(blocks, compute_uv=False)
    return float(max(0.0, 1.0 - (singular.sum() / len(columns)) ** 2))


def _isometry_infidelity(wanted: NDArray, built: NDArray, shape: NodeShape) -> float:
    """Of <0|U on the kept qubits, up to a phase, before a measurement up to one for each outcome."""
    overlaps = np.einsum("kc,kc->k", built, wanted.conj())
    total = np.abs(overlaps).sum() if shape.output == "measured" else np.abs(overlaps.sum())
    norm = np.linalg.norm(wanted) * np.linalg.norm(built)
    return float(max(0.0, 1.0 - (total / norm) ** 2))
