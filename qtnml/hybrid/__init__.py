"""Training on a backend: every evaluation is counted shots, and every one is in the ledger."""

from qtnml.hybrid.objective import Objective
from qtnml.hybrid.optimizers import SPSA, AveragedSPSA, ParameterShift
from qtnml.hybrid.settings import HybridRecord, HybridResult, HybridTraining, TrainingPlan, Where
from qtnml.hybrid.shift import ShiftRule, shift_rules
from qtnml.hybrid.training import train_on_backend

__all__ = [
    "SPSA",
    "AveragedSPSA",
    "HybridRecord",
    "HybridResult",
    "HybridTraining",
    "Objective",
    "ParameterShift",
    "ShiftRule",
    "TrainingPlan",
    "Where",
    "shift_rules",
    "train_on_backend",
]
