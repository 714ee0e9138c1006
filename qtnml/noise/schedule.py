"""Noise that grows while a model is trained."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from qtnml.errors import InvalidInputError
from qtnml.noise.channels import probability


@dataclass(frozen=True)
class NoiseSchedule:
    """A curriculum over the strength of noise, for the argument `noise` of an estimator.

    Attributes:
        noise: A `DeviceNoise` or a `Channel`.
        start: Strength at the first step, from 0 (no noise) to 1 (full noise).
        epochs: Number of epochs over which the strength grows linearly to 1. Only later epochs can be the
            best.
    """

    noise: Any
    start: float = 0.0
    epochs: int = 10

    def __post_init__(self) -> None:
        if isinstance(self.noise, NoiseSchedule):
            raise InvalidInputError("a schedule of a schedule has no meaning; give its noise")
        probability("start", self.start)
        is_integer = isinstance(self.epochs, int | np.integer) and not isinstance(self.epochs, bool)
        if not is_integer or self.epochs < 0:
            raise InvalidInputError(f"epochs must be an integer of at least 0, got {self.epochs!r}")
