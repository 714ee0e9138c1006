"""Cores of CP rank beside the same cores written out."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris

from qtnml import AmplitudeTreeClassifier, load_model
from qtnml.contract import AmplitudeModel, FactorisedNetwork
from qtnml.data import pixel_order
from qtnml.errors import InvalidInputError
from qtnml.structure import Tree, balanced, from_brackets

pytestmark = pytest.mark.filterwarnings("ignore::qtnml.errors.ClippedDataWarning")

TREES = {
    "binary": balanced(7),
    "of four": balanced(16, arity=4),
    "uneven": from_brackets([[0, 1, 2], [3, [4, 5]], 6]),
    "one node": balanced(2),
}


@pytest.mark.sampled
@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_amplitudes_are_those_of_the_cores_written_out(tree: Tree) -> None:
    rng = np.random.default_rng(0)
    dims = tuple(int(d) for d in rng.integers(2, 4, tree.num_leaves))
    bonds = (*(int(d) for d in rng.integers(2, 5, len(tree.nodes) - 1)), 1)
    network = FactorisedNetwork(tree, dims, bonds, 3, tree.root)
    stacks = network.stacks([rng.normal(size=shape) for shape in network.core_shapes])
    leaves = rng.normal(size=(tree.num_leaves, max(dims), 5))
    found, logs = network.amplitudes(stacks, leaves)
    dense, written = network.dense(stacks)
    expected, dense_logs = dense.amplitudes(written, leaves)
    np.testing.assert_allclose(found * np.exp(logs), expected * np.exp(dense_logs), rtol=1e-9)
    on_jax, jax_logs = network.amplitudes(tuple(map(jnp.asarray, stacks)), jnp.asarray(leaves))
    np.testing.assert_allclose(np.asarray(on_jax) * np.exp(jax_logs), found * np.exp(logs), rtol=1e-3)


@pytest.mark.slow
def test_gradients_of_probabilities_are_those_of_the_cores_written_out() -> None:
    rng = np.random.default_rng(0)
    model = AmplitudeModel.on_tree(balanced(8), 3, 4, factorised=True)
    parameters = model.start(rng)
    X = jnp.asarray(rng.random((6, 8)))

    def loss(parameters):  # type: ignore[no-untyped-def]
        return jnp.log(model.outcomes(parameters, X)[0][1]).sum()

    with jax.enable_x64(True):
        given = jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float64)), parameters)
        gradient = jax.grad(loss)(given)
        direction = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape)), given)
        step = 1e-5
        moved = [loss(jax.tree.map(lambda a, d, s=s: a + s * step * d, given, direction)) for s in (-1, 1)]
        slope = sum(
            float((g * d).sum())
            for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True)
        )
        assert abs(float(moved[1] - moved[0]) / (2 * step) - slope) < 1e-5 * max(1.0, abs(slope))


def test_a_thousand_leaves_neither_over_nor_underflow() -> None:
    model = AmplitudeModel.on_tree(balanced(1024, arity=4), 10, 16, factorised=True)
    parameters = model.start(np.random.default_rng(0))
    proba = model.predict(parameters, np.random.default_rng(1).random((8, 1024)))[0]
    assert np.isfinite(proba).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-9)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, ...]:
    X, y = load_digits(return_X_y=True)
    X = X[:, pixel_order("z", 8, 8)]
    return X[:1200], y[:1200], X[1200:], y[1200:]


@pytest.mark.slow
def test_a_quad_tree_learns_digits_with_dropout(digits: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    X, y, X_test, y_test = digits
    model = AmplitudeTreeClassifier(
        64, cores="cp", topology=balanced(64, arity=4), dropout=0.05, epochs=40, random_state=0
    ).fit(X, y)
    assert model.score(X_test, y_test) > 0.87
    assert model.model_.num_parameters == 64 * 64 * 2 + 20 * 64 * 64 + 64 * 10
    model.save(tmp_path / "model.npz")
    again = load_model(tmp_path / "model.npz")
    assert np.array_equal(again.predict_proba(X_test), model.predict_proba(X_test))


def test_it_is_a_circuit_too() -> None:
    X, y = load_iris(return_X_y=True)
    model = AmplitudeTreeClassifier(4, cores="cp", random_state=0).fit(X, y)
    assert model.score(X, y) > 0.9
    np.testing.assert_allclose(model.to_network().predict_proba(X), model.predict_proba(X), atol=1e-10)
    assert model.compile().verify(X[:2]) < 1e-10


@pytest.mark.slow
def test_a_star_is_a_sum_of_products(digits: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    X, y, X_test, y_test = digits
    model = AmplitudeTreeClassifier(10, cores="cp", topology="star", random_state=0).fit(X, y)
    assert model.score(X_test, y_test) > 0.8
    factors = model.params_.nodes[0][0, :, :, 0]  # (terms, 2 * pixels + classes)
    leaves = model.model_.leaves(model.params_, model.scaler_(X_test[:5]))
    products = np.einsum("tpd,pds->tps", factors[:, :128].reshape(10, 64, 2), leaves).prod(axis=1)
    squares = (factors[:, 128:].T @ products) ** 2
    np.testing.assert_allclose(model.predict_proba(X_test[:5]), (squares / squares.sum(axis=0)).T, atol=1e-9)
    model.save(tmp_path / "model.npz")
    again = load_model(tmp_path / "model.npz")
    assert np.array_equal(again.predict_proba(X_test), model.predict_proba(X_test))
    with pytest.raises(InvalidInputError, match="star"):
        AmplitudeTreeClassifier(4, topology="star").fit(X, y)


def test_what_cannot_be_is_refused(digits: tuple[np.ndarray, ...]) -> None:
    X, y, *_ = digits
    with pytest.raises(InvalidInputError, match="sweeps"):
        AmplitudeTreeClassifier(4, cores="cp", method="sweeps").fit(X, y)
    with pytest.raises(InvalidInputError, match="cores"):
        AmplitudeTreeClassifier(4, cores="tucker").fit(X, y)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="label"):
        FactorisedNetwork(balanced(4), (2,) * 4, (2, 2, 1))
    wide = AmplitudeModel.on_tree(balanced(64, arity=4), 10, 64, factorised=True)
    network = wide.network
    assert isinstance(network, FactorisedNetwork)
    with pytest.raises(InvalidInputError, match="written out"):
        network.dense(wide.start(np.random.default_rng(0)).nodes)
