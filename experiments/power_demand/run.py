"""Series of a day's power demand, winter or summer: 30 splits; see README.md.

pip install --no-deps aeon                        # the set comes with it
python experiments/power_demand/run.py [--splits 30] [--models NAME ...] [--smoke]    # writes results
"""

import argparse
import importlib.util
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from qtnml import (
    AmplitudeMPSClassifier,
    AmplitudeTreeClassifier,
    MPSClassifier,
    TreeClassifier,
    TreeForestClassifier,
)
from qtnml.errors import ClippedDataWarning

FOLDER = Path(__file__).parent
NAME = "ItalyPowerDemand"
MODELS: dict[str, Callable[[int], Any]] = {
    "product (amplitudes, bond 1)": lambda seed: AmplitudeMPSClassifier(1, random_state=seed),
    "amplitude chain, bond 8": lambda seed: AmplitudeMPSClassifier(8, random_state=seed),
    "tree, V = 1": lambda seed: TreeClassifier(1, random_state=seed),
    "tree, V = 2": lambda seed: TreeClassifier(2, random_state=seed),
    "chain, V = 1": lambda seed: MPSClassifier(1, random_state=seed),
    "chain, V = 2": lambda seed: MPSClassifier(2, random_state=seed),
    "forest of 10 trees, V = 2": lambda seed: TreeForestClassifier(TreeClassifier(2), 10, random_state=seed),
    "forest of 20 amplitude chains, bond 4": lambda seed: TreeForestClassifier(
        AmplitudeMPSClassifier(4), 20, bootstrap=True, random_state=seed
    ),
    "forest of 20 amplitude trees, bond 4": lambda seed: TreeForestClassifier(
        AmplitudeTreeClassifier(4), 20, bootstrap=True, random_state=seed
    ),
    "logistic regression": lambda seed: make_pipeline(
        StandardScaler(), LogisticRegression(random_state=seed)
    ),
    "SVM": lambda seed: make_pipeline(StandardScaler(), SVC(random_state=seed)),
    "gradient boosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
}


def rows_of(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Series (samples, 24) and labels of the published training or test part."""
    spec = importlib.util.find_spec("aeon")  # its files alone: importing it takes a dozen packages
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("pip install --no-deps aeon")
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "data" / NAME / f"{NAME}_{part}.ts"
    lines = path.read_text().split("@data\n", 1)[1].split()
    parts = [line.rsplit(":", 1) for line in lines]
    return np.array([[float(v) for v in values.split(",")] for values, _ in parts]), np.array(
        [label for _, label in parts]
    )


def split(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Split 0 is the published one; others draw as many training series of each class."""
    X_train, y_train = rows_of("TRAIN")
    X_test, y_test = rows_of("TEST")
    if number == 0:
        return X_train, y_train, X_test, y_test
    X, y = np.concatenate([X_train, X_test]), np.concatenate([y_train, y_test])
    rng = np.random.default_rng(number)
    chosen = np.concatenate(
        [rng.permutation(np.flatnonzero(y == label))[: np.sum(y_train == label)] for label in np.unique(y)]
    )
    left = np.setdiff1d(np.arange(len(y)), chosen)
    return X[chosen], y[chosen], X[left], y[left]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--splits", type=int, default=30)
    parser.add_argument("--models", nargs="*", help="those whose names have one of these in them, anew")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ClippedDataWarning)
    results: dict[str, list[float]] = {}
    if options.models and (FOLDER / "results.json").exists():
        results = json.loads((FOLDER / "results.json").read_text())
    for name, make in MODELS.items():
        if options.models and not any(part in name for part in options.models):
            continue
        scores = []
        for number in range(1 if options.smoke else options.splits):
            X, y, X_test, y_test = split(number)
            scores.append(float(make(number).fit(X, y).score(X_test, y_test)))
        results[name] = scores
        print(name, round(float(np.mean(scores)), 4), flush=True)
    if options.smoke:
        return
    (FOLDER / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    lines = ["| model | mean | standard deviation | published split |", "|---|---|---|---|"]
    for name in filter(results.__contains__, MODELS):
        scores = results[name]
        lines.append(f"| {name} | {np.mean(scores):.4f} | {np.std(scores):.4f} | {scores[0]:.4f} |")
    (FOLDER / "results.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
