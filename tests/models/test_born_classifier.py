"""Joint distribution of records and classes: Bayes by brute force, draws by class, mixed loss, files."""

import itertools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from qtnml import BornClassifier, MPSBornMachine, TableEncoder, TreeBornMachine, load_model
from qtnml.born import TreeState
from qtnml.contract import Parameters
from qtnml.errors import InvalidInputError, ModelFileError, ZeroProbabilityWarning
from qtnml.models.born_training import Labels
from qtnml.storage import load_archive, save_archive
from qtnml.structure import Sites, balanced, chain
from qtnml.train.born_model import JointLoss, LabelledBornModel
from tests.born.trees import dense, p_value

pytestmark = pytest.mark.portable


@pytest.fixture(scope="module")
def records() -> tuple[np.ndarray, np.ndarray]:
    """Five bits that depend on one of three classes."""
    rng = np.random.default_rng(0)
    y = rng.choice(["a", "b", "c"], 300, p=[0.5, 0.3, 0.2])
    X = rng.integers(0, 2, (300, 5))
    X[:, 0] = y == "a"
    X[:, 3] = X[:, 1] ^ (y == "b")
    return X, y


MODELS = {
    "chain": MPSBornMachine(6, epochs=30),
    "tree": TreeBornMachine(6, epochs=30),
    "gradient": TreeBornMachine(6, method="gradient", epochs=60),
}


def joint_distribution(clf: BornClassifier) -> np.ndarray:
    """P over all strings of columns and classes, from the whole tensor."""
    return np.abs(dense(clf.state_)) ** 2


