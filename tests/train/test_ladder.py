"""Ladders of bonds: what follows what, and Born machines that climb one, killed and resumed too."""

from pathlib import Path

import numpy as np
import pytest

from qtnml import MPSBornMachine, TreeBornMachine
from qtnml.train.born_loop import Strings
from qtnml.train.ladder import Ladder, Rung


def test_bonds_rise_by_up_to_a_quarter() -> None:
    assert Ladder.to(1).bonds == (1,)
    assert Ladder.to(2).bonds == (2,)
    assert Ladder.to(18).bonds == (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18)
    assert Ladder.to(40, 10).bonds == (10, 12, 14, 16, 20, 24, 28, 32, 40)
    assert Ladder.to(4, 9).bonds == (4,)


def test_rungs_follow_the_scores() -> None:
    ladder = Ladder((2, 4, 8), sweeps=3, patience=2)
    assert ladder.rung(5.0, []) == Rung(2, 0, False)
    assert ladder.rung(5.0, [4.0]) == Rung(2, 1, False)
    assert ladder.rung(5.0, [4.0, 3.5, 3.2]) == Rung(4, 0, True)  # all its sweeps
    assert ladder.rung(5.0, [4.0, 4.1, 4.2]) == Rung(4, 0, True)  # no better for two
    assert ladder.rung(5.0, [6.0, 6.1, 6.2]) == Rung(4, 0, True)  # the first may fail
    assert ladder.rung(5.0, [4.0, 3.0, 2.9, 3.1, 3.0, 2.95]) is None  # the second may not
    better = [4.0, 3.0, 2.9, 3.1, 2.8, 2.7]
    assert ladder.rung(5.0, better) == Rung(8, 0, True)
    assert ladder.rung(5.0, [*better, 2.6]) == Rung(8, 1, False)
    assert ladder.rung(5.0, [*better, 2.6, 2.5, 2.4]) is None  # on top


def parity(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Groups of three bits of even parity, which no tree of pairs explains."""
    X = rng.integers(0, 2, (rows, 6))
    X[:, 2], X[:, 5] = X[:, 0] ^ X[:, 1], X[:, 3] ^ X[:, 4]
    return X ^ (rng.random(X.shape) < 0.02)


def test_a_ladder_ends_where_held_out_rows_gain_nothing(rng: np.random.Generator) -> None:
    X, V = parity(rng, 600), parity(rng, 600)
    seen = []
    born = TreeBornMachine(
        16, complex_amplitudes=True, random_state=0, callback=lambda record: seen.append(record)
    ).fit(X, validation=V)
    bonds = [record.largest_bond for record in seen]
    assert bonds == sorted(bonds)
    assert bonds[0] == 2
    assert bonds[-1] < 16
    assert born.stopped_ == "early"
    scores = [record.validation_loss for record in born.history_]
    assert born.best_epoch_ == int(np.argmin(scores))
    assert born.nll_ == pytest.approx(min(scores), abs=1e-6)
    assert born.nll_ == pytest.approx(-born.score(V), abs=1e-6)
    assert born.nll_ < born.independent_nll_ - 0.9  # two bits of parity are 1.39 nats


def test_validation_rows_are_no_training_rows(rng: np.random.Generator) -> None:
    X = np.repeat([[0, 0, 1, 1], [1, 1, 0, 0]], 30, axis=0)
    V = np.repeat([[0, 0, 1, 1]], 5, axis=0)
    born = MPSBornMachine(2, random_state=0).fit(X, validation=V)
    assert born.score(V) == pytest.approx(np.log(0.5), abs=0.05)
    from qtnml.errors import InvalidInputError

    with pytest.raises(InvalidInputError, match="validation has 3 features, X has 4"):
        born.fit(X, validation=V[:, :3])
    with pytest.raises(InvalidInputError, match="validation needs rows without missing values, got none"):
        born.fit(X, validation=np.full((2, 4), np.nan))
    assert born.score(V) == pytest.approx(np.log(0.5), abs=0.05)  # nothing learnt is lost


def test_few_rows_of_independent_columns_stay_independent() -> None:
    """What a newcomer brings: a few hundred rows whose columns have nothing to do with each other."""
    rng = np.random.default_rng(0)
    from qtnml import TableEncoder

    def table(rows: int) -> np.ndarray:
        return np.stack([rng.normal(size=rows), rng.exponential(size=rows), rng.integers(0, 4, rows)], 1)

    X, test = table(400), table(4000)
    for model in (MPSBornMachine(encoder=TableEncoder()), TreeBornMachine(encoder=TableEncoder())):
        model.set_params(random_state=0)
        alone = MPSBornMachine(1, encoder=TableEncoder(), random_state=0).fit(X).score(test)
        assert model.fit(X).score(test) > alone - 0.05


def test_the_start_explains_training_rows_better_than_columns_alone(rng: np.random.Generator) -> None:
    X = parity(rng, 200)
    X[:, 3] = X[:, 0] ^ (rng.random(200) < 0.2)
    born = TreeBornMachine(2, validation_fraction=0, epochs=1, learning_rate=1e-6, random_state=0).fit(X)
    assert born.nll_ < born.independent_nll_ - 0.05


def test_a_killed_climb_goes_on_as_if_it_had_not_been(tmp_path: Path, rng: np.random.Generator) -> None:
    X = parity(rng, 300)
    whole = TreeBornMachine(8, random_state=0).fit(X)

    class KilledError(Exception):
        pass

    def die(record) -> None:
        if record.epoch == 9:
            raise KilledError

    settings = {"checkpoint": tmp_path / "run.ckpt", "resume": True, "random_state": 0}
    with pytest.raises(KilledError):
        TreeBornMachine(8, callback=die, **settings).fit(X)  # type: ignore[arg-type]
    again = TreeBornMachine(8, **settings).fit(X)  # type: ignore[arg-type]
    assert [record.score for record in again.history_] == [record.score for record in whole.history_]
    for one, other in zip(again.state_.cores, whole.state_.cores, strict=True):
        np.testing.assert_array_equal(one, other)


def test_strings_share_what_was_sorted(rng: np.random.Generator) -> None:
    strings = Strings.of(parity(rng, 50), np.ones(50))
    weights = strings.weights * rng.random(len(strings.X))
    again = strings.weighed(weights)
    from qtnml.structure import site_chain

    sites = site_chain([2] * 6)
    assert strings.batch(sites) is again.batch(sites)
    assert again.weights.sum() == pytest.approx(1)
    assert strings.rows == 50
    assert again.rows == pytest.approx(50 * weights.sum())
