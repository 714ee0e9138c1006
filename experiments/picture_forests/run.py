"""Forests of amplitude chains on MNIST and Fashion-MNIST, ten classes; see README.md.

QTNML_DATA=/path/to/data python experiments/picture_forests/run.py [--sets ...] [--circuits] [--smoke]
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from qtnml import AmplitudeMPSClassifier, AmplitudeTreeClassifier, load_dataset, load_model
from qtnml.data import PictureAugmentation, pixel_order
from qtnml.gates import Synthesis
from qtnml.storage import write_atomically

FOLDER = Path(__file__).parent
KEPT = FOLDER / "checkpoints"
SIZE = 14
BOND, BOND_OF_CIRCUIT = 32, 16
LARGE_BOND, LARGE_EPOCHS = 64, 12
#: Chosen by 6,000 held-out training pictures among some ten short runs; see the README.
SETS: dict[str, dict[str, Any]] = {
    "mnist": {"epochs": 50, "augment": {"shift": 0.6, "turn": 8.0, "zoom": 0.08}, "trees": 4},
    "fashion-mnist": {"epochs": 40, "augment": {"shift": 0.0, "mirror": True}, "trees": 8, "sides": True},
}
BASELINES = {
    "logistic regression": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)),
    "SVM (RBF)": lambda: SVC(C=10.0),
    "gradient boosting": lambda: HistGradientBoostingClassifier(random_state=0),
}


def orders() -> list[np.ndarray]:
    """Of eight chains: row by row and column by column, every second one backwards; from the other end; z."""
    snake = pixel_order("snake", SIZE, SIZE)
    rows, columns = np.divmod(snake, SIZE)
    other, z = columns * SIZE + rows, pixel_order("z", SIZE, SIZE)
    return [snake, other, snake, other, snake[::-1], other[::-1], z, z[::-1]]


class Reordered:
    """An augmentation of pictures whose pixels come in another order."""

    def __init__(self, augment: PictureAugmentation, order: np.ndarray) -> None:
        self.augment, self.order, self.back = augment, order, np.argsort(order)

    def __call__(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(self.augment(X[:, self.back], rng)[:, self.order])


def tree(
    name: str, number: int, bond: int, data: Any, *, smoke: bool
) -> tuple[np.ndarray, np.ndarray, float, AmplitudeMPSClassifier]:
    """Test probabilities of one chain, those of mirrored pictures, the seconds it was trained, and itself.

    It is trained once.
    """
    how, order = SETS[name], orders()[number]
    KEPT.mkdir(exist_ok=True)
    path = KEPT / f"{name}-{bond}-{number}.npz"
    if smoke or not path.exists():
        augment = Reordered(PictureAugmentation((SIZE, SIZE), **how["augment"]), order)
        model = AmplitudeMPSClassifier(
            bond,
            label="end",
            augment=augment,
            epochs=1 if smoke else how["epochs"],
            feature_range=(0, 1),
            validation_fraction=0.0,
            checkpoint=None if smoke else KEPT / f"{name}-{bond}-{number}.run",
            resume=not smoke,
            random_state=number,
        )
        model.fit(data.X_train[:, order], data.y_train)
        if not smoke:
            model.save(path)
    if not smoke:
        model = load_model(path)
    mirrored = data.X_test[:, np.arange(SIZE * SIZE).reshape(SIZE, SIZE)[:, ::-1].ravel()]
    proba, of_mirrored = (model.predict_proba(X[:, order]) for X in (data.X_test, mirrored))
    return proba, of_mirrored, model.history_[-1].seconds, model


def circuit_of(model: AmplitudeMPSClassifier, X: np.ndarray) -> dict[str, Any]:
    """Resources of a chain's exact circuit, and how many shots count."""
    network, began = model.to_network(), time.perf_counter()
    compiled = network.compile(synthesis=Synthesis(method="analytic"))
    seconds = time.perf_counter() - began
    logs = network.log_success_probability(X)
    error = float(np.abs(network.predict_proba(X) - model.predict_proba(X)).max())
    return {
        "qubits": compiled.num_qubits,
        "two_qubit_gates": compiled.two_qubit_gates,
        "compile_seconds": round(seconds, 1),
        "log10_success": round(float(logs.mean() / np.log(10)), 1),
        "largest_difference": error,
    }


