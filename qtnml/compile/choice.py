"""Chooses passes that help a circuit on its device, by its exact outcome under the calibration."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from qtnml.compile.compiled import Compiled
from qtnml.compile.on_device import with_expected
from qtnml.compile.source import C, Source
from qtnml.errors import InvalidInputError
from qtnml.noise.calibration import calibrated
from qtnml.program import Check, Device

_FRAMES = 8  # random Pauli frames that are tried
_REST = (("merge",), ("merge", "decouple"), ("decouple",))


def with_passes(source: Source[C], compiled: C, passes: Any) -> C:
    """A circuit rewritten by passes, with what is expected of it afterwards.

    Args:
        source: What was compiled.
        compiled: One of its circuits.
        passes: As for `Compiled.with_passes`, or "auto": those that do best under the device's calibration.

    Raises:
        InvalidInputError: "auto" without a device, or a circuit whose exact distribution is not known.
    """
    if not isinstance(passes, str) or passes != "auto":
        found = compiled.with_passes(passes)
        if found is compiled or found.device is None:
            return found
        return with_expected(source, found, calibrated(found.device.target))
    if compiled.device is None:
        raise InvalidInputError(
            "passes='auto' compares by a device's noise; give target=, or name the passes"
        )
    best = best_passes(source, compiled, compiled.device)
    return _held(best)


def best_passes(source: Source[C], compiled: C, device: Device) -> C:
    """The best of a few combinations of passes; the circuit as it is where none is better."""
    noise = calibrated(device.target)
    first = compiled if compiled.expected is not None else with_expected(source, compiled, noise)
    if first.expected is None:
        raise InvalidInputError(
            "the circuit's exact distribution under noise is not known (too many of its qubits "
            "are entangled at once), so that passes cannot be compared; name them"
        )
    best = first
    for names in _combinations(compiled, device):
        try:
            found = with_expected(source, compiled.with_passes(names), noise)
        except InvalidInputError:  # a pass that this device has no gates for
            continue
        if found.expected is not None and _rank(found) > _rank(best):
            best = found
    return best


def _rank(compiled: Compiled) -> tuple[float, float]:
    assert compiled.expected is not None
    return compiled.expected.rank


def _combinations(compiled: Compiled, device: Device) -> Iterator[tuple[str, ...]]:
    has_checks = any(isinstance(step, Check) for step in compiled.program.steps)
    starts: list[tuple[str, ...]] = [()]
    if compiled.num_resets and has_checks:
        starts.append(("skip-resets",))
    draws = compiled.program.direction == "outward"
    if compiled.num_resets and draws and "if_else" in device.target.operation_names:
        starts.append(("feed-forward",))
    can_decouple = {"x", "delay"} <= set(device.target.operation_names)
    frames = [(f"twirl-{seed}", "merge") for seed in range(_FRAMES)]
    for start in starts:
        if start:
            yield start
        for rest in (*_REST, *frames, *((*frame, "decouple") for frame in frames)):
            if can_decouple or "decouple" not in rest:
                yield (*start, *rest)


def _held(compiled: C) -> C:
    """With early read-outs written down: what is expected takes them for granted."""
    if compiled.device is None or "delay" not in compiled.device.target.operation_names:
        return compiled
    return replace(compiled.with_passes("hold-reads"), expected=compiled.expected)
