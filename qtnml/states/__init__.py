"""Tensor-network states: import them, inspect them, export them, and compile them into circuits."""

from qtnml.states.circuits import from_circuit
from qtnml.states.ground import ground_state
from qtnml.states.hamiltonian import Hamiltonian, heisenberg, ising, xxz
from qtnml.states.make import (
    evolve,
    from_arrays,
    from_born,
    from_function,
    from_quimb,
    from_tenpy,
    from_vector,
)
from qtnml.states.state import State, as_state

__all__ = [
    "Hamiltonian",
    "State",
    "as_state",
    "evolve",
    "from_arrays",
    "from_born",
    "from_circuit",
    "from_function",
    "from_quimb",
    "from_tenpy",
    "from_vector",
    "ground_state",
    "heisenberg",
    "ising",
    "xxz",
]
