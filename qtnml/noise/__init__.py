"""Noise: channels, devices, and the exact noisy contraction of a compiled schedule."""

from qtnml.noise.channels import (
    Channel,
    amplitude_damping,
    bit_flip,
    dephasing,
    depolarizing,
    from_kraus,
    from_superoperator,
    identity,
    over_rotation,
    phase_damping,
    thermal_relaxation,
)
from qtnml.noise.circuit import NoisyCircuit
from qtnml.noise.device import NOISELESS, DeviceNoise, Instruction
from qtnml.noise.distribution import CircuitDistribution
from qtnml.noise.generative import NoisyGenerativeCircuit
from qtnml.noise.schedule import NoiseSchedule
from qtnml.noise.sensitivity import Sensitivity, sensitivity
from qtnml.noise.settings import noise_from_settings, noise_from_text, noise_settings
from qtnml.noise.wires import GateRates, Rates, WireNoise, layer_noise, no_noise

__all__ = [
    "NOISELESS",
    "Channel",
    "CircuitDistribution",
    "DeviceNoise",
    "GateRates",
    "Instruction",
    "NoiseSchedule",
    "NoisyCircuit",
    "NoisyGenerativeCircuit",
    "Rates",
    "Sensitivity",
    "WireNoise",
    "amplitude_damping",
    "bit_flip",
    "dephasing",
    "depolarizing",
    "from_kraus",
    "from_superoperator",
    "identity",
    "layer_noise",
    "no_noise",
    "noise_from_settings",
    "noise_from_text",
    "noise_settings",
    "over_rotation",
    "phase_damping",
    "sensitivity",
    "thermal_relaxation",
]
