"""Mixtures of Born machines as densities: beside brute force, held-out rows, files, circuits, kills."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp

from qtnml import BornMixture, MPSBornMachine, TableEncoder, TreeBornMachine, load_model
from qtnml.errors import InvalidInputError, TrainingInterruptedWarning
from qtnml.structure import Sites
from qtnml.train import EpochRecord
from qtnml.train.born_loop import Strings
from qtnml.train.mixture import markov_mixture
from tests.born.trees import all_strings, p_value

STRINGS = all_strings((2,) * 6)


def switched(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Which bits are copies of which depends on a hidden switch: no single tree explains it."""
    a, b, c = rng.integers(0, 2, (3, rows))
    one, other = np.stack([a, a, a, b, b, c], 1), np.stack([a, b, c, c, b, 1 - a], 1)
    X = np.where((rng.random(rows) < 0.5)[:, None], one, other)
    return X ^ (rng.random(X.shape) < 0.02)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return switched(rng, 800), switched(rng, 800)


@pytest.fixture(scope="module")
def mixture(data: tuple[np.ndarray, np.ndarray]) -> BornMixture:
    return BornMixture(TreeBornMachine(4), 3, random_state=0).fit(data[0])


def test_rounds_of_trees_never_lower_the_likelihood(data: tuple[np.ndarray, np.ndarray]) -> None:
    """Without shrinking they could not; with it the last must still be far above the first."""
    strings = Strings.of(data[0], np.ones(len(data[0])))
    model = TreeBornMachine()

    def structure(part: Strings) -> Sites:
        return model.sites_for(part, (2,) * 6)

    means = []
    for rounds in (1, 3, 30):
        found = markov_mixture(
            strings, None, structure, 3, np.random.default_rng(0), max_iter=rounds, tol=0.0
        )
        means.append(float(strings.weights @ found.log_likelihood(strings.X)))
        assert found.weights.sum() == pytest.approx(1)
    assert means == sorted(means)
    assert means[-1] > means[0] + 0.05
    single = markov_mixture(strings, None, structure, 1, np.random.default_rng(0))
    assert means[-1] > float(strings.weights @ single.log_likelihood(strings.X)) + 0.1


def test_a_mixture_is_the_weighed_sum_of_its_components(mixture: BornMixture) -> None:
    logs = np.stack([model.score_samples(STRINGS) for model in mixture.models_], axis=1)
    expected = logsumexp(logs + np.log(mixture.weights_), axis=1)
    np.testing.assert_allclose(mixture.score_samples(STRINGS), expected)
    assert np.exp(expected).sum() == pytest.approx(1)
    np.testing.assert_allclose(mixture.predict_proba(STRINGS).sum(axis=1), 1)


def test_a_mixture_explains_what_one_tree_does_not(
    mixture: BornMixture, data: tuple[np.ndarray, np.ndarray]
) -> None:
    tree = TreeBornMachine(2, random_state=0).fit(data[0])
    assert mixture.score(data[1]) > tree.score(data[1]) + 0.1
    given = BornMixture(TreeBornMachine(2), 2, random_state=0).fit(data[0], validation=data[1])
    assert given.nll_ == pytest.approx(-given.score(data[1]), abs=1e-9)
    assert [r.largest_bond for r in mixture.history_] == sorted(r.largest_bond for r in mixture.history_)


def test_queries_are_those_of_the_whole_distribution(mixture: BornMixture) -> None:
    distribution = np.exp(mixture.score_samples(STRINGS)).reshape((2,) * 6)
    known = [[1, np.nan, 0, np.nan, np.nan, np.nan]]
    part = distribution[1, :, 0]
    assert mixture.log_likelihood(known)[0] == pytest.approx(np.log(part.sum()))
    marginals = mixture.marginals(known)
    np.testing.assert_allclose(marginals[1][0], part.sum(axis=(1, 2, 3)) / part.sum())
    np.testing.assert_allclose(mixture.marginals()[4][0], distribution.sum(axis=(0, 1, 2, 3, 5)))
    found = mixture.conditional_log_likelihood([[1, 1, 0, 1, 0, 1]], [0, 2])[0]
    assert found == pytest.approx(np.log(distribution[1, 1, 0, 1, 0, 1] / part.sum()))
    drawn, labels = mixture.sample(4000, given=known, random_state=0)
    assert drawn.shape == (4000, 6)
    assert (drawn[:, 0] == 1).all()
    assert (drawn[:, 2] == 0).all()
    shares = mixture.predict_proba(known)[0]
    np.testing.assert_allclose(np.bincount(labels, minlength=3) / 4000, shares, atol=0.04)
    assert p_value(drawn[:, [1, 3, 4, 5]].astype(int), part / part.sum()) > 1e-3
    drawn, _ = mixture.sample(4000, random_state=0)
    assert p_value(drawn, distribution) > 1e-3
    filled = mixture.impute([[1, np.nan, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0]], random_state=0)
    assert np.isin(filled, (0, 1)).all()
    np.testing.assert_array_equal(filled[1], 0)


