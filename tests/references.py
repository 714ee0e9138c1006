"""Short ways to what many tests compare with."""

import numpy as np
from qiskit.circuit.library import UGate

from qtnml.ansatz import FullUnitary, TensorNetwork
from qtnml.contract import Model, Parameters
from qtnml.encoding import AngleEncoding

ENCODING = AngleEncoding()


class PhaseEncoding(AngleEncoding):
    """A user's own: (|0> + exp(i pi x)|1>) / sqrt(2), complex amplitudes."""

    name = "phase"
    is_real = False

    def amplitudes(self, angles):
        xp = angles.__array_namespace__()
        return xp.ones_like(angles) / np.sqrt(2) + 0j, xp.exp(1j * angles) / np.sqrt(2)

    def gate(self, angle):
        return UGate(np.pi / 2, angle, 0.0)


def random_unitaries(count: int, dim: int, scale: float, rng: np.random.Generator) -> np.ndarray:
    """A stack near the identity; far from it for a large scale."""
    return FullUnitary().start(lambda shape: rng.normal(size=shape), count, dim.bit_length() - 1, scale)


def network_outcomes(network: TensorNetwork, X: np.ndarray) -> np.ndarray:
    """The contraction of angle-encoded samples, (samples, outcomes), on NumPy in float64."""
    return Model(network.topology, ENCODING).predict(Parameters(network.unitaries), X)[0]
