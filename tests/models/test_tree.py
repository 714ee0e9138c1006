import logging
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qtnml import (
    AmplitudeMPSClassifier,
    MPSBornMachine,
    MPSClassifier,
    TreeBornMachine,
    TreeClassifier,
    TreeRegressor,
    load_model,
)
from qtnml.data import Dataset
from qtnml.errors import ClippedDataWarning, InvalidInputError, TrainingInterruptedWarning
from qtnml.models.validation import hold_out
from qtnml.structure import balanced_tree
from qtnml.train import CrossEntropy, EpochRecord

# The smallest and largest training values are learnt; a few test pixels lie beyond.


def quick(**options: object) -> TreeClassifier:
    return TreeClassifier(**{"epochs": 30, "random_state": 0, **options})  # type: ignore[arg-type]


def test_tells_handwritten_digits_apart(digits: Dataset) -> None:
    clf = quick(feature_range=(0, 1), epochs=60).fit(digits.X_train, digits.y_train)
    assert clf.score(digits.X_test, digits.y_test) > 0.95
    proba = clf.predict_proba(digits.X_test)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-14)
    assert clf.classes_.tolist() == [3, 5]
    assert clf.n_iter_ == len(clf.history_) == 60


@pytest.mark.sampled
@pytest.mark.parametrize("leaf", ["data", "fresh"])
@pytest.mark.parametrize("bond_qubits", [1, 2])
def test_bonds_leaves_and_three_classes(bond_qubits: int, leaf: str) -> None:
    X, y = load_iris(return_X_y=True)
    clf = quick(bond_qubits=bond_qubits, leaf=leaf, epochs=150).fit(X, y)
    assert clf.score(X, y) > 0.9
    lost = clf.lost_mass(X)
    assert lost.shape == (150,)
    assert 0 < lost.mean() < 0.5
    outcomes = clf.outcome_probabilities(X)
    assert outcomes.shape == (150, 4)
    np.testing.assert_allclose(lost, outcomes[:, 3], atol=1e-12)


@pytest.mark.slow
def test_ten_classes_keep_four_root_qubits() -> None:
    from qtnml import load_dataset

    data = load_dataset("digits", order="z", train_size=600)
    clf = quick(bond_qubits=2, epochs=12).fit(data.X_train, data.y_train)
    assert clf.model_.topology.root_qubits == 4
    assert clf.score(data.X_train, data.y_train) > 0.9
    with pytest.raises(InvalidInputError, match="10 classes need 4 root qubits.* has 2 .*set bond_qubits=2"):
        quick(bond_qubits=1).fit(data.X_train, data.y_train)


def test_seed_decides_and_clone_forgets(small_digits: Dataset) -> None:
    X, y = small_digits.X_train, small_digits.y_train
    first = quick(epochs=3).fit(X, y)
    np.testing.assert_array_equal(clone(first).fit(X, y).predict_proba(X), first.predict_proba(X))
    other = clone(first).set_params(random_state=1).fit(X, y)
    assert not np.array_equal(other.predict_proba(X), first.predict_proba(X))
    assert not hasattr(clone(first), "network_")


@pytest.mark.parametrize("labels", [("three", "five"), (-1, 7), (False, True), (1.5, 2.5), ("a", "ß")])
def test_labels_of_any_kind(small_digits: Dataset, labels: tuple[object, object]) -> None:
    y = np.array([labels[int(label == 5)] for label in small_digits.y_train])
    if isinstance(labels[0], float):
        with pytest.raises(InvalidInputError, match="Unknown label type"):
            quick(epochs=1).fit(small_digits.X_train, y)
        return
    clf = quick(epochs=20).fit(small_digits.X_train, y)
    assert set(clf.predict(small_digits.X_train)) <= set(y.tolist())
    assert clf.score(small_digits.X_train, y) > 0.8


