"""Networks on graphs: what they contract to, and that their structure is found again."""

from itertools import pairwise, permutations

import numpy as np
import pytest

from qtnml.errors import InvalidInputError
from qtnml.graphs import GraphNetwork, decompose

Ranks = dict[tuple[int, int], int]
TARGETS: dict[str, tuple[Ranks, int]] = {  # the four kinds of arXiv:2008.05437, smaller
    "chain": ({(0, 1): 2, (1, 2): 3, (2, 3): 4, (3, 4): 3}, 0),
    "ring": ({(0, 1): 2, (1, 2): 3, (2, 3): 2, (3, 4): 3, (0, 4): 3}, 0),
    "triangle": ({(0, 1): 3, (1, 2): 2, (2, 3): 3, (1, 4): 2, (2, 4): 2}, 0),
    "Tucker": ({(0, 5): 2, (1, 5): 3, (2, 5): 4, (3, 5): 3, (4, 5): 2}, 1),
}


SMALL = {
    "chain": GraphNetwork.random((2, 2, 4, 2), {(0, 1): 2, (1, 2): 2, (2, 3): 2}, seed=3),
    "Tucker": GraphNetwork.random((3, 3, 3), {(0, 3): 2, (1, 3): 2, (2, 3): 2}, hidden=1, seed=3),
}


def made(name: str, seed: int = 0, dim: int = 5) -> GraphNetwork:
    ranks, hidden = TARGETS[name]
    return GraphNetwork.random((dim,) * 5, ranks, hidden=hidden, seed=seed)


def test_a_network_is_the_sum_over_its_bonds() -> None:
    ring = made("ring", dim=3)
    a, b, c, d, e = (core.reshape([n for n in core.shape if n > 1]) for core in ring.cores)
    # Axes: the mode, then bonds to the other nodes in order.
    np.testing.assert_allclose(
        ring.dense(), np.einsum("ixv,jxy,kyz,lzw,mvw->ijklm", a, b, c, d, e), atol=1e-12
    )
    assert ring.num_parameters == sum(core.size for core in ring.cores)
    assert not ring.is_tree
    tucker = made("Tucker", dim=3)
    *factors, centre = (core.reshape([n for n in core.shape if n > 1]) for core in tucker.cores)
    np.testing.assert_allclose(
        tucker.dense(), np.einsum("abcde,ia,jb,kc,ld,me->ijklm", centre, *factors), atol=1e-12
    )
    assert tucker.dims == (3,) * 5
    assert tucker.is_tree


@pytest.mark.parametrize("name", list(TARGETS))
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_structure_of_an_exact_tensor_is_found(name: str, seed: int) -> None:
    target = made(name, seed)
    found = decompose(target.dense(), method="ranks", random_state=seed)
    assert found.error < 1e-12
    assert found.network.ranks == target.ranks
    assert found.network.hidden == target.hidden
    np.testing.assert_allclose(
        found.network.dense(), target.dense(), atol=1e-9 * np.abs(target.dense()).max()
    )


def test_the_order_of_modes_does_not_matter() -> None:
    target = made("chain")
    for order in list(permutations(range(5)))[7::29]:
        found = decompose(target.dense().transpose(order), random_state=0)
        back = {tuple(sorted((order[i], order[j]))): rank for (i, j), rank in found.network.ranks.items()}
        assert back == target.ranks


def test_noise_below_the_tolerance_is_no_structure(rng: np.random.Generator) -> None:
    target = made("triangle")
    dense = target.dense()
    noisy = dense + 1e-5 * dense.std() * rng.normal(size=dense.shape)
    found = decompose(noisy, tolerance=1e-8, random_state=0)
    assert found.network.ranks == target.ranks
    assert found.error == pytest.approx(1e-10, rel=0.2)


@pytest.mark.parametrize("name", ["chain", "Tucker"])
def test_trees_are_states_that_compile(name: str) -> None:
    target = SMALL[name]
    found = decompose(target.dense(), graph="tree", random_state=0).network
    assert found.is_tree
    state = found.state()
    expected = target.dense().ravel() / np.linalg.norm(target.dense())
    vector = state.to_vector().ravel()
    assert abs(expected @ vector) == pytest.approx(1, abs=1e-9)
    compiled = state.compile()
    assert compiled.circuit.num_qubits <= 12
    with pytest.raises(InvalidInputError, match="close a ring"):
        made("ring").state()


