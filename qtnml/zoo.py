"""A folder of trained circuits, each with model, circuit files and card, and the proof that they fit.

A circuit NAME is four files: `NAME.qtnml` (the model), `NAME.qasm` (OpenQASM 3, weights bound), `NAME.qpy`
(Qiskit, weights free) and `NAME.json` (the card).
"""

import json
import math
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qtnml.arrays import NDArray
from qtnml.compile import CompiledCircuit, export_circuit, import_circuit
from qtnml.errors import CircuitFileError
from qtnml.gates import Synthesis
from qtnml.jobs import JobStore
from qtnml.models import BackendClassifier, load_model, samples_for
from qtnml.storage import write_atomically

_SAME_GATES = 1e-9  # radians
_SAME_PROBABILITIES = 1e-9
_SIGMAS = 5.0
_RESOURCES = ("features", "qubits", "two_qubit_gates", "depth", "resets")


@dataclass(frozen=True)
class CircuitCheck:
    """What `check_circuit` found.

    Attributes:
        name: The circuit.
        gate_difference: Largest difference of an angle between the files and the circuit rebuilt from the
            model with the stored weights; infinite if the gates are others.
        deviation: Largest difference of outcome probabilities between circuit and model.
        accuracy: Of the model, exactly, on the whole test set.
        card_accuracy: What the card says of it.
        card_resources: Whether qubits, gates, depth and resets on the card are the circuit's.
        samples: Test samples run on Aer.
        measured_accuracy: On Aer with shots, on those samples.
        exact_accuracy: The model's on the same samples.
        within_noise: Whether every measured frequency lies within five standard deviations.
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


def default_folder() -> Path:
    """The repository's `circuits/`, or that of the working directory."""
    beside = Path(__file__).parents[1] / "circuits"
    return beside if beside.is_dir() else Path("circuits")


def read_cards(folder: Path) -> list[dict[str, Any]]:
    """All cards of a folder, by name.

    Raises:
        CircuitFileError: No folder, or none in it.
    """
    cards = [read_card(folder, path.stem) for path in sorted(folder.glob("*.json"))]
    if not cards:
        raise CircuitFileError(f"no circuit cards in {folder}; name the folder with --folder")
    return cards


def read_card(folder: Path, name: str) -> dict[str, Any]:
    """One card.

    Raises:
        CircuitFileError: There is none, or it is damaged.
    """
    path = folder / f"{name}.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        _check_card(card, name)
    except FileNotFoundError:
        known = sorted(other.stem for other in folder.glob("*.json"))
        raise CircuitFileError(f"no circuit {name!r} in {folder}; there are {known}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CircuitFileError(f"{path} is damaged ({type(error).__name__}: {error})") from error
    return dict(card)


def _check_card(card: Any, name: str) -> None:
    """What is read of it below must be there, of its type."""
    if card["name"] != name:
        raise ValueError(f"it is of {card['name']!r}")
    for key in _RESOURCES:
        int(card["resources"][key])
    float(card["accuracy"]["exact"])
    str(card["model"]), card["data"]["data"], card["data"]["classes"]
    Synthesis(**card["compile"]["synthesis"])
    if set(card["compile"]) != {"reuse_qubits", "num_qubits", "synthesis"}:
        raise ValueError("its `compile` has other entries than reuse_qubits, num_qubits, synthesis")


def write_circuit(
    folder: Path, name: str, model: Any, *, made_by: list[str], **compiling: Any
) -> CompiledCircuit:
    """Compile a fitted classifier and write its four files.

    Args:
        folder: Where to.
        name: Of the files.
        model: Fitted, with the `notes_` that say how its data are read.
        made_by: Lines that make it again, for the card.
        compiling: reuse_qubits, num_qubits, and a `Synthesis`.
    """
    synthesis = compiling.get("synthesis") or Synthesis()
    compiled: CompiledCircuit = model.compile(**compiling)
    X, y = samples_for(model, model.notes_["data"])
    assert y is not None
    resources = compiled.report().to_dict()
    del resources["idle"], resources["layout"]
    card = {
        "name": name,
        "model": (
            f"{type(model).__name__}, V={model.model_.topology.widest}, ansatz {model.model_.ansatz.name!r}"
        ),
        "data": model.notes_,
        "encoding": f"{compiled.encoding.name}: one angle per data qubit; NAME.qasm says which",
        "read_out": {
            format(k, f"0{len(compiled.schedule.measured)}b"): str(label)
            for k, label in enumerate(model.classes_)
        },
        "accuracy": {"test_samples": len(y), "exact": model.score(X, y)},
        "compile": {
            "reuse_qubits": bool(compiling.get("reuse_qubits", True)),
            "num_qubits": compiling.get("num_qubits"),
            "synthesis": asdict(synthesis),
        },
        "resources": resources,
        "made_by": made_by,
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("qtnml", "qiskit", "numpy", "jax")},
        },
    }
    model.save(folder / f"{name}.qtnml")
    export_circuit(compiled, folder / f"{name}.qasm")
    export_circuit(compiled, folder / f"{name}.qpy", free_weights=True)
    write_atomically(folder / f"{name}.json", (json.dumps(card, indent=1) + "\n").encode())
    return compiled


def check_circuit(
    folder: Path, name: str, *, samples: int = 5, shots: int = 1024, seed: int = 0
) -> CircuitCheck:
    """Rebuild a circuit from its model and stored weights, compare gate by gate, and measure it on Aer.

    Args:
        folder: Of the circuits.
        name: Which.
        samples: Test samples to run on Aer, the first ones.
        shots: Of each.
        seed: Of the shots.

    Raises:
        CircuitFileError: A file is missing or damaged.
    """
    card = read_card(folder, name)
    model = load_model(folder / f"{name}.qtnml")
    stored = import_circuit(folder / f"{name}.qpy")
    bound = import_circuit(folder / f"{name}.qasm")
    how = card["compile"]
    how |= {"synthesis": Synthesis(**how["synthesis"])}
    rebuilt = model.compile(**how)
    difference = max(
        gate_difference(_with_stored_weights(rebuilt, stored), stored.trained_circuit),
        gate_difference(stored.trained_circuit, bound.trained_circuit),
    )
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
        card_resources=all(card["resources"][key] == getattr(stored.report(), key) for key in _RESOURCES),
        samples=len(frequencies),
        measured_accuracy=_accuracy(frequencies, model.classes_, y[chosen]),
        exact_accuracy=_accuracy(expected[chosen], model.classes_, y[chosen]),
        within_noise=_within_noise(frequencies, expected[chosen], shots),
    )


def gate_difference(first: QuantumCircuit, second: QuantumCircuit) -> float:
    """Largest difference of an angle; infinite if the gates, or the qubits they act on, are others."""
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


def _with_stored_weights(rebuilt: CompiledCircuit, stored: CompiledCircuit) -> QuantumCircuit:
    """The rebuilt gates with the file's angles: a fit may find other angles for the same node elsewhere."""
    if len(rebuilt.w) != len(stored.w):
        return QuantumCircuit()
    return rebuilt.with_weights(stored.weights).trained_circuit


def _accuracy(outcomes: NDArray, classes: NDArray, y: NDArray) -> float:
    return float(np.mean(classes[np.argmax(outcomes[:, : len(classes)], axis=1)] == y))


def _within_noise(frequencies: NDArray, expected: NDArray, shots: int) -> bool:
    spread = np.sqrt(expected * (1 - expected) / shots)
    return bool((np.abs(frequencies - expected) <= _SIGMAS * spread + _SIGMAS / shots).all())
