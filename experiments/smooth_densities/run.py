"""Held-out log densities of tables of numbers: bins, smooth functions, and other estimators; see README.md.

python experiments/smooth_densities/run.py [--splits 5] [--smoke]    # writes results.json and results.md
"""

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine, make_moons
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import StandardScaler

from qtnml import BornMixture, TableEncoder, TreeBornMachine

FOLDER = Path(__file__).parent
RHO = 0.8


def correlated(rng: np.random.Generator) -> np.ndarray:
    """Four numbers, jointly normal, each pair with correlation 0.8."""
    return rng.multivariate_normal(np.zeros(4), np.full((4, 4), RHO) + (1 - RHO) * np.eye(4), 3000)


def ring(rng: np.random.Generator) -> np.ndarray:
    """Points around a circle, and the direction they lie in (which repeats)."""
    angle = rng.uniform(0, 2 * np.pi, 3000)
    spread = rng.normal(1, 0.1, 3000)
    return np.stack([spread * np.cos(angle), spread * np.sin(angle), angle], axis=1)


TABLES: dict[str, np.ndarray] = {
    "jointly normal (3,000 x 4)": correlated(np.random.default_rng(0)),
    "two moons (3,000 x 2)": make_moons(3000, noise=0.08, random_state=0)[0],
    "ring with direction (3,000 x 3)": ring(np.random.default_rng(0)),
    "iris (150 x 4)": load_iris().data,
    "wine (178 x 13)": load_wine().data,
    "diabetes (442 x 8)": load_diabetes().data[:, [0, 2, 3, 4, 5, 6, 8, 9]],
    "breast cancer (569 x 10)": load_breast_cancer().data[:, :10],
}


def tree(encoder: TableEncoder) -> Callable[[int], Any]:
    return lambda seed: TreeBornMachine(16, encoder=encoder, random_state=seed)


def mixture(encoder: TableEncoder) -> Callable[[int], Any]:
    return lambda seed: BornMixture(TreeBornMachine(16, encoder=encoder), 3, random_state=seed)


def gaussians(seed: int) -> Any:
    """As many as five folds say."""
    grid = {"n_components": [1, 2, 3, 5, 8, 12]}
    return GridSearchCV(GaussianMixture(reg_covar=1e-4, random_state=seed), grid)


def kernels(seed: int) -> Any:  # noqa: ARG001
    """As wide as five folds say."""
    return GridSearchCV(KernelDensity(), {"bandwidth": np.geomspace(0.05, 1.5, 12)})


ESTIMATORS: dict[str, Callable[[int], Any]] = {
    "tree, 8 bins": tree(TableEncoder()),
    "tree, 16 bins": tree(TableEncoder(16)),
    "tree, 8 Legendre": tree(TableEncoder(functions="legendre")),
    "tree, 16 Legendre": tree(TableEncoder(functions="legendre", num_functions=16)),
    "tree, 6 Hermite": tree(TableEncoder(functions="hermite", num_functions=6)),
    "tree, 9 Fourier": tree(TableEncoder(functions="fourier", num_functions=9)),
    "3 trees, 8 Legendre": mixture(TableEncoder(functions="legendre")),
    "Gaussian mixture": gaussians,
    "kernel density": kernels,
}


def measured(X: np.ndarray, splits: int) -> dict[str, list[float]]:
    """Mean log density of held-out rows, nats, in the table's units divided by their spread."""
    found: dict[str, list[float]] = {}
    for name, make in ESTIMATORS.items():
        scores = []
        for seed in range(splits):
            train, test = train_test_split(X, test_size=0.25, random_state=seed)
            scaler = StandardScaler().fit(train)
            model = make(seed).fit(scaler.transform(train))
            rows = scaler.transform(test)
            model = getattr(model, "best_estimator_", model)
            scores.append(float(np.mean(model.score_samples(rows))))
        found[name] = scores
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    results = {}
    for name, X in list(TABLES.items())[: 1 if options.smoke else None]:
        results[name] = measured(X, 1 if options.smoke else options.splits)
        print(name, {k: round(float(np.mean(v)), 3) for k, v in results[name].items()}, flush=True)
    if options.smoke:
        return
    (FOLDER / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    lines = [f"| table | {' | '.join(ESTIMATORS)} |", f"|---|{'---|' * len(ESTIMATORS)}"]
    for name, rows in results.items():
        means = {label: float(np.mean(scores)) for label, scores in rows.items()}
        best = max(means.values())
        cells = (f"**{mean:.3f}**" if mean == best else f"{mean:.3f}" for mean in means.values())
        lines.append(f"| {name} | {' | '.join(cells)} |")
    (FOLDER / "results.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
