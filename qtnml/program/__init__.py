"""Compiled models as typed operations, their duration, and the devices they run on."""

from qtnml.program.bound import BoundCircuits
from qtnml.program.device import Device, can_compile_for, device_of, estimated_success
from qtnml.program.operations import (
    Barrier,
    Check,
    Encode,
    FlipIf,
    Gate,
    Node,
    Operation,
    Read,
    Reset,
    Step,
    Wait,
)
from qtnml.program.program import Direction, Program
from qtnml.program.timing import GateTimes, Timeline, TypicalTimes, timeline

__all__ = [
    "Barrier",
    "BoundCircuits",
    "Check",
    "Device",
    "Direction",
    "Encode",
    "FlipIf",
    "Gate",
    "GateTimes",
    "Node",
    "Operation",
    "Program",
    "Read",
    "Reset",
    "Step",
    "Timeline",
    "TypicalTimes",
    "Wait",
    "can_compile_for",
    "device_of",
    "estimated_success",
    "timeline",
]
