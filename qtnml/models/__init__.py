"""scikit-learn estimators: classical and on a backend."""

from qtnml.models.backend_classifier import BackendClassifier
from qtnml.models.persistence import load_model
from qtnml.models.samples import samples_for
from qtnml.models.tree import TreeClassifier

__all__ = ["BackendClassifier", "TreeClassifier", "load_model", "samples_for"]
