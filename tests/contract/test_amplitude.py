"""Amplitude MPS: brute force, both libraries, lengths, scales; and what sweeps may and may not do."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.base import clone

from qtnml import AmplitudeMPSClassifier, load_dataset
from qtnml.contract import AmplitudeModel, Parameters
from qtnml.encoding import AngleEncoding, Encoding, MultiQubitEncoding, state_vectors
from qtnml.errors import InvalidInputError, ModelFileError, TrainingInterruptedWarning
from qtnml.train import SweepOptions, TrainingSet, sweep, sweep_loop
from qtnml.train.sweeps import _Chain
from tests.references import PhaseEncoding

pytestmark = pytest.mark.portable


def random_parameters(model: AmplitudeModel, rng: np.random.Generator) -> Parameters:
    """Far from the identity."""
    start = model.start(rng)
    return Parameters(tuple(rng.normal(size=stack.shape) for stack in start.nodes), start.encoding)


def brute_force(model: AmplitudeModel, parameters: Parameters, x: np.ndarray) -> np.ndarray:
    """Class probabilities from the whole tensor, one site after the other."""
    left, right, centre = parameters.nodes
    vectors = state_vectors(model.encoding, x, parameters.encoding)
    cores = [*left, centre, *(core.transpose(2, 1, 0) for core in right[::-1])]
    row = np.eye(model.bond_dim)[0][None]  # (label so far, bond)
    for core, vector in zip(cores, vectors, strict=True):
        if core.ndim == 4:
            row = np.einsum("b,bscd,s->cd", row[0], core, vector)
        else:
            row = np.einsum("cb,bsd,s->cd", row, core, vector)
    f = row[:, 0]
    return np.abs(f) ** 2 / (np.abs(f) ** 2).sum()


@pytest.mark.parametrize("bond_dim", [1, 5])
@pytest.mark.parametrize("num_features", [1, 2, 3, 16, 21, 45])
def test_equals_brute_force(num_features: int, bond_dim: int, rng: np.random.Generator) -> None:
    model = AmplitudeModel(num_features, 3, bond_dim)
    parameters, X = random_parameters(model, rng), rng.random((4, num_features))
    expected = [brute_force(model, parameters, x) for x in X]
    np.testing.assert_allclose(model.predict(parameters, X)[0], expected, atol=1e-10)
    single = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), parameters)
    np.testing.assert_allclose(jax.jit(model.apply)(single, jnp.asarray(X)), expected, atol=2e-4)
    np.testing.assert_allclose(model.predict(model.project(parameters), X)[0], expected, atol=1e-10)


def test_hundreds_of_sites_neither_over_nor_underflow(rng: np.random.Generator) -> None:
    model = AmplitudeModel(784, 10, 4)
    for factor in (1e-2, 1e2):
        start = model.start(rng)
        scaled = start._replace(nodes=tuple(factor * stack for stack in start.nodes))
        single = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), scaled)
        X = jnp.asarray(rng.random((5, 784)), jnp.float32)
        p = model.apply(single, X)
        gradient = jax.grad(lambda q: -jnp.sum(jnp.log(model.apply(q, X)[:, 0])))(single)  # noqa: B023
        assert bool(jnp.isfinite(p).all())
        assert all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(gradient))
        np.testing.assert_allclose(p, model.predict(start, np.asarray(X))[0], atol=1e-3)


def test_gradient_equals_finite_differences(x64: None, rng: np.random.Generator) -> None:
    """The rescaling on the way is a constant for the derivative, and rightly so."""
    model = AmplitudeModel(30, 3, 3)
    parameters = jax.tree.map(jnp.asarray, random_parameters(model, rng))
    X = jnp.asarray(rng.random((4, 30)))

    def loss(parameters: Parameters) -> jax.Array:
        return -jnp.mean(jnp.log(model.apply(parameters, X)[:, 1]))

    gradient = jax.grad(loss)(parameters)
    direction = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape)), parameters)
    ahead, behind = (
        loss(jax.tree.map(lambda a, d: a + sign * 1e-6 * d, parameters, direction))  # noqa: B023
        for sign in (1, -1)
    )
    along = sum(jnp.vdot(g, d) for g, d in zip(*map(jax.tree.leaves, (gradient, direction)), strict=True))
    assert float(along) == pytest.approx(float((ahead - behind) / 2e-6), rel=1e-5)


def test_parameters_are_counted() -> None:
    assert AmplitudeModel(3, 2, 4).num_parameters == 2 * 4 + 2 * 4 * 2 * 4 + 2 * 4
    assert AmplitudeModel(1, 2, 4).num_parameters == 2 * 2
    assert AmplitudeModel(5, 10, 3, AngleEncoding(trainable=True)).num_parameters == 2 * (6 + 18) + 180 + 5


@pytest.mark.parametrize("num_features", [2, 3, 8, 9])
def test_orthonormal_form_has_the_same_probabilities(num_features: int, rng: np.random.Generator) -> None:
    model = AmplitudeModel(num_features, 3, 4)
    parameters, X = random_parameters(model, rng), rng.random((5, num_features))
    chain = _Chain.from_parameters(model, parameters, 6)
    for k, core in enumerate(chain.cores):
        if k == chain.site:
            continue
        matrix = core.reshape(12, 6) if k < chain.site else core.transpose(2, 1, 0).reshape(12, 6)
        overlaps = matrix.T @ matrix
        np.testing.assert_allclose(overlaps, np.diag(np.diag(overlaps)), atol=1e-12)
        assert set(np.diag(overlaps).round(12)) <= {0.0, 1.0}
    grown = AmplitudeModel(num_features, 3, 6)
    found = grown.predict(chain.to_parameters(()), X)[0]
    np.testing.assert_allclose(found, model.predict(parameters, X)[0], atol=1e-10)


def test_sweeps_learn_and_adapt_the_bonds(rng: np.random.Generator) -> None:
    """Class = whether two distant pixels agree: the bonds between them open, those outside do not."""
    X = rng.integers(0, 2, (600, 8)).astype(float)
    y = (X[:, 2] == X[:, 5]).astype(int)
    model, options = AmplitudeModel(8, 2, 2), SweepOptions(max_bond=6, batch_size=600, cutoff=1e-3)
    parameters = model.start(rng)
    data = TrainingSet(X, y, np.ones(600))
    for _ in range(3):
        parameters, record = sweep(model, parameters, data, options, rng)
        model = AmplitudeModel(8, 2, 6)
    predicted = model.predict(parameters, X)[0].argmax(axis=1)
    assert (predicted == y).mean() == record.accuracy == 1.0
    p = model.predict(parameters, X)[0]
    assert record.loss == pytest.approx(float(np.mean(options.loss(jnp.asarray(p.T), y))), rel=1e-3)
    assert min(record.bond_dims[2:5]) >= 2
    assert max(record.bond_dims) <= 6


def test_sweeps_resume_bit_for_bit(
    tmp_path: Path, interruptible: None, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """Ctrl-C in the third sweep keeps two; their checkpoint makes the run what it would have been."""
    X = rng.random((300, 6))
    y = (X[:, 0] > X[:, 5]).astype(int)
    clf = AmplitudeMPSClassifier(
        3, method="sweeps", epochs=4, batch_size=10, random_state=0, checkpoint=tmp_path / "c", resume=True
    )
    whole = clone(clf).set_params(checkpoint=tmp_path / "whole").fit(X, y)
    real, calls = sweep_loop.sweep, []

    def interrupted(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(sweep_loop, "sweep", interrupted)
    with pytest.warns(TrainingInterruptedWarning, match="was interrupted after 2 of 4 epochs"):
        clf.fit(X, y)
    assert [record[:5] for record in clf.history_] == [record[:5] for record in whole.history_[:2]]
    monkeypatch.undo()
    clf.fit(X, y)
    for mine, theirs in zip(clf.params_.nodes, whole.params_.nodes, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(ModelFileError, match="belongs to a run with other data, model or settings"):
        clf.set_params(cutoff=0.1).fit(X, y)


def test_one_site_cannot_sweep(rng: np.random.Generator) -> None:
    with pytest.raises(InvalidInputError, match="sweeps join two sites, got n_features = 1"):
        AmplitudeMPSClassifier(2, method="sweeps").fit(rng.random((6, 1)), [0, 1] * 3)


@pytest.mark.parametrize("num_features", [1, 2, 3, 8])
@pytest.mark.parametrize(
    "encoding", [AngleEncoding(trainable=True), MultiQubitEncoding(2), PhaseEncoding()], ids=repr
)
def test_encodings_have_derivatives(
    num_features: int, encoding: Encoding, x64: None, rng: np.random.Generator
) -> None:
    """By cores, trained scales and samples, forward and backward, against brute force."""
    model = AmplitudeModel(num_features, 3, 3, encoding)
    parameters, x = random_parameters(model, rng), 0.2 + 0.6 * rng.random(num_features)
    direction = jax.tree.map(lambda a: rng.normal(size=a.shape), (parameters, x))
    values = [
        brute_force(model, *jax.tree.map(lambda a, d: a + shift * d, (parameters, x), direction))  # noqa: B023
        for shift in (-1e-6, 0.0, 1e-6)
    ]
    given = jax.tree.map(jnp.asarray, (parameters, x))
    value, along = jax.jvp(model.apply, given, jax.tree.map(jnp.asarray, direction))
    np.testing.assert_allclose(value, values[1], atol=1e-12)
    np.testing.assert_allclose(along, (values[2] - values[0]) / 2e-6, atol=1e-6, rtol=1e-5)
    gradient = jax.grad(lambda pair: model.apply(*pair)[1])(given)
    product = sum(
        jnp.vdot(g, d) for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True)
    )
    assert float(product) == pytest.approx(float(along[1]), abs=1e-10)


@pytest.mark.parametrize("method", ["gradient", "sweeps"])
def test_tells_ten_digits_apart(method: str) -> None:
    data = load_dataset("digits", order="snake")
    clf = AmplitudeMPSClassifier(12, method=method, feature_range=(0, 1), random_state=0)
    clf.set_params(epochs=60 if method == "gradient" else 5)
    clf.fit(data.X_train, data.y_train)
    assert clf.score(data.X_test, data.y_test) > (0.95 if method == "gradient" else 0.85)
    assert max(clf.bond_dims_) <= 12
    assert len(clf.bond_dims_) == 63
    assert clf.stopped_ == "finished"


def test_bonds_may_grow_between_fits(rng: np.random.Generator) -> None:
    X = rng.random((200, 6))
    y = (X[:, 0] > X[:, 5]).astype(int)
    clf = AmplitudeMPSClassifier(3, method="sweeps", epochs=2, warm_start=True, random_state=0).fit(X, y)
    clf.set_params(max_bond=5).fit(X, y)
    assert clf.model_.bond_dim == 5
    with pytest.raises(InvalidInputError, match="warm_start goes on with the cores .*bond dimension 5"):
        clf.set_params(max_bond=3).fit(X, y)
    with pytest.raises(InvalidInputError, match="warm_start goes on with the cores"):
        clf.set_params(max_bond=5, method="gradient").fit(X[:, :4], y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_bond": 0}, "max_bond must be an integer of at least 1, got 0"),
        ({"method": "annealing"}, "method must be 'gradient' or 'sweeps', got 'annealing'"),
        ({"cutoff": -1.0}, "cutoff must be a positive number, got -1.0"),
        ({"cutoff": 1.0}, "cutoff must be below 1 .*, got 1.0"),
        ({"method": "sweeps", "devices": 2}, "devices=2 has no effect; leave it at None, or set method="),
        ({"method": "sweeps", "optimizer": "spsa"}, "optimizer='spsa' has no effect; leave it at 'adam'"),
        ({"learning_rate": 0}, "learning_rate must be a positive number, got 0"),
    ],
)
def test_bad_settings(options: dict[str, object], message: str, rng: np.random.Generator) -> None:
    with pytest.raises(InvalidInputError, match=message):
        AmplitudeMPSClassifier(**options).fit(rng.random((4, 2)), [0, 1, 0, 1])  # type: ignore[arg-type]


def test_bad_models() -> None:
    with pytest.raises(InvalidInputError, match="two classes and a bond dimension of 1, got 4, 1 and 3"):
        AmplitudeModel(4, 1, 3)
    with pytest.raises(InvalidInputError, match="samples with 4 features"):
        AmplitudeModel(4, 2, 3).apply(AmplitudeModel(4, 2, 3).start(np.random.default_rng(0)), np.zeros(3))
    assert AmplitudeModel(4, 2, 3, MultiQubitEncoding(2)).num_sites == 8
