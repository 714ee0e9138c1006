"""Losses, optimisers and the training loop."""

from qtnml.train.checkpoint import Checkpoint
from qtnml.train.compilation_cache import enable_compilation_cache
from qtnml.train.fit_loop import Callback, Step, fit_loop
from qtnml.train.loop import train
from qtnml.train.losses import CrossEntropy, HingePower, Loss, MeanSquaredError, get_loss
from qtnml.train.optimizer import OptaxOptimizer, Optimizer
from qtnml.train.records import EpochRecord, TrainingOptions, TrainingResult, TrainingSet
from qtnml.train.registry import get_optimizer
from qtnml.train.riemannian import isometric_cores, riemannian, scale_by_norm_adam, unitary_stacks
from qtnml.train.riemannian_adam import RiemannianAdam
from qtnml.train.spsa import SPSA, CalibratedSPSA
from qtnml.train.steps import emulate_shots
from qtnml.train.sweep_loop import ClassTask, SweepStep, SweepTraining, train_by_sweeps
from qtnml.train.sweeps import SweepOptions, Swept, sweep

__all__ = [
    "SPSA",
    "CalibratedSPSA",
    "Callback",
    "Checkpoint",
    "ClassTask",
    "CrossEntropy",
    "EpochRecord",
    "HingePower",
    "Loss",
    "MeanSquaredError",
    "OptaxOptimizer",
    "Optimizer",
    "RiemannianAdam",
    "Step",
    "SweepOptions",
    "SweepStep",
    "SweepTraining",
    "Swept",
    "TrainingOptions",
    "TrainingResult",
    "TrainingSet",
    "emulate_shots",
    "enable_compilation_cache",
    "fit_loop",
    "get_loss",
    "get_optimizer",
    "isometric_cores",
    "riemannian",
    "scale_by_norm_adam",
    "sweep",
    "train",
    "train_by_sweeps",
    "unitary_stacks",
]
