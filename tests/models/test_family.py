"""MPS, regressors, post-selection: what the estimators beyond the tree classifier promise."""

import jax.numpy as jnp
import numpy as np
import pytest

from qtnml import MPSClassifier, MPSRegressor, TreeClassifier, TreeRegressor, get_backend
from qtnml.data import Dataset
from qtnml.errors import InvalidInputError
from qtnml.train import CrossEntropy


@pytest.mark.slow
def test_mps_runs_on_a_handful_of_qubits(small_digits: Dataset) -> None:
    """V + 1 qubits with reuse, and the same probabilities as the contraction."""
    for bond_qubits in (1, 2):
        clf = MPSClassifier(bond_qubits, feature_range=(0, 1), random_state=0)
        clf.fit(small_digits.X_train, small_digits.y_train)
        assert clf.score(small_digits.X_test, small_digits.y_test) > 0.9
        compiled = clf.compile()
        assert compiled.num_qubits == bond_qubits + 1
        exact = get_backend("aer").probabilities(compiled.bind(small_digits.X_test[:2]))
        np.testing.assert_allclose(exact, clf.predict_proba(small_digits.X_test[:2]), atol=1e-10)
    measured = clf.to_backend("aer", shots=200).predict(small_digits.X_test[:20])
    assert (measured == clf.predict(small_digits.X_test[:20])).mean() > 0.8


def test_too_many_classes_for_a_chain() -> None:
    with pytest.raises(InvalidInputError, match="5 classes need 3 root qubits, .* has 2 .*set bond_qubits=2"):
        MPSClassifier(1).fit(np.eye(5), range(5))


@pytest.mark.slow
@pytest.mark.parametrize("cls", [TreeRegressor, MPSRegressor])
def test_regression(cls: type[TreeRegressor], rng: np.random.Generator) -> None:
    X = rng.random((400, 3))
    y = 100 + 30 * np.sin(3 * X[:, 0]) + 10 * X[:, 1] ** 2
    reg = cls(2, encoding="multi-qubit", random_state=0, feature_range=(0, 1)).fit(X[:300], y[:300])
    assert reg.score(X[300:], y[300:]) > 0.95
    assert reg.history_[-1].accuracy is None
    applied = reg.model_.apply(reg.params_, reg.scaler_(X[:5]))
    np.testing.assert_allclose(reg.target_mean_ + reg.target_scale_ * applied, reg.predict(X[:5]))
    weights = np.where(np.arange(300) < 150, 1.0, 0.0)
    part = cls(1, epochs=3, random_state=0, feature_range=(0, 1))
    one, other = part.fit(X[:300], y[:300], weights).predict(X), part.fit(X[:150], y[:150]).predict(X)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_regression_refuses(rng: np.random.Generator) -> None:
    X = rng.random((4, 2))
    with pytest.raises(InvalidInputError, match="a regressor's loss is 'squared-error', got 'hinge'"):
        TreeRegressor(loss="hinge").fit(X, X[:, 0])
    with pytest.raises(InvalidInputError, match="a regressor's loss is 'squared-error', got CrossEntropy"):
        TreeRegressor(loss=CrossEntropy()).fit(X, X[:, 0])
    with pytest.raises(InvalidInputError, match="[Ss]ample weights must contain at least one non-zero"):
        TreeRegressor().fit(X, X[:, 0], np.zeros(4))


@pytest.mark.slow
def test_from_postselected_to_traced(small_digits: Dataset) -> None:
    """A post-selected model knows its success probability; a homotopy carries it over to the trace."""
    X, y, options = small_digits.X_train, small_digits.y_train, {"random_state": 0, "feature_range": (0, 1)}
    clf = TreeClassifier(discard="postselect", epochs=60, warm_start=True, **options).fit(X, y)  # type: ignore[arg-type]
    assert clf.score(small_digits.X_test, small_digits.y_test) > 0.9
    success = clf.success_probability(X[:5])
    assert ((success > 0) & (success < 1)).all()
    np.testing.assert_allclose(np.log(success), clf.log_success_probability(X[:5]))
    assert clf.compile().verify(X[:2]) < 1e-10
    selected = clf.params_
    with pytest.raises(InvalidInputError, match=r"homotopy=40 leaves no epoch with the trace; .* \(40\)"):
        clf.set_params(discard="trace", homotopy=40, epochs=40).fit(X, y)
    clf.set_params(epochs=60).fit(X, y)
    assert clf.best_epoch_ >= 40
    assert not np.allclose(clf.params_.nodes[0], selected.nodes[0], atol=1e-2)
    assert clf.score(small_digits.X_test, small_digits.y_test) > 0.9
    np.testing.assert_array_equal(clf.success_probability(X[:3]), 1)
    assert clf.compile().infidelity < 1e-10


@pytest.mark.slow
def test_trainable_scales_learn(small_digits: Dataset) -> None:
    """They move, and reach the circuit's data angles."""
    X, y = small_digits.X_train, small_digits.y_train
    clf = TreeClassifier(encoding="trainable-angle", feature_range=(0, 1), random_state=0).fit(X, y)
    (scales,) = clf.params_.encoding
    assert scales.shape == (16,)
    assert np.abs(scales - 1).max() > 0.1
    compiled = clf.compile()
    np.testing.assert_allclose(compiled.angles(X[:2]), np.pi * scales * X[:2])
    exact = get_backend("aer").probabilities(compiled.bind(X[:2]))
    np.testing.assert_allclose(exact, clf.predict_proba(X[:2]), atol=1e-10)


def test_label_smoothing_and_brier(small_digits: Dataset) -> None:
    p, y = jnp.array([[0.7, 0.2], [0.3, 0.8]]), jnp.array([0, 0])
    sharp, smooth = CrossEntropy(1.0)(p, y), CrossEntropy(1.0, label_smoothing=0.2)(p, y)
    np.testing.assert_allclose(sharp, -np.log([0.7, 0.2]), rtol=1e-6)
    even = -np.log([[0.7, 0.2], [0.3, 0.8]]).mean(axis=0)
    np.testing.assert_allclose(smooth, 0.8 * sharp + 0.2 * even, rtol=1e-6)
    clf = TreeClassifier(loss="squared-error", feature_range=(0, 1), random_state=0)
    clf.fit(small_digits.X_train, small_digits.y_train)
    expected = ((clf.predict_proba(small_digits.X_train) - np.eye(2)[small_digits.y_train // 5]) ** 2).sum(
        axis=1
    )
    assert clf.score(small_digits.X_test, small_digits.y_test) > 0.9
    assert expected.mean() == pytest.approx(min(r.loss for r in clf.history_), abs=0.05)
