"""Orthonormal functions of columns, and Born machines on them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri
from scipy.stats import kstest

from qtnml import (
    AmplitudeTreeClassifier,
    BornClassifier,
    BornMixture,
    MPSBornMachine,
    TableEncoder,
    TreeBornMachine,
    load_model,
)
from qtnml.data.functions import FUNCTIONS, isometry
from qtnml.errors import InvalidInputError

RHO = 0.8


def normal_pairs(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Two standard normal numbers with correlation 0.8."""
    return rng.multivariate_normal([0, 0], [[1, RHO], [RHO, 1]], rows)


@pytest.mark.parametrize("kind", FUNCTIONS)
@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_functions_are_orthonormal_and_begin_with_the_masses(kind: str, count: int) -> None:
    masses = np.random.default_rng(0).uniform(0.5, 1.5, 40)
    found = isometry(kind, masses, count)
    assert found.shape == (40, count)
    np.testing.assert_allclose(found.T @ found, np.eye(count), atol=1e-12)
    np.testing.assert_allclose(found[:, 0] ** 2, masses / masses.sum(), atol=1e-12)


def test_hermite_functions_hold_a_normal_dependence_in_few_terms() -> None:
    cells = 200
    z = ndtri((np.arange(cells) + 0.5) / cells)
    copula = np.exp(-(RHO**2 * (z[:, None] ** 2 + z**2) - 2 * RHO * z[:, None] * z) / (2 * (1 - RHO**2)))
    amplitudes = np.sqrt(copula / copula.sum())
    lost = {}
    for kind in FUNCTIONS:
        functions = isometry(kind, np.ones(cells), 8)
        lost[kind] = 1 - np.linalg.norm(functions.T @ amplitudes @ functions) ** 2
    assert lost["hermite"] < 1e-4
    assert lost["hermite"] < lost["legendre"] / 10
    assert lost["legendre"] < lost["fourier"] / 10  # sines and cosines join the ends of the range


@pytest.fixture(scope="module")
def pairs() -> np.ndarray:
    return normal_pairs(np.random.default_rng(0), 3000)


@pytest.fixture(scope="module")
def born(pairs: np.ndarray) -> TreeBornMachine:
    encoder = TableEncoder(functions="hermite", num_functions=6)
    return TreeBornMachine(8, encoder=encoder, random_state=0).fit(pairs)


@pytest.mark.slow
def test_the_density_is_normalised_and_near_the_truth(born: TreeBornMachine, pairs: np.ndarray) -> None:
    line = np.linspace(-9, 9, 1201)
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    density = np.exp(born.score_samples(grid))
    assert abs(density.sum() * (line[1] - line[0]) ** 2 - 1) < 0.01
    new = normal_pairs(np.random.default_rng(1), 4000)
    truth = -np.log(2 * np.pi * np.sqrt(1 - RHO**2)) - (
        new[:, 0] ** 2 + new[:, 1] ** 2 - 2 * RHO * new[:, 0] * new[:, 1]
    ) / (2 * (1 - RHO**2))
    lost = truth.mean() - born.score(new)
    binned = TreeBornMachine(8, encoder=TableEncoder(), random_state=0).fit(pairs)
    assert 0 < lost < 0.1
    assert lost < 0.7 * (truth.mean() - binned.score(new))


def test_samples_follow_the_density(born: TreeBornMachine) -> None:
    drawn = np.asarray(born.sample(4000, random_state=1))
    assert abs(np.corrcoef(drawn.T)[0, 1] - RHO) < 0.04
    for column in drawn.T:
        assert kstest(column, "norm").pvalue > 1e-4
    given = np.array([[1.5, np.nan]])
    conditional = np.asarray(born.sample(4000, given=given, random_state=2))[:, 1]
    assert abs(conditional.mean() - RHO * 1.5) < 0.1
    assert abs(conditional.std() - np.sqrt(1 - RHO**2)) < 0.1


def test_missing_values_are_integrated_over(born: TreeBornMachine) -> None:
    line = np.linspace(-9, 9, 4001)
    joint = np.exp(born.score_samples(np.stack([np.full_like(line, 0.3), line], axis=1)))
    alone = np.exp(born.score_samples(np.array([[0.3, np.nan]])))[0]
    assert abs(joint.sum() * (line[1] - line[0]) / alone - 1) < 0.01
    filled = np.asarray(born.impute(np.array([[1.5, np.nan]])))
    assert filled[0, 0] == 1.5
    assert abs(filled[0, 1] - RHO * 1.5) < 0.5


