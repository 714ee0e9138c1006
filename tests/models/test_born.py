"""Born machines as estimators: what a user does, and what a user does wrong."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from qtnml import MPSBornMachine, TableEncoder, TreeBornMachine, load_model
from qtnml.errors import (
    IncompleteDataWarning,
    IndependentColumnsWarning,
    InvalidInputError,
    ModelFileError,
    TrainingInterruptedWarning,
    ZeroProbabilityWarning,
)
from qtnml.models import BornMachine, born_training
from qtnml.models.validation import hold_out_rows
from qtnml.noise import DeviceNoise
from qtnml.storage import CHECKPOINT, load_archive, save_archive
from qtnml.structure import Tree, site_chain
from tests.born.trees import all_strings, p_value

STRINGS = all_strings((2,) * 5)


@pytest.fixture(scope="module")
def bits() -> np.ndarray:
    """Noisy copies of one bit, and one bit of its own."""
    rng = np.random.default_rng(3)
    X = np.repeat(rng.integers(0, 2, size=(300, 1)), 5, axis=1)
    X ^= rng.random(X.shape) < 0.05
    X[:, 2] = rng.integers(0, 2, 300)
    return X


@pytest.fixture(scope="module")
def born(bits: np.ndarray) -> MPSBornMachine:
    return MPSBornMachine(4, random_state=0).fit(bits)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    kind = rng.choice(["a", "b", "c"], 200)
    return pd.DataFrame(
        {"kind": kind, "size": rng.normal(size=200) + 3 * (kind == "a"), "flag": rng.random(200) < 0.5}
    )


@pytest.mark.sampled
@pytest.mark.parametrize("cls", [MPSBornMachine, TreeBornMachine])
@pytest.mark.parametrize("method", ["sweeps", "gradient", "greedy"])
def test_every_method_learns_the_distribution(cls: type[BornMachine], method: str, bits: np.ndarray) -> None:
    epochs = None if method == "gradient" else 40
    model = cls(4, method=method, random_state=0, epochs=epochs).fit(bits)  # type: ignore[arg-type]
    distribution = np.exp(model.score_samples(STRINGS))
    assert distribution.sum() == pytest.approx(1, abs=1e-10)
    counts = np.bincount(np.ravel_multi_index(tuple(bits.T), (2,) * 5), minlength=32)
    entropy = -np.sum(counts[counts > 0] / 300 * np.log(counts[counts > 0] / 300))
    assert -model.score(bits) < entropy + 0.12
    assert model.n_iter_ == len(model.history_)
    assert max(model.bond_dims_) <= 4
    if method == "greedy":
        assert model.growth_


def test_the_design_runs(born: MPSBornMachine, bits: np.ndarray) -> None:
    assert born.log_likelihood(bits).shape == (300,)
    assert born.sample(1000, random_state=0).shape == (1000, 5)
    assert born.compile(reuse_qubits=True).num_qubits <= 3
    assert clone(born).get_params() == born.get_params()


def test_samples_follow_the_distribution(born: MPSBornMachine) -> None:
    distribution = np.exp(born.score_samples(STRINGS)).reshape((2,) * 5)
    assert p_value(born.sample(20_000, random_state=1), distribution) > 1e-3
    given = np.array([[1, np.nan, 0, np.nan, np.nan]])
    drawn = born.sample(5000, given=given, random_state=2)
    part = np.zeros_like(distribution)
    part[1, :, 0] = distribution[1, :, 0]
    assert p_value(drawn, part / part.sum()) > 1e-3
    np.testing.assert_array_equal(born.sample(5, random_state=7), born.sample(5, random_state=7))
    assert born.sample(0).shape == (0, 5)


def test_conditionals_and_marginals(born: MPSBornMachine) -> None:
    distribution = np.exp(born.score_samples(STRINGS)).reshape((2,) * 5)
    found = np.exp(born.conditional_log_likelihood([[1, 0, np.nan, 1, np.nan]], given=[0, 3]))
    joint, given = distribution[1, 0, :, 1, :].sum(), distribution[1, :, :, 1, :].sum()
    assert found[0] == pytest.approx(joint / given, abs=1e-10)
    alone = born.marginals()
    np.testing.assert_allclose(alone[1][0], distribution.sum(axis=(0, 2, 3, 4)), atol=1e-12)
    known = born.marginals([[1, np.nan, np.nan, np.nan, np.nan]])
    np.testing.assert_allclose(
        known[4][0], distribution[1].sum(axis=(0, 1, 2)) / distribution[1].sum(), atol=1e-12
    )
    assert born.log_likelihood([[np.nan] * 5])[0] == pytest.approx(0, abs=1e-10)


def test_missing_values_are_filled_in(born: MPSBornMachine) -> None:
    distribution = np.exp(born.score_samples(STRINGS)).reshape((2,) * 5)
    X = np.array([[1, np.nan, np.nan, 1, 1], [0, 0, 1, np.nan, 0]])
    filled = born.impute(X)
    best = np.unravel_index(distribution[1, :, :, 1, 1].argmax(), (2, 2))
    assert filled[0].tolist() == [1, *best, 1, 1]
    assert filled[1, 3] == distribution[0, 0, 1, :, 0].argmax()
    drawn = born.impute(X, "sample", random_state=0)
    known = ~np.isnan(X)
    np.testing.assert_array_equal(drawn[known], X[known])
    with pytest.raises(InvalidInputError, match="method must be 'most-probable', 'median' or 'sample'"):
        born.impute(X, "mean")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="beam must be an integer of at least 1"):
        born.impute(X, beam=0)


def test_tables_of_mixed_columns(table: pd.DataFrame, tmp_path: Path) -> None:
    model = TreeBornMachine(8, encoder=TableEncoder(bins=4), topology="chow-liu", random_state=0).fit(table)
    drawn = model.sample(50, random_state=0)
    assert list(drawn.columns) == ["kind", "size", "flag"]
    assert set(drawn["kind"]) <= {"a", "b", "c"}
    holes = table.head(3).copy()
    holes.loc[0, "kind"] = None
    holes.loc[1, "size"] = np.nan
    filled = model.impute(holes)
    assert filled["kind"].notna().all()
    assert filled["size"].iloc[0] == table["size"].iloc[0]
    assert np.isfinite(model.score_samples(holes)).all()
    why = model.explain(table.iloc[0].copy())
    assert why.log_likelihood == pytest.approx(model.log_likelihood(table[:1])[0])
    assert why.log_density == pytest.approx(model.score_samples(table[:1])[0])
    assert f"nats of the bins; log-density {why.log_density:.2f}" in str(why)
    as_text = model.explain(table.iloc[[0]].astype({"size": object}).assign(size=str(table["size"].iloc[0])))
    assert as_text.features == why.features
    size = next(feature for feature in why.features if feature.name == "size")
    assert size.shown == f"{table['size'].iloc[0]:.6g} (bin {size.value})"
    path = tmp_path / "tree.qtnml"
    model.save(path)
    loaded = load_model(path)
    np.testing.assert_array_equal(loaded.score_samples(holes), model.score_samples(holes))
    assert loaded.get_params()["topology"] == "chow-liu"
    assert loaded.feature_names_in_.tolist() == ["kind", "size", "flag"]
    with pytest.raises(InvalidInputError, match="feature names should match"):
        loaded.score_samples(table.rename(columns={"kind": "sort"}))


def test_a_saved_model_is_the_same(born: MPSBornMachine, bits: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "born.qtnml"
    born.notes_["mine"] = 1
    born.save(path)
    loaded = load_model(path)
    np.testing.assert_array_equal(loaded.log_likelihood(bits), born.log_likelihood(bits))
    assert loaded.history_ == born.history_
    assert loaded.notes_ == {"mine": 1}
    assert loaded.fit(bits).n_iter_ == born.n_iter_
    header, arrays = load_archive(path)
    for broken in (
        {**arrays, "core_0": arrays["core_0"] * np.nan},
        {**arrays, "core_1": arrays["core_1"] * 2},
        {**arrays, "core_0": arrays["core_0"].astype("U8")},
        {k: v for k, v in arrays.items() if k != "core_2"},
    ):
        save_archive(path, header, broken)
        with pytest.raises(ModelFileError, match="is damaged"):
            load_model(path)


def test_under_noise_the_distribution_is_that_of_the_circuit(born: MPSBornMachine) -> None:
    noise = DeviceNoise(
        t1=50e-6, two_qubit_time=1e-7, two_qubit_error=0.02, readout_error=0.03, reset_error=0.01
    )
    clean, noisy, reused = (
        np.exp(born.score_samples(STRINGS, **how)).reshape((2,) * 5)
        for how in ({}, {"noise": noise, "reuse_qubits": False}, {"noise": noise})
    )
    assert noisy.sum() == pytest.approx(1, abs=1e-10)
    assert np.abs(noisy - clean).max() > 1e-3
    assert np.abs(noisy - reused).max() > 1e-6
    drawn = born.sample(10_000, noise=noise, reuse_qubits=True, random_state=0)
    assert p_value(drawn, reused) > 1e-3
    with pytest.raises(InvalidInputError, match="without noise all circuits of a model draw alike"):
        born.sample(3, reuse_qubits=True)
    with pytest.raises(InvalidInputError, match="a noisy circuit draws all features"):
        born.sample(3, noise=noise, given=STRINGS[:1])


def test_impossible_records_are_finite_and_reported(bits: np.ndarray) -> None:
    X = np.array([[0, 0], [1, 1]] * 30)
    model = MPSBornMachine(2, epochs=1, random_state=0).fit(X)
    identity = np.zeros((1, 2, 2))
    identity[0] = np.eye(2) / np.sqrt(2)
    model.state_ = type(model.state_).canonical(model.state_.sites, [np.eye(2), identity])
    with pytest.warns(
        ZeroProbabilityWarning, match=r"1 of 2 samples have probability zero .* given as -1416"
    ):
        found = model.score_samples([[0, 0], [0, 1]])
    assert found[0] == pytest.approx(np.log(0.5))
    assert found[1] == -1416
    with pytest.raises(InvalidInputError, match="row 0 has probability zero"):
        model.impute([[0, 1]])


def test_constant_columns_and_one_feature(bits: np.ndarray) -> None:
    X = bits.copy()
    X[:, 1] = 1
    model = MPSBornMachine(4, random_state=0, order="mutual-information").fit(X)
    assert (model.sample(200, random_state=0)[:, 1] == 1).mean() > 0.98
    one = TreeBornMachine(random_state=0, validation_fraction=0).fit(bits[:, :1])
    assert np.exp(one.score_samples([[1]]))[0] == pytest.approx(bits[:, 0].mean(), abs=1e-6)
    assert one.compile().num_qubits == 1
    same = TableEncoder().fit(np.full((20, 2), 7))
    constant = MPSBornMachine(encoder=same, random_state=0).fit(np.full((20, 2), 7))
    assert constant.score([[7, 7]]) == pytest.approx(0)
    assert constant.sample(2).tolist() == [[7, 7], [7, 7]]


def test_rows_with_holes_are_left_out_of_training(bits: np.ndarray) -> None:
    X = bits.astype(float)
    X[:30, 0] = np.nan
    with pytest.warns(IncompleteDataWarning, match="30 of 300 rows have missing values"):
        model = MPSBornMachine(2, random_state=0).fit(X)
    np.testing.assert_allclose(
        model.score_samples(bits), MPSBornMachine(2, random_state=0).fit(bits[30:]).score_samples(bits)
    )
    with pytest.raises(InvalidInputError, match="every row has a missing value"):
        MPSBornMachine().fit(np.full((5, 2), np.nan))


def test_weights_count_as_copies(bits: np.ndarray) -> None:
    options = {"random_state": 0, "validation_fraction": 0.0, "epochs": 5}
    weighed = MPSBornMachine(4, **options).fit(bits, sample_weight=np.arange(300) % 3)  # type: ignore[arg-type]
    copies = MPSBornMachine(4, **options).fit(np.repeat(bits, np.arange(300) % 3, axis=0))  # type: ignore[arg-type]
    np.testing.assert_allclose(weighed.score_samples(STRINGS), copies.score_samples(STRINGS), atol=1e-3)


def test_warm_start_goes_on(bits: np.ndarray) -> None:
    settings = {"epochs": 2, "validation_fraction": 0.0, "random_state": 0, "warm_start": True}
    model = MPSBornMachine(4, **settings).fit(bits)  # type: ignore[arg-type]
    first = model.score(bits)
    assert model.fit(bits).score(bits) > first
    with pytest.raises(InvalidInputError, match="warm_start goes on with a state of 5 sites"):
        model.fit(bits[:, :3])
    assert model.score(bits) > first  # nothing learnt is lost


def test_trees_and_orders_of_ones_own(bits: np.ndarray) -> None:
    tree = Tree(5, ((0, 2), (1, 3), (6, 4), (5, 7)))
    model = TreeBornMachine(4, topology=tree, random_state=0).fit(bits)
    assert model.state_.tree == tree
    chain = MPSBornMachine(4, order=[4, 2, 0, 1, 3], random_state=0).fit(bits)
    assert chain.state_.sites == site_chain([2] * 5, [4, 2, 0, 1, 3])
    with pytest.raises(InvalidInputError, match="the topology has 5 leaves, the data have 4 features"):
        TreeBornMachine(topology=tree).fit(bits[:, :4])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_bond": 0}, "max_bond must be an integer of at least 1, got 0"),
        ({"epochs": 2.5}, "epochs must be an integer of at least 1"),
        ({"method": "dmrg"}, "method must be one of"),
        ({"precision": "half"}, "precision must be one of"),
        ({"learning_rate": 2}, "learning_rate must be above 1e-12 and below 1.57, got 2"),
        ({"cutoff": 1}, "cutoff must be above 0 and below 1, got 1"),
        ({"validation_fraction": 1}, "validation_fraction must be at least 0 and below 1"),
        ({"smoothing": -0.1}, "smoothing must be at least 0 and below 1, got -0.1"),
        ({"order": "random"}, "order must be None, 'mutual-information' or a permutation"),
        ({"order": [0, 0, 1, 2, 3]}, "order must name each of 5 leaves once"),
        ({"encoder": "table"}, r"encoder must be a qtnml\.TableEncoder or None"),
        ({"resume": True}, "resume=True needs checkpoint=PATH"),
    ],
)
def test_bad_settings(settings: dict, message: str, bits: np.ndarray) -> None:
    with pytest.raises(InvalidInputError, match=message):
        MPSBornMachine(**settings).fit(bits)


def test_bad_data(born: MPSBornMachine, bits: np.ndarray) -> None:
    for X, message in (
        (bits + 1, r"samples must be bits 0 and 1 \(NaN where missing\), got 2 in row \d+, column \d"),
        ([["a", "b"]], r"pass encoder=TableEncoder\(\)"),
        (bits[0], "Expected 2D array of bits"),
        (np.empty((0, 3)), "at least one sample"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            MPSBornMachine().fit(X)
    with pytest.raises(InvalidInputError, match="X has 3 features, but MPSBornMachine is expecting 5"):
        born.score_samples(bits[:, :3])
    with pytest.raises(InvalidInputError, match="n_samples must be an integer of at least 0, got -1"):
        born.sample(-1)
    with pytest.raises(InvalidInputError, match="there is no column 9"):
        born.conditional_log_likelihood(bits, given=[9])
    with pytest.raises(InvalidInputError, match="at least one non-zero number"):
        MPSBornMachine().fit(bits, sample_weight=np.zeros(300))
    with pytest.raises(InvalidInputError, match="explain takes one sample, got 300"):
        born.explain(bits)


def test_known_cells_stay_as_they_were(table: pd.DataFrame) -> None:
    model = MPSBornMachine(4, encoder=TableEncoder(bins=4), random_state=0).fit(table)
    holes = table.head(4).copy()
    holes.index = [10, 11, 12, 13]
    holes.loc[10, "kind"] = None
    holes.loc[12, "size"] = np.nan
    for filled in (model.impute(holes), model.impute(holes, "sample", random_state=0)):
        assert filled.index.tolist() == [10, 11, 12, 13]
        np.testing.assert_array_equal(filled["size"][[10, 11, 13]], holes["size"][[10, 11, 13]])
        assert filled["flag"].tolist() == holes["flag"].tolist()
        assert filled.notna().all(axis=None)
    many = model.sample(3, given=holes, random_state=0)
    assert many["size"].tolist()[:3] == [holes["size"][10]] * 3
    plain = model.impute(holes.to_numpy())
    assert plain["size"].tolist()[0] == holes["size"][10]


def test_lists_are_tables_too() -> None:
    rows = [[1.0, "a"], [2.0, "b"], [np.nan, "a"], [1.0, "a"]] * 5
    with pytest.warns(IncompleteDataWarning):
        model = MPSBornMachine(2, encoder=TableEncoder(bins=2), random_state=0, epochs=5).fit(rows)
    assert model.encoder_.columns_[0].values == (1.0, 2.0)
    assert "ln P" in str(model.explain([1.0, "a"]))


def test_warm_start_keeps_the_meaning_of_levels() -> None:
    model = MPSBornMachine(2, encoder=TableEncoder(), warm_start=True, epochs=3, random_state=0)
    model.fit([["a", "x"], ["b", "y"]] * 20)
    with pytest.raises(InvalidInputError, match="value 'c' in column 'x0'"):
        model.fit([["b", "x"], ["c", "y"]] * 20)
    assert model.encoder_.columns_[0].values == ("a", "b")


def test_a_topology_learnt_from_weights_is_that_of_copies(rng: np.random.Generator) -> None:
    X = rng.integers(0, 2, (200, 6))
    weights = np.where(X[:, 0] == X[:, 5], 9, 1)
    options = {"topology": "chow-liu", "epochs": 1, "random_state": 0, "validation_fraction": 0.0}
    weighed = TreeBornMachine(2, **options).fit(X, sample_weight=weights)  # type: ignore[arg-type]
    copies = TreeBornMachine(2, **options).fit(np.repeat(X, weights, axis=0))  # type: ignore[arg-type]
    assert weighed.state_.tree == copies.state_.tree


@pytest.mark.parametrize("change", [
    {"best_epoch": 99}, {"history": [["x", [], None, None, None, 1]]}, {"feature_names_in": ["only"]},
    {"parameters": {"max_bond": "x"}}, {"encoder": {"columns": [{"values": [["x"]]}]}},
    {"encoder": {"columns": [{"values": ["a", "a", "b"]}]}},
])  # fmt: skip
def test_crafted_files_are_refused(change: dict, table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "m.qtnml"
    MPSBornMachine(2, encoder=TableEncoder(bins=4), epochs=2, random_state=0).fit(table).save(path)
    header, arrays = load_archive(path)
    for name, value in change.items():
        if name == "encoder":
            header["encoder"]["columns"][0] |= value["columns"][0]
        elif isinstance(value, dict):
            header[name] |= value
        else:
            header[name] = value
    header = {name: value for name, value in header.items() if name not in ("format", "version")}
    save_archive(path, header, arrays)
    with pytest.raises(ModelFileError, match="is damaged"):
        load_model(path)


def test_settings_that_are_sequences_can_be_saved(table: pd.DataFrame, tmp_path: Path) -> None:
    encoder = TableEncoder(bins=4, categorical=range(1, 2))
    model = MPSBornMachine(2, encoder=encoder, order=range(2, -1, -1), epochs=1, random_state=0)
    with pytest.raises(InvalidInputError, match="different values|more than 256"):
        model.set_params(encoder=TableEncoder(categorical=["size"])).fit(
            pd.concat([table] * 2, ignore_index=True).assign(size=np.arange(400.0))
        )
    model.set_params(encoder=encoder).fit(table.assign(size=table["size"].round()))
    model.save(tmp_path / "m.qtnml")
    assert load_model(tmp_path / "m.qtnml").state_.tree == model.state_.tree


def test_smoothing_leaves_nothing_impossible() -> None:
    rng = np.random.default_rng(0)
    X = np.repeat(rng.integers(0, 2, size=(200, 1)), 6, axis=1)
    X[:, 5] = 0  # never 1
    strange = np.array([[1, 1, 1, 1, 1, 1]])
    options = {"random_state": 0, "complex_amplitudes": True}
    sharp = MPSBornMachine(4, **options).fit(X)  # type: ignore[arg-type]
    smooth = MPSBornMachine(4, smoothing=0.05, **options).fit(X)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZeroProbabilityWarning)
        assert sharp.score_samples(strange)[0] < -15
    assert smooth.score_samples(strange)[0] > -12
    assert smooth.score(X) == pytest.approx(sharp.score(X), abs=0.1)


HOLE = float("nan")
WHOLE = [[17, 63, 5], [85, 90, 1], [15, 3, 77]] * 10


@pytest.mark.parametrize(("given", "kinds"), [
    (np.array(WHOLE), "i"), (np.array(WHOLE, dtype=np.uint8), "i"), (np.array(WHOLE, dtype=float), "f"),
    (WHOLE, "i"), (pd.DataFrame(WHOLE), "iii"), (pd.DataFrame(WHOLE).astype("int32"), "iii"),
    (pd.DataFrame(WHOLE).astype("Int64"), "iii"), (pd.DataFrame(WHOLE).astype("float32"), "fff"),
    ([[True, 17, "a"], [False, 85, "b"], [True, 15, "c"]] * 10, "O"),
    (pd.DataFrame([[True, 17, 0.5], [False, 85, 1.5], [True, 15, 2.5]] * 10), "bif"),
])  # fmt: skip
def test_known_cells_keep_value_and_kind(given: Any, kinds: str) -> None:
    """The first column's first cell is missing; tables of integers with a hole are of floats in pandas."""
    model = MPSBornMachine(4, encoder=TableEncoder(2), epochs=2, random_state=0).fit(given)
    if isinstance(given, pd.DataFrame):
        holes = given.head(3).astype({given.columns[0]: object})
        holes.iloc[0, 0] = None
        if kinds[0] in "if":
            holes = holes.astype({given.columns[0]: float})
    else:
        holes = [[None if (k, j) == (0, 0) else cell for j, cell in enumerate(row)] for k, row in
                 enumerate(np.asarray(given, dtype=object)[:3].tolist())]  # fmt: skip
    for X in (holes, given[:3]):
        for filled in (model.impute(X), model.sample(1, given=X, random_state=0)):
            if isinstance(given, pd.DataFrame):
                assert "".join(dtype.kind for dtype in filled.dtypes) == kinds
                assert filled.columns.equals(given.columns)
            else:
                assert filled.dtype.kind == kinds
            same = np.asarray(filled, dtype=object) == np.asarray(given, dtype=object)[:3]
            assert same.ravel()[1:].all()
            assert same[0, 0] or X is holes
    assert len(model.sample(0, given=holes)) == 0


