"""Amplitude networks: brute force, other roots, merged and padded cores, both libraries, transformations."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtnml.born import TreeState, log_amplitudes, log_likelihood
from qtnml.contract import many
from qtnml.contract.amplitude_network import AmplitudeNetwork, compilable
from qtnml.contract.layout import layout_of
from qtnml.contract.plan import Chain, plan_contraction
from qtnml.errors import InvalidInputError
from qtnml.structure import (
    Sites,
    Tree,
    balanced,
    balanced_site_tree,
    chain,
    from_brackets,
    from_parents,
    site_chain,
)

pytestmark = pytest.mark.portable


def random_cores(
    network: AmplitudeNetwork, rng: np.random.Generator, *, is_complex: bool = False
) -> list[np.ndarray]:
    """Of norm about 1 each."""
    cores = []
    for shape in network.core_shapes:
        core = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        cores.append(core + 1j * rng.normal(size=shape) / np.sqrt(np.prod(shape[1:])) if is_complex else core)
    return cores


def brute_force(network: AmplitudeNetwork, cores: list[np.ndarray], vectors: list[np.ndarray]) -> np.ndarray:
    """Amplitudes (classes or 1,) of one sample, node by node."""
    leaves = network.tree.num_leaves
    wires: dict[int, np.ndarray] = dict(enumerate(vectors))
    for k, (core, below) in enumerate(zip(cores, network.tree.nodes, strict=True)):
        # The label's axis stands last, at whatever node: it is moved to the front of what leaves.
        found = np.moveaxis(core, -1, 0) if network.num_classes else core[None]
        for wire in below:
            part = wires[wire]
            part = part if part.ndim == 2 else part[None]
            found = np.einsum("cpi...,di->cdp...", found, part).reshape(-1, found.shape[1], *found.shape[3:])
        wires[leaves + k] = found
    return wires[leaves + network.tree.root].reshape(-1)


def check(network: AmplitudeNetwork, rng: np.random.Generator, *, is_complex: bool = False) -> None:
    cores = random_cores(network, rng, is_complex=is_complex)
    widest = max(network.leaf_dims)
    leaves = rng.normal(size=(network.tree.num_leaves, widest, 3))
    found, logs = network.amplitudes(network.stacks(cores), leaves)
    for sample in range(3):
        vectors = [leaves[k, :dim, sample] for k, dim in enumerate(network.leaf_dims)]
        expected = brute_force(network, cores, vectors)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found[:, sample] * np.exp(logs[sample]), expected, atol=1e-12 * scale)


@st.composite
def networks(draw: st.DrawFn) -> AmplitudeNetwork:
    """Any tree over up to 9 leaves, dimensions and bonds of one to four, with a label or without."""
    leaves = draw(st.integers(1, 9))
    parents, open_ = [-1] * leaves, list(range(leaves))
    while len(open_) > 1 or len(parents) == leaves:
        chosen = draw(st.permutations(open_))[: draw(st.integers(1, 3))]
        if len(chosen) == 1 and len(parents) > 2 * leaves:
            chosen = open_[:2]
        wire = len(parents)
        for child in chosen:
            parents[child] = wire
        parents.append(-1)
        open_ = [w for w in open_ if w not in chosen] + [wire]
    tree = from_parents(parents)
    dims = draw(st.lists(st.integers(1, 4), min_size=leaves, max_size=leaves))
    bonds = draw(st.lists(st.integers(1, 4), min_size=len(tree.nodes), max_size=len(tree.nodes)))
    classes = draw(st.sampled_from([0, 1, 3]))
    label = draw(st.integers(0, len(tree.nodes) - 1))
    return AmplitudeNetwork(tree, tuple(dims), (*bonds[:-1], 1), classes, label)


@settings(max_examples=40, deadline=None)
@given(networks(), st.booleans(), st.integers(0, 1000))
def test_any_network_equals_brute_force(network: AmplitudeNetwork, is_complex: bool, seed: int) -> None:
    check(network, np.random.default_rng(seed), is_complex=is_complex)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 21])
@pytest.mark.parametrize("dim", [2, 3, 5])
def test_chains_are_contracted_from_both_ends(count: int, dim: int, rng: np.random.Generator) -> None:
    for tree in (chain(count), chain(count, first=min(2, count))):
        bonds = (*[4] * (len(tree.nodes) - 1), 1)
        check(AmplitudeNetwork(tree, (dim,) * count, bonds), rng)


def test_a_chain_is_one_scan_of_two_lanes_whatever_its_length() -> None:
    for count in (64, 784):
        network = AmplitudeNetwork(chain(count), (2,) * count, (*[16] * (count - 1), 1))
        layout = layout_of(network.tree, network.leaf_dims)
        assert len(layout.tree.nodes) <= count // 2 + 2  # two bits a node
        assert max(layout.tree.heights) <= count // 4 + 2  # from both ends
        assert network.num_steps <= 8
    # Three levels a site: nine of a pair would cost more than they save.
    assert len(layout_of(chain(64), (3,) * 64).tree.nodes) == 64


def test_several_chains_run_side_by_side_and_to_their_own_ends() -> None:
    """A star of three chains of 10, 7 and 4 leaves."""
    tree = from_brackets([_spine(range(10)), _spine(range(10, 17)), _spine(range(17, 21))])
    kinds = ["end" if all(map(tree.is_leaf, wires)) else "inner" for wires in tree.nodes[:-1]] + ["root"]
    plan = plan_contraction(tree, kinds, ["leaf"] * 21)
    lanes = [
        [lane.stop - lane.start for lane in step.lanes] for step in plan.steps if isinstance(step, Chain)
    ]
    assert lanes == [[3, 3, 3], [3, 3], [3]]
    check(AmplitudeNetwork(tree, (2,) * 21, (*[3] * (len(tree.nodes) - 1), 1)), np.random.default_rng(0))


def _spine(leaves: range) -> list:
    nested: list = [leaves[0]]
    for leaf in leaves[1:]:
        nested = [nested, leaf]
    return nested


def test_padding_makes_bonds_alike_and_changes_no_amplitude(rng: np.random.Generator) -> None:
    bonds = [*(int(b) for b in rng.integers(3, 9, 79)), 1]
    network = AmplitudeNetwork(chain(80), (2,) * 80, tuple(bonds))
    cores = random_cores(network, rng)
    padded, stacks = compilable(network, network.stacks(cores))
    assert padded.num_steps < 20 < network.num_steps
    leaves = rng.normal(size=(80, 2, 5))
    for (found, logs), (expected, scale) in [
        (padded.amplitudes(stacks, leaves), network.amplitudes(network.stacks(cores), leaves))
    ]:
        np.testing.assert_allclose(found * np.exp(logs - scale), expected, rtol=1e-9)
    assert compilable(padded, stacks)[0] is padded


@pytest.mark.parametrize(
    ("dims", "bonds", "message"),
    [
        ((2, 2), (2, 1), "needs as many dimensions, got 2 and 2"),
        ((2, 2, 2), (2, 2, 2), "above the root has dimension 1"),
    ],
)
def test_dimensions_that_do_not_fit(dims: tuple, bonds: tuple, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        AmplitudeNetwork(chain(3), dims, bonds)


STATES = {
    "chain": site_chain([2] * 14),
    "levels": site_chain([2, 3, 4, 2, 5, 2]),
    "ternary": balanced_site_tree([3] * 6, arity=3),
    "own": Sites((2,) * 6, from_brackets([[0, [1, 2]], 3, [4, 5]])),
    "one node": Sites((2, 3), Tree(2, ((0, 1),))),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "is_complex"),
    [("chain", True), ("levels", False), ("ternary", True), ("own", False), ("one node", True)],
)
def test_a_state_is_a_pytree_and_its_likelihood_a_pure_function(
    name: str, is_complex: bool, x64: None, rng: np.random.Generator
) -> None:
    sites = STATES[name]
    state = TreeState.random(sites, 3, rng, is_complex=is_complex)
    X = np.stack([rng.integers(0, dim, 7) for dim in sites.dims], axis=1)
    expected = log_likelihood(state, X)
    on_device = jax.tree.map(jnp.asarray, state)
    assert isinstance(on_device, TreeState)
    np.testing.assert_allclose(jax.jit(log_likelihood)(on_device, jnp.asarray(X)), expected, rtol=1e-9)
    each = jax.jit(jax.vmap(lambda x: log_likelihood(on_device, x[None])[0]))(jnp.asarray(X))
    np.testing.assert_allclose(each, expected, rtol=1e-9)
    stacked = jax.tree.map(
        lambda *cores: jnp.stack(cores), on_device, jax.tree.map(lambda c: 2 * c, on_device)
    )
    both = jax.jit(jax.vmap(log_likelihood, (0, None)))(stacked, jnp.asarray(X))
    np.testing.assert_allclose(
        both[1] - both[0], np.full(7, 2 * np.log(2) * len(sites.tree.nodes)), rtol=1e-9
    )
    phases = jax.jit(log_amplitudes)(on_device, jnp.asarray(X))[1]
    np.testing.assert_allclose(phases, log_amplitudes(state, X)[1], atol=1e-9)


def test_gradient_of_a_likelihood_equals_finite_differences(x64: None, rng: np.random.Generator) -> None:
    state = jax.tree.map(jnp.asarray, TreeState.random(site_chain([2] * 20), 4, rng))
    X = jnp.asarray(rng.integers(0, 2, (5, 20)))

    @jax.jit
    def loss(state: TreeState) -> jax.Array:
        return -jnp.mean(log_likelihood(state, X))

    gradient = jax.jit(jax.grad(loss))(state)
    direction = jax.tree.map(lambda core: jnp.asarray(rng.normal(size=core.shape)), state)
    ahead, behind = (
        loss(jax.tree.map(lambda c, d, step=step: c + step * d, state, direction)) for step in (1e-6, -1e-6)
    )
    slope = sum(jnp.vdot(g, d) for g, d in zip(gradient.cores, direction.cores, strict=True))
    assert float(slope) == pytest.approx(float(ahead - behind) / 2e-6, rel=1e-6)


def test_impossible_strings_have_no_amplitude(x64: None) -> None:
    state = TreeState.product(site_chain([2] * 4), [np.array([1.0, 0.0])] * 4)
    for either in (state, jax.tree.map(jnp.asarray, state)):
        logs, phases = log_amplitudes(either, np.array([[0, 0, 0, 0], [0, 1, 0, 0]]))
        assert logs.tolist() == [0.0, -np.inf]
        assert phases.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("bond", [3, 8])
def test_many_strings_are_compiled_and_equal_few(
    bond: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = TreeState.random(site_chain([2] * 40), bond, rng)
    X = rng.integers(0, 2, (3000, 40))
    few = log_likelihood(state, X)
    monkeypatch.setattr(many, "SWITCH", 1)
    before = many._compiled.cache_info().misses
    np.testing.assert_allclose(log_likelihood(state, X), few, rtol=1e-10)
    assert many._compiled.cache_info().misses == before + 1
    np.testing.assert_allclose(log_likelihood(state, X[:5]), few[:5], rtol=1e-10)
    assert many._compiled.cache_info().misses == before + 1


def test_twelve_sites_of_the_compiled_distribution_sum_to_one(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "SWITCH", 1)
    everything = np.array(list(itertools.product(range(2), repeat=12)))
    for sites in (Sites((2,) * 12, balanced(12, arity=3)), site_chain([2] * 12)):
        state = TreeState.random(sites, 4, rng, is_complex=True)
        assert np.exp(log_likelihood(state, everything)).sum() == pytest.approx(1, abs=1e-12)