@pytest.mark.sampled
@pytest.mark.parametrize("name", MODELS)
def test_probabilities_are_those_of_bayes(name: str, records: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = records
    clf = BornClassifier(MODELS[name], random_state=0).fit(X, y)
    assert clf.score(X, y) > 0.85
    assert clf.n_iter_ == len(clf.history_)
    assert clf.history_[clf.best_epoch_].score < clf.independent_nll_
    assert clf.stopped_ in ("early", "finished")
    distribution = joint_distribution(clf)
    assert distribution.shape == (2,) * 5 + (3,)
    assert distribution.sum() == pytest.approx(1)
    strings = np.array(list(itertools.product((0, 1), repeat=5)))
    of_all = distribution.reshape(32, 3)
    np.testing.assert_allclose(np.exp(clf.log_likelihood(strings)), of_all.sum(axis=1), atol=1e-10)
    labels = np.repeat(clf.classes_[1], 32)
    np.testing.assert_allclose(np.exp(clf.log_likelihood(strings, labels)), of_all[:, 1], atol=1e-10)
    possible = of_all.sum(axis=1) > 1e-12
    bayes = of_all[possible] / of_all[possible].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(clf.predict_proba(strings[possible]), bayes, atol=1e-8)
    # Missing values are summed over.
    some = distribution.sum(axis=(1, 2, 4))[1, 0]
    found = clf.predict_proba([[1, np.nan, np.nan, 0, np.nan]])[0]
    np.testing.assert_allclose(found, some / some.sum(), atol=1e-8)
    np.testing.assert_array_equal(clf.predict(X), clf.classes_[clf.predict_proba(X).argmax(axis=1)])


def test_draws_follow_the_distribution_and_the_class(records: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = records
    clf = BornClassifier(TreeBornMachine(4, epochs=10), random_state=0).fit(X, y)
    distribution = joint_distribution(clf)
    drawn, labels = clf.sample(4000, random_state=1)
    joint = np.concatenate([drawn, np.searchsorted(clf.classes_, labels)[:, None]], axis=1)
    assert p_value(joint, distribution) > 1e-3
    of_class, same = clf.sample(4000, label="b", random_state=2)
    assert set(same) == {"b"}
    assert p_value(of_class, distribution[..., 1] / distribution[..., 1].sum()) > 1e-3
    np.testing.assert_array_equal(clf.sample(5, random_state=3)[0], clf.sample(5, random_state=3)[0])


def test_the_circuit_draws_records_and_classes(records: tuple[np.ndarray, np.ndarray]) -> None:
    clf = BornClassifier(MPSBornMachine(2, epochs=5), random_state=0).fit(*records)
    compiled = clf.compile()
    assert compiled.site_dims == (2, 2, 2, 2, 2, 3)
    assert compiled.infidelity < 1e-9


@pytest.mark.sampled
@pytest.mark.parametrize("tree", [chain(5), balanced(6), balanced(7, arity=3)], ids=repr)
@pytest.mark.parametrize("is_complex", [False, True])
def test_the_mixed_loss_is_its_formula(
    tree: Any, is_complex: bool, x64: None, rng: np.random.Generator
) -> None:
    """Joint log-likelihoods of a labelled network against the whole tensor, and there and back."""
    sites = Labels(3).beside(Sites((2,) * tree.num_leaves, tree))
    assert sites.dims[-1] == 3
    state = TreeState.random(sites, 4, rng, is_complex=is_complex)
    model, parameters = LabelledBornModel.of(state)
    X, y = rng.integers(0, 2, (20, tree.num_leaves)), rng.integers(0, 3, 20)
    logs = model.outcomes(jax.tree.map(jnp.asarray, parameters), jnp.asarray(X))[0]
    distribution = np.abs(dense(state)) ** 2
    rows = distribution[tuple(X.T)]
    np.testing.assert_allclose(np.exp(logs.T), rows, atol=1e-9)
    own = np.log(rows[np.arange(20), y])
    for share in (0.0, 0.3, 1.0):
        expected = (1 - share) * -own + share * (np.log(rows.sum(axis=1)) - own)
        np.testing.assert_allclose(JointLoss(share)(logs, jnp.asarray(y)), expected, rtol=1e-5)
    again = model.state(model.project(Parameters(parameters.nodes)))
    np.testing.assert_allclose(np.abs(dense(again)) ** 2, distribution, atol=1e-12)


@pytest.mark.slow
def test_cross_entropy_makes_a_better_classifier_and_a_worse_distribution() -> None:
    """Many bits that tell nothing drown the class in a likelihood."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    X = rng.integers(0, 2, (400, 12))
    X[:, 7] = X[:, 1] ^ y
    found = {}
    for share in (0.0, 0.9):
        model = TreeBornMachine(3, topology="balanced", method="gradient", epochs=40)
        clf = BornClassifier(model, discriminative=share, random_state=1).fit(X[:300], y[:300])
        found[share] = clf.score(X[300:], y[300:]), clf.log_likelihood(X[300:], y[300:]).mean()
        if share:
            assert clf.history_[-1].accuracy is not None
    assert found[0.9][0] >= found[0.0][0]
    assert found[0.9][0] > 0.9


def test_tables_files_and_what_does_not_fit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    city = rng.choice(["Oslo", "Rome", "Bern"], 200)
    X = pd.DataFrame({"city": city, "size": rng.normal(size=200) + 3 * (city == "Rome")})
    y = np.array(["north" if name == "Oslo" else "south" for name in city], dtype=object)
    clf = BornClassifier(MPSBornMachine(4, encoder=TableEncoder(4), epochs=20), random_state=0).fit(X, y)
    assert clf.score(X, y) > 0.95
    drawn, labels = clf.sample(6, label="south", random_state=0)
    assert list(drawn.columns) == ["city", "size"]
    assert labels.tolist() == ["south"] * 6
    path = tmp_path / "c.qtnml"
    clf.save(path)
    again = load_model(path)
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    assert again.get_params()["model__max_bond"] == 4
    assert again.predict(X).tolist() == clf.predict(X).tolist()
    header, arrays = load_archive(path)
    save_archive(path, header | {"learnt": {"classes_": ["north", "south", "east"]}}, dict(arrays))
    with pytest.raises(ModelFileError, match="its classes do not fit its distribution"):
        load_model(path)


def test_impossible_records_get_the_frequencies_of_the_classes() -> None:
    X, y = np.repeat([[0, 0], [1, 1]], 15, axis=0), np.repeat([0, 1], 15)
    clf = BornClassifier(MPSBornMachine(2), random_state=0).fit(X, y)
    clf.model_.state_ = TreeState(
        clf.state_.sites, tuple(np.where(np.abs(core) < 1e-6, 0, core) for core in clf.state_.cores)
    )
    with np.errstate(divide="ignore"):
        joint = clf._joint(np.array([[0, 1]]))
    if np.isneginf(joint).all():
        with pytest.warns(ZeroProbabilityWarning, match="1 of 1 samples have probability zero"):
            np.testing.assert_allclose(clf.predict_proba([[0, 1]]), [[0.5, 0.5]], atol=0.05)


@pytest.mark.parametrize(
    ("clf", "message"),
    [
        (BornClassifier(discriminative=1.5), "discriminative must be from 0 to 1, got 1.5"),
        (BornClassifier(discriminative=0.5), "has no effect on method='sweeps'"),
        (BornClassifier("mps"), "model must be a Born machine or None, got 'mps'"),  # type: ignore[arg-type]
        (BornClassifier(MPSBornMachine(0)), "max_bond must be an integer of at least 1"),
    ],
    ids=repr,
)
def test_bad_settings(clf: BornClassifier, message: str, records: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(InvalidInputError, match=message):
        clf.fit(*records)


def test_bad_data(records: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = records
    with pytest.raises(InvalidInputError, match="got only one class: .'a'."):
        BornClassifier().fit(X[y == "a"], y[y == "a"])
    with pytest.raises(InvalidInputError, match="inconsistent numbers: 300, 299"):
        BornClassifier().fit(X, y[:-1])
    clf = BornClassifier(MPSBornMachine(2, epochs=2), random_state=0).fit(X, y)
    with pytest.raises(InvalidInputError, match="none of the model's classes"):
        clf.sample(3, label="z")
    with pytest.raises(InvalidInputError, match="n_samples must be an integer of at least 0, got -1"):
        clf.sample(-1)
    with pytest.raises(InvalidInputError, match="2 samples but 3 labels"):
        clf.log_likelihood(X[:2], y[:3])


def test_a_class_of_one_record_is_learnt(records: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = records
    y = y.astype(object)
    y[17] = "rare"
    for seed in range(4):
        clf = BornClassifier(MPSBornMachine(2, epochs=1, validation_fraction=0.5), random_state=seed).fit(
            X, y
        )
        assert clf.classes_.tolist() == ["a", "b", "c", "rare"]
        assert clf.predict_proba(X[:2]).shape == (2, 4)
