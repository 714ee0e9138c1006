import numpy as np
import pytest
from qiskit.quantum_info import random_unitary

from qtnml.gates import NodeShape, channel_infidelity


def test_infidelity_ignores_what_happens_to_lost_qubits() -> None:
    unitary = random_unitary(8, seed=3).data
    on_lost = np.kron(np.eye(2), random_unitary(4, seed=4).data)
    assert channel_infidelity(unitary, on_lost @ unitary, NodeShape(3, 1)) < 1e-12
    on_kept = np.kron(random_unitary(2, seed=4).data, np.eye(4))
    assert channel_infidelity(unitary, on_kept @ unitary, NodeShape(3, 1)) > 0.1


def test_infidelity_of_a_small_rotation_is_its_closed_form() -> None:
    """exp(-i a Z / 2) on a kept qubit has fidelity cos(a / 2)**2."""
    angle = 0.3
    rotation = np.diag(np.exp([-0.5j * angle, 0.5j * angle]))
    found = channel_infidelity(np.eye(4), np.kron(rotation, np.eye(2)), NodeShape(2, 1))
    assert found == pytest.approx(np.sin(angle / 2) ** 2, abs=1e-14)


def test_before_a_measurement_phases_and_outcomes_have_their_own_freedom() -> None:
    """U and (sum over outcomes of |k><k| (x) W_k) U measure alike, but are not the same channel."""
    unitary = random_unitary(8, seed=3).data
    blocks = np.zeros((8, 8), dtype=complex)
    for k in range(2):
        blocks[4 * k : 4 * k + 4, 4 * k : 4 * k + 4] = random_unitary(4, seed=10 + k).data
    assert channel_infidelity(unitary, blocks @ unitary, NodeShape(3, 1, 0, "measured")) < 1e-12
    assert channel_infidelity(unitary, blocks @ unitary, NodeShape(3, 1)) > 0.1


def test_only_columns_that_a_fresh_qubit_reaches_count() -> None:
    unitary = random_unitary(4, seed=3).data
    other = unitary @ np.diag([1, -1, 1, 1j])  # moves |01> and |11> alone
    assert channel_infidelity(unitary, other, NodeShape(2, 1, 1)) < 1e-12
    assert channel_infidelity(unitary, other, NodeShape(2, 1)) > 0.1
