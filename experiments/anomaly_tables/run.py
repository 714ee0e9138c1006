"""Anomalies in five tables, beside a tensor network made for it and the usual detectors; see README.md.

python experiments/anomaly_tables/run.py --data FOLDER    # writes results.json and results.md
python experiments/anomaly_tables/run.py --smoke
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from qtnml import AnomalyDetector, TableEncoder, TreeBornMachine

FOLDER = Path(__file__).parent
# Mean AUROC in percent, arXiv:2006.02516, table 3 (results/odds.png of github jensenjhwang/TNAD).
PUBLISHED = {
    "wine": {"tensor network": 97.3, "one-class SVM": 60.0, "isolation forest": 46.0},
    "glass": {"tensor network": 81.8, "one-class SVM": 62.0, "isolation forest": 57.2},
    "thyroid": {"tensor network": 99.0, "one-class SVM": 98.8, "isolation forest": 99.0},
    "satellite": {"tensor network": 81.3, "one-class SVM": 79.9, "isolation forest": 77.2},
    "cover": {"tensor network": 98.8, "one-class SVM": 97.7, "isolation forest": 71.7},
}
MOST_ROWS = 10_000  # that detectors comparing all pairs of rows can take

Detector = Callable[[int], Any]
DETECTORS: dict[str, Detector] = {
    "default": lambda seed: AnomalyDetector(random_state=seed),
    'by="feature"': lambda seed: AnomalyDetector(by="feature", random_state=seed),
    'by="both"': lambda seed: AnomalyDetector(by="both", random_state=seed),
    "bond 1": lambda seed: AnomalyDetector(
        TreeBornMachine(1, encoder=TableEncoder(unseen="missing")), random_state=seed
    ),
    'bond 1, by="both"': lambda seed: AnomalyDetector(
        TreeBornMachine(1, encoder=TableEncoder(unseen="missing")), by="both", random_state=seed
    ),
    "one-class SVM": lambda seed: make_pipeline(StandardScaler(), OneClassSVM(nu=0.1)),  # noqa: ARG005
    "isolation forest": lambda seed: IsolationForest(random_state=seed),
    "local outlier factor": lambda seed: make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True)),  # noqa: ARG005
}
COMPARING = ("one-class SVM", "local outlier factor")

Split = tuple[np.ndarray, np.ndarray, np.ndarray]


def split(X: np.ndarray, strange: np.ndarray, seed: int) -> Split:
    """Half of the normal rows to learn, the others and all anomalies to judge, and which those are.

    Seed 0 takes the first half, as the authors do; others draw it.
    """
    normal = X[~strange]
    if seed:
        normal = normal[np.random.default_rng(seed).permutation(len(normal))]
    half = len(normal) // 2
    judged = np.concatenate([normal[half:], X[strange]])
    return normal[:half], judged, np.arange(len(judged)) >= len(normal) - half


def measured(data: Split, make: Detector, seed: int, most: int | None) -> float:
    """AUROC."""
    learnt, judged, truth = data
    if most is not None and len(learnt) > most:
        learnt = learnt[np.random.default_rng(seed).choice(len(learnt), most, replace=False)]
    scores = make(seed).fit(learnt).score_samples(judged)
    return float(roc_auc_score(truth, -scores))


def table(results: dict[str, Any]) -> str:
    """Of every set and detector: the authors' half, and the mean over drawn halves."""
    heads = ["set", "rows x columns", *DETECTORS, *(f"published {name}" for name in PUBLISHED["wine"])]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, found in results.items():
        cells = [name, found["shape"]]
        for detector in DETECTORS:
            first, *drawn = found[detector]
            mean = f" / {100 * np.mean(drawn):.1f}" if drawn else ""
            cells.append(f"{100 * first:.1f}{mean}")
        cells += [f"{value:.1f}" for value in PUBLISHED.get(name, {}).values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--sets", nargs="+", default=list(PUBLISHED), choices=list(PUBLISHED))
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        rng = np.random.default_rng(0)
        X = rng.multivariate_normal([0, 0, 0], 0.1 * np.eye(3) + 0.9, size=400)
        X[:20, 0] *= -1
        results = {"made up": {"shape": "400 x 3"}}
        for detector, make in DETECTORS.items():
            results["made up"][detector] = [measured(split(X, np.arange(400) < 20, 1), make, 1, None)]  # type: ignore[assignment]
        print(table(results))
        return
    path = FOLDER / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in options.sets:
        file = options.data / f"{name}.mat"
        if not file.exists():
            raise SystemExit(
                f"{file} is not there: --data takes the folder `data` of github jensenjhwang/TNAD"
            )
        stored = loadmat(file)
        X, strange = stored["X"].astype(float), stored["y"].ravel() == 1
        found = {"shape": f"{len(X):,} x {X.shape[1]}"}
        for detector, make in DETECTORS.items():
            most = MOST_ROWS if detector in COMPARING else None
            found[detector] = [
                measured(split(X, strange, seed), make, seed, most) for seed in range(options.seeds)
            ]
            print(name, detector, np.round(found[detector], 3), flush=True)
        results[name] = found
        path.write_text(json.dumps(results, indent=1) + "\n")
        (FOLDER / "results.md").write_text(table(results))


if __name__ == "__main__":
    main()
