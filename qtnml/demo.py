"""The main job from end to end: real digits, a trained tree, its circuit, shots, the same numbers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qtnml.backends import exact_probabilities, get_backend
from qtnml.compile import CompiledCircuit
from qtnml.data import Dataset, load_dataset
from qtnml.jobs import JobStore
from qtnml.models import TreeClassifier
from qtnml.plots import plot_circuit, plot_confusion, plot_samples, plot_training
from qtnml.storage import save_figure

PAIR = (3, 5)


@dataclass(frozen=True)
class DemoResult:
    """What `qtnml demo` reports; `depth` is that of the reuse circuit, which is the one that runs.

    Attributes:
        test_accuracy: Of the exact contraction on all test images.
        shots_accuracy: Of the reuse circuit on Aer with shots, on the images that were run.
        max_probability_error: Largest difference between the contraction and the reuse circuit's
            exact probabilities on those images.
        num_qubits, num_qubits_reuse: Circuit width without and with qubit reuse.
        two_qubit_gates: CX gates, the same in both circuits.
        depth: Depth of the reuse circuit.
        seconds: Wall time by step.
    """

    test_accuracy: float
    shots_accuracy: float
    max_probability_error: float
    num_qubits: int
    num_qubits_reuse: int
    two_qubit_gates: int
    depth: int
    seconds: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def run_demo(folder: Path, *, shots: int, images: int, seed: int) -> DemoResult:
    """Train on 8x8 digits, compile, run on Aer, and write the pictures to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    clock = _Clock()
    with clock.step("load"):
        data = load_dataset("digits", classes=PAIR, order="z", test_fraction=0.5)
        chosen = slice(0, min(images, len(data.X_test)))
    with clock.step("train"):
        clf = TreeClassifier(bond_qubits=1, feature_range=(0, 1), random_state=seed, verbose=1)
        clf.fit(data.X_train, data.y_train)
        test_accuracy = clf.score(data.X_test, data.y_test)
    with clock.step("compile"):
        compiled = clf.compile(reuse_qubits=True)
        unrolled = clf.compile(reuse_qubits=False)
    with clock.step("exact check"):
        exact = exact_probabilities(get_backend("aer"), compiled.bind(data.X_test[chosen]))
        error = np.abs(exact - clf.predict_proba(data.X_test[chosen])).max()
    with clock.step("shots"):
        # A ledger of its own: shots of an earlier demo would tell nothing about this one.
        on_aer = clf.to_backend("aer", shots=shots, jobs=JobStore("sqlite://"), repeat=seed, verbose=1)
        proba = on_aer.predict_proba(data.X_test[chosen])
        predicted = clf.classes_[np.argmax(proba, axis=1)]
    with clock.step("pictures"):
        _draw(folder, data, clf, compiled, proba, predicted, shots)
    return DemoResult(
        test_accuracy=float(test_accuracy),
        shots_accuracy=float(np.mean(predicted == data.y_test[chosen])),
        max_probability_error=float(error),
        num_qubits=unrolled.num_qubits,
        num_qubits_reuse=compiled.num_qubits,
        two_qubit_gates=compiled.two_qubit_gates,
        depth=compiled.depth,
        seconds=clock.seconds,
    )


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - began, 3)


def _draw(
    folder: Path,
    data: Dataset,
    clf: TreeClassifier,
    compiled: CompiledCircuit,
    proba: np.ndarray[Any, Any],
    predicted: np.ndarray[Any, Any],
    shots: int,
) -> None:
    """Four pictures: training, circuit, digits with their measured probabilities, confusion."""
    count = len(predicted)
    X, y = data.X_test[:count], data.y_test[:count]
    # The least certain digits say most; the surest ones show what the model takes for granted.
    order = np.argsort(proba.max(axis=1))
    shown = np.concatenate([order[: (count + 1) // 2][:8], order[(count + 1) // 2 :][-8:]])
    figures = {
        "training.png": plot_training(clf.history_, clf.best_epoch_),
        "circuit.png": plot_circuit(compiled),
        "digits.png": plot_samples(
            data,
            X[shown],
            y[shown],
            proba[shown],
            clf.classes_,
            title=f"Probabilities measured in {shots} shots: the least certain digits first, then the surest "
            "(a wrong prediction in red)",
        ),
        "confusion.png": plot_confusion(
            y, predicted, clf.classes_, title=f"{count} test images, {shots} shots each"
        ),
    }
    for name, figure in figures.items():
        save_figure(figure, folder / name)
