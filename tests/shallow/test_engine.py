"""The scan along the chain against dense vectors, its slopes against finite differences."""

from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from scipy.stats import ortho_group, unitary_group

from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.errors import InvalidInputError
from qtnml.shallow.blocks import Blocks, Kind, on_jax
from qtnml.shallow.fidelity import Fidelity
from qtnml.shallow.layouts import brick_wall, on_edges, parallel_sequential, staircase, tree
from qtnml.shallow.overlap import beside, log_overlap, scanned
from qtnml.shallow.overlap import dense as on_vector
from qtnml.shallow.window import Pair, window_of
from qtnml.states import State
from qtnml.structure import Sites, chain


def random_state(num_sites: int, bond: int, *, is_complex: bool = True, seed: int = 0) -> State:
    sites = Sites((2,) * num_sites, chain(num_sites))
    return State(TreeState.random(sites, bond, np.random.default_rng(seed), is_complex=is_complex))


def dense(num_places: int, pairs: tuple[Pair, ...], gates: NDArray) -> NDArray:
    """State vector of a circuit, gate by gate."""
    vector = np.zeros([2] * num_places, complex)
    vector[(0,) * num_places] = 1
    for pair, gate in zip(pairs, gates, strict=True):
        moved = np.tensordot(gate.reshape(2, 2, 2, 2), vector, ((2, 3), pair))
        vector = np.moveaxis(moved, (0, 1), pair)
    return vector.reshape(-1)


PAIRS = {
    "three staircases": staircase(7, 3),
    "a brick wall": brick_wall(7, 4),
    "from the other end": staircase(7, 2)[::-1],
    "a tree": tree(7, 2),
    "short staircases": parallel_sequential(7, 3),
    "any order": ((0, 3), (1, 2), (5, 1), (4, 5), (0, 6)),
    "no gate": (),
}


@pytest.mark.sampled
@pytest.mark.parametrize("name", list(PAIRS))
@pytest.mark.parametrize("is_complex", [False, True])
def test_overlap_is_that_of_dense_vectors(name: str, is_complex: bool) -> None:
    pairs, state = PAIRS[name], random_state(7, 5, is_complex=is_complex)
    group = unitary_group if is_complex else ortho_group
    gates = np.array([group.rvs(4, random_state=k) for k in range(len(pairs))]).reshape(-1, 4, 4)
    wanted = np.vdot(state.to_vector(), dense(7, pairs, gates))
    tensors = state.chain().tensors
    for data in (scanned(window_of(7, pairs), tensors), on_vector(7, pairs, tensors)):
        with jax.enable_x64(True):
            log, phase = log_overlap(gates, data)
        assert np.exp(float(log)) * complex(phase) == pytest.approx(wanted, abs=1e-13)
        assert data.num_places == 7


def test_few_qubits_are_held_as_a_vector() -> None:
    def kind(count: int, layers: int, bond: int) -> str:
        tensors = random_state(count, bond).chain().tensors
        return type(beside(count, staircase(count, layers), tensors)).__name__

    assert [kind(8, 1, 2), kind(8, 4, 2), kind(8, 6, 4), kind(15, 8, 16)] == [
        "Scanned",
        "Scanned",
        "Dense",
        "Scanned",
    ]


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.data())
def test_overlap_of_any_circuit(data: Any) -> None:
    count = data.draw(st.integers(2, 6))
    pair = st.permutations(range(count)).map(lambda order: (order[0], order[1]))
    pairs = tuple(data.draw(st.lists(pair, max_size=8)))
    state = random_state(count, 3, seed=data.draw(st.integers(0, 9)))
    gates = np.array([unitary_group.rvs(4, random_state=k) for k in range(len(pairs))]).reshape(-1, 4, 4)
    window = window_of(count, pairs)
    assert sorted(gate for visit in window.visits for gate, _, _ in visit.gates) == list(range(len(pairs)))
    with jax.enable_x64(True):
        log, phase = log_overlap(gates, scanned(window, state.chain().tensors))
    wanted = np.vdot(state.to_vector(), dense(count, pairs, gates))
    assert np.exp(float(log)) * complex(phase) == pytest.approx(wanted, abs=1e-12)


def test_the_window_is_as_wide_as_it_is_said_to_be() -> None:
    assert [window_of(50, staircase(50, layers)).width for layers in (1, 2, 5)] == [2, 3, 6]
    assert all(window_of(50, brick_wall(50, depth)).width <= depth + 1 for depth in range(1, 9))
    assert window_of(64, tree(64, 1)).width <= 7
    with pytest.raises(InvalidInputError, match="more than 16"):
        window_of(40, tuple((0, k) for k in range(39, 0, -1)) + tuple((k, 39) for k in range(39)))
    with pytest.raises(InvalidInputError, match="two different places"):
        window_of(4, ((0, 4),))


@pytest.mark.sampled
@pytest.mark.parametrize("kind", ["su4", "so4", "two-cx", "cx"])
def test_slopes_are_finite_differences(kind: Kind) -> None:
    pairs = staircase(6, 2)
    blocks = Blocks(6, pairs, kind)
    state = random_state(6, 4, is_complex=kind != "so4")
    objective = Fidelity(blocks, state.chain().tensors)
    point = blocks.start(np.random.default_rng(0), 0.7)
    batch = type(point)(*(part[None] for part in point))
    _, loss, slope = objective(batch, np.zeros((1, blocks.dimension)))
    fidelity = abs(np.vdot(state.to_vector(), dense(6, pairs, blocks.gates(point)))) ** 2
    assert loss[0] == pytest.approx(-np.log(fidelity) / 6, abs=1e-12)
    direction = np.random.default_rng(1).normal(size=blocks.dimension)
    there, back = (objective(batch, sign * 1e-5 * direction[None])[1][0] for sign in (1, -1))
    assert slope[0] @ direction == pytest.approx((there - back) / 2e-5, abs=1e-7)


@pytest.mark.sampled
@pytest.mark.parametrize("kind", ["su4", "so4", "two-cx", "cx"])
def test_points_stay_on_their_manifold(kind: Kind) -> None:
    blocks = Blocks(5, staircase(5, 3), kind)
    gates = blocks.gates(blocks.start(np.random.default_rng(0), 2.0))
    products = gates @ gates.conj().swapaxes(1, 2)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(4), products.shape), atol=1e-13)
    assert np.isrealobj(gates) == (kind == "so4")
    identity = blocks.gates(on_jax(blocks.identity()))
    if blocks.starts_at_identity:
        np.testing.assert_allclose(identity, np.broadcast_to(np.eye(4), identity.shape), atol=1e-15)


def depth_of(pairs: tuple[Pair, ...]) -> int:
    circuit = QuantumCircuit(16)
    for pair in pairs:
        circuit.cx(*pair)
    return int(circuit.depth())


def test_layouts() -> None:
    assert depth_of(staircase(6, 2)) == 7
    assert depth_of(brick_wall(6, 4)) == 4
    assert depth_of(tree(16, 1)) == 4
    assert len(set(tree(16, 1))) == 15
    assert depth_of(parallel_sequential(13, 1)) < depth_of(staircase(13, 1))
    assert on_edges(4, [(1, 0), (0, 1), (2, 1), (3, 9)], 1) == ((0, 1), (1, 2))
    with pytest.raises(InvalidInputError, match="no edge joins"):
        on_edges(2, [(3, 4)], 1)
