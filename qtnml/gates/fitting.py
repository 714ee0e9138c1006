"""Numerical synthesis: fits the angles of a skeleton to a node, up to unobservable freedom.

The residual F S(angles) - U over angles and frame F is brought to zero by Levenberg-Marquardt. It is a
least-squares problem of a few hundred unknowns with a cheap Jacobian. So it converges quadratically and to
machine precision, where gradient descent is slow. The smallest number of CX for a generic node of a shape is
the number from which the Jacobian at a random point has full rank (with fewer CX, the reachable set has
measure zero). A fit with fewer CX returns the best result it found, with its infidelity.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, count

import numpy as np

from qtnml.arrays import NDArray
from qtnml.gates.shape import NodeShape
from qtnml.gates.skeleton import Skeleton

REAL_TOLERANCE = 1e-13  # of imaginary parts, below which a node is fitted with real gates
_EXACT = 1e-24  # a squared residual per column; at 1e-28 rounding takes over
_STALLED = 1e-4  # relative gain in _PATIENCE iterations below which a fit has ended
_PATIENCE = 25
_RANK_TOLERANCE = 1e-7
_RANK_EQUATIONS = 1024  # of more, the rank takes minutes
_MOST_DAMPING = 1e7


@dataclass(frozen=True)
class Fit:
    """Angles of a skeleton and the frame element to multiply from the left.

    Attributes:
        skeleton: The CX.
        angles: Its angles, radians.
        frame: F, (d, d).
        residual: |F S - U|**2 over the columns in use, divided by twice their number: 1 - the square root
            of the channel fidelity.
    """

    skeleton: Skeleton
    angles: NDArray
    frame: NDArray
    residual: float

    @property
    def exact(self) -> bool:
        """Up to rounding."""
        return self.residual <= _EXACT


def fit_exactly(
    unitary: NDArray, shape: NodeShape, cycle: tuple[tuple[int, int], ...], rng: np.random.Generator
) -> Fit | None:
    """With the fewest CX, or None if no fit converged near that number."""
    real = bool(np.abs(unitary.imag).max() < REAL_TOLERANCE)
    skeleton = generic_skeleton(shape, cycle, real)
    for extra in (*[0] * 10, 1, 2, 4):
        pairs = (*((cycle * extra)[:extra]), *skeleton.pairs)
        fit = fit_skeleton(unitary, shape, Skeleton(shape.num_qubits, pairs, real), rng)
        if fit.exact:
            return fit
    return None


def fit_best(
    unitary: NDArray, shape: NodeShape, skeleton: Skeleton, rng: np.random.Generator, starts: int = 4
) -> Fit:
    """The best of several fits with a given skeleton."""
    best = fit_skeleton(unitary, shape, skeleton, rng)
    for _ in range(starts - 1):
        if best.exact:
            break
        best = min(best, fit_skeleton(unitary, shape, skeleton, rng), key=lambda fit: fit.residual)
    return best


def fit_skeleton(
    unitary: NDArray, shape: NodeShape, skeleton: Skeleton, rng: np.random.Generator, iterations: int = 400
) -> Fit:
    """One fit from random angles (Levenberg-Marquardt with Nielsen's damping)."""
    problem = _Problem(unitary, shape, skeleton)
    angles, frame = rng.uniform(-np.pi, np.pi, skeleton.num_angles), np.eye(len(unitary), dtype=np.complex128)
    prefixes = skeleton.prefixes(angles)
    residual, damping, history = problem.residual(frame @ prefixes[-1]), 1.0, [1.0]
    for _ in range(iterations):
        jacobian, wanted = problem.linearised(angles, frame, prefixes)
        normal, gradient = jacobian @ jacobian.T, jacobian @ wanted
        growth = 2.0
        while True:
            step = np.linalg.solve(normal + damping * np.eye(len(normal)), gradient)
            new_angles = angles + step[: len(angles)]
            new_frame = problem.turned(frame, step[len(angles) :])
            new_prefixes = skeleton.prefixes(new_angles)
            new = problem.residual(new_frame @ new_prefixes[-1])
            if new < residual:
                break
            damping, growth = damping * growth, 2 * growth
            if damping > _MOST_DAMPING:
                return Fit(skeleton, angles, frame, residual)
        predicted = step @ (damping * step + gradient) / (2 * len(shape.columns))
        gained = (residual - new) / predicted
        damping = max(damping * max(1 / 3, 1 - (2 * gained - 1) ** 3), 1e-12)
        angles, frame, prefixes, residual = new_angles, new_frame, new_prefixes, new
        history.append(residual)
        slow = len(history) > _PATIENCE and history[-_PATIENCE] - residual < _STALLED * residual
        if residual <= _EXACT or slow:
            break
    return Fit(skeleton, angles, frame, residual)


class _Problem:
    """The residual of one node and its linearisation in the right frame of F S."""

    def __init__(self, unitary: NDArray, shape: NodeShape, skeleton: Skeleton) -> None:
        self._unitary, self._skeleton = unitary, skeleton
        self._columns, self._whole = shape.columns, shape.fresh == 0
        self._generators = shape.frame_generators(real=skeleton.real)

    def residual(self, built: NDArray) -> float:
        difference = (built - self._unitary)[:, self._columns]
        return float(np.vdot(difference, difference).real / (2 * len(self._columns)))

    def turned(self, frame: NDArray, coordinates: NDArray) -> NDArray:
        """Exp(-i/2 sum of coordinates times generators) F."""
        if not len(coordinates):
            return frame
        values, vectors = np.linalg.eigh(np.tensordot(coordinates, self._generators, 1))
        return np.asarray((vectors * np.exp(-0.5j * values)) @ (vectors.conj().T @ frame))

    def linearised(self, angles: NDArray, frame: NDArray, prefixes: NDArray) -> tuple[NDArray, NDArray]:
        """Real matrix (unknowns, equations) and the wanted change (equations,)."""
        built = frame @ prefixes[-1]
        own = self._skeleton.generators(angles, prefixes, self._columns)
        frame_own = built.conj().T @ (self._generators @ built[:, self._columns])
        generators = np.concatenate([own, frame_own])
        wanted = built.conj().T @ self._unitary
        if self._whole:  # both sides are anti-Hermitian to first order: half the equations
            return _hermitian_rows(generators) / 2, _hermitian_rows(0.5j * (wanted - wanted.conj().T)[None])[
                0
            ]
        difference = (wanted - np.eye(len(wanted)))[None, :, self._columns]
        return _complex_rows(-0.5j * generators), _complex_rows(difference)[0]


def _hermitian_rows(matrices: NDArray) -> NDArray:
    """Independent real numbers of Hermitian matrices, with the Frobenius norm as their length."""
    upper = matrices[:, *np.triu_indices(matrices.shape[1], 1)] * np.sqrt(2)
    diagonal = np.einsum("kaa->ka", matrices).real
    return np.concatenate([diagonal, upper.real, upper.imag], axis=1)


def _complex_rows(matrices: NDArray) -> NDArray:
    flat = matrices.reshape(len(matrices), -1)
    return np.concatenate([flat.real, flat.imag], axis=1)


def all_pairs(num_qubits: int) -> tuple[tuple[int, int], ...]:
    """Every pair of qubits once, disjoint pairs next to each other where there are any."""
    left, found = list(combinations(range(num_qubits), 2)), []
    while left:
        busy: set[int] = set()
        for pair in list(left):
            if not busy & set(pair):
                busy |= set(pair)
                found.append(pair)
                left.remove(pair)
    return tuple(found)


def line_pairs(num_qubits: int) -> tuple[tuple[int, int], ...]:
    """Neighbours only: the layers of a brick wall."""
    return tuple((q, q + 1) for first in (0, 1) for q in range(first, num_qubits - 1, 2))


@lru_cache(maxsize=256)
def generic_skeleton(shape: NodeShape, cycle: tuple[tuple[int, int], ...], real: bool) -> Skeleton:
    """The fewest CX, repeating `cycle` from any of its members, that generic nodes of a shape need."""
    size, bound = shape.num_qubits, _counting_bound(shape, real)
    if 2 ** (size + 1) * len(shape.columns) > _RANK_EQUATIONS:  # a few per cent more converge sooner, too
        return Skeleton(size, _repeated(cycle, bound + bound // 20), real)
    starts = range(len(cycle)) if size <= 4 else (0,)  # of more qubits, each rank takes a second
    skeletons = (
        Skeleton(size, _repeated(cycle[first:] + cycle[:first], number), real)
        for number in count(bound)
        for first in starts
    )
    return next(skeleton for skeleton in skeletons if _reaches_everything(shape, skeleton))


def _repeated(cycle: tuple[tuple[int, int], ...], number: int) -> tuple[tuple[int, int], ...]:
    return (cycle * (number // len(cycle) + 1))[:number]


def _counting_bound(shape: NodeShape, real: bool) -> int:
    """CX needed by counting parameters alone."""
    dim, columns = int(2**shape.num_qubits), len(shape.columns)
    frame: int = len(shape.frame_generators(real=real))
    lost = shape.num_qubits - shape.width
    used = shape.num_qubits - shape.fresh
    if real:
        wanted = dim * columns - columns * (columns + 1) // 2
        own = lost + (shape.width if shape.output == "wire" else 0)
        return max(0, math.ceil((wanted - (frame - own) - shape.num_qubits) / 2))
    wanted = 2 * dim * columns - columns**2 - 1
    own = 3 * lost + {"wire": 3, "fixed": 0, "measured": 1}[shape.output] * shape.width
    return max(0, math.ceil((wanted - (frame - 1 - own) - 3 * used - 2 * shape.fresh) / 4))


def _reaches_everything(shape: NodeShape, skeleton: Skeleton) -> bool:
    """Whether small changes of the angles and the frame make every small change of the node."""
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, skeleton.num_angles)
    prefixes = skeleton.prefixes(angles)
    problem = _Problem(prefixes[-1], shape, skeleton)
    jacobian, _ = problem.linearised(angles, np.eye(2**shape.num_qubits), prefixes)
    dim, columns = 2**shape.num_qubits, len(shape.columns)
    full = dim * columns - columns * (columns + 1) // 2 if skeleton.real else 2 * dim * columns - columns**2
    return bool(np.linalg.matrix_rank(jacobian, tol=_RANK_TOLERANCE) >= full)
