"""Encodings map features to angles, and an angle to one qubit's state and the gate that prepares it.

An encoding has two parts: numbers (`angles`, `amplitudes`) and a gate; `check_encoding` compares them. This
module derives the rest of the product state from them, once for all encodings.
"""

from copy import copy
from typing import ClassVar, Protocol

import numpy as np
from qiskit.circuit import Gate, ParameterExpression
from qiskit.quantum_info import Operator

from qtnml.arrays import Array, NDArray, namespace
from qtnml.errors import InvalidInputError


class Encoding(Protocol):
    """Encodes a feature in qubits, with one angle for each qubit. Implementations are frozen and hashable.

    An optional method `formula(qubit, *parameters) -> str` tells readers of an exported circuit the angle of
    a feature f in [0, 1] on the given qubit of the feature.

    Attributes:
        name: A short, unique name.
        is_real: Whether amplitudes are real for every angle. If so, the contraction leaves out Y.
        qubits_per_feature: Number of data qubits of each feature.
    """

    name: ClassVar[str]
    is_real: ClassVar[bool]

    @property
    def qubits_per_feature(self) -> int:
        """Number of data qubits of each feature."""

    def check(self, X: NDArray) -> None:
        """Raise `InvalidInputError` for features that cannot be encoded."""

    def parameters(self, num_features: int) -> tuple[NDArray, ...]:
        """Initial values of the trainable parameters; empty if there are none."""

    def angles(self, X: Array, parameters: tuple[Array, ...] = ()) -> Array:
        """Angles in radians (..., features * qubits_per_feature) of features (..., features).

        It is pure NumPy or JAX. The qubits of one feature are adjacent. Without `parameters` the initial
        values are used.
        """

    def amplitudes(self, angles: Array) -> tuple[Array, Array]:
        """Amplitudes of |0> and |1>, each of the shape of `angles`; pure NumPy or JAX."""

    def gate(self, angle: float | ParameterExpression) -> Gate:
        """Gate that prepares the state from |0>; `angle` is a number or a parameter."""


def leaf_paulis(encoding: Encoding) -> str:
    """Labels of the Pauli expectations that `bloch_vectors` returns."""
    return "IXZ" if encoding.is_real else "IXYZ"


def state_vectors(encoding: Encoding, X: NDArray, parameters: tuple[Array, ...] = ()) -> NDArray:
    """Amplitudes of each data qubit, shape (..., data qubits, 2) for X of shape (..., features), checked."""
    X = np.asarray(X, dtype=np.float64)
    encoding.check(X)
    amplitudes = encoding.amplitudes(encoding.angles(X, parameters))
    return np.stack([np.asarray(amplitude) for amplitude in amplitudes], axis=-1)


def data_angles(encoding: Encoding, X: NDArray, parameters: tuple[Array, ...] = ()) -> NDArray:
    """Angles in radians of the gates that prepare samples, shape (samples, data qubits), checked."""
    X = np.asarray(X, dtype=np.float64)
    encoding.check(X)
    return np.asarray(encoding.angles(X, tuple(np.asarray(p) for p in parameters)))


def bloch_vectors(encoding: Encoding, X: Array, parameters: tuple[Array, ...] = ()) -> Array:
    """Pauli expectations of each data qubit, shape (labels, data qubits, batch), for X (batch, features).

    It is a pure function of NumPy or JAX arrays. Values are not checked, so that it can be traced.
    """
    xp = namespace(X)
    zero, one = encoding.amplitudes(encoding.angles(X, parameters).T)
    if encoding.is_real:
        return xp.stack([xp.ones_like(zero), 2 * zero * one, zero**2 - one**2])  # type: ignore[no-any-return]
    cross = xp.conj(zero) * one
    rows = [xp.ones_like(cross.real), 2 * cross.real, 2 * cross.imag, xp.abs(zero) ** 2 - xp.abs(one) ** 2]
    return xp.stack(rows)  # type: ignore[no-any-return]


def check_encoding(encoding: Encoding, X: NDArray) -> None:
    """Check the contract of every encoding, built in or your own, on samples X (samples, features).

    Shapes fit. States are normalised, and real if `is_real` says so. The gate prepares the state that the
    amplitudes describe. JAX computes the same Bloch vectors as NumPy.

    Raises:
        InvalidInputError: A check failed; the error names the first one.
    """
    import jax.numpy as jnp

    X = np.asarray(X, dtype=np.float64)
    if copy(encoding) != encoding or hash(copy(encoding)) != hash(encoding):
        raise InvalidInputError(
            f"{encoding.name}: differs from its own copy; make it a frozen dataclass, which compares by value"
        )
    parameters = encoding.parameters(X.shape[1])
    angles = data_angles(encoding, X, parameters)
    expected = (len(X), X.shape[1] * encoding.qubits_per_feature)
    if angles.shape != expected:
        raise InvalidInputError(f"{encoding.name}: angles have shape {angles.shape}, expected {expected}")
    vectors = state_vectors(encoding, X, parameters)
    if encoding.is_real and np.iscomplexobj(vectors):
        raise InvalidInputError(f"{encoding.name}: promises real amplitudes and returns complex ones")
    off = np.abs((np.abs(vectors) ** 2).sum(axis=-1) - 1).max()
    if not off < 1e-12:
        raise InvalidInputError(f"{encoding.name}: a state's squared norm is off 1 by {off:.1e}")
    prepared = np.array([Operator(encoding.gate(float(angle))).data[:, 0] for angle in angles.ravel()])
    overlap = np.abs((prepared.conj() * vectors.reshape(-1, 2)).sum(axis=1))
    if not np.abs(overlap - 1).max() < 1e-12:
        raise InvalidInputError(
            f"{encoding.name}: the gate prepares another state than the amplitudes say (overlap "
            f"{overlap.min():.6g})"
        )
    jax_bloch = bloch_vectors(encoding, jnp.asarray(X), tuple(map(jnp.asarray, parameters)))
    difference = np.abs(np.asarray(jax_bloch) - np.asarray(bloch_vectors(encoding, X, parameters))).max()
    if not difference < 1e-5:
        raise InvalidInputError(f"{encoding.name}: JAX and NumPy differ by {difference:.1e}")
