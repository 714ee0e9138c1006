"""Tables as levels: kinds of columns, missing and unseen cells, the way back."""

import json
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from qtnml import TableEncoder
from qtnml.data.frames import Table
from qtnml.errors import InvalidInputError, MergedBinsWarning, MissingExtraError, UnseenCategoryWarning

pytestmark = pytest.mark.portable


@pytest.fixture
def table(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "colour": pd.Series(["red", "blue", None, "red"] * 10, dtype=object),
            "size": rng.normal(size=40),
            "count": [0, 1, 5, 1] * 10,
            "flag": [True, False, True, True] * 10,
            "constant": [3.5] * 40,
        }
    )


def test_columns_find_their_kind(table: pd.DataFrame) -> None:
    table.loc[3, "size"] = np.nan
    encoder = TableEncoder(bins=4).fit(table)
    colour, size, count, flag, constant = encoder.columns_
    assert colour.values == ("blue", "red")
    assert size.kind == "bins"
    assert size.num_levels == 4
    assert count.values == (0.0, 1.0, 5.0)
    assert flag.values == (False, True)
    assert constant.values == (3.5,)
    assert encoder.site_dims_ == (2, 4, 3, 2, 1)
    levels = encoder.transform(table)
    assert levels[:4, 0].tolist() == [1, 0, -1, 1]
    assert levels[3, 1] == -1
    counts = np.bincount(levels[levels[:, 1] >= 0, 1])
    assert counts.max() - counts.min() <= 1  # quantiles
    assert colour.label(1) == "red"
    assert count.label(2) == "5"
    assert size.label(0).startswith("< ")
    assert size.label(1).startswith("[")
    assert size.label(3).startswith(">= ")


def test_the_way_back(table: pd.DataFrame) -> None:
    encoder = TableEncoder(bins=4).fit(table)
    levels = encoder.transform(table)
    back = encoder.inverse_transform(levels)
    assert list(back.columns) == list(table.columns)
    for name in ("count", "flag", "constant"):
        np.testing.assert_array_equal(back[name].astype(float), table[name].astype(float))
    assert back["colour"].isna().sum() == 10
    np.testing.assert_array_equal(encoder.transform(back), levels)  # middles lie in their bins
    drawn = encoder.inverse_transform(levels, random_state=0)
    np.testing.assert_array_equal(encoder.transform(drawn), levels)
    assert (drawn["size"] != back["size"]).all()
    again = TableEncoder.from_dict(encoder.to_dict())
    np.testing.assert_array_equal(again.transform(table), levels)
    assert again.get_params() == encoder.get_params()


def test_numbers_beyond_what_was_seen_fall_into_the_end_bins() -> None:
    X = np.linspace(0, 1, 50)[:, None]
    for binning in ("quantile", "uniform"):
        encoder = TableEncoder(bins=5, binning=binning).fit(X)  # type: ignore[arg-type]
        assert encoder.transform([[-9.0], [9.0], [np.nan]]).ravel().tolist() == [0, 4, -1]
    encoder = TableEncoder(bins=5, binning="uniform").fit(X)
    inside, outside, missing = encoder.log_densities([[0.5], [9.0], [np.nan]], np.array([[2], [4], [-1]]))[
        :, 0
    ]
    assert inside == pytest.approx(np.log(5), abs=0.05)
    assert outside < inside - 50
    assert missing == 0


@pytest.mark.parametrize("binning", ["quantile", "uniform"])
def test_frequent_values_are_levels_of_their_own(binning: Any) -> None:
    X = np.concatenate([np.zeros(90), np.arange(1, 11)])[:, None]
    encoder = TableEncoder(bins=8, binning=binning).fit(X)
    (column,) = encoder.columns_
    assert column.values == (0.0,)
    assert encoder.site_dims_ == (8,)
    levels = encoder.transform(X)[:, 0]
    assert len(np.unique(levels)) == 8
    assert ((levels == 0) == (X[:, 0] == 0)).all()
    assert encoder.inverse_transform(levels[:, None], 0)[:90].max() == 0
    assert column.label(0) == "0"


