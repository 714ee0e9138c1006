from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.primitives import StatevectorEstimator

from qtnml import TreeClassifier, get_backend
from qtnml.ansatz import FullUnitary, TensorNetwork
from qtnml.compile import compile_network, overview
from qtnml.encoding import FeatureScaler
from qtnml.errors import ClippedDataWarning, InvalidInputError
from qtnml.gates import Synthesis
from qtnml.structure import Topology, balanced_tree
from tests.references import ENCODING, network_outcomes
from tests.structure.strategies import small_trees

METHODS = ("auto", "analytic", "analytic", "analytic")  # of random trees, most quickly


def largest_deviation(network: TensorNetwork, X: np.ndarray, *, reuse: bool, method: str = "auto") -> float:
    compiled = compile_network(network, ENCODING, reuse_qubits=reuse, synthesis=Synthesis(method))  # type: ignore[arg-type]
    assert compiled.infidelity < 1e-10
    circuit = get_backend("aer").probabilities(compiled.bind(X))
    return float(np.abs(circuit - network_outcomes(network, X)).max())


@settings(max_examples=12, deadline=None)
@given(small_trees(max_qubits=6), st.booleans(), st.integers(0, 1000))
def test_circuit_equals_contraction(topology: Topology, reuse: bool, seed: int) -> None:
    check_circuit(topology, seed, reuse=reuse, method="analytic")


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(small_trees(max_qubits=7), st.booleans(), st.integers(0, 1000), st.sampled_from(METHODS))
def test_circuit_of_a_larger_tree_equals_contraction(
    topology: Topology, reuse: bool, seed: int, method: str
) -> None:
    check_circuit(topology, seed, reuse=reuse, method=method)


def check_circuit(topology: Topology, seed: int, *, reuse: bool, method: str) -> None:
    rng = np.random.default_rng(seed)
    network = TensorNetwork.random(topology, rng, scale=3.0)
    X = rng.random((2, topology.num_data_qubits))
    assert largest_deviation(network, X, reuse=reuse, method=method) < 1e-10


@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize(
    ("num_features", "bond_qubits"),
    [
        (4, 1),
        (8, 1),
        (6, 2),
        (8, 2),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in ((6, 3), (12, 1), (12, 2), (9, 3))),
    ],
)
def test_four_to_twelve_qubits(
    num_features: int, bond_qubits: int, reuse: bool, rng: np.random.Generator
) -> None:
    """The full circuit as a dense state vector, the reuse circuit as a dense density matrix."""
    network = TensorNetwork.random(balanced_tree(num_features, bond_qubits), rng, scale=3.0)
    assert largest_deviation(network, rng.random((2, num_features)), reuse=reuse) < 1e-10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::qtnml.errors.LargeCircuitWarning")
def test_twelve_qubits_at_the_widest_bond(rng: np.random.Generator) -> None:
    network = TensorNetwork.random(balanced_tree(12, 3, root_qubits=4), rng, scale=3.0)
    assert largest_deviation(network, rng.random((1, 12)), reuse=False) < 1e-9


def test_64_pixels_on_7_qubits(rng: np.random.Generator) -> None:
    network = TensorNetwork.random(balanced_tree(64), rng, scale=1.0)
    compiled = compile_network(network, ENCODING)
    assert (compiled.num_qubits, compiled.num_resets) == (7, 57)
    assert compiled.two_qubit_gates == 62 * 3 + 2
    assert compiled.circuit.num_parameters == len(compiled.x) + len(compiled.w)
    assert len(compiled.x) == 64
    assert largest_deviation(network, rng.random((3, 64)), reuse=True) < 1e-10


def test_nearly_trivial_nodes_are_compiled_exactly(rng: np.random.Generator) -> None:
    network = TensorNetwork.random(balanced_tree(16), rng, scale=1e-4)
    assert largest_deviation(network, rng.random((2, 16)), reuse=True) < 1e-10


def test_weights_are_parameters_with_trained_values(rng: np.random.Generator) -> None:
    network = TensorNetwork.random(balanced_tree(4), rng, scale=2.0)
    reused, unrolled = (compile_network(network, ENCODING, reuse_qubits=r) for r in (True, False))
    np.testing.assert_array_equal(reused.weights, unrolled.weights)
    X = rng.random((1, 4))
    shifted = reused.with_weights(reused.weights + 0.3)
    backend = get_backend("aer")
    before, after = backend.probabilities(reused.bind(X)), backend.probabilities(shifted.bind(X))
    assert np.abs(before - after).max() > 1e-3
    assert np.isnan(shifted.infidelity)
    with pytest.raises(InvalidInputError, match="expected 51 weights"):
        reused.with_weights(np.zeros(3))


