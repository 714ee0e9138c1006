"""From a user's features to [0, 1]: a range per feature, clipping, and word of what was clipped."""

from dataclasses import dataclass

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import ClippedDataWarning, InvalidInputError, warn_user


@dataclass(frozen=True, eq=False)
class FeatureScaler:
    """Maps `low` to 0 and `high` to 1 per feature (shapes (features,)); a constant feature to 0."""

    low: NDArray
    high: NDArray

    @classmethod
    def learn(cls, X: NDArray) -> "FeatureScaler":
        """Take each feature's smallest and largest value from samples (samples, features)."""
        return cls(X.min(axis=0), X.max(axis=0))

    @classmethod
    def fixed(cls, feature_range: tuple[float, float], num_features: int) -> "FeatureScaler":
        """One known range for all features."""
        try:
            low, high = (float(bound) for bound in feature_range)
        except (TypeError, ValueError):
            low, high = np.nan, np.nan
        if not (np.isfinite([low, high]).all() and low < high):
            raise InvalidInputError(
                f"feature_range must be 'learn' or two numbers (low, high) with low < high, "
                f"got {feature_range!r}"
            )
        return cls(np.full(num_features, low), np.full(num_features, high))

    def __call__(self, X: NDArray) -> NDArray:
        """Scale to [0, 1] in float64; warn if values had to be clipped."""
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != len(self.low):
            raise InvalidInputError(f"expected samples with {len(self.low)} features, got shape {X.shape}")
        if not np.isfinite(X).all():
            raise InvalidInputError("samples have NaN or infinite values; fill missing values first")
        clipped = np.clip(X, self.low, self.high)
        moved = clipped != X
        if moved.any():
            warn_user(
                f"{moved.sum()} of {X.size} values ({100 * moved.mean():.2g} %) lay outside the feature "
                f"range, by up to {2 * np.abs(X / 2 - clipped / 2).max():.3g}, and were clipped to it; "
                "fit on wider data or set feature_range",
                ClippedDataWarning,
            )
        # Halves keep the difference of two huge features finite.
        span = self.high / 2 - self.low / 2
        return np.asarray((clipped / 2 - self.low / 2) / np.where(span > 0, span, 1.0))
