"""Quantum channels on one or two qubits as Pauli transfer maps.

A channel E on n qubits is the real matrix R[i, j] = Tr(P_i E(P_j)) / 2**n over Pauli strings. The labels of
every qubit are I, X, Y, Z; the first qubit is the most significant. The matrix acts on expectations, r'_i =
sum_j R[i, j] r_j, so that channels in sequence are matrix products. A channel preserves the trace if its
first row is (1, 0, 0, ...).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from qiskit.quantum_info import SuperOp

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError

_PAULIS: NDArray = np.array(
    [np.eye(2), [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], np.diag([1, -1])], dtype=np.complex128
)
_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Channel:
    """A quantum channel: noise on one or a few qubits.

    Attributes:
        transfer_map: Pauli transfer map (4**n, 4**n), float64. It is checked to be completely positive and
            trace preserving to 1e-9.
        name: Name shown to people.
    """

    transfer_map: NDArray
    name: str = "channel"

    def __post_init__(self) -> None:
        try:
            given = np.array(self.transfer_map, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"a channel is made of a Pauli transfer map (4**n, 4**n), got {self.transfer_map!r}; see "
                "qtnml.noise.dephasing and others"
            ) from error
        size = round(math.log(max(given.shape[0], 1), 4)) if given.ndim == 2 else 0
        if given.shape != (4**size, 4**size) or size < 1:
            raise InvalidInputError(f"a Pauli transfer map has shape (4**n, 4**n), got {given.shape}")
        if not np.isfinite(given).all():
            raise InvalidInputError("a Pauli transfer map must be finite, got NaN or infinity")
        off = np.abs(given[0] - np.eye(len(given))[0]).max()
        if off > _TOLERANCE:
            raise InvalidInputError(
                f"the channel {self.name!r} does not preserve the trace: its first row is off (1, 0, ...) by "
                f"{off:.1e}"
            )
        given.flags.writeable = False
        object.__setattr__(self, "transfer_map", given)
        if self.smallest_choi_eigenvalue < -_TOLERANCE:
            raise InvalidInputError(
                f"the channel {self.name!r} is not completely positive: its Choi matrix has the eigenvalue "
                f"{self.smallest_choi_eigenvalue:.1e}"
            )

    @property
    def num_qubits(self) -> int:
        """Number of qubits the channel acts on."""
        return round(math.log(len(self.transfer_map), 4))

    @property
    def choi(self) -> NDArray:
        """Choi matrix sum_jk |j><k| (x) E(|j><k|), trace 2**n, (4**n, 4**n)."""
        strings = pauli_strings(self.num_qubits)
        inputs = strings.conj()  # transposed Hermitian matrices
        total = np.einsum("ij,jab,icd->acbd", self.transfer_map, inputs, strings, optimize=True)
        return np.asarray(total.reshape(self.transfer_map.shape) / 2**self.num_qubits)

    @property
    def smallest_choi_eigenvalue(self) -> float:
        """Smallest eigenvalue of the Choi matrix; at least 0 for a completely positive map."""
        return float(np.linalg.eigvalsh(self.choi).min())

    def kraus(self) -> NDArray:
        """Kraus operators K_k of the channel sum_k K_k rho K_k^+, shape (operators, 2**n, 2**n)."""
        values, vectors = np.linalg.eigh(self.choi)
        kept = values > _TOLERANCE
        columns = (vectors[:, kept] * np.sqrt(values[kept])).T
        dim = 2**self.num_qubits
        return np.asarray(columns.reshape(-1, dim, dim).transpose(0, 2, 1))

    def superoperator(self) -> NDArray:
        """Matrix S on row-stacked density matrices, vec(E(rho)) = S vec(rho), shape (4**n, 4**n)."""
        rows = pauli_strings(self.num_qubits).reshape(len(self.transfer_map), -1)
        return np.asarray(rows.T @ self.transfer_map @ rows.conj() / 2**self.num_qubits)

    def to_superop(self) -> SuperOp:
        """The channel as Qiskit's `SuperOp`, whose first qubit is the least significant.

        `noise.aer` makes Aer's errors.
        """
        size = self.num_qubits
        split = self.superoperator().reshape([2] * (4 * size))
        # Qubits in reverse, and density matrices stacked by column.
        index = [*reversed(range(size, 2 * size)), *reversed(range(size))]
        reordered = split.transpose([*index, *(2 * size + axis for axis in index)])
        return SuperOp(reordered.reshape(4**size, 4**size))

    @property
    def average_fidelity(self) -> float:
        """Fidelity of output and input, averaged over pure states: (2**n F + 1) / (2**n + 1)."""
        dim = 2**self.num_qubits
        entanglement_fidelity = np.trace(self.transfer_map) / dim**2
        return float((dim * entanglement_fidelity + 1) / (dim + 1))

    def then(self, other: "Channel") -> "Channel":
        """This channel followed by `other` on the same qubits."""
        if not isinstance(other, Channel):
            raise InvalidInputError(f"a channel is followed by a channel, got {other!r}")
        if other.num_qubits != self.num_qubits:
            raise InvalidInputError(
                f"{other.name!r} acts on {other.num_qubits} qubits, {self.name!r} on {self.num_qubits}"
            )
        return Channel(other.transfer_map @ self.transfer_map, f"{self.name}, {other.name}")

    def tensor(self, other: "Channel") -> "Channel":
        """Tensor product: this channel on the first qubits, `other` on the qubits after them."""
        return Channel(np.kron(self.transfer_map, other.transfer_map), f"{self.name} x {other.name}")

    def __repr__(self) -> str:
        return f"Channel({self.name!r}, {self.num_qubits} qubit(s), fidelity {self.average_fidelity:.6g})"


_SHORTEST = 1e-15  # seconds: below, rates leave the range of numbers
_MOST_QUBITS = 6  # a transfer map has 16**n numbers: 134 MB


def _checked_qubits(num_qubits: Any) -> int:
    is_count = isinstance(num_qubits, int | np.integer) and not isinstance(num_qubits, bool)
    if not is_count or not 1 <= num_qubits <= _MOST_QUBITS:
        raise InvalidInputError(f"num_qubits must be an integer from 1 to {_MOST_QUBITS}, got {num_qubits!r}")
    return int(num_qubits)


def identity(num_qubits: int = 1) -> Channel:
    """The identity channel: no noise."""
    return Channel(np.eye(4 ** _checked_qubits(num_qubits)), "identity")


def amplitude_damping(gamma: float, excited_population: float = 0.0) -> Channel:
    """Decay with probability gamma to |0>, or to a mixture that has `excited_population` of |1>."""
    gamma = probability("gamma", gamma)
    population = probability("excited_population", excited_population)
    root = math.sqrt(1 - gamma)
    matrix = np.diag([1.0, root, root, 1 - gamma])
    matrix[3, 0] = gamma * (1 - 2 * population)
    return Channel(matrix, f"amplitude damping {gamma:g}")


def phase_damping(lam: float) -> Channel:
    """Phase damping: off-diagonal elements shrink by the factor sqrt(1 - lam)."""
    root = math.sqrt(1 - probability("lam", lam))
    return Channel(np.diag([1.0, root, root, 1.0]), f"phase damping {lam:g}")


def dephasing(p: float) -> Channel:
    """Dephasing, rho -> (1 - p) rho + p diag(rho) (arXiv:2209.01195); p = 1 leaves a classical bit."""
    p = probability("p", p)
    return Channel(np.diag([1.0, 1 - p, 1 - p, 1.0]), f"dephasing {p:g}")


def depolarizing(p: float, num_qubits: int = 1) -> Channel:
    """Depolarising, rho -> (1 - p) rho + p 1 / 2**n, for p from 0 to 4**n / (4**n - 1), as in Qiskit."""
    num_qubits = _checked_qubits(num_qubits)
    most = 4**num_qubits / (4**num_qubits - 1)
    if not (is_number(p) and 0 <= p <= most):
        raise InvalidInputError(f"p must be from 0 to {most:.6g} on {num_qubits} qubit(s), got {p!r}")
    diagonal = np.full(4**num_qubits, 1.0 - p)
    diagonal[0] = 1.0
    return Channel(np.diag(diagonal), f"depolarizing {p:g}")


def bit_flip(p: float) -> Channel:
    """Bit flip: X with probability p."""
    p = probability("p", p)
    return Channel(np.diag([1.0, 1.0, 1 - 2 * p, 1 - 2 * p]), f"bit flip {p:g}")


def thermal_relaxation(t1: float, t2: float, time: float, excited_population: float = 0.0) -> Channel:
    """Relaxation for a time: populations approach equilibrium as exp(-time/T1), coherences exp(-time/T2).

    Args:
        t1, t2: Seconds, infinity for none; T2 is at most 2 T1.
        time: Seconds.
        excited_population: Population of |1> in equilibrium.
    """
    check_relaxation_times(t1, t2)
    if not (is_number(time) and 0 <= time < math.inf):
        raise InvalidInputError(f"time must be a number of seconds of at least 0, got {time!r}")
    population = probability("excited_population", excited_population)
    return Channel(relaxation_maps(time / t1, time / t2, population), f"relaxation {time:g} s")


def over_rotation(axis: str, angle: float) -> Channel:
    """A coherent error: exp(-i angle axis / 2) for the axis "X", "Y" or "Z", angle in radians."""
    if axis not in ("X", "Y", "Z") or not (is_number(angle) and math.isfinite(angle)):
        raise InvalidInputError(
            f"axis must be 'X', 'Y' or 'Z' and angle a finite number, got {axis!r} and {angle!r}"
        )
    pauli = _PAULIS["IXYZ".index(axis)]
    unitary = math.cos(angle / 2) * np.eye(2) - 1j * math.sin(angle / 2) * pauli
    return Channel(unitary_maps(unitary), f"over-rotation {axis} {angle:g}")


def from_kraus(operators: Sequence[NDArray], name: str = "Kraus") -> Channel:
    """The channel sum_k K_k rho K_k^+ of operators (2**n, 2**n)."""
    try:
        stack = np.array([np.asarray(operator, dtype=np.complex128) for operator in operators])
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"Kraus operators must be square matrices of one size: {error}") from error
    _check_square(stack, "Kraus operators")
    if not np.isfinite(stack).all():
        raise InvalidInputError("Kraus operators must be finite, got NaN or infinity")
    strings = pauli_strings(stack.shape[1].bit_length() - 1)
    images = np.einsum("kab,jbc,kdc->jad", stack, strings, stack.conj(), optimize=True)
    return Channel(_expanded(images), name)


def from_superoperator(matrix: NDArray, name: str = "superoperator") -> Channel:
    """The channel of a matrix on row-stacked density matrices, vec(E(rho)) = S vec(rho)."""
    try:
        matrix = np.asarray(matrix, dtype=np.complex128)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"a superoperator is a matrix of numbers: {error}") from error
    if not np.isfinite(matrix).all():
        raise InvalidInputError("a superoperator must be finite, got NaN or infinity")
    dim = math.isqrt(matrix.shape[0]) if matrix.ndim == 2 else 0
    if matrix.shape != (dim**2, dim**2):
        raise InvalidInputError(f"a superoperator has shape (4**n, 4**n), got {matrix.shape}")
    _check_square(np.empty((1, dim, dim)), "a superoperator's density matrices")
    strings = pauli_strings(dim.bit_length() - 1)
    images = (strings.reshape(len(strings), -1) @ matrix.T).reshape(strings.shape)
    found = _expanded(images)
    imaginary = np.abs(_expanded(1j * images)).max()
    if imaginary > _TOLERANCE:
        raise InvalidInputError(f"{name!r} does not keep matrices Hermitian (off by {imaginary:.1e})")
    return Channel(found, name)


#: Columns are the Pauli matrices as vectors.
_FROM_PAULIS = np.array([pauli.ravel() for pauli in _PAULIS]).T


def relaxation_maps(rate1: Any, rate2: Any, excited_population: Any = 0.0, *, xp: Any = np) -> Any:
    """Transfer maps (..., 4, 4) of relaxation for time/T1 and time/T2 of shape (...); NumPy or JAX."""
    decay, coherence = xp.exp(-xp.asarray(rate1)), xp.exp(-xp.asarray(rate2))
    zero, one = xp.zeros_like(decay), xp.ones_like(decay)
    towards = (1 - decay) * (1 - 2 * xp.asarray(excited_population))
    rows = [
        [one, zero, zero, zero],
        [zero, coherence, zero, zero],
        [zero, zero, coherence, zero],
        [towards, zero, zero, decay],
    ]
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)


def unitary_maps(unitaries: Any, *, xp: Any = np) -> Any:
    """Transfer maps (..., 4**n, 4**n) of unitaries (..., 2**n, 2**n); NumPy or JAX, real."""
    dim = unitaries.shape[-1]
    if dim == 2 and xp is np:  # the most frequent ones by far
        pairs = unitaries[..., :, None, :, None] * np.conj(unitaries)[..., None, :, None, :]
        found = _FROM_PAULIS.conj().T @ pairs.reshape(*pairs.shape[:-4], 4, 4) @ _FROM_PAULIS
        return np.ascontiguousarray(found.real) / 2
    strings = pauli_strings(dim.bit_length() - 1)
    stacked = xp.asarray(unitaries).reshape(-1, dim, dim)
    if xp is not np:
        strings = xp.asarray(strings, dtype=stacked.dtype)
    images = xp.einsum("kab,jbc->kjac", stacked, strings)
    images = xp.einsum("kjac,kdc->kjad", images, xp.conj(stacked))
    maps = xp.einsum("kjad,ida->kij", images, strings).real / dim
    return maps.reshape(*unitaries.shape[:-2], dim**2, dim**2)


@lru_cache(maxsize=8)
def pauli_strings(num_qubits: int) -> NDArray:
    """All Pauli strings in order, (4**n, 2**n, 2**n)."""
    strings = np.ones((1, 1, 1), dtype=np.complex128)
    for _ in range(num_qubits):
        count, dim, _ = strings.shape
        joined = np.einsum("iab,jcd->ijacbd", strings, _PAULIS)
        strings = joined.reshape(4 * count, 2 * dim, 2 * dim)
    strings.flags.writeable = False
    return strings


def probability(name: str, value: Any) -> float:
    """A number from 0 to 1."""
    if not (is_number(value) and 0 <= value <= 1):
        raise InvalidInputError(f"{name} must be a probability from 0 to 1, got {value!r}")
    return float(value)


def is_number(value: Any) -> bool:
    """A real number; True and False are none here."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def check_relaxation_times(t1: Any, t2: Any) -> None:
    """Refuse times that no qubit can have."""
    for name, value in (("t1", t1), ("t2", t2)):
        if not (is_number(value) and value >= _SHORTEST):
            raise InvalidInputError(
                f"{name} must be a number of seconds of at least {_SHORTEST:g}, got {value!r}"
            )
    if t2 > 2 * t1 * (1 + 1e-12):
        raise InvalidInputError(
            f"t2={t2:g} s is longer than 2 t1={2 * t1:g} s, which no qubit can have; lower t2, or give "
            "t2=2*t1 for no dephasing beyond decay"
        )


def _check_square(stack: NDArray, what: str) -> None:
    dim = stack.shape[-1] if stack.ndim == 3 else 0
    if stack.shape[1:] != (dim, dim) or dim < 2 or dim & (dim - 1) or not len(stack):
        raise InvalidInputError(f"{what} must be of shape (2**n, 2**n), n at least 1, got {stack.shape[1:]}")


def _expanded(images: NDArray) -> NDArray:
    """Images E(P_j) (4**n, d, d) as columns of a transfer map."""
    strings = pauli_strings(images.shape[-1].bit_length() - 1)
    return np.asarray(np.einsum("iab,jba->ij", strings, images, optimize=True).real / images.shape[-1])
