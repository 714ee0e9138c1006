"""The engine: contraction of a tree from its leaves to the root, and the dense referee."""

from qtnml.contract.bloch import contract, outcome_probabilities, transfer_maps
from qtnml.contract.dense import dense_outcome_probabilities

__all__ = ["contract", "dense_outcome_probabilities", "outcome_probabilities", "transfer_maps"]
