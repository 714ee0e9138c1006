"""The cosine/sine encoding of arXiv:1803.11537: one feature, one qubit, one RY gate."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from qiskit.circuit import Gate, ParameterExpression
from qiskit.circuit.library import RYGate

from qtnml.arrays import Array, NDArray, namespace
from qtnml.errors import InvalidInputError


@dataclass(frozen=True)
class AngleEncoding:
    """A feature x in [0, 1] becomes cos(pi x / 2)|0> + sin(pi x / 2)|1>.

    The state is real, so its Bloch vector has no Y component: `paulis` names the components that
    `bloch` returns, and the contraction spends no work on the missing one.
    """

    name: ClassVar[str] = "angle"
    paulis: ClassVar[str] = "IXZ"

    def check(self, X: NDArray) -> None:
        """Refuse features that are not finite numbers in [0, 1]."""
        if not np.isfinite(X).all():
            raise InvalidInputError("features must be finite, got NaN or infinity; fill missing values first")
        if X.size and (X.min() < 0 or X.max() > 1):
            raise InvalidInputError(
                f"the angle encoding takes features in [0, 1], got values from {X.min():.6g} to "
                f"{X.max():.6g}; scale them first"
            )

    def vectors(self, X: NDArray) -> NDArray:
        """Amplitudes of each feature's qubit, shape (*X.shape, 2).

        >>> AngleEncoding().vectors(np.array([0.0, 1.0])).round(12)
        array([[1., 0.],
               [0., 1.]])
        """
        half_angle = self.angles(X) / 2
        return np.stack([np.cos(half_angle), np.sin(half_angle)], axis=-1)

    def bloch(self, X: Array) -> Array:
        """Pauli expectations (1, <X>, <Z>) of each feature's qubit, stacked on a new first axis.

        A pure function of a NumPy or JAX array; values are not checked, so that it can be traced.
        """
        xp = namespace(X)
        angle = np.pi * X
        bloch: Array = xp.stack([xp.ones_like(angle), xp.sin(angle), xp.cos(angle)])
        return bloch

    def angles(self, X: NDArray) -> NDArray:
        """Angle in radians that `gate` needs for each feature, shape of X.

        >>> AngleEncoding().angles(np.array([0.5])) / np.pi
        array([0.5])
        """
        X = np.asarray(X, dtype=np.float64)
        self.check(X)
        return np.pi * X

    def gate(self, angle: float | ParameterExpression) -> Gate:
        """Gate that prepares a feature's state from |0>; `angle` is a number or a parameter."""
        return RYGate(angle)
