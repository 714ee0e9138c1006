"""Approximate circuits: known states, certificates by other simulators, devices, impossible wishes."""

from typing import Any

import numpy as np
import pytest
from qiskit.quantum_info import Statevector
from qiskit_ibm_runtime.fake_provider import FakeTorino

from qtnml import MPSBornMachine, get_backend, shallow, states
from qtnml.born import TreeState, log_likelihood
from qtnml.compile import recalibrated
from qtnml.errors import InvalidInputError
from qtnml.shallow import Approximation
from qtnml.shallow.search import Effort, pruned
from qtnml.states import State
from qtnml.structure import Sites, balanced, chain
from tests.shallow.test_engine import random_state


def ghz(count: int) -> State:
    pair = np.zeros((2, 2, 2))
    pair[0, 0, 0] = pair[1, 1, 1] = 1
    return states.from_arrays([pair[0][None] + pair[1][None], *[pair] * (count - 2), pair.sum(2)[..., None]])


def w_state(count: int) -> State:
    core = np.zeros((2, 2, 2))
    core[0, 0, 0] = core[1, 0, 1] = core[0, 1, 1] = 1
    return states.from_arrays([core[:1], *[core] * (count - 2), core[:, :, 1:]])


@pytest.fixture(scope="module")
def ising() -> State:
    return states.ground_state(states.ising(10), max_bond=8)


@pytest.fixture(scope="module")
def near(ising: State) -> Approximation:
    return shallow.approximate(ising, layers=2, iterations=200)


def fidelity_by_qiskit(found: Approximation) -> float:
    """Of the printed circuit's state vector; Qiskit's first qubit varies fastest."""
    count = found.circuit.num_qubits
    vector = Statevector(found.circuit).data.reshape([2] * count).transpose().reshape(-1)
    return float(abs(np.vdot(found.target.state.qubits().to_vector(), vector)) ** 2)


@pytest.mark.slow
def test_ghz_and_w_states_are_exact_with_the_fewest_gates() -> None:
    found = shallow.approximate(ghz(12), layers=1, blocks="cx")
    assert found.two_qubit_gates == 11
    assert found.infidelity < 1e-10
    found = shallow.approximate(w_state(12), layers=1)
    assert found.two_qubit_gates <= 22
    assert found.infidelity < 1e-9
    assert fidelity_by_qiskit(found) == pytest.approx(found.fidelity, abs=1e-9)


@pytest.mark.slow
def test_a_chain_of_bond_two_needs_one_layer() -> None:
    found = shallow.approximate(random_state(10, 2), layers=1)
    assert found.infidelity < 1e-8
    assert found.two_qubit_gates == 17


@pytest.mark.slow
def test_more_layers_are_nearer(ising: State, near: Approximation) -> None:
    one = shallow.approximate(ising, layers=1, iterations=200)
    assert near.infidelity < 0.1 * one.infidelity
    assert near.infidelity < 1e-3


@pytest.mark.sampled
@pytest.mark.parametrize("blocks", ["su4", "so4", "two-cx", "cx"])
@pytest.mark.parametrize(
    "layout",
    [
        "staircase",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("brick-wall", "parallel-sequential", "tree")
        ),
    ],
)
def test_the_printed_circuit_has_the_fidelity(ising: State, blocks: str, layout: str) -> None:
    found = shallow.approximate(ising, layers=2, layout=layout, blocks=blocks, iterations=20, starts=2)  # type: ignore[arg-type]
    assert fidelity_by_qiskit(found) == pytest.approx(found.fidelity, abs=1e-9)
    assert found.verify() < 1e-9
    assert found.state().fidelity(ising) == pytest.approx(found.fidelity, abs=1e-9)
    assert found.two_qubit_gates <= sum(found.blocks.two_qubit_gates)


@pytest.mark.slow
def test_few_qubits_draw_the_same_strings(near: Approximation) -> None:
    reused = near.compile()
    assert reused.num_qubits == 3
    assert near.compiled.num_qubits == 10
    strings = np.random.default_rng(0).integers(2, size=(20, 10))
    own = near.state().tree_state
    assert reused.verify(own, strings) < 1e-8
    assert near.compiled.verify(own, strings) < 1e-8
    assert reused.two_qubit_gates == near.two_qubit_gates
    assert reused.infidelity == near.infidelity


