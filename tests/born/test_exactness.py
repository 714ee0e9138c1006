"""Born machines against brute force: every distribution, every conditional, every reduced state."""

import numpy as np
import pytest

from qtnml.born import TreeState, log_amplitudes, log_likelihood
from qtnml.born.completion import most_probable
from qtnml.born.drawing import parts_of
from qtnml.born.evidence import log_marginal, messages_up, observed, site_marginals
from qtnml.born.reduced import (
    bond_entropies,
    mutual_information,
    reduced_states,
    schmidt_values,
    spectrum_decay,
)
from qtnml.born.sampling import sample
from qtnml.errors import InvalidInputError
from qtnml.structure import Sites, Tree, balanced_site_tree, site_chain
from tests.born.trees import TREES, all_strings, dense, p_value


@pytest.fixture(params=[(name, kind) for name in TREES for kind in ("real", "complex")], ids=str)
def state(request: pytest.FixtureRequest, rng: np.random.Generator) -> TreeState:
    name, kind = request.param
    return TreeState.random(TREES[name], 4, rng, is_complex=kind == "complex")


def brute_force(state: TreeState) -> np.ndarray:
    """Amplitudes by multiplying out all cores, wire by wire."""
    tree = state.tree
    tensors: dict[int, tuple[list[int], np.ndarray]] = {
        site: ([site], np.eye(dim)) for site, dim in enumerate(state.sites.dims)
    }
    for k, (core, wires) in enumerate(zip(state.cores, tree.nodes, strict=True)):
        sites, tensor = [], core
        for wire in wires:
            below, part = tensors.pop(wire)
            tensor = np.tensordot(tensor, part, (1, -1))
            sites += below
        tensors[tree.num_leaves + k] = sites, np.moveaxis(tensor, 0, -1)
    sites, tensor = tensors[tree.num_leaves + tree.root]
    return np.moveaxis(tensor[..., 0], range(len(sites)), sites)


def test_amplitudes_are_the_contraction_and_the_norm_is_one(state: TreeState) -> None:
    state.check()
    expected = brute_force(state)
    np.testing.assert_allclose(dense(state), expected, atol=1e-12)
    assert np.sum(np.abs(expected) ** 2) == pytest.approx(1, abs=1e-12)
    log, phase = log_amplitudes(state, np.zeros((1, state.tree.num_leaves)))
    assert np.exp(log[0]) * phase[0] == pytest.approx(expected.ravel()[0], abs=1e-12)


@pytest.mark.parametrize("sites", [site_chain([2] * 12), balanced_site_tree([2] * 12)])
def test_twelve_bits_sum_to_one(sites, rng: np.random.Generator) -> None:
    state = TreeState.random(sites, 5, rng)
    assert np.exp(log_likelihood(state, all_strings((2,) * 12))).sum() == pytest.approx(1, abs=1e-12)


def test_any_cores_become_canonical(rng: np.random.Generator) -> None:
    sites = TREES["balanced"]
    bonds = [3, 2, 4, 3, 1]
    cores = []
    for k, wires in enumerate(sites.tree.nodes):
        shape = [bonds[w - 6] if w >= 6 else sites.dims[w] for w in wires]
        cores.append(1e3 * rng.normal(size=(bonds[k], *shape)))
    state = TreeState.canonical(sites, cores)
    state.check()
    raw = brute_force(TreeState(sites, tuple(cores)))
    ratio = dense(state) / raw
    np.testing.assert_allclose(ratio, ratio.ravel()[0], rtol=1e-9)
    with pytest.raises(InvalidInputError, match="no state has norm 0"):
        TreeState.canonical(sites, [0 * core for core in cores])
    with pytest.raises(InvalidInputError, match="off canonical form"):
        TreeState(sites, tuple(2 * core for core in state.cores)).check()


def test_evidence_sums_the_distribution_weighed(state: TreeState, rng: np.random.Generator) -> None:
    distribution = np.abs(dense(state)) ** 2
    dims = state.sites.dims
    evidence = tuple(rng.random((3, dim)) for dim in dims)
    weighed = []
    for row in range(3):
        found = distribution
        for site, dim in enumerate(dims):
            shape = [dim if k == site else 1 for k in range(len(dims))]
            found = found * evidence[site][row].reshape(shape)
        weighed.append(found)
    logs = messages_up(state, evidence).log_evidence
    np.testing.assert_allclose(np.exp(logs), [w.sum() for w in weighed], rtol=1e-11)
    for site, found in enumerate(site_marginals(state, evidence)):
        others = tuple(k for k in range(len(dims)) if k != site)
        wanted = [w.sum(axis=others) / w.sum() for w in weighed]
        np.testing.assert_allclose(found, wanted, atol=1e-11)


