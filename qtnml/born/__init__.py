"""Born machines: states on trees of sites whose squared amplitudes are probabilities, computed exactly."""

from qtnml.born.amplitudes import finite_logs, log_amplitudes, log_likelihood, mean_nll, stacked
from qtnml.born.reconnection import reconnected
from qtnml.born.reduced import bond_entropies, expectation, reduced_states, schmidt_values
from qtnml.born.state import TreeState

__all__ = [
    "TreeState",
    "bond_entropies",
    "expectation",
    "finite_logs",
    "log_amplitudes",
    "log_likelihood",
    "mean_nll",
    "reconnected",
    "reduced_states",
    "schmidt_values",
    "stacked",
]
