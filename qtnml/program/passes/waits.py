"""Delays in multiples of a device's clock, and steps with their place in the timeline."""

from collections.abc import Iterator

from qiskit.circuit import Delay

from qtnml.errors import InvalidInputError
from qtnml.program.device import Device
from qtnml.program.operations import Barrier, Operation, Wait, one_by_one
from qtnml.program.program import Program


def waiting(seconds: float, qubits: tuple[int, ...], device: Device | None) -> list[Wait]:
    """A delay of at most so many seconds, in whole steps of the device's clock, or in whole nanoseconds."""
    if device is None or device.dt is None:
        whole = int(seconds * 1e9 + 1e-6)  # nanoseconds
        return [Wait(Delay(whole, "ns"), qubits)] if whole else []
    grid = device.clock_grid
    cycles = int(seconds / device.dt + 1e-6) // grid * grid
    return [Wait(Delay(cycles, "dt"), qubits)] if cycles else []


def check_delays(device: Device | None, name: str) -> None:
    """Refuse a device that cannot wait on purpose.

    Raises:
        InvalidInputError: It has no delays.
    """
    if device is not None and "delay" not in device.target.operation_names:
        raise InvalidInputError(f"device {device.name!r} has no delays; leave the pass {name!r} out")


def flat_steps(program: Program) -> Iterator[tuple[int | None, Operation]]:
    """Operations one by one, each with its row in the timeline; barriers have none."""
    row = 0
    for operation in one_by_one(program.operations):
        if isinstance(operation, Barrier):
            yield None, operation
        else:
            yield row, operation
            row += 1
