"""What once went wrong without a word: weights, hold-outs, early stops, tables, files."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import qtnml
from qtnml import (
    AmplitudeMPSClassifier,
    AnomalyDetector,
    BornMixture,
    MPSBornMachine,
    MPSClassifier,
    TableEncoder,
    TreeClassifier,
    TreeRegressor,
    load_model,
)
from qtnml.errors import ClippedDataWarning, InvalidInputError, ModelFileError
from qtnml.structure import chow_liu_tree
from qtnml.structure.topologies import balanced_tree


@pytest.fixture(scope="module")
def mostly_wrong() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """X, labels of which nearly all are flipped, weights that leave those out, and the right labels."""
    rng = np.random.default_rng(5)
    X = rng.random((2000, 2))
    right = (X[:, 0] > 0.5).astype(int)
    y, weights = 1 - right, np.full(len(X), 1e-9)
    chosen = rng.permutation(len(X))[:400]
    y[chosen], weights[chosen] = right[chosen], 1.0
    return X, y, weights, right


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        TreeClassifier(epochs=6, random_state=0),
        TreeClassifier(epochs=6, optimizer="spsa", random_state=0),
        MPSClassifier(epochs=6, random_state=0),
        AmplitudeMPSClassifier(2, epochs=10, learning_rate=0.03, random_state=0),
        AmplitudeMPSClassifier(2, method="sweeps", batch_size=25, random_state=0),
    ],
    ids=str,
)
def test_a_weight_counts_in_every_batch(model: Any, mostly_wrong: tuple[np.ndarray, ...]) -> None:
    X, y, weights, right = mostly_wrong
    found = model.set_params(validation_fraction=0).fit(X, y, sample_weight=weights).score(X, right)
    assert found > 0.8  # without weights the flipped labels are learnt: below 0.2


def test_a_weight_counts_in_every_batch_of_a_regressor(mostly_wrong: tuple[np.ndarray, ...]) -> None:
    X, y, weights, right = mostly_wrong
    reg = TreeRegressor(epochs=10, random_state=0).fit(X, y.astype(float), sample_weight=weights)
    assert np.corrcoef(reg.predict(X), right)[0, 1] > 0.5


def test_equal_weights_are_no_weights_in_batches(mostly_wrong: tuple[np.ndarray, ...]) -> None:
    X, y, _, _ = mostly_wrong
    plain, weighted = (
        TreeClassifier(epochs=2, random_state=0).fit(X, y, sample_weight=w)
        for w in (None, np.full(len(X), 7.0))
    )
    np.testing.assert_array_equal(plain.predict_proba(X), weighted.predict_proba(X))


@pytest.mark.slow
def test_held_out_rows_teach_nothing() -> None:
    """Ranges, topology, target scale and bins come from the rows that are trained on."""
    rng = np.random.default_rng(0)
    X, y = rng.random((600, 4)), rng.integers(0, 2, 600)
    clf = TreeClassifier(epochs=1, random_state=0, topology="chow-liu").fit(X, y)
    kept = clf._split(qtnml.train.TrainingSet(X, y, np.ones(600)), _generator())[0].X
    assert len(kept) == 540
    np.testing.assert_array_equal(clf.scaler_.low, kept.min(axis=0))
    np.testing.assert_array_equal(clf.scaler_.high, kept.max(axis=0))
    assert clf.model_.topology == chow_liu_tree(kept, 1, root_qubits=1)
    values = rng.normal(size=600)
    reg = TreeRegressor(epochs=1, random_state=0).fit(X, values)
    trained = reg._split(qtnml.train.TrainingSet(X, values, np.ones(600)), _generator())[0]
    assert reg.target_mean_ == pytest.approx(trained.y.mean(), abs=1e-12)
    assert abs(reg.target_mean_ - values.mean()) > 1e-6
    amplitudes = AmplitudeMPSClassifier(2, epochs=1, random_state=0).fit(X, y)
    np.testing.assert_array_equal(amplitudes.scaler_.low, clf.scaler_.low)
    born = MPSBornMachine(2, epochs=1, encoder=TableEncoder(8), random_state=0).fit(X)
    assert born.encoder_ is not None
    everyone = TableEncoder(8).fit(X)
    assert born.encoder_.columns_ != everyone.columns_
    used = born._split(np.ones(600, dtype=bool), np.ones(600), _generator())[0]
    assert born.encoder_.columns_ == TableEncoder(8).fit(X[used]).columns_


def _generator() -> np.random.Generator:
    from qtnml.models.validation import generator

    return generator(0)


@pytest.mark.parametrize(
    "model",
    [
        AmplitudeMPSClassifier(2, method="sweeps", epochs=40, patience=2, random_state=0),
        MPSBornMachine(2, epochs=80, patience=2, validation_fraction=0, random_state=0),
        TreeClassifier(epochs=400, patience=2, random_state=0, learning_rate=0.3),
    ],
    ids=str,
)
def test_patience_ends_training_without_a_hold_out(model: Any) -> None:
    rng = np.random.default_rng(1)
    X, y = rng.integers(0, 2, (100, 6)), rng.integers(0, 2, 100)
    model.fit(X, y)
    assert model.stopped_ == "early"
    losses = [record.loss for record in model.history_]
    assert min(losses[-2:]) > min(losses[:-2]) - 1e-5


def test_growth_is_kept_with_the_model_and_only_with_it(tmp_path: Path) -> None:
    X = np.random.default_rng(0).integers(0, 2, (60, 6))
    born = MPSBornMachine(4, method="greedy", epochs=1, random_state=0).fit(X)
    assert born.growth_[0].round == 1
    born.save(tmp_path / "m")
    assert load_model(tmp_path / "m").growth_ == born.growth_
    born.set_params(method="sweeps").fit(X)
    assert not hasattr(born, "growth_")


def test_detectors_are_calibrated_on_rows_that_count() -> None:
    rng = np.random.default_rng(0)
    X = np.repeat(rng.integers(0, 2, (200, 1)), 4, axis=1)
    weights = np.zeros(200)
    weights[:3] = 1
    for seed in range(5):
        detector = AnomalyDetector(MPSBornMachine(2, epochs=5), random_state=seed).fit(
            X, sample_weight=weights
        )
        alone = AnomalyDetector(MPSBornMachine(2, epochs=5), random_state=seed).fit(X[:3])
        np.testing.assert_allclose(detector.score_samples(X), alone.score_samples(X))
        assert detector.offset_ == pytest.approx(alone.offset_)


def test_zero_inflated_columns_are_learnt() -> None:
    rng = np.random.default_rng(0)
    z = np.where(rng.random(2000) < 0.94, 0.0, rng.exponential(1000, 2000))
    X = np.c_[z, z > 0]
    born = MPSBornMachine(4, encoder=TableEncoder(bins=8), smoothing=0.01, random_state=0).fit(X)
    drawn = born.sample(4000, random_state=0)
    assert (drawn[:, 0] == 0).mean() == pytest.approx((z == 0).mean(), abs=0.02)
    assert drawn[:, 0].mean() == pytest.approx(z.mean(), rel=0.5)
    share = (z > 0).mean()
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert born.explain().classical_information[0, 1] == pytest.approx(entropy, abs=0.05)
    detector = AnomalyDetector(random_state=0).fit(X)
    normal, never = detector.score_samples([[0.0, 0], [900.0, 0]])
    assert normal > never + 3


class Mine(TreeClassifier):
    """A user's own."""


