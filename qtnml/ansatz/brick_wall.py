"""Brick walls: layers of two-qubit gates on neighbours, with rotations in between.

A node on m qubits starts with a rotation of every qubit. Each layer entangles neighbouring pairs (shifted by
one qubit in every other layer) and rotates the qubits it acted on. On four qubits a wall of depth 3 has 5 CX;
a full unitary has 95.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
from qiskit import QuantumCircuit

from qtnml.ansatz.base import Normal
from qtnml.arrays import Array, NDArray, namespace
from qtnml.errors import InvalidInputError
from qtnml.gates import SynthesizedNode


@dataclass(frozen=True)
class BrickWall:
    """A hardware-efficient ansatz of layers of two-qubit gates.

    Attributes:
        depth: Number of layers of two-qubit gates, at least 1.
        entangler: "cx", "cz", or "rzz" with a trainable angle.
        rotations: "u" for any rotation (3 angles), "ry" for real rotations (1 angle).
    """

    name: ClassVar[str] = "brick-wall"
    prescribes_gates: ClassVar[bool] = True
    depth: int = 3
    entangler: Literal["cx", "cz", "rzz"] = "cx"
    rotations: Literal["u", "ry"] = "u"

    def __post_init__(self) -> None:
        if isinstance(self.depth, bool) or not isinstance(self.depth, int) or self.depth < 1:
            raise InvalidInputError(
                f"a brick wall's depth must be an integer of at least 1, got {self.depth!r}"
            )
        if self.entangler not in ("cx", "cz", "rzz") or self.rotations not in ("u", "ry"):
            raise InvalidInputError(
                f"entangler must be 'cx', 'cz' or 'rzz' and rotations 'u' or 'ry', got {self.entangler!r} "
                f"and {self.rotations!r}"
            )

    @property
    def _angles_per_rotation(self) -> int:
        return 3 if self.rotations == "u" else 1

    def num_parameters(self, num_qubits: int) -> int:
        """Number of angles of all rotations and, for "rzz", of the entanglers."""
        bricks = sum(len(layer) for layer in _layers(num_qubits, self.depth))
        own = 1 if self.entangler == "rzz" else 0
        return self._angles_per_rotation * (num_qubits + 2 * bricks) + own * bricks

    def start(self, normal: Normal, count: int, num_qubits: int, scale: float) -> Array:
        """Initial Gaussian angles of spread `scale` radians."""
        return scale * normal((count, self.num_parameters(num_qubits)))

    def unitary(self, parameters: Array, num_qubits: int) -> Array:
        """Product of the layers, shape (count, 2**m, 2**m)."""
        xp, taken = namespace(parameters), _Angles(parameters)
        rotations = [self._rotation(taken) for _ in range(num_qubits)]
        product = _kron_all(rotations, range(num_qubits), num_qubits)
        for layer in _layers(num_qubits, self.depth):
            for pair in layer:
                gate = self._entangler(taken, pair, num_qubits)
                product = gate * product if self.entangler == "rzz" else xp.matmul(gate, product)
            qubits = [qubit for pair in layer for qubit in sorted(pair)]
            rotations = [self._rotation(taken) for _ in qubits]
            product = xp.matmul(_kron_all(rotations, qubits, num_qubits), product)
        return product + 0j

    def operations(self, parameters: Array, num_qubits: int) -> list[tuple[tuple[int, ...], Array]]:
        """Qubits and matrices (count, 2**k, 2**k) of every gate, in the order of `gates`."""
        xp, taken, count = namespace(parameters), _Angles(parameters), parameters.shape[0]
        found = [((qubit,), self._rotation(taken) + 0j) for qubit in range(num_qubits)]
        for layer in _layers(num_qubits, self.depth):
            for pair in layer:
                if self.entangler == "rzz":
                    diagonal = self._entangler(taken, (0, 1), 2)
                    gate = diagonal * xp.eye(4, dtype=diagonal.dtype)
                else:
                    gate = xp.broadcast_to(self._entangler(taken, (0, 1), 2) + 0j, (count, 4, 4))
                found.append((pair, gate))  # type: ignore[arg-type]
            for qubit in (qubit for pair in layer for qubit in sorted(pair)):
                found.append(((qubit,), self._rotation(taken) + 0j))
        return found  # type: ignore[return-value]

    def gates(self, parameters: NDArray, num_qubits: int) -> SynthesizedNode:
        """The wall itself, gate by gate."""
        circuit, angles = QuantumCircuit(num_qubits), iter(np.asarray(parameters, dtype=float).tolist())

        def rotate(qubit: int) -> None:
            if self.rotations == "ry":
                circuit.ry(next(angles), qubit)
            else:
                circuit.u(next(angles), next(angles), next(angles), qubit)

        for qubit in range(num_qubits):
            rotate(qubit)
        for layer in _layers(num_qubits, self.depth):
            for pair in layer:
                if self.entangler == "rzz":
                    circuit.rzz(next(angles), *pair)
                else:
                    getattr(circuit, self.entangler)(*pair)
            for qubit in (qubit for pair in layer for qubit in sorted(pair)):
                rotate(qubit)
        return SynthesizedNode(circuit, tuple(np.eye(2, dtype=np.complex128) for _ in range(num_qubits)))

    def project(self, parameters: NDArray) -> NDArray:
        """Any real numbers are valid."""
        return np.asarray(parameters, dtype=np.float64)

    def _rotation(self, taken: "_Angles") -> Array:
        """Matrices (count, 2, 2) of the next rotation."""
        xp = namespace(taken.parameters)
        theta = taken.next()
        cos, sin = xp.cos(theta / 2), xp.sin(theta / 2)
        if self.rotations == "ry":
            rows = [cos, -sin, sin, cos]
        else:
            phi, lam = taken.next(), taken.next()
            rows = [
                cos + 0j,
                -xp.exp(1j * lam) * sin,
                xp.exp(1j * phi) * sin,
                xp.exp(1j * (phi + lam)) * cos,
            ]
        return xp.stack(rows, axis=-1).reshape(-1, 2, 2)  # type: ignore[no-any-return]

    def _entangler(self, taken: "_Angles", pair: tuple[int, int], num_qubits: int) -> Array:
        """Matrix of a CX or CZ, or the diagonal of an RZZ as a column."""
        xp = namespace(taken.parameters)
        if self.entangler == "rzz":
            signs = _zz_signs(pair, num_qubits)
            angle = taken.next()[:, None, None]
            return xp.exp(-0.5j * angle * xp.asarray(signs, dtype=angle.dtype)[:, None])  # type: ignore[no-any-return]
        return xp.asarray(_embedded(self.entangler, pair, num_qubits), dtype=taken.parameters.dtype)  # type: ignore[no-any-return]


class _Angles:
    """Takes the columns of a stack of angles one after the other."""

    def __init__(self, parameters: Array) -> None:
        self.parameters = parameters
        self._column = 0

    def next(self) -> Array:
        self._column += 1
        return self.parameters[:, self._column - 1]


def _layers(num_qubits: int, depth: int) -> list[list[tuple[int, int]]]:
    """Pairs (control, target) of each layer; the direction alternates with the layers."""
    layers = []
    for k in range(depth if num_qubits > 1 else 0):
        first = k % 2 if num_qubits > 2 else 0
        pairs = [(q, q + 1) for q in range(first, num_qubits - 1, 2)]
        layers.append([(b, a) if k % 2 else (a, b) for a, b in pairs])
    return layers


def _kron_all(rotations: list[Array], qubits: object, num_qubits: int) -> Array:
    """Kronecker product with identities on the other qubits, shape (count, 2**m, 2**m)."""
    xp = namespace(rotations[0])
    at = dict(zip(qubits, rotations, strict=True))  # type: ignore[call-overload]
    identity = xp.eye(2, dtype=rotations[0].dtype)[None]
    product = at.get(0, identity)
    for qubit in range(1, num_qubits):
        other = at.get(qubit, identity)
        joined = product[:, :, None, :, None] * other[:, None, :, None, :]
        product = joined.reshape(joined.shape[0], 2 * product.shape[1], 2 * product.shape[2])
    return product  # type: ignore[no-any-return]


@lru_cache(maxsize=256)
def _embedded(entangler: str, pair: tuple[int, int], num_qubits: int) -> NDArray:
    """CX or CZ on two qubits of a register, (2**m, 2**m)."""
    dim = 2**num_qubits
    control, target = (num_qubits - 1 - qubit for qubit in pair)
    basis = np.arange(dim)
    on = (basis >> control) & 1
    if entangler == "cz":
        return np.diag(1.0 - 2.0 * (on & (basis >> target)))
    matrix = np.zeros((dim, dim))
    matrix[basis ^ (on << target), basis] = 1.0
    return matrix


@lru_cache(maxsize=256)
def _zz_signs(pair: tuple[int, int], num_qubits: int) -> NDArray:
    bits = [(np.arange(2**num_qubits) >> (num_qubits - 1 - qubit)) & 1 for qubit in pair]
    return np.asarray(1.0 - 2.0 * (bits[0] ^ bits[1]))
