"""A fixed sequence of CX gates with free rotations in between, and its derivatives.

Every qubit begins with a rotation RZ RY RZ. After each CX the control turns by RZ RY, the target by RX RY:
a third rotation would pass through the next CX. That makes 3 m + 4 c angles for m qubits and c CX, the
most c CX can use (quant-ph/0308033). A *real* skeleton turns by RY alone.
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
            controls, targets = np.array(self.pairs).T
            control = _embed(_product(_rz(blocks[:, 1]), _ry(blocks[:, 0])), controls, size)
            target = _embed(_product(_rx(blocks[:, 3]), _ry(blocks[:, 2])), targets, size)
            steps = control @ (target @ _cx_matrices(size, self.pairs))
            for k, step in enumerate(steps):
                np.matmul(step, found[k], out=found[k + 1])
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
            control, target = (sigma[list(qubits)] for qubits in zip(*self.pairs, strict=True))
            sin, cos = np.sin(blocks)[..., None, None], np.cos(blocks)[..., None, None]
            turns = np.empty((len(blocks), 4, dim, dim), dtype=np.complex128)
            turns[:, 0] = cos[:, 1] * control[:, 1] - sin[:, 1] * control[:, 0]
            turns[:, 1] = control[:, 2]
            turns[:, 2] = cos[:, 3] * target[:, 1] + sin[:, 3] * target[:, 2]
            turns[:, 3] = target[:, 0]
            after = prefixes[1:, None]
            seen = turns @ after[..., columns]
            found.append((after.conj().swapaxes(2, 3) @ seen).reshape(-1, dim, len(columns)))
        return np.concatenate(found)[self._free]

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


def _embed(rotations: NDArray, qubits: NDArray, num_qubits: int) -> NDArray:
    """Rotations (c, 2, 2), each on its own qubit of a register: (c, d, d)."""
    dim = 2**num_qubits
    units = _units(num_qubits)[qubits]
    return (rotations.reshape(-1, 1, 4) @ units).reshape(-1, dim, dim)


@lru_cache(maxsize=16)
def _units(num_qubits: int) -> NDArray:
    """|a><b| on qubit q of a register: (m, 4, d * d)."""
    sigma, one = _sigmas(num_qubits), np.eye(2**num_qubits)
    up, down = (one + sigma[:, 2]) / 2, (one - sigma[:, 2]) / 2
    flip = [(sigma[:, 0] + 1j * sigma[:, 1]) / 2, (sigma[:, 0] - 1j * sigma[:, 1]) / 2]
    return np.stack([up, *flip, down], axis=1).reshape(num_qubits, 4, -1)


@lru_cache(maxsize=16)
def _sigmas(num_qubits: int) -> NDArray:
    """X, Y, Z on each qubit of a register: (m, 3, d, d)."""
    return np.array([[pauli_on(num_qubits, q, axis) for axis in range(3)] for q in range(num_qubits)])


@lru_cache(maxsize=64)
def _cx_matrices(num_qubits: int, pairs: tuple[tuple[int, int], ...]) -> NDArray:
    sigma, one = _sigmas(num_qubits), np.eye(2**num_qubits)
    return np.array([one - (one - sigma[c, 2]) @ (one - sigma[t, 0]) / 2 for c, t in pairs])
