"""Two-qubit blocks of a circuit: their free parameters, and how these move.

A block is a whole unitary (SU(4): at most three CX; SO(4), all real: two CX, quant-ph/0308006), or one or two
CX with free rotations after each. A CX carries at most four free parameters. A CX in an SU(4) uses only three
of them. So with the same number of CX, blocks of two CX are more expressive. Two CX without a rotation
between them are the identity, where such blocks start.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import Array, NDArray
from qtnml.errors import InvalidInputError
from qtnml.shallow.layouts import entering
from qtnml.shallow.window import Pair

Kind = Literal["su4", "so4", "two-cx", "cx"]
_MOST_CX: dict[str, int] = {"su4": 3, "so4": 2, "two-cx": 2, "cx": 1}

_I, _X, _Y, _Z = np.eye(2), np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
_CX = np.eye(4)[[0, 1, 3, 2]]
_ONE_QUBIT = 1j * np.stack([_X, _Y, _Z])
_TWO_QUBITS = 1j * np.stack([np.kron(a, b) for a in (_I, _X, _Y, _Z) for b in (_I, _X, _Y, _Z)])[1:]
_TWO_QUBITS_REAL = np.stack([each.real for each in _TWO_QUBITS if np.abs(each.imag).max() == 0])


class Point(NamedTuple):
    """Numbers of a circuit's blocks; what its kind of block does not have is empty.

    A leading axis of several circuits is allowed everywhere.

    Attributes:
        whole: Unitaries, (gates, 4, 4).
        before: Rotation of each place before its first block, (places, 2, 2).
        middle: Of both qubits between two CX, (gates, 2, 2, 2).
        after: Of both qubits after a block, (gates, 2, 2, 2).
    """

    # Of NumPy outside the pure functions, of JAX within.
    whole: Any
    before: Any
    middle: Any
    after: Any


class Structure(NamedTuple):
    """What the pure functions need of blocks.

    Attributes:
        first: Place that enters a block from |0>, of each side, (gates, 2); their number where none does.
        is_single: Whether a block has one CX, (gates,).
    """

    first: Array
    is_single: Array


@dataclass(frozen=True)
class Blocks:
    """The blocks of a circuit, without numbers.

    Attributes:
        num_places: Of the chain.
        pairs: Places of each block, in order of time.
        kind: "su4", "so4", "two-cx" or "cx".
    """

    num_places: int
    pairs: tuple[Pair, ...]
    kind: Kind

    def __post_init__(self) -> None:
        if self.kind not in _MOST_CX:
            raise InvalidInputError(
                f"blocks must be one of {', '.join(map(repr, _MOST_CX))}, got {self.kind!r}"
            )

    @property
    def is_whole(self) -> bool:
        """Whether blocks are whole unitaries."""
        return self.kind in ("su4", "so4")

    @property
    def is_real(self) -> bool:
        """Whether they are real."""
        return self.kind == "so4"

    @property
    def starts_at_identity(self) -> bool:
        """Whether a block can do nothing, so that layers can be added one by one."""
        return self.kind != "cx"

    @cached_property
    def two_qubit_gates(self) -> tuple[int, ...]:
        """CX of each block: one prepares any state of two places in |0>, two suffice where one is in |0>."""
        fresh = entering(self.num_places, self.pairs).sum(axis=1)
        return tuple(min(_MOST_CX[self.kind], 3 - int(new)) for new in fresh)

    @cached_property
    def structure(self) -> Structure:
        """As arrays."""
        places = np.array(self.pairs, int).reshape(-1, 2)
        first = np.where(entering(self.num_places, self.pairs), places, self.num_places)
        return Structure(first, np.full(len(self.pairs), self.kind == "cx"))

    @cached_property
    def dimension(self) -> int:
        """Coordinates of a step."""
        return sum(map(self.dimension_of, self.identity()))

    @staticmethod
    def dimension_of(matrices: NDArray) -> int:
        """Coordinates of some of a point's matrices."""
        return int(matrices.size // matrices.shape[-1] ** 2 * len(_generators(matrices)))

    def start(self, rng: np.random.Generator, spread: float) -> Point:
        """Near the identity (a CX stays one): Gaussian coordinates of a spread in radians."""
        step = spread * rng.normal(size=self.dimension)
        with jax.enable_x64(True):
            return on_numpy(moved_by(on_jax(self.identity()), jnp.asarray(step)))

    def identity(self) -> Point:
        """Blocks that do nothing, or a CX alone."""
        count, whole = len(self.pairs), self.is_whole
        kind = np.float64 if self.is_real else np.complex128
        return Point(
            np.tile(np.eye(4, dtype=kind), (count if whole else 0, 1, 1)),
            np.tile(np.eye(2, dtype=kind), (0 if whole else self.num_places, 1, 1)),
            np.tile(np.eye(2, dtype=kind), (count if self.kind == "two-cx" else 0, 2, 1, 1)),
            np.tile(np.eye(2, dtype=kind), (0 if whole else count, 2, 1, 1)),
        )

    def gates(self, point: Point) -> NDArray:
        """Matrices of all blocks (gates, 4, 4), the first qubit's level varying slowest."""
        with jax.enable_x64(True):
            return np.asarray(gates_of(self.structure, on_jax(point)))


def on_jax(point: Point) -> Point:
    """As JAX arrays."""
    return Point(*map(jnp.asarray, point))


def on_numpy(point: Point) -> Point:
    """As NumPy arrays."""
    return Point(*map(np.asarray, point))


def gates_of(structure: Structure, point: Point) -> Array:
    """Matrices (gates, 4, 4) of blocks: a pure function."""
    if point.whole.shape[0]:
        whole: Array = point.whole
        return whole
    padded = jnp.concatenate([point.before, jnp.eye(2, dtype=point.before.dtype)[None]])
    entering_now = _kron(padded[structure.first[:, 0]], padded[structure.first[:, 1]])
    core = jnp.asarray(_CX, point.before.dtype)
    if point.middle.shape[0]:
        core = core @ _kron(point.middle[:, 0], point.middle[:, 1]) @ core
    return _kron(point.after[:, 0], point.after[:, 1]) @ core @ entering_now


def _kron(one: Array, two: Array) -> Array:
    return (one[:, :, None, :, None] * two[:, None, :, None, :]).reshape(-1, 4, 4)


def moved_by(point: Point, step: Array) -> Point:
    """A point moved along the manifold: every matrix M becomes M exp(A), or M times the Cayley transform of
    A.

    Args:
        point: Where from.
        step: Coordinates of all A, of `whole`, `before`, `middle` and `after` in turn.
    """
    moved, at = [], 0
    for matrices in point:
        generators = _generators(matrices)
        count = matrices.size // matrices.shape[-1] ** 2
        own = step[at : at + count * len(generators)].reshape(*matrices.shape[:-2], len(generators))
        at += count * len(generators)
        turn = _exponential if matrices.shape[-1] == 2 else _cayley
        moved.append(matrices @ turn(own, generators) if count else matrices)
    return Point(*moved)


def coordinates_of(point: Point, gradient: Point) -> Array:
    """Derivatives by the coordinates of a step, from JAX's gradient of a real function by a point."""
    parts = []
    for matrices, slopes in zip(point, gradient, strict=True):
        # JAX gives d/dRe - i d/dIm: the derivative along M T is Re sum(slope * (M T)).
        inner = jnp.einsum("...ia,...ib->...ab", matrices, slopes)
        parts.append(jnp.einsum("...ab,kab->...k", inner, _generators(matrices)).real.reshape(-1))
    return jnp.concatenate(parts)


def value_and_slopes(
    value: Callable[[Point], Array], point: Point, step: Array
) -> tuple[Point, Array, Array]:
    """A point after a step, a real function there, and its slopes in coordinates: pure."""
    moved = moved_by(point, step)
    found, gradient = jax.value_and_grad(value)(moved)
    return moved, found, coordinates_of(moved, gradient)


def _generators(matrices: Array) -> NDArray:
    if matrices.shape[-1] == 2:
        return _ONE_QUBIT
    return _TWO_QUBITS if jnp.iscomplexobj(matrices) else _TWO_QUBITS_REAL


def _exponential(coordinates: Array, generators: NDArray) -> Array:
    """exp(sum of coordinates times Pauli generators), whose square is -r**2."""
    size = jnp.sqrt((coordinates**2).sum(axis=-1))[..., None, None]
    return jnp.cos(size) * np.eye(2) + jnp.sinc(size / jnp.pi) * jnp.tensordot(coordinates, generators, 1)


def _cayley(coordinates: Array, generators: NDArray) -> Array:
    """(1 - A/2)^-1 (1 + A/2), unitary like exp(A) and as it to second order."""
    half = jnp.tensordot(coordinates, generators, 1) / 2
    one = jnp.eye(4, dtype=half.dtype)
    found: Array = jnp.linalg.solve(one - half, one + half)
    return found
