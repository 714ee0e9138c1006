"""Short ways to what many tests compare with."""

import numpy as np

from qtnml.contract import Model, Parameters
from qtnml.encoding import AngleEncoding
from qtnml.network import FullUnitary, TensorNetwork

ENCODING = AngleEncoding()


def random_unitaries(count: int, dim: int, scale: float, rng: np.random.Generator) -> np.ndarray:
    """A stack near the identity; far from it for a large scale."""
    return FullUnitary().start(lambda shape: rng.normal(size=shape), count, dim.bit_length() - 1, scale)


def network_outcomes(network: TensorNetwork, X: np.ndarray) -> np.ndarray:
    """The contraction of angle-encoded samples, (samples, outcomes), on NumPy in float64."""
    return Model(network.topology, ENCODING).predict(Parameters(network.unitaries), X)[0]
