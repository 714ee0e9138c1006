"""Regressors of few samples beside ridge, an SVM and boosting: R2 by five folds, intervals; see README.md.

python experiments/regression/run.py [--repeats 3] [--smoke]    # writes results.json and results.md
"""

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes, make_friedman1, make_friedman2, make_friedman3
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from qtnml import MPSRegressor, TreeRegressor
from qtnml.errors import ClippedDataWarning

FOLDER = Path(__file__).parent
SETS: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "diabetes": lambda: load_diabetes(return_X_y=True),
    "Friedman 1, noise 1": lambda: make_friedman1(300, noise=1.0, random_state=0),
    "Friedman 2, noise 50": lambda: make_friedman2(300, noise=50.0, random_state=0),
    "Friedman 3, noise 0.1": lambda: make_friedman3(300, noise=0.1, random_state=0),
}
MODELS: dict[str, Callable[[int], Any]] = {
    "tree, V = 1": lambda seed: TreeRegressor(1, random_state=seed),
    "chain, V = 1": lambda seed: MPSRegressor(1, random_state=seed),
    "tree, V = 2": lambda seed: TreeRegressor(2, random_state=seed),
    "ridge": lambda seed: Ridge(random_state=seed),
    "SVM, standardised": lambda _: make_pipeline(StandardScaler(), SVR()),
    "gradient boosting": lambda seed: HistGradientBoostingRegressor(random_state=seed),
}
COVERAGE = 0.9


def folds(X: np.ndarray, y: np.ndarray, make: Callable[[int], Any], seed: int) -> tuple[float, float | None]:
    """Mean R2 over five folds, and the share of targets in their intervals."""
    scores, inside = [], []
    for kept, left in KFold(5, shuffle=True, random_state=seed).split(X):
        scaled = (y - y[kept].mean()) / y[kept].std()  # an SVM needs it; R2 does not see it
        model = make(seed).fit(X[kept], scaled[kept])
        scores.append(float(model.score(X[left], scaled[left])))
        if hasattr(model, "predict_interval"):
            low, high = model.predict_interval(X[left], COVERAGE)
            inside.append(float(np.mean((low <= scaled[left]) & (scaled[left] <= high))))
    return float(np.mean(scores)), float(np.mean(inside)) if inside else None


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ClippedDataWarning)
    results: dict[str, Any] = {}
    for name, load in list(SETS.items())[: 1 if options.smoke else None]:
        X, y = load()
        rows = results.setdefault(name, {})
        for model, make in MODELS.items():
            found = [folds(X, y, make, seed) for seed in range(1 if options.smoke else options.repeats)]
            rows[model] = {"r2": [score for score, _ in found], "inside": [share for _, share in found]}
            print(name, model, rows[model], flush=True)
    if options.smoke:
        return
    (FOLDER / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    lines = [f"| set | {' | '.join(MODELS)} |", "|---" * (len(MODELS) + 1) + "|"]
    for name, rows in results.items():
        cells = []
        for model in MODELS:
            cell = f"{np.mean(rows[model]['r2']):.3f}"
            if rows[model]["inside"][0] is not None:
                cell += f" ({np.mean(rows[model]['inside']):.2f})"
            cells.append(cell)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    (FOLDER / "results.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
