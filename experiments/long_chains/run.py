"""Where the label of a long amplitude chain learns; see README.md.

QTNML_DATA=/path/to/data python experiments/long_chains/run.py [--smoke]     # writes results.json, results.md
"""

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

from qtnml import AmplitudeMPSClassifier, load_dataset
from qtnml.errors import LongChainWarning

FOLDER = Path(__file__).parent
BOND, SAMPLES, EPOCHS = 32, 12_000, 8
SIZES = (14, 20, 24, 28)


def measured(size: int, label: Any, samples: int, epochs: int) -> dict[str, Any]:
    """Training loss of the last epoch and test accuracy of one chain in snake order."""
    data = load_dataset("mnist", size=size, order="snake", train_size=samples)
    clf = AmplitudeMPSClassifier(
        BOND, label=label, epochs=epochs, feature_range=(0, 1), validation_fraction=0.0, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LongChainWarning)
        clf.fit(data.X_train, data.y_train)
    sites = size * size
    return {
        "pixels": sites,
        "label": label,
        "longest_arm": sites // 2 if label == "middle" else sites - 1,
        "training_loss": round(clf.history_[-1].loss, 3),
        "accuracy": round(clf.score(data.X_test, data.y_test), 4),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    if parser.parse_args().smoke:
        print(measured(8, "end", 200, 1))
        return
    rows = []
    for size in SIZES:
        for label in ("end", "middle"):
            rows.append(measured(size, label, SAMPLES, EPOCHS))
            print(rows[-1], flush=True)
    (FOLDER / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    lines = [f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|"]
    lines += [f"| {' | '.join(map(str, row.values()))} |" for row in rows]
    (FOLDER / "results.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
