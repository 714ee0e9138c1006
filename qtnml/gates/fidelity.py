"""How near two nodes are as channels, once their other qubits are let go."""

import numpy as np

from qtnml.arrays import NDArray


def channel_infidelity(wanted: NDArray, built: NDArray, width: int) -> float:
    """1 - fidelity of the Choi states of two unitaries whose first `width` qubits are kept.

    By Uhlmann's theorem the fidelity is the best overlap over unitaries on the qubits let go:
    (nuclear norm of Tr_kept(V U^+) / dimension)**2. It is 0 up to rounding for an exact synthesis.
    """
    dim = wanted.shape[0]
    kept, lost = 2**width, dim // 2**width
    overlap = (built @ wanted.conj().T).reshape(kept, lost, kept, lost)
    partial = np.trace(overlap, axis1=0, axis2=2)
    fidelity = (np.linalg.norm(partial, ord="nuc") / dim) ** 2
    return float(max(0.0, 1.0 - fidelity))
