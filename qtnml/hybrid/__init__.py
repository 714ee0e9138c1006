"""Training on a backend: every evaluation is measured with shots and stored in the ledger."""

from qtnml.hybrid.cma import CMAES
from qtnml.hybrid.generative import MMD, ClippedNLL, train_generative_on_backend
from qtnml.hybrid.objective import MeasuredLoss, Objective
from qtnml.hybrid.optimizers import SPSA, AveragedSPSA, HybridOptimizer, ParameterShift
from qtnml.hybrid.settings import HybridRecord, HybridResult, HybridTraining, TrainingPlan, Where
from qtnml.hybrid.shift import ShiftRule, shift_rules
from qtnml.hybrid.training import train_on_backend

__all__ = [
    "CMAES",
    "MMD",
    "SPSA",
    "AveragedSPSA",
    "ClippedNLL",
    "HybridOptimizer",
    "HybridRecord",
    "HybridResult",
    "HybridTraining",
    "MeasuredLoss",
    "Objective",
    "ParameterShift",
    "ShiftRule",
    "TrainingPlan",
    "Where",
    "shift_rules",
    "train_generative_on_backend",
    "train_on_backend",
]
