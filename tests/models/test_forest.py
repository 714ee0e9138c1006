"""Forests of circuits: means of trees, features, files, backends, tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.utils.estimator_checks import parametrize_with_checks

from qtnml import MPSClassifier, TableEncoder, TreeClassifier, TreeForestClassifier, load_model
from qtnml.errors import InvalidInputError

pytestmark = pytest.mark.filterwarnings("ignore::qtnml.errors.ClippedDataWarning")


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    X, y = load_breast_cancer(return_X_y=True)
    return X[:300, :8], y[:300], X[300:, :8], y[300:]


@pytest.fixture(scope="module")
def forest(data: tuple[np.ndarray, ...]) -> TreeForestClassifier:
    X, y, *_ = data
    return TreeForestClassifier(TreeClassifier(1, epochs=40), 4, random_state=0).fit(X, y)


def test_a_forest_is_the_mean_of_its_trees(
    forest: TreeForestClassifier, data: tuple[np.ndarray, ...]
) -> None:
    _, _, X, y = data
    parts = [
        tree.predict_proba(X[:, own])
        for tree, own in zip(forest.estimators_, forest.estimators_features_, strict=True)
    ]
    np.testing.assert_allclose(forest.predict_proba(X), np.mean(parts, axis=0))
    assert {tuple(sorted(own)) for own in forest.estimators_features_} == {tuple(range(8))}
    assert len({tuple(own) for own in forest.estimators_features_}) == 4
    # The logarithm is concave: a mean is no worse than its parts are on average.
    own = [np.log(part[np.arange(len(y)), y]).mean() for part in parts]
    assert np.log(forest.predict_proba(X)[np.arange(len(y)), y]).mean() >= np.mean(own)
    assert forest.score(X, y) > 0.85


def test_its_circuits_say_the_same(
    forest: TreeForestClassifier, data: tuple[np.ndarray, ...], tmp_path: Path
) -> None:
    X = data[2][:20]
    circuits = forest.compile()
    each = [
        circuit.probabilities(tree.features(X[:, own]))
        for circuit, tree, own in zip(circuits, forest.estimators_, forest.estimators_features_, strict=True)
    ]
    np.testing.assert_allclose(np.mean(each, axis=0), forest.predict_proba(X), atol=1e-6)
    measured = forest.to_backend("exact", shots=20_000)
    np.testing.assert_allclose(measured.predict_proba(X), forest.predict_proba(X), atol=0.02)
    assert (measured.predict(X) == forest.predict(X)).mean() > 0.9
    forest.save(tmp_path / "f.qtnml")
    again = load_model(tmp_path / "f.qtnml")
    np.testing.assert_array_equal(again.predict_proba(X), forest.predict_proba(X))
    assert again.get_params()["n_estimators"] == 4


@pytest.mark.slow
def test_some_features_some_samples_and_tables() -> None:
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b", "c"], 240)
    table = pd.DataFrame({"kind": kind, "size": rng.normal(size=240), "age": rng.integers(0, 9, 240)})
    y = np.where((kind == "a") | (table["size"] > 1), "yes", "no")
    model = MPSClassifier(1, epochs=60, encoder=TableEncoder())
    forest = TreeForestClassifier(model, 3, max_features=2, bootstrap=True, random_state=1).fit(table, y)
    assert [len(own) for own in forest.estimators_features_] == [2, 2, 2]
    assert forest.predict_proba(table).shape == (240, 2)
    assert set(forest.predict(table)) <= {"yes", "no"}
    plain = TreeForestClassifier(TreeClassifier(1, epochs=1), 2, shuffle=False, random_state=0)
    plain.fit(np.random.default_rng(0).random((60, 4)), np.arange(60) % 2)
    assert [own.tolist() for own in plain.estimators_features_] == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize(("settings", "message"), [
    ({"model": "tree"}, "an amplitude classifier or None, got 'tree'"),
    ({"n_estimators": 0}, "n_estimators must be an integer of at least 1, got 0"),
    ({"max_features": 0.0}, "max_features must be an integer of at least 1, or a share"),
    ({"max_features": 9}, "max_features=9 of 8 features"),
    ({"bootstrap": 1}, "bootstrap must be True or False, got 1"),
    ({"model": TreeClassifier(checkpoint="x")}, "trees of a forest write no checkpoints"),
])  # fmt: skip
def test_bad_settings(settings: dict, message: str, data: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TreeForestClassifier(**settings).fit(data[0], data[1])


@pytest.mark.slow
@parametrize_with_checks([TreeForestClassifier(TreeClassifier(2, epochs=20), 2)])
def test_check_estimator(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]
