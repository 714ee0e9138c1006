"""From the outcomes at the root to classes."""

import numpy as np

from qtnml.arrays import NDArray
from qtnml.backends import Counts
from qtnml.errors import InvalidInputError


def qubits_for_classes(num_classes: int) -> int:
    """Root qubits that tell `num_classes` apart: outcome k is class k."""
    return max(1, (num_classes - 1).bit_length())


def class_probabilities(outcomes: NDArray, num_classes: int) -> tuple[NDArray, NDArray]:
    """Leave out outcomes without a class and renormalise the rest.

    Args:
        outcomes: Shape (samples, outcomes), rows summing to 1.
        num_classes: Outcomes from here on have no class.

    Returns:
        Class probabilities (samples, classes), uniform where nothing is left, and the lost
        probability per sample (samples,).
    """
    kept = outcomes[:, :num_classes]
    total = kept.sum(axis=1, keepdims=True)
    uniform = np.full_like(kept, 1.0 / num_classes)
    proba = np.divide(kept, total, out=uniform, where=total > 0)
    return proba, np.clip(1.0 - total[:, 0], 0.0, 1.0)


def counts_to_outcomes(counts: list[Counts], num_outcomes: int) -> NDArray:
    """Relative frequencies, shape (samples, outcomes)."""
    outcomes = np.zeros((len(counts), num_outcomes))
    for row, count in zip(outcomes, counts, strict=True):
        for outcome, shots in count.items():
            row[outcome] = shots
    return np.asarray(outcomes / outcomes.sum(axis=1, keepdims=True))


def check_root(num_classes: int, available: int, num_features: int, bond_qubits: int) -> None:
    """Refuse more classes than the root's qubits can tell apart."""
    if qubits_for_classes(num_classes) > available:
        raise InvalidInputError(
            f"{num_classes} classes need {qubits_for_classes(num_classes)} root qubits, but the root has "
            f"{available} (n_features={num_features}, bond_qubits={bond_qubits}) and tells at most "
            f"{2**available} classes apart; use a larger bond_qubits or more features"
        )
