"""States on trees of sites whose squared amplitudes are probabilities: Born machines, exactly."""

from qtnml.born.amplitudes import finite_logs, log_amplitudes, log_likelihood, mean_nll, stacked
from qtnml.born.state import TreeState

__all__ = ["TreeState", "finite_logs", "log_amplitudes", "log_likelihood", "mean_nll", "stacked"]
