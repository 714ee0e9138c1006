"""Encodings of samples as product states, and the gates that prepare them."""

from qtnml.encoding.base import (
    Encoding,
    bloch_vectors,
    check_encoding,
    data_angles,
    leaf_paulis,
    state_vectors,
)
from qtnml.encoding.registry import encoding_name, get_encoding
from qtnml.encoding.rotations import AngleEncoding, MultiQubitEncoding, RationalEncoding
from qtnml.encoding.scaling import FeatureScaler

__all__ = [
    "AngleEncoding",
    "Encoding",
    "FeatureScaler",
    "MultiQubitEncoding",
    "RationalEncoding",
    "bloch_vectors",
    "check_encoding",
    "data_angles",
    "encoding_name",
    "get_encoding",
    "leaf_paulis",
    "state_vectors",
]
