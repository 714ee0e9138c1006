"""States against dense vectors: what they hold, in which order, and how they become circuits."""

import itertools

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp

from qtnml import states
from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.errors import InvalidInputError
from qtnml.states import State
from qtnml.structure import Sites, balanced, chain

PAULIS = states.hamiltonian.PAULIS
TREES = {
    "chain": chain(6),
    "two arms in another order": chain(6, [3, 1, 0, 2, 4, 5], root=2),
    "tree": balanced(6),
    "wide tree": balanced(6, [4, 1, 0, 5, 2, 3], arity=3),
    "two leaves at the end": chain(6, first=2),
}


@pytest.fixture(params=list(TREES))
def state(request: pytest.FixtureRequest) -> State:
    sites = Sites((2,) * 6, TREES[request.param])
    return State(TreeState.random(sites, 4, np.random.default_rng(0), is_complex=True))


def dense(num_sites: int, operators: dict[int, str]) -> NDArray:
    matrix: NDArray = np.eye(1)
    for site in range(num_sites):
        matrix = np.kron(matrix, PAULIS[operators.get(site, "I")])
    return matrix


def strings(dims: tuple[int, ...]) -> NDArray:
    return np.array(list(itertools.product(*map(range, dims))))


def test_amplitudes_are_those_of_the_vector(state: State) -> None:
    vector = state.to_vector()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(state.amplitudes(strings(state.dims)), vector, atol=1e-13)


def test_expectations(state: State) -> None:
    vector = state.to_vector()
    wanted = vector.conj() @ dense(6, {0: "X", 2: "Z", 4: "Y"}) @ vector
    assert state.expectation("XIZIYI") == pytest.approx(wanted, abs=1e-12)
    assert state.expectation({0: "X", 2: PAULIS["Z"], 4: "Y"}) == pytest.approx(wanted, abs=1e-12)
    hamiltonian = states.xxz(6, anisotropy=0.3, field=0.2)
    energy = vector.conj() @ hamiltonian.matrix() @ vector
    assert state.expectation(hamiltonian) == pytest.approx(energy, abs=1e-12)
    operator = SparsePauliOp.from_sparse_list([("XY", [1, 4], 0.5), ("Z", [5], -2.0), ("", [], 3.0)], 6)
    wanted = vector.conj() @ (0.5 * dense(6, {1: "X", 4: "Y"}) - 2 * dense(6, {5: "Z"})) @ vector + 3
    assert state.expectation(operator) == pytest.approx(wanted, abs=1e-12)


def test_reduced_states_and_correlations(state: State) -> None:
    vector = state.to_vector()
    moved = np.moveaxis(vector.reshape([2] * 6), [3, 1, 5], [0, 1, 2]).reshape(8, 8)
    np.testing.assert_allclose(state.reduced([3, 1, 5]), moved @ moved.conj().T, atol=1e-13)
    means = {p: [vector.conj() @ dense(6, {k: p}) @ vector for k in range(6)] for p in "XY"}
    wanted = np.array(
        [
            [vector.conj() @ dense(6, {i: "X"}) @ dense(6, {j: "Y"}) @ vector for j in range(6)]
            for i in range(6)
        ]
    )
    found = state.correlations("X", "Y", connected=False)
    np.testing.assert_allclose(found, wanted, atol=1e-13)
    connected = wanted - np.outer(means["X"], means["Y"])
    np.testing.assert_allclose(state.correlations("X", "Y"), connected, atol=1e-13)
    assert state.correlations("X").dtype == np.float64


def test_schmidt_values_are_those_of_the_vector(state: State) -> None:
    if not state.is_chain:
        assert len(state.entropies()) == len(state.bond_dims)
        return
    order = state.chain().order
    tensor = state.to_vector().reshape([2] * 6).transpose(order)
    for cut, values in enumerate(state.schmidt_values(), 1):
        wanted = np.linalg.svd(tensor.reshape(2**cut, -1), compute_uv=False)
        np.testing.assert_allclose(values, wanted[: len(values)], atol=1e-7)
    assert [len(values) for values in state.schmidt_values()] == list(state.bond_dims)


