"""Quantum machine learning with tensor networks: train classically, compile exactly, run anywhere."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qtnml import shallow, states
    from qtnml.backends import get_backend
    from qtnml.contract import Model
    from qtnml.data import TableEncoder, load_dataset
    from qtnml.gates import Synthesis
    from qtnml.jobs import JobStore, Price
    from qtnml.models import (
        AmplitudeMPSClassifier,
        AmplitudeTreeClassifier,
        AnomalyDetector,
        BornClassifier,
        BornMixture,
        CircuitBornMachine,
        MPSBornMachine,
        MPSClassifier,
        MPSRegressor,
        SchmidtClustering,
        Teacher,
        TreeBornMachine,
        TreeClassifier,
        TreeForestClassifier,
        TreeRegressor,
        load_model,
        noise_study,
    )
    from qtnml.registry import register
    from qtnml.train import enable_compilation_cache

__version__ = "0.1.0"
__all__ = [
    "AmplitudeMPSClassifier",
    "AmplitudeTreeClassifier",
    "AnomalyDetector",
    "BornClassifier",
    "BornMixture",
    "CircuitBornMachine",
    "JobStore",
    "MPSBornMachine",
    "MPSClassifier",
    "MPSRegressor",
    "Model",
    "Price",
    "SchmidtClustering",
    "Synthesis",
    "TableEncoder",
    "Teacher",
    "TreeBornMachine",
    "TreeClassifier",
    "TreeForestClassifier",
    "TreeRegressor",
    "enable_compilation_cache",
    "get_backend",
    "load_dataset",
    "load_model",
    "noise_study",
    "register",
    "shallow",
    "states",
]

# Loaded when first asked for, so that `qtnml --help` and `from qtnml.data import ...` stay quick.
_ROOMS = {
    "AmplitudeMPSClassifier": "qtnml.models",
    "AmplitudeTreeClassifier": "qtnml.models",
    "AnomalyDetector": "qtnml.models",
    "BornClassifier": "qtnml.models",
    "BornMixture": "qtnml.models",
    "CircuitBornMachine": "qtnml.models",
    "JobStore": "qtnml.jobs",
    "MPSBornMachine": "qtnml.models",
    "MPSClassifier": "qtnml.models",
    "MPSRegressor": "qtnml.models",
    "Model": "qtnml.contract",
    "Price": "qtnml.jobs",
    "SchmidtClustering": "qtnml.models",
    "Synthesis": "qtnml.gates",
    "TableEncoder": "qtnml.data",
    "Teacher": "qtnml.models",
    "TreeBornMachine": "qtnml.models",
    "TreeClassifier": "qtnml.models",
    "TreeForestClassifier": "qtnml.models",
    "TreeRegressor": "qtnml.models",
    "enable_compilation_cache": "qtnml.train",
    "get_backend": "qtnml.backends",
    "load_dataset": "qtnml.data",
    "load_model": "qtnml.models",
    "noise_study": "qtnml.models",
    "register": "qtnml.registry",
}
# Rooms that users name: qtnml.states.from_quimb(psi).
_WHOLE_ROOMS = ("shallow", "states")


def __getattr__(name: str) -> Any:
    if name in _WHOLE_ROOMS:
        return import_module(f"qtnml.{name}")
    if name not in _ROOMS:
        raise AttributeError(f"module 'qtnml' has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
