"""Tables as levels: kinds of columns, missing and unseen cells, the way back."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from qtnml import TableEncoder
from qtnml.errors import InvalidInputError, UnseenCategoryWarning


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
    widths = TableEncoder(bins=5, binning="uniform").fit(X).log_widths(np.array([[2], [-1]]))
    np.testing.assert_allclose(widths, [np.log(0.2), 0.0])


def test_frequent_values_swallow_quantiles() -> None:
    X = np.concatenate([np.zeros(90), np.arange(1, 11)])[:, None]
    encoder = TableEncoder(bins=8).fit(X)
    assert 1 <= encoder.site_dims_[0] < 8
    assert len(np.unique(encoder.transform(X))) == encoder.site_dims_[0]


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
        (pd.to_datetime(["2020-01-01"] * 40), "has a cell of type Timestamp"),
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
    assert encoder.beyond(far)[:, 1].tolist() == [True, False, True]
    assert not encoder.beyond(table).any()
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
