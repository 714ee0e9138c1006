"""scikit-learn estimators: classical and on a backend."""

from qtnml.docstrings import documented
from qtnml.models.amplitude_mps import AmplitudeMPSClassifier
from qtnml.models.amplitude_tree import AmplitudeTreeClassifier
from qtnml.models.anomaly import AnomalyDetector
from qtnml.models.backend_born import BackendBornMachine
from qtnml.models.backend_classifier import BackendClassifier
from qtnml.models.backend_regressor import BackendRegressor
from qtnml.models.born import MPSBornMachine, TreeBornMachine
from qtnml.models.born_classifier import BornClassifier
from qtnml.models.born_machine import BornMachine
from qtnml.models.circuit_born import CircuitBornMachine
from qtnml.models.classifiers import MPSClassifier, TreeClassifier
from qtnml.models.clustering import SchmidtClustering
from qtnml.models.estimator import NetworkEstimator
from qtnml.models.forest import TreeForestClassifier
from qtnml.models.mixture import BornMixture
from qtnml.models.noise_study import NoiseStudy, noise_study
from qtnml.models.objects import with_arguments
from qtnml.models.persistence import load_model
from qtnml.models.regressors import MPSRegressor, TreeRegressor
from qtnml.models.samples import samples_for, strings_for
from qtnml.models.teacher import Teacher
from qtnml.models.trial import run_trial, trial

__all__ = [
    "AmplitudeMPSClassifier",
    "AmplitudeTreeClassifier",
    "AnomalyDetector",
    "BackendBornMachine",
    "BackendClassifier",
    "BackendRegressor",
    "BornClassifier",
    "BornMachine",
    "BornMixture",
    "CircuitBornMachine",
    "MPSBornMachine",
    "MPSClassifier",
    "MPSRegressor",
    "NetworkEstimator",
    "NoiseStudy",
    "SchmidtClustering",
    "Teacher",
    "TreeBornMachine",
    "TreeClassifier",
    "TreeForestClassifier",
    "TreeRegressor",
    "load_model",
    "noise_study",
    "run_trial",
    "samples_for",
    "strings_for",
    "trial",
    "with_arguments",
]

# Every argument under help(Class), though each is written down once.
for _class in (
    NetworkEstimator,
    TreeClassifier,
    MPSClassifier,
    TreeRegressor,
    MPSRegressor,
    AmplitudeMPSClassifier,
    AmplitudeTreeClassifier,
    MPSBornMachine,
    TreeBornMachine,
    BornClassifier,
):
    documented(_class)
