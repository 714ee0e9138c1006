"""Channels against Kraus sums and Qiskit's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import Kraus, SuperOp
from qiskit_aer.noise import (
    amplitude_damping_error,
    depolarizing_error,
    pauli_error,
    phase_damping_error,
    thermal_relaxation_error,
)

from qtnml.errors import InvalidInputError
from qtnml.noise import (
    Channel,
    amplitude_damping,
    bit_flip,
    dephasing,
    depolarizing,
    from_kraus,
    from_superoperator,
    identity,
    over_rotation,
    phase_damping,
    thermal_relaxation,
)
from qtnml.noise.aer import quantum_error
from qtnml.noise.channels import pauli_strings, relaxation_maps, unitary_maps

PAIRS = {
    "amplitude damping": (amplitude_damping(0.2, 0.1), amplitude_damping_error(0.2, 0.1)),
    "phase damping": (phase_damping(0.3), phase_damping_error(0.3)),
    "depolarizing": (depolarizing(0.1), depolarizing_error(0.1, 1)),
    "depolarizing two": (depolarizing(0.1, 2), depolarizing_error(0.1, 2)),
    "T2 below T1": (
        thermal_relaxation(1e-4, 8e-5, 1e-5, 0.1),
        thermal_relaxation_error(1e-4, 8e-5, 1e-5, 0.1),
    ),
    "T2 above T1": (thermal_relaxation(1e-4, 1.8e-4, 1e-5), thermal_relaxation_error(1e-4, 1.8e-4, 1e-5)),
    "bit flip": (bit_flip(0.2), pauli_error([("X", 0.2), ("I", 0.8)])),
}


@pytest.mark.parametrize("name", PAIRS)
def test_ours_are_qiskits(name):
    ours, theirs = PAIRS[name]
    np.testing.assert_allclose(ours.to_superop().data, SuperOp(theirs).data, atol=1e-14)
    np.testing.assert_allclose(SuperOp(quantum_error(ours)).data, SuperOp(theirs).data, atol=1e-12)


def random_kraus(num_qubits: int, count: int, seed: int) -> np.ndarray:
    rng, dim = np.random.default_rng(seed), 2**num_qubits
    gaussian = rng.normal(size=(count * dim, dim)) + 1j * rng.normal(size=(count * dim, dim))
    return np.linalg.qr(gaussian)[0].reshape(count, dim, dim)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 2), st.integers(1, 5), st.integers(0, 10**6))
def test_any_kraus_list(num_qubits, count, seed):
    operators = random_kraus(num_qubits, count, seed)
    channel = from_kraus(operators)
    rho = random_kraus(num_qubits, 1, seed + 1)[0]
    rho = rho @ np.diag(np.arange(1, len(rho) + 1)) @ rho.conj().T
    strings = pauli_strings(num_qubits)
    before, after = (
        np.einsum("iab,ba->i", strings, state).real
        for state in (rho, np.einsum("kab,bc,kdc->ad", operators, rho, operators.conj()))
    )
    np.testing.assert_allclose(channel.transfer_map @ before, after, atol=1e-10)
    # Out and in again, by every description.
    for again in (
        from_kraus(channel.kraus()),
        from_superoperator(channel.superoperator()),
        Channel(channel.transfer_map),
    ):
        np.testing.assert_allclose(again.transfer_map, channel.transfer_map, atol=1e-9)
    np.testing.assert_allclose(np.trace(channel.choi), 2**num_qubits, atol=1e-10)
    assert channel.smallest_choi_eigenvalue > -1e-9


def test_two_qubits_stand_in_the_same_order_as_in_qiskit():
    operators = random_kraus(2, 3, 7)
    swapped = [k[np.ix_([0, 2, 1, 3], [0, 2, 1, 3])] for k in operators]
    theirs = SuperOp(Kraus(swapped)).data
    np.testing.assert_allclose(from_kraus(operators).to_superop().data, theirs, atol=1e-13)


def test_fidelity_composition_and_tensor_product():
    assert identity().average_fidelity == 1
    np.testing.assert_allclose(depolarizing(0.1).average_fidelity, 0.95)
    both = bit_flip(0.1).then(bit_flip(0.2))
    np.testing.assert_allclose(both.transfer_map, bit_flip(0.1 * 0.8 + 0.9 * 0.2).transfer_map)
    np.testing.assert_allclose(dephasing(1.0).transfer_map, np.diag([1, 0, 0, 1]))
    pair = bit_flip(0.1).tensor(dephasing(0.3))
    np.testing.assert_allclose(
        pair.transfer_map, np.kron(bit_flip(0.1).transfer_map, dephasing(0.3).transfer_map)
    )
    turned = over_rotation("Y", np.pi / 2).transfer_map @ [1, 0, 0, 1]
    np.testing.assert_allclose(turned, [1, 1, 0, 0], atol=1e-15)


def test_maps_are_the_same_in_jax():
    import jax.numpy as jnp

    rates = np.array([0.1, 0.7])
    ours = relaxation_maps(rates, 2 * rates, 0.1)
    np.testing.assert_allclose(relaxation_maps(jnp.asarray(rates), 2 * rates, 0.1, xp=jnp), ours, atol=1e-6)
    unitary = random_kraus(2, 1, 3)
    np.testing.assert_allclose(unitary_maps(jnp.asarray(unitary), xp=jnp), unitary_maps(unitary), atol=1e-5)


BAD = {
    "gamma must be a probability from 0 to 1, got 1.2": lambda: amplitude_damping(1.2),
    "p must be a probability from 0 to 1, got nan": lambda: dephasing(float("nan")),
    "p must be a probability from 0 to 1, got True": lambda: bit_flip(True),
    "p must be from 0 to 1.33333": lambda: depolarizing(1.5),
    "t2=0.0003 s is longer than 2 t1=0.0002 s": lambda: thermal_relaxation(1e-4, 3e-4, 1e-6),
    "t1 must be a number of seconds of at least 1e-15, got 0": lambda: thermal_relaxation(0, 1e-4, 1e-6),
    "time must be a number of seconds of at least 0, got -1": lambda: thermal_relaxation(1e-4, 1e-4, -1),
    "axis must be 'X', 'Y' or 'Z'": lambda: over_rotation("W", 0.1),
    "does not preserve the trace": lambda: from_kraus([0.5 * np.eye(2)]),
    "is not completely positive": lambda: Channel(np.diag([1.0, 1, -1, 1])),
    "shape (4**n, 4**n)": lambda: Channel(np.eye(3)),
    "must be finite": lambda: Channel(np.full((4, 4), np.nan)),
    "must be of shape (2**n, 2**n)": lambda: from_kraus([np.eye(3)]),
    "square matrices of one size": lambda: from_kraus([np.eye(2), np.eye(4)]),
    "does not keep matrices Hermitian": lambda: from_superoperator(1j * np.eye(4)),
    "acts on 2 qubits": lambda: identity().then(identity(2)),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_one_clear_error(message):
    import re

    with pytest.raises(InvalidInputError, match=re.escape(message)):
        BAD[message]()
