"""Dates and times in tables."""

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from qtnml import TableEncoder, TreeBornMachine, load_model
from qtnml.data import date_parts
from qtnml.errors import InvalidInputError


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Sales whose number depends on the hour, over two years."""
    rng = np.random.default_rng(0)
    hours = rng.integers(0, 2 * 365 * 24, 1500)
    sold = pd.to_datetime("2023-01-01") + pd.to_timedelta(hours * 60 + rng.integers(0, 60, 1500), unit="min")
    amount = 5 + 3 * np.cos((hours % 24) / 24 * 2 * np.pi) + rng.normal(size=1500)
    return pd.DataFrame({"sold": sold, "amount": amount})


def test_dates_are_days_since_1970_and_come_back(table: pd.DataFrame) -> None:
    encoder = TableEncoder(bins=6).fit(table)
    column = encoder.columns_[0]
    assert column.is_date
    levels = encoder.transform(table)
    assert sorted(set(levels[:, 0])) == list(range(6))
    back = encoder.inverse_transform(levels, random_state=0)
    assert back["sold"].dtype.kind == "M"
    assert np.array_equal(encoder.transform(back)[:, 0], levels[:, 0])
    assert column.label(0).startswith("< 2023-")
    # The density is per day: 730 days, about evenly.
    density = np.exp(encoder.log_densities(table, levels)[:, 0]) / 6
    assert abs(np.median(density) * 730 - 1) < 0.15


def test_whole_days_and_missing_ones(tmp_path: Path) -> None:
    days = pd.Series(pd.date_range("2024-01-01", periods=400, freq="D"))
    days[::50] = pd.NaT
    table = pd.DataFrame({"day": days, "x": np.arange(400.0)})
    born = TreeBornMachine(8, encoder=TableEncoder(bins=8), random_state=0)
    with pytest.warns(UserWarning, match="missing"):
        born.fit(table)
    drawn = born.sample(50, random_state=0)
    assert (drawn["day"].dt.normalize() == drawn["day"]).all()
    filled = born.impute(table)
    assert not filled["day"].isna().any()
    assert (filled["day"][1:50].to_numpy() == days[1:50].to_numpy()).all()
    assert abs((filled["day"][200] - pd.Timestamp("2024-07-19")).days) < 60
    born.save(tmp_path / "born.npz")
    again = load_model(tmp_path / "born.npz")
    assert np.array_equal(again.score_samples(table), born.score_samples(table))
    assert again.sample(3, random_state=0)["day"].dtype.kind == "M"


def test_polars_python_dates_and_time_zones_are_dates_too(table: pd.DataFrame) -> None:
    levels = TableEncoder(bins=6).fit(table).transform(table)
    frame = pl.from_pandas(table)
    encoder = TableEncoder(bins=6).fit(frame)
    assert np.array_equal(encoder.transform(frame), levels)
    assert encoder.inverse_transform(levels)["sold"].dtype == pl.Datetime("us")
    zoned = table.assign(sold=table["sold"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"))
    assert np.array_equal(TableEncoder(bins=6).fit(zoned).transform(zoned), levels)
    rows = [[row.sold.to_pydatetime(), row.amount] for row in table.itertuples()]
    assert np.array_equal(TableEncoder(bins=6).fit(rows).transform(rows), levels)
    days = [[datetime.date(2024, 1, 1 + k % 28), float(k)] for k in range(100)]
    assert TableEncoder(bins=4).fit(days).columns_[0].is_whole


def test_what_repeats_of_a_date(table: pd.DataFrame) -> None:
    wide = date_parts(table, parts=("year", "month", "day", "weekday", "day_of_year", "hour"))
    sold = table["sold"].dt
    assert (wide["sold year"] == sold.year).all()
    assert (wide["sold month"] == sold.month).all()
    assert (wide["sold day"] == sold.day).all()
    assert (wide["sold weekday"] == sold.day_name()).all()
    assert (np.floor(wide["sold day_of_year"]) == sold.day_of_year - 1).all()
    np.testing.assert_allclose(wide["sold hour"], sold.hour + sold.minute / 60, atol=1e-6)
    assert list(table.columns) == ["sold", "amount"]
    other = date_parts(pl.from_pandas(table), parts=("hour",))
    np.testing.assert_allclose(other["sold hour"].to_numpy(), wide["sold hour"], atol=1e-6)
    shuffled = table.sample(frac=1, random_state=0)
    assert (date_parts(shuffled, parts=("year",))["sold year"] == shuffled["sold"].dt.year).all()


def test_hours_on_periodic_functions_tell_of_the_amount(table: pd.DataFrame) -> None:
    wide = date_parts(table, parts=("hour",))
    encoder = TableEncoder(functions={"sold hour": "fourier", "amount": "hermite"})
    born = TreeBornMachine(12, encoder=encoder, random_state=0).fit(wide[:1200])
    alone = TreeBornMachine(1, encoder=encoder, random_state=0).fit(wide[:1200])
    assert born.score(wide[1200:]) > alone.score(wide[1200:]) + 0.4
    given = pd.DataFrame({"sold": [pd.NaT] * 2, "amount": [np.nan] * 2, "sold hour": [0.2, 12.0]})
    given["sold"] = pd.to_datetime(given["sold"])
    drawn = born.sample(300, given=given, random_state=0)["amount"].to_numpy().reshape(2, -1).mean(axis=1)
    assert abs(drawn[0] - 8) < 1
    assert abs(drawn[1] - 2) < 1


def test_what_is_no_date_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(InvalidInputError, match="no dates"):
        date_parts(table, columns=["amount"])
    with pytest.raises(InvalidInputError, match="parts"):
        date_parts(table, parts=("minute",))
    with pytest.raises(InvalidInputError, match="DataFrame"):
        date_parts(np.zeros((3, 2)))
    with pytest.raises(InvalidInputError, match="already"):
        date_parts(table.assign(**{"sold hour": 1.0}), parts=("hour",))
    mixed = [[datetime.date(2024, 1, 1)], [3.0]]
    with pytest.raises(InvalidInputError, match="date"):
        TableEncoder().fit(mixed)
