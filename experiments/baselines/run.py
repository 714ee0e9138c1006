"""What usual classifiers, and models without entanglement, say on the tasks of the other experiments.

QTNML_DATA=/path/to/data python experiments/baselines/run.py [--smoke]    # writes results.json and results.md
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from qtnml import AmplitudeTreeClassifier, load_dataset

FOLDER = Path(__file__).parent
SETS = ("mnist", "fashion-mnist")
MODELS: dict[str, Callable[[], Any]] = {
    "10 products": lambda: AmplitudeTreeClassifier(
        10, cores="cp", topology="star", epochs=30, feature_range=(0, 1), random_state=0
    ),
    "logistic regression": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
    "SVM (RBF)": lambda: SVC(C=10.0),
    "gradient boosting": lambda: HistGradientBoostingClassifier(random_state=0),
}


def tasks(name: str) -> Iterator[tuple[str, list[tuple[np.ndarray, ...]]]]:
    """Training and test parts: one of each task, 45 of the pairs."""
    data = load_dataset(name, size=8)
    parts = (data.X_train, data.y_train, data.X_test, data.y_test)
    yield "ten classes", [parts]
    yield "even or odd", [(data.X_train, data.y_train % 2, data.X_test, data.y_test % 2)]
    pairs = []
    for pair in combinations(range(10), 2):
        train, test = np.isin(data.y_train, pair), np.isin(data.y_test, pair)
        pairs.append((data.X_train[train], data.y_train[train], data.X_test[test], data.y_test[test]))
    yield "45 pairs, mean", pairs


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    names = ("digits",) if options.smoke else SETS
    results: dict[str, dict[str, dict[str, float]]] = {}
    for name in names:
        for task, parts in tasks(name):
            row = results.setdefault(f"{name}, {task}", {})
            for label, make in MODELS.items():
                began = time.perf_counter()
                scores = [make().fit(X, y).score(X_test, y_test) for X, y, X_test, y_test in parts]
                row[label] = {"accuracy": float(np.mean(scores)), "seconds": time.perf_counter() - began}
                print(name, task, label, row[label], flush=True)
    if options.smoke:
        return
    (FOLDER / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    lines = [f"| pixels 8x8 | {' | '.join(MODELS)} |", f"|---|{'---|' * len(MODELS)}"]
    for label, row in results.items():
        cells = " | ".join(f"{cell['accuracy']:.4f}" for cell in row.values())
        lines.append(f"| {label} | {cells} |")
    (FOLDER / "results.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
