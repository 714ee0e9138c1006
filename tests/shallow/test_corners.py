"""Corners: other orders of sites, truncation, sites of several qubits, wishes that are no wishes."""

from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector

from qtnml import CircuitBornMachine, MPSBornMachine, TreeBornMachine, shallow, states, structure
from qtnml.born import TreeState
from qtnml.errors import InvalidInputError, StateWarning
from qtnml.shallow import Approximation
from qtnml.states import Hamiltonian, State
from qtnml.states.state import reordered
from qtnml.structure import Sites, balanced


def in_another_order(state: State, order: tuple[int, ...]) -> State:
    return State(reordered(state.chain(), order).state())


@pytest.fixture(scope="module")
def vector() -> np.ndarray:
    rng = np.random.default_rng(1)
    found = rng.normal(size=16) + 1j * rng.normal(size=16)
    return found / np.linalg.norm(found)


@pytest.fixture(scope="module")
def other_order(vector: np.ndarray) -> Approximation:
    state = in_another_order(states.from_vector(vector), (2, 0, 3, 1))
    return shallow.approximate(state, layers=2, iterations=15, starts=1)


def by_qiskit(circuit: QuantumCircuit, vector: np.ndarray) -> float:
    count = circuit.num_qubits
    found = Statevector(circuit).data.reshape([2] * count).transpose().reshape(-1)
    return float(abs(np.vdot(vector, found)) ** 2)


@pytest.mark.slow
def test_the_prepared_state_has_its_sites_in_their_places(
    vector: np.ndarray, other_order: Approximation
) -> None:
    assert other_order.state().fidelity(states.from_vector(vector)) == pytest.approx(
        other_order.fidelity, abs=1e-9
    )
    assert by_qiskit(other_order.circuit, vector) == pytest.approx(other_order.fidelity, abs=1e-9)


@pytest.mark.slow
def test_steps_are_appended_whatever_the_order(vector: np.ndarray, other_order: Approximation) -> None:
    nothing = QuantumCircuit(4)
    for pair in ((0, 1), (2, 3)):
        nothing.cx(*pair)
        nothing.cx(*pair)
    found = shallow.extended(other_order, nothing, states.from_vector(vector))
    assert found.fidelity == pytest.approx(other_order.fidelity, abs=1e-9)


@pytest.mark.slow
def test_steps_on_sites_of_several_qubits() -> None:
    state = states.from_vector(np.random.default_rng(0).normal(size=9), dims=(3, 3))
    found = shallow.approximate(state, layers=1, iterations=15, starts=1)
    step = QuantumCircuit(4)
    step.cx(1, 2)
    step.h(3)
    step.cx(2, 3)
    wanted = by_qiskit(found.circuit.compose(step), state.qubits().to_vector())
    assert shallow.extended(found, step).fidelity == pytest.approx(wanted, abs=1e-9)
    start = shallow.from_circuit(state, found.circuit)
    assert start.fidelity == pytest.approx(found.fidelity, abs=1e-9)


def test_a_truncated_tree_is_another_state_and_that_is_said() -> None:
    state = State(TreeState.random(Sites((2,) * 6, balanced(6)), 3, np.random.default_rng(0)))
    with pytest.warns(StateWarning, match="has a fidelity of") as said:
        found = shallow.approximate(state, layers=1, max_bond=1, iterations=15, starts=1)
    kept = float(str(said[0].message).split("has a fidelity of ")[1].split()[0])
    assert found.target.state.fidelity(state) == pytest.approx(kept, rel=1e-5)
    assert max(found.target.bond_dims) == 1
    machine = TreeBornMachine.from_state(state)
    with pytest.warns(StateWarning):
        near = shallow.approximate(machine, layers=1, max_bond=1, iterations=5, starts=1)
    assert machine.compile(approximate=near).two_qubit_gates == near.two_qubit_gates


