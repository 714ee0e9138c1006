"""Regressors of few samples: where training ends, and intervals that hold what they promise."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from qtnml import MPSRegressor, TreeRegressor, load_model
from qtnml.errors import InvalidInputError
from qtnml.models.backend_regressor import interval_half_width

pytestmark = pytest.mark.filterwarnings("ignore::qtnml.errors.ClippedDataWarning")


def made(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    X = rng.random((rows, 4))
    return X, 3 * X[:, 0] - X[:, 1] * X[:, 2] + 0.5 * rng.normal(size=rows)


@pytest.fixture(scope="module")
def fitted() -> TreeRegressor:
    return TreeRegressor(random_state=0).fit(*made(np.random.default_rng(0), 150))


@pytest.mark.slow
def test_training_of_few_samples_ends_where_folds_say(fitted: TreeRegressor) -> None:
    X, y = made(np.random.default_rng(0), 150)
    assert fitted.n_iter_ == len(fitted.history_) < 300
    test = made(np.random.default_rng(1), 2000)
    long = TreeRegressor(random_state=0, epochs=300).fit(X, y)
    assert fitted.score(*test) > long.score(*test)
    assert not len(long.residuals_)
    with pytest.raises(InvalidInputError, match="no sample was left out in training"):
        long.predict_interval(X)


@pytest.mark.slow
def test_diabetes_is_predicted_as_well_as_by_ridge() -> None:
    X, y = load_diabetes(return_X_y=True)
    ours, ridge = [], []
    for kept, left in KFold(5, shuffle=True, random_state=0).split(X):
        ours.append(MPSRegressor(random_state=0).fit(X[kept], y[kept]).score(X[left], y[left]))
        ridge.append(Ridge().fit(X[kept], y[kept]).score(X[left], y[left]))
    assert np.mean(ours) > np.mean(ridge)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [150, 600])  # left out by folds, and held out
def test_intervals_hold_what_they_promise(rows: int) -> None:
    rng = np.random.default_rng(2)
    model = TreeRegressor(random_state=0, patience=30).fit(*made(rng, rows))
    X, y = made(rng, 4000)
    for coverage in (0.5, 0.8, 0.95):
        low, high = model.predict_interval(X, coverage)
        assert (low < high).all()
        assert np.mean((low <= y) & (y <= high)) == pytest.approx(coverage, abs=0.12)


@pytest.mark.slow
def test_intervals_of_measured_predictions_are_wider(fitted: TreeRegressor, tmp_path: Path) -> None:
    X, y = made(np.random.default_rng(3), 200)
    few, many = (fitted.to_backend("exact", shots=shots) for shots in (8, 100_000))
    exact = fitted.predict_interval(X, 0.9)
    wide, narrow = few.predict_interval(X, 0.9), many.predict_interval(X, 0.9)
    assert np.mean(narrow[1] - narrow[0]) == pytest.approx(np.mean(exact[1] - exact[0]), rel=0.02)
    assert np.mean(wide[1] - wide[0]) > 1.2 * np.mean(exact[1] - exact[0])
    assert np.mean((wide[0] <= y) & (y <= wide[1])) > 0.8
    for model in (fitted, many):
        model.save(tmp_path / "m.qtnml")
        again = load_model(tmp_path / "m.qtnml")
        residuals = again.residuals_ if model is fitted else again.residuals
        np.testing.assert_array_equal(residuals, fitted.residuals_)


def test_quantiles_of_residuals() -> None:
    residuals = np.arange(1.0, 10.0)  # nine
    assert interval_half_width(residuals, 0.5) == 5
    assert interval_half_width(residuals, 0.9) == 9
    with pytest.raises(InvalidInputError, match=r"9 residuals allow a coverage up to 0.900, got 0.95"):
        interval_half_width(residuals, 0.95)
    for coverage in (0, 1, "x", True):
        with pytest.raises(InvalidInputError, match="coverage must be above 0 and below 1"):
            interval_half_width(residuals, coverage)  # type: ignore[arg-type]
