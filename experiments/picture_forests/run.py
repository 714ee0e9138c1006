"""Forests of amplitude chains on MNIST and Fashion-MNIST, ten classes; see README.md.

QTNML_DATA=/path/to/data python experiments/picture_forests/run.py [--sets ...] [--circuits] [--smoke]
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from qtnml import AmplitudeMPSClassifier, AmplitudeTreeClassifier, load_dataset, load_model
from qtnml.ansatz.tensor_network import stacking
from qtnml.data import PictureAugmentation, pixel_order
from qtnml.gates import Synthesis
from qtnml.gates.synthesis import synthesize
from qtnml.storage import write_atomically
from qtnml.structure import chain

FOLDER = Path(__file__).parent
KEPT = FOLDER / "checkpoints"
SIDES = {"fashion-mnist"}  # sets whose pictures may be mirrored
BOND_OF_CIRCUIT = 16
LARGE_BOND, LARGE_EPOCHS = 64, 12
BASELINES = {
    "logistic regression": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)),
    "SVM (RBF)": lambda: SVC(C=10.0),
    "gradient boosting": lambda: HistGradientBoostingClassifier(random_state=0),
}


def pixels(size: int) -> list[np.ndarray]:
    """Of eight chains: row by row and column by column, every second one backwards; from the other end; z."""
    snake = pixel_order("snake", size, size)
    other, z = transposed(snake, size), pixel_order("z", size, size)
    return [snake, other, snake, other, snake[::-1], other[::-1], z, z[::-1]]


def patches(size: int) -> list[np.ndarray]:
    """Of four chains over patches of 2x2: rows of patches and columns of them, from both ends."""
    rows = pixel_order("patches", size, size)
    return [rows, transposed(rows, size), rows[::-1], transposed(rows, size)[::-1]]


def transposed(order: np.ndarray, size: int) -> np.ndarray:
    """An order with rows and columns swapped."""
    row, column = np.divmod(order, size)
    return column * size + row


@dataclass(frozen=True)
class Forest:
    """Chains of one kind on one set.

    Attributes:
        label: Of its rows in the table.
        size: Pixels of a side.
        bond, epochs, trees: Of a chain, and how many.
        augment: Of `PictureAugmentation`.
        group: Pixels of a node.
    """

    label: str
    size: int
    bond: int
    epochs: int
    trees: int
    augment: dict[str, Any]
    group: int = 1

    def orders(self) -> list[np.ndarray]:
        """Pixel order of each chain."""
        return pixels(self.size) if self.group == 1 else patches(self.size)

    def classifier(self, number: int, **settings: Any) -> Any:
        """A chain, not trained yet, its label at the end of its order (of patches: at the beginning)."""
        settings |= {"feature_range": (0, 1), "validation_fraction": 0.0, "random_state": number}
        augment = PictureAugmentation((self.size, self.size), **self.augment)
        settings["augment"] = Reordered(augment, self.orders()[number])
        if self.group == 1:
            return AmplitudeMPSClassifier(self.bond, label="end", **settings)
        topology = chain(self.size**2, group=self.group)
        return AmplitudeTreeClassifier(self.bond, topology=topology, **settings)

    def file(self, name: str, number: int) -> Path:
        """Where a trained chain is kept."""
        kind = "" if self.group == 1 else "-patches"
        return KEPT / f"{name}{kind}-{self.bond}-{number}.npz"


#: Chosen by 6,000 held-out training pictures among some twenty short runs; see the README.
MOVED = {"shift": 0.6, "turn": 8.0, "zoom": 0.08}
MIRRORED = {"shift": 0.0, "mirror": True}
FORESTS = {
    "mnist": [
        Forest("bond 16", 14, 16, 50, 1, MOVED),
        Forest("bond 32", 14, 32, 50, 4, MOVED),
        Forest("28x28, 2x2 a node, bond 16", 28, 16, 30, 2, MOVED | {"shift": 1.2}, 4),
    ],
    "fashion-mnist": [
        Forest("bond 16", 14, 16, 40, 1, MIRRORED),
        Forest("bond 32", 14, 32, 40, 8, MIRRORED),
        Forest("28x28, 2x2 a node, bond 16", 28, 16, 40, 4, MIRRORED | {"shift": 1, "whole_pixels": True}, 4),
    ],
}


class Reordered:
    """An augmentation of pictures whose pixels come in another order."""

    def __init__(self, augment: PictureAugmentation, order: np.ndarray) -> None:
        self.augment, self.order, self.back = augment, order, np.argsort(order)

    def __call__(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(self.augment(X[:, self.back], rng)[:, self.order])


def member(name: str, forest: Forest, number: int, data: Any, *, smoke: bool) -> Any:
    """One chain, trained once."""
    KEPT.mkdir(exist_ok=True)
    path = forest.file(name, number)
    if smoke or not path.exists():
        run = {"checkpoint": path.with_suffix(".run"), "resume": True} if not smoke else {}
        model = forest.classifier(number, epochs=1 if smoke else forest.epochs, **run)
        model.fit(data.X_train[:, forest.orders()[number]], data.y_train)
        if smoke:
            return model
        model.save(path)
    return load_model(path)


def circuit_of(model: Any, X: np.ndarray, *, written_out: bool) -> dict[str, Any]:
    """How many shots of a chain's exact circuit count, and its resources where it is written out as gates."""
    network = model.to_network()
    proba, logs = simulated(network, X)
    found = {
        "log10_success": round(float(logs.mean() / np.log(10)), 1),
        "largest_difference": float(np.abs(proba - model.predict_proba(X)).max()),
    }
    if not written_out:
        node = synthesize(network.params_.nodes[-1][-1]).circuit
        return found | {"cx_of_a_node": node.count_ops()["cx"]}
    began = time.perf_counter()
    compiled = network.compile(synthesis=Synthesis(method="analytic"))
    return found | {
        "qubits": compiled.num_qubits,
        "two_qubit_gates": compiled.two_qubit_gates,
        "compile_seconds": round(time.perf_counter() - began, 1),
    }


