"""Tables of text, numbers and gaps in classifiers and regressors: learnt, explained away, kept in files."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from qtnml import (
    AmplitudeMPSClassifier,
    AmplitudeTreeClassifier,
    MPSClassifier,
    TableEncoder,
    TreeClassifier,
    TreeRegressor,
    load_model,
)
from qtnml.data.frames import Table
from qtnml.errors import InvalidInputError, ModelFileError, UnseenCategoryWarning
from qtnml.models.table_input import TableInput

pytestmark = pytest.mark.portable


@pytest.fixture(scope="module")
def table() -> tuple[pd.DataFrame, np.ndarray]:
    """A rule over a category and two numbers, some of which are missing."""
    rng = np.random.default_rng(0)
    city = rng.choice(["Oslo", "Rome", "Bern", "Paris", "Nice"], 400)
    age, income = rng.integers(18, 80, 400).astype(float), np.clip(rng.normal(size=400), -2, 2)
    y = np.where((city == "Oslo") | ((age > 50) & (income > 0)), "buys", "leaves")
    age[rng.random(400) < 0.05] = np.nan
    return pd.DataFrame({"city": city, "age": age, "income": income}), y


def learnt(encoder: TableEncoder, X: Any) -> TableInput:
    rows = len(Table.of(X))
    return TableInput.learn(encoder, X, np.ones(rows), np.zeros(rows, dtype=bool))


def test_columns_as_numbers_and_levels() -> None:
    X = pd.DataFrame({"a": ["x", "y", "z", None], "b": [1.5, np.nan, 2.5, 9.5], "c": [7, 8, 7, 8]})
    found = learnt(TableEncoder(bins=2, max_values=4), X)
    assert found.names == ("a bit 0", "a bit 1", "b", "b missing", "c")
    expected = [[0, 0, 1.5, 0, 7], [1, 0, 2.5, 1, 8], [0, 1, 2.5, 0, 7], [1, 1, 9.5, 0, 8]]
    assert found.numbers(X).tolist() == expected
    assert found.dims == (4, 4, 2)
    assert found.levels(X).tolist() == [[0, 0, 0], [1, 3, 1], [2, 1, 0], [3, 2, 1]]
    again = TableInput.from_dict(found.to_dict())
    assert (again.names, again.dims, again.numbers(X).tolist()) == (found.names, found.dims, expected)
    as_categories = learnt(TableEncoder(categorical=("c",), max_values=4), X)
    assert as_categories.names[-1] == "c"
    assert as_categories.numbers(X)[:, -1].tolist() == [0, 1, 0, 1]
    with pytest.raises(InvalidInputError, match="column 'c' has no value in row 1 of 4, but every training"):
        found.numbers(X.assign(c=[7, None, 7, 8]))
    with pytest.raises(InvalidInputError, match="column 'c' has no value in row 1 of 4, but every training"):
        found.levels(X.assign(c=[7, None, 7, 8]))


def test_values_never_seen() -> None:
    X = pd.DataFrame({"a": ["x", "y", "y"], "b": [1.0, 2.0, 3.0]})
    strange = pd.DataFrame({"a": ["x", "w", "y"], "b": [1.0, 2.0, 8.0]})
    with pytest.raises(InvalidInputError, match="value 'w' in column 'a' .row 1. was not seen in fit"):
        learnt(TableEncoder(), X).numbers(strange)
    found = learnt(TableEncoder(unseen="missing"), X)
    with pytest.warns(UnseenCategoryWarning):
        # Two categories and one for what is missing; a number is a number, whether seen or not.
        assert found.numbers(strange).tolist() == [[0, 0, 1], [0, 1, 2], [1, 0, 8]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "clf",
    [
        TreeClassifier(2, epochs=150),
        MPSClassifier(2, epochs=150),
        AmplitudeMPSClassifier(8),
        AmplitudeMPSClassifier(8, method="sweeps", epochs=8),
        AmplitudeTreeClassifier(8, topology="chow-liu"),
    ],
    ids=lambda clf: f"{type(clf).__name__}-{getattr(clf, 'method', 'circuit')}",
)
def test_classifiers_learn_from_tables(clf: Any, table: tuple[Any, np.ndarray], tmp_path: Path) -> None:
    X, y = table
    clf = clone(clf).set_params(encoder=TableEncoder(), random_state=0).fit(X[:300], y[:300])
    assert clf.score(X[300:], y[300:]) > 0.8
    assert (clf.n_features_in_, clf.feature_names_in_.tolist()) == (3, ["city", "age", "income"])
    clf.save(tmp_path / "m.qtnml")
    again = load_model(tmp_path / "m.qtnml")
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    assert again.encoder.get_params() == clf.encoder.get_params()
    with pytest.raises(ModelFileError, match="cannot be saved"):
        clf.set_params(encoder=None).save(tmp_path / "m.qtnml")


@pytest.mark.slow
def test_regressors_and_pipelines(table: tuple[Any, np.ndarray]) -> None:
    X, _ = table
    target = 2 * X["income"] + (X["city"] == "Rome")
    reg = TreeRegressor(2, encoder=TableEncoder(), random_state=0).fit(X[:300], target[:300])
    assert reg.score(X[300:], target[300:]) > 0.8
    scores = cross_val_score(
        AmplitudeTreeClassifier(4, encoder=TableEncoder(), epochs=5), X, X["city"] == "Rome", cv=2
    )
    assert scores.shape == (2,)


def test_as_a_circuit_and_on_a_backend(table: tuple[Any, np.ndarray], tmp_path: Path) -> None:
    X, y = table
    clf = TreeClassifier(encoder=TableEncoder(), epochs=20, random_state=0).fit(X, y)
    compiled = clf.compile()
    assert compiled.num_features == 6
    np.testing.assert_allclose(compiled.probabilities(clf.features(X[:5])), clf.outcome_probabilities(X[:5]))
    qclf = clf.to_backend("aer", shots=4000, jobs=tmp_path / "jobs.sqlite")
    np.testing.assert_allclose(qclf.predict_proba(X[:3]), clf.predict_proba(X[:3]), atol=0.05)
    qclf.save(tmp_path / "q.qtnml")
    again = load_model(tmp_path / "q.qtnml").set_params(jobs=tmp_path / "jobs.sqlite")
    np.testing.assert_array_equal(again.predict_proba(X[:3]), qclf.predict_proba(X[:3]))


def test_held_out_rows_do_not_shape_bins(table: tuple[Any, np.ndarray]) -> None:
    X, y = table
    X = pd.concat([X, X])  # 80 rows are held out
    y = np.concatenate([y, y])
    found = AmplitudeTreeClassifier(
        2, encoder=TableEncoder(4), epochs=1, validation_fraction=0.1, random_state=0
    )
    edges = found.fit(X, y).table_.encoder.columns_[2].edges
    all_rows = TableEncoder(4).fit(X).columns_[2].edges
    assert edges != all_rows


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (pd.DataFrame({"a": ["x", "y"], "b": [1.0, 2.0]}), "column 'a': .*pass encoder=qtnml.TableEncoder"),
        (
            pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, np.nan]}),
            "column 'b': .*pass encoder=qtnml.TableEncoder",
        ),
        (np.array([["x", "1"], ["y", "2"]], dtype=object), "pass encoder=qtnml.TableEncoder"),
    ],
)
def test_without_an_encoder_the_cure_is_named(X: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TreeClassifier().fit(X, [0, 1])


def test_bad_encoders(table: tuple[Any, np.ndarray]) -> None:
    X, y = table
    with pytest.raises(InvalidInputError, match="encoder must be a qtnml.TableEncoder or None, got 'table'"):
        TreeClassifier(encoder="table").fit(X, y)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="inconsistent numbers of samples"):
        TreeClassifier(encoder=TableEncoder()).fit(X, y[:-1])
