"""Zero-noise extrapolation: results with more noise are extrapolated to results without noise.

Expectations of all products of Z on the measured qubits are extrapolated, each separately. Outcomes follow by
a Hadamard transform (arXiv:1612.02058, arXiv:2005.10921).
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError

_SMALL = 1e-12
_MOST_FOLDS = 99


class Extrapolation(Protocol):
    """Estimates values without noise from values at increasing noise.

    An optional method `check_factors(achieved)` refuses factors before anything is measured.

    Attributes:
        factors: Folding factors; the first is 1.
    """

    @property
    def factors(self) -> tuple[float, ...]:
        """Folding factors; the first is 1."""

    def extrapolate(
        self, factors: NDArray, values: NDArray, variances: NDArray, levels: NDArray | None = None
    ) -> tuple[NDArray, NDArray]:
        """Expectations without noise and their variances, each (samples, strings).

        Args:
            factors: Achieved folding factors, (factors,).
            values: Expectations in [-1, 1] of Z strings (factors, samples, strings); the first string is
                empty.
            variances: Variances of the values, from the number of shots.
            levels: `noise_levels` of the unfolded circuit by the device's calibration; None if unknown.
        """


@dataclass(frozen=True)
class ZeroNoiseExtrapolation:
    """Fits a curve to the expectations at several factors and evaluates it at zero noise.

    Attributes:
        factors: Folding factors; the first is 1.
        fit: "linear": a straight line by least squares. "richardson": the polynomial through all points.
            "exponential": an exponential decay towards 0, if all points have the same sign and are well above
            their shot noise; otherwise the line.
    """

    factors: tuple[float, ...] = (1.0, 3.0, 5.0)
    fit: Literal["linear", "richardson", "exponential"] = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", checked_factors(self.factors))
        if self.fit not in ("linear", "richardson", "exponential"):
            raise InvalidInputError(f"fit must be 'linear', 'richardson' or 'exponential', got {self.fit!r}")

    def extrapolate(
        self,
        factors: NDArray,
        values: NDArray,
        variances: NDArray,
        levels: NDArray | None = None,  # noqa: ARG002
    ) -> tuple[NDArray, NDArray]:
        """See `Extrapolation.extrapolate`."""
        degree = len(factors) - 1 if self.fit == "richardson" else 1
        weights = _weights_at_zero(factors, degree)
        found = np.tensordot(weights, values, axes=1)
        spread = np.tensordot(weights**2, variances, axes=1)
        if self.fit != "exponential":
            return found, spread
        # ln |E| = a - b factor; its error is that of E over E.
        sign, size = np.sign(values[0]), np.abs(values)
        clear = (np.sign(values) == sign).all(axis=0) & (size > 2 * np.sqrt(variances)).all(axis=0)
        clear &= size.min(axis=0) > _SMALL
        safe = np.where(clear, size, 1.0)
        logarithm = np.tensordot(weights, np.log(safe), axes=1)
        log_variance = np.tensordot(weights**2, np.where(clear, variances, 0.0) / safe**2, axes=1)
        curved = sign * np.exp(logarithm)
        chosen = clear & (np.abs(curved) <= 1.5)
        return np.where(chosen, curved, found), np.where(chosen, curved**2 * log_variance, spread)


def checked_factors(factors: object) -> tuple[float, ...]:
    """Rising numbers from 1 on, at least two."""
    try:
        found = tuple(float(factor) for factor in factors)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        found = ()
    if len(found) < 2 or found[0] != 1 or list(found) != sorted(set(found)) or not found[-1] <= _MOST_FOLDS:
        raise InvalidInputError(
            f"factors must rise from 1 to at most {_MOST_FOLDS} and be at least two, got {factors!r}"
        )
    return found


def _weights_at_zero(factors: NDArray, degree: int) -> NDArray:
    """Weights of a least-squares polynomial's value at 0."""
    powers = np.vander(np.asarray(factors, dtype=np.float64), degree + 1, increasing=True)
    return np.asarray(np.linalg.pinv(powers)[0])


def z_expectations(outcomes: NDArray) -> NDArray:
    """Outcome (quasi-)probabilities (..., 2**d) -> expectations of all Z strings (..., 2**d), the first 1."""
    return np.asarray(outcomes @ _hadamard(outcomes.shape[-1]))


def outcomes_from_z(expectations: NDArray) -> NDArray:
    """The inverse of `z_expectations`."""
    return np.asarray(expectations @ _hadamard(expectations.shape[-1]) / expectations.shape[-1])


def z_variances(outcomes: NDArray, shots: Any, inverse: NDArray | None = None) -> NDArray:
    """Variances of the estimated expectations of all Z strings, (..., 2**d).

    Args:
        outcomes: Outcome frequencies as read (..., 2**d). With few shots a frequency of 0 or 1 is not
            certain: they count as if one more shot had fallen on all outcomes alike.
        shots: Of each, a number or (...,); infinity for exact probabilities.
        inverse: Applied to them before, by which errors of the read-out were undone.
    """
    signs, likely, count = _seen(outcomes, shots, inverse)
    mean = likely @ signs
    return np.asarray(np.clip(likely @ signs**2 - mean**2, 0.0, None) / count)


def z_correlations(outcomes: NDArray, shots: Any, inverse: NDArray | None = None) -> NDArray:
    """Correlations of the same estimates with each other, (..., 2**d, 2**d); 0 where one has no variance."""
    signs, likely, _ = _seen(outcomes, shots, inverse)
    mean = likely @ signs
    second = np.einsum("...o,os,ot->...st", likely, signs, signs, optimize=True)
    covariance = second - mean[..., :, None] * mean[..., None, :]
    spread = np.sqrt(np.clip(np.einsum("...ss->...s", covariance), 0.0, None))
    scale = spread[..., :, None] * spread[..., None, :]
    zeros = np.zeros_like(covariance)
    return np.asarray(np.divide(covariance, scale, out=zeros, where=scale > _SMALL))


def _seen(outcomes: NDArray, shots: Any, inverse: NDArray | None) -> tuple[NDArray, NDArray, NDArray]:
    """Z strings after the inverse (outcomes, strings), likely probabilities, and shots (..., 1)."""
    signs = _hadamard(outcomes.shape[-1])
    if inverse is not None:
        signs = inverse.T @ signs
    count = np.maximum(np.asarray(shots, dtype=np.float64)[..., None], 1.0)
    return signs, outcomes + (1 / outcomes.shape[-1] - outcomes) / (count + 1), count


def _hadamard(size: int) -> NDArray:
    matrix: NDArray = np.eye(1)
    while len(matrix) < size:
        matrix = np.kron(matrix, [[1.0, 1.0], [1.0, -1.0]])
    return matrix


def nearest_probabilities(quasi: NDArray) -> NDArray:
    """The nearest probability distributions to quasi-probabilities (samples, outcomes) (arXiv:1106.5458)."""
    ordered = -np.sort(-quasi, axis=1)
    excess = (np.cumsum(ordered, axis=1) - 1) / np.arange(1, quasi.shape[1] + 1)
    count = (ordered > excess).sum(axis=1)
    cut = excess[np.arange(len(quasi)), count - 1]
    return np.asarray(np.clip(quasi - cut[:, None], 0.0, None))
