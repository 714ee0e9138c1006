"""Freedom of a node in its tree: what cannot be observed from outside, and can save gates.

A node has a unitary U. Qubits that enter in |0> leave most of its columns free. A last operation W on the
discarded qubits cannot be observed. A last operation K on a kept wire can be passed to the node above. Before
a measurement, W may depend on the outcome, and phases are free. So U and F U are equivalent for every F of a
group, the *frame*.
"""

from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import product
from typing import Literal

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError

PAULIS: NDArray = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


@dataclass(frozen=True)
class NodeShape:
    """Shape of a node, without its parameters.

    Attributes:
        num_qubits: Number of qubits of the node; qubit 0 is the most significant bit of a matrix index.
        width: Number of kept qubits, the first ones; the others are discarded.
        fresh: Number of qubits that enter in |0>, the last ones; all of them if a state is prepared.
        output: Use of the kept qubits: a "wire" (the node above may take over a unitary K), "fixed" (it may
            not), or "measured" (at the root).
        postselected: Whether only results with the discarded qubits in |0> count. Then most rows are free.
    """

    num_qubits: int
    width: int
    fresh: int = 0
    output: Literal["wire", "fixed", "measured"] = "wire"
    postselected: bool = False

    def __post_init__(self) -> None:
        if not (1 <= self.width <= self.num_qubits and 0 <= self.fresh <= self.num_qubits):
            raise InvalidInputError(
                f"no node keeps {self.width} of {self.num_qubits} qubits, {self.fresh} fresh"
            )

    @property
    def columns(self) -> NDArray:
        """Indices of the columns of the unitary that inputs can reach."""
        return np.arange(0, 2**self.num_qubits, 2**self.fresh)

    @property
    def rows(self) -> NDArray:
        """Indices of the rows that count: all, or those with the discarded qubits in |0>."""
        lost = self.num_qubits - self.width if self.postselected else 0
        return np.arange(0, 2**self.num_qubits, 2**lost)

    @property
    def adjoint(self) -> "NodeShape":
        """Shape of a post-selected node's inverse: discarded qubits enter in |0>, nothing is free."""
        return NodeShape(self.num_qubits, self.num_qubits, self.num_qubits - self.width, "fixed")

    def frame_generators(self, *, real: bool = False) -> NDArray:
        """Pauli strings (count, d, d) whose exponentials make the frame; for real nodes the imaginary ones.

        Unless `real` is set, one of them is the identity, for the global phase.
        """
        return _frame_generators(self.num_qubits, self.width, self.output, real)

    def kept_factor(self, frame: NDArray) -> NDArray:
        """K of a frame element K (x) W, up to a phase."""
        kept, lost = 2**self.width, 2 ** (self.num_qubits - self.width)
        pairs = frame.reshape(kept, lost, kept, lost).transpose(0, 2, 1, 3).reshape(kept**2, lost**2)
        left, values, _ = np.linalg.svd(pairs)
        return np.asarray(left[:, 0].reshape(kept, kept) * np.sqrt(kept)) if values[0] else np.eye(kept)


def pauli_on(num_qubits: int, qubit: int, axis: int) -> NDArray:
    """X, Y or Z (axis 0, 1, 2) on one qubit of a register, (2**m, 2**m)."""
    return _kron([PAULIS[axis] if q == qubit else np.eye(2) for q in range(num_qubits)])


@lru_cache(maxsize=64)
def _frame_generators(num_qubits: int, width: int, output: str, real: bool) -> NDArray:
    full, diagonal = (np.eye(2), *PAULIS), (np.eye(2), PAULIS[2])
    lost = num_qubits - width
    on_kept = [_kron([*factors, *[np.eye(2)] * lost]) for factors in product(full, repeat=width)]
    phases = [_kron([*factors, *[np.eye(2)] * lost]) for factors in product(diagonal, repeat=width)]
    on_lost = [_kron([*[np.eye(2)] * width, *factors]) for factors in product(full, repeat=lost)]
    if output == "measured":
        generators = [phase @ other for phase in phases for other in on_lost]
    else:
        generators = [*on_lost, *(on_kept[1:] if output == "wire" else [])]
    if real:  # exp(-i a P) is real for an imaginary P
        generators = [matrix for matrix in generators if np.abs(matrix.real).max() == 0]
    return np.array(generators).reshape(-1, 2**num_qubits, 2**num_qubits)


def _kron(factors: list[NDArray]) -> NDArray:
    return reduce(np.kron, factors, np.eye(1))
