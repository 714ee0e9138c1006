"""Approximate circuits of states with few two-qubit gates, optimised together on the exact fidelity."""

from qtnml.shallow.approximate import approximate, pareto
from qtnml.shallow.approximation import Approximation
from qtnml.shallow.from_circuit import extended, from_circuit, trotter_circuit
from qtnml.shallow.front import OnDevice, ParetoFront
from qtnml.shallow.search import refine

__all__ = [
    "Approximation",
    "OnDevice",
    "ParetoFront",
    "approximate",
    "extended",
    "from_circuit",
    "pareto",
    "refine",
    "trotter_circuit",
]
