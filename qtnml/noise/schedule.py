"""Noise that grows while a model is trained."""

from dataclasses import dataclass
from typing import Any

from qtnml.errors import InvalidInputError
from qtnml.noise.channels import probability


@dataclass(frozen=True)
class NoiseSchedule:
    """For `fit(noise=...)`: a curriculum over the strength of noise.

    Attributes:
        noise: A `DeviceNoise` or a `Channel`.
        start: Strength at the first step, from 0 (none) to 1 (all of it).
        epochs: Over which it grows linearly to 1; only later epochs can be the best.
    """

    noise: Any
    start: float = 0.0
    epochs: int = 10

    def __post_init__(self) -> None:
        probability("start", self.start)
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 0:
            raise InvalidInputError(f"epochs must be an integer of at least 0, got {self.epochs!r}")