def test_all_starts_as_one(data: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    X, test = data
    settings = {"n_components": 2, "n_init": 3, "random_state": 1}
    one = BornMixture(TreeBornMachine(3), **settings).fit(X)  # type: ignore[arg-type]
    every = BornMixture(TreeBornMachine(3), average=True, **settings).fit(X)  # type: ignore[arg-type]
    assert len(one.models_) == 2
    assert len(every.models_) == 6
    assert every.weights_.sum() == pytest.approx(1)
    # By Jensen's inequality an average of densities is no worse than the mean of the starts.
    starts = [
        logsumexp(
            np.stack([m.score_samples(test) for m in every.models_[k : k + 2]], 1)
            + np.log(3 * every.weights_[k : k + 2]),
            axis=1,
        ).mean()
        for k in (0, 2, 4)
    ]
    assert every.score(test) > np.mean(starts)
    every.save(tmp_path / "m.qtnml")
    again = load_model(tmp_path / "m.qtnml")
    np.testing.assert_array_equal(again.score_samples(test), every.score_samples(test))
    assert again.nll_ == every.nll_


def test_its_circuits_draw_it(mixture: BornMixture) -> None:
    circuits = mixture.compile()
    assert len(circuits) == 3
    for circuit, model in zip(circuits, mixture.models_, strict=True):
        assert circuit.num_sites == 6
        assert circuit.infidelity < 1e-8
        assert model.state_.tree.num_leaves == 6


def test_tables_with_gaps(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b", "c"], 300)
    table = pd.DataFrame({"kind": kind, "size": rng.normal(size=300) + 4 * (kind == "a")})
    model = MPSBornMachine(4, encoder=TableEncoder(4, unseen="missing"))
    mixture = BornMixture(model, 2, random_state=0).fit(table)
    gaps = pd.DataFrame({"kind": ["a", None], "size": [np.nan, 4.0]})
    drawn, labels = mixture.sample(3, given=gaps, random_state=0)
    assert list(drawn.columns) == ["kind", "size"]
    assert len(drawn) == len(labels) == 6
    assert (drawn["kind"][:3] == "a").all()
    assert np.isfinite(mixture.score_samples(gaps)).all()


def test_densities_integrate_to_one_and_know_the_units() -> None:
    rng = np.random.default_rng(0)
    X = np.stack([rng.normal(size=2000), 5 * rng.exponential(size=2000)], axis=1)
    X[:600, 1] = 0.0  # many equal cells: a level of its own
    mixture = BornMixture(TreeBornMachine(8, encoder=TableEncoder(8)), 2, random_state=0).fit(X)
    for model in (mixture, mixture.models_[0]):
        low, high = X.min(axis=0), X.max(axis=0)
        first = low[0] + (np.arange(200) + 0.5) / 200 * (high[0] - low[0])
        second = (np.arange(400) + 0.5) / 400 * high[1]
        grid = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2)
        cell = (high[0] - low[0]) / 200 * high[1] / 400
        line = np.stack([first, np.zeros(200)], axis=1)
        total = np.exp(model.score_samples(grid)).sum() * cell
        total += np.exp(model.score_samples(line)).sum() * (high[0] - low[0]) / 200
        assert total == pytest.approx(1, abs=0.02)
        share = np.exp(model.score_samples(line)).sum() * (high[0] - low[0]) / 200
        assert share == pytest.approx(0.3, abs=0.05)


def test_a_killed_fit_goes_on(data: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    X = data[0][:300]

    class KilledError(Exception):
        pass

    def die(record) -> None:
        if record.epoch == 5:
            raise KilledError

    whole = BornMixture(TreeBornMachine(4), 2, random_state=0).fit(X)
    saved = {"checkpoint": tmp_path / "run.ckpt", "resume": True, "random_state": 3}
    with pytest.raises(KilledError):
        BornMixture(TreeBornMachine(4, callback=die, **saved), 2, random_state=0).fit(X)  # type: ignore[arg-type]
    again = BornMixture(TreeBornMachine(4, **saved), 2, random_state=0).fit(X)  # type: ignore[arg-type]
    np.testing.assert_array_equal(again.score_samples(STRINGS), whole.score_samples(STRINGS))


@pytest.mark.parametrize(("settings", "message"), [
    ({"average": 1}, "average must be True or False, got 1"),
    ({"model": TreeBornMachine(method="gradient")}, "components are trained by sweeps, got a model with"),
    ({"n_init": 0}, "n_init must be an integer of at least 1, got 0"),
])  # fmt: skip
def test_bad_settings(settings: dict, message: str, data: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(InvalidInputError, match=message):
        BornMixture(**settings).fit(data[0])


def test_ctrl_c_keeps_the_best_so_far_and_starts_nothing_more(data: tuple[np.ndarray, np.ndarray]) -> None:
    seen = []

    def stop(record: EpochRecord) -> None:
        seen.append(record.epoch)
        if record.epoch == 2:
            raise KeyboardInterrupt

    mixture = BornMixture(TreeBornMachine(4, callback=stop), 2, n_init=3, random_state=0)
    with pytest.warns(TrainingInterruptedWarning, match="training was interrupted after 2 of"):
        mixture.fit(data[0])
    assert seen == [1, 2]
    assert np.exp(mixture.score_samples(STRINGS)).sum() == pytest.approx(1)


def test_filled_rows_keep_their_names() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.choice(["x", "y"], 80), "b": rng.choice(["u", "v"], 80)}, index=range(100, 180)
    )
    mixture = BornMixture(TreeBornMachine(2, encoder=TableEncoder()), 2, random_state=0).fit(frame)
    holes = frame[:5].assign(b=None)
    for method in ("sample", "median"):
        assert mixture.impute(holes, method=method, random_state=0).index.tolist() == holes.index.tolist()
