"""Amplitude classifiers as circuits, augmentation, dropout."""

from pathlib import Path

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris

from qtnml import (
    AmplitudeMPSClassifier,
    AmplitudeTreeClassifier,
    TableEncoder,
    TreeClassifier,
    TreeForestClassifier,
    TreeRegressor,
    load_model,
)
from qtnml.data import PictureAugmentation, pixel_order
from qtnml.errors import InvalidInputError, LongChainWarning
from qtnml.structure import chain

pytestmark = pytest.mark.filterwarnings("ignore::qtnml.errors.ClippedDataWarning")


@pytest.fixture(scope="module")
def iris() -> tuple[np.ndarray, np.ndarray]:
    return load_iris(return_X_y=True)  # type: ignore[no-any-return]


@pytest.mark.sampled
@pytest.mark.parametrize("cls", [AmplitudeMPSClassifier, AmplitudeTreeClassifier])
@pytest.mark.parametrize("encoding", ["angle", "trainable-angle", "rational"])
def test_its_circuit_says_exactly_what_the_classifier_says(
    cls: type, encoding: str, iris: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, y = iris
    model = cls(max_bond=6, encoding=encoding, epochs=5, random_state=0).fit(X, y)
    network = model.to_network()
    np.testing.assert_allclose(network.predict_proba(X), model.predict_proba(X), atol=1e-12)
    success = network.success_probability(X)
    assert success.min() > 0
    assert success.max() <= 1
    compiled = model.compile()
    found = compiled.probabilities(X[:4])[:, :3]
    found /= found.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, model.predict_proba(X[:4]), atol=1e-10)
    assert compiled.verify(X[:2]) < 1e-10  # Qiskit's own simulation
    network.save(tmp_path / "network.npz")
    again = load_model(tmp_path / "network.npz")
    np.testing.assert_allclose(again.predict_proba(X), model.predict_proba(X), atol=1e-12)