def test_the_state_lies_in_the_functions_and_goes_on_from_there(pairs: np.ndarray) -> None:
    encoder = TableEncoder(functions="legendre", num_functions=4, cells=32)
    born = TreeBornMachine(4, encoder=encoder, random_state=0).fit(pairs)
    functions = born.encoder_.site_maps_[0]
    assert functions is not None
    assert born.state_.sites.dims == (32, 32)
    core = np.asarray(born.state_.cores[0])
    axis = next(k for k, dim in enumerate(core.shape) if dim == 32)
    flat = np.moveaxis(core, axis, 0).reshape(32, -1)
    np.testing.assert_allclose(functions @ (functions.T @ flat), flat, atol=1e-9)
    before = born.score(pairs)
    born.set_params(warm_start=True, epochs=2)
    assert born.fit(pairs).score(pairs) > before - 1e-3


def test_its_circuit_draws_the_cells(pairs: np.ndarray) -> None:
    encoder = TableEncoder(functions="legendre", num_functions=3, cells=8, bins=4)
    born = MPSBornMachine(3, encoder=encoder, random_state=0).fit(pairs)
    compiled = born.compile()
    assert compiled.infidelity < 1e-9
    measured = born.to_backend("exact", shots=4000, jobs=False)
    drawn = np.asarray(measured.sample(4000))
    assert (
        abs(np.corrcoef(drawn.T)[0, 1] - np.corrcoef(np.asarray(born.sample(4000, random_state=0)).T)[0, 1])
        < 0.1
    )


def test_files_keep_the_functions(born: TreeBornMachine, pairs: np.ndarray, tmp_path: Path) -> None:
    born.save(tmp_path / "born.npz")
    again = load_model(tmp_path / "born.npz")
    assert np.array_equal(again.score_samples(pairs[:50]), born.score_samples(pairs[:50]))
    assert again.get_params()["encoder"].functions == "hermite"


def test_some_columns_have_functions_and_some_have_point_masses(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hour = rng.uniform(0, 24, 2000)
    warm = np.sin(hour / 24 * 2 * np.pi) + 0.2 * rng.normal(size=2000)
    rain = np.where(rng.random(2000) < 0.6, 0.0, rng.exponential(size=2000))
    table = pd.DataFrame({"hour": hour, "warm": warm, "rain": rain, "kind": rng.choice(["a", "b"], 2000)})
    encoder = TableEncoder(functions={"hour": "fourier", 1: "legendre", "rain": "legendre"})
    born = TreeBornMachine(16, encoder=encoder, random_state=0).fit(table)
    maps = born.encoder_.site_maps_
    assert [None if m is None else m.shape[1] for m in maps] == [8, 8, 9, None]  # a zero, and eight functions
    plain = TreeBornMachine(16, encoder=TableEncoder(), random_state=0).fit(table[:1500])
    smooth = TreeBornMachine(16, encoder=encoder, random_state=0).fit(table[:1500])
    assert smooth.score(table[1500:]) > plain.score(table[1500:])
    assert abs((born.sample(2000, random_state=0)["rain"] == 0).mean() - 0.6) < 0.05
    born.save(tmp_path / "born.npz")
    again = load_model(tmp_path / "born.npz")
    assert np.array_equal(again.score_samples(table[:20]), born.score_samples(table[:20]))


def test_mixtures_and_classifiers_on_functions(pairs: np.ndarray) -> None:
    encoder = TableEncoder(functions="legendre", num_functions=5)
    mixture = BornMixture(TreeBornMachine(4, encoder=encoder), 2, random_state=0).fit(pairs[:1000])
    assert mixture.score(pairs[1000:2000]) > -2.6
    y = (pairs[:, 0] > pairs[:, 1]).astype(int)
    classifier = BornClassifier(TreeBornMachine(8, encoder=encoder), random_state=0).fit(
        pairs[:1500], y[:1500]
    )
    assert classifier.score(pairs[1500:], y[1500:]) > 0.8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"functions": "chebyshev"}, "functions"),
        ({"functions": {"x9": "legendre"}}, "no column"),
        ({"functions": [("x0",)]}, "functions"),
        ({"functions": "legendre", "cells": 6}, "cells"),
        ({"num_functions": 1}, "num_functions"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TableEncoder(**settings).fit(np.random.default_rng(0).normal(size=(50, 2)))  # type: ignore[arg-type]


def test_functions_of_text_are_refused() -> None:
    rows = [["a", 1.0], ["b", 2.0]] * 20
    with pytest.raises(InvalidInputError, match="no numbers"):
        TableEncoder(functions={0: "legendre"}).fit(rows)


def test_models_without_functions_say_so(pairs: np.ndarray) -> None:
    encoder = TableEncoder(functions="legendre")
    with pytest.raises(InvalidInputError, match="sweeps"):
        TreeBornMachine(4, encoder=encoder, method="gradient").fit(pairs)
    with pytest.raises(InvalidInputError, match="functions"):
        AmplitudeTreeClassifier(4, encoder=encoder).fit(pairs, pairs[:, 0] > 0)
