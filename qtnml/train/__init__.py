"""Losses, Riemannian Adam, and the training loop."""

from qtnml.train.compilation_cache import enable_compilation_cache
from qtnml.train.loop import train
from qtnml.train.losses import CrossEntropy, HingePower, Loss, get_loss
from qtnml.train.records import EpochRecord, TrainingOptions, TrainingResult, TrainingSet
from qtnml.train.riemannian_adam import AdamState, RiemannianAdam

__all__ = [
    "AdamState",
    "CrossEntropy",
    "EpochRecord",
    "HingePower",
    "Loss",
    "RiemannianAdam",
    "TrainingOptions",
    "TrainingResult",
    "TrainingSet",
    "enable_compilation_cache",
    "get_loss",
    "train",
]
