"""What a pass is: it rewrites a program and leaves what the program computes unchanged."""

from typing import Protocol

from qtnml.program.device import Device
from qtnml.program.program import Program


class Pass(Protocol):
    """A rewriting of programs.

    Attributes:
        name: For reports.
        binds_weights: It needs numbers for the weights, so that its circuit cannot be trained any more.
    """

    @property
    def name(self) -> str:
        """For reports."""

    @property
    def binds_weights(self) -> bool:
        """Whether it needs numbers for the weights."""

    def __call__(self, program: Program, device: Device | None) -> Program:
        """The rewritten program.

        Args:
            program: As compiled; its data angles are free.
            device: Whose gates and times count; None for gates of any name, and round times.
        """
