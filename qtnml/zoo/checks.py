"""Checks that a circuit's files agree with its model and card."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qtnml.arrays import NDArray
from qtnml.backends import get_backend, run_circuits
from qtnml.born import log_likelihood
from qtnml.compile import import_circuit
from qtnml.compile.compiled import Compiled
from qtnml.jobs import JobStore
from qtnml.models import BackendClassifier, load_model, samples_for, strings_for
from qtnml.zoo.cards import RESOURCES, draws, read_card
from qtnml.zoo.files import how_compiled

_SAME_GATES = 2e-9  # radians; Qiskit writes an angle within 1e-9 of a fraction of pi as that fraction
_SAME_PROBABILITIES = 1e-9
_SAME_LOGARITHMS = 1e-7  # nats: strings of 64 sites are products of as many numbers
_SIGMAS = 5.0
_DRAWN = 20_000  # strings of the model itself, by which those of the circuit are judged
_VERIFIED = 100  # test strings


@dataclass(frozen=True)
class CircuitCheck:
    """Result of `check_circuit` for a classifier's circuit.

    Attributes:
        name: Name of the circuit.
        gate_difference: Largest difference of an angle between the files and the circuit rebuilt from the
            model with the stored weights; infinite if the gates differ.
        deviation: Largest difference of outcome probabilities between circuit and model.
        accuracy: Exact accuracy of the model on the whole test set.
        card_accuracy: Accuracy on the card.
        card_resources: Whether qubits, gates, depth and resets on the card agree with the circuit.
        samples: Number of test samples run on Aer.
        measured_accuracy: Accuracy on Aer with shots, on these samples.
        exact_accuracy: Exact accuracy of the model on the same samples.
        within_noise: Whether every measured frequency is within five standard deviations.
    """

    name: str
    gate_difference: float
    deviation: float
    accuracy: float
    card_accuracy: float
    card_resources: bool
    samples: int
    measured_accuracy: float
    exact_accuracy: float
    within_noise: bool

    @property
    def passed(self) -> bool:
        """Whether everything fits."""
        return (
            self.gate_difference <= _SAME_GATES
            and self.deviation <= _SAME_PROBABILITIES
            and abs(self.accuracy - self.card_accuracy) < 1e-9
            and self.card_resources
            and self.within_noise
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        difference = None if math.isinf(self.gate_difference) else self.gate_difference
        return asdict(self) | {"gate_difference": difference, "passed": self.passed}

    def __str__(self) -> str:
        return (
            f"gates within {self.gate_difference:.0e}, probabilities within {self.deviation:.0e}; accuracy "
            f"{self.accuracy:.4f}; on {self.samples} samples {self.exact_accuracy:.3f} exactly, "
            f"{self.measured_accuracy:.3f} in shots on Aer"
        )


@dataclass(frozen=True)
class DrawingCheck:
    """Result of `check_circuit` for a generative circuit.

    Attributes:
        name: Name of the circuit.
        gate_difference: As for `CircuitCheck`.
        deviation: Largest difference of ln P of test strings between circuit and model, nats.
        likelihood: Mean ln P of the test strings under the model, nats.
        card_likelihood: Mean ln P on the card.
        card_resources: As for `CircuitCheck`.
        shots: Number of strings drawn on Aer.
        measured_likelihood: Mean ln P, under the model, of the strings drawn on Aer.
        expected_likelihood: Mean ln P, under the model, of strings that the model itself draws.
        within_noise: Whether `measured_likelihood` and `expected_likelihood` agree within five standard
            deviations.
    """

    name: str
    gate_difference: float
    deviation: float
    likelihood: float
    card_likelihood: float
    card_resources: bool
    shots: int
    measured_likelihood: float
    expected_likelihood: float
    within_noise: bool

    @property
    def passed(self) -> bool:
        """Whether everything fits."""
        return (
            self.gate_difference <= _SAME_GATES
            and self.deviation <= _SAME_LOGARITHMS
            and abs(self.likelihood - self.card_likelihood) < 1e-6
            and self.card_resources
            and self.within_noise
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        difference = None if math.isinf(self.gate_difference) else self.gate_difference
        return asdict(self) | {"gate_difference": difference, "passed": self.passed}

    def __str__(self) -> str:
        return (
            f"gates within {self.gate_difference:.0e}, ln P within {self.deviation:.0e}; test strings "
            f"{self.likelihood:.4f} nats; drawn ones {self.measured_likelihood:.3f} in {self.shots:,} shots "
            f"on Aer, {self.expected_likelihood:.3f} by the model"
        )


def check_circuit(
    folder: Path, name: str, *, samples: int = 5, shots: int = 1024, seed: int = 0
) -> "CircuitCheck | DrawingCheck":
    """Rebuild a circuit from its model and stored weights, compare gate by gate, and measure it on Aer.

    A generative circuit is measured by the mean log-likelihood of its strings under the model.

    Args:
        folder: Folder of the circuits.
        name: Name of the circuit.
        samples: Number of test samples to run on Aer; the first ones are taken.
        shots: Shots of each sample.
        seed: Seed of the shots.

    Raises:
        CircuitFileError: A file is missing or damaged.
    """
    card = read_card(folder, name)
    if draws(card):
        return _check_drawing(folder, card, shots=shots, seed=seed)
    model = load_model(folder / f"{name}.qtnml")
    stored, difference = _compared(folder, name, card, model)
    X, y = samples_for(model, model.notes_["data"])
    assert y is not None
    expected = model.outcome_probabilities(X)
    found = stored.probabilities(X)
    chosen = slice(0, samples)
    # A ledger of its own: a check measures, whatever was stored before.
    on_aer = BackendClassifier(
        stored, model.classes_, "aer", shots=shots, repeat=seed, jobs=JobStore("sqlite://")
    )
    frequencies = on_aer.outcome_frequencies(X[chosen])
    return CircuitCheck(
        name=name,
        gate_difference=difference,
        deviation=float(np.abs(found - expected).max()),
        accuracy=float(model.score(X, y)),
        card_accuracy=float(card["accuracy"]["exact"]),
        card_resources=all(card["resources"][key] == getattr(stored.report(), key) for key in RESOURCES),
        samples=len(frequencies),
        measured_accuracy=_accuracy(frequencies, model.classes_, y[chosen]),
        exact_accuracy=_accuracy(expected[chosen], model.classes_, y[chosen]),
        within_noise=_within_noise(frequencies, expected[chosen], shots),
    )


def _check_drawing(folder: Path, card: dict[str, Any], *, shots: int, seed: int) -> DrawingCheck:
    name = card["name"]
    model = load_model(folder / f"{name}.qtnml")
    stored, difference = _compared(folder, name, card, model)
    X = strings_for(model, model.notes_["data"])
    levels = model.levels(X)
    (counts,) = run_circuits(get_backend("aer"), [stored.trained_circuit], shots=shots, seed=seed)
    outcomes = list(counts)
    drawn = np.repeat(stored.levels(outcomes), [counts[k] for k in outcomes], axis=0)
    own = model.levels(model.sample(_DRAWN, random_state=seed))
    measured, expected = (_log_likelihood(model, each) for each in (drawn, own))
    spread = np.sqrt(measured.var() / len(measured) + expected.var() / len(expected))
    return DrawingCheck(
        name=name,
        gate_difference=difference,
        deviation=stored.verify(model.state_, levels[:_VERIFIED]),
        likelihood=float(model.score(X)),
        card_likelihood=float(card["likelihood"]["exact"]),
        card_resources=all(card["resources"][key] == getattr(stored.report(), key) for key in RESOURCES),
        shots=len(drawn),
        measured_likelihood=float(measured.mean()),
        expected_likelihood=float(expected.mean()),
        within_noise=bool(abs(measured.mean() - expected.mean()) <= _SIGMAS * spread + 1e-9),
    )


def _log_likelihood(model: Any, levels: NDArray) -> NDArray:
    return np.asarray(log_likelihood(model.state_, levels))


def _compared(folder: Path, name: str, card: dict[str, Any], model: Any) -> tuple[Any, float]:
    """The stored circuit, and how far its files are from the rebuilt one and from each other."""
    stored = import_circuit(folder / f"{name}.qpy")
    bound = import_circuit(folder / f"{name}.qasm")
    rebuilt = model.compile(**how_compiled(model, card))
    return stored, max(
        gate_difference(_with_stored_weights(rebuilt, stored), stored.trained_circuit),
        gate_difference(stored.trained_circuit, bound.trained_circuit),
    )


def gate_difference(first: QuantumCircuit, second: QuantumCircuit) -> float:
    """Largest difference of an angle; infinite if the gates or the qubits they act on differ."""
    if len(first.data) != len(second.data):
        return math.inf
    largest = 0.0
    for one, other in zip(first.data, second.data, strict=True):
        a, b = one.operation, other.operation
        where = [[c.find_bit(bit).index for bit in i.qubits] for c, i in ((first, one), (second, other))]
        if (a.name, len(a.params)) != (b.name, len(b.params)) or where[0] != where[1]:
            return math.inf
        for x, y in zip(a.params, b.params, strict=True):
            free = [str(p) for p in (x, y) if getattr(p, "parameters", None)]
            if len(free) == 1 or len(set(free)) == 2:
                return math.inf
            if not free:
                largest = max(largest, abs(float(x) - float(y)))
    return largest


def _with_stored_weights(rebuilt: Compiled, stored: Compiled) -> QuantumCircuit:
    """The rebuilt gates with the file's angles: a fit may find other angles for the same node elsewhere."""
    if len(rebuilt.w) != len(stored.w):
        return QuantumCircuit()
    return rebuilt.with_weights(stored.weights).trained_circuit


def _accuracy(outcomes: NDArray, classes: NDArray, y: NDArray) -> float:
    return float(np.mean(classes[np.argmax(outcomes[:, : len(classes)], axis=1)] == y))


def _within_noise(frequencies: NDArray, expected: NDArray, shots: int) -> bool:
    spread = np.sqrt(expected * (1 - expected) / shots)
    return bool((np.abs(frequencies - expected) <= _SIGMAS * spread + _SIGMAS / shots).all())
