"""Tensor networks on any graph: a classical method that finds the structure of a tensor."""

from qtnml.graphs.greedy import Decomposition, Step, decompose
from qtnml.graphs.network import GraphNetwork

__all__ = ["Decomposition", "GraphNetwork", "Step", "decompose"]
