"""From the outcomes at the root to classes."""

import numpy as np
from scipy.optimize import minimize_scalar

from qtnml.arrays import NDArray
from qtnml.backends import Counts
from qtnml.errors import InvalidInputError
from qtnml.structure.topology import MAX_BOND_QUBITS


def qubits_for_classes(num_classes: int) -> int:
    """Root qubits that tell `num_classes` apart: outcome k is class k."""
    return max(1, (num_classes - 1).bit_length())


def width_for(root_qubits: int, shape: str) -> int:
    """The least width V of inner wires whose root holds so many qubits: a tree's has 2 V, a chain's V + 1."""
    least = (root_qubits + 1) // 2 if shape == "tree" else root_qubits - 1
    return min(max(1, least), MAX_BOND_QUBITS)


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


def tempered(probabilities: NDArray, temperature: float) -> NDArray:
    """p**(1 / temperature), rows normalised again: flatter above 1, sharper below."""
    if temperature == 1:
        return probabilities
    with np.errstate(divide="ignore"):
        logs = np.log(probabilities) / temperature
    logs = logs - logs.max(axis=1, keepdims=True)
    return np.asarray(np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True))


def best_temperature(probabilities: NDArray, outcomes: NDArray) -> float:
    """The temperature, from 1/20 to 20, of the least mean cross-entropy of outcomes (samples,)."""
    rows = np.arange(len(outcomes))

    def cross_entropy(log_temperature: float) -> float:
        found = tempered(probabilities, float(np.exp(log_temperature)))[rows, outcomes]
        return -float(np.log(np.maximum(found, 1e-12)).mean())

    bound = float(np.log(20))
    return float(np.exp(minimize_scalar(cross_entropy, bounds=(-bound, bound), method="bounded").x))


def counts_to_outcomes(counts: list[Counts], num_outcomes: int) -> NDArray:
    """Relative frequencies among the shots that count, shape (samples, outcomes); zeros if none does.

    A larger number than the outcomes have is a shot whose post-selection failed.
    """
    outcomes = np.zeros((len(counts), num_outcomes))
    for row, count in zip(outcomes, counts, strict=True):
        for outcome, shots in count.items():
            if outcome < num_outcomes:
                row[outcome] = shots
    total = outcomes.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(outcomes, total, out=np.zeros_like(outcomes), where=total > 0))


def check_root(num_classes: int, available: int, num_features: int, bond_qubits: int, shape: str) -> None:
    """Refuse more classes than the root's qubits can tell apart."""
    needed = qubits_for_classes(num_classes)
    if needed <= available:
        return
    wide_enough = (needed + 1) // 2 if shape == "tree" else needed - 1
    if wide_enough > MAX_BOND_QUBITS:
        cure = "classify pairs of classes instead (sklearn.multiclass.OneVsOneClassifier)"
    elif available < (2 * bond_qubits if shape == "tree" else bond_qubits + 1):
        cure = f"give it at least {needed} features"
    else:
        cure = f"set bond_qubits={wide_enough} (-b {wide_enough} on the command line)"
    raise InvalidInputError(
        f"{num_classes} classes need {needed} root qubits, but the root has {available} "
        f"(n_features={num_features}, bond_qubits={bond_qubits}) and tells at most {2**available} classes "
        f"apart; {cure}"
    )
