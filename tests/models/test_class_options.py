"""Class weights, calibration, and samples that come in parts."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from qtnml import (
    AmplitudeMPSClassifier,
    MPSClassifier,
    TreeClassifier,
    TreeRegressor,
    load_model,
)
from qtnml.errors import InvalidInputError
from qtnml.models.readout import best_temperature, tempered

pytestmark = pytest.mark.filterwarnings("ignore::qtnml.errors.ClippedDataWarning")


def rare(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """A class of one sample in ten, that overlaps with the other."""
    y = (rng.random(rows) < 0.1).astype(int)
    return rng.normal(size=(rows, 3)) + y[:, None] * 0.8, y


@pytest.mark.slow
@pytest.mark.parametrize("cls", [TreeClassifier, MPSClassifier, AmplitudeMPSClassifier])
def test_balanced_classes_count_alike(cls: type, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, y = rare(rng, 600)
    plain = cls(epochs=40, random_state=0).fit(X, y)
    even = cls(epochs=40, random_state=0, class_weight="balanced").fit(X, y)
    test, truth = rare(rng, 2000)
    assert plain.predict(test)[truth == 1].mean() < 0.4
    assert even.predict(test)[truth == 1].mean() > 0.6
    # A dict is the same as weights of the samples.
    by_dict = cls(epochs=3, random_state=0, class_weight={0: 1.0, 1: 5.0}).fit(X, y)
    by_sample = cls(epochs=3, random_state=0).fit(X, y, sample_weight=np.where(y == 1, 5.0, 1.0))
    np.testing.assert_allclose(by_dict.predict_proba(test), by_sample.predict_proba(test), atol=1e-6)
    by_dict.save(tmp_path / "c.qtnml")
    assert load_model(tmp_path / "c.qtnml").class_weight == {0: 1.0, 1: 5.0}


@pytest.mark.parametrize("value", ["equal", {7: 1.0, 8: 2.0}, {0: 0.0, 1: 1.0}, {0: np.inf}, 3])
def test_bad_class_weights(value: object) -> None:
    X, y = rare(np.random.default_rng(0), 60)
    with pytest.raises(InvalidInputError, match="class.weights? must be"):
        TreeClassifier(class_weight=value, epochs=1).fit(X, y)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="a regressor has no classes"):
        TreeRegressor(class_weight="balanced").fit(X, y)


def test_the_best_temperature_is_the_one_the_data_were_made_with() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 20_000)
    for truth in (0.4, 1.0, 2.5):
        made = tempered(p, truth)
        drawn = (made.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1)
        assert best_temperature(p, np.minimum(drawn, 2)) == pytest.approx(truth, rel=0.06)
    np.testing.assert_allclose(tempered(np.array([[1.0, 0.0]]), 0.5), [[1.0, 0.0]])


def test_calibrated_probabilities_explain_new_samples_better(tmp_path: Path) -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X = X[:, :8]
    clf = TreeClassifier(epochs=30, random_state=0).fit(X[:250], y[:250])
    before = clf.predict_proba(X[400:])
    clf.calibrate(X[250:400], y[250:400])
    assert clf.temperature_ < 1  # measurements are unsure
    after, rows = clf.predict_proba(X[400:]), np.arange(len(y) - 400)
    assert np.log(after[rows, y[400:]]).mean() > np.log(before[rows, y[400:]]).mean() + 0.02
    np.testing.assert_array_equal(after.argmax(axis=1), before.argmax(axis=1))
    measured = clf.to_backend("exact", shots=50_000)
    np.testing.assert_allclose(measured.predict_proba(X[400:420]), after[:20], atol=0.03)
    for model in (clf, measured):
        model.save(tmp_path / "c.qtnml")
        again = load_model(tmp_path / "c.qtnml")
        found = again.temperature_ if model is clf else again.temperature
        assert found == clf.temperature_
    assert clf.fit(X[:250], y[:250]).temperature_ == 1.0
    with pytest.raises(InvalidInputError, match="none of the model's classes"):
        clf.calibrate(X[250:400], y[250:400] + 5)


def test_samples_in_parts() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X = X[:, :8]
    scaled = (X - X.min(axis=0)) / np.ptp(X, axis=0)
    clf = TreeClassifier(random_state=0, feature_range=(0.0, 1.0), batch_size=50)
    with pytest.raises(InvalidInputError, match="the first call of partial_fit needs classes"):
        clf.partial_fit(scaled[:50], y[:50])
    scores = []
    for _ in range(6):
        for start in range(0, 400, 100):
            part = slice(start, start + 100)
            clf.partial_fit(scaled[part], y[part], classes=[0, 1])
        scores.append(clf.score(scaled[400:], y[400:]))
    assert scores[-1] > 0.85
    assert clf.epochs is None
    assert clf.validation_fraction == 0.1
    assert not clf.warm_start
    # One class alone is no trouble once all are known; another one is.
    clf.partial_fit(scaled[y == 1][:40], y[y == 1][:40])
    assert clf.classes_.tolist() == [0, 1]
    with pytest.raises(InvalidInputError, match="none of the model's classes"):
        clf.partial_fit(scaled[:50], y[:50] + 7)
    assert clf.score(scaled[400:], y[400:]) > 0.6
