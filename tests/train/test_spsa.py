"""SPSA: its formulas, its three settings, emulated shots; optax beside it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qtnml import TreeClassifier
from qtnml.ansatz import unitarity_error
from qtnml.contract import Parameters
from qtnml.data import Dataset
from qtnml.errors import InvalidInputError
from qtnml.train import SPSA, CalibratedSPSA, emulate_shots
from qtnml.train.directions import coordinates_like, move
from tests.references import random_unitaries


def test_printed_constants_and_gains() -> None:
    printed, later = SPSA(), SPSA.later()
    assert (printed.a, printed.b, printed.A, printed.s, printed.t, printed.gamma) == (
        28,
        33,
        74.1,
        4.13,
        0.658,
        0.882,
    )
    assert printed.a / (1 + printed.A) ** printed.s == pytest.approx(5e-7, rel=0.02)
    assert later.a / (1 + later.A) ** later.s == pytest.approx(2.5, rel=0.02)
    assert (later.A, later.s, later.gamma) == (7.41, 1.13, 0.882)


def test_steps_are_the_papers(x64: None) -> None:
    """Two steps on a quadratic, where (L_+ - L_-) / (2 alpha) = gradient . Delta exactly."""
    optimizer = SPSA(a=0.5, b=0.1, A=2.0, s=0.6, t=0.3, gamma=0.7)
    parameters = Parameters((jnp.array([[1.0, -2.0, 0.5]]),))

    def loss(p: Parameters, key: jax.Array):
        return jnp.sum(p.nodes[0] ** 2), jnp.zeros(3)

    theta, velocity = np.array([1.0, -2.0, 0.5]), np.zeros(3)
    state = optimizer.init(parameters)
    for k in range(2):
        key = jax.random.key(k)
        before = state
        parameters, state, _ = optimizer.step(loss, parameters, state, jnp.asarray(9.9), key)
        found = np.asarray(state.velocity.nodes[0][0])
        # Delta is +-1, so that beta g Delta = gamma v_before - v_after tells it up to its sign.
        kick = 0.7 * np.asarray(before.velocity.nodes[0][0]) - found
        signs = np.sign(kick * kick[0])
        np.testing.assert_allclose(np.abs(kick), np.abs(kick[0]), rtol=1e-10)
        slope = 2 * theta @ signs
        velocity = 0.7 * velocity - 0.1 / (k + 1) ** 0.3 * slope * signs
        theta = theta + velocity
        np.testing.assert_allclose(parameters.nodes[0][0], theta, atol=1e-12)


def test_delta_is_rademacher() -> None:
    parameters = Parameters((jnp.zeros((50, 40)),))
    state = SPSA().init(parameters)
    _, state, _ = SPSA(a=0.1).step(
        lambda p, _: (jnp.sum(p.nodes[0]), jnp.zeros(3)),
        parameters,
        state,
        jnp.asarray(0.0),
        jax.random.key(0),
    )
    velocity = np.asarray(state.velocity.nodes[0])
    assert len(np.unique(np.abs(velocity).round(4))) == 1
    assert abs((velocity > 0).mean() - 0.5) < 0.05


@pytest.mark.parametrize("is_complex", [True, False])
def test_moves_are_rotations(is_complex: bool, rng: np.random.Generator, x64: None) -> None:
    """Coordinates t of a matrix: exp(-i t P / 2), unitary, and 4 pi periodic."""
    matrices = random_unitaries(3, 4, 1.0, rng)
    leaf = jnp.asarray(matrices if is_complex else np.linalg.qr(matrices.real)[0])
    zero = coordinates_like(leaf)
    assert zero.shape == (3, 15 if is_complex else 6)
    direction = jnp.asarray(rng.normal(size=zero.shape))
    moved = move(leaf, direction)
    assert moved.dtype == leaf.dtype
    assert unitarity_error(np.asarray(moved)) < 1e-13
    np.testing.assert_allclose(move(moved, -direction), leaf, atol=1e-13)
    turn = zero.at[:, 2].set(4 * np.pi)
    np.testing.assert_allclose(move(leaf, turn), leaf, atol=1e-12)


@pytest.mark.slow
def test_emulated_shots_are_multinomial() -> None:
    p = jnp.array([[0.5, 0.0, 1.0], [0.2, 0.3, 0.0], [0.3, 0.7, 0.0]])
    shots = 50
    draw = jax.jit(jax.vmap(lambda key: emulate_shots(key, p, shots)))
    draws = draw(jax.random.split(jax.random.key(0), 4000))
    np.testing.assert_allclose(draws.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(draws * shots, np.round(draws * shots), atol=1e-4)
    np.testing.assert_allclose(draws.mean(axis=0), p, atol=5 * np.sqrt(0.25 / shots / 4000))
    np.testing.assert_allclose(draws.var(axis=0), p * (1 - p) / shots, atol=5e-4)
    covariance = np.cov(draws[:, 0, 0], draws[:, 1, 0])[0, 1]
    assert covariance == pytest.approx(-0.5 * 0.2 / shots, abs=5e-4)


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("ansatz", "shots"),
    [
        pytest.param("full", None, marks=pytest.mark.slow),
        ("full", 100),
        pytest.param("orthogonal", 100, marks=pytest.mark.slow),
        pytest.param("hermitian", 100, marks=pytest.mark.slow),
        ("brick-wall", 100),
    ],
)
def test_default_learns_with_and_without_shots(ansatz: str, shots: int | None, small_digits: Dataset) -> None:
    clf = TreeClassifier(
        feature_range=(0, 1),
        ansatz=ansatz,
        optimizer="spsa",
        shots=shots,
        epochs=300,
        batch_size=64,
        random_state=0,
    )
    clf.fit(small_digits.X_train, small_digits.y_train)
    assert clf.score(small_digits.X_test, small_digits.y_test) > 0.85


def test_the_later_variant_learns(small_digits: Dataset) -> None:
    clf = TreeClassifier(
        feature_range=(0, 1),
        ansatz="hermitian",
        optimizer="spsa-later",
        loss="hinge",
        epochs=200,
        batch_size=64,
        random_state=0,
    )
    clf.fit(small_digits.X_train, small_digits.y_train)
    assert clf.score(small_digits.X_test, small_digits.y_test) > 0.75


@pytest.mark.slow
def test_any_optax_optimiser_on_angles_and_unitaries(small_digits: Dataset) -> None:
    options = {"epochs": 30, "batch_size": 64, "random_state": 0, "feature_range": (0, 1)}
    for ansatz, optimizer in (
        ("brick-wall", optax.chain(optax.clip(1.0), optax.sgd(0.1, momentum=0.9))),
        ("full", optax.adam(0.03)),
        ("orthogonal", optax.lion(0.01)),
    ):
        clf = TreeClassifier(ansatz=ansatz, optimizer=optimizer, **options)  # type: ignore[arg-type]
        clf.fit(small_digits.X_train, small_digits.y_train)
        assert clf.score(small_digits.X_test, small_digits.y_test) > 0.9
        assert max(map(unitarity_error, clf.model_.network(clf.params_).unitaries)) < 1e-12


def test_bad_spsa() -> None:
    with pytest.raises(InvalidInputError, match="perturbation must be positive"):
        CalibratedSPSA(perturbation=0)