def test_what_cannot_be_read_again_is_not_written(bits: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "m.qtnml"
    model = MPSBornMachine(2, epochs=1, random_state=0).fit(bits)
    model.save(path)
    before = path.read_bytes()

    class Mine(MPSBornMachine):
        pass

    model.max_bond = 0
    with pytest.raises(ModelFileError, match="cannot be saved: max_bond .* got 0; fit it again"):
        model.save(path)
    model.max_bond, model.notes_ = 2, {"a": np.nan}
    with pytest.raises(ModelFileError, match="hold what a file cannot"):
        model.save(path)
    with pytest.raises(ModelFileError, match="a file holds registered classes only"):
        Mine(2, epochs=1, random_state=0).fit(bits).save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("change", [
    {"history": [["a"] * 6]}, {"history": [[1, None, None, None, None, None]]}, {"best_epoch": 99},
    {"improved": 10**30}, {"best_score": "low"}, {"history": [[1, 2.0, None, None, None, 1.0]] * 9},
])  # fmt: skip
def test_crafted_checkpoints_are_refused(change: dict, bits: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    model = MPSBornMachine(2, epochs=3, random_state=0, checkpoint=path, resume=True).fit(bits)
    header, arrays = load_archive(path, kind=CHECKPOINT)
    header = {name: value for name, value in header.items() if name not in ("format", "version")}
    save_archive(path, header | change, arrays, kind=CHECKPOINT)
    with pytest.raises(ModelFileError, match="does not fit this run"):
        model.fit(bits)


@pytest.mark.slow
def test_never_worse_than_independent_columns_on_rows_held_out() -> None:
    """Random columns: what is learnt by heart is thrown away, and said so; the same with every method."""
    rng = np.random.default_rng(0)
    X, fresh = rng.integers(0, 2, (150, 8)), rng.integers(0, 2, (2000, 8))
    for method in ("sweeps", "gradient"):
        with pytest.warns(IndependentColumnsWarning, match="independent columns explain the held-out rows"):
            born = MPSBornMachine(16, method=method, random_state=0).fit(X)  # type: ignore[arg-type]
        assert born.best_epoch_ == -1
        assert set(born.bond_dims_) == {1}
        assert -born.score(fresh) < 8 * np.log(2) + 0.1
        assert born.independent_nll_ < min(record.score for record in born.history_)
    assert -MPSBornMachine(16, method="greedy", random_state=0).fit(X).score(fresh) < 8 * np.log(2) + 0.1


def test_training_starts_from_independent_columns() -> None:
    """Skewed columns, of which two are alike: the first sweeps keep what columns on their own tell."""
    rng = np.random.default_rng(0)
    X = (rng.random((400, 10)) < 0.1).astype(int)
    X[:, 7] = X[:, 2]
    born = TreeBornMachine(8, random_state=0).fit(X)
    assert born.history_[0].score < born.independent_nll_ + 0.05
    assert min(record.score for record in born.history_) < born.independent_nll_ - 0.1
    assert born.stopped_ == "early"
    assert born.n_iter_ - born.best_epoch_ <= 30


def test_few_rows_are_held_out_as_well() -> None:
    rng = np.random.default_rng(0)
    for rows, held in ((39, 0), (40, 10), (120, 30), (400, 50), (1000, 100)):
        kept, left = hold_out_rows(rows, 0.1, rng)
        assert (len(kept), len(left)) == (rows - held, held)
    assert len(hold_out_rows(1000, 0.0, rng)[1]) == 0


def test_the_best_of_several_starts_is_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (200, 6))
    X[:, 3] = X[:, 0] ^ X[:, 5]
    seen: list[int] = []
    settings = {"epochs": 4, "validation_fraction": 0.0, "init": "product", "random_state": 0}
    several = MPSBornMachine(
        2,
        n_init=3,
        callback=lambda record: seen.append(record.epoch),
        **settings,  # type: ignore[arg-type]
    ).fit(X)
    assert seen == [1, 2, 3, 4] * 3
    scores = [MPSBornMachine(2, n_init=n, **settings).fit(X).nll_ for n in (1, 2, 3)]  # type: ignore[arg-type]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] == several.nll_
    # Killed and started again: every start has a file of its own.
    path = tmp_path / "c"
    kept = MPSBornMachine(4, epochs=4, n_init=3, random_state=0, checkpoint=path, resume=True)
    first = kept.fit(X).state_
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c", "c.1", "c.2"]
    for ours, theirs in zip(kept.fit(X).state_.cores, first.cores, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(InvalidInputError, match="n_init must be an integer of at least 1, got 0"):
        MPSBornMachine(n_init=0).fit(X)


def test_an_interrupted_start_leaves_the_ones_before_it() -> None:
    """Ctrl-C before the first epoch of the second start was over; and going on there is one start."""
    rng = np.random.default_rng(0)
    X, seen = rng.integers(0, 2, (200, 6)), list[int]()

    def stop(record: Any) -> None:
        seen.append(record.epoch)
        if seen == [1, 2, 1]:
            raise KeyboardInterrupt

    born = MPSBornMachine(3, epochs=2, n_init=3, random_state=0, validation_fraction=0, callback=stop)
    with pytest.warns(TrainingInterruptedWarning, match="interrupted"):
        born.fit(X)
    assert seen == [1, 2, 1]
    assert len(born.history_) >= 1
    seen.clear()
    born.set_params(warm_start=True, callback=lambda record: seen.append(record.epoch)).fit(X)
    assert seen == [1, 2]


def test_interrupted_before_an_epoch_of_a_later_start(monkeypatch: pytest.MonkeyPatch) -> None:
    X, calls, real = np.random.default_rng(0).integers(0, 2, (200, 6)), list[int](), born_training.train_born

    def interrupted(*arguments: Any, **settings: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **settings)

    monkeypatch.setattr(born_training, "train_born", interrupted)
    with pytest.warns(
        TrainingInterruptedWarning, match="in start 2 of 3; the best of those before it was kept"
    ):
        born = MPSBornMachine(3, epochs=2, n_init=3, random_state=0).fit(X)
    assert len(calls) == 2
    assert len(born.history_) == 2
