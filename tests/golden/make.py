"""Model files of this version and what the models answer, for later versions to read.

python tests/golden/make.py FOLDER

Files are added for a new format and never made again: that old ones can be read is what they are for.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

import qtnml
from qtnml import TableEncoder, load_model
from qtnml.train import CrossEntropy


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples (60, 6) in [0, 1], classes, bits."""
    rng = np.random.default_rng(0)
    X = rng.random((60, 6))
    y = (X[:, 0] + X[:, 1] > X[:, 2] + X[:, 3]).astype(int)
    bits = (X > 0.5).astype(int)
    bits[:, 1] = bits[:, 0]
    return X, y, bits


def table() -> np.ndarray:
    """A mixed table (60, 3): numbers, categories, integers."""
    rng = np.random.default_rng(1)
    kinds = rng.choice(["red", "green", "blue"], 60)
    return np.array(
        [
            [float(f"{a:.3f}"), kind, int(b)]
            for a, kind, b in zip(rng.random(60), kinds, rng.integers(0, 5, 60), strict=True)
        ],
        dtype=object,
    )


def models() -> dict[str, Any]:
    """Fitted models of every kind, with settings off their defaults."""
    X, y, bits = data()
    classifiers = {
        "tree": qtnml.TreeClassifier(2, topology="chow-liu", epochs=3, random_state=0),
        "tree_fresh": qtnml.TreeClassifier(
            2, leaf="fresh", reuploads=1, ansatz="brick-wall", epochs=2, random_state=0
        ),
        "mps": qtnml.MPSClassifier(
            2, encoding="trainable-angle", discard="postselect", epochs=2, random_state=0
        ),
        "amplitude": qtnml.AmplitudeMPSClassifier(4, epochs=3, random_state=0),
        "amplitude_sweeps": qtnml.AmplitudeMPSClassifier(
            4, method="sweeps", epochs=2, loss=CrossEntropy(2.0), random_state=0
        ),
    }
    found: dict[str, Any] = {name: model.fit(X, y) for name, model in classifiers.items()}
    found["regressor"] = qtnml.TreeRegressor(epochs=3, random_state=0).fit(X, X.sum(axis=1))
    born = {
        "born_chain": qtnml.MPSBornMachine(4, order=[2, 0, 1, 3, 5, 4], epochs=4, random_state=0),
        "born_complex": qtnml.MPSBornMachine(
            3, complex_amplitudes=True, method="gradient", epochs=4, random_state=0
        ),
        "born_tree": qtnml.TreeBornMachine(4, topology="chow-liu", epochs=4, random_state=0),
        "schmidt": qtnml.SchmidtClustering(qtnml.MPSBornMachine(4, epochs=4, random_state=0)),
        "mixture": qtnml.BornMixture(qtnml.MPSBornMachine(2, epochs=3), max_iter=2, random_state=0),
    }
    found |= {name: model.fit(bits) for name, model in born.items()}
    encoder = TableEncoder(bins=4, unseen="missing")
    found["born_table"] = qtnml.MPSBornMachine(
        4, encoder=encoder, smoothing=0.05, epochs=4, random_state=0
    ).fit(table())
    found["detector"] = qtnml.AnomalyDetector(random_state=0).fit(table())
    return found


def answers(name: str, model: Any) -> np.ndarray:
    """What a model says of the same samples in every version."""
    X, _, bits = data()
    if name == "measured":  # of the circuit, exactly: measuring would take a backend
        return np.asarray(model.compiled.probabilities(X[:10]))
    if name == "measured_born":
        return answers("born", model.model)
    if name == "born_table":  # whose scores were those of bins
        return np.asarray(model.log_likelihood(table()[:10]))
    if name == "detector":
        return np.asarray(model.score_samples(table()[:10]))
    if name.startswith(("born", "mixture")):
        return np.asarray(model.score_samples(bits[:10]))
    if name == "schmidt":
        return np.asarray(model.predict(bits[:10]))
    return np.asarray(model.predict(X[:10]) if name == "regressor" else model.predict_proba(X[:10]))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    found = {}
    for name, model in models().items():
        model.save(folder / f"{name}.qtnml")
        found[name] = answers(name, load_model(folder / f"{name}.qtnml"))
    np.savez(folder / "answers.npz", **found)
