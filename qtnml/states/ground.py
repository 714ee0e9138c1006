"""Ground states of sums of one- and two-site terms: the density-matrix renormalisation group on two sites.

Follows cond-mat/0409292 (matrix product operators) and arXiv:1008.3477 (the algorithm).
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError, StateWarning, warn_user
from qtnml.states.chains import Chain, check_cutoff, compressed
from qtnml.states.hamiltonian import Hamiltonian
from qtnml.states.state import State

_LANCZOS_STEPS = 8
_CONVERGED = 1e-8  # share of the energy that leads out of the space; of the energy its square is missing


def matrix_product_operator(hamiltonian: Hamiltonian) -> list[NDArray]:
    """Tensors (left, out, in, right) of a Hamiltonian; the outer bonds are 1.

    A bond carries "not begun", "done", and for each term across it the factors of its operator.
    """
    count, one = hamiltonian.num_sites, np.eye(2)
    starts: dict[int, list[tuple[int, NDArray, NDArray]]] = {}
    fields = [np.zeros((2, 2), complex) for _ in range(count)]
    for sites, matrix in hamiltonian.terms:
        if len(sites) == 1:
            fields[sites[0]] = fields[sites[0]] + matrix
    pairs: dict[tuple[int, int], NDArray] = {}
    for sites, matrix in hamiltonian.terms:
        if len(sites) == 2:
            tensor = matrix.reshape(2, 2, 2, 2)
            if sites[0] > sites[1]:
                tensor = tensor.transpose(1, 0, 3, 2)
            pair = (min(sites), max(sites))
            pairs[pair] = pairs.get(pair, 0) + tensor
    for (first, second), tensor in pairs.items():
        u, s, vh = np.linalg.svd(tensor.transpose(0, 2, 1, 3).reshape(4, 4))
        for k in range(int((s > 1e-14 * max(s[0], 1e-300)).sum())):
            left, right = (u[:, k] * s[k]).reshape(2, 2), vh[k].reshape(2, 2)
            starts.setdefault(first, []).append((second, left, right))
    found, open_terms = list[NDArray](), list[tuple[int, NDArray]]()
    for site in range(count):
        still = [(end, right) for end, right in open_terms if end != site]
        begun = starts.get(site, [])
        after = [*still, *((end, right) for end, _, right in begun)]
        tensor = np.zeros((2 + len(open_terms), 2, 2, 2 + len(after)), complex)
        tensor[0, :, :, 0], tensor[1, :, :, 1], tensor[0, :, :, 1] = one, one, fields[site]
        kept = 0
        for k, (end, right) in enumerate(open_terms):
            if end == site:
                tensor[2 + k, :, :, 1] = right
            else:
                tensor[2 + k, :, :, 2 + kept] = one
                kept += 1
        for k, (_, left, _) in enumerate(begun):
            tensor[0, :, :, 2 + kept + k] = left
        found.append(tensor)
        open_terms = after
    found[0], found[-1] = found[0][:1], found[-1][..., 1:2]
    return [tensor.real for tensor in found] if hamiltonian.is_real else found


def ground_state(
    hamiltonian: Hamiltonian,
    max_bond: int = 32,
    *,
    sweeps: int = 40,
    tolerance: float = 1e-10,
    cutoff: float = 1e-12,
    random_state: int = 0,
) -> State:
    """The state of lowest energy as a chain (two-site DMRG).

    Args:
        hamiltonian: A Hamiltonian of qubits.
        max_bond: Largest bond; it grows from 8 with the sweeps.
        sweeps: Largest number of sweeps, each forth and back.
        tolerance: The search ends when a sweep lowers the energy by a smaller fraction than this.
        cutoff: Share of the norm below which singular values are dropped.
        random_state: Seed of the initial state.

    Warns:
        StateWarning: The energy still fell by more than the tolerance in the last sweep.

    >>> from qtnml.states import heisenberg
    >>> state = ground_state(heisenberg(4), max_bond=4)
    >>> round(state.expectation(heisenberg(4)).real, 8)  # -3 - 2 sqrt(3)
    -6.46410162
    """
    if not isinstance(hamiltonian, Hamiltonian):
        raise InvalidInputError(f"expected a Hamiltonian, got {type(hamiltonian).__name__}")
    count = hamiltonian.num_sites
    if count < 2:
        raise InvalidInputError(f"a ground state is of at least two sites, got {count}")
    if isinstance(max_bond, bool) or not isinstance(max_bond, int | np.integer) or max_bond < 1:
        raise InvalidInputError(f"max_bond must be an integer of at least 1, got {max_bond!r}")
    if isinstance(sweeps, bool) or not isinstance(sweeps, int | np.integer) or sweeps < 1:
        raise InvalidInputError(f"sweeps must be an integer of at least 1, got {sweeps!r}")
    check_cutoff(cutoff)
    check_cutoff(tolerance)
    scale = max((float(np.abs(matrix).max()) for _, matrix in hamiltonian.terms), default=0.0)
    run = _Sweeps(hamiltonian, cutoff, np.random.default_rng(random_state))
    energy, fell = np.inf, np.inf
    for sweep in range(sweeps):
        before, bond = energy, min(int(max_bond), 8 * 2**sweep)
        energy = run.there_and_back(bond)
        fell = before - energy
        if bond == max_bond and fell <= tolerance * max(scale, abs(energy)):
            break
    else:
        warn_user(
            f"the energy {energy:.8g} still fell by {fell:.1e} in the last of {sweeps} sweeps; raise sweeps",
            StateWarning,
        )
    tensors = compressed(run.tensors, int(max_bond), cutoff)
    return State(Chain(tuple(tensors), tuple(range(count))).state())


class _Sweeps:
    """A state, right-canonical between sweeps, and what lies to the left and right of each site."""

    def __init__(self, hamiltonian: Hamiltonian, cutoff: float, rng: np.random.Generator) -> None:
        self._operator, self._cutoff = matrix_product_operator(hamiltonian), cutoff
        count = hamiltonian.num_sites
        bonds = [min(4, 2 ** min(k, count - k, 10)) for k in range(count + 1)]
        start = [rng.normal(size=(bonds[k], 2, bonds[k + 1])) for k in range(count)]
        if not hamiltonian.is_real:
            start = [tensor + 1j * rng.normal(size=tensor.shape) for tensor in start]
        self.tensors = compressed(start)
        # Of what lies left of a site (bra, operator, ket), and right of it.
        self._left: list[NDArray] = [np.ones((1, 1, 1))] * (count + 1)
        self._right: list[NDArray] = [np.ones((1, 1, 1))] * (count + 1)
        for site in range(count - 1, 0, -1):
            self._right[site] = _grown_left(self.tensors[site], self._operator[site], self._right[site + 1])

    def there_and_back(self, bond: int) -> float:
        """One sweep; the energy at its end."""
        energy = np.inf
        count = len(self.tensors)
        for site in range(count - 1):
            energy = self._pair(site, bond, rightwards=True)
        for site in range(count - 2, -1, -1):
            energy = self._pair(site, bond, rightwards=False)
        return energy

    def _pair(self, site: int, bond: int, *, rightwards: bool) -> float:
        pair = np.tensordot(self.tensors[site], self.tensors[site + 1], (2, 0))
        act = partial(
            _applied,
            shape=pair.shape,
            left=self._left[site],
            one=self._operator[site],
            two=self._operator[site + 1],
            right=self._right[site + 2],
        )
        energy, lowest = _lowest(act, pair.reshape(-1))
        u, s, vh = np.linalg.svd(lowest.reshape(pair.shape[0] * 2, -1), full_matrices=False)
        kept = min(bond, max(1, int((s > self._cutoff * np.linalg.norm(s)).sum())))
        s = s[:kept] / np.linalg.norm(s[:kept])
        u, vh = u[:, :kept], vh[:kept]
        if rightwards:
            vh = s[:, None] * vh
        else:
            u = u * s
        self.tensors[site] = u.reshape(pair.shape[0], 2, kept)
        self.tensors[site + 1] = vh.reshape(kept, 2, pair.shape[3])
        if rightwards:
            self._left[site + 1] = _grown_right(self.tensors[site], self._operator[site], self._left[site])
        else:
            self._right[site + 1] = _grown_left(
                self.tensors[site + 1], self._operator[site + 1], self._right[site + 2]
            )
        return energy


def _grown_right(tensor: NDArray, operator: NDArray, left: NDArray) -> NDArray:
    """(bra, operator, ket) of a part with one more site on its right."""
    found = np.tensordot(left, tensor, (2, 0))  # bra, operator, level, ket
    found = np.tensordot(found, operator, ((1, 2), (0, 2)))  # bra, ket, level, operator
    return np.tensordot(tensor.conj(), found, ((0, 1), (0, 2))).transpose(0, 2, 1)


def _grown_left(tensor: NDArray, operator: NDArray, right: NDArray) -> NDArray:
    """(bra, operator, ket) of a part with one more site on its left."""
    found = np.tensordot(tensor, right, (2, 2))  # ket, level, bra, operator
    found = np.tensordot(found, operator, ((1, 3), (2, 3)))  # ket, bra, operator, level
    return np.tensordot(tensor.conj(), found, ((1, 2), (3, 1))).transpose(0, 2, 1)


def _applied(
    vector: NDArray, *, shape: tuple[int, ...], left: NDArray, one: NDArray, two: NDArray, right: NDArray
) -> NDArray:
    found = np.tensordot(left, vector.reshape(shape), (2, 0))  # bra, operator, s, t, ket
    found = np.tensordot(found, one, ((1, 2), (0, 2)))  # bra, t, ket, s, operator
    found = np.tensordot(found, two, ((4, 1), (0, 2)))  # bra, ket, s, t, operator
    found = np.tensordot(found, right, ((4, 1), (1, 2)))  # bra, s, t, bra
    return found.reshape(-1)


def _lowest(act: Callable[[NDArray], NDArray], start: NDArray) -> tuple[float, NDArray]:
    """An approximation from above of the lowest eigenvalue of a Hermitian operator, and its vector.

    A few Lanczos steps: the next sweep takes them up again.
    """
    basis = [start / np.linalg.norm(start)]
    matrix = np.zeros((_LANCZOS_STEPS, _LANCZOS_STEPS))
    for k in range(_LANCZOS_STEPS):
        new = act(basis[k])
        matrix[k, k] = np.vdot(basis[k], new).real
        for vector in basis * 2:  # also those before the last two, and twice: rounding brings them back
            new = new - np.vdot(vector, new) * vector
        norm = float(np.linalg.norm(new))
        if k + 1 == min(_LANCZOS_STEPS, len(start)) or norm <= _CONVERGED * np.abs(matrix).max():
            break
        matrix[k, k + 1] = matrix[k + 1, k] = norm
        basis.append(new / norm)
    size = len(basis)
    values, vectors = np.linalg.eigh(matrix[:size, :size])
    return float(values[0]), np.asarray(np.tensordot(vectors[:, 0], np.stack(basis), 1))
