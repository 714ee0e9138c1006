from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.circuit.random import random_circuit
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Statevector
from qiskit_aer.primitives import SamplerV2 as AerSampler

from qtnml import get_backend
from qtnml.ansatz import FullUnitary, TensorNetwork
from qtnml.compile import CompiledCircuit, compile_network
from qtnml.compile.factorised import Operation, circuit_operations, outcome_probabilities, projection
from qtnml.contract import Model, Parameters
from qtnml.encoding import AngleEncoding
from qtnml.errors import InvalidInputError, SamplerWarning
from qtnml.gates import Synthesis
from qtnml.structure import Topology, balanced_tree, mps
from tests.references import ENCODING, PhaseEncoding, network_outcomes
from tests.structure.strategies import small_trees


def compiled_network(topology: Topology, seed: int = 0, **arguments: Any) -> CompiledCircuit:
    network = TensorNetwork.random(topology, np.random.default_rng(seed), scale=2.0)
    return compile_network(network, ENCODING, **arguments)


def samples(compiled: CompiledCircuit, count: int) -> np.ndarray:
    return np.random.default_rng(5).random((count, compiled.num_features))


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(small_trees(max_qubits=6), st.booleans(), st.sampled_from(["qiskit", "pennylane"]))
def test_every_tree_is_its_network(topology: Topology, reuse: bool, sdk: Any) -> None:
    compiled = compiled_network(topology, reuse_qubits=reuse, synthesis=Synthesis("analytic"))
    assert compiled.verify(samples(compiled, 3), sdk=sdk) < 1e-10


@pytest.mark.parametrize("sdk", ["qiskit", "pennylane"])
@pytest.mark.parametrize("gate", ["cx", "cz", "ecr", "rzz"])
def test_every_gate_set(gate: Any, sdk: Any) -> None:
    compiled = compiled_network(mps(5, 2), synthesis=Synthesis(two_qubit_gate=gate))
    assert compiled.verify(samples(compiled, 3), sdk=sdk) < 1e-10


@pytest.mark.parametrize("arguments", [{"num_qubits": 60}, {"reuse_qubits": False}, {}])
def test_hundreds_of_qubits(arguments: dict) -> None:
    compiled = compiled_network(balanced_tree(256), **arguments)
    assert compiled.verify(samples(compiled, 2)) < 1e-10


def test_a_wrong_circuit_has_no_certificate() -> None:
    """The certificate is of the circuit itself: one gate more, and it fails."""
    compiled = compiled_network(balanced_tree(8))
    compiled.circuit.data.insert(len(compiled.circuit.data) // 2, compiled.circuit.data[-2])
    assert compiled.verify(samples(compiled, 2)) > 1e-3


def test_approximate_synthesis_is_measured() -> None:
    compiled = compiled_network(balanced_tree(8), synthesis=Synthesis(max_two_qubit_gates=2))
    X = samples(compiled, 4)
    network = compiled.network
    assert network is not None
    measured = get_backend("aer").probabilities(compiled.bind(X)) - network_outcomes(network, X)
    assert compiled.verify(X) == pytest.approx(np.abs(measured).max(), abs=1e-9)
    assert 1e-4 < compiled.verify(X) < np.sqrt(compiled.infidelity)


def test_what_cannot_be_verified() -> None:
    compiled = compiled_network(balanced_tree(4))
    with pytest.raises(InvalidInputError, match="sdk must be 'qiskit' or 'pennylane', got 'cirq'"):
        compiled.verify(np.zeros((1, 4)), sdk="cirq")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="give at least one sample"):
        compiled.verify(np.zeros((0, 4)))
    with pytest.raises(InvalidInputError, match="the weights were changed"):
        compiled.with_weights(compiled.weights).verify(np.zeros((1, 4)))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_factorised_simulation_is_the_dense_state(seed: int) -> None:
    """On random circuits, which are no trees."""
    circuit = random_circuit(4, 4, max_operands=2, seed=seed)
    operations = circuit_operations(circuit, ParameterVector("x", 0), np.zeros((1, 0)))
    found = outcome_probabilities(operations, [3, 1], 1)
    # Qiskit counts the first qubit it is given as the least significant.
    np.testing.assert_allclose(found[0], Statevector(circuit).probabilities([1, 3]), atol=1e-12)


def test_many_projections_do_not_underflow() -> None:
    hadamard = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    cx = np.eye(4)[[0, 1, 3, 2]]
    steps = [Operation((0,), hadamard), Operation((1,), hadamard), Operation((0, 1), cx), projection((1,))]
    operations = [*steps, *(Operation((1,), None), *steps[1:]) * 1200]
    np.testing.assert_allclose(outcome_probabilities(operations, [0], 1), [[0.5, 0.5]])


def test_arguments_are_checked() -> None:
    compiled = compiled_network(balanced_tree(4))
    with pytest.raises(
        InvalidInputError, match=r"expected finite angles of shape \(samples, 4\), got shape \(2, 3\)"
    ):
        compiled.bind_angles(np.zeros((2, 3)))
    with pytest.raises(InvalidInputError, match="weights must be finite"):
        compiled.with_weights(np.full(len(compiled.w), np.nan))
    with pytest.raises(InvalidInputError, match="synthesis must be a qtnml.Synthesis, got 'analytic'"):
        compiled_network(balanced_tree(4), synthesis="analytic")


