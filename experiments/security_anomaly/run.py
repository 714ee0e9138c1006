"""Anomalies in two tables of security data: Born machines and four usual detectors; see README.md.

python experiments/security_anomaly/run.py --data FOLDER [--smoke]
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from qtnml import AnomalyDetector, MPSBornMachine, TableEncoder, TreeBornMachine
from qtnml.plots import plot_explanation, plot_record

FOLDER = Path(__file__).parent
LABELS = {"phishing": "is_phishing", "shuttle": "anomaly"}
MOST_TRAINING = 8000
Scores = Callable[[pd.DataFrame], np.ndarray]


def born(cls: Any, bond: int, bins: int, density: bool) -> Callable[[pd.DataFrame, int], Scores]:
    """A detector by the likelihood of a Born machine."""
    encoder = TableEncoder(bins=bins, unseen="missing")
    settings = {"order": "mutual-information"} if cls is MPSBornMachine else {"topology": "chow-liu"}

    def fit(X: pd.DataFrame, seed: int) -> Scores:
        model = cls(bond, encoder=encoder, complex_amplitudes=True, **settings)
        detector = AnomalyDetector(model, density=density, calibration_fraction=0, random_state=seed)
        return detector.fit(X).score_samples

    return fit


def scaled(model: Any) -> Callable[[pd.DataFrame, int], Scores]:
    """A scikit-learn detector on standardised columns."""

    def fit(X: pd.DataFrame, seed: int) -> Scores:
        scaler = StandardScaler().fit(X.to_numpy(dtype=float))
        fitted = model(seed).fit(scaler.transform(X.to_numpy(dtype=float)))
        return lambda Z: fitted.score_samples(scaler.transform(Z.to_numpy(dtype=float)))

    return fit


def autoencoder(hidden: tuple[int, ...], alpha: float) -> Callable[[pd.DataFrame, int], Scores]:
    """Minus the squared error of a network that reproduces its input through a bottleneck."""

    def fit(X: pd.DataFrame, seed: int) -> Scores:
        scaler = StandardScaler().fit(X.to_numpy(dtype=float))
        Z = scaler.transform(X.to_numpy(dtype=float))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed budget of epochs
            net = MLPRegressor(
                hidden_layer_sizes=hidden, alpha=alpha, max_iter=100, early_stopping=True, random_state=seed
            ).fit(Z, Z)

        def score(Y: pd.DataFrame) -> np.ndarray:
            given = scaler.transform(Y.to_numpy(dtype=float))
            return -((net.predict(given) - given) ** 2).mean(axis=1)

        return score

    return fit


# Eight settings each, chosen on the same validation split.
CANDIDATES: dict[str, dict[str, Callable[[pd.DataFrame, int], Scores]]] = {
    "MPS Born machine": {
        f"bond {bond}, {bins} bins": born(MPSBornMachine, bond, bins, True)
        for bond, bins in ((1, 8), (1, 32), (2, 16), (2, 32), (4, 16), (4, 32), (8, 32), (16, 16))
    },
    "tree Born machine": {
        f"bond {bond}, {bins} bins": born(TreeBornMachine, bond, bins, True)
        for bond, bins in ((1, 8), (1, 32), (2, 16), (2, 32), (4, 16), (4, 32), (8, 32), (16, 16))
    },
    "isolation forest": {
        f"{trees} trees of {size}": scaled(
            lambda seed, trees=trees, size=size: IsolationForest(
                n_estimators=trees, max_samples=size, random_state=seed
            )
        )
        for trees in (100, 300)
        for size in (32, 64, 128, 256)
    },
    "one-class SVM": {
        f"nu {nu}, gamma {gamma}": scaled(lambda _, nu=nu, gamma=gamma: OneClassSVM(nu=nu, gamma=gamma))
        for nu in (0.01, 0.1)
        for gamma in ("scale", 0.03, 0.3, 1.0)
    },
    "autoencoder": {
        f"hidden {hidden}, alpha {alpha}": autoencoder(hidden, alpha)
        for hidden in ((2,), (4,), (16, 2, 16), (16, 4, 16))
        for alpha in (1e-4, 1e-2)
    },
    "Gaussian mixture": {
        f"{count} components, {floor:g}": scaled(
            lambda seed, count=count, floor=floor: GaussianMixture(count, reg_covar=floor, random_state=seed)
        )
        for count in (1, 3, 10, 30)
        for floor in (1e-3, 1e-1)
    },
}


def table_of(folder: Path, name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Features and whether a record is an anomaly."""
    table = pd.read_csv(folder / f"{name}.csv.gz")
    table = table[table[LABELS[name]].isin([0, 1])].reset_index(drop=True)
    labels = table.pop(LABELS[name]).to_numpy().astype(int)
    return table, labels