def test_conditional_is_joint_over_marginal(state: TreeState) -> None:
    distribution = np.abs(dense(state)) ** 2
    strings = all_strings(state.sites.dims).astype(float)
    known = strings.copy()
    known[:, 1:] = np.nan
    joint, given = log_marginal(state, strings), log_marginal(state, known)
    axes = tuple(range(1, distribution.ndim))
    wanted = distribution / distribution.sum(axis=axes, keepdims=True)
    np.testing.assert_allclose(np.exp(joint - given), wanted.ravel(), atol=1e-10)
    nothing = np.full((1, strings.shape[1]), -1.0)
    assert log_marginal(state, nothing)[0] == pytest.approx(0, abs=1e-12)


def test_samples_follow_the_distribution(state: TreeState, rng: np.random.Generator) -> None:
    distribution = np.abs(dense(state)) ** 2
    assert p_value(sample(state, rng, 20_000), distribution) > 1e-3
    row = np.full((2, distribution.ndim), np.nan)
    row[0, 0] = 1
    row[1, -1] = 0
    drawn = sample(state, rng, 10_000, observed(state.sites, row))
    first, last = np.zeros_like(distribution), np.zeros_like(distribution)
    first[1], last[..., 0] = distribution[1], distribution[..., 0]
    assert p_value(drawn[0], first / first.sum()) > 1e-3
    assert p_value(drawn[1], last / last.sum()) > 1e-3


def test_sampling_draws_what_it_says(rng: np.random.Generator) -> None:
    bits = TreeState.product(site_chain([2, 2]), [np.array([1.0, 0.0]), np.array([0.0, 1.0])])
    assert sample(bits, rng, 0).shape == (0, 2)
    assert (sample(bits, rng, 7) == [0, 1]).all()
    with pytest.raises(InvalidInputError, match="row 1 has probability zero under the model"):
        sample(bits, rng, 3, observed(bits.sites, [[0, 1], [1, 1]]))


def test_beam_search_is_exact_where_it_is_exhaustive(state: TreeState) -> None:
    distribution = np.abs(dense(state)) ** 2
    row = np.full((1, distribution.ndim), np.nan)
    row[0, 0] = 1
    found = most_probable(state, observed(state.sites, row), width=10_000)
    order = np.argsort(-distribution[1].ravel())
    best = np.column_stack(np.unravel_index(order[:3], distribution[1].shape))
    np.testing.assert_array_equal(found.strings[0, :3, 1:], best[: len(found.strings[0])])
    told = np.exp(found.log_likelihood[0])
    np.testing.assert_allclose(told[: len(order)], distribution[1].ravel()[order], atol=1e-12)
    assert (told[len(order) :] == 0).all()
    narrow = most_probable(state, observed(state.sites, row), width=2)
    told = np.exp(narrow.log_likelihood[0, 0])
    assert told == pytest.approx(distribution[tuple(narrow.strings[0, 0])], abs=1e-12)


def test_reduced_states_are_partial_traces(state: TreeState) -> None:
    psi, dims = dense(state), state.sites.dims
    reduced = reduced_states(state)
    assert len(reduced.pairs) == len(dims) * (len(dims) - 1) // 2
    for i, dim in enumerate(dims):
        matrix = np.moveaxis(psi, i, 0).reshape(dim, -1)
        np.testing.assert_allclose(reduced.single[i], matrix @ matrix.conj().T, atol=1e-12)
    for (i, j), block in reduced.pairs.items():
        matrix = np.moveaxis(psi, (i, j), (0, 1)).reshape(dims[i] * dims[j], -1)
        wanted = matrix @ matrix.conj().T
        np.testing.assert_allclose(block.reshape(wanted.shape), wanted, atol=1e-12)


def test_schmidt_values_are_singular_values(state: TreeState) -> None:
    psi = dense(state)
    for k, values in enumerate(schmidt_values(state)):
        below = state.tree.leaves_below[k]
        size = int(np.prod([state.sites.dims[site] for site in below]))
        wanted = np.linalg.svd(np.moveaxis(psi, below, range(len(below))).reshape(size, -1), compute_uv=False)
        count = min(len(values), len(wanted))
        np.testing.assert_allclose(values[:count], wanted[:count], atol=1e-10)


