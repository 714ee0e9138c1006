"""Chains renormalised to balanced trees, and states of circuits."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Statevector

from qtnml import states
from qtnml.born import TreeState
from qtnml.errors import InvalidInputError
from qtnml.states import State
from qtnml.structure import site_chain


def random_state(dims: list[int], bond: int, *, is_complex: bool = True) -> State:
    rng = np.random.default_rng(len(dims))
    return State(TreeState.random(site_chain(dims), bond, rng, is_complex=is_complex))


@pytest.mark.parametrize("dims", [[2, 3], [2] * 5, [3, 2, 4, 2, 2, 3, 2], [2] * 8])
@pytest.mark.parametrize("is_complex", [False, True])
def test_without_truncation_it_is_the_same_state(dims: list[int], is_complex: bool) -> None:
    state = random_state(dims, 4, is_complex=is_complex)
    found = state.renormalised()
    assert found.fidelity(state) == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(np.abs(np.vdot(found.to_vector(), state.to_vector())), 1, atol=1e-12)
    heights = found.tree_state.tree.heights
    assert max(heights) == int(np.ceil(np.log2(len(dims))))


def test_truncated_it_is_the_projection_on_the_levels_that_are_kept() -> None:
    state = states.ground_state(states.ising(16), max_bond=16)
    fidelities = [state.fidelity(state.renormalised(bond)) for bond in (1, 2, 4, 8, 16)]
    assert (np.diff(fidelities) > -1e-9).all()
    assert fidelities[1] > 0.85
    assert fidelities[3] > 0.9999
    # Of four sites by hand: the best two levels of each pair.
    small = random_state([2] * 4, 4)
    matrix = small.to_vector().reshape(4, 4)
    values = np.linalg.svd(matrix, compute_uv=False)
    assert small.fidelity(small.renormalised(2)) == pytest.approx((values[:2] ** 2).sum(), abs=1e-10)


def test_its_circuit_is_of_logarithmic_depth() -> None:
    state = states.ground_state(states.ising(16), max_bond=8)
    found = state.renormalised(2)
    deep = found.compile(reuse_qubits=False).circuit.depth(lambda gate: gate.operation.num_qubits == 2)
    chain = state.truncated(2).compile(reuse_qubits=False).circuit
    assert deep <= 12 < chain.depth(lambda gate: gate.operation.num_qubits == 2)


@pytest.mark.parametrize("seed", range(3))
def test_the_state_of_a_circuit(seed: int) -> None:
    circuit = random_circuit(5, 8, max_operands=2, seed=seed)
    found = states.from_circuit(circuit)
    wanted = Statevector(circuit).data.reshape([2] * 5).transpose().reshape(-1)
    assert abs(np.vdot(found.to_vector(), wanted)) == pytest.approx(1, abs=1e-10)
    assert max(states.from_circuit(circuit, max_bond=2).bond_dims) <= 2


def test_circuits_that_prepare_no_pure_state_are_refused() -> None:
    free, measured, three, empty = (
        QuantumCircuit(2),
        QuantumCircuit(2, 1),
        QuantumCircuit(3),
        QuantumCircuit(),
    )
    free.rx(Parameter("a"), 0)
    measured.measure(0, 0)
    three.ccx(0, 1, 2)
    for circuit, message in ((free, "free"), (measured, "measure"), (three, "ccx"), (empty, "no qubits")):
        with pytest.raises(InvalidInputError, match=message):
            states.from_circuit(circuit)
    with pytest.raises(InvalidInputError, match="QuantumCircuit"):
        states.from_circuit("bell")  # type: ignore[arg-type]
