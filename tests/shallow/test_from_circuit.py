"""Circuits as starts: Trotter circuits of few steps optimised towards evolutions of many."""

from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.random import random_circuit
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Statevector
from scipy.linalg import expm

from qtnml import shallow, states
from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.shallow.vector import energy
from qtnml.states import State


def state_of(circuit: QuantumCircuit) -> State:
    count = circuit.num_qubits
    return states.from_vector(Statevector(circuit).data.reshape([2] * count).transpose())


@pytest.mark.parametrize("seed", range(4))
def test_any_circuit_is_its_own_blocks(seed: int) -> None:
    circuit = QuantumCircuit(5)
    for qubit in range(4):
        circuit.rzx(0.3 + qubit, qubit + 1, qubit)
    circuit.compose(random_circuit(5, 6, max_operands=2, seed=seed), inplace=True)
    found = shallow.from_circuit(state_of(circuit), circuit)
    assert found.infidelity < 1e-12
    assert found.verify() < 1e-9


@pytest.mark.slow
def test_few_steps_are_optimised_towards_many() -> None:
    hamiltonian = states.xxz(8, couplings=np.linspace(0.5, 1.5, 7), field=0.0)
    neel = [k % 2 for k in range(8)]
    start = state_of(shallow.trotter_circuit(hamiltonian, 0.0, 1, initial=neel))
    target = states.evolve(start, hamiltonian, 0.4, 30)
    exact = expm(-0.4j * hamiltonian.matrix()) @ start.to_vector()
    assert abs(np.vdot(exact, target.to_vector())) ** 2 > 0.9999
    coarse = shallow.trotter_circuit(hamiltonian, 0.4, 1, initial=neel)
    found = shallow.from_circuit(target, coarse)
    by_qiskit = abs(np.vdot(target.to_vector(), state_of(coarse).to_vector())) ** 2
    assert found.fidelity == pytest.approx(by_qiskit, abs=1e-9)
    refined = shallow.refine(found, 200)
    assert refined.infidelity < 0.1 * found.infidelity
    assert refined.blocks.pairs == found.blocks.pairs


@pytest.mark.slow
def test_more_steps_of_time_are_appended() -> None:
    hamiltonian = states.ising(6, field=0.7)
    first = states.evolve(states.from_vector(np.eye(64)[0]), hamiltonian, 0.3, 20)
    later = states.evolve(first, hamiltonian, 0.3, 20)
    start = shallow.refine(shallow.from_circuit(first, shallow.trotter_circuit(hamiltonian, 0.3, 1)), 100)
    step = shallow.trotter_circuit(hamiltonian, 0.3, 1)
    both = shallow.extended(start, step, later)
    assert len(both.blocks.pairs) == len(start.blocks.pairs) + len(start.blocks.pairs)
    assert both.fidelity > 0.97
    assert shallow.refine(both, 100).fidelity > both.fidelity


@pytest.mark.slow
def test_some_gates_may_stay_as_they_are() -> None:
    state = states.ground_state(states.ising(6), max_bond=8)
    found = shallow.approximate(state, layers=2, iterations=10, starts=1)
    refined = shallow.refine(found, 50, free=[0, 3, 4])
    before, after = (each.blocks.gates(each.point) for each in (found, refined))
    moved = np.abs(before - after).max(axis=(1, 2)) > 1e-12
    assert set(np.flatnonzero(moved)) <= {0, 3, 4}
    assert moved.any()
    rotated = shallow.approximate(state, layers=2, iterations=10, starts=1, blocks="two-cx")
    refined = shallow.refine(rotated, 50, free=[9])
    np.testing.assert_array_equal(refined.point.after[:9], rotated.point.after[:9])
    with pytest.raises(InvalidInputError, match="numbered from 0 to 9, got 10"):
        shallow.refine(found, 10, free=[10])


def test_circuits_that_are_no_start() -> None:
    state = states.from_vector(np.ones(8))
    free = QuantumCircuit(3)
    free.rx(Parameter("a"), 0)
    large = QuantumCircuit(3)
    large.ccx(0, 1, 2)
    measured = QuantumCircuit(3, 1)
    measured.measure(0, 0)
    alone = QuantumCircuit(3)
    alone.cx(0, 1)
    alone.h(2)
    for circuit, message in [
        (QuantumCircuit(2), "has 2 qubits, the state 3"),
        (free, "free parameters"),
        (large, "got 'ccx'"),
        (measured, "got 'measure'"),
        (alone, r"places \[2\] meet no two-qubit gate"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            shallow.from_circuit(state, circuit)
    with pytest.raises(InvalidInputError, match="initial is 3 bits"):
        shallow.trotter_circuit(states.ising(3), 1.0, 1, initial=[0, 1])


@pytest.mark.slow
@pytest.mark.sampled
@pytest.mark.parametrize("more", ["all", "neighbours", [(0, 5), (2, 4)], "device"])
def test_gates_at_the_identity_are_trained_on_an_energy(more: Any) -> None:
    hamiltonian = states.heisenberg(6)
    rough = states.ground_state(hamiltonian, max_bond=2)
    order = [1, 0, 2, 4, 3, 5]
    found = shallow.approximate(rough, layers=1, blocks="su4", iterations=60, order=order)
    device = GenericBackendV2(7, coupling_map=[[k, k + 1] for k in range(6)] + [[0, 5]], seed=0)
    longer = shallow.extended(found, device if more == "device" else more)
    assert longer.fidelity == pytest.approx(found.fidelity, abs=1e-9)
    assert len(longer.blocks.pairs) > len(found.blocks.pairs)
    places = np.argsort(longer.target.sites)
    lower = shallow.refine(longer, 60, objective=energy(longer.blocks, hamiltonian, places))
    before, after = (each.state().expectation(hamiltonian).real for each in (found, lower))
    exact = np.linalg.eigvalsh(hamiltonian.matrix())[0]
    assert exact - 1e-9 <= after < before - 0.05


@pytest.mark.slow
def test_another_iteration_can_be_the_last() -> None:
    state = states.ground_state(states.ising(6), max_bond=4)
    found = shallow.approximate(state, layers=1, iterations=5)
    seen = list[int]()

    def stop(done: int, losses: NDArray) -> bool:
        seen.append(done)
        assert losses.shape == (1,)
        return done == 3

    shallow.refine(found, 50, on_iteration=stop)
    assert seen == [1, 2, 3]
