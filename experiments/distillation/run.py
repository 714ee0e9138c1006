"""Circuits that learn from amplitude classifiers: accuracy against CX, qubits and shots; see README.md.

QTNML_DATA=/path/to/data python experiments/distillation/run.py [--smoke]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from qtnml import AmplitudeTreeClassifier, Teacher, TreeClassifier, load_dataset

HERE = Path(__file__).parent
SHOTS = (100, 1000)
SEEDS, SAMPLES, EPOCHS, HOMOTOPY = 5, 6000, 30, 10
TASKS: dict[str, dict[str, Any]] = {
    "ten digits": {"classes": None, "widths": (2,)},
    "3 or 5": {"classes": (3, 5), "widths": (1, 2)},
}


def counted(probabilities: np.ndarray, shots: int, rng: np.random.Generator, classes: int) -> np.ndarray:
    """The class seen most often, of so many measurements of each sample."""
    counts = np.stack([rng.multinomial(shots, p / p.sum()) for p in probabilities.astype(float)])
    return counts[:, :classes].argmax(axis=1)


def row_of(name: str, model: TreeClassifier, data: Any, facts: dict[str, Any]) -> dict[str, Any]:
    """Accuracies on the test images: exact, and counted."""
    probabilities = model.outcome_probabilities(data.X_test)
    labels = np.searchsorted(model.classes_, data.y_test)
    rng, compiled = np.random.default_rng(0), model.compile()
    row = {
        "model": name,
        "two_qubit_gates": compiled.two_qubit_gates,
        "qubits": compiled.num_qubits,
        "exact": model.score(data.X_test, data.y_test),
        **facts,
    }
    for shots in SHOTS:
        found = counted(probabilities, shots, rng, len(model.classes_))
        row[f"{shots} shots"] = float((found == labels).mean())
    return row


def rows_of(task: str, *, smoke: bool) -> list[dict[str, Any]]:
    """All students of one task, and their teachers."""
    settings, rows = TASKS[task], list[dict[str, Any]]()
    given = {} if settings["classes"] is None else {"classes": settings["classes"]}
    data = load_dataset("digits" if smoke else "mnist", size=8, order="z", **given)
    chosen = np.random.default_rng(0).permutation(len(data.X_train))[: 200 if smoke else SAMPLES]
    X, y = data.X_train[chosen], data.y_train[chosen]
    epochs = 2 if smoke else EPOCHS

    def teacher_of(bond: int) -> AmplitudeTreeClassifier:
        return AmplitudeTreeClassifier(bond, epochs=epochs, random_state=0).fit(X, y)

    large = teacher_of(16)
    small = {2**width: teacher_of(2**width) for width in settings["widths"]}
    for bond, each in {16: large, **small}.items():
        facts = {"task": task, "model": f"amplitude tree, bond {bond}"}
        rows.append({**facts, "exact": each.score(data.X_test, data.y_test), "seed": 0})
        print(rows[-1], flush=True)
    for width in settings["widths"]:
        ways: dict[str, tuple[Any, dict[str, int]]] = {
            "labels": (None, {}),
            "soft labels of bond 16": (large, {}),
            "soft labels of bond 16, temperature 1": (Teacher(large, temperature=1.0), {}),
            "labels, twice the epochs": (None, {"epochs": 2 * epochs}),
            f"soft labels of bond {2**width}": (small[2**width], {}),
            f"start at bond {2**width}, homotopy": (
                Teacher(small[2**width]),
                {"homotopy": 1 if smoke else HOMOTOPY},
            ),
        }
        for name, (teacher, more) in ways.items():
            for seed in range(1 if smoke else SEEDS):
                model = TreeClassifier(width, random_state=seed, **({"epochs": epochs} | more))
                model.fit(X, y, teacher=teacher)
                facts = {"task": task, "width": width, "seed": seed}
                rows.append(row_of(name, model, data, facts))
            accuracies = [row["exact"] for row in rows if row["model"] == name and row.get("width") == width]
            print(task, width, name, np.round(accuracies, 4).tolist(), np.median(accuracies), flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Medians over seeds, and the range."""
    lines = [
        "| task | V | trained on | CX | qubits | exact | range | 1,000 shots | 100 shots |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    keys = dict.fromkeys((row["task"], row.get("width"), row["model"]) for row in rows)
    for key in keys:
        own = [row for row in rows if (row["task"], row.get("width"), row["model"]) == key]
        exact = [row["exact"] for row in own]
        cells = [key[0], str(key[1] or ""), key[2]]
        if key[1] is None:
            cells += ["", "", f"{exact[0]:.4f}", "", "", ""]
        else:
            shots = [f"{np.median([row[f'{n} shots'] for row in own]):.4f}" for n in SHOTS[::-1]]
            gates = int(np.median([row["two_qubit_gates"] for row in own]))
            cells += [str(gates), str(own[0]["qubits"]), f"**{np.median(exact):.4f}**"]
            cells += [f"{min(exact):.4f} to {max(exact):.4f}", *shots]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """All tasks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    rows = [row for task in TASKS for row in rows_of(task, smoke=options.smoke)]
    print(table(rows))
    if not options.smoke:
        (HERE / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
        (HERE / "results.md").write_text(table(rows))


if __name__ == "__main__":
    main()