def measured(name: str, *, smoke: bool, circuits: bool) -> dict[str, Any]:
    """Test accuracies of everything on one set."""
    data = load_dataset(name, size=SIZE)
    if smoke:
        data = load_dataset(name, size=SIZE, train_size=2000)
    found: dict[str, Any] = {}
    began = time.perf_counter()
    products = AmplitudeTreeClassifier(
        10, cores="cp", topology="star", epochs=1 if smoke else 30, feature_range=(0, 1), random_state=0
    ).fit(data.X_train, data.y_train)
    found["sum of 10 products (no entanglement between pixels)"] = {
        "accuracy": products.score(data.X_test, data.y_test),
        "seconds": round(time.perf_counter() - began, 1),
    }
    known = KEPT / f"{name}-baselines.json"
    baselines = json.loads(known.read_text()) if known.exists() and not smoke else {}
    for label, make in BASELINES.items():
        if label not in baselines:
            began = time.perf_counter()
            score = make().fit(data.X_train, data.y_train).score(data.X_test, data.y_test)
            baselines[label] = {"accuracy": float(score), "seconds": round(time.perf_counter() - began, 1)}
            print(name, label, baselines[label], flush=True)
    if not smoke:
        write_atomically(known, json.dumps(baselines).encode())
    found |= baselines
    for bond, count in ((BOND_OF_CIRCUIT, 1), (BOND, 1 if smoke else SETS[name]["trees"])):
        total, both, spent = np.zeros((len(data.y_test), 10)), np.zeros((len(data.y_test), 10)), 0.0
        for number in range(count):
            proba, of_mirrored, seconds, model = tree(name, number, bond, data, smoke=smoke)
            total, both, spent = total + proba, both + proba + of_mirrored, spent + seconds
            label = f"chain, bond {bond}" if number == 0 else f"forest of {number + 1} chains, bond {bond}"
            found[label] = {"accuracy": accuracy(total, data.y_test), "seconds": round(spent, 1)}
            if SETS[name].get("sides"):
                found[f"{label}, both sides"] = {"accuracy": accuracy(both, data.y_test)}
            if circuits and bond == BOND_OF_CIRCUIT:
                X = data.X_test[:200, orders()[0]]
                found[label] |= circuit_of(model, X)
            print(name, label, found[label], flush=True)
    return found


def large(*, smoke: bool) -> dict[str, Any]:
    """One chain of bond 64 on 28x28 pixels of MNIST, its label in the middle."""
    data = load_dataset("mnist", order="snake", train_size=2000 if smoke else None)
    KEPT.mkdir(exist_ok=True)
    model = AmplitudeMPSClassifier(
        LARGE_BOND,
        augment=PictureAugmentation((28, 28), order="snake", shift=1.2, turn=8.0, zoom=0.08),
        epochs=1 if smoke else LARGE_EPOCHS,
        feature_range=(0, 1),
        validation_fraction=0.0,
        checkpoint=None if smoke else KEPT / "large.run",
        resume=not smoke,
        random_state=0,
    )
    model.fit(data.X_train, data.y_train)
    found = {"accuracy": model.score(data.X_test, data.y_test), "seconds": model.history_[-1].seconds}
    return {f"chain of 28x28 pixels, bond {LARGE_BOND}": found}


def accuracy(proba: np.ndarray, y: np.ndarray) -> float:
    return float((proba.argmax(axis=1) == y).mean())


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    heads = ["accuracy", "seconds", "qubits", "two_qubit_gates", "log10_success"]
    lines = [f"| set | model | {' | '.join(heads)} |", f"|---|---|{'---|' * len(heads)}"]
    for name, rows in results.items():
        for label, row in rows.items():
            cells = [f"{row['accuracy']:.4f}", *(str(row.get(head, "")) for head in heads[1:])]
            lines.append(f"| {name} | {label} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--circuits", action="store_true", help="compile a chain as well: minutes")
    parser.add_argument("--large", action="store_true", help="only the chain of 28x28 pixels: an hour")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    path = FOLDER / "results.json"
    if options.large:
        found = large(smoke=options.smoke)
        print(found)
        if not options.smoke:
            results = json.loads(path.read_text())
            results["mnist"] |= found
            write_atomically(path, (json.dumps(results, indent=1) + "\n").encode())
            write_atomically(FOLDER / "results.md", table(results).encode())
        return
    for name in options.sets:
        found = measured(name, smoke=options.smoke, circuits=options.circuits)
        if not options.smoke:
            results = json.loads(path.read_text()) if path.exists() else {}
            large_row = {k: v for k, v in results.get(name, {}).items() if "28x28" in k}
            results[name] = found | large_row
            results = {known: results[known] for known in SETS if known in results}
            write_atomically(path, (json.dumps(results, indent=1) + "\n").encode())
            write_atomically(FOLDER / "results.md", table(results).encode())


if __name__ == "__main__":
    main()
