import numpy as np
import pandas as pd
import pytest
from sklearn.base import is_classifier

from qtnml import TreeClassifier, get_backend
from qtnml.backends import Capabilities
from qtnml.backends.aer import Aer
from qtnml.backends.local import LocalBackend
from qtnml.data import Dataset
from qtnml.errors import BackendError, InvalidInputError
from qtnml.models.readout import class_probabilities


def test_measures_what_the_contraction_says(trained: TreeClassifier, small_digits: Dataset) -> None:
    X, shots = small_digits.X_test[:40], 4000
    on_aer = trained.to_backend(get_backend("aer"), shots=shots, repeat=5)
    exact, measured = trained.predict_proba(X)[:, 1], on_aer.predict_proba(X)[:, 1]
    assert (np.abs(measured - exact) < 5 * np.sqrt(exact * (1 - exact) / shots)).all()
    np.testing.assert_array_equal(on_aer.predict_proba(X)[:, 1], measured)
    assert is_classifier(on_aer)
    sure = np.abs(exact - 0.5) > 0.05
    np.testing.assert_array_equal(on_aer.predict(X)[sure], trained.predict(X)[sure])
    assert on_aer.score(X[sure], trained.predict(X)[sure]) == 1.0
    assert on_aer.n_features_in_ == 16


def test_text_labels_and_lost_shots() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((60, 4))
    y = np.array(["low", "mid", "top"])[np.digitize(X[:, 0], [0.33, 0.66])]
    clf = TreeClassifier(epochs=40, random_state=0).fit(X, y)
    on_aer = clf.to_backend("aer", shots=3000, repeat=0)
    assert set(on_aer.predict(X[:8])) <= {"low", "mid", "top"}
    exact = clf.lost_mass(X[:8])
    sigma = np.sqrt(exact * (1 - exact) / 3000)
    assert (np.abs(on_aer.lost_mass(X[:8]) - exact) < 5 * sigma + 1e-9).all()
    with pytest.raises(InvalidInputError, match="0 sample"):
        on_aer.predict_proba(X[:0])


def test_backend_without_resets_needs_the_unrolled_circuit(
    trained: TreeClassifier, small_digits: Dataset
) -> None:
    class NoResets(Aer):
        name = "no-resets"

        def __init__(self) -> None:
            super().__init__()
            self.capabilities = Capabilities(resets=False)

    with pytest.raises(
        BackendError, match="11 mid-circuit resets, which backend 'no-resets' lacks; use .*reuse"
    ):
        trained.to_backend(LocalBackend(NoResets())).predict(small_digits.X_test[:1])
    unrolled = trained.to_backend(LocalBackend(NoResets()), reuse_qubits=False, shots=10)
    assert unrolled.predict(small_digits.X_test[:1]).shape == (1,)


def test_columns_are_checked_by_name_and_backends_by_kind(trained: TreeClassifier) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).random((40, 2)), columns=["a", "b"])
    clf = TreeClassifier(epochs=1, feature_range=(0, 1)).fit(frame, frame["a"] > 0.5)
    on_aer = clf.to_backend("aer", shots=10)
    assert on_aer.predict(frame[:2]).shape == (2,)
    with pytest.raises(InvalidInputError, match="feature names should match"):
        on_aer.predict(frame[["b", "a"]])
    with pytest.raises(InvalidInputError, match="expecting 16 features"):
        trained.to_backend("aer").predict(np.zeros((1, 3)))
    with pytest.raises(BackendError, match="got object; use get_backend"):
        trained.to_backend(object())  # type: ignore[arg-type]
    with pytest.raises(BackendError, match="unknown backend 'ear'"):
        trained.to_backend("ear")


def test_nothing_left_is_uniform() -> None:
    proba, lost = class_probabilities(np.array([[0.0, 0.0, 0.0, 1.0], [0.2, 0.2, 0.1, 0.5]]), 3)
    np.testing.assert_allclose(proba, [[1 / 3] * 3, [0.4, 0.4, 0.2]])
    np.testing.assert_allclose(lost, [1.0, 0.5])