def test_constants_and_scales_of_hamiltonians() -> None:
    operator = SparsePauliOp.from_sparse_list([("XY", [0, 2], 0.7), ("", [], 2.0), ("Z", [1], 0.3)], 4)
    state = states.from_vector(np.random.default_rng(0).normal(size=16))
    found = Hamiltonian.from_qiskit(operator)
    assert state.expectation(found) == pytest.approx(state.expectation(operator), abs=1e-12)
    with pytest.raises(InvalidInputError, match="real coefficients"):
        Hamiltonian.from_qiskit(SparsePauliOp.from_list([("XX", 1j)]))
    for scale in (1e-9, 1.0, 1e6):
        small = states.xxz(6, couplings=scale)
        lowest = np.linalg.eigvalsh(small.matrix())[0]
        energy = states.ground_state(small).expectation(small).real
        assert energy == pytest.approx(lowest, rel=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: states.evolve(s, states.ising(4), -0.3j, 2), "time must be a real number"),
        (lambda s: states.evolve(s, states.ising(4), np.inf, 2), "time must be finite"),
        (lambda s: states.evolve(s, None, 1.0, 2), "expected a Hamiltonian"),
        (lambda s: states.evolve(s, states.ising(4), 1.0, 2, cutoff=np.nan), "cutoff must be"),
        (lambda _: states.from_vector([1, 0, 0, 1], cutoff=2.0), "cutoff must be"),
        (lambda _: states.from_vector([1, 0, 0, 1], dims=[2.7, 2]), "dims is a sequence of integers"),
        (lambda _: states.from_vector([1.0], dims=[]), "dims is a sequence of integers"),
        (lambda s: s.truncated(-1), "max_bond must be"),
        (lambda s: s.truncated("a"), "max_bond must be"),
        (lambda s: s.correlations("Z", "W"), "an operator is a matrix"),
        (lambda _: states.from_arrays(5), "expected a sequence of tensors"),
        (lambda _: states.from_arrays([np.zeros((2, 0)), np.zeros((0, 2))]), "dimension 0"),
        (lambda _: states.from_function(3, [2, 2]), "expected a function"),
        (lambda _: states.from_function(lambda x: x, [2] * 3, max_bond=None), "max_bond is an integer"),
        (lambda _: states.ground_state(None), "expected a Hamiltonian"),
        (lambda _: states.ground_state(states.ising(4), sweeps=0), "sweeps must be"),
        (lambda s: shallow.approximate(s, layout=[(0, 1, 2)]), "pairs of places"),
        (lambda s: shallow.approximate(s, layout=[]), "at least one pair"),
        (lambda s: shallow.approximate(s, layers=1, layout=lambda *_: None), "pairs of places"),
        (lambda s: shallow.approximate(s, layers=1, random_state="a"), "random_state must be"),
        (lambda s: shallow.approximate(s, layers=1, blocks=["su4"]), "blocks is the name"),
        (lambda s: shallow.approximate(s, layers=1, max_bond=0), "max_bond must be"),
        (lambda s: shallow.pareto(s, max_two_qubit_gates=9, between=-1), "between must be"),
        (lambda s: shallow.from_circuit(s, None), "expected a QuantumCircuit"),
    ],
)
def test_what_cannot_be_meant(vector: np.ndarray, make: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make(states.from_vector(vector))


def test_wishes_of_refinement(other_order: Approximation) -> None:
    for options, message in [
        ({"iterations": "x"}, "iterations must be"),
        ({"free": 3}, "free is a sequence"),
        ({"free": [0.5]}, "numbered by integers"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            shallow.refine(other_order, **options)  # type: ignore[arg-type]


def test_numbers_of_any_size_and_kind() -> None:
    for scale in (1e-200, 1.0, 1e200):
        found = states.from_vector(scale * np.array([1.0, 0, 0, 1]))
        np.testing.assert_allclose(found.to_vector(), np.array([1, 0, 0, 1]) / np.sqrt(2), atol=1e-12)
        arrays = [scale * np.eye(2)[None], scale * np.eye(2)[..., None]]
        np.testing.assert_allclose(
            states.from_arrays(arrays).to_vector(), np.array([1, 0, 0, 1]) / np.sqrt(2), atol=1e-12
        )
    whole = states.from_function(lambda x: 1 + x.sum(axis=1), [2] * 20)
    assert whole.fidelity(states.from_function(lambda x: 1.0 + x.sum(axis=1), [2] * 20)) == pytest.approx(1)
    alike = states.from_function(lambda x: x[:, 0] == x[:, 1], [2] * 20)
    assert alike.amplitudes([[0, 1, *[0] * 18]])[0] == pytest.approx(0, abs=1e-9)


def test_layouts_as_arrays_and_functions_of_lists(vector: np.ndarray) -> None:
    state = states.from_vector(vector)
    pairs = np.array([[0, 1], [1, 2], [2, 3]])
    one = shallow.approximate(state, layout=pairs, iterations=10, starts=1)
    two = shallow.approximate(state, layers=1, layout=lambda *_: pairs.tolist(), iterations=10, starts=1)
    assert one.blocks.pairs == two.blocks.pairs == ((0, 1), (1, 2), (2, 3))
    by_sweeps = shallow.approximate(state, layers=1, optimizer="sweeps", iterations=5)
    assert by_sweeps.blocks.kind == "su4"


def test_what_cannot_be_compiled_is_refused_before_it_is_optimised() -> None:
    rng = np.random.default_rng(0)
    wide = [rng.normal(size=(1 if k == 0 else 2, 4, 1 if k == 8 else 2)) for k in range(9)]
    backwards = [(k, k + 1) for k in range(16, -1, -1)]
    with pytest.raises(InvalidInputError, match="at once|together"):
        shallow.approximate(states.from_arrays(wide), layout=backwards, iterations=3, starts=1)


def test_weights_and_rates_of_circuit_born_machines() -> None:
    X = np.repeat([[0, 0, 1], [1, 1, 0]], 5, axis=0)
    for options, message in [
        ({"learning_rate": np.nan}, "learning_rate must be"),
        ({"learning_rate": 0}, "learning_rate must be"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            CircuitBornMachine(1, iterations=2, **options).fit(X)  # type: ignore[arg-type]
    for weights in (np.full(10, np.nan), np.zeros(10), -np.ones(10), np.ones(3)):
        with pytest.raises(InvalidInputError, match="weight"):
            CircuitBornMachine(1, iterations=2).fit(X, sample_weight=weights)


@pytest.mark.slow
def test_fit_starts_anew_unless_it_is_to_go_on() -> None:
    X = np.repeat([[0, 0, 1], [1, 1, 0]], 5, axis=0)
    model = CircuitBornMachine(1, iterations=10, random_state=0)
    assert model.fit(X).score(X) == pytest.approx(model.fit(X).score(X), abs=1e-12)
    assert len(model.set_params(layers=2).fit(X).blocks_.pairs) == 5
    born = MPSBornMachine(max_bond=2, random_state=0, epochs=5, validation_fraction=0.0).fit(X)
    going_on = CircuitBornMachine.from_born(born, layers=1, iterations=10)
    first = going_on.fit(X).score(X)
    assert going_on.fit(X).score(X) > first - 1e-9
    with pytest.raises(InvalidInputError, match="layers must be an integer"):
        CircuitBornMachine.from_born(born, layers=2.7)  # type: ignore[arg-type]


@pytest.mark.slow
def test_orders_that_would_need_bonds_beyond_reason_are_refused() -> None:
    one = State(TreeState.random(structure.site_chain([2] * 40), 4, np.random.default_rng(0)))
    other = State(
        TreeState.random(
            structure.site_chain([2] * 40, [*range(0, 40, 2), *range(1, 40, 2)]), 4, np.random.default_rng(1)
        )
    )
    with pytest.raises(InvalidInputError, match="another order needs bonds of"):
        one.overlap(other)


def test_a_first_layer_that_is_too_wide_says_so() -> None:
    state = State(TreeState.random(structure.site_chain([2] * 30), 2, np.random.default_rng(0)))
    far = [(k, 29 - k) for k in range(15)] + [(k, k + 1) for k in range(29)]
    for goal in ({"target_fidelity": 0.9}, {"max_two_qubit_gates": 200}):
        with pytest.raises(InvalidInputError, match="needs .* qubits at once"):
            shallow.approximate(state, layout=lambda *_: far, **goal)  # type: ignore[arg-type]
