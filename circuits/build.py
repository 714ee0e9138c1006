"""Trains and compiles every circuit of this folder again, and writes the table of its README.

python circuits/build.py [NAME ...]
"""

import sys
import warnings
from pathlib import Path
from typing import Any

from qtnml import (
    CircuitBornMachine,
    MPSBornMachine,
    MPSClassifier,
    Synthesis,
    TreeBornMachine,
    TreeClassifier,
    load_dataset,
)
from qtnml.errors import ClippedDataWarning
from qtnml.models.samples import thresholded_pictures
from qtnml.zoo import draws, read_cards, write_circuit

FOLDER = Path(__file__).parent
PAIR, SMALL = {"classes": (3, 5), "order": "z"}, {"classes": (3, 5), "order": "z", "size": 4}
# name: estimator and its arguments, data set and its arguments, arguments of `compile`.
CIRCUITS: dict[str, tuple[type, dict[str, Any], str, dict[str, Any], dict[str, Any]]] = {
    "digits_3v5_tree_v1_7q": (TreeClassifier, {}, "digits", PAIR, {}),
    "digits_3v5_tree_v1_16q": (TreeClassifier, {}, "digits", PAIR, {"num_qubits": 16}),
    "digits_3v5_tree_v1_64q": (TreeClassifier, {}, "digits", PAIR, {"reuse_qubits": False}),
    "digits_3v5_tree_v2_12q": (TreeClassifier, {"bond_qubits": 2}, "digits", PAIR, {}),
    "digits_3v5_mps_v1_2q": (MPSClassifier, {}, "digits", PAIR, {}),
    "digits_3v5_mps_v2_3q": (MPSClassifier, {"bond_qubits": 2}, "digits", PAIR, {}),
    "digits_3v5_4x4_tree_v1_5q": (TreeClassifier, {}, "digits", SMALL, {}),
    "digits_3v5_4x4_tree_v1_16q": (TreeClassifier, {}, "digits", SMALL, {"reuse_qubits": False}),
    "digits_3v5_4x4_tree_v2_8q": (TreeClassifier, {"bond_qubits": 2}, "digits", SMALL, {}),
    "digits_3v5_4x4_real_5q": (TreeClassifier, {"ansatz": "orthogonal"}, "digits", SMALL, {}),
    "digits_3v5_4x4_wall_cz_8q": (
        TreeClassifier,
        {"bond_qubits": 2, "ansatz": "brick-wall"},
        "digits",
        SMALL,
        {"synthesis": Synthesis(two_qubit_gate="cz")},
    ),
    "iris_tree_v1_4q": (TreeClassifier, {"epochs": 200}, "iris", {}, {"reuse_qubits": False}),
    "iris_mps_v2_3q": (MPSClassifier, {"bond_qubits": 2, "epochs": 200}, "iris", {}, {}),
    "breast_cancer_tree_v1_8q": (TreeClassifier, {"epochs": 100}, "breast-cancer", {}, {"num_qubits": 8}),
    "breast_cancer_tree_v2_ecr_8q": (
        TreeClassifier,
        {"bond_qubits": 2, "epochs": 60},
        "breast-cancer",
        {},
        {"synthesis": Synthesis(two_qubit_gate="ecr", pairs="line")},
    ),
}
# Born machines of black and white digits: estimator and its arguments, side, arguments of `compile`.
BORN: dict[str, tuple[type, dict[str, Any], int, dict[str, Any]]] = {
    "digits_born_mps_d2_2q": (MPSBornMachine, {"max_bond": 2}, 8, {}),
    "digits_born_mps_d8_4q": (MPSBornMachine, {"max_bond": 8}, 8, {}),
    "digits_born_tree_d4_11q": (TreeBornMachine, {"max_bond": 4}, 8, {}),
    "digits_born_4x4_mps_d4_16q": (MPSBornMachine, {"max_bond": 4}, 4, {"reuse_qubits": False}),
}
# Circuits that start from such a machine and are trained on: estimator's bond, circuit's arguments, side.
TRAINED_ON: dict[str, tuple[int, dict[str, Any], int, dict[str, Any]]] = {
    "digits_born_4x4_circuit_3q": (4, {"layers": 2, "extend": None}, 4, {}),
    "digits_born_4x4_circuit_16q": (4, {"layers": 2, "extend": None}, 4, {"reuse_qubits": False}),
}
THRESHOLD = 0.5
START, END = "<!-- table -->\n", "<!-- end of table -->\n"


