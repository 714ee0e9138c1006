"""The sets of a public benchmark of quantum classifiers (arXiv:2403.07059), made anew with their seeds.

Numbers are drawn in the order of the published scripts, from NumPy's old generator, so that rows are theirs.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from qtnml import load_dataset


class Split(NamedTuple):
    """Training and test rows."""

    X_train: np.ndarray
    X_test: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray


#: Mean test accuracies of five seeds with the best settings of their grid search, from the benchmark's public
#: repository: their best quantum model and its name, their tree tensor network, data re-uploading, a
#: separable (product) circuit, and the classical multi-layer perceptron and support vector machine.
PUBLISHED = {
    "mnist_pca 2": (0.7322, "DressedQuantumCircuit", 0.5570, 0.7308, 0.7274, 0.7339, None),
    "mnist_pca 3": (0.7317, "DataReuploadingSeparable", 0.4818, 0.7252, 0.7290, 0.7540, None),
    "mnist_pca 10": (0.9647, "DressedQuantumCircuit", 0.6597, 0.9572, 0.8996, 0.9742, None),
    "hidden_manifold 2": (0.7100, "DressedQuantumCircuit", 0.5767, 0.6633, 0.6800, 0.6967, 0.7000),
    "hidden_manifold 10": (0.9000, "DressedQuantumCircuit", 0.7467, 0.8267, 0.8333, 0.8467, 0.9000),
    "hidden_manifold 20": (0.9300, "QuantumBoltzmannSeparable", 0.6633, 0.8400, 0.8233, 0.8933, 0.9000),
    "two_curves 2": (0.9067, "ProjectedQuantumKernel", 0.5100, 0.7067, 0.7833, 0.8667, 0.9000),
    "two_curves 10": (1.0000, "DataReuploading", 0.7333, 1.0000, 0.9867, 1.0000, 1.0000),
    "two_curves 20": (1.0000, "SeparableKernel", 0.5933, 0.9767, 0.9533, 1.0000, 1.0000),
    "linearly_separable 2": (1.0000, "DataReuploading", 0.4700, 1.0000, 0.9600, 1.0000, 1.0000),
    "linearly_separable 10": (1.0000, "DressedQuantumCircuit", 0.5433, 0.8900, 0.9367, 1.0000, 0.9833),
    "linearly_separable 20": (0.9767, "SeparableVariational", 0.5100, 0.7500, 0.9767, 0.9867, 0.9833),
}
_SAMPLES = 300


def all_sets(*, mnist: bool = True) -> dict[str, Split]:
    """Of the names in `PUBLISHED`; MNIST comes from `$QTNML_DATA`, or is downloaded."""
    found = dict(_hidden_manifolds()) | dict(_two_curves()) | dict(_separable())
    if mnist:
        found |= dict(_mnist())
    return {name: found[name] for name in PUBLISHED if name in found}


def _halves(X: np.ndarray, y: np.ndarray, rng: np.random.RandomState) -> Split:
    return Split(*train_test_split(X, y, test_size=0.2, random_state=rng))


def _hidden_manifolds() -> Iterator[tuple[str, Split]]:
    """Labels by a random network of the six coordinates that all features come from."""
    rng = np.random.RandomState(3)
    hidden = 6
    for features in range(2, 21):
        embedding = rng.normal(size=(hidden, features))
        inside = rng.normal(size=(_SAMPLES, hidden))
        biases = 2 * rng.uniform(size=features) - 1
        weights, out = rng.normal(size=(hidden, hidden)), rng.normal(size=hidden)
        X = np.tanh(inside @ embedding / np.sqrt(hidden) - biases)
        heights = np.tanh(inside @ weights.T) @ out
        yield f"hidden_manifold {features}", _halves(X, np.where(heights < np.median(heights), -1, 1), rng)


def _two_curves() -> Iterator[tuple[str, Split]]:
    """Two parallel curves, each feature a Fourier series of degree five."""
    rng = np.random.RandomState(3)
    degree = 5
    for features in range(2, 21):
        series = rng.uniform(size=(features, degree + 1, 2))
        series /= np.linalg.norm(series)
        places, noise = np.empty((2, _SAMPLES // 2)), np.empty((2, _SAMPLES // 2, features))
        for curve in range(2):
            for sample in range(_SAMPLES // 2):
                places[curve, sample] = rng.rand()
                noise[curve, sample] = [rng.normal(scale=0.01) for _ in range(features)]
        waves = np.pi * places[..., None] * np.arange(1, degree + 1)
        X = series[:, 0].sum(axis=1) + np.cos(waves) @ series[:, 1:, 0].T + np.sin(waves) @ series[:, 1:, 1].T
        X = X + noise
        X[1] += 0.1
        y = np.repeat([-1, 1], _SAMPLES // 2)
        yield (
            f"two_curves {features}",
            _halves(StandardScaler().fit_transform(X.reshape(_SAMPLES, -1)), y, rng),
        )


def _separable() -> Iterator[tuple[str, Split]]:
    """On which side of a plane through the origin, with a margin."""
    rng = np.random.RandomState(42)
    for features in range(2, 21):
        X = 2 * rng.rand(2 * _SAMPLES, features) - 1
        X = X[np.abs(X.sum(axis=1)) > 0.02 * features][:_SAMPLES]
        yield f"linearly_separable {features}", _halves(X, np.where(X.sum(axis=1) > 0, -1, 1), rng)


def _mnist() -> Iterator[tuple[str, Split]]:
    """3 against 5, all images, principal components of standardised pixels."""
    data = load_dataset("mnist", classes=(3, 5))
    scaler = StandardScaler().fit(data.X_train)
    train, test = scaler.transform(data.X_train), scaler.transform(data.X_test)
    for features in (2, 3, 10):
        pca = PCA(features, random_state=42).fit(train)
        yield (
            f"mnist_pca {features}",
            Split(pca.transform(train), pca.transform(test), data.y_train, data.y_test),
        )
