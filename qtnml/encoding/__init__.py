"""Sample -> product state, and the gates that prepare it."""

from qtnml.encoding.angle import AngleEncoding
from qtnml.encoding.registry import get_encoding
from qtnml.encoding.scaling import FeatureScaler

__all__ = ["AngleEncoding", "FeatureScaler", "get_encoding"]