def build(name: str) -> None:
    cls, arguments, source, how, compiling = CIRCUITS[name]
    data = load_dataset(source, **how)
    # Test pixels slightly out of the training range are clipped, as in use; no need to say so here.
    warnings.simplefilter("ignore", ClippedDataWarning)
    model = cls(random_state=0, **arguments).fit(data.raw(data.X_train), data.y_train)
    model.notes_ = {
        "data": source,
        "size": how.get("size"),
        "order": how.get("order", "raster"),
        "classes": model.classes_.tolist() if "classes" in how else None,
        "target": None,
        "feature_names": list(data.feature_names),
    }
    lines = [
        f"data = load_dataset({source!r}{_written(how)})",
        f"model = {cls.__name__}(random_state=0{_written(arguments)})"
        ".fit(data.raw(data.X_train), data.y_train)",
        f"compiled = model.compile({_written(compiling).removeprefix(', ')})",
    ]
    compiled = write_circuit(FOLDER, name, model, made_by=lines, **compiling)
    print(name, compiled, model.score(data.raw(data.X_test), data.y_test), flush=True)


def build_born(name: str) -> None:
    cls, arguments, side, compiling = BORN[name]
    bits = thresholded_pictures("digits", side, THRESHOLD)
    model = cls(random_state=0, **arguments).fit(bits)
    model.notes_ = {"data": "digits", "size": side, "threshold": THRESHOLD}
    lines = [
        f"data = load_dataset('digits', size={side})",
        f"model = {cls.__name__}(random_state=0{_written(arguments)}).fit(data.X_train > {THRESHOLD})",
        f"compiled = model.compile({_written(compiling).removeprefix(', ')})",
    ]
    compiled = write_circuit(FOLDER, name, model, made_by=lines, **compiling)
    print(name, compiled, flush=True)


def build_trained_on(name: str) -> None:
    bond, arguments, side, compiling = TRAINED_ON[name]
    bits = thresholded_pictures("digits", side, THRESHOLD)
    born = MPSBornMachine(bond, random_state=0).fit(bits)
    model = CircuitBornMachine.from_born(born, random_state=0, **arguments).fit(bits)
    model.notes_ = {"data": "digits", "size": side, "threshold": THRESHOLD}
    lines = [
        f"data = load_dataset('digits', size={side})",
        f"born = MPSBornMachine({bond}, random_state=0).fit(data.X_train > {THRESHOLD})",
        f"model = CircuitBornMachine.from_born(born, random_state=0{_written(arguments)})"
        f".fit(data.X_train > {THRESHOLD})",
        f"compiled = model.compile({_written(compiling).removeprefix(', ')})",
    ]
    compiled = write_circuit(FOLDER, name, model, made_by=lines, **compiling)
    print(name, compiled, flush=True)


def _written(arguments: dict[str, Any]) -> str:
    return "".join(f", {name}={value!r}" for name, value in arguments.items())


def table() -> str:
    columns = [
        "circuit",
        "data",
        "model",
        "qubits",
        "two-qubit gates",
        "depth",
        "resets",
        "test accuracy, or nats",
    ]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for card in read_cards(FOLDER):
        resources, data = card["resources"], card["data"]
        named = f"{data['data']} {data.get('classes') or ''}".strip()
        good = (
            f"{-card['likelihood']['exact']:.2f} nats" if draws(card) else f"{card['accuracy']['exact']:.3f}"
        )
        native = card["compile"]["synthesis"]["two_qubit_gate"]
        cells = [f"`{card['name']}`", f"{named}, {resources['features']} features", card["model"]]
        cells += [
            resources["qubits"],
            f"{resources['two_qubit_gates']:,} {native}",
            f"{resources['depth']:,}",
        ]
        cells += [resources["resets"], good]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    for name in sys.argv[1:] or [*CIRCUITS, *BORN, *TRAINED_ON]:
        make = build_born if name in BORN else build_trained_on if name in TRAINED_ON else build
        make(name)
    readme = FOLDER / "README.md"
    before, _, rest = readme.read_text().partition(START)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{START}{table()}{END}{after}")


if __name__ == "__main__":
    main()
