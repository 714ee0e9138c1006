"""How near two nodes are, once their other qubits are let go."""

import numpy as np

from qtnml.arrays import NDArray
from qtnml.gates.shape import NodeShape


def channel_infidelity(wanted: NDArray, built: NDArray, shape: NodeShape) -> float:
    """1 - fidelity of the Choi states of two unitaries as channels (at the root: as measurements).

    By Uhlmann's theorem the fidelity is the best overlap over unitaries on the qubits let go, before a
    measurement over one for each outcome: (nuclear norm of Tr_kept(V U^+) / number of columns)**2. It is 0
    up to rounding for an exact synthesis.
    """
    kept, lost = 2**shape.width, 2 ** (shape.num_qubits - shape.width)
    columns = shape.columns
    overlap = (built[:, columns] @ wanted[:, columns].conj().T).reshape(kept, lost, kept, lost)
    blocks = np.einsum("kakb->kab", overlap)
    if shape.output != "measured":
        blocks = blocks.sum(axis=0, keepdims=True)
    singular = np.linalg.svd(blocks, compute_uv=False)
    return float(max(0.0, 1.0 - (singular.sum() / len(columns)) ** 2))