def test_trained_encodings_and_postselection_of_a_network() -> None:
    network, encoding = TensorNetwork.random(balanced_tree(4), np.random.default_rng(0)), AngleEncoding(True)
    scales, X = (np.linspace(0.5, 1.5, 4),), np.random.default_rng(1).random((3, 4))
    compiled = compile_network(network, encoding, encoding_parameters=scales, discard="postselect")
    model = Model(network.topology, encoding, FullUnitary(), "postselect")
    expected = model.predict(Parameters(network.unitaries, scales), X)[0]
    np.testing.assert_allclose(compiled.probabilities(X), expected, atol=1e-12)


def test_what_cannot_be_factorised() -> None:
    circuit = QuantumCircuit(14)
    for qubit in range(13):
        circuit.cx(qubit, qubit + 1)
    operations = circuit_operations(circuit, ParameterVector("x", 0), np.zeros((1, 0)))
    assert outcome_probabilities(operations, [13], 1).tolist() == [[1.0, 0.0]]  # each is let go in time
    with pytest.raises(InvalidInputError, match="more than 12 qubits of this circuit are entangled"):
        outcome_probabilities(operations, range(14), 1)


@pytest.mark.slow
def test_pennylane_qnode_with_resets_and_gradients() -> None:
    network = TensorNetwork.random(balanced_tree(4), np.random.default_rng(0), scale=2.0)
    compiled = compile_network(network, PhaseEncoding())
    circuit = compiled.to_pennylane()
    assert compiled.num_resets

    @qml.qnode(qml.device("default.qubit"))
    def probabilities(angles: Any, weights: Any) -> Any:
        circuit(angles, weights)
        return qml.probs(wires=circuit.measured)

    X = np.random.default_rng(1).random((2, 4))
    expected = get_backend("aer").probabilities(compiled.bind(X))
    for row, outcomes in zip(compiled.angles(X), expected, strict=True):
        np.testing.assert_allclose(probabilities(row, compiled.weights), outcomes, atol=1e-10)
    angles = compiled.angles(X)[0]
    gradient = jax.grad(lambda w: probabilities(angles, w)[0])(jnp.asarray(compiled.weights))
    step = 1e-5 * np.random.default_rng(2).normal(size=len(compiled.weights))
    ends = [probabilities(angles, compiled.weights + sign * step)[0] for sign in (1, -1)]
    assert float(gradient @ step) == pytest.approx((ends[0] - ends[1]) / 2, rel=1e-3)


def test_bound_circuits_are_made_when_asked_for() -> None:
    compiled = compiled_network(balanced_tree(4))
    X = samples(compiled, 1000)
    circuits = compiled.bind(X)
    assert (len(circuits), len(circuits[10:20])) == (1000, 10)
    assert circuits[10:20][3] == circuits[13]
    assert circuits[13].num_parameters == 0
    with pytest.raises(IndexError):
        circuits[1000]


@pytest.mark.parametrize("free_weights", [True, False])
def test_a_unit_of_work_for_a_primitive(free_weights: bool) -> None:
    from qiskit.primitives import StatevectorSampler

    compiled = compiled_network(balanced_tree(4), reuse_qubits=False)
    X = samples(compiled, 3)
    counts = StatevectorSampler(seed=0).run([compiled.pub(X, free_weights=free_weights)], shots=4000).result()
    ones = [counts[0].data.c[k].get_counts().get("1", 0) / 4000 for k in range(3)]
    expected = get_backend("aer").probabilities(compiled.bind(X))[:, 1]
    np.testing.assert_allclose(ones, expected, atol=5 * 0.5 / np.sqrt(4000))


def test_a_unit_of_work_says_what_some_samplers_get_wrong() -> None:
    compiled = compiled_network(balanced_tree(4))
    X = samples(compiled, 3)
    with pytest.warns(SamplerWarning, match="resets qubits in the middle, which Qiskit's StatevectorSampler"):
        pub = compiled.pub(X)
    counts = AerSampler(seed=0).run([pub], shots=4000).result()
    ones = [counts[0].data.c[k].get_counts().get("1", 0) / 4000 for k in range(3)]
    np.testing.assert_allclose(ones, compiled.probabilities(X)[:, 1], atol=5 * 0.5 / np.sqrt(4000))


@pytest.mark.parametrize("free_weights", [True, False])
@pytest.mark.filterwarnings("ignore::qtnml.errors.SamplerWarning")
def test_a_unit_of_work_on_a_device(free_weights: bool) -> None:
    """Translation into a device's gates drops angles without effect; the unit of work names the others."""
    network = TensorNetwork.random(balanced_tree(4), np.random.default_rng(0), scale=2.0)
    target = GenericBackendV2(5, basis_gates=["rz", "sx", "x", "cz", "reset"], seed=0)
    compiled = compile_network(network, ENCODING, target=target)
    X = np.random.default_rng(1).random((3, 4))
    assert set(compiled.circuit.parameters) != {*compiled.x, *compiled.w}  # some are gone
    circuit, values = compiled.pub(X, free_weights=free_weights)
    counts = AerSampler(seed=0).run([(circuit, values)], shots=4000).result()
    ones = [counts[0].data.c[k].get_counts().get("1", 0) / 4000 for k in range(3)]
    np.testing.assert_allclose(ones, compiled.probabilities(X)[:, 1], atol=5 * 0.5 / np.sqrt(4000))
