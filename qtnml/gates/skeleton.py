"""A fixed sequence of CX gates with free rotations in between, and its derivatives.

Every qubit begins with a rotation RZ RY RZ. After each CX the control is rotated by RZ RY and the target by
RX RY; a third rotation would pass through the next CX. This gives 3 m + 4 c angles for m qubits and c CX, the
largest number that c CX can use (quant-ph/0308033). A *real* skeleton uses RY only.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from qiskit import QuantumCircuit

from qtnml.arrays import NDArray
from qtnml.gates.shape import pauli_on
from qtnml.gates.synthesis import append_rotation


@dataclass(frozen=True)
class Skeleton:
    """Where the CX of a node stand.

    Attributes:
        num_qubits: m; qubit 0 is the most significant of a matrix index.
        pairs: (control, target) of each CX, first to last.
        real: Rotations by RY only.
    """

    num_qubits: int
    pairs: tuple[tuple[int, int], ...]
    real: bool = False

    @property
    def num_angles(self) -> int:
        """Free angles."""
        return int(self._free.sum())

    def last(self, number: int) -> "Skeleton":
        """Only the last CX."""
        return Skeleton(self.num_qubits, self.pairs[max(0, len(self.pairs) - number) :], self.real)

    @property
    def _free(self) -> NDArray:
        """Which of all 3 m + 4 c angles are free."""
        free = np.ones(3 * self.num_qubits + 4 * len(self.pairs), dtype=bool)
        if self.real:
            free[:] = False
            free[1 : 3 * self.num_qubits : 3] = True
            free[3 * self.num_qubits :: 2] = True
        return free

    def all_angles(self, angles: NDArray) -> tuple[NDArray, NDArray]:
        """Angles (m, 3) of RZ RY RZ and (c, 4) of RY RZ on the control, RY RX on the target."""
        every = np.zeros(len(self._free))
        every[self._free] = angles
        return every[: 3 * self.num_qubits].reshape(-1, 3), every[3 * self.num_qubits :].reshape(-1, 4)

    def prefixes(self, angles: NDArray) -> NDArray:
        """Unitaries (c + 1, d, d) of the first rotations, and then after each CX and its rotations."""
        first, blocks = self.all_angles(angles)
        size, dim = self.num_qubits, 2**self.num_qubits
        product: NDArray = np.eye(1)
        for rotation in _product(_rz(first[:, 2]), _ry(first[:, 1]), _rz(first[:, 0])):
            product = np.kron(product, rotation)
        found = np.empty((len(blocks) + 1, dim, dim), dtype=np.complex128)
        found[0] = product
        if len(blocks):
            control = _product(_rz(blocks[:, 1]), _ry(blocks[:, 0]))
            target = _product(_rx(blocks[:, 3]), _ry(blocks[:, 2]))
            steps = np.einsum("cij,ckl->cikjl", control, target).reshape(-1, 4, 4) @ _CX
            for k, (step, pair) in enumerate(zip(steps, self.pairs, strict=True)):
                rows, back = _rows(size, pair)
                found[k + 1] = (step @ found[k][rows].reshape(4, -1)).reshape(dim, dim)[back]
        return found

    def generators(self, angles: NDArray, prefixes: NDArray, columns: NDArray) -> NDArray:
        """Some columns of Hermitian matrices G, (angles, d, columns).

        The derivative of U = prefixes[-1] is -i/2 U G.
        """
        first, blocks = self.all_angles(angles)
        dim = 2**self.num_qubits
        sigma = _sigmas(self.num_qubits)
        sin, cos = np.sin(first)[..., None, None], np.cos(first)[..., None, None]
        x, y, z = sigma.swapaxes(0, 1)
        start = np.empty((self.num_qubits, 3, dim, dim), dtype=np.complex128)
        start[:, 0] = cos[:, 1] * z + sin[:, 1] * (cos[:, 2] * x + sin[:, 2] * y)
        start[:, 1] = cos[:, 2] * y - sin[:, 2] * x
        start[:, 2] = z
        begin = prefixes[0]
        found = [(begin.conj().T @ (start @ begin[:, columns])).reshape(-1, dim, len(columns))]
        if len(blocks):
            found.append(self._generators_of_blocks(blocks, prefixes[1:], columns))
        return np.concatenate(found)[self._free]

    def _generators_of_blocks(self, blocks: NDArray, after: NDArray, columns: NDArray) -> NDArray:
        """Columns of A^+ P A of every angle after a CX, A what stands up to it and P a Pauli matrix on one
        qubit, turned by the rotations between: (4 c, d, columns). Those of angles that a real skeleton lacks
        are 0.
        """
        signs, flips = _signs_and_flips(self.num_qubits)
        seen = after[..., columns]
        if self.real:  # P = Y: i times a real matrix
            after, seen = np.ascontiguousarray(after.real), np.ascontiguousarray(seen.real)
        parts = []
        for side, last in enumerate((1, 3)):
            qubits = np.array([pair[side] for pair in self.pairs])
            sign, flip = signs[qubits][..., None], flips[qubits][..., None]
            z = sign * seen
            y = np.take_along_axis(z, flip, axis=1)  # Y = i X Z
            if self.real:
                parts.append(y)
                continue
            x = np.take_along_axis(seen, flip, axis=1)
            sin, cos = (turn(blocks[:, last])[:, None, None] for turn in (np.sin, np.cos))
            parts.append(1j * cos * y + (sin * z if side else -sin * x))
            parts.append(x if side else z)
        joined = after.conj().swapaxes(1, 2) @ np.concatenate(parts, axis=2)
        split = joined.reshape(len(blocks), len(joined[0]), len(parts), -1).swapaxes(1, 2)
        if self.real:
            whole = np.zeros((len(blocks), 4, *split.shape[2:]), np.complex128)
            whole[:, ::2] = 1j * split
            split = whole
        return np.ascontiguousarray(split).reshape(-1, *split.shape[2:])

    def circuit(self, angles: NDArray, seen: int) -> QuantumCircuit:
        """Gates (`u` or, if real, `ry`; `cx`); after the last CX only the first `seen` qubits are rotated."""
        first, blocks = self.all_angles(angles)
        circuit = QuantumCircuit(self.num_qubits)
        pending = list(_product(_rz(first[:, 2]), _ry(first[:, 1]), _rz(first[:, 0])))
        controls = _product(_rz(blocks[:, 1]), _ry(blocks[:, 0]))
        targets = _product(_rx(blocks[:, 3]), _ry(blocks[:, 2]))
        for pair, *after in zip(self.pairs, controls, targets, strict=True):
            for qubit, rotation in zip(pair, after, strict=True):
                append_rotation(circuit, pending[qubit], qubit)
                pending[qubit] = rotation
            circuit.cx(*pair)
        for qubit in range(seen):
            append_rotation(circuit, pending[qubit], qubit)
        return circuit


def _rx(angle: NDArray) -> NDArray:
    cos, sin = np.cos(angle / 2) + 0j, -1j * np.sin(angle / 2)
    return np.stack([cos, sin, sin, cos], axis=-1).reshape(-1, 2, 2)


def _ry(angle: NDArray) -> NDArray:
    cos, sin = np.cos(angle / 2) + 0j, np.sin(angle / 2) + 0j
    return np.stack([cos, -sin, sin, cos], axis=-1).reshape(-1, 2, 2)


def _rz(angle: NDArray) -> NDArray:
    phase, zero = np.exp(-0.5j * angle), np.zeros(len(angle), dtype=np.complex128)
    return np.stack([phase, zero, zero, phase.conj()], axis=-1).reshape(-1, 2, 2)


def _product(*stacks: NDArray) -> NDArray:
    """Matrix products, the last of the stacks acting first."""
    product = stacks[0]
    for stack in stacks[1:]:
        product = product @ stack
    return product


_CX = np.eye(4)[[0, 1, 3, 2]]


@lru_cache(maxsize=256)
def _rows(num_qubits: int, pair: tuple[int, int]) -> tuple[NDArray, NDArray]:
    """Rows of a matrix after two qubits have moved to the front, and the inverse permutation."""
    rest = [qubit for qubit in range(num_qubits) if qubit not in pair]
    rows = np.arange(2**num_qubits).reshape([2] * num_qubits).transpose(*pair, *rest).reshape(-1)
    return rows, np.argsort(rows)


@lru_cache(maxsize=16)
def _signs_and_flips(num_qubits: int) -> tuple[NDArray, NDArray]:
    """Of Z on each qubit the diagonal, of X the permutation of rows: (m, d) each."""
    index, shifts = np.arange(2**num_qubits), np.arange(num_qubits - 1, -1, -1)[:, None]
    return 1.0 - 2.0 * ((index >> shifts) & 1), index ^ (1 << shifts)


@lru_cache(maxsize=16)
def _sigmas(num_qubits: int) -> NDArray:
    """X, Y, Z on each qubit of a register: (m, 3, d, d)."""
    return np.array([[pauli_on(num_qubits, q, axis) for axis in range(3)] for q in range(num_qubits)])
