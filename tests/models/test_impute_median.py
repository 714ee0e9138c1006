"""Medians of what is missing, given what is there."""

import numpy as np
import pandas as pd
import pytest

from qtnml import BornMixture, TableEncoder, TreeBornMachine
from qtnml.errors import InvalidInputError, UnseenCategoryWarning

RHO = 0.8


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x, y = rng.multivariate_normal([0, 0], [[1, RHO], [RHO, 1]], 2000).T
    sign = np.where(x + 0.3 * rng.normal(size=2000) > 0, "up", "down")
    rain = np.where(rng.random(2000) < 0.7, 0.0, rng.exponential(size=2000))
    return pd.DataFrame({"x": x, "y": y, "sign": sign, "rain": rain})


@pytest.fixture(scope="module")
def born(table: pd.DataFrame) -> TreeBornMachine:
    encoder = TableEncoder(functions={"x": "hermite", "y": "hermite"})
    return TreeBornMachine(16, encoder=encoder, random_state=0).fit(table)


def test_medians_are_those_of_the_conditional_distribution(
    born: TreeBornMachine, table: pd.DataFrame
) -> None:
    given = table[:40].copy()
    truth = RHO * given["x"].to_numpy()  # of a normal pair
    given["y"] = np.nan
    given["sign"] = None
    filled = born.impute(given, method="median")
    assert (filled["x"] == given["x"]).all()
    assert np.abs(filled["y"] - truth).mean() < 0.15
    assert (filled["sign"] == np.where(given["x"] > 0, "up", "down")).mean() > 0.85
    # Half of the draws lie below each median.
    drawn = born.sample(2000, given=given[:5], random_state=0)["y"].to_numpy().reshape(5, -1)
    below = (drawn < filled["y"].to_numpy()[:5, None]).mean(axis=1)
    assert np.abs(below - 0.5).max() < 0.06


def test_a_median_may_be_a_point_mass(born: TreeBornMachine) -> None:
    given = pd.DataFrame({"x": [0.0], "y": [0.0], "sign": ["up"], "rain": [np.nan]})
    assert born.impute(given, method="median")["rain"][0] == 0.0


def test_medians_err_less_than_the_likeliest_cells(born: TreeBornMachine, table: pd.DataFrame) -> None:
    given = table[:300].copy()
    given["y"] = np.nan
    error = {
        method: np.abs(born.impute(given, method=method)["y"] - table["y"][:300]).mean()
        for method in ("median", "most-probable", "sample")
    }
    assert error["median"] < error["most-probable"]
    assert error["median"] < 0.85 * error["sample"]


def test_mixtures_and_bits_take_medians_too(table: pd.DataFrame) -> None:
    encoder = TableEncoder(functions={"x": "legendre", "y": "legendre"})
    mixture = BornMixture(TreeBornMachine(8, encoder=encoder), 2, random_state=0).fit(table[:800])
    given = table[:100].copy()
    given["y"] = np.nan
    filled = mixture.impute(given, method="median")
    assert np.abs(filled["y"] - RHO * given["x"]).mean() < 0.3
    bits = np.random.default_rng(0).integers(0, 2, (400, 3)).astype(float)
    bits[:, 2] = bits[:, 0]
    born = TreeBornMachine(4, random_state=0).fit(bits)
    holes = bits[:20].copy()
    holes[:, 2] = np.nan
    assert np.array_equal(born.impute(holes, method="median"), bits[:20])


def test_a_table_is_encoded_once(table: pd.DataFrame) -> None:
    """So that a value never seen is told of once."""
    encoder = TableEncoder(unseen="missing")
    for model in (TreeBornMachine(4, encoder=encoder), BornMixture(TreeBornMachine(4, encoder=encoder), 2)):
        model.set_params(random_state=0).fit(table[:400])
        odd = table[:3].assign(sign=["up", "sideways", None])
        with pytest.warns(UnseenCategoryWarning) as told:
            filled = model.impute(odd, method="median")
        assert len(told) == 1
        assert set(filled["sign"][1:]) <= {"up", "down"}


def test_other_methods_are_refused(born: TreeBornMachine, table: pd.DataFrame) -> None:
    with pytest.raises(InvalidInputError, match="median"):
        born.impute(table, method="mean")  # type: ignore[arg-type]
