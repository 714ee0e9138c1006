"""Amplitude MPS: brute force, both libraries, lengths, scales; and what sweeps may and may not do."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.base import clone

from qtnml import AmplitudeMPSClassifier, AmplitudeTreeClassifier, load_dataset
from qtnml.contract import AmplitudeModel, Parameters
from qtnml.encoding import AngleEncoding, Encoding, MultiQubitEncoding, state_vectors
from qtnml.errors import InvalidInputError, ModelFileError, TrainingInterruptedWarning
from qtnml.structure import balanced, chain, from_brackets
from qtnml.train import (
    CrossEntropy,
    SweepOptions,
    SweepTraining,
    TrainingSet,
    sweep,
    sweep_loop,
    train_by_sweeps,
)
from qtnml.train.objectives import ClassLoss
from qtnml.train.sweep_loop import ClassTask
from tests.references import PhaseEncoding

pytestmark = pytest.mark.portable


def random_parameters(model: AmplitudeModel, rng: np.random.Generator) -> Parameters:
    """Far from the identity."""
    start = model.start(rng)
    return Parameters(tuple(rng.normal(size=stack.shape) for stack in start.nodes), start.encoding)


def brute_force(model: AmplitudeModel, parameters: Parameters, x: np.ndarray) -> np.ndarray:
    """Class probabilities from one core after the other, from the leaves to the root."""
    tree = model.network.tree
    if model.encoding is None:
        vectors = [np.eye(dim)[int(level)] for dim, level in zip(model.network.leaf_dims, x, strict=True)]
    else:
        vectors = list(state_vectors(model.encoding, x, parameters.encoding))
    for core, wires in zip(model.network.cores(parameters.nodes), tree.nodes, strict=True):
        for wire in wires:
            core = np.tensordot(core, vectors[wire], (1, 0))
        vectors.append(core[:, 0] if core.shape[1] == 1 else core)
    f = vectors[-1][0]
    return np.abs(f) ** 2 / (np.abs(f) ** 2).sum()


TREES = {
    "chain": chain(6),
    "chain from its middle": chain(7, root=3),
    "balanced": balanced(8),
    "three at a node": balanced(9, arity=3),
    "uneven": from_brackets([[0, [3, 1]], 2, [4]]),
}


@pytest.mark.sampled
@pytest.mark.parametrize("bond_dim", [1, 5])
@pytest.mark.parametrize("num_features", [1, 2, 3, 16, 21, 45])
def test_equals_brute_force(num_features: int, bond_dim: int, rng: np.random.Generator) -> None:
    model = AmplitudeModel.mps(num_features, 3, bond_dim)
    parameters, X = random_parameters(model, rng), rng.random((4, num_features))
    expected = [brute_force(model, parameters, x) for x in X]
    np.testing.assert_allclose(model.predict(parameters, X)[0], expected, atol=1e-10)
    single = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), parameters)
    np.testing.assert_allclose(jax.jit(model.apply)(single, jnp.asarray(X)), expected, atol=2e-4)
    np.testing.assert_allclose(model.predict(model.project(parameters), X)[0], expected, atol=1e-10)


@pytest.mark.sampled
@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("of_levels", [False, True])
def test_any_tree_equals_brute_force(name: str, of_levels: bool, rng: np.random.Generator) -> None:
    tree = TREES[name]
    levels = tuple(int(k) for k in rng.integers(2, 5, tree.num_leaves)) if of_levels else None
    model = AmplitudeModel.on_tree(tree, 3, 4, levels=levels)
    # Bonds that differ, as sweeps leave them.
    model = model.with_bonds([*rng.integers(1, 5, tree.root).tolist(), 1])
    parameters, X = random_parameters(model, rng), rng.random((5, tree.num_leaves))
    if levels is not None:
        X = np.floor(X * np.array(levels))
    expected = [brute_force(model, parameters, x) for x in X]
    np.testing.assert_allclose(model.predict(parameters, X)[0], expected, atol=1e-10)
    single = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), parameters)
    np.testing.assert_allclose(jax.jit(model.apply)(single, jnp.asarray(X)), expected, atol=2e-4)


def test_many_samples_give_what_few_give(rng: np.random.Generator) -> None:
    """A compiled contraction with bonds filled up, and NumPy."""
    model = AmplitudeModel.mps(30, 3, 6).with_bonds([*rng.integers(1, 7, 29).tolist(), 1])
    parameters, X = random_parameters(model, rng), rng.random((4000, 30))
    many = model.predict(parameters, np.concatenate([X] * 4))[0]
    np.testing.assert_allclose(many[:50], model.predict(parameters, X[:50])[0], atol=1e-10)


def test_at_the_start_signals_reach_the_label() -> None:
    """Whatever the tree: the class probabilities of a fresh model depend on every feature about as much."""
    for tree in (chain(32, root=16), balanced(32)):
        model = AmplitudeModel.on_tree(tree, 2, 8)
        parameters, middle = model.start(np.random.default_rng(0)), np.full(32, 0.5)
        signals = jax.jit(jax.grad(lambda x, m=model, p=parameters: m.apply(p, x)[0]))
        gradient = np.abs(signals(jnp.asarray(middle)))
        assert gradient.min() > 1e-3 * gradient.max() > 0


@pytest.mark.slow
def test_hundreds_of_sites_neither_over_nor_underflow(rng: np.random.Generator) -> None:
    model = AmplitudeModel.mps(784, 10, 4)
    for factor in (1e-2, 1e2):
        start = model.start(rng)
        scaled = start._replace(nodes=tuple(factor * stack for stack in start.nodes))
        single = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), scaled)
        X = jnp.asarray(rng.random((5, 784)), jnp.float32)
        p = model.apply(single, X)
        gradient = jax.jit(jax.grad(lambda q: -jnp.sum(jnp.log(model.apply(q, X)[:, 0]))))(single)  # noqa: B023
        assert bool(jnp.isfinite(p).all())
        assert all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(gradient))
        np.testing.assert_allclose(p, model.predict(start, np.asarray(X))[0], atol=1e-3)


def test_gradient_equals_finite_differences(x64: None, rng: np.random.Generator) -> None:
    """The rescaling on the way is a constant for the derivative, and rightly so."""
    model = AmplitudeModel.mps(30, 3, 3)
    parameters = jax.tree.map(jnp.asarray, random_parameters(model, rng))
    X = jnp.asarray(rng.random((4, 30)))

    def loss(parameters: Parameters) -> jax.Array:
        return -jnp.mean(jnp.log(model.apply(parameters, X)[:, 1]))

    gradient = jax.jit(jax.grad(loss))(parameters)
    direction = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape)), parameters)
    ahead, behind = (
        loss(jax.tree.map(lambda a, d: a + sign * 1e-6 * d, parameters, direction))  # noqa: B023
        for sign in (1, -1)
    )
    along = sum(jnp.vdot(g, d) for g, d in zip(*map(jax.tree.leaves, (gradient, direction)), strict=True))
    assert float(along) == pytest.approx(float((ahead - behind) / 2e-6), rel=1e-5)


def test_parameters_are_counted() -> None:
    assert AmplitudeModel.mps(3, 2, 4).num_parameters == 2 * 4 + 2 * 4 * 2 * 4 + 2 * 4
    assert AmplitudeModel.mps(1, 2, 4).num_parameters == 2 * 2
    assert (
        AmplitudeModel.mps(5, 10, 3, AngleEncoding(trainable=True)).num_parameters == 2 * (6 + 18) + 180 + 5
    )


def direct_loss(model: AmplitudeModel, parameters: Parameters, data: TrainingSet) -> float:
    p = model.predict(parameters, data.X)[0]
    losses = np.asarray(CrossEntropy()(jnp.asarray(p.T), jnp.asarray(data.y)))
    return float(np.average(losses, weights=data.weights))


@pytest.mark.sampled
@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("of_levels", [False, True])
@pytest.mark.parametrize("metric", ["data", "cores"])
def test_sweeps_lower_the_loss_they_report(
    name: str, of_levels: bool, metric: str, rng: np.random.Generator
) -> None:
    """Against the loss of the model that comes out, on any tree, of encoded numbers and of levels."""
    tree = TREES[name]
    levels = (3,) * tree.num_leaves if of_levels else None
    model = AmplitudeModel.on_tree(tree, 3, 2, levels=levels)
    X = rng.random((60, tree.num_leaves))
    X = np.floor(3 * X) if of_levels else X
    data = TrainingSet(X, rng.integers(0, 3, 60), rng.random(60))
    task = ClassTask(model, (), data, None, CrossEntropy(), np.dtype(np.float64))
    parameters = model.start(rng)
    first = direct_loss(model, parameters, data)
    how = SweepTraining(
        epochs=6,
        max_bond=4,
        learning_rate=0.3,
        steps=2,
        one_site_share=0.34,
        precision="double",
        metric=metric,  # type: ignore[arg-type]
    )
    found, result = train_by_sweeps(model, parameters, data, how, CrossEntropy(), rng)
    losses = [record.loss for record in result.history]
    assert min(losses) == pytest.approx(direct_loss(found, result.parameters, data), abs=1e-5)
    assert losses[-1] < first - 0.05
    assert max(found.network.bond_dims) <= 4
    batch, objective = task.batch(1000, rng)
    assert isinstance(objective, ClassLoss)
    swept = sweep(
        found.network.cores(result.parameters.nodes), batch, objective, SweepOptions(precision="double")
    )
    again, parameters = task.model_of(swept.cores)
    loss, accuracy = task.measured(swept, objective)
    assert loss == pytest.approx(direct_loss(again, parameters, data), abs=1e-5)
    p = again.predict(parameters, X)[0]
    assert accuracy == pytest.approx(np.average(p.argmax(axis=1) == data.y, weights=data.weights))


def test_sweeps_learn_and_adapt_the_bonds(rng: np.random.Generator) -> None:
    """Class = whether two distant pixels agree: the bonds between them open, those outside do not."""
    X = rng.integers(0, 2, (600, 8)).astype(float)
    y = (X[:, 2] == X[:, 5]).astype(int)
    clf = AmplitudeMPSClassifier(6, method="sweeps", cutoff=1e-3, epochs=3, random_state=0).fit(X, y)
    assert clf.score(X, y) == 1.0
    assert clf.history_[-1].accuracy == pytest.approx(1.0)  # a mean in single precision
    assert min(clf.bond_dims_[2:5]) >= 2
    assert max(clf.bond_dims_) <= 6


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


@pytest.mark.parametrize("kind", [AmplitudeMPSClassifier, AmplitudeTreeClassifier])
def test_one_feature_can_be_swept(kind: type, rng: np.random.Generator) -> None:
    X = np.linspace(0, 1, 80)[:, None]
    clf = kind(2, method="sweeps", random_state=0, feature_range=(0, 1)).fit(X, X[:, 0] > 0.4)
    assert clf.score(X, X[:, 0] > 0.4) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("num_features", [1, 2, 8])
@pytest.mark.parametrize(
    "encoding", [AngleEncoding(trainable=True), MultiQubitEncoding(2), PhaseEncoding()], ids=repr
)
def test_encodings_have_derivatives(
    num_features: int, encoding: Encoding, x64: None, rng: np.random.Generator
) -> None:
    """By cores, trained scales and samples, forward and backward, against brute force."""
    model = AmplitudeModel.mps(num_features, 3, 3, encoding)
    parameters, x = random_parameters(model, rng), 0.2 + 0.6 * rng.random(num_features)
    direction = jax.tree.map(lambda a: rng.normal(size=a.shape), (parameters, x))
    values = [
        brute_force(model, *jax.tree.map(lambda a, d: a + shift * d, (parameters, x), direction))  # noqa: B023
        for shift in (-1e-6, 0.0, 1e-6)
    ]
    given = jax.tree.map(jnp.asarray, (parameters, x))
    value, along = jax.jit(partial(jax.jvp, model.apply))(given, jax.tree.map(jnp.asarray, direction))
    np.testing.assert_allclose(value, values[1], atol=1e-12)
    np.testing.assert_allclose(along, (values[2] - values[0]) / 2e-6, atol=1e-6, rtol=1e-5)
    gradient = jax.jit(jax.grad(lambda pair: model.apply(*pair)[1]))(given)
    product = sum(
        jnp.vdot(g, d) for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True)
    )
    assert float(product) == pytest.approx(float(along[1]), abs=1e-10)


@pytest.mark.parametrize("method", ["gradient", pytest.param("sweeps", marks=pytest.mark.slow)])
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
    assert 3 < clf.model_.bond_dim <= 5
    with pytest.raises(InvalidInputError, match="warm_start goes on with the cores .*bond dimension 5"):
        clf.set_params(max_bond=3).fit(X, y)
    with pytest.raises(InvalidInputError, match="warm_start goes on with the cores"):
        clf.set_params(max_bond=5, method="gradient").fit(X[:, :4], y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_bond": 0}, "max_bond must be an integer of at least 1, got 0"),
        ({"method": "annealing"}, "method must be one of .*, got 'annealing'"),
        ({"cutoff": -1.0}, "cutoff must be a positive number, got -1.0"),
        ({"cutoff": 1.0}, "cutoff must be below 1 .*, got 1.0"),
        (
            {"method": "sweeps", "devices": 2},
            "devices=2 has no effect on method=.sweeps.; leave it at None, or set",
        ),
        (
            {"method": "sweeps", "optimizer": "spsa"},
            "optimizer='spsa' has no effect on .*; leave it at 'adam'",
        ),
        ({"metric": "cores"}, "metric='cores' has no effect on method='gradient'; leave it at 'data'"),
        (
            {"method": "sweeps", "learning_rate": 2.0},
            "learning_rate is the angle of a sweep's steps, at most",
        ),
        ({"learning_rate": 0}, "learning_rate must be a positive number, got 0"),
    ],
)
def test_bad_settings(options: dict[str, object], message: str, rng: np.random.Generator) -> None:
    with pytest.raises(InvalidInputError, match=message):
        AmplitudeMPSClassifier(**options).fit(rng.random((4, 2)), [0, 1, 0, 1])  # type: ignore[arg-type]


def test_bad_models() -> None:
    with pytest.raises(InvalidInputError, match="at least two classes, got 1"):
        AmplitudeModel.mps(4, 1, 3)
    with pytest.raises(InvalidInputError, match="a bond dimension is at least 1, got 0"):
        AmplitudeModel.mps(4, 2, 0)
    model = AmplitudeModel.mps(4, 2, 3)
    with pytest.raises(InvalidInputError, match="samples with 4 features"):
        model.apply(model.start(np.random.default_rng(0)), np.zeros(3))
    assert AmplitudeModel.mps(4, 2, 3, MultiQubitEncoding(2)).network.tree.num_leaves == 8


@pytest.mark.slow
def test_trees_of_ones_own(rng: np.random.Generator) -> None:
    X, tree = rng.random((200, 4)), from_brackets([[0, 3], [1, 2]])
    y = ((X[:, 0] > 0.5) == (X[:, 3] > 0.5)).astype(int)
    clf = AmplitudeTreeClassifier(4, topology=tree, random_state=0).fit(X, y)
    assert clf.score(X, y) > 0.9
    assert clf.model_.network.tree == tree
    learnt = AmplitudeTreeClassifier(4, topology="chow-liu", epochs=2, random_state=0).fit(X, y)
    assert learnt.model_.network.tree.num_leaves == 4
    with pytest.raises(InvalidInputError, match="the topology has 4 leaves, the data 3 data qubits"):
        clf.fit(X[:, :3], y)
