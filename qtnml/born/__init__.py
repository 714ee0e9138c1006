"""States on trees of sites whose squared amplitudes are probabilities: Born machines, exactly."""

from qtnml.born.amplitudes import log_amplitudes, log_likelihood
from qtnml.born.state import TreeState

__all__ = ["TreeState", "log_amplitudes", "log_likelihood"]
