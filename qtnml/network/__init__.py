"""Topology, unitaries, and the network that joins them."""

from qtnml.network.tensor_network import TensorNetwork
from qtnml.network.topology import Node, Topology, balanced_tree
from qtnml.network.unitaries import near_identity_unitaries, project_to_unitary, unitarity_error

__all__ = [
    "Node",
    "TensorNetwork",
    "Topology",
    "balanced_tree",
    "near_identity_unitaries",
    "project_to_unitary",
    "unitarity_error",
]