def split(y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Half of the normal records to train; the rest and the anomalies, half to tune and half to test."""
    rng = np.random.default_rng(seed)
    normal, strange = (rng.permutation(np.flatnonzero(y == label)) for label in (0, 1))
    half = len(normal) // 2
    rest = normal[half:]
    tune = np.concatenate([rest[: len(rest) // 2], strange[: len(strange) // 2]])
    test = np.concatenate([rest[len(rest) // 2 :], strange[len(strange) // 2 :]])
    return normal[: min(half, MOST_TRAINING)], tune, test


def run(name: str, X: pd.DataFrame, y: np.ndarray, seeds: int, kinds: dict[str, Any]) -> list[dict[str, Any]]:
    """Every detector on every split: its best setting by validation ROC-AUC, judged on the test part."""
    rows = []
    for kind, settings in kinds.items():
        began, found = time.perf_counter(), []
        for seed in range(seeds):
            train, tune, test = split(y, seed)
            best, score = "", -1.0
            for setting, fit in settings.items():
                scorer = fit(X.iloc[train], seed)
                value = roc_auc_score(y[tune], -scorer(X.iloc[tune]))
                if value > score:
                    best, score, chosen = setting, value, scorer
            shown = -chosen(X.iloc[test])
            found.append((roc_auc_score(y[test], shown), average_precision_score(y[test], shown), best))
        auc, precision = (np.array([row[k] for row in found]) for k in (0, 1))
        rows.append(
            {
                "data": name,
                "detector": kind,
                "roc_auc": round(float(auc.mean()), 4),
                "roc_auc_std": round(float(auc.std()), 4),
                "auprc": round(float(precision.mean()), 4),
                "auprc_std": round(float(precision.std()), 4),
                "chosen": "; ".join(sorted({row[2] for row in found})),
                "seconds": round(time.perf_counter() - began, 1),
            }
        )
        print(rows[-1], flush=True)
    return rows


def pictures(name: str, X: pd.DataFrame, y: np.ndarray, bins: int) -> str:
    """What a model of the normal records learnt, and why its strangest test anomaly is one; in words."""
    train, _, test = split(y, 0)
    model = MPSBornMachine(
        4,
        encoder=TableEncoder(bins=bins, unseen="missing"),
        order="mutual-information",
        complex_amplitudes=True,
    )
    detector = AnomalyDetector(model, random_state=0).fit(X.iloc[train])
    plot_explanation(detector.model_.explain()).savefig(FOLDER / f"{name}_model.png", dpi=100)
    scores = detector.score_samples(X.iloc[test])
    # A typical anomaly: the median of those found.
    strange = test[(y[test] == 1) & (scores < detector.offset_)]
    order = np.argsort(detector.score_samples(X.iloc[strange]))
    row = strange[order[len(order) // 2]]
    found = detector.explain(X.iloc[row])
    plot_record(found).savefig(FOLDER / f"{name}_record.png", dpi=100)
    return f"## {name}, record {row}\n\n" + "\n".join(f"- {line}" for line in str(found).split("\n")) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with phishing.csv.gz and shuttle.csv.gz")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="seconds, on a random table; writes nothing")
    arguments = parser.parse_args()
    if arguments.smoke:
        rng = np.random.default_rng(0)
        X = pd.DataFrame(rng.normal(size=(400, 3)), columns=["a", "b", "c"])
        X["c"] += X["a"]
        y = (rng.random(400) < 0.2).astype(int)
        X.loc[y == 1, "c"] *= -1
        quick = {kind: dict(list(settings.items())[2:4]) for kind, settings in CANDIDATES.items()}
        print(table(run("random", X, y, 1, quick)))
        return
    if arguments.data is None:
        parser.error("--data FOLDER is needed (or --smoke)")
    rows, words = [], []
    for name, bins in (("phishing", 8), ("shuttle", 16)):
        X, y = table_of(arguments.data, name)
        words.append(pictures(name, X, y, bins))
        rows += run(name, X, y, arguments.seeds, CANDIDATES)
        (FOLDER / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    (FOLDER / "results.md").write_text(table(rows) + "\n" + "\n".join(words))


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
