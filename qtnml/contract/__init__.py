"""Contraction of trees from their leaves to the root, and a dense reference for checks."""

from qtnml.contract.amplitude import AmplitudeModel
from qtnml.contract.amplitude_network import AmplitudeNetwork
from qtnml.contract.bloch import contract, contract_postselected, transfer_maps
from qtnml.contract.dense import dense_outcome_probabilities
from qtnml.contract.factorised_network import FactorisedNetwork
from qtnml.contract.model import Model, Parameters
from qtnml.contract.wire_noise import WireChannels

__all__ = [
    "AmplitudeModel",
    "AmplitudeNetwork",
    "FactorisedNetwork",
    "Model",
    "Parameters",
    "WireChannels",
    "contract",
    "contract_postselected",
    "dense_outcome_probabilities",
    "transfer_maps",
]