class MyBorn(MPSBornMachine):
    """A user's own."""


def test_classes_of_ones_own_are_refused_when_saved(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 2, (30, 4)), rng.integers(0, 2, 30)
    for model in (Mine(epochs=1).fit(X, y), MyBorn(2, epochs=1).fit(X)):
        with pytest.raises(
            ModelFileError, match=f"{type(model).__name__} cannot be saved: .*registered classes only"
        ):
            model.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        (TreeClassifier(), {"discard": "foo"}, "discard must be"),
        (TreeClassifier(), {"bond_qubits": 2}, "bond_qubits, leaf, topology or reuploads changed after fit"),
        (TreeClassifier(), {"reuploads": 1}, "bond_qubits, leaf, topology or reuploads changed after fit"),
        (TreeClassifier(), {"topology": balanced_tree(5)}, "the topology has 5 data qubits"),
        (
            TreeClassifier(2, topology="chow-liu"),
            {"bond_qubits": 1},
            "topology or reuploads changed after fit",
        ),
        (TreeClassifier(), {"encoding": "trainable-angle"}, "encoding changed after fit"),
        (
            TreeRegressor(),
            {"ansatz": "orthogonal", "discard": "postselect"},
            "ansatz, discard changed after fit",
        ),
        (AmplitudeMPSClassifier(2), {"max_bond": 3}, "max_bond changed after fit"),
        (MPSBornMachine(2), {"max_bond": 0}, "max_bond must be"),
        (BornMixture(MPSBornMachine(2, epochs=1)), {"n_components": 3}, "shares do not fit"),
    ],
)
def test_settings_changed_after_fit_are_refused_when_saved(
    model: Any, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 2, (30, 8)), rng.integers(0, 2, 30)
    if "epochs" in model.get_params():
        model.set_params(epochs=1)
    model.fit(X, y)
    model.save(tmp_path / "sound")
    model.set_params(**changes)
    with pytest.raises(ModelFileError, match=f"cannot be saved: .*{message}.*; fit it again, or set"):
        model.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_settings_of_training_may_change(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clf = TreeClassifier(epochs=1).fit(rng.random((30, 4)), rng.integers(0, 2, 30))
    clf.set_params(epochs=7, learning_rate=0.1, warm_start=True).save(tmp_path / "m")
    assert load_model(tmp_path / "m").epochs == 7


def test_masked_cells_are_no_values() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.random((30, 4)), rng.integers(0, 2, 30)
    masked = np.ma.masked_array(X, mask=X > 0.9)
    clf = TreeClassifier(epochs=1, random_state=0).fit(X, y)
    for call in (
        lambda: TreeClassifier().fit(masked, y),
        lambda: TreeRegressor().fit(masked, X[:, 0]),
        lambda: clf.predict(masked),
    ):
        with pytest.raises(
            InvalidInputError, match="X has .* masked cells, which have no value; fill them in"
        ):
            call()
    with pytest.raises(InvalidInputError, match="y has 30 masked cells"):
        TreeClassifier().fit(X, np.ma.masked_array(y, mask=True))
    np.testing.assert_array_equal(clf.predict(np.ma.masked_array(X)), clf.predict(X))  # nothing is masked
    bits = rng.integers(0, 2, (60, 4))
    born = MPSBornMachine(2, epochs=2, random_state=0).fit(bits)
    hidden = np.ma.masked_array(np.where(bits[:, :1] == 1, bits, 9), mask=np.tile(bits[:, :1] == 0, 4))
    with_nan = np.where(np.ma.getmaskarray(hidden), np.nan, hidden.data)
    np.testing.assert_array_equal(born.score_samples(hidden), born.score_samples(with_nan))


def test_nullable_columns_are_bits() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (60, 4))
    frame = pd.DataFrame(bits, columns=list("abcd"))
    for dtype in ("Int64", "boolean"):
        nullable = frame.astype(dtype)
        nullable.iloc[0, 0] = pd.NA
        born = MPSBornMachine(2, epochs=2, random_state=0).fit(nullable.iloc[1:])
        plain = MPSBornMachine(2, epochs=2, random_state=0).fit(frame.iloc[1:])
        holes = frame.astype(float)
        holes.iloc[0, 0] = np.nan
        np.testing.assert_array_equal(born.score_samples(nullable), plain.score_samples(holes))


