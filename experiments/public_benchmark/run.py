"""Our classifiers, at their defaults, on a public benchmark of quantum classifiers; see README.md.

python experiments/public_benchmark/run.py [--seeds 5] [--chosen] [--smoke]    # writes results
"""

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

from sets import PUBLISHED, Split, all_sets
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
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
MODELS: dict[str, Callable[[int], Any]] = {
    "product": lambda seed: AmplitudeTreeClassifier(1, random_state=seed),
    "tree": lambda seed: TreeClassifier(2, random_state=seed),
    "chain": lambda seed: MPSClassifier(2, random_state=seed),
    "re-uploading": lambda seed: TreeClassifier(2, reuploads=2, random_state=seed),
    "forest": lambda seed: TreeForestClassifier(TreeClassifier(2, reuploads=2), 6, random_state=seed),
}
CHOSEN = "chosen"
#: Standard deviations from the mean that angles reach: of usual values they are small, and models smooth.
WIDE = (-6.0, 6.0)
#: Among which the row "chosen" takes the best by five folds of the training rows.
CANDIDATES: dict[str, Callable[[int], Any]] = {
    "tree": MODELS["tree"],
    "chain": MODELS["chain"],
    "amplitude tree, bond 4": lambda seed: AmplitudeTreeClassifier(4, random_state=seed),
    "amplitude tree, bond 8, two waves": lambda seed: AmplitudeTreeClassifier(
        8, encoding="multi-qubit", random_state=seed
    ),
    "amplitude chain, bond 4, two waves": lambda seed: AmplitudeMPSClassifier(
        4, encoding="multi-qubit", random_state=seed
    ),
    "4 re-uploads": lambda seed: TreeClassifier(2, reuploads=4, random_state=seed),
    "8 re-uploads": lambda seed: TreeClassifier(2, reuploads=8, random_state=seed),
    "tree, small angles": lambda seed: _small(TreeClassifier(2, feature_range=WIDE, random_state=seed)),
    "chain, small angles": lambda seed: _small(MPSClassifier(2, feature_range=WIDE, random_state=seed)),
    "amplitude chain, bond 4, small angles": lambda seed: _small(
        AmplitudeMPSClassifier(4, feature_range=WIDE, random_state=seed)
    ),
    "6 amplitude chains, bond 4, two waves, small angles": lambda seed: _small(
        TreeForestClassifier(
            AmplitudeMPSClassifier(4, encoding="multi-qubit", feature_range=WIDE), 6, random_state=seed
        )
    ),
}
BASELINES: dict[str, Callable[[], Any]] = {
    "logistic": lambda: LogisticRegression(max_iter=1000),
    "SVM": SVC,
    "boosting": lambda: HistGradientBoostingClassifier(random_state=0),
}


def _small(classifier: Any) -> Any:
    """On standardised features."""
    return make_pipeline(StandardScaler(), classifier)


def measured(data: Split, seeds: int) -> dict[str, Any]:
    """Test accuracies of every model and seed."""
    found: dict[str, Any] = {}
    for name, make in MODELS.items():
        scores = []
        for seed in range(seeds):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ClippedDataWarning)
                scores.append(
                    float(make(seed).fit(data.X_train, data.y_train).score(data.X_test, data.y_test))
                )
        found[name] = scores
    for name, plain in BASELINES.items():
        found[name] = float(plain().fit(data.X_train, data.y_train).score(data.X_test, data.y_test))
    return found


def chosen(
    data: Split, seeds: int, known: dict[str, float], scores: list[float]
) -> tuple[list[float], dict[str, float]]:
    """Test accuracies of the candidate that is best by five folds of the training rows, and all by folds.

    `known` and `scores` are of a run with fewer candidates: only new ones are tried.
    """
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    by_folds = {
        name: known[name]
        if name in known
        else float(cross_val_score(make(0), data.X_train, data.y_train, cv=folds).mean())
        for name, make in CANDIDATES.items()
    }
    best = max(by_folds, key=by_folds.__getitem__)
    if best in known:
        return scores, by_folds
    made = (CANDIDATES[best](seed) for seed in range(seeds))
    return [
        float(each.fit(data.X_train, data.y_train).score(data.X_test, data.y_test)) for each in made
    ], by_folds


def table(results: dict[str, Any]) -> str:
    """Means over seeds, beside what was published."""
    heads = [
        "set",
        *MODELS,
        CHOSEN,
        *BASELINES,
        "their best",
        "(which)",
        "tree",
        "re-uploading",
        "product",
        "MLP",
        "SVM",
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    wins = dict.fromkeys((*MODELS, CHOSEN), 0)
    for name, own in results.items():
        best, which, *others = PUBLISHED[name]
        cells = [name]
        for model in wins:
            score = mean(own[model])
            wins[model] += score >= best - 5e-5
            cells.append(f"**{score:.3f}**" if score >= best - 5e-5 else f"{score:.3f}")
        cells += [f"{own[model]:.3f}" for model in BASELINES]
        cells += [f"{best:.3f}", which, *("" if value is None else f"{value:.3f}" for value in others)]
        lines.append(f"| {' | '.join(cells)} |")
    count = " | ".join(f"{wins[model]} of {len(results)}" for model in wins)
    lines.append(f"| at or above their best | {count} |{' |' * (len(heads) - 1 - len(wins))}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--chosen", action="store_true", help="only that row, for candidates that were not tried"
    )
    parser.add_argument("--anew", action="store_true", help="for all sets")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        name, data = next(iter(all_sets(mnist=False).items()))
        print(measured(data, 1))
        return
    path = FOLDER / "results.json"
    results = json.loads(path.read_text()) if options.chosen else {}
    for name, data in sorted(all_sets().items(), key=lambda item: len(item[1].X_train)):
        if not options.chosen:
            results[name] = measured(data, options.seeds)
        known = {} if options.anew else results[name].get("by folds", {})
        if known.keys() == CANDIDATES.keys():
            continue  # of a run that was ended
        results[name][CHOSEN], results[name]["by folds"] = chosen(
            data, options.seeds, known, results[name].get(CHOSEN, [])
        )
        print(name, {model: results[name][model] for model in results[name]}, flush=True)
        path.write_text(json.dumps(results, indent=1) + "\n")
    (FOLDER / "results.md").write_text(table(results))


if __name__ == "__main__":
    main()
