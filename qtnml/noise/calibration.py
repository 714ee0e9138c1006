"""A Qiskit backend's calibration as `DeviceNoise`."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from qtnml.gates.node import GATE_SETS
from qtnml.noise.device import DeviceNoise, Instruction
from qtnml.program.device import Device, device_of

_UNTIMED = ("delay", "barrier", "measure", "reset")


def calibrated(backend: Any) -> DeviceNoise:
    """All that a Qiskit backend, or the `Target` of one, says of its qubits and gates.

    A T2 above 2 T1 (calibrations have them) counts as 2 T1; a gate without a number errs by nothing, one
    that is broken (an error of NaN, or 1) always. Gates that the device lacks count as the ones that they
    are translated into: a rotation as two pulses, a gate on two qubits as the native one; between qubits
    that are not coupled as a typical one. A reset takes its time and is perfect, a read-out errs alike in
    both states: that is all a target says. A read-out that is broken (an error of 1) tells nothing: 1/2.
    """
    device = device_of(backend)
    times = [device.relaxation_times(qubit) for qubit in range(device.num_qubits)]
    readout = [device.error("measure", (qubit,)) for qubit in range(device.num_qubits)]
    readout = [0.5 if error >= 1 else error for error in readout]
    typical = device.typical_times()
    native = _instructions(device)
    return DeviceNoise(
        t1=tuple(t1 for t1, _ in times),
        t2=tuple(t2 for _, t2 in times),
        one_qubit_time=2 * typical.one_qubit,  # any rotation takes two pulses
        two_qubit_time=typical.two_qubit,
        reset_time=typical.reset,
        readout_time=typical.readout,
        one_qubit_error=min(2 * _median_error(device, 1), 1.0),
        two_qubit_error=_median_error(device, 2),
        readout_error=tuple((error, error) for error in readout),
        instructions=(*native, *_translations(native, device.two_qubit_gate)),
        name=device.name,
        dt=device.dt,
    )


def _instructions(device: Device) -> list[Instruction]:
    """Gates with their errors; times alone of resets and measurements."""
    found = []
    for name in device.target.operation_names:
        for qubits in device.target[name]:
            if qubits is None or len(qubits) > 2 or name in ("delay", "barrier"):
                continue
            error = 0.0 if name in _UNTIMED else device.error(name, qubits)
            found.append(Instruction(name, tuple(qubits), device.duration(name, qubits), error))
    if "if_else" in device.target.operation_names:  # an X, after the time it takes to know
        found += [
            Instruction(
                "if_else", (qubit,), device.duration("if_else", (qubit,)), device.error("x", (qubit,))
            )
            for qubit in range(device.num_qubits)
        ]
    return found


def _translations(native: list[Instruction], two_qubit_gate: str) -> list[Instruction]:
    """Gates of circuits for no device in particular."""
    names = {instruction.name for instruction in native}
    found = []
    for instruction in native:
        if instruction.name == two_qubit_gate:
            found += [replace(instruction, name=name) for name in GATE_SETS if name not in names]
        elif instruction.name == "sx":
            time, error = 2 * instruction.time, min(2 * instruction.error, 1.0)
            twice = replace(instruction, time=time, error=error)
            found += [replace(twice, name=name) for name in ("u", "ry", "rx") if name not in names]
    return found


def _median_error(device: Device, num_qubits: int) -> float:
    """Of the gates that take time, without the broken ones."""
    errors = [
        device.error(name, qubits)
        for name in device.target.operation_names
        for qubits in device.target[name]
        if name not in _UNTIMED
        and qubits is not None
        and len(qubits) == num_qubits
        and device.duration(name, qubits) > 0
    ]
    working = [error for error in errors if error < 1 and not math.isnan(error)]
    return float(np.median(working)) if working else 0.0