def test_overlaps_do_not_depend_on_the_tree(state: State) -> None:
    other = State(TreeState.random(Sites((2,) * 6, chain(6)), 3, np.random.default_rng(1), is_complex=True))
    wanted = np.vdot(state.to_vector(), other.to_vector())
    assert state.overlap(other) == pytest.approx(wanted, abs=1e-12)
    assert other.overlap(state) == pytest.approx(wanted.conjugate(), abs=1e-12)
    assert state.fidelity(state) == pytest.approx(1)
    as_chain = State(state.chain().state())
    assert state.overlap(as_chain) == pytest.approx(1, abs=1e-12)


def test_a_truncated_chain_is_the_nearest_there_is() -> None:
    vector = np.random.default_rng(0).normal(size=16)
    state = states.from_vector(vector)
    truncated = state.truncated(2)
    values = np.linalg.svd(vector.reshape(4, 4) / np.linalg.norm(vector), compute_uv=False)
    assert truncated.fidelity(state) == pytest.approx((values[:2] ** 2).sum(), abs=1e-12)
    assert max(truncated.bond_dims) == 2


def test_sites_of_other_levels_become_qubits() -> None:
    rng = np.random.default_rng(0)
    state = states.from_vector(rng.normal(size=24) + 1j * rng.normal(size=24), dims=[3, 2, 4])
    wanted = np.zeros((4, 2, 4), complex)
    wanted[:3] = state.to_vector().reshape(3, 2, 4)
    np.testing.assert_allclose(state.qubits().to_vector(), wanted.reshape(-1), atol=1e-13)


def test_samples_follow_the_squares() -> None:
    state = states.from_vector([1, 2, 0, 2])
    drawn = state.sample(4000, random_state=0)
    found = np.bincount(drawn @ [2, 1], minlength=4) / 4000
    np.testing.assert_allclose(found, np.array([1, 4, 0, 4]) / 9, atol=0.04)


def test_compiles_exactly_on_the_fewest_qubits(state: State) -> None:
    circuit = state.compile()
    assert circuit.verify(state.tree_state, strings(state.dims)[:20]) < 1e-9
    assert circuit.num_qubits < 6


def test_every_state_has_a_drawing_and_a_short_repr(state: State) -> None:
    drawing = state.draw()
    assert all(str(site) in drawing for site in range(6))
    assert len(repr(state)) < 90
    assert "parameters" in state._repr_html_()


@pytest.mark.parametrize(
    ("operators", "message"),
    [
        ("XX", "expected 6 letters"),
        ("XXQIII", "expected 6 letters"),
        (states.ising(5), "of 5 sites, the state of 6"),
        (3, "expected site -> operator"),
        ({9: "X"}, "sites are integers from 0 to 5"),
    ],
)
def test_operators_that_do_not_fit(operators: object, message: str) -> None:
    state = State(TreeState.random(Sites((2,) * 6, chain(6)), 2, np.random.default_rng(0)))
    with pytest.raises(InvalidInputError, match=message):
        state.expectation(operators)


def test_bad_sites_and_other_states() -> None:
    state = State(TreeState.random(Sites((2,) * 6, chain(6)), 2, np.random.default_rng(0)))
    with pytest.raises(InvalidInputError, match="different sites"):
        state.reduced([1, 1])
    with pytest.raises(InvalidInputError, match="sites are integers"):
        state.reduced([6])
    with pytest.raises(InvalidInputError, match="other levels"):
        state.overlap(states.from_vector(np.ones(4)))
    with pytest.raises(InvalidInputError, match="expected a state, got int"):
        state.overlap(3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="does not fit"):
        State(TreeState.random(Sites((2,) * 60, chain(60)), 2, np.random.default_rng(0))).to_vector()
    with pytest.raises(InvalidInputError, match="an operator has shape"):
        state.correlations(np.eye(3))