@pytest.mark.slow
def test_it_runs_on_backends_and_keeps_its_gates_on_another_device(near: Approximation) -> None:
    compiled = near.compile(target=FakeTorino())
    assert compiled.expected is not None
    assert compiled.expected.excess_nll > 0
    again = recalibrated(compiled, FakeTorino())
    assert again.gates_given
    assert again.infidelity == near.infidelity
    counts = get_backend("exact", seed=0).run([near.compile().trained_circuit], shots=2000)[0]
    assert sum(counts.values()) == 2000


@pytest.mark.slow
def test_sites_of_several_levels_and_states_on_trees() -> None:
    rng = np.random.default_rng(0)
    state = State(TreeState.random(Sites((3, 2, 4, 2), chain(4)), 2, rng, is_complex=True))
    found = shallow.approximate(state, layers=3, iterations=100)
    assert fidelity_by_qiskit(found) == pytest.approx(found.fidelity, abs=1e-9)
    assert found.compile().site_dims == (3, 2, 4, 2)
    drawn = found.compile()
    strings = state.sample(20, random_state=0)
    both = found.state().amplitudes(
        np.stack(
            [
                strings[:, 0] // 2,
                strings[:, 0] % 2,
                strings[:, 1],
                strings[:, 2] // 2,
                strings[:, 2] % 2,
                strings[:, 3],
            ],
            axis=1,
        )
    )
    own = drawn.state()
    np.testing.assert_allclose(np.exp(log_likelihood(own, strings)), np.abs(both) ** 2, atol=1e-9)
    on_tree = State(TreeState.random(Sites((2,) * 6, balanced(6)), 2, rng))
    found = shallow.approximate(on_tree, layers=2, iterations=100)
    assert fidelity_by_qiskit(found) == pytest.approx(found.fidelity, abs=1e-9)


@pytest.mark.slow
def test_a_chain_in_another_order_keeps_its_sites() -> None:
    order = [3, 1, 4, 0, 2]
    sites = Sites((2,) * 5, chain(5, order))
    state = State(TreeState.random(sites, 2, np.random.default_rng(0)))
    found = shallow.approximate(state, layers=1)
    drawn = found.compiled
    strings = np.random.default_rng(0).integers(2, size=(16, 5))
    assert drawn.verify(state.tree_state, strings) < 1e-3


@pytest.mark.slow
def test_sites_may_be_brought_together_that_are_entangled() -> None:
    """Pairs of a Bell state, far apart along the chain: one CX each where they are neighbours."""
    bell = np.eye(2) / np.sqrt(2)
    vector = np.einsum("ae,bf,cd->abcdef", bell, bell, bell)
    state = states.from_vector(vector)
    found = shallow.approximate(state, layers=1, blocks="two-cx", order="mutual-information")
    assert found.infidelity < 1e-8
    assert fidelity_by_qiskit(found) == pytest.approx(found.fidelity, abs=1e-9)
    assert {frozenset(found.target.sites[k : k + 2]) for k in (0, 2, 4)} == {
        frozenset((0, 4)),
        frozenset((1, 5)),
        frozenset((2, 3)),
    }
    for order in ("alphabet", [0, 1, 2]):
        with pytest.raises(InvalidInputError, match="order"):
            shallow.approximate(state, layers=1, order=order)  # type: ignore[arg-type]


@pytest.mark.slow
def test_twenty_qubits_as_aer_sees_them() -> None:
    from qiskit_aer import AerSimulator

    state = states.ground_state(states.ising(20), max_bond=16)
    found = shallow.approximate(state, layers=2, iterations=100, starts=2)
    circuit = found.circuit
    circuit.save_statevector()
    vector = np.asarray(AerSimulator(method="statevector").run(circuit).result().get_statevector())
    own = vector.reshape([2] * 20).transpose().reshape(-1)
    assert abs(np.vdot(state.to_vector(), own)) ** 2 == pytest.approx(found.fidelity, abs=1e-9)


@pytest.mark.slow
def test_a_goal_in_gates_or_in_fidelity(ising: State) -> None:
    found = shallow.approximate(ising, max_two_qubit_gates=25, iterations=100, starts=2)
    assert found.two_qubit_gates <= 25
    short = shallow.approximate(ising, target_fidelity=0.99, iterations=100, starts=2)
    assert short.fidelity >= 0.99
    assert short.two_qubit_gates <= 25


