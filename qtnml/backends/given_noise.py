"""Values of the argument `noise` of a simulator, and what distinguishes them."""

import hashlib
import json
from typing import Any

from qtnml.errors import BackendError
from qtnml.noise import DeviceNoise


def device_given(noise: Any) -> Any:
    """The Qiskit backend whose noise is wanted, None for no noise or a `DeviceNoise`."""
    if noise is None or isinstance(noise, DeviceNoise):
        return None
    if isinstance(noise, str):
        from qtnml.backends.ibm import fake_device

        return fake_device(noise)
    if not hasattr(noise, "target"):
        raise BackendError(
            "noise must be a DeviceNoise, a Qiskit backend or a name such as 'fake:torino' (for Aer also one "
            f"of its NoiseModels), got {noise!r}"
        )
    return noise


def noise_setting(noise: Any) -> str | None:
    """A name, or a digest of numbers; JSON types."""
    if noise is None or isinstance(noise, str):
        return noise
    if isinstance(noise, DeviceNoise):
        return f"DeviceNoise {noise.digest}"
    if not hasattr(noise, "target"):  # an Aer NoiseModel
        text = json.dumps(noise.to_dict(serializable=True), sort_keys=True, default=str)
        return f"NoiseModel {hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return f"device {noise.name}"
