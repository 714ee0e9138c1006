"""Evolution in time against the dense exponential, truncation against what it says was lost."""

import numpy as np
import pytest
from scipy.linalg import expm

from qtnml import states
from qtnml.errors import InvalidInputError
from qtnml.states import Hamiltonian, evolve
from qtnml.states.evolution import MovingChain, trotter_steps


@pytest.mark.parametrize(("order", "error"), [(1, 1e-2), (2, 2e-5), (4, 1e-10)])
def test_trotter_steps_against_the_exponential(order: int, error: float) -> None:
    hamiltonian = states.xxz(8, anisotropy=0.7, field=0.3)
    neel = states.from_vector(np.eye(256)[0b01010101])
    wanted = expm(-0.5j * hamiltonian.matrix()) @ neel.to_vector()
    found = evolve(neel, hamiltonian, 0.5, 10, order=order)
    assert 1 - abs(np.vdot(found.to_vector(), wanted)) ** 2 < error
    assert found.expectation(hamiltonian).real == pytest.approx(neel.expectation(hamiltonian).real, abs=0.3)


def test_a_ring_and_steps_of_a_closed_form() -> None:
    ring = states.ising(6, field=0.4, periodic=True)
    start = states.from_vector(np.eye(64)[0])
    wanted = expm(-1j * ring.matrix()) @ start.to_vector()
    found = evolve(start, ring, 1.0, 40)
    assert abs(np.vdot(found.to_vector(), wanted)) ** 2 == pytest.approx(1, abs=1e-5)


def test_truncation_says_what_it_lost() -> None:
    rng = np.random.default_rng(0)
    tensors = states.from_vector(rng.normal(size=64)).chain().tensors
    exact, truncated = MovingChain(tensors), MovingChain(tensors, max_bond=3)
    gates = trotter_steps(states.heisenberg(6), 0.3, 1)
    for pair, gate in gates:
        exact.apply(gate, *pair)
        truncated.apply(gate, *pair)
    assert truncated.log_kept < -1e-3
    assert exact.log_kept == pytest.approx(0, abs=1e-12)
    assert max(t.shape[2] for t in truncated.tensors) == 3


def test_gates_on_sites_far_apart_and_in_any_order() -> None:
    rng = np.random.default_rng(0)
    vector = rng.normal(size=32)
    gate = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    for first, second in [(0, 4), (4, 1), (2, 3)]:
        chain = MovingChain(states.from_vector(vector).chain().tensors)
        chain.apply(gate, first, second)
        found = states.from_arrays(chain.tensors).to_vector()
        moved = np.moveaxis(vector.reshape([2] * 5), [first, second], [0, 1]).reshape(4, 8)
        wanted = np.moveaxis((gate @ moved).reshape([2] * 5), [0, 1], [first, second]).reshape(-1)
        np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted), atol=1e-12)


def test_hamiltonians() -> None:
    x, z = np.array([[0, 1], [1, 0]]), np.diag([1, -1])
    wanted = -np.kron(z, z) - 0.5 * (np.kron(x, np.eye(2)) + np.kron(np.eye(2), x))
    np.testing.assert_allclose(states.ising(2, field=0.5).matrix(), wanted)
    bonds = states.ising(5, field=0.5).bonds()
    total = sum(
        np.kron(np.kron(np.eye(2 ** pair[0]), matrix), np.eye(2 ** (4 - pair[1])))
        for pair, matrix in bonds.items()
    )
    np.testing.assert_allclose(total, states.ising(5, field=0.5).matrix(), atol=1e-13)
    # Bethe's ansatz for eight sites of an open chain is not at hand; the known energy of two singlets is.
    assert np.linalg.eigvalsh(states.heisenberg(2).matrix())[0] == pytest.approx(-3)
    assert states.heisenberg(4).is_real


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Hamiltonian(3, (((0, 1, 2), np.eye(8)),)), "one site or two"),
        (lambda: Hamiltonian(3, (((0, 3), np.eye(4)),)), "sites are integers from 0 to 2"),
        (lambda: Hamiltonian(3, (((0, 1), np.eye(2)),)), "matrix of shape"),
        (lambda: Hamiltonian(3, (((0,), np.array([[0, 1], [0, 0]])),)), "not Hermitian"),
        (lambda: Hamiltonian.from_paulis(2, [("XQ", (0, 1), 1.0)]), "letters X, Y, Z"),
        (lambda: states.ising(1), "at least two sites"),
        (lambda: states.xxz(4, couplings=[1, 2]), "3 pairs need as many couplings"),
        (lambda: trotter_steps(states.ising(4), 1.0, 0), "steps must be"),
        (lambda: trotter_steps(states.ising(4), 1.0, 1, order=3), "order must be"),
        (lambda: Hamiltonian.from_paulis(2, [("X", (0,), 1.0)]).bonds(), "no neighbour"),
        (lambda: evolve(states.from_vector(np.ones(8)), states.ising(4), 1.0, 2), "of 4 sites"),
        (lambda: evolve(states.from_vector(np.ones(9), dims=[3, 3]), states.ising(2), 1.0, 2), "qubits"),
    ],
)
def test_bad_hamiltonians_and_steps(made: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        made()  # type: ignore[operator]
