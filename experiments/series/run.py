"""Gaps in series filled by a chain over time steps; see README.md.

pip install --no-deps aeon                        # the sets come with it
python experiments/series/run.py [--smoke]    # writes results.json, results.md, gaps.png
"""

import argparse
import importlib.util
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer

from qtnml import BornMixture, MPSBornMachine, TableEncoder

FOLDER = Path(__file__).parent
SETS = {"ItalyPowerDemand": 5, "GunPoint": 2}  # and splits of each
SHARES = (0.1, 0.3, 0.5, 0.8)
MOST_TESTED = 150
#: From training series and a seed what fills the gaps of others.
Learner = Callable[[np.ndarray, int], Callable[[np.ndarray], np.ndarray]]


def rows_of(name: str, part: str) -> np.ndarray:
    """Series (samples, steps) of the published training or test part."""
    spec = importlib.util.find_spec("aeon")  # its files alone: importing it takes a dozen packages
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("pip install --no-deps aeon")
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "data" / name / f"{name}_{part}.ts"
    lines = path.read_text().split("@data\n", 1)[1].split()
    return np.array([[float(v) for v in line.rsplit(":", 1)[0].split(",")] for line in lines])


def split(name: str, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Split 0 is the published one; others draw as many training series anew."""
    train, test = rows_of(name, "TRAIN"), rows_of(name, "TEST")
    if number:
        both = np.concatenate([train, test])
        both = both[np.random.default_rng(number).permutation(len(both))]
        train, test = both[: len(train)], both[len(train) :]
    return train, test[:MOST_TESTED]


def with_gaps(test: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """One stretch of each series missing, anywhere."""
    holes, length = test.copy(), max(1, round(share * test.shape[1]))
    for row in holes:
        start = rng.integers(0, len(row) - length + 1)
        row[start : start + length] = np.nan
    return holes


def born(model: Callable[[], Any]) -> Learner:
    """Medians of a Born machine, exact given what is there."""

    def learnt(train: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
        fitted = model().set_params(random_state=seed).fit(train)
        return lambda holes: np.asarray(fitted.impute(holes, method="median"))

    return learnt


def chain(functions: str | None = None, bond: int = 16, **settings: Any) -> MPSBornMachine:
    encoder = TableEncoder(functions=functions, num_functions=6) if functions else TableEncoder()
    return MPSBornMachine(bond, encoder=encoder, **settings)


def lines(train: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:  # noqa: ARG001
    """Straight between the ends of the gap."""

    def fill(holes: np.ndarray) -> np.ndarray:
        filled = holes.copy()
        steps = np.arange(holes.shape[1])
        for row in filled:
            known = ~np.isnan(row)
            row[~known] = np.interp(steps[~known], steps[known], row[known])
        return filled

    return fill


def neighbours(count: int) -> Learner:
    def learnt(train: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:  # noqa: ARG001
        fitted = KNNImputer(n_neighbors=count, weights="distance").fit(train)
        return lambda holes: np.asarray(fitted.transform(holes))

    return learnt


def regression(train: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """Bayesian ridge regressions of each step on others, in turn: Gaussian series."""
    fitted = IterativeImputer(random_state=seed, n_nearest_features=30, max_iter=10).fit(train)
    return lambda holes: np.asarray(fitted.transform(holes))


ALL_ROWS: dict[str, Any] = {"validation_fraction": 0.0, "epochs": 10}
LEARNERS: dict[str, Learner] = {
    "product (bond 1), 8 bins": born(lambda: chain(bond=1)),
    "chain, 8 bins": born(chain),
    "chain, 6 Legendre functions": born(lambda: chain("legendre")),
    "chain, 6 Hermite functions": born(lambda: chain("hermite")),
    "4 chains, 6 Legendre functions": born(lambda: BornMixture(chain("legendre"), 4)),
    "chain, 6 Legendre functions, bond 32, ten sweeps over all rows": born(
        lambda: chain("legendre", 32, **ALL_ROWS)
    ),
    "straight line": lines,
    "nearest neighbour": neighbours(1),
    "5 nearest neighbours": neighbours(5),
    "Bayesian ridge, in turn": regression,
}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    results: dict[str, dict[str, list[float]]] = {}
    for name, splits in list(SETS.items())[: 1 if options.smoke else None]:
        for label, learner in LEARNERS.items():
            errors = np.zeros(len(SHARES))
            number_of = 1 if options.smoke else splits
            for number in range(number_of):
                train, test = split(name, number)
                fill = learner(train, number)
                for k, share in enumerate(SHARES):
                    holes = with_gaps(test, share, np.random.default_rng(number))
                    errors[k] += float(np.abs(fill(holes) - test)[np.isnan(holes)].mean()) / number_of
            results.setdefault(name, {})[label] = errors.tolist()
            print(name, label, np.round(errors, 4), flush=True)
    if options.smoke:
        return
    (FOLDER / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    header = " | ".join(f"{round(100 * share)} %" for share in SHARES)
    lines = [f"| set | filled by | {header} |", f"|---|---|{'---|' * len(SHARES)}"]
    for name, rows in results.items():
        lines += [
            f"| {name} | {label} | {' | '.join(f'{error:.4f}' for error in errors)} |"
            for label, errors in rows.items()
        ]
    (FOLDER / "results.md").write_text("\n".join(lines) + "\n")
    picture().savefig(FOLDER / "gaps.png", dpi=130)


def picture() -> Figure:
    """Test series with a gap: truth, medians, and draws given what is there."""
    drawn = Figure(figsize=(9, 4.6), layout="constrained")
    axes = drawn.subplots(2, 3)
    for row, name in zip(axes, SETS, strict=True):
        train, test = split(name, 0)
        holes = with_gaps(test[:3], 0.5, np.random.default_rng(3))
        model = chain("legendre", 32, **ALL_ROWS).set_params(random_state=0).fit(train)
        filled = np.asarray(model.impute(holes, method="median"))
        draws = np.asarray(model.sample(20, given=holes, random_state=0)).reshape(3, 20, -1)
        for k, axis in enumerate(row):
            gap = np.isnan(holes[k])
            shown = np.where(gap, draws[k], np.nan)
            axis.plot(shown.T, color="#1f5fa8", alpha=0.15, linewidth=0.8)
            axis.plot(np.where(gap, test[k], np.nan), color="0.35", linestyle="--", label="truth")
            axis.plot(holes[k], color="0.1", label="known")
            axis.plot(np.where(gap, filled[k], np.nan), color="#d9822b", label="median")
            axis.spines[["top", "right"]].set_visible(False)
            axis.set(title=name if k == 0 else "", xlabel="step" if name == "GunPoint" else "")
    axes[0, 0].legend(frameon=False, fontsize=8)
    return drawn


if __name__ == "__main__":
    main()