def test_information_of_states_known_in_closed_form() -> None:
    # Greenberger, Horne, Zeilinger: one bit shared by all.
    sites = site_chain([2] * 4)
    ghz = np.zeros((2,) * 4)
    ghz[0, 0, 0, 0] = ghz[1, 1, 1, 1] = np.sqrt(0.5)
    identity = np.zeros((2, 2, 2))
    identity[0, 0, 0] = identity[1, 1, 1] = 1
    state = TreeState.canonical(sites, [np.eye(2), identity, identity, identity.sum(axis=0)[None]])
    np.testing.assert_allclose(np.abs(dense(state)), ghz, atol=1e-12)
    np.testing.assert_allclose(bond_entropies(state), np.log(2), atol=1e-12)
    reduced = reduced_states(state)
    for kind in ("quantum", "classical"):
        np.testing.assert_allclose(mutual_information(reduced, kind), np.log(2), atol=1e-10)
    product = TreeState.product(sites, [np.array([0.6, 0.8])] * 4)
    quantum = mutual_information(reduced_states(product))
    np.testing.assert_allclose(quantum, 0, atol=1e-7)
    classical = mutual_information(reduced_states(product), "classical")
    shannon = -(0.36 * np.log(0.36) + 0.64 * np.log(0.64))
    np.testing.assert_allclose(classical, shannon * np.eye(4), atol=1e-10)


def test_power_law_of_a_spectrum() -> None:
    squares = np.arange(1, 30) ** -1.7
    found = spectrum_decay(np.sqrt(squares / squares.sum()))
    assert found.exponent == pytest.approx(1.7)
    assert found.r_squared == pytest.approx(1)
    assert np.isnan(spectrum_decay(np.array([0.8, 0.6])).exponent)


def test_hundreds_of_sites_neither_over_nor_underflow(rng: np.random.Generator) -> None:
    for sites in (site_chain([2] * 800), balanced_site_tree([2] * 800)):
        state = TreeState.random(sites, 3, rng)
        X = sample(state, rng, 5)
        logs = log_likelihood(state, X)
        assert np.isfinite(logs).all()
        assert (logs < -100).all()
        half = X.astype(float)
        half[:, ::2] = np.nan
        assert (log_marginal(state, half) > logs).all()


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 3)), "expected strings of 5 sites"),
        (np.full((1, 5), 2), "levels are integers from 0"),
        (np.full((1, 5), 0.5), "levels are integers from 0"),
    ],
)
def test_other_strings_are_refused(X: np.ndarray, message: str, rng: np.random.Generator) -> None:
    state = TreeState.random(site_chain([2] * 5), 2, rng)
    for function in (log_likelihood, log_marginal):
        with pytest.raises(InvalidInputError, match=message):
            function(state, X)


def test_evidence_of_tiny_weight_is_kept() -> None:
    """The evidence picks a branch of amplitude 1e-9: a matrix of squares would have lost it."""
    sites = Sites((3, 2, 3, 2), Tree(4, ((0, 1), (2, 3), (4, 5))))
    left, right = np.zeros((3, 3, 2)), np.zeros((3, 3, 2))
    for k in range(3):
        left[k, k, int(k > 0)] = 1
        right[k, k, :] = np.sqrt(0.5)
    root = np.zeros((1, 3, 3))
    root[0, 0, 0], root[0, 1, 1] = 1, 1e-9
    state = TreeState.canonical(sites, (left, right, root))
    drawn = sample(state, np.random.default_rng(0), 200, observed(sites, [[np.nan, 1, np.nan, 0]]))
    assert (drawn == [1, 1, 1, 0]).all()


def test_many_samples_are_drawn_in_parts(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts differ from one another, and the number of threads has nothing to do with what is drawn."""
    assert parts_of(0, 10) == []
    assert parts_of(5, 2) == [1, 2, 2]
    assert parts_of(10_000, 4096) == [2500] * 4
    state = TreeState.random(balanced_site_tree([2] * 12), 4, rng)
    drawn = sample(state, np.random.default_rng(0), 1000)
    assert not (drawn[:500] == drawn[500:]).all()
    monkeypatch.setattr("qtnml.born.drawing.THREADS", 1)
    np.testing.assert_array_equal(sample(state, np.random.default_rng(0), 1000), drawn)
    given = rng.integers(0, 2, (700, 12)).astype(float)
    given[:, 3:] = np.nan
    first = sample(state, np.random.default_rng(0), 3, observed(state.sites, given))
    assert (first[:, :, :3] == given[:, None, :3]).all()


def test_unlikely_evidence_can_be_drawn_from(rng: np.random.Generator) -> None:
    state = TreeState.random(balanced_site_tree([2] * 16), 8, rng, is_complex=True)
    X = rng.integers(0, 2, (30, 16)).astype(float)
    X[:, ::2] = np.nan
    drawn = sample(state, rng, 3, observed(state.sites, X))
    known = ~np.isnan(X)
    assert (drawn.transpose(1, 0, 2)[:, known] == X[known]).all()


def test_too_large_is_said_before_it_is_tried(rng: np.random.Generator) -> None:
    with pytest.raises(InvalidInputError, match="take a smaller bond"):
        TreeState.random(site_chain([2] * 64), 10**6, rng)
    wide = TreeState.random(site_chain([200] * 3), 1, rng)
    with pytest.raises(InvalidInputError, match="use fewer bins or categories"):
        reduced_states(wide)
