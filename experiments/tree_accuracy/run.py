"""Test accuracy of tree classifiers, and how exactly their circuits agree; see README.md.

python experiments/tree_accuracy/run.py [--smoke]
"""

import argparse
import json
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qtnml import TreeClassifier, get_backend, load_dataset
from qtnml.data import Dataset
from qtnml.errors import ClippedDataWarning, DataError
from qtnml.train import CrossEntropy, Loss

FOLDER = Path(__file__).parent
SHOTS = 1024


@dataclass(frozen=True)
class Case:
    """One model to train."""

    classes: tuple[int, ...] | None
    bond_qubits: int
    epochs: int
    seed: int = 0
    leaf: str = "data"
    loss: str | Loss = "cross-entropy"
    train_size: int | None = None


PLAIN = CrossEntropy(sharpness=1.0)
CASES = [
    *(Case((3, 5), 1, 60, seed) for seed in range(3)),
    *(Case((3, 5), 2, 20, seed) for seed in range(3)),
    Case((3, 5), 1, 60, train_size=5000),
    Case((3, 5), 2, 20, train_size=5000),
    Case((3, 5), 2, 20, leaf="fresh", train_size=5000),
    Case((3, 5), 1, 60, loss=PLAIN),
    Case((3, 5), 2, 20, loss=PLAIN),
    Case((3, 5), 1, 60, loss="hinge"),
    Case((3, 5), 2, 20, loss="hinge"),
    *(Case((0, 1), 1, 30, seed) for seed in range(3)),
    Case(None, 2, 12),
    Case(None, 2, 12, loss=PLAIN),
]
SMOKE = [Case((3, 5), 1, 10), Case((3, 5), 2, 3)]


def load(case: Case) -> Dataset:
    """MNIST averaged to 8x8, or the digits that scikit-learn ships where MNIST is not to be had."""
    try:
        return load_dataset("mnist", size=8, classes=case.classes, order="z", train_size=case.train_size)
    except DataError as error:
        print(f"MNIST is not here ({error}); using 'digits'")
        return load_dataset("digits", classes=case.classes, order="z")


def measure(case: Case) -> dict[str, Any]:
    """Train one case and report it."""
    data = load(case)
    clf = TreeClassifier(
        case.bond_qubits,
        leaf=case.leaf,  # type: ignore[arg-type]
        epochs=case.epochs,
        loss=case.loss,
        random_state=case.seed,
    )
    began = time.perf_counter()
    clf.fit(data.X_train, data.y_train)
    seconds = time.perf_counter() - began
    outcomes = clf.outcome_probabilities(data.X_test)
    labels = np.searchsorted(clf.classes_, data.y_test)
    counts = np.random.default_rng(0).multinomial(SHOTS, outcomes / outcomes.sum(axis=1, keepdims=True))
    return {
        "data": data.name,
        "classes": "all ten" if case.classes is None else " vs ".join(map(str, case.classes)),
        "bond_qubits": case.bond_qubits,
        "leaf": case.leaf,
        "nodes": len(clf.model_.topology.nodes),
        "loss": case.loss if isinstance(case.loss, str) else "plain cross-entropy",
        "train": len(data.y_train),
        "epochs": case.epochs,
        "seed": case.seed,
        "seconds": seconds,
        "accuracy": clf.score(data.X_test, data.y_test),
        "accuracy_1024_shots": float((counts[:, : len(clf.classes_)].argmax(axis=1) == labels).mean()),
        "lost_mass": float(clf.lost_mass(data.X_test).mean()),
        **(deviations(clf, data.X_test[:10]) if case.bond_qubits == 1 else {}),
    }


def deviations(clf: TreeClassifier, X: np.ndarray) -> dict[str, float]:
    """Largest difference of contraction (float64, float32) and reuse circuit on Aer, ten images."""
    exact = get_backend("aer").probabilities(clf.compile(reuse_qubits=True).bind(X))
    single = jax.tree.map(lambda stack: jnp.asarray(stack, jnp.complex64), clf.params_)
    in_float32 = np.asarray(clf.model_.apply(single, jnp.asarray(clf.scaler_(X))))
    return {
        "circuit_float64": float(np.abs(exact - clf.outcome_probabilities(X)).max()),
        "circuit_float32": float(np.abs(exact - in_float32).max()),
    }


COLUMNS = {
    "classes": "s",
    "bond_qubits": "d",
    "leaf": "s",
    "nodes": "d",
    "loss": "s",
    "train": "d",
    "epochs": "d",
    "seed": "d",
    "seconds": ".1f",
    "accuracy": ".4f",
    "accuracy_1024_shots": ".4f",
    "lost_mass": ".3f",
    "circuit_float64": ".0e",
    "circuit_float32": ".0e",
}


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for row in rows:
        cells = (format(row[name], spec) if name in row else "" for name, spec in COLUMNS.items())
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run all cases; write results.json and results.md unless --smoke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="two short cases, prints only")
    # A few test pixels are brighter than any training pixel at their place.
    warnings.simplefilter("ignore", ClippedDataWarning)
    smoke = parser.parse_args().smoke
    rows = []
    for case in SMOKE if smoke else CASES:
        rows.append(measure(case))
        print(json.dumps(rows[-1]), flush=True)
    print(table(rows))
    if not smoke:
        cases = [{**asdict(case), "loss": str(case.loss)} for case in CASES]
        (FOLDER / "results.json").write_text(json.dumps({"cases": cases, "rows": rows}, indent=1) + "\n")
        (FOLDER / "results.md").write_text(table(rows) + "\n")


if __name__ == "__main__":
    main()
