import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit.library import SwapGate
from qiskit.quantum_info import Operator, random_unitary

from qtnml.errors import InvalidInputError
from qtnml.gates import NodeShape, Synthesis, append_rotation, own_gates, synthesize
from qtnml.gates.synthesis import SynthesizedNode, merge_rotations
from tests.references import random_unitaries


def rebuilt(unitary: np.ndarray) -> np.ndarray:
    """The matrix of a synthesis, qubit 0 most significant."""
    node = synthesize(unitary)
    last = np.eye(1)
    for rotation in node.last:
        last = np.kron(last, rotation)
    return last @ Operator(node.circuit.reverse_bits()).data


def distance_up_to_phase(a: np.ndarray, b: np.ndarray) -> float:
    overlap = np.trace(a.conj().T @ b)
    return float(np.abs(a * overlap / abs(overlap) - b).max())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(0, 10_000))
def test_synthesis_is_exact(num_qubits: int, seed: int) -> None:
    unitary = random_unitary(2**num_qubits, seed=seed).data
    assert distance_up_to_phase(rebuilt(unitary), unitary) < 1e-10
    assert set(synthesize(unitary).circuit.count_ops()) <= {"u", "cx"}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_two_qubits_take_at_most_three_cx(seed: int) -> None:
    node = synthesize(random_unitary(4, seed=seed).data)
    assert node.circuit.count_ops()["cx"] <= 3


@pytest.mark.parametrize(
    ("unitary", "cx"),
    [
        (np.eye(4), 0),
        (np.kron(random_unitary(2, seed=1).data, random_unitary(2, seed=2).data), 0),
        (np.diag([1, 1, 1, -1]), 1),
        (SwapGate().to_matrix(), 3),
        (np.diag([1j, 1, 1, 1]), 2),
    ],
)
def test_special_gates_cost_what_they_must(unitary: np.ndarray, cx: int) -> None:
    assert synthesize(unitary).circuit.count_ops().get("cx", 0) == cx
    assert distance_up_to_phase(rebuilt(unitary), unitary) < 1e-10


@pytest.mark.parametrize("distance", [1e-1, 1e-3, 1e-4, 1e-5, 1e-7, 1e-10, 1e-14])
def test_neighbours_of_special_gates_are_exact_too(distance: float) -> None:
    """An unitary near a gate of fewer CX is not rounded to it."""
    rng = np.random.default_rng(7)
    (rotation,) = random_unitaries(1, 4, distance, rng)
    local = np.kron(random_unitary(2, seed=1).data, random_unitary(2, seed=2).data)
    for special in (np.eye(4), local, np.diag([1, 1, 1, -1]), SwapGate().to_matrix(), np.diag([1j, 1, 1, 1])):
        unitary = rotation @ special
        assert distance_up_to_phase(rebuilt(unitary), unitary) < 1e-12


def test_no_rotation_follows_the_last_cx() -> None:
    """They are handed back apart, for the node above."""
    circuit = synthesize(random_unitary(4, seed=5).data).circuit
    assert circuit.data[-1].operation.name == "cx"


def test_gates_that_are_no_rotations_keep_their_sign() -> None:
    """X has a real matrix of equal diagonal, as RY has, and is none."""
    circuit = QuantumCircuit(2)
    circuit.x(0)
    circuit.h(1)
    circuit.cx(0, 1)
    circuit.ry(0.3, 0)
    circuit.z(1)
    circuit.x(1)
    circuit.cx(1, 0)
    merged = merge_rotations(circuit)
    whole = merged.circuit.copy()
    for qubit, matrix in enumerate(merged.last):
        append_rotation(whole, matrix, qubit)
    assert Operator(whole).equiv(Operator(circuit))
    for matrix in (np.array([[0, 1], [1, 0]]), np.array([[0, -1], [1, 0]]), np.eye(2), np.diag([1, -1])):
        single = QuantumCircuit(1)
        append_rotation(single, matrix.astype(complex), 0)
        assert Operator(single).equiv(Operator(matrix))


def test_an_ansatz_whose_gates_are_not_its_unitary_is_refused() -> None:
    node = SynthesizedNode(QuantumCircuit(2), (np.eye(2), np.eye(2)))
    swap = np.eye(4)[[0, 2, 1, 3]]
    with pytest.raises(InvalidInputError, match="are not its unitary: infidelity .*see check_ansatz"):
        own_gates(node, swap, NodeShape(2, 1), Synthesis())
    assert own_gates(node, np.eye(4), NodeShape(2, 1), Synthesis()).infidelity < 1e-12
