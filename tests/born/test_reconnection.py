"""Reconnection: the same state on a tree whose bonds carry less."""

from pathlib import Path

import numpy as np
import pytest

from qtnml import TreeBornMachine, load_model
from qtnml.born import TreeState, bond_entropies, log_likelihood, reconnected
from qtnml.errors import InvalidInputError
from qtnml.structure import Sites, Tree, balanced, chain, dependence_tree
from qtnml.train import EpochRecord
from tests.born.trees import all_strings

TREES = {
    "balanced": balanced(6),
    "chain": chain(6),
    "two leaves at the end": chain(6, first=2),
    "three wires": balanced(6, arity=3),
    "with inner leaves": dependence_tree(np.array([[0, 3, 1, 1, 2, 1]] * 6) + np.eye(6)),
}


@pytest.mark.parametrize("name", list(TREES))
@pytest.mark.parametrize("is_complex", [False, True])
def test_the_state_is_the_same(name: str, is_complex: bool, rng: np.random.Generator) -> None:
    """Whatever moves: against all strings of levels."""
    moves = 0
    for _ in range(5):
        state = TreeState.random(Sites((2, 3, 2, 2, 3, 2), TREES[name]), 3, rng, is_complex=is_complex)
        found = reconnected(state, 1000)
        found.state.check()
        X = all_strings(state.sites.dims)
        np.testing.assert_allclose(
            np.exp(log_likelihood(found.state, X)), np.exp(log_likelihood(state, X)), atol=1e-12
        )
        assert bond_entropies(found.state).sum() <= bond_entropies(state).sum() + 1e-9
        moves += found.moves
    assert (moves == 0) == (name == "three wires")


def pairs(rows: int, rng: np.random.Generator) -> np.ndarray:
    """Eight bits in four pairs that are equal but for one in fifty, one of each pair in either half."""
    first = rng.integers(0, 2, (rows, 4))
    return np.concatenate([first, first ^ (rng.random(first.shape) < 0.02)], axis=1)


def test_what_belongs_together_is_brought_together(rng: np.random.Generator) -> None:
    """Two pairs of equal bits, each cut apart by the tree: no entanglement is left between them."""
    core = np.eye(4).reshape(1, 4, 4) / 2  # the levels of (0, 1) are those of (2, 3)
    lower = np.eye(4).reshape(4, 2, 2)
    state = TreeState.canonical(Sites((2,) * 4, balanced(4)), (lower, lower, core))
    found = reconnected(state, 4)
    below = set(map(frozenset, found.state.tree.leaves_below))
    assert found.moves == 2
    assert below & {frozenset((0, 2)), frozenset((1, 3))}
    assert min(found.state.bond_dims) == 1


def test_training_goes_on_after_it(rng: np.random.Generator, tmp_path: Path) -> None:
    train, valid, test = pairs(600, rng), pairs(300, rng), pairs(2000, rng)
    cut_apart = Tree(8, ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11), (12, 13)))
    options = {"topology": cut_apart, "max_bond": 4, "random_state": 0}
    plain = TreeBornMachine(**options).fit(train, validation=valid)
    calls: list[EpochRecord] = []
    path = tmp_path / "run.npz"
    again = TreeBornMachine(
        reconnect=6,
        checkpoint=path,
        callback=calls.append,
        **options,  # type: ignore[arg-type]
    ).fit(train, validation=valid)
    assert again.nll_ < plain.nll_ - 0.3
    assert again.score(test) > plain.score(test) + 0.3
    assert again.state_.tree != plain.state_.tree
    assert len(again.history_) > len(plain.history_)
    assert len(plain.history_) <= again.best_epoch_ < len(again.history_)
    assert len(calls) >= len(again.history_)
    again.save(tmp_path / "m.qtnml")
    loaded = load_model(tmp_path / "m.qtnml")
    np.testing.assert_array_equal(loaded.score_samples(test), again.score_samples(test))
    assert loaded.get_params()["reconnect"] == 6
    # What was done is read from the files of its rounds.
    resumed = TreeBornMachine(reconnect=6, checkpoint=path, resume=True, **options).fit(
        train, validation=valid
    )
    np.testing.assert_array_equal(resumed.score_samples(test), again.score_samples(test))
    # Training goes on from the tree that was found.
    on = TreeBornMachine(reconnect=1, warm_start=True, **options)
    on.fit(train, validation=valid)
    first = on.state_.tree
    on.fit(train, validation=valid)
    assert on.nll_ <= plain.nll_ + 1e-9
    assert first.num_leaves == 8


def test_rounds_are_checked(rng: np.random.Generator) -> None:
    with pytest.raises(InvalidInputError, match="reconnect must be an integer of at least 0, got -1"):
        TreeBornMachine(reconnect=-1).fit(pairs(50, rng))
