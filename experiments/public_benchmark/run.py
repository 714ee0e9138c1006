"""Our classifiers, at their defaults, on a public benchmark of quantum classifiers; see README.md.

python experiments/public_benchmark/run.py [--seeds 5] [--smoke]    # writes results.json and results.md
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
from sklearn.svm import SVC

from qtnml import AmplitudeTreeClassifier, MPSClassifier, TreeClassifier, TreeForestClassifier
from qtnml.errors import ClippedDataWarning

FOLDER = Path(__file__).parent
MODELS: dict[str, Callable[[int], Any]] = {
    "product": lambda seed: AmplitudeTreeClassifier(1, random_state=seed),
    "tree": lambda seed: TreeClassifier(2, random_state=seed),
    "chain": lambda seed: MPSClassifier(2, random_state=seed),
    "re-uploading": lambda seed: TreeClassifier(2, reuploads=2, random_state=seed),
    "forest": lambda seed: TreeForestClassifier(TreeClassifier(2, reuploads=2), 6, random_state=seed),
}
BASELINES: dict[str, Callable[[], Any]] = {
    "logistic": lambda: LogisticRegression(max_iter=1000),
    "SVM": SVC,
    "boosting": lambda: HistGradientBoostingClassifier(random_state=0),
}


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


def table(results: dict[str, Any]) -> str:
    """Means over seeds, beside what was published."""
    heads = [
        "set",
        *MODELS,
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
    wins = dict.fromkeys(MODELS, 0)
    for name, own in results.items():
        best, which, *others = PUBLISHED[name]
        cells = [name]
        for model in MODELS:
            score = mean(own[model])
            wins[model] += score >= best - 5e-5
            cells.append(f"**{score:.3f}**" if score >= best - 5e-5 else f"{score:.3f}")
        cells += [f"{own[model]:.3f}" for model in BASELINES]
        cells += [f"{best:.3f}", which, *("" if value is None else f"{value:.3f}" for value in others)]
        lines.append(f"| {' | '.join(cells)} |")
    count = " | ".join(f"{wins[model]} of {len(results)}" for model in MODELS)
    lines.append(f"| at or above their best | {count} |{' |' * (len(heads) - 1 - len(MODELS))}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        name, data = next(iter(all_sets(mnist=False).items()))
        print(table({name: measured(data, 1)}))
        return
    results = {}
    for name, data in all_sets().items():
        results[name] = measured(data, options.seeds)
        print(name, {model: results[name][model] for model in results[name]}, flush=True)
        (FOLDER / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (FOLDER / "results.md").write_text(table(results))


if __name__ == "__main__":
    main()
