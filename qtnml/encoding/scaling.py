"""Scales a user's features to [0, 1]: a range per feature, clipping, and a warning about clipped values."""

from dataclasses import dataclass, field

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import ClippedDataWarning, InvalidInputError, warn_user

_ROUNDING = 1e-6  # of the larger bound: what single precision makes of a value is no other value
_FEW = 1e-3  # of all values: nearly every set of new data has so many just outside


@dataclass(frozen=True, eq=False)
class FeatureScaler:
    """Maps `low` to 0 and `high` to 1 for each feature (shapes (features,)); a constant feature becomes 0.

    New values are clipped to the range. A `ClippedDataWarning` is given once: the first time that more than
    one value in a thousand is changed by more than rounding.
    """

    low: NDArray
    high: NDArray
    _warned: list[bool] = field(default_factory=list, init=False, repr=False)

    @classmethod
    def learn(cls, X: NDArray) -> "FeatureScaler":
        """A scaler with each feature's smallest and largest value in samples (samples, features)."""
        return cls(X.min(axis=0), X.max(axis=0))

    @classmethod
    def fixed(cls, feature_range: tuple[float, float], num_features: int) -> "FeatureScaler":
        """A scaler with one known range for all features."""
        try:
            low, high = (float(bound) for bound in feature_range)
        except (TypeError, ValueError, OverflowError):
            low, high = np.nan, np.nan
        if not (np.isfinite([low, high]).all() and low < high):
            raise InvalidInputError(
                f"feature_range must be 'learn' or two numbers (low, high) with low < high, "
                f"got {feature_range!r}"
            )
        return cls(np.full(num_features, low), np.full(num_features, high))

    def __call__(self, X: NDArray) -> NDArray:
        """Scale to [0, 1] in float64; warn once if values had to be clipped."""
        X = self._checked(X)
        # Halves keep the difference of two huge values finite.
        half = np.abs(X / 2 - np.clip(X, self.low, self.high) / 2)
        moved = half > _ROUNDING / 2 * np.maximum(np.abs(self.low), np.abs(self.high))
        if moved.sum() > _FEW * X.size and not self._warned:
            self._warned.append(True)
            warn_user(
                f"{moved.sum()} of {X.size} values ({100 * moved.mean():.2g} %) lay outside the feature "
                f"range, by up to {2 * float(half.max()):.3g}, and were clipped to it; fit on wider data or "
                "set feature_range (this is said once)",
                ClippedDataWarning,
            )
        return self.clipped(X)

    def clipped(self, X: NDArray) -> NDArray:
        """Scale to [0, 1] in float64, without a warning about clipped values."""
        X = np.clip(self._checked(X), self.low, self.high)
        span = self.high / 2 - self.low / 2
        return np.asarray((X / 2 - self.low / 2) / np.where(span > 0, span, 1.0))

    def _checked(self, X: NDArray) -> NDArray:
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != len(self.low):
            raise InvalidInputError(f"expected samples with {len(self.low)} features, got shape {X.shape}")
        if not np.isfinite(X).all():
            raise InvalidInputError("samples have NaN or infinite values; fill missing values first")
        return X