def test_zero_inflated_columns_are_drawn_as_they_are(rng: np.random.Generator) -> None:
    zeros = rng.random(4000) < 0.94
    for X in (
        np.where(zeros, 0.0, rng.exponential(1000, 4000)),
        np.where(zeros, 0, rng.integers(-50, 2000, 4000)),  # zero lies inside the range of the others
        np.where(zeros, 7.5, rng.normal(0, 10, 4000)),
    ):
        frequent = X[zeros][0]
        encoder = TableEncoder(bins=8).fit(X[:, None])
        levels = encoder.transform(X[:, None])
        for seed in (None, 0):
            back = encoder.inverse_transform(levels, seed)
            np.testing.assert_array_equal(encoder.transform(back), levels)
            assert ((back[:, 0] == frequent) == (frequent == X)).all()
        rest = frequent != X
        assert abs(np.median(back[rest, 0]) - np.median(X[rest])) < 0.2 * X[rest].std()
        np.testing.assert_array_equal(encoder.log_densities(X[~rest, None], levels[~rest]), 0)


def test_rounded_numbers_are_no_point_masses(rng: np.random.Generator) -> None:
    X = np.concatenate([rng.normal(size=(300, 1)).round(1), rng.integers(0, 30, (300, 1))], axis=1)
    rounded, whole = TableEncoder(bins=16).fit(X).columns_
    assert rounded.values == ()
    assert rounded.num_levels > 8
    X[:120, 0] = 0.0  # and here is one
    assert TableEncoder(bins=16).fit(X).columns_[0].values == (0.0,)
    # An integer's probability is its density: levels of their own change nothing.
    assert whole.num_levels == 16


@pytest.mark.parametrize("bins", [2, 3, 8, 16])
def test_a_column_that_is_not_constant_has_two_levels_at_least(bins: int, rng: np.random.Generator) -> None:
    for _ in range(200):
        distinct = rng.integers(3, 30)
        shares = rng.dirichlet(np.full(distinct, 10.0 ** rng.uniform(-2, 2)))
        values = rng.normal(size=distinct) if rng.random() < 0.5 else rng.permutation(100)[:distinct]
        X = rng.choice(values, 200, p=shares)[:, None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MergedBinsWarning)  # few values for so many bins
            encoder = TableEncoder(bins, max_values=2).fit(X)
        levels = encoder.transform(X)
        assert encoder.site_dims_[0] >= min(2, len(np.unique(X)))
        np.testing.assert_array_equal(encoder.transform(encoder.inverse_transform(levels, 0)), levels)
        again = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
        np.testing.assert_array_equal(again.transform(X), levels)


def test_merged_bins_are_told() -> None:
    X = np.repeat(np.arange(5.0), 4)[:, None]
    with pytest.warns(
        MergedBinsWarning, match="'x0': its 5 values make 4 levels, not 8; set bins=4, or max_va"
    ):
        TableEncoder(8, max_values=2).fit(X)


def test_bins_of_one_ulp_give_their_level_back() -> None:
    X = 1.0 + np.spacing(1.0) * np.arange(12)[:, None]
    encoder = TableEncoder(11, max_values=2).fit(X)
    levels = encoder.transform(X)
    assert encoder.site_dims_ == (11,)
    for seed in (None, 0, 1):
        np.testing.assert_array_equal(encoder.transform(encoder.inverse_transform(levels, seed)), levels)


def test_long_doubles_are_numbers() -> None:
    cells = np.array([[np.longdouble(v)] for v in np.linspace(0, 1, 20)], dtype=object)
    for X in (cells, cells.astype(np.longdouble)):
        assert TableEncoder(bins=3).fit(X).columns_[0].kind == "bins"
    with pytest.raises(InvalidInputError, match="beyond double precision"):
        TableEncoder().fit(np.array([[np.longdouble("1e4000")], [np.longdouble(1)]]))


