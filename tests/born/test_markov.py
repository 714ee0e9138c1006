"""Markov trees: the distribution they are meant to have, as states, cut, learnt from few rows."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtnml.born import TreeState, log_likelihood
from qtnml.born.markov import MarkovTree, cut, markov_parents
from qtnml.structure import (
    Sites,
    Tree,
    balanced,
    chain,
    dependence_tree,
    predictive_information,
    spanning_tree,
)
from qtnml.structure.information import effective_rows, level_mutual_information, shrunk_conditional
from tests.born.trees import TREES, all_strings, dense


def data_on(sites: Sites, rng: np.random.Generator, rows: int = 300) -> np.ndarray:
    """Columns that depend on one another."""
    hidden = rng.integers(0, 6, rows)
    return np.stack(
        [(hidden * (k + 1) + rng.integers(0, 2, rows)) % dim for k, dim in enumerate(sites.dims)], 1
    )


def edges_of(tree: Tree) -> set[frozenset[int]]:
    parents = markov_parents(tree)
    assert parents is not None
    return {frozenset((leaf, parent)) for leaf, parent in enumerate(parents) if parent >= 0}


@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_the_dependence_tree_is_the_spanning_tree_of_most_information(count: int, seed: int) -> None:
    information = np.random.default_rng(seed).random((count, count))
    information += information.T
    tree = dependence_tree(information)
    assert edges_of(tree) == {frozenset(edge) for edge in spanning_tree(information)}
    assert all(len(wires) <= 2 for wires in tree.nodes)


def test_a_hub_is_joined_through_nodes_without_features() -> None:
    information = np.zeros((9, 9))
    information[0] = information[:, 0] = 1.0
    tree = dependence_tree(information)
    assert markov_parents(tree) == (-1, *[0] * 8)
    assert max(tree.heights) == 5  # eight features in three levels of pairs, their own nodes, the hub


@pytest.mark.parametrize("name", [n for n in TREES if markov_parents(TREES[n].tree) is not None])
def test_the_state_is_the_square_root_of_the_tree(name: str, rng: np.random.Generator) -> None:
    sites = TREES[name]
    X = data_on(sites, rng)
    markov = MarkovTree.of(sites, X, np.ones(len(X)))
    state = markov.state(sites)
    state.check()
    strings = all_strings(sites.dims)
    expected = np.ones(len(strings))
    for leaf, (parent, table) in enumerate(zip(markov.parents, markov.tables, strict=True)):
        np.testing.assert_allclose(table.sum(axis=1), 1)
        expected *= table[strings[:, parent] if parent >= 0 else 0, strings[:, leaf]]
    np.testing.assert_allclose(np.exp(markov.log_likelihood(strings)), expected)
    np.testing.assert_allclose(np.abs(dense(state).ravel()) ** 2, expected, atol=1e-12)
    assert expected.sum() == pytest.approx(1)


def test_the_chow_liu_tree_is_the_best_of_all_trees(rng: np.random.Generator) -> None:
    """Beside every labelled tree on five bits, with plenty of rows."""
    X = rng.integers(0, 2, (4000, 5))
    X[:, 3] ^= X[:, 1] & (rng.random(4000) < 0.8)
    X[:, 4] ^= X[:, 0] & (rng.random(4000) < 0.6)
    X[:, 2] ^= X[:, 4]
    dims = (2,) * 5
    ours = dependence_tree(predictive_information(X, dims))
    best = max(
        MarkovTree.of(Sites(dims, dependence_tree(weights)), X, np.ones(4000)).log_likelihood(X).mean()
        for weights in _trees(5)
    )
    found = MarkovTree.of(Sites(dims, ours), X, np.ones(4000))
    # Left-out rows choose: among edges that tell next to nothing it need not be the training rows' best.
    assert found.log_likelihood(X).mean() == pytest.approx(best, abs=5e-4)
    assert max(found.state(Sites(dims, ours)).bond_dims) == 2


def _trees(count: int) -> list[np.ndarray]:
    """Every labelled tree, as weights of its edges (Pruefer codes)."""
    found = []
    for code in itertools.product(range(count), repeat=count - 2):
        weights, left, rest = np.zeros((count, count)), list(range(count)), list(code)
        while rest:
            leaf = next(v for v in left if v not in rest)
            weights[leaf, rest[0]] = weights[rest[0], leaf] = 1
            left.remove(leaf)
            rest.pop(0)
        weights[left[0], left[1]] = weights[left[1], left[0]] = 1
        found.append(weights)
    return found


def test_trees_whose_root_has_no_feature_have_independent_columns(rng: np.random.Generator) -> None:
    sites = Sites((2,) * 4, balanced(4))
    assert markov_parents(sites.tree) is None
    X = rng.integers(0, 2, (50, 4))
    markov = MarkovTree.of(sites, X, np.ones(50))
    assert markov.parents == (-1,) * 4
    assert set(markov.state(sites).bond_dims) == {1}


def test_shrinking_is_the_best_by_leaving_out(rng: np.random.Generator) -> None:
    """Beside a search over the strength, one row left out at a time."""
    x, y = rng.integers(0, 4, 60), rng.integers(0, 5, 60)
    y = np.where(rng.random(60) < 0.3, x, y)
    counts = np.zeros((4, 5))
    np.add.at(counts, (x, y), 1)
    marginal = (counts.sum(axis=0) + 0.5) / (60 + 2.5)

    def left_out(strength: float) -> float:
        total = 0.0
        for one, other in zip(x, y, strict=True):
            rest = counts.copy()
            rest[one, other] -= 1
            total += np.log((rest[one, other] + strength * marginal[other]) / (rest[one].sum() + strength))
        return total

    grid = 0.5 * 4.0 ** np.arange(9)
    best = grid[np.argmax([left_out(s) for s in grid])]
    expected = (counts + best * marginal) / (counts.sum(axis=1, keepdims=True) + best)
    np.testing.assert_allclose(shrunk_conditional(counts), expected)
    assert (shrunk_conditional(counts) > 0).all()


def test_independent_columns_of_many_levels_tell_nothing(rng: np.random.Generator) -> None:
    X = rng.integers(0, 20, (300, 2))
    X = np.concatenate([X, (X[:, :1] + rng.integers(0, 2, (300, 1))) % 20], axis=1)
    plain = level_mutual_information(X, (20, 20, 20))
    found = predictive_information(X, (20, 20, 20))
    assert plain[0, 1] > 0.4
    assert found[0, 1] < 0.02
    assert found[0, 2] > 1
    np.testing.assert_allclose(found, found.T)
    # Rows and copies of rows; weights that are relative.
    weights = rng.integers(1, 4, 300)
    np.testing.assert_allclose(
        predictive_information(X, (20, 20, 20), weights),
        predictive_information(np.repeat(X, weights, axis=0), (20, 20, 20)),
    )
    assert effective_rows(np.full(50, 1e-3)) == pytest.approx(50)
    assert effective_rows(np.full(50, 2.0)) == pytest.approx(100)


def test_bits_are_counted_as_levels_are(rng: np.random.Generator) -> None:
    X = rng.integers(0, 2, (200, 4))
    wider = level_mutual_information(np.concatenate([X, np.arange(200)[:, None] % 3], 1), (2, 2, 2, 2, 3))
    np.testing.assert_allclose(level_mutual_information(X, (2,) * 4), wider[:4, :4], atol=1e-12)


@pytest.mark.parametrize("name", ["chain", "balanced", "sites at inner nodes"])
@pytest.mark.parametrize("is_complex", [False, True])
def test_a_cut_keeps_what_is_largest(name: str, is_complex: bool, rng: np.random.Generator) -> None:
    state = TreeState.random(TREES[name], 6, rng, is_complex=is_complex)
    assert cut(state, 6) is state
    low = TreeState.random(TREES[name], 2, rng, is_complex=is_complex)
    wider = low.with_noise(rng, bond_dim=4, spread=1e-9, is_complex=is_complex)
    again = cut(wider, 2)
    again.check()
    assert max(again.bond_dims) == 2
    assert abs(np.vdot(dense(low), dense(again))) == pytest.approx(1, abs=1e-9)
    # The error is at most the sum of what the bonds lose, and at least the largest of them.
    from qtnml.born import schmidt_values

    small = cut(state, 2)
    lost = [float((values[2:] ** 2).sum()) for values in schmidt_values(state)]
    fidelity = abs(np.vdot(dense(state), dense(small))) ** 2
    assert max(lost) - 1e-9 <= 1 - fidelity <= sum(lost) + 1e-9


def test_noise_leaves_a_state_near(rng: np.random.Generator) -> None:
    state = TreeState.random(TREES["chain"], 2, rng)
    near = state.with_noise(rng, bond_dim=3, spread=0.01, is_complex=True)
    near.check()
    assert near.is_complex
    assert max(near.bond_dims) == 3
    assert abs(np.vdot(dense(state), dense(near))) > 0.99
    strings = all_strings(state.sites.dims)
    assert np.exp(log_likelihood(near, strings)).sum() == pytest.approx(1)
    assert chain(5).num_leaves == len(state.sites.dims)


def test_numbers_depend_smoothly(rng: np.random.Generator) -> None:
    """Two Gaussian variables cut into bins: one parameter says what 49 would, from a tenth of the rows."""
    drawn = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=100_000)
    edges = np.quantile(drawn, np.arange(1, 8) / 8, axis=0)
    X = np.stack([np.searchsorted(edges[:, k], drawn[:, k]) for k in (0, 1)], axis=1)
    truth = np.zeros((8, 8))
    np.add.at(truth, (X[:, 0], X[:, 1]), 1 / len(X))
    conditional = truth / truth.sum(axis=1, keepdims=True)
    places = np.arange(8.0)

    def gap(found: np.ndarray) -> float:
        return float((truth * np.log(conditional / found)).sum())

    def counts(rows: int) -> np.ndarray:
        table = np.zeros((8, 8))
        np.add.at(table, (X[:rows, 0], X[:rows, 1]), 1)
        return table

    for rows in (50, 200, 2000):
        plain, smooth = (shrunk_conditional(counts(rows), *own) for own in ((), (places, places)))
        np.testing.assert_allclose(smooth.sum(axis=1), 1)
        assert gap(smooth) < 0.6 * gap(plain)
    # Another order of the levels is another dependence; categories have none.
    mixed = rng.permutation(8)
    moved = shrunk_conditional(counts(2000)[mixed][:, mixed], places[mixed], places[mixed])
    np.testing.assert_allclose(moved, smooth[mixed][:, mixed], atol=1e-9)
    information = float((truth * np.log(truth / np.outer(truth.sum(1), truth.sum(0)))).sum())
    found = predictive_information(X[:200], (8, 8), numbers=(places, places))[0, 1]
    assert found == pytest.approx(information, abs=0.08)
    assert predictive_information(X[:200], (8, 8))[0, 1] < found - 0.05
    # What does not depend smoothly is learnt as before.
    odd = np.stack([X[:2000, 0], (3 * X[:2000, 0]) % 8], axis=1)
    table = np.zeros((8, 8))
    np.add.at(table, (odd[:, 0], odd[:, 1]), 1)
    np.testing.assert_allclose(
        shrunk_conditional(table, places, places), shrunk_conditional(table), atol=1e-12
    )


def test_independent_numbers_stay_independent(rng: np.random.Generator) -> None:
    X = rng.integers(0, 8, (300, 6))
    found = predictive_information(X, (8,) * 6, numbers=(np.arange(8.0),) * 6)
    assert np.abs(found[~np.eye(6, dtype=bool)]).max() < 0.02
