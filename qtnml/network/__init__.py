"""Topology, node ansaetze, and the network that joins them."""

from qtnml.network.ansatz import (
    FullUnitary,
    HermitianExponential,
    NodeAnsatz,
    Orthogonal,
    check_ansatz,
    generic_two_qubit_gates,
)
from qtnml.network.brick_wall import BrickWall
from qtnml.network.builders import balanced_tree, from_parents, mps, with_reuploads
from qtnml.network.chow_liu import chow_liu_tree
from qtnml.network.registry import get_ansatz
from qtnml.network.tensor_network import TensorNetwork
from qtnml.network.topology import Node, Topology
from qtnml.network.unitaries import project_to_unitary, unitarity_error

__all__ = [
    "BrickWall",
    "FullUnitary",
    "HermitianExponential",
    "Node",
    "NodeAnsatz",
    "Orthogonal",
    "TensorNetwork",
    "Topology",
    "balanced_tree",
    "check_ansatz",
    "chow_liu_tree",
    "from_parents",
    "generic_two_qubit_gates",
    "get_ansatz",
    "mps",
    "project_to_unitary",
    "unitarity_error",
    "with_reuploads",
]
