"""The `Pass` protocol: a pass rewrites a program and does not change its result."""

from typing import Protocol

from qtnml.program.device import Device
from qtnml.program.program import Program


class Pass(Protocol):
    """A rewriting of programs.

    Attributes:
        name: Name for reports.
        binds_weights: Whether it needs numbers for the weights. If so, its circuit can no longer be trained.
    """

    @property
    def name(self) -> str:
        """Name for reports."""

    @property
    def binds_weights(self) -> bool:
        """Whether it needs numbers for the weights."""

    def __call__(self, program: Program, device: Device | None) -> Program:
        """The rewritten program.

        Args:
            program: Compiled program with free data angles.
            device: Device whose gates and times are used; None for any gates, and typical times.
        """