def test_polars_frames_keep_their_names() -> None:
    pl = pytest.importorskip("polars")
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"temp": rng.normal(0, 1, 300), "pressure": rng.normal(50, 1, 300)})
    detector = AnomalyDetector(random_state=0).fit(frame)
    assert (detector.predict(frame) == -1).mean() < 0.1
    with pytest.raises(InvalidInputError, match="feature names should match"):
        detector.predict(frame.select("pressure", "temp"))
    born = MPSBornMachine(2, epochs=2, encoder=TableEncoder(bins=3), random_state=0).fit(frame)
    assert born.sample(3, random_state=0).columns == ["temp", "pressure"]
    holes = pl.DataFrame({"temp": [0.1, None], "pressure": [None, 50.0]})
    filled = born.impute(holes)
    assert isinstance(filled, pl.DataFrame)
    assert filled["temp"][0] == 0.1
    assert filled["pressure"][1] == 50.0
    assert filled.null_count().sum_horizontal()[0] == 0
    mixture = BornMixture(born.set_params(warm_start=False), max_iter=1, random_state=0)
    drawn, _ = mixture.fit(frame).sample(5)
    assert isinstance(drawn, pl.DataFrame)
    bits = pl.DataFrame({"a": [0, 1, 1], "b": [1, None, 0]})
    machine = MPSBornMachine(2, epochs=1).fit(bits[[0, 2]])
    assert machine.feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(InvalidInputError, match="feature names should match"):
        machine.score(bits.select("b", "a"))
    assert [f.name for f in detector.explain(frame[0:1]).features] == ["temp", "pressure"]


def test_clipping_is_told_once_and_beyond_rounding() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.random((60, 4)), rng.integers(0, 2, 60)
    clf = TreeClassifier(epochs=1, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.predict(X.astype(np.float32))  # the bounds themselves, rounded
        few = np.vstack([X] * 20)
        few[:4, 0] += 5
        clf.predict(few)  # 4 of 4,800 values
    with pytest.warns(ClippedDataWarning, match=r"5 of 20 values \(25 %\).*said once"):
        clf.predict(X[:5] + np.array([5, 0, 0, 0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.predict(X[:5] + np.array([5, 0, 0, 0]))
