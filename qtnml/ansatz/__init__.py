"""Node ansaetze (trainable parameters to unitaries and gates), and networks of unitaries on a topology."""

from qtnml.ansatz.base import (
    FullUnitary,
    HermitianExponential,
    NodeAnsatz,
    Orthogonal,
    check_ansatz,
    generic_two_qubit_gates,
)
from qtnml.ansatz.brick_wall import BrickWall
from qtnml.ansatz.registry import get_ansatz
from qtnml.ansatz.tensor_network import TensorNetwork
from qtnml.ansatz.unitaries import project_to_unitary, unitarity_error

__all__ = [
    "BrickWall",
    "FullUnitary",
    "HermitianExponential",
    "NodeAnsatz",
    "Orthogonal",
    "TensorNetwork",
    "check_ansatz",
    "generic_two_qubit_gates",
    "get_ansatz",
    "project_to_unitary",
    "unitarity_error",
]