def test_the_circuit_of_swept_bonds(iris: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = iris
    model = AmplitudeMPSClassifier(max_bond=5, method="sweeps", random_state=0).fit(X, y)
    np.testing.assert_allclose(model.to_network().predict_proba(X), model.predict_proba(X), atol=1e-9)


def test_shots_of_its_circuit(iris: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = iris
    model = AmplitudeTreeClassifier(max_bond=4, epochs=60, random_state=0).fit(X, y)
    measured = model.to_backend("exact", shots=20_000, jobs=False).predict_proba(X[::10])
    success = model.to_network().success_probability(X[::10])
    spread = 5 / np.sqrt(20_000 * success)[:, None]
    assert (np.abs(measured - model.predict_proba(X[::10])) < spread).all()


@pytest.mark.slow
def test_what_is_no_circuit_is_refused(iris: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = iris
    levels = AmplitudeMPSClassifier(4, encoder=TableEncoder(bins=4), epochs=2, random_state=0).fit(X, y)
    with pytest.raises(InvalidInputError, match="levels"):
        levels.to_network()
    with pytest.raises(InvalidInputError, match="to_network"):
        levels.predict_proba(X, noise="fake:torino")
    digits = load_digits()
    wide = AmplitudeTreeClassifier(100, epochs=1, random_state=0).fit(digits.data[:300], digits.target[:300])
    with pytest.raises(InvalidInputError, match="max_bond"):
        wide.compile()


@pytest.fixture(scope="module")
def moved_digits() -> tuple[np.ndarray, ...]:
    """Training digits as they are, and test digits moved by up to a pixel."""
    X, y = load_digits(return_X_y=True)
    move = PictureAugmentation((8, 8), shift=1.0)
    return X[:1200], y[:1200], move(X[1200:], np.random.default_rng(7)), y[1200:]


@pytest.mark.slow
def test_augmented_samples_teach_what_moved_pictures_are(moved_digits: tuple[np.ndarray, ...]) -> None:
    X, y, moved, truth = moved_digits
    settings = {"max_bond": 8, "epochs": 40, "feature_range": (0, 16), "random_state": 0}
    plain = AmplitudeMPSClassifier(**settings).fit(X, y)
    augment = PictureAugmentation((8, 8), shift=1.0)
    taught = AmplitudeMPSClassifier(**settings, augment=augment).fit(X, y)
    assert taught.score(moved, truth) > plain.score(moved, truth) + 0.03


def test_a_killed_augmented_run_goes_on_bit_for_bit(
    moved_digits: tuple[np.ndarray, ...], tmp_path: Path
) -> None:
    X, y = moved_digits[0][:300], moved_digits[1][:300]
    augment = PictureAugmentation((8, 8), shift=1.0)
    settings = {"max_bond": 4, "epochs": 6, "augment": augment, "dropout": 0.2, "random_state": 0}
    whole = AmplitudeMPSClassifier(**settings).fit(X, y)
    path = tmp_path / "run"
    stop = AmplitudeMPSClassifier(**settings, checkpoint=path, callback=lambda record: record.epoch == 3)
    stop.fit(X, y)
    resumed = AmplitudeMPSClassifier(**settings, checkpoint=path, resume=True).fit(X, y)
    assert np.array_equal(resumed.predict_proba(X), whole.predict_proba(X))
    whole.save(tmp_path / "model.npz")
    assert load_model(tmp_path / "model.npz").get_params()["augment"] is None


def test_networks_take_augmented_samples_too(moved_digits: tuple[np.ndarray, ...]) -> None:
    X, y, moved, truth = moved_digits
    chosen, tested = y < 2, truth < 2
    calls = []

    def augment(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        calls.append(len(samples))
        return PictureAugmentation((8, 8))(samples, rng)

    model = TreeClassifier(
        1, epochs=10, batch_size=20, augment=augment, feature_range=(0, 16), random_state=0
    )
    model.fit(X[chosen], y[chosen])
    assert len(calls) == 10
    assert len(set(calls)) == 1
    assert model.score(moved[tested], truth[tested]) > 0.8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"augment": 3}, "callable"),
        ({"augment": lambda X, _: X[:5]}, "shape"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": 0.1, "method": "sweeps"}, "no effect"),
        ({"augment": lambda X, _: X, "encoder": TableEncoder()}, "encoder"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    settings: dict[str, object], message: str, iris: tuple[np.ndarray, np.ndarray]
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        AmplitudeMPSClassifier(4, **settings).fit(*iris)  # type: ignore[arg-type]


@pytest.mark.slow
def test_dropout_is_right_on_average_and_spares_the_first_entry(iris: tuple[np.ndarray, np.ndarray]) -> None:
    model = AmplitudeMPSClassifier(6, epochs=1, random_state=0).fit(*iris)
    parameters = model.params_
    drawn = [model.model_.dropped(parameters, jax.random.key(k), 0.3) for k in range(400)]
    for s, stack in enumerate(parameters.nodes):
        mean = np.mean([np.asarray(found.nodes[s]) for found in drawn], axis=0)
        scale = np.abs(stack) * np.sqrt(0.3 / 0.7 / 400)
        assert (np.abs(mean - stack) <= 5 * scale + 1e-6).all()
        assert all(np.allclose(found.nodes[s][:, 0], stack[:, 0], rtol=1e-6) for found in drawn[:5])


@pytest.mark.slow
def test_a_forest_of_amplitude_classifiers_in_given_orders(
    moved_digits: tuple[np.ndarray, ...], tmp_path: Path
) -> None:
    X, y, moved, truth = moved_digits
    orders = [pixel_order("snake", 8, 8), pixel_order("z", 8, 8)]
    augment = PictureAugmentation((8, 8), shift=1.0)
    model = AmplitudeMPSClassifier(6, epochs=15, augment=augment, feature_range=(0, 16))
    forest = TreeForestClassifier(model, 3, orders=orders, random_state=0).fit(X, y)
    assert [own.tolist() for own in forest.estimators_features_] == [orders[k].tolist() for k in (0, 1, 0)]
    alone = [
        tree.score(moved[:, own], truth)
        for tree, own in zip(forest.estimators_, forest.estimators_features_, strict=True)
    ]
    assert min(alone) > 0.7
    assert forest.score(moved, truth) > np.mean(alone)
    forest.save(tmp_path / "forest.npz")
    again = load_model(tmp_path / "forest.npz")
    assert np.array_equal(again.predict_proba(moved), forest.predict_proba(moved))
    with pytest.raises(InvalidInputError, match="order"):
        TreeForestClassifier(model, 2, orders=[[0, 0, 1]]).fit(X, y)
    with pytest.raises(InvalidInputError, match="all"):
        TreeForestClassifier(model, 2, orders=[[0, 1, 2]]).fit(X, y)


def test_a_label_at_the_end_makes_a_narrow_circuit(iris: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = iris
    model = AmplitudeMPSClassifier(4, label="end", epochs=30, random_state=0).fit(X, y)
    assert model.bond_dims_ == (2, 4, 4)
    compiled = model.compile()
    assert compiled.num_qubits == 3
    np.testing.assert_allclose(model.to_network().predict_proba(X), model.predict_proba(X), atol=1e-12)
    with pytest.raises(InvalidInputError, match="label"):
        AmplitudeMPSClassifier(4, label="start").fit(X, y)  # type: ignore[arg-type]


@pytest.mark.slow
def test_training_goes_on_without_post_selection(iris: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = iris
    model = AmplitudeMPSClassifier(4, label="end", random_state=0).fit(X, y)
    network = model.to_network()
    assert network.success_probability(X).mean() < 0.9
    network.set_params(discard="trace", homotopy=50, warm_start=True, epochs=150).fit(X, y)
    assert network.success_probability(X).min() == 1.0
    assert network.score(X, y) > 0.93


@pytest.mark.slow
def test_regressors_of_few_samples_take_augmented_ones() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((60, 4))
    y = X.sum(axis=1)

    def jittered(samples: np.ndarray, own: np.random.Generator) -> np.ndarray:
        return np.clip(samples + 0.02 * own.normal(size=samples.shape), 0, 1)

    model = TreeRegressor(1, augment=jittered, feature_range=(0, 1), random_state=0).fit(X, y)
    assert model.score(X, y) > 0.5


def test_a_label_far_from_the_other_end_is_warned_of() -> None:
    """A chain of 576 pixels with its label at the end was seen to learn nothing."""
    X = np.zeros((4, 576))
    with pytest.warns(LongChainWarning, match=r"575 data qubits .* Use label='middle', or a tree"):
        AmplitudeMPSClassifier(2, label="end", epochs=1, feature_range=(0, 1)).fit(X, [0, 1, 0, 1])
    AmplitudeMPSClassifier(2, epochs=1, feature_range=(0, 1)).fit(X, [0, 1, 0, 1])  # warnings are errors here


def test_a_chain_of_patches_is_a_circuit() -> None:
    """Nodes of four pixels: the network of unitaries and its gates have the classifier's probabilities."""
    X, y = load_digits(n_class=2, return_X_y=True)
    small = X.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)[:, pixel_order("patches", 4, 4)]
    clf = AmplitudeTreeClassifier(
        2, topology=chain(16, group=4), epochs=5, feature_range=(0, 16), random_state=0
    ).fit(small, y)
    assert clf.score(small, y) > 0.85
    network = clf.to_network()
    np.testing.assert_allclose(network.predict_proba(small[:50]), clf.predict_proba(small[:50]), atol=1e-12)
    compiled = clf.compile()
    assert compiled.num_qubits == 5  # four pixels and the bond
    found = compiled.probabilities(small[:2])
    found /= found.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, clf.predict_proba(small[:2]), atol=1e-10)
    assert compiled.verify(small[:1]) < 1e-10  # Qiskit's own simulation
