"""Noise as JSON types, for studies and the command line."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from qtnml.errors import InvalidInputError
from qtnml.noise.channels import (
    Channel,
    amplitude_damping,
    bit_flip,
    dephasing,
    depolarizing,
    over_rotation,
    phase_damping,
    thermal_relaxation,
)
from qtnml.noise.device import DeviceNoise, Instruction

CHANNELS: dict[str, Callable[..., Channel]] = {
    "amplitude-damping": amplitude_damping,
    "phase-damping": phase_damping,
    "dephasing": dephasing,
    "depolarizing": depolarizing,
    "bit-flip": bit_flip,
    "relaxation": thermal_relaxation,
    "over-rotation": over_rotation,
}
_ONE_NUMBER = ("dephasing", "depolarizing", "amplitude-damping", "phase-damping", "bit-flip")


def noise_from_settings(settings: dict[str, Any]) -> Channel | DeviceNoise:
    """The noise described by settings of JSON types.

    Args:
        settings: {"channel": one of `CHANNELS`, argument: value, ...}, or the fields of a `DeviceNoise`.

    >>> noise_from_settings({"channel": "dephasing", "p": 0.2})
    Channel('dephasing 0.2', 1 qubit(s), fidelity 0.933333)
    """
    if not isinstance(settings, dict):
        raise InvalidInputError(f"settings of noise are a dictionary, got {settings!r}")
    arguments = dict(settings)
    name = arguments.pop("channel", None)
    made: Callable[..., Any] = DeviceNoise
    if name is not None:
        if not isinstance(name, str) or name not in CHANNELS:
            raise InvalidInputError(f"unknown channel {name!r}; choose one of {sorted(CHANNELS)}")
        made = CHANNELS[name]
    try:
        if "instructions" in arguments:
            arguments["instructions"] = tuple(
                Instruction(**{**each, "qubits": tuple(each["qubits"])}) for each in arguments["instructions"]
            )
        return made(**arguments)  # type: ignore[no-any-return]
    except (TypeError, KeyError, OverflowError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else error
        raise InvalidInputError(f"noise {settings!r} has arguments that do not fit: {what}") from error


def noise_from_text(text: str) -> Channel | DeviceNoise | str:
    """The noise described by the text of a command-line option.

    Args:
        text: "fake:NAME" is returned unchanged. "dephasing=0.2" is a channel with its one number. "{...}" are
            settings as JSON, see `noise_from_settings`.

    >>> noise_from_text('{"t1": 1e-4}').t1
    0.0001
    """
    if text.startswith("fake:"):
        return text
    name, equals, number = text.partition("=")
    try:
        if name in _ONE_NUMBER and equals:
            return CHANNELS[name](float(number))
        found = json.loads(text)
        if isinstance(found, dict):
            return noise_from_settings(found)
    except ValueError as error:
        if isinstance(error, InvalidInputError):
            raise
    raise InvalidInputError(
        f"noise is 'fake:NAME', one of {', '.join(f'{n}=NUMBER' for n in _ONE_NUMBER)}, or a JSON object, "
        f"got {text!r}"
    )


def noise_settings(noise: DeviceNoise) -> dict[str, Any]:
    """A device's noise as JSON types; values equal to the defaults are left out."""
    if noise.one_qubit_channel is not None or noise.two_qubit_channel is not None:
        raise InvalidInputError("a device with channels of your own cannot be written as JSON")
    usual = asdict(DeviceNoise())
    return {name: value for name, value in asdict(noise).items() if value != usual[name]}