def test_pruning_meets_its_budget_and_says_what_is_left(near: Approximation) -> None:
    fewer = pruned(near, near.two_qubit_gates - 6, Effort(iterations=100, starts=2))
    assert fewer is not None
    assert fewer.two_qubit_gates <= near.two_qubit_gates - 6
    assert fidelity_by_qiskit(fewer) == pytest.approx(fewer.fidelity, abs=1e-9)
    assert pruned(near, 3, Effort(iterations=10)) is None


def test_a_front_rises(ising: State) -> None:
    front = shallow.pareto(ising, max_two_qubit_gates=30, iterations=40, starts=2, blocks="so4")
    gates = [each.two_qubit_gates for each in front.points]
    fidelities = [each.fidelity for each in front.points]
    assert gates == sorted(set(gates))
    assert fidelities == sorted(fidelities)
    assert gates[-1] <= 30
    assert front.best(max_two_qubit_gates=20).two_qubit_gates <= 20
    assert front.best(target_fidelity=0.9).fidelity >= 0.9
    assert str(gates[0]) in str(front)
    with pytest.raises(InvalidInputError, match="no circuit of this front"):
        front.best(max_two_qubit_gates=2)
    with pytest.raises(InvalidInputError, match="made for no device"):
        front.best_on_device()


@pytest.mark.slow
def test_a_front_on_a_device_knows_what_noise_costs(ising: State) -> None:
    front = shallow.pareto(
        ising, max_two_qubit_gates=34, blocks="so4", between=0, target=FakeTorino(), iterations=60, starts=2
    )
    nats = [each.expected.excess_nll for each in front.devices if each.expected is not None]
    assert len(nats) == len(front.points)
    assert front.best_on_device().expected.excess_nll == min(nats)  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_devices_coupling_map(ising: State) -> None:
    found = shallow.approximate(ising, layers=2, layout=FakeTorino(), iterations=20, starts=1)
    assert found.layout == "edges of fake_torino"
    assert found.verify() < 1e-9


@pytest.mark.slow
def test_a_born_machine_goes_in_as_it_is() -> None:
    bits = np.repeat([[0, 0, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0]], 10, axis=0)
    born = MPSBornMachine(max_bond=4, random_state=0, epochs=20).fit(bits)
    found = shallow.approximate(born, layers=2, iterations=50)
    assert found.fidelity > 0.5


def test_optimising_further_is_never_worse(near: Approximation) -> None:
    assert shallow.refine(near, 50).fidelity >= near.fidelity


@pytest.mark.parametrize("optimizer", ["adam", "sweeps"])
def test_other_optimisers_fall_as_well(ising: State, optimizer: Any) -> None:
    found = shallow.approximate(ising, layers=1, optimizer=optimizer, iterations=200)
    assert found.fidelity > 0.95


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give one of layers=.*got none"),
        ({"layers": 1, "target_fidelity": 0.9}, "got several"),
        ({"layers": 0}, "layers must be an integer of at least 1, got 0"),
        ({"layers": True}, "layers must be"),
        ({"layers": 100}, "at most 64"),
        ({"max_two_qubit_gates": 3}, "too few to join 10 qubits"),
        ({"target_fidelity": 1.5}, "target_fidelity must be between 0 and 1"),
        ({"layers": 1, "layout": "ladder"}, "layout must be 'staircase'"),
        ({"layout": [(0, 10)]}, "two different places from 0 to 9"),
        ({"layers": 1, "blocks": "cz"}, "blocks must be one of"),
        ({"layers": 1, "iterations": 0}, "iterations must be"),
        ({"layers": 1, "optimizer": "sgd"}, "optimizer must be"),
    ],
)
def test_wishes_that_make_no_sense(ising: State, options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        shallow.approximate(ising, **options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_fidelity_out_of_reach_is_said() -> None:
    with pytest.raises(InvalidInputError, match="no circuit reached a fidelity of 0.999: the nearest has"):
        shallow.approximate(
            random_state(8, 16),
            target_fidelity=0.999,
            layout=lambda n, _: tuple((k, k + 1) for k in range(n - 1)),
            iterations=10,
            starts=1,
            blocks="two-cx",
        )
    with pytest.raises(InvalidInputError, match="of one qubit"):
        shallow.approximate(states.from_vector([1, 1]), layers=1)
    with pytest.raises(InvalidInputError, match="expected a state, got int"):
        shallow.approximate(3, layers=1)