def test_bind_checks_samples(rng: np.random.Generator) -> None:
    compiled = compile_network(TensorNetwork.random(balanced_tree(4), rng), ENCODING)
    assert [circuit.num_parameters for circuit in compiled.bind(np.zeros((3, 4)))] == [0, 0, 0]
    with pytest.raises(InvalidInputError, match=r"samples with 4 features, got shape \(1, 5\)"):
        compiled.bind(np.zeros((1, 5)))
    with pytest.raises(InvalidInputError, match=r"features in \[0, 1\], got values from 0 to 2"):
        compiled.bind(np.array([[0.0, 1.0, 2.0, 0.5]]))


def test_bind_takes_the_models_own_units(rng: np.random.Generator) -> None:
    network = TensorNetwork.random(balanced_tree(2), rng)
    scaler = FeatureScaler.fixed((-10, 10), 2)
    compiled = compile_network(network, ENCODING, scaler=scaler)
    np.testing.assert_allclose(compiled.angles(np.array([[-10.0, 0.0]])), [[0, np.pi / 2]])
    with pytest.warns(ClippedDataWarning):
        compiled.bind(np.array([[20.0, 0.0]]))


def test_non_unitary_networks_are_refused() -> None:
    network = TensorNetwork(balanced_tree(2), (1.001 * np.eye(4, dtype=complex)[None],))
    with pytest.raises(InvalidInputError, match=r"off unitary by 2\.0e-03; call Model.project"):
        compile_network(network, ENCODING)
    nearest = TensorNetwork(network.topology, tuple(map(FullUnitary().project, network.unitaries)))
    assert compile_network(nearest, ENCODING).infidelity < 1e-12


def test_overview_has_a_box_per_leaf_and_node(trained: TreeClassifier) -> None:
    compiled = trained.compile()
    steps = overview(compiled)
    assert [step.label for step in steps if step.kind == "leaf"].count("x3") == 1
    assert Counter(step.kind for step in steps) == {"leaf": 16, "node": 15, "reset": 11, "read": 1}
    assert {qubit for step in steps for qubit in step.qubits} == set(range(5))
    named = overview(compiled, [f"pixel {k}" for k in range(16)])
    assert {step.label for step in named if step.kind == "leaf"} == {f"pixel {k}" for k in range(16)}


def test_weights_of_each_sample(trained: TreeClassifier, small_digits) -> None:
    """Rows may have weights of their own, as training on a backend needs them."""
    compiled, X = trained.compile(), small_digits.X_test[:2]
    angles = compiled.angles(X)
    weights = np.stack([compiled.weights, compiled.weights + 0.1])
    circuits = compiled.bind_angles(angles, weights)
    expected = [compiled.bind_angles(angles)[0], compiled.with_weights(weights[1]).bind_angles(angles)[1]]
    for found, wanted in zip(circuits, expected, strict=True):
        values = [[p for gate in c.data for p in gate.operation.params] for c in (found, wanted)]
        np.testing.assert_allclose(np.array(values[0], float), np.array(values[1], float), atol=1e-15)
    assert len(circuits[:1]) == 1
    assert len(circuits.rows([1, 0, 1])) == 3
    with pytest.raises(InvalidInputError, match="expected finite weights of shape"):
        compiled.bind_angles(angles, weights[:, :3])
    with pytest.raises(InvalidInputError, match="expected finite weights"):
        compiled.bind_angles(angles, weights * np.nan)


@pytest.mark.parametrize("free_weights", [False, True])
@pytest.mark.parametrize("topology", [balanced_tree(4), balanced_tree(4, 2)])
def test_expectations_for_an_estimator(
    topology: Topology, free_weights: bool, rng: np.random.Generator
) -> None:
    """<Z> of the outcome's qubits by Qiskit's estimators, with resets on Aer's."""
    from qiskit_aer.primitives import EstimatorV2

    network = TensorNetwork.random(topology, rng)
    X = rng.random((3, topology.num_data_qubits))
    for reuse, estimator in ((False, StatevectorEstimator()), (True, EstimatorV2())):
        compiled = compile_network(network, ENCODING, reuse_qubits=reuse)
        outcomes = compiled.probabilities(X)
        bits = np.arange(outcomes.shape[1])
        job = estimator.run([compiled.estimator_pub(X, free_weights=free_weights)], precision=0.02)
        found = job.result()[0].data.evs
        size = len(compiled.schedule.measured)
        assert found.shape == (size, 3)
        for place in range(size):
            signs = 1 - 2 * (bits >> (size - 1 - place) & 1)
            np.testing.assert_allclose(found[place], outcomes @ signs, atol=0.1)


def test_an_estimator_knows_no_postselection(rng: np.random.Generator) -> None:
    compiled = compile_network(TensorNetwork.random(balanced_tree(4), rng), ENCODING, discard="postselect")
    with pytest.raises(InvalidInputError, match="knows no post-selection"):
        compiled.estimator_pub(rng.random((1, 4)))