def test_parts_that_do_not_hang_together_are_a_state_as_well() -> None:
    pair = GraphNetwork.random((2, 3, 2, 3), {(0, 2): 2, (1, 3): 3}, seed=0)
    assert decompose(pair.dense(), random_state=0).network.ranks == {(0, 2): 2, (1, 3): 3}
    vector = pair.state().to_vector().ravel()
    expected = pair.dense().ravel() / np.linalg.norm(pair.dense())
    assert abs(vector @ expected) == pytest.approx(1, abs=1e-9)


@pytest.mark.sampled
@pytest.mark.parametrize("graph", ["any", "tree", "chain", [(0, 1), (1, 2), (2, 3), (0, 3)]])
def test_the_greedy_search_ends_within_its_bounds(graph: object, rng: np.random.Generator) -> None:
    """A smooth function, no exact network: every step explains more, and the graph is one that is allowed."""
    x = np.linspace(0, 1, 6)
    tensor = 1 / (1 + x[:, None, None, None] + 2 * x[:, None, None] * x[:, None] + x**2)
    tensor = tensor + 0.1 * np.sin(3 * x[:, None, None, None] * x)
    found = decompose(tensor, tolerance=1e-8, graph=graph, method="greedy", random_state=0)  # type: ignore[arg-type]
    assert found.error <= 1e-8
    raised = [step for step, after in pairwise(found.steps) if after.rank >= step.rank]
    errors = [step.error for step in raised]
    assert all(later <= earlier * 1.001 for earlier, later in pairwise(errors))
    left = found.network.dense() - tensor
    assert (left**2).sum() / (tensor**2).sum() == pytest.approx(found.error, rel=1e-3)
    assert found.network.num_parameters < tensor.size / (1.5 if graph == "chain" else 3)
    if graph == "tree":
        assert found.network.is_tree
    if graph == "chain":
        assert set(found.network.ranks) <= {(0, 1), (1, 2), (2, 3)}
    if isinstance(graph, list):
        assert set(found.network.ranks) <= set(graph)
    small = decompose(tensor, max_parameters=60, method="greedy", random_state=0)
    assert small.network.num_parameters <= 60
    assert small.error > 1e-12


def test_greedy_lowers_what_is_not_needed() -> None:
    target = made("triangle", seed=1)
    found = decompose(target.dense(), method="greedy", max_parameters=2000, random_state=1)
    assert found.error < 1e-12
    assert found.network.num_parameters <= 1.2 * target.num_parameters


@pytest.mark.parametrize(
    ("tensor", "options", "message"),
    [
        (np.ones(3), {}, "2 to 9 modes, got 1"),
        (np.ones((2,) * 10), {}, "2 to 9 modes, got 10"),
        (np.zeros((2, 2)), {}, "finite numbers that are not all 0"),
        (np.full((2, 2), np.nan), {}, "finite numbers that are not all 0"),
        (np.ones((2, 2), dtype=complex), {}, "must be of real numbers, got complex128"),
        (np.ones((2, 2)), {"tolerance": 0}, "tolerance must be above 0 and below 1, got 0"),
        (
            np.ones((2, 2)),
            {"max_parameters": 0.5},
            "max_parameters must be an integer of at least 1, got 0.5",
        ),
        (
            np.ones((2, 2)),
            {"graph": "star"},
            "graph must be 'any', 'tree', 'chain' or pairs of modes, got 'star'",
        ),
        (np.ones((2, 2)), {"graph": [(0, 2)]}, "a bond joins two of 2 modes"),
        (np.ones((2, 2)), {"method": "als"}, "method must be 'ranks', 'greedy' or None, got 'als'"),
        pytest.param(
            np.random.default_rng(0).normal(size=(3,) * 5),
            {"method": "ranks"},
            "no network has the ranks",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_bad_input(tensor: np.ndarray, options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        decompose(tensor, **options)  # type: ignore[arg-type]


def test_shown() -> None:
    assert "GraphNetwork(dims=(5, 5, 5, 5, 5)" in repr(made("ring"))
    assert "hidden nodes" in made("Tucker")._repr_html_()