def test_masked_cells_are_missing() -> None:
    table = np.ma.masked_array([[1.0, -999.0], [-999.0, 2.0]] * 20, mask=[[0, 1], [1, 0]] * 20)
    for masked in (table, table.astype(int)):
        encoder = TableEncoder(bins=4).fit(masked)
        assert [column.values for column in encoder.columns_] == [(1.0,), (2.0,)]
        assert encoder.transform(masked)[:2].tolist() == [[0, -1], [-1, 0]]


def test_held_out_rows_do_not_shape_bins(rng: np.random.Generator) -> None:
    X = np.concatenate([rng.normal(size=300), rng.normal(size=100) + 50])[:, None]
    held_out = np.arange(400) >= 300
    encoder = TableEncoder(8).fit_table(Table.of(X), np.ones(400), held_out)
    np.testing.assert_array_equal(encoder.columns_[0].edges, TableEncoder(8).fit(X[:300]).columns_[0].edges)
    letters = np.array([["a"]] * 300 + [["b"]] * 100, dtype=object)
    assert TableEncoder().fit_table(Table.of(letters), np.ones(400), held_out).columns_[0].values == (
        "a",
        "b",
    )


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_frames_of_other_libraries(table: pd.DataFrame, library: str) -> None:
    module = pytest.importorskip(library)

    def made(frame: pd.DataFrame) -> Any:
        columns = {name: [None if pd.isna(c) else c for c in frame[name].tolist()] for name in frame}
        return module.DataFrame(columns) if library == "polars" else module.table(columns)

    frame = made(table)
    encoder = TableEncoder(bins=4, categorical=["count"]).fit(frame)
    assert encoder.feature_names_in_.tolist() == list(table.columns)
    levels = encoder.transform(frame)
    np.testing.assert_array_equal(levels, TableEncoder(bins=4, categorical=["count"]).fit_transform(table))
    back = encoder.inverse_transform(levels)
    assert isinstance(back, type(frame))
    np.testing.assert_array_equal(encoder.transform(back), levels)
    with pytest.raises(InvalidInputError, match="feature names should match"):
        encoder.transform(made(table[["size", "colour", "count", "flag", "constant"]]))
    stored = json.loads(json.dumps(encoder.to_dict()))
    assert isinstance(TableEncoder.from_dict(stored).inverse_transform(levels), type(frame))
    stored["library"] = "modin"
    with pytest.raises(MissingExtraError, match="DataFrame of modin, which is not installed"):
        TableEncoder.from_dict(stored).inverse_transform(levels)


@pytest.mark.slow
def test_many_columns_take_their_time_once(rng: np.random.Generator) -> None:
    """Names are looked up by hash: quadratic look-ups of 30,000 names would take a minute."""
    frame = pd.DataFrame(rng.random((3, 30_000)), columns=[f"c{k}" for k in range(30_000)])
    encoder = TableEncoder(bins=2, categorical=["c5"]).fit(frame)
    assert encoder.columns_[5].kind == "values"
    with pytest.raises(InvalidInputError, match="several columns are called 'c0'"):
        TableEncoder().fit(frame.rename(columns={"c29999": "c0"}))


