"""Sums of terms on one or two sites: spin chains, their energies and their evolution."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError

PAULIS: Mapping[str, NDArray] = {
    "I": np.eye(2),
    "X": np.array([[0.0, 1.0], [1.0, 0.0]]),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1.0, -1.0]),
}


@dataclass(frozen=True, eq=False)
class Hamiltonian:
    """A sum of Hermitian matrices, each on one site or two.

    Attributes:
        num_sites: Number of sites of the system.
        terms: Pairs (sites, matrix); the first site varies slowest.

    >>> ising(3, field=1.0)
    Hamiltonian(3 sites, 5 terms)
    """

    num_sites: int
    terms: tuple[tuple[tuple[int, ...], NDArray], ...]

    def __post_init__(self) -> None:
        for sites, matrix in self.terms:
            if not 1 <= len(sites) <= 2 or len(set(sites)) != len(sites):
                raise InvalidInputError(f"a term acts on one site or two different ones, got {sites}")
            if not all(0 <= site < self.num_sites for site in sites):
                raise InvalidInputError(f"sites are integers from 0 to {self.num_sites - 1}, got {sites}")
            if matrix.shape != (2 ** len(sites),) * 2:
                raise InvalidInputError(f"the term on sites {sites} has a matrix of shape {matrix.shape}")
            if not np.abs(matrix - matrix.conj().T).max() < 1e-10:
                raise InvalidInputError(f"the term on sites {sites} is not Hermitian")

    @classmethod
    def from_paulis(cls, num_sites: int, terms: Iterable[tuple[str, Sequence[int], float]]) -> "Hamiltonian":
        """A sum of terms such as ("XX", (0, 1), 0.5), in the format of `SparsePauliOp.from_sparse_list`."""
        found = []
        for letters, sites, coefficient in terms:
            if len(letters) != len(sites) or not set(letters) <= set("IXYZ") or not letters:
                raise InvalidInputError(
                    f"a term is letters X, Y, Z and as many sites, got {letters!r} on {tuple(sites)}"
                )
            matrix = PAULIS[letters[0]]
            for letter in letters[1:]:
                matrix = np.kron(matrix, PAULIS[letter])
            found.append((tuple(sites), coefficient * matrix))
        return cls(num_sites, tuple(found))

    @classmethod
    def from_qiskit(cls, operator: Any) -> "Hamiltonian":
        """A Hamiltonian from a `SparsePauliOp` with terms on at most two qubits; qubit k is site k.

        A constant is kept as an identity on site 0.
        """
        terms = []
        for letters, sites, coefficient in operator.to_sparse_list():
            if abs(np.imag(coefficient)) > 1e-12 * max(1.0, abs(coefficient)):
                raise InvalidInputError(
                    f"a Hamiltonian has real coefficients, got {coefficient} of {letters or 'the identity'}"
                )
            terms.append((letters or "I", sites or (0,), float(np.real(coefficient))))
        return cls.from_paulis(operator.num_qubits, terms)

    @property
    def is_real(self) -> bool:
        """Whether all matrices are real."""
        return all(np.abs(matrix.imag).max() == 0 for _, matrix in self.terms)

    def bonds(self) -> dict[tuple[int, int], NDArray]:
        """Terms of each pair of sites (lower, higher). Every field is shared among the pairs of its site.

        Raises:
            InvalidInputError: A field is on a site that is in no pair.
        """
        found: dict[tuple[int, int], NDArray] = {}
        for sites, matrix in self.terms:
            if len(sites) == 2:
                pair, both = sites, matrix
                if sites[0] > sites[1]:
                    pair, both = sites[::-1], _swapped(matrix)
                found[pair] = found.get(pair, 0) + both
        neighbours: dict[int, list[tuple[int, int]]] = {}
        for first, second in found:
            neighbours.setdefault(first, []).append((first, second))
            neighbours.setdefault(second, []).append((first, second))
        for sites, matrix in self.terms:
            if len(sites) == 1:
                pairs = neighbours.get(sites[0], [])
                if not pairs:
                    raise InvalidInputError(f"site {sites[0]} has a field and no neighbour")
                for pair in pairs:
                    field = np.kron(matrix, np.eye(2)) if pair[0] == sites[0] else np.kron(np.eye(2), matrix)
                    found[pair] = found[pair] + field / len(pairs)
        return found

    def matrix(self) -> NDArray:
        """Dense matrix (2**sites, 2**sites), for at most 14 sites; site 0 varies slowest."""
        if self.num_sites > 14:
            raise InvalidInputError(f"a dense matrix of {self.num_sites} sites does not fit; at most 14")
        size = 2**self.num_sites
        vectors = np.eye(size, dtype=complex)
        return np.asarray(self.apply(vectors).T)

    def apply(self, vectors: NDArray) -> NDArray:
        """H psi for dense vectors psi (..., 2**sites); site 0 varies slowest."""
        shape = (-1, *[2] * self.num_sites)
        tensor = np.asarray(vectors).reshape(shape)
        total = np.zeros(tensor.shape, np.result_type(tensor, *(matrix for _, matrix in self.terms)))
        for sites, matrix in self.terms:
            axes = [1 + site for site in sites]
            operator = matrix.reshape([2] * (2 * len(sites)))
            moved = np.tensordot(operator, tensor, (range(len(sites), 2 * len(sites)), axes))
            total += np.moveaxis(moved, range(len(sites)), axes)
        return np.asarray(total.reshape(np.shape(vectors)))

    def __repr__(self) -> str:
        return f"Hamiltonian({self.num_sites} sites, {len(self.terms)} terms)"


def _swapped(matrix: NDArray) -> NDArray:
    return np.asarray(matrix.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4))


def _pairs(num_sites: int, *, periodic: bool) -> list[tuple[int, int]]:
    if num_sites < 2:
        raise InvalidInputError(f"a chain of spins has at least two sites, got {num_sites}")
    pairs = [(k, k + 1) for k in range(num_sites - 1)]
    return [*pairs, (num_sites - 1, 0)] if periodic and num_sites > 2 else pairs


def ising(
    num_sites: int, *, coupling: float = 1.0, field: float = 1.0, periodic: bool = False
) -> Hamiltonian:
    """Transverse-field Ising chain, -J sum Z_i Z_{i+1} - g sum X_i in Pauli matrices; critical at g = J."""
    terms = [("ZZ", pair, -coupling) for pair in _pairs(num_sites, periodic=periodic)]
    return Hamiltonian.from_paulis(
        num_sites, [*terms, *(("X", (site,), -field) for site in range(num_sites))]
    )


def xxz(
    num_sites: int,
    *,
    couplings: float | Sequence[float] = 1.0,
    anisotropy: float = 1.0,
    field: float = 0.0,
    periodic: bool = False,
) -> Hamiltonian:
    """XXZ chain, sum J_i (X X + Y Y + delta Z Z) + h sum Z in Pauli matrices.

    delta = 1 is Heisenberg's chain.

    Args:
        num_sites: Number of sites of the chain.
        couplings: J, one for all pairs or one for each pair.
        anisotropy: delta.
        field: h.
        periodic: Whether the last spin is joined to the first.
    """
    pairs = _pairs(num_sites, periodic=periodic)
    each = np.broadcast_to(couplings, len(pairs)) if np.ndim(couplings) == 0 else np.asarray(couplings)
    if len(each) != len(pairs):
        raise InvalidInputError(f"{len(pairs)} pairs need as many couplings, got {len(each)}")
    terms: list[tuple[str, Sequence[int], float]] = []
    for pair, strength in zip(pairs, each.tolist(), strict=True):
        terms += [("XX", pair, strength), ("YY", pair, strength), ("ZZ", pair, strength * anisotropy)]
    fields = [("Z", (site,), field) for site in range(num_sites)] if field else []
    return Hamiltonian.from_paulis(num_sites, [*terms, *fields])


def heisenberg(num_sites: int, *, periodic: bool = False) -> Hamiltonian:
    """Heisenberg chain, sum (X X + Y Y + Z Z) in Pauli matrices: four times the sum of S . S."""
    return xxz(num_sites, periodic=periodic)
