"""What of a node its surroundings can see: the freedom that gates may be saved with.

A node's unitary U stands in a tree. Qubits that enter in |0> leave most of its columns free. What is done
last to the discarded qubits is invisible (W); what is done last to a kept wire can be handed to the node
above (K); before a measurement, W may depend on the outcome and phases are free. So U and F U are worth
the same for every F of a group, the *frame*.
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
    """A node without its numbers.

    Attributes:
        num_qubits: Qubits the node acts on; qubit 0 is the most significant of a matrix index.
        width: The first `width` of them are kept, the others discarded.
        fresh: The last `fresh` of them enter in |0>; all of them where a state is prepared.
        output: What becomes of the kept qubits: a "wire" whose node above takes over a unitary K, "fixed"
            where it must not, "measured" at the root.
        postselected: The discarded qubits count only where they are found in |0>: most rows are free.
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
        """Indices of the columns of the unitary that some input reaches."""
        return np.arange(0, 2**self.num_qubits, 2**self.fresh)

    @property
    def rows(self) -> NDArray:
        """Indices of the rows that count: all, or those with the discarded qubits in |0>."""
        lost = self.num_qubits - self.width if self.postselected else 0
        return np.arange(0, 2**self.num_qubits, 2**lost)

    @property
    def adjoint(self) -> "NodeShape":
        """Of the inverse circuit of a post-selected node: discarded qubits enter in |0>, nothing is free."""
        return NodeShape(self.num_qubits, self.num_qubits, self.num_qubits - self.width, "fixed")

    def frame_generators(self, *, real: bool = False) -> NDArray:
        """Pauli strings (count, d, d) whose exponentials are the frame; for real nodes the imaginary ones.

        One of them, unless `real`, is the identity: the global phase.
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