def simulated(network: Any, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Class probabilities and ln of the share of shots that count, from the circuit's unitaries one by one.

    A state vector of the qubits of one node, whose discarded ones are found in |0>. It shares no code with
    the amplitudes that were trained.
    """
    topology, encoding = network.model_.topology, network.model_.encoding
    places = (nodes for _, nodes in stacking(topology))
    unitaries = {
        node: unitary
        for nodes, stack in zip(places, network.params_.nodes, strict=True)
        for node, unitary in zip(nodes, stack, strict=True)
    }
    angles = encoding.angles(network.scaler_(X), network.params_.encoding)
    vectors = np.stack(encoding.amplitudes(angles.T), axis=2)  # (features, samples, 2)
    states, logs = dict(enumerate(vectors)), np.zeros(len(X))
    for k, node in enumerate(topology.nodes):
        state = np.ones((len(X), 1))
        for wire in node.children:
            state = (state[:, :, None] * states.pop(wire)[:, None, :]).reshape(len(X), -1)
        state = np.pad(state[:, :, None], ((0, 0), (0, 0), (0, 2**node.fresh - 1))).reshape(len(X), -1)
        state = (state @ unitaries[k].T).reshape(len(X), 2**node.width, -1)[:, :, 0]
        norms = np.linalg.norm(state, axis=1, keepdims=True)
        logs += 2 * np.log(norms[:, 0])
        states[topology.num_leaves + k] = state / norms
    proba = np.abs(state[:, : len(network.classes_)]) ** 2
    return proba / proba.sum(axis=1, keepdims=True), logs


def measured(name: str, known: dict[str, Any], *, smoke: bool, circuits: bool) -> dict[str, Any]:
    """Test accuracies of everything on one set; `known` rows are taken as they are."""
    found, products = dict[str, Any](), "sum of 10 products (no entanglement between pixels)"
    found[products] = known[products] if products in known else products_alone(name, smoke=smoke)
    found |= baselines(name, smoke=smoke)
    for forest in FORESTS[name]:
        rows = {label: known[label] for label in labels(name, forest) if label in known}
        lacks_circuit = circuits and not any("log10_success" in row for row in rows.values())
        if len(rows) < len(labels(name, forest)) or (lacks_circuit and forest.bond == BOND_OF_CIRCUIT):
            rows = measured_forest(name, forest, smoke=smoke, circuits=circuits)
        found |= rows
    return found


def products_alone(name: str, *, smoke: bool) -> dict[str, Any]:
    """A sum of ten product states."""
    data, began = load_dataset(name, size=14, train_size=2000 if smoke else None), time.perf_counter()
    products = AmplitudeTreeClassifier(
        10, cores="cp", topology="star", epochs=1 if smoke else 30, feature_range=(0, 1), random_state=0
    ).fit(data.X_train, data.y_train)
    return {
        "accuracy": products.score(data.X_test, data.y_test),
        "seconds": round(time.perf_counter() - began, 1),
    }


def labels(name: str, forest: Forest) -> list[str]:
    """Rows of a forest in the table."""
    found = [f"chain, {forest.label}"]
    found += [f"forest of {number} chains, {forest.label}" for number in range(2, forest.trees + 1)]
    return [row for each in found for row in ([each, f"{each}, both sides"] if name in SIDES else [each])]


def baselines(name: str, *, smoke: bool) -> dict[str, Any]:
    """Usual classifiers on 14x14 pixels, and the best of them on 28x28; each trained once."""
    KEPT.mkdir(exist_ok=True)
    known = KEPT / f"{name}-baselines.json"
    found: dict[str, Any] = json.loads(known.read_text()) if known.exists() and not smoke else {}
    wanted = [(label, 14) for label in BASELINES] + [("SVM (RBF)", 28)]
    for label, size in wanted:
        row = label if size == 14 else f"{label}, 28x28"
        if row in found:
            continue
        data, began = load_dataset(name, size=size, train_size=2000 if smoke else None), time.perf_counter()
        score = BASELINES[label]().fit(data.X_train, data.y_train).score(data.X_test, data.y_test)
        found[row] = {"accuracy": float(score), "seconds": round(time.perf_counter() - began, 1)}
        print(name, row, found[row], flush=True)
        if not smoke:
            write_atomically(known, json.dumps(found).encode())
    return found


def measured_forest(name: str, forest: Forest, *, smoke: bool, circuits: bool) -> dict[str, Any]:
    """Test accuracies of one chain and of the means of several."""
    data, found = load_dataset(name, size=forest.size, train_size=2000 if smoke else None), dict[str, Any]()
    mirrored = np.arange(forest.size**2).reshape(forest.size, forest.size)[:, ::-1].ravel()
    total, both, spent = np.zeros((len(data.y_test), 10)), np.zeros((len(data.y_test), 10)), 0.0
    for number in range(1 if smoke else forest.trees):
        model = member(name, forest, number, data, smoke=smoke)
        order = forest.orders()[number]
        proba = model.predict_proba(data.X_test[:, order])
        total, spent = total + proba, spent + model.history_[-1].seconds
        label = f"chain, {forest.label}" if number == 0 else f"forest of {number + 1} chains, {forest.label}"
        found[label] = {"accuracy": accuracy(total, data.y_test), "seconds": round(spent, 1)}
        if name in SIDES:
            both = both + proba + model.predict_proba(data.X_test[:, mirrored][:, order])
            found[f"{label}, both sides"] = {"accuracy": accuracy(both, data.y_test)}
        if circuits and number == 0 and forest.bond == BOND_OF_CIRCUIT:
            found[label] |= circuit_of(model, data.X_test[:200, order], written_out=forest.group == 1)
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
    seconds = round(model.history_[-1].seconds, 1)
    found = {"accuracy": model.score(data.X_test, data.y_test), "seconds": seconds}
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
    parser.add_argument("--sets", nargs="*", default=list(FORESTS))
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
        results = json.loads(path.read_text()) if path.exists() and not options.smoke else {}
        known = results.get(name, {})
        found = measured(name, known, smoke=options.smoke, circuits=options.circuits)
        if not options.smoke:
            results = json.loads(path.read_text()) if path.exists() else {}
            large_row = {k: v for k, v in results.get(name, {}).items() if k.startswith("chain of 28x28")}
            results[name] = found | large_row
            results = {known: results[known] for known in FORESTS if known in results}
            write_atomically(path, (json.dumps(results, indent=1) + "\n").encode())
            write_atomically(FOLDER / "results.md", table(results).encode())


if __name__ == "__main__":
    main()
