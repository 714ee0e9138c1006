"""Densities of single columns: normalised, close to the truth, and finite everywhere."""

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pytest
from scipy import stats

from qtnml.data.marginal import Marginal, marginal_from
from qtnml.errors import InvalidInputError

DISTRIBUTIONS = {
    "normal": stats.norm(3, 2),
    "exponential": stats.expon(scale=5),
    "uniform": stats.uniform(-1, 3),
    "heavy tails": stats.t(2),
    "log-normal": stats.lognorm(1.5),
    "a spike on a plain": None,
}


def draws(
    name: str, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    distribution = DISTRIBUTIONS[name]
    if distribution is not None:
        return distribution.rvs(count, random_state=rng), distribution.logpdf
    wide, narrow = stats.norm(0, 5), stats.norm(2, 0.05)
    drawn = np.where(
        rng.random(count) < 0.5, wide.rvs(count, random_state=rng), narrow.rvs(count, random_state=rng)
    )
    return drawn, lambda x: np.logaddexp(wide.logpdf(x), narrow.logpdf(x)) - np.log(2)


@pytest.mark.parametrize("name", list(DISTRIBUTIONS))
def test_densities_are_close_to_the_truth(name: str, rng: np.random.Generator) -> None:
    """Of new numbers, in nats, median over eight draws: the more rows the closer."""
    medians = []
    for count in (60, 3000):
        gaps = []
        for own in rng.spawn(8):
            marginal = Marginal.of(draws(name, count, own)[0])
            new, truth = draws(name, 20_000, own)
            gaps.append(float((truth(new) - marginal.log_density(new)).mean()))
        medians.append(np.median(gaps))
    assert medians[0] < 0.4
    assert medians[1] < (0.15 if name == "heavy tails" else 0.08)  # tails of powers are taken as exponential
    assert medians[1] < 0.6 * medians[0]


@pytest.mark.parametrize("name", list(DISTRIBUTIONS))
def test_probabilities_are_integrals_of_the_density(name: str, rng: np.random.Generator) -> None:
    marginal = Marginal.of(draws(name, 50, rng)[0])
    low, high = marginal.tails
    ends = marginal.knots[0] - 40 * low, marginal.knots[-1] + 40 * high
    points = np.unique(np.concatenate([np.array(marginal.knots), np.linspace(*ends, 200_001)]))
    middles = (points[1:] + points[:-1]) / 2
    mass = np.exp(marginal.log_density(middles)) * np.diff(points)
    assert mass.sum() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(np.cumsum(mass), marginal.below(points[1:]), atol=1e-4)
    shares = np.linspace(0.1, 0.9, 9)
    np.testing.assert_allclose(marginal.below(marginal.quantile(shares)), shares, atol=1e-12)
    outermost = marginal.quantile(np.array([0.0, 1.0]))
    np.testing.assert_array_equal(outermost, [marginal.knots[0], marginal.knots[-1]])


def test_far_out_the_density_falls_but_does_not_vanish(rng: np.random.Generator) -> None:
    marginal = Marginal.of(rng.normal(size=200))
    far = marginal.log_density(np.array([-1000.0, -100, 0, 100, 1000]))
    assert np.isfinite(far).all()
    assert far[0] < far[1] < far[2] - 20
    assert far[4] < far[3] < far[2] - 20


def test_weights_count_as_copies(rng: np.random.Generator) -> None:
    numbers, weights = rng.normal(size=40), rng.integers(1, 5, 40)
    one, other = Marginal.of(numbers, weights.astype(float)), Marginal.of(np.repeat(numbers, weights))
    np.testing.assert_allclose(one.knots, other.knots)
    np.testing.assert_allclose(one.masses, other.masses)
    np.testing.assert_allclose(one.tails, other.tails)


def test_two_numbers_are_enough() -> None:
    marginal = Marginal.of(np.array([1.0, 2.0]))
    assert marginal.below(np.array([1.5]))[0] == pytest.approx(0.5)
    assert np.isfinite(marginal.log_density(np.array([-1e9, 1.0, 2.0, 1e9]))).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [("knots", (0.0, 0.0)), ("masses", (1.5,)), ("tails", (1.0, -1.0)), ("knots", (0.0, float("nan")))],
)
def test_stored_ones_are_checked(name: str, value: tuple[float, ...]) -> None:
    good = asdict(Marginal((0.0, 1.0), (0.8,), (1.0, 1.0)))
    assert marginal_from(good) == Marginal((0.0, 1.0), (0.8,), (1.0, 1.0))
    with pytest.raises(InvalidInputError, match="a marginal needs rising knots"):
        marginal_from(good | {name: value})
