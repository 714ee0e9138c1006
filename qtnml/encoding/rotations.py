"""Encodings by one RY rotation per qubit: cos(angle / 2)|0> + sin(angle / 2)|1>."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from qiskit.circuit import Gate, ParameterExpression
from qiskit.circuit.library import RYGate

from qtnml.arrays import Array, NDArray, namespace
from qtnml.errors import InvalidInputError


def _check_unit_range(X: NDArray, name: str) -> None:
    if not np.isfinite(X).all():
        raise InvalidInputError("features must be finite, got NaN or infinity; fill missing values first")
    if X.size and (X.min() < 0 or X.max() > 1):
        raise InvalidInputError(
            f"the {name} encoding takes features in [0, 1], got values from {X.min():.6g} to "
            f"{X.max():.6g}; scale them first"
        )


def _half_angle_state(angles: Array) -> tuple[Array, Array]:
    xp = namespace(angles)
    return xp.cos(angles / 2), xp.sin(angles / 2)


@dataclass(frozen=True)
class AngleEncoding:
    """Encodes a feature x in [0, 1] as cos(pi x / 2)|0> + sin(pi x / 2)|1> (arXiv:1803.11537).

    Attributes:
        trainable: Learn a scale s for each feature, which starts at 1; the angle is pi s x.

    >>> AngleEncoding().angles(np.array([0.5])) / np.pi
    array([0.5])
    """

    name: ClassVar[str] = "angle"
    is_real: ClassVar[bool] = True
    qubits_per_feature: ClassVar[int] = 1
    trainable: bool = False

    def check(self, X: NDArray) -> None:
        """Refuse features that are not finite numbers in [0, 1]."""
        _check_unit_range(X, self.name)

    def parameters(self, num_features: int) -> tuple[NDArray, ...]:
        """The scales, if they are trained."""
        return (np.ones(num_features),) if self.trainable else ()

    def angles(self, X: Array, parameters: tuple[Array, ...] = ()) -> Array:
        """Angles pi s x in radians, in the shape of X."""
        return np.pi * X * parameters[0] if parameters else np.pi * X

    def formula(self, qubit: int, scale: float = 1.0) -> str:  # noqa: ARG002
        """The angle of a scaled feature f, for people."""
        return "pi * f" if scale == 1 else f"{scale:.17g} * pi * f"

    def amplitudes(self, angles: Array) -> tuple[Array, Array]:
        """Cosine and sine of half the angle."""
        return _half_angle_state(angles)

    def gate(self, angle: float | ParameterExpression) -> Gate:
        """An RY rotation."""
        return RYGate(angle)


@dataclass(frozen=True)
class RationalEncoding:
    """Encodes a value x as (|0> + x |1>) / sqrt(1 + x**2): affine in x up to the norm, for any real x.

    Attributes:
        low, high: Values x of features scaled to 0 and to 1: x = low + (high - low) * feature.

    >>> (RationalEncoding().angles(np.array([0.0, 1.0])) / np.pi).tolist()
    [0.0, 0.5]
    >>> (RationalEncoding(-1, 1).angles(np.array([0.0, 0.5, 1.0])) / np.pi).tolist()
    [-0.5, 0.0, 0.5]
    """

    name: ClassVar[str] = "rational"
    is_real: ClassVar[bool] = True
    qubits_per_feature: ClassVar[int] = 1
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite([self.low, self.high]).all() and self.low < self.high):
            raise InvalidInputError(f"low must be below high, both finite, got {self.low} and {self.high}")

    def check(self, X: NDArray) -> None:
        """Refuse features that are not finite."""
        if not np.isfinite(X).all():
            raise InvalidInputError("features must be finite, got NaN or infinity; fill missing values first")

    def parameters(self, num_features: int) -> tuple[NDArray, ...]:  # noqa: ARG002
        """Nothing to train."""
        return ()

    def angles(self, X: Array, parameters: tuple[Array, ...] = ()) -> Array:  # noqa: ARG002
        """Angles 2 arctan(x) in radians, in the shape of X."""
        return 2 * namespace(X).atan(self.low + (self.high - self.low) * X)  # type: ignore[no-any-return]

    def formula(self, qubit: int) -> str:  # noqa: ARG002
        """The angle of a scaled feature f, for people."""
        return f"2 * arctan({self.low:g} + {self.high - self.low:g} * f)"

    def amplitudes(self, angles: Array) -> tuple[Array, Array]:
        """Cosine and sine of half the angle."""
        return _half_angle_state(angles)

    def gate(self, angle: float | ParameterExpression) -> Gate:
        """An RY rotation."""
        return RYGate(angle)


@dataclass(frozen=True)
class MultiQubitEncoding:
    """Encodes a feature x in [0, 1] in several qubits j = 0, 1, ..., each rotated by another angle.

    Attributes:
        qubits_per_feature: Number of data qubits of each feature, at least 1.
        growth: "power": angles pi x, pi x**2, pi x**3, ...; "frequency": pi x, 2 pi x, 4 pi x, ...
            (exponentially many Fourier frequencies, arXiv:2206.12105).

    >>> (MultiQubitEncoding(2, "frequency").angles(np.array([0.25])) / np.pi).tolist()
    [0.25, 0.5]
    """

    name: ClassVar[str] = "multi-qubit"
    is_real: ClassVar[bool] = True
    qubits_per_feature: int = 2
    growth: Literal["power", "frequency"] = "power"

    def __post_init__(self) -> None:
        if self.qubits_per_feature < 1 or self.growth not in ("power", "frequency"):
            raise InvalidInputError(
                "qubits_per_feature must be at least 1 and growth 'power' or 'frequency', got "
                f"{self.qubits_per_feature} and {self.growth!r}"
            )

    def check(self, X: NDArray) -> None:
        """Refuse features that are not finite numbers in [0, 1]."""
        _check_unit_range(X, self.name)

    def parameters(self, num_features: int) -> tuple[NDArray, ...]:  # noqa: ARG002
        """Nothing to train."""
        return ()

    def angles(self, X: Array, parameters: tuple[Array, ...] = ()) -> Array:  # noqa: ARG002
        """Angles in radians, shape (..., features * qubits_per_feature)."""
        xp, qubits = namespace(X), range(self.qubits_per_feature)
        is_power = self.growth == "power"
        each = [X ** (j + 1) if is_power else X * 2**j for j in qubits]
        return np.pi * xp.stack(each, axis=-1).reshape(*X.shape[:-1], -1)  # type: ignore[no-any-return]

    def formula(self, qubit: int) -> str:
        """The angle of a scaled feature f on one of its qubits, for people."""
        return f"pi * f**{qubit + 1}" if self.growth == "power" else f"pi * {2**qubit} * f"

    def amplitudes(self, angles: Array) -> tuple[Array, Array]:
        """Cosine and sine of half the angle."""
        return _half_angle_state(angles)

    def gate(self, angle: float | ParameterExpression) -> Gate:
        """An RY rotation."""
        return RYGate(angle)