def test_unseen_values_are_an_error_or_missing(table: pd.DataFrame) -> None:
    strange = table.head(3).assign(colour=["green", "red", "violet"], count=[0, 7, 1])
    encoder = TableEncoder(bins=4).fit(table)
    message = r"value 'green' in column 'colour' \(row 0\) was not seen in fit, nor 1 more in other columns"
    with pytest.raises(InvalidInputError, match=message):
        encoder.transform(strange)
    lenient = TableEncoder(bins=4, unseen="missing").fit(table)
    with pytest.warns(UnseenCategoryWarning, match="such values count as missing"):
        assert lenient.transform(strange)[:, 0].tolist() == [-1, 1, -1]
    _, where = lenient.transform_quietly(strange)
    assert where.sum() == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bins": 1}, "bins must be an integer from 2 to 256, got 1"),
        ({"max_values": True}, "max_values must be an integer from 2 to 256, got True"),
        ({"binning": "equal"}, "binning must be one of"),
        ({"unseen": "ignore"}, "unseen must be one of"),
        ({"categorical": "colour"}, "categorical is a sequence of columns"),
        ({"categorical": ["nothing"]}, "categorical names 'nothing', which is no column"),
    ],
)
def test_bad_settings(table: pd.DataFrame, settings: dict, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TableEncoder(**settings).fit(table)


def test_bad_tables(table: pd.DataFrame) -> None:
    for X, message in (
        (np.zeros(3), "Expected 2D array, got array of 1 dimensions"),
        (np.zeros((0, 2)), r"Found array with 0 sample\(s\)"),
        ([[np.inf, 1.0]], "column 'x0' has infinite values"),
        ([[None], [""]], "column 'x0' has no values at all"),
        ([[str(k)] for k in range(300)], "has 300 different values, more than 256"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            TableEncoder().fit(
                np.asarray(X, dtype=object) if isinstance(X, list) and X[0][0] is None else np.asarray(X)
            )
    encoder = TableEncoder(bins=4).fit(table)
    with pytest.raises(InvalidInputError, match="X has 2 features, but TableEncoder is expecting 5"):
        encoder.transform(table.iloc[:, :2])
    with pytest.raises(InvalidInputError, match="feature names should match"):
        encoder.transform(table.rename(columns={"flag": "other"}))
    with pytest.raises(InvalidInputError, match="column 'size' was numbers in fit"):
        encoder.transform(table.assign(size="large"))
    categories = TableEncoder(bins=4, categorical=["size"]).fit(table)
    assert categories.columns_[1].kind == "values"


def test_odd_cells(table: pd.DataFrame) -> None:
    nullable = table.assign(flag=table["flag"].astype("boolean"), count=table["count"].astype("Int64"))
    nullable.loc[2, "flag"] = pd.NA
    encoder = TableEncoder(bins=4).fit(nullable)
    assert encoder.transform(nullable)[2, 3] == -1
    assert encoder.columns_[3].values == (False, True)
    category = table.assign(colour=table["colour"].astype("category"))
    assert TableEncoder(bins=4).fit(category).columns_[0].values == ("blue", "red")
    for column, message in (
        (pd.to_timedelta([3] * 40, unit="D"), "has a cell of type (Timedelta|timedelta64)"),
        (pd.Series([[1, 2]] * 40), "has a cell of type list"),
        (pd.Series([10**400] * 40, dtype=object), "infinite values or numbers beyond double precision"),
        (pd.Series([1.0, float("inf")] * 20, dtype=object), "infinite values or numbers beyond"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            TableEncoder(bins=4).fit(table.assign(odd=column))
    twice = pd.concat([table, table[["size"]]], axis=1)
    with pytest.raises(InvalidInputError, match="several columns are called 'size'"):
        TableEncoder(bins=4).fit(twice)
    wide = np.concatenate([np.linspace(-1.7e308, -1.6e308, 20), np.linspace(1.6e308, 1.7e308, 20)])
    with pytest.raises(InvalidInputError, match="too wide for double precision"):
        TableEncoder(bins=4, binning="uniform").fit(wide[:, None])


def test_numbers_far_outside_are_told(table: pd.DataFrame) -> None:
    encoder = TableEncoder(bins=4).fit(table)
    far = table.head(3).assign(size=[1e9, 0.0, -1e9])
    assert encoder.out_of_range(far)[:, 1].tolist() == [True, False, True]
    assert not encoder.out_of_range(table).any()
    assert encoder.get_feature_names_out().tolist() == list(table.columns)
    with pytest.raises(InvalidInputError, match=r"expected integer levels of shape \(samples, 5\)"):
        encoder.inverse_transform([[0, 1]])


@pytest.mark.parametrize("binning", ["quantile", "uniform"])
def test_integers_and_booleans_come_back_as_such(binning: Any) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "many": rng.integers(-5, 200, 300),
            "few": rng.integers(0, 3, 300),
            "real": rng.normal(size=300),
            "flag": rng.random(300) < 0.5,
        }
    )
    table["holes"] = table["many"].astype("Int64").where(table["few"] > 0)
    encoder = TableEncoder(6, binning=binning).fit(table)
    encoder = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    levels = encoder.transform(table)
    for seed in (None, 0):
        back = encoder.inverse_transform(levels, seed)
        np.testing.assert_array_equal(encoder.transform(back), levels)
        assert [dtype.kind for dtype in back.dtypes] == ["i", "i", "f", "b", "f"]
        numbers = back["holes"].dropna()
        assert len(numbers) == (table["few"] > 0).sum()
        np.testing.assert_array_equal(numbers, np.round(numbers))


def test_no_bin_lacks_an_integer() -> None:
    with pytest.warns(MergedBinsWarning, match="its 12 values make 11 levels, not 40"):
        encoder = TableEncoder(40, binning="uniform", max_values=2).fit(pd.DataFrame({"a": range(12)}))
    levels = np.arange(encoder.site_dims_[0])[:, None]
    assert encoder.site_dims_ == (11,)
    for seed in (None, 0, 1):
        np.testing.assert_array_equal(encoder.transform(encoder.inverse_transform(levels, seed)), levels)


def test_integers_beyond_double_precision_are_refused() -> None:
    for cells in (np.array([2**60 + 1, 3]), pd.array([2**60 + 1, None], dtype="Int64")):
        with pytest.raises(InvalidInputError, match=r"column 'id' has the integer .*beyond 2\*\*53.*text"):
            TableEncoder().fit(pd.DataFrame({"id": cells}))
    with pytest.raises(InvalidInputError, match="decode bytes"):
        TableEncoder().fit(np.array([[b"a"], [b"b"]]))
    with pytest.raises(InvalidInputError, match="random_state cannot be -1"):
        TableEncoder().fit([[1], [2]]).inverse_transform([[0]], -1)


def test_no_bin_reaches_across_a_point_mass() -> None:
    """Ages of 0 to 14 of which five are frequent: 1 is not in one bin with 7 and 8."""
    rng = np.random.default_rng(0)
    ages = np.concatenate([rng.integers(0, 15, 160), rng.integers(2, 7, 240)])
    encoder = TableEncoder().fit(ages.reshape(-1, 1))
    (column,) = encoder.columns_
    levels = encoder.transform(np.arange(15).reshape(-1, 1))[:, 0]
    for level in range(column.num_levels):
        own = np.flatnonzero(levels == level)
        assert len(own)
        assert (np.diff(own) == 1).all(), (level, own)


def test_whole_numbers_with_gaps_stay_whole() -> None:
    frame = pd.DataFrame({"age": [1, 2, None, 40, 7, 3, 22, 15, 9, 31, 12, 5] * 10, "kind": ["a", "b"] * 60})
    assert frame["age"].dtype == np.float64
    encoder = TableEncoder(4, unseen="missing").fit(frame)
    assert encoder.columns_[0].is_whole
    back = encoder.inverse_transform(encoder.transform(frame.dropna()))
    assert (back["age"] == back["age"].round()).all()
    assert not TableEncoder(4).fit(frame.assign(age=frame["age"] + 0.5)).columns_[0].is_whole


def test_whole_numbers_that_came_as_floats_are_drawn_whole() -> None:
    rng = np.random.default_rng(0)
    age = rng.integers(18, 90, 300).astype(float)  # as pandas leaves integers whose gaps were dropped
    encoder = TableEncoder(4).fit(pd.DataFrame({"age": age}))
    assert encoder.columns_[0].is_whole
    drawn = encoder.inverse_transform(np.arange(4)[:, None])["age"]
    assert drawn.dtype == np.float64
    assert (drawn == drawn.round()).all()
