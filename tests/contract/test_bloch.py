"""The engine against the dense referee, and NumPy against JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtnml.ansatz import TensorNetwork
from qtnml.contract import bloch_plan, contract, dense_outcome_probabilities, transfer_maps
from qtnml.contract.pauli import pauli_transfer_maps
from qtnml.encoding import bloch_vectors, state_vectors
from qtnml.errors import InvalidInputError
from qtnml.structure import Node, Topology, balanced_tree
from tests.references import ENCODING, network_outcomes
from tests.structure.strategies import small_trees

PAULI = {
    "I": np.eye(2),
    "X": np.array([[0, 1], [1, 0]]),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1, -1]),
}


@settings(max_examples=60, deadline=None)
@given(small_trees(), st.integers(0, 10_000))
def test_tree_equals_dense_density_matrix(topology: Topology, seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = TensorNetwork.random(topology, rng, scale=3.0)
    X = rng.random((3, topology.num_data_qubits))
    dense = [dense_outcome_probabilities(network, state_vectors(ENCODING, x)) for x in X]
    np.testing.assert_allclose(network_outcomes(network, X), dense, atol=1e-12)


@pytest.mark.parametrize("bond_qubits", [1, 2, 3])
def test_eight_qubits_at_every_bond(bond_qubits: int, rng: np.random.Generator) -> None:
    network = TensorNetwork.random(balanced_tree(8, bond_qubits, root_qubits=2), rng, scale=3.0)
    X = rng.random((4, 8))
    dense = [dense_outcome_probabilities(network, state_vectors(ENCODING, x)) for x in X]
    np.testing.assert_allclose(network_outcomes(network, X), dense, atol=1e-12)


def test_irregular_tree(rng: np.random.Generator) -> None:
    """Wires of different widths, three children, one child, children from several levels."""
    nodes = (
        Node((0, 2), 0, 2),
        Node((1, 4, 3), 1, 2),
        Node((5,), 1, 1),
    )
    network = TensorNetwork.random(Topology((1, 2, 2, 1), nodes), rng, scale=3.0)
    X = rng.random((3, 6))
    dense = [dense_outcome_probabilities(network, state_vectors(ENCODING, x)) for x in X]
    np.testing.assert_allclose(network_outcomes(network, X), dense, atol=1e-12)


@pytest.mark.sampled
@pytest.mark.parametrize(("bond_qubits", "leaf"), [(1, "data"), (2, "data"), (2, "fresh"), (3, "data")])
def test_float32_in_jax_is_near_float64(bond_qubits: int, leaf: str, rng: np.random.Generator) -> None:
    topology = balanced_tree(64, bond_qubits, leaf=leaf, root_qubits=2)
    network = TensorNetwork.random(topology, rng, scale=1.0)
    X = rng.random((5, 64))
    exact = network_outcomes(network, X)
    single = TensorNetwork(topology, tuple(jnp.asarray(s, dtype=jnp.complex64) for s in network.unitaries))

    @jax.jit
    def probabilities(network: TensorNetwork, X: jax.Array) -> jax.Array:
        return contract(topology, transfer_maps(network, "IXZ"), bloch_vectors(ENCODING, X)).T

    found = probabilities(single, jnp.asarray(X, dtype=jnp.float32))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, exact, atol=3e-6)


@pytest.mark.parametrize("in_paulis", [("IXYZ",) * 3, ("IXZ", "IXYZ", "IX")])
@pytest.mark.parametrize("out_paulis", ["IXYZ", "IZ"])
def test_transfer_map_is_its_definition(
    in_paulis: tuple[str, ...], out_paulis: str, rng: np.random.Generator
) -> None:
    (unitary,) = TensorNetwork.random(balanced_tree(4, 2), rng, scale=3.0).unitaries
    maps = pauli_transfer_maps(unitary, 2, 1, out_paulis, in_paulis)
    outputs = [np.kron(PAULI[a], PAULI[b]) for a in out_paulis for b in out_paulis]
    inputs = [
        np.kron(np.kron(PAULI[a], PAULI[b]), PAULI[c])
        for a in in_paulis[0]
        for b in in_paulis[1]
        for c in in_paulis[2]
    ]
    zero, U = np.diag([1.0, 0.0]), unitary[0]
    expected = [
        [np.trace(np.kron(o, np.eye(4)) @ U @ np.kron(i, zero) @ U.conj().T).real / 8 for i in inputs]
        for o in outputs
    ]
    np.testing.assert_allclose(maps[0], expected, atol=1e-13)


def test_probabilities_are_normalised_exactly(rng: np.random.Generator) -> None:
    network = TensorNetwork.random(balanced_tree(1000, 1), rng, scale=2.0)
    outcomes = network_outcomes(network, rng.random((7, 1000)))
    np.testing.assert_allclose(outcomes.sum(axis=1), 1.0, atol=1e-15)


def test_chunks_change_nothing(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    network = TensorNetwork.random(balanced_tree(16, 2), rng)
    X = rng.random((11, 16))
    whole = network_outcomes(network, X)
    monkeypatch.setattr(bloch_plan, "_CHUNK_FLOATS", 2048)
    np.testing.assert_allclose(network_outcomes(network, X), whole, atol=1e-15)
    assert network_outcomes(network, X[:0]).shape == (0, 2)


def test_product_state_closed_form() -> None:
    """Identity nodes keep the first qubit: p(1) = sin(pi x_0 / 2)**2, whatever the others are."""
    topology = balanced_tree(8)
    identity = TensorNetwork(topology, (np.tile(np.eye(4, dtype=complex), (7, 1, 1)),))
    X = np.random.default_rng(1).random((6, 8))
    expected = np.sin(np.pi * X[:, 0] / 2) ** 2
    np.testing.assert_allclose(network_outcomes(identity, X)[:, 1], expected, atol=1e-15)


def test_gradient_equals_finite_differences(x64: None, rng: np.random.Generator) -> None:
    topology = balanced_tree(5, 2)
    network = TensorNetwork.random(topology, rng, scale=2.0)
    bloch = bloch_vectors(ENCODING, jnp.asarray(rng.random((3, 5))))

    def loss(stacks: tuple[jax.Array, ...]) -> jax.Array:
        maps = transfer_maps(TensorNetwork(topology, stacks), "IXZ")
        return jnp.sum(contract(topology, maps, bloch)[0] ** 2)

    stacks = tuple(jnp.asarray(stack) for stack in network.unitaries)
    gradients = jax.jit(jax.grad(loss))(stacks)
    for k, (stack, gradient) in enumerate(zip(stacks, gradients, strict=True)):
        direction = rng.normal(size=stack.shape) + 1j * rng.normal(size=stack.shape)
        moved = [
            loss(tuple(s + (sign * 1e-6 * direction if j == k else 0) for j, s in enumerate(stacks)))
            for sign in (1, -1)
        ]
        numeric = (moved[0] - moved[1]) / 2e-6
        np.testing.assert_allclose(jnp.sum(gradient * direction).real, numeric, rtol=1e-6)


def test_dense_referee_knows_its_limit(rng: np.random.Generator) -> None:
    network = TensorNetwork.random(balanced_tree(11), rng)
    with pytest.raises(InvalidInputError, match="at most 10 qubits, got 11"):
        dense_outcome_probabilities(network, state_vectors(ENCODING, np.zeros(11)))