def test_input_of_any_kind(small_digits: Dataset) -> None:
    X, y = np.round(small_digits.X_train * 255), small_digits.y_train
    wanted = quick(epochs=2).fit(X, y).predict_proba(X)
    frame = pd.DataFrame(X, columns=[f"pixel {k}" for k in range(16)])
    for same in (X.astype(np.float32), X.astype(np.uint8), X.tolist(), frame, np.asfortranarray(X)):
        labels = y.tolist() if isinstance(same, list) else y
        clf = quick(epochs=2).fit(same, labels)
        np.testing.assert_allclose(clf.predict_proba(same), wanted, atol=1e-12)
    assert quick(epochs=1).fit(frame, y).feature_names_in_[1] == "pixel 1"


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.empty((0, 4)), np.empty(0), r"0 sample\(s\)"),
        (np.empty((4, 0)), np.arange(4) % 2, r"0 feature\(s\)"),
        (np.ones(4), np.arange(4) % 2, "Expected 2D array, got 1D array"),
        (np.ones((4, 2)), np.arange(3) % 2, "inconsistent numbers of samples: .4, 3"),
        (np.ones((4, 2)), np.zeros(4), r"only one class: \[0.0\]"),
        (np.full((4, 2), np.nan), np.arange(4) % 2, "contains NaN"),
        (np.full((4, 2), np.inf), np.arange(4) % 2, "contains infinity"),
        ([["a", "b"]] * 4, np.arange(4) % 2, "could not convert string to float|dtype='numeric'"),
        (np.ones((4, 2)), np.linspace(0, 1, 4), "Unknown label type"),
        (np.ones((4, 2)), None, "requires y to be passed"),
    ],
)
def test_bad_data(X: object, y: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TreeClassifier().fit(X, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bond_qubits": 0}, "bond_qubits must be 1 to 3, got 0"),
        ({"bond_qubits": 9}, "bond_qubits must be 1 to 3, got 9"),
        ({"bond_qubits": 1.5}, "bond_qubits must be 1 to 3, got 1.5"),
        ({"leaf": "green"}, "leaf must be 'data' or 'fresh', got 'green'"),
        ({"epochs": -1}, "epochs must be an integer of at least 0, got -1"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"patience": 0}, "patience must be an integer of at least 1, got 0"),
        ({"learning_rate": -1.0}, "learning_rate must be a positive number, got -1.0"),
        ({"learning_rate": np.nan}, "learning_rate must be a positive number, got nan"),
        ({"validation_fraction": 1.0}, "validation_fraction must be at least 0 and below 1, got 1.0"),
        ({"feature_range": (1, 0)}, "feature_range must be 'learn' or two numbers"),
        ({"feature_range": "all"}, "feature_range must be 'learn' or two numbers"),
        ({"loss": "mse"}, "unknown loss 'mse'"),
        ({"loss": [1]}, r"unknown loss \[1\]"),
        ({"batch_size": None}, "batch_size must be an integer of at least 1, got None"),
        ({"bond_qubits": True}, "bond_qubits must be 1 to 3, got True"),
        ({"learning_rate": "x"}, "learning_rate must be a positive number, got 'x'"),
        ({"topology": "ring"}, "topology must be None, 'chow-liu', a Topology or a Tree, got 'ring'"),
        ({"topology": balanced_tree(3)}, "has 3 data qubits and 1 root qubits; 4 features .* need 4"),
        ({"encoding": "phase"}, "unknown encoding 'phase'; choose one of"),
        ({"ansatz": "diagonal"}, "unknown ansatz 'diagonal'; choose one of"),
        ({"optimizer": "sgd"}, "unknown optimizer 'sgd'; choose one of"),
        ({"discard": "keep"}, "discard must be 'trace' or 'postselect', got 'keep'"),
        ({"discard": "postselect", "homotopy": 3}, "homotopy=3 ends in the trace"),
        ({"homotopy": -1}, "homotopy must be an integer of at least 0, got -1"),
        ({"shots": 100}, "shots=100 has no gradient for optimizer='adam'; set optimizer='spsa'"),
        ({"shots": 0}, "shots must be an integer of at least 1, got 0"),
        ({"resume": True}, "resume=True needs checkpoint=PATH"),
        ({"resume": True, "checkpoint": "c"}, "resume=True needs an integer random_state, got None"),
        ({"checkpoint": "no/where/c"}, "cannot write checkpoint no/where/c: there is no folder"),
        ({"devices": 99}, "devices=99, but JAX has"),
        ({"validation_fraction": None}, "validation_fraction must be at least 0 and below 1, got None"),
    ],
)
def test_bad_parameters(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TreeClassifier(**options).fit(np.eye(4), [0, 1, 0, 1])  # type: ignore[arg-type]


@pytest.mark.parametrize("state", [-1, "zero", np.random.default_rng(0)])
def test_bad_random_state(state: object) -> None:
    with pytest.raises(InvalidInputError, match="random_state must be None, an integer"):
        TreeClassifier(random_state=state).fit(np.eye(4), [0, 1, 0, 1])  # type: ignore[arg-type]


def test_too_many_classes_name_the_cure() -> None:
    X, y = np.random.default_rng(0).random((200, 12)), np.arange(200) % 100
    with pytest.raises(InvalidInputError, match="need 7 root qubits.*OneVsOneClassifier"):
        TreeClassifier(3).fit(X, y)
    with pytest.raises(InvalidInputError, match="need 3 root qubits.*give it at least 3 features"):
        TreeClassifier(2).fit(X[:, :2], y % 5)


@pytest.mark.parametrize("scale", [1e-300, 1e-46, 1e39, 1e300])
def test_only_ratios_of_weights_matter(small_digits: Dataset, scale: float) -> None:
    X, y = small_digits.X_train[:60], small_digits.y_train[:60]
    even = quick(epochs=2).fit(X, y).predict_proba(X)
    scaled = quick(epochs=2).fit(X, y, sample_weight=np.full(60, scale)).predict_proba(X)
    np.testing.assert_allclose(scaled, even, atol=1e-6)


@pytest.mark.parametrize("y", [["a", 1] * 2, ["a", None] * 2])
def test_mixed_labels_are_refused(y: list[object]) -> None:
    with pytest.raises(InvalidInputError):
        TreeClassifier().fit(np.eye(4), np.array(y, dtype=object))


def test_every_class_keeps_a_training_sample(rng: np.random.Generator) -> None:
    y = np.repeat([0, 1], [995, 5])
    kept, _ = hold_out(y, 0.999, rng)
    assert set(y[kept]) == {0, 1}


def test_a_failed_fit_loses_nothing(small_digits: Dataset) -> None:
    clf = quick(epochs=2).fit(small_digits.X_train, small_digits.y_train)
    before = clf.predict_proba(small_digits.X_test)
    for X in (small_digits.X_train, small_digits.X_train[:, :3]):
        with pytest.raises(InvalidInputError):
            clf.fit(X, np.zeros(len(small_digits.y_train)))
    np.testing.assert_array_equal(clf.predict_proba(small_digits.X_test), before)


def test_new_data_are_checked_and_clipped(trained: TreeClassifier, small_digits: Dataset) -> None:
    with pytest.raises(InvalidInputError, match="X has 3 features, but TreeClassifier is expecting 16"):
        trained.predict(np.zeros((1, 3)))
    with pytest.raises(InvalidInputError, match="contains NaN"):
        trained.predict(np.full((1, 16), np.nan))
    with pytest.warns(ClippedDataWarning, match=r"1 of 16 values \(6.2 %\).*by up to 1") as caught:
        clipped = trained.predict_proba(np.r_[2.0, np.zeros(15)][None])
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(clipped, trained.predict_proba(np.r_[1.0, np.zeros(15)][None]))


def test_sample_weight_decides(rng: np.random.Generator) -> None:
    """The same points with both labels: the heavier one wins."""
    X = np.repeat(rng.random((20, 2)), 2, axis=0)
    y, heavy = np.tile([0, 1], 20), np.repeat(X[::2, 0] > 0.5, 2)
    weights = np.where(heavy == y, 5.0, 0.5)
    clf = quick(epochs=300).fit(X, y, sample_weight=weights)
    assert np.average(clf.predict(X) == y, weights=weights) > 0.8
    with pytest.raises(InvalidInputError, match="[Nn]egative values in data passed to.*sample_weight"):
        quick().fit(X, y, sample_weight=-weights)
    with pytest.raises(InvalidInputError, match="two classes with positive weight"):
        quick().fit(X, y, sample_weight=(y == 0).astype(float))


def test_warm_start_goes_on(small_digits: Dataset) -> None:
    X, y = small_digits.X_train, small_digits.y_train
    clf = quick(epochs=10, warm_start=True).fit(X, y)
    first = clf.history_[0].loss
    clf.fit(X, y)
    assert clf.history_[0].loss < 0.5 * first
    network = clf.network_
    clf.set_params(epochs=0).fit(X, y)
    np.testing.assert_allclose(clf.network_.unitaries[0], network.unitaries[0], atol=1e-6)
    with pytest.raises(InvalidInputError, match="goes on with the network of the last fit"):
        clf.set_params(bond_qubits=2).fit(X, y)
    clf.set_params(bond_qubits=1)
    with pytest.raises(InvalidInputError, match=r"warm_start goes on with classes \[3, 5\], got \[4, 6\]"):
        clf.fit(X, y + 1)
    cold = quick(epochs=1).fit(X, y)
    assert cold.history_[0].loss == cold.fit(X, y).history_[0].loss


@pytest.mark.slow
def test_works_inside_scikit_learn() -> None:
    X, y = load_iris(return_X_y=True)
    X, y = X[y > 0], y[y > 0]
    pipeline = make_pipeline(StandardScaler(), quick(feature_range=(-3, 3), epochs=60))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.85
    search = GridSearchCV(quick(epochs=5, feature_range=(0, 8)), {"bond_qubits": [1, 2]}, cv=2).fit(X, y)
    assert search.best_params_["bond_qubits"] in (1, 2)


@pytest.mark.slow
def test_validation_picks_the_best_epoch(rng: np.random.Generator) -> None:
    X = rng.random((1000, 2))
    clf = quick(epochs=6).fit(X, X[:, 0] > X[:, 1])
    losses = [record.validation_loss for record in clf.history_]
    assert clf.best_epoch_ == int(np.argmin(losses))
    assert quick(epochs=2).fit(X[:400], X[:400, 0] > 0.5).history_[0].validation_loss is None


def test_hold_out_keeps_class_shares(rng: np.random.Generator) -> None:
    y = np.repeat([0, 1], [900, 100])
    kept, held = hold_out(y, 0.1, rng)
    assert sorted([*kept, *held]) == list(range(1000))
    assert np.bincount(y[held]).tolist() == [90, 10]
    assert len(hold_out(y, 0.04, rng)[1]) == 0


def test_ctrl_c_keeps_a_model(small_digits: Dataset, interruptible: None) -> None:
    def handler(record: EpochRecord) -> None:
        if record.epoch == 4:
            signal.raise_signal(signal.SIGINT)

    clf = quick(epochs=50, callback=handler)
    with pytest.warns(TrainingInterruptedWarning, match="interrupted after 4 of 50 epochs"):
        clf.fit(small_digits.X_train, small_digits.y_train)
    assert clf.n_iter_ == 4
    assert clf.predict(small_digits.X_test).shape == small_digits.y_test.shape


@pytest.mark.sampled
@pytest.mark.parametrize(
    "model",
    [
        TreeClassifier(epochs=20),
        MPSClassifier(epochs=20),
        TreeRegressor(epochs=20),
        AmplitudeMPSClassifier(3, epochs=20),
        AmplitudeMPSClassifier(3, method="sweeps", epochs=20),
        MPSBornMachine(3, epochs=20),
        TreeBornMachine(3, method="gradient", epochs=20),
    ],
    ids=str,
)
def test_a_callback_sees_every_epoch_and_may_end_training(
    model: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (60, 5))
    seen: list[EpochRecord] = []

    def stop_at_third(record: EpochRecord) -> np.bool_:
        seen.append(record)
        return np.bool_(record.epoch == 3)

    model = clone(model).set_params(random_state=0, callback=stop_at_third)
    with caplog.at_level(logging.INFO, logger="qtnml"):
        model.fit(X, X[:, 0])
    assert [record.epoch for record in seen] == [1, 2, 3]
    assert seen == model.history_
    assert (model.stopped_, model.n_iter_) == ("callback", 3)
    assert [record.getMessage()[:7] for record in caplog.records] == [
        "epoch 1",
        "epoch 2",
        "epoch 3",
        "trainin",
    ]
    model.save(tmp_path / "m")
    assert load_model(tmp_path / "m").callback is None  # a function is not a setting that a file keeps
    with pytest.raises(InvalidInputError, match="callback must be callable or None, got 3"):
        clone(model).set_params(callback=3).fit(X, X[:, 0])

    def fails(record: EpochRecord) -> None:
        raise RuntimeError("mine")

    before = model.history_
    with pytest.raises(RuntimeError, match="mine"):
        model.set_params(callback=fails).fit(X, X[:, 0])
    assert model.history_ is before


def test_sharpness_is_a_choice(small_digits: Dataset) -> None:
    plain = quick(loss=CrossEntropy(sharpness=1.0)).fit(small_digits.X_train, small_digits.y_train)
    sharp = quick().fit(small_digits.X_train, small_digits.y_train)
    margins = [np.abs(c.predict_proba(small_digits.X_train)[:, 0] - 0.5).mean() for c in (plain, sharp)]
    assert margins[0] > margins[1]


def test_progress_bar_stays_on_stderr(small_digits: Dataset, capfd: pytest.CaptureFixture[str]) -> None:
    quick(epochs=2, verbose=1).fit(small_digits.X_train, small_digits.y_train)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "training" in captured.err


@pytest.mark.slow
def test_the_width_follows_the_number_of_classes(rng: np.random.Generator) -> None:
    X = rng.random((120, 12))
    for classes, tree_width, chain_width in ((2, 1, 1), (4, 1, 1), (5, 2, 2), (16, 2, 3)):
        y = np.arange(120) % classes
        for kind, width in ((TreeClassifier, tree_width), (MPSClassifier, chain_width)):
            clf = kind(epochs=1, random_state=0).fit(X, y)
            assert clf.bond_qubits is None
            assert clf.model_.topology.widest == width
            same = kind(width, epochs=1, random_state=0).fit(X, y)
            np.testing.assert_array_equal(clf.predict_proba(X), same.predict_proba(X))
    assert TreeRegressor(epochs=1).fit(X, X[:, 0]).model_.topology.widest == 1
    with pytest.raises(InvalidInputError, match="65 classes need 7 root qubits"):
        TreeClassifier(epochs=1).fit(rng.random((130, 12)), np.arange(130) % 65)
