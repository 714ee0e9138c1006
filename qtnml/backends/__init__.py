"""Backends: simulators and quantum computers that run circuits."""

from qtnml.backends.base import (
    Backend,
    Capabilities,
    Counts,
    JobStatus,
    Result,
    exact_probabilities,
    run_circuits,
)
from qtnml.backends.contract import check_backend
from qtnml.backends.local import LocalBackend, Simulator
from qtnml.backends.registry import get_backend

__all__ = [
    "Backend",
    "Capabilities",
    "Counts",
    "JobStatus",
    "LocalBackend",
    "Result",
    "Simulator",
    "check_backend",
    "exact_probabilities",
    "get_backend",
    "run_circuits",
]
