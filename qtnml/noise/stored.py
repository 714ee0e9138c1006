"""Noise to JSON types and back, for the files of models trained under noise."""

import math
from dataclasses import fields
from typing import Any

import numpy as np

from qtnml.errors import InvalidInputError
from qtnml.noise.channels import Channel
from qtnml.noise.device import DeviceNoise, Instruction
from qtnml.noise.schedule import NoiseSchedule


def noise_entry(noise: Any) -> Any:
    """A `DeviceNoise`, `Channel`, `NoiseSchedule` of one, name of a device or None, as JSON types.

    Raises:
        InvalidInputError: It is something else, such as a Qiskit backend.
    """
    if noise is None or isinstance(noise, str):
        return noise
    if isinstance(noise, NoiseSchedule):
        return {
            "schedule": noise_entry(noise.noise),
            "start": float(noise.start),
            "epochs": int(noise.epochs),
        }
    if isinstance(noise, Channel):
        return {"channel": noise.transfer_map.tolist(), "name": noise.name}
    if isinstance(noise, DeviceNoise):
        return {"device": {field.name: _plain(getattr(noise, field.name)) for field in fields(noise)}}
    raise InvalidInputError(
        f"noise={noise!r} cannot be written to a file; give the device's name, such as 'fake:torino', or "
        "DeviceNoise.from_backend(...), or save the model after set_params(noise=None)"
    )


def noise_from_entry(entry: Any) -> Any:
    """The inverse of `noise_entry`; whatever does not fit raises."""
    if entry is None or isinstance(entry, str):
        return entry
    if "schedule" in entry:
        return NoiseSchedule(noise_from_entry(entry["schedule"]), entry["start"], entry["epochs"])
    if "channel" in entry:
        return Channel(np.array(entry["channel"], dtype=np.float64), str(entry["name"]))
    device = {name: _value(value) for name, value in entry["device"].items()}
    device["instructions"] = tuple(Instruction(*given) for given in device["instructions"])
    return DeviceNoise(**device)


def _plain(value: Any) -> Any:
    if isinstance(value, Channel):
        return noise_entry(value)
    if isinstance(value, Instruction):
        return [value.name, list(value.qubits), value.time, value.error]
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return "inf" if isinstance(value, float) and math.isinf(value) else value


def _value(stored: Any) -> Any:
    if isinstance(stored, dict):
        return noise_from_entry(stored)
    if isinstance(stored, list):
        return tuple(_value(item) for item in stored)
    return math.inf if stored == "inf" else stored
