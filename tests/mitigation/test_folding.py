"""Folded circuits: the same without noise, more of it with."""

import numpy as np
import pytest

from qtnml.ansatz import BrickWall, TensorNetwork
from qtnml.backends.ibm import fake_device
from qtnml.compile import compile_network
from qtnml.errors import InvalidInputError
from qtnml.mitigation import folded
from qtnml.noise import DeviceNoise, NoisyCircuit
from qtnml.structure import balanced_tree, mps, with_reuploads
from tests.references import ENCODING

NOISE = DeviceNoise(two_qubit_error=0.01, one_qubit_error=0.001)


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
@pytest.mark.parametrize(
    "topology",
    [balanced_tree(8), balanced_tree(4, 2), mps(6), with_reuploads(balanced_tree(8), 1)],
    ids=["tree", "tree V=2", "chain", "uploads"],
)
def test_the_same_circuit_with_more_gates(topology, factor, rng):
    compiled = compile_network(TensorNetwork.random(topology, rng), ENCODING)
    found = folded(compiled, factor)
    X = rng.uniform(size=(3, topology.num_data_qubits))
    np.testing.assert_allclose(
        NoisyCircuit(found.compiled, DeviceNoise()).probabilities(X), compiled.probabilities(X), atol=1e-10
    )
    pairs = found.compiled.circuit.num_nonlocal_gates()
    assert found.factor == pytest.approx(pairs / compiled.two_qubit_gates)
    if factor % 2:
        assert found.factor == factor
    else:
        assert 1.5 < found.factor <= (3 if len(topology.nodes) == 1 else 2.5)
    assert found.compiled.num_resets == compiled.num_resets


def test_noise_grows_with_the_factor(rng):
    compiled = compile_network(TensorNetwork.random(balanced_tree(16), rng), ENCODING)
    X = rng.uniform(size=(20, 16))
    ideal = compiled.probabilities(X)
    off = [
        np.abs(NoisyCircuit(folded(compiled, factor).compiled, NOISE).probabilities(X) - ideal).mean()
        for factor in (1, 2, 3, 5)
    ]
    assert off[0] < off[1] < off[2] < off[3]


def test_on_a_device_gates_are_folded(trained, small_digits):
    device = fake_device("fake:torino")
    compiled = trained.compile(target=device, num_qubits=5)
    found = folded(compiled, 3)
    assert found.factor == 3
    assert set(found.compiled.circuit.count_ops()) == set(compiled.circuit.count_ops())
    X = small_digits.X_test[:3]
    np.testing.assert_allclose(
        NoisyCircuit(found.compiled, DeviceNoise()).probabilities(X), compiled.probabilities(X), atol=1e-9
    )


def test_free_weights_stay_free(rng):
    compiled = compile_network(TensorNetwork.random(balanced_tree(4), rng), ENCODING)
    found = folded(compiled, 3).compiled
    assert set(found.circuit.parameters) == set(compiled.circuit.parameters)
    other = found.with_weights(np.asarray(compiled.weights) + 0.1)
    X = rng.uniform(size=(2, 4))
    expected = compiled.with_weights(np.asarray(compiled.weights) + 0.1).probabilities(X)
    np.testing.assert_allclose(other.probabilities(X), expected, atol=1e-10)


@pytest.mark.slow
def test_an_ansatz_with_gates_of_its_own(small_digits):
    from qtnml import TreeClassifier

    clf = TreeClassifier(2, ansatz=BrickWall(2, "rzz"), epochs=2, feature_range=(0, 1), random_state=0)
    clf.fit(small_digits.X_train[:60], small_digits.y_train[:60])
    compiled, X = clf.compile(), small_digits.X_test[:2]
    np.testing.assert_allclose(
        NoisyCircuit(folded(compiled, 3).compiled, DeviceNoise()).probabilities(X),
        compiled.probabilities(X),
        atol=1e-10,
    )


def test_bad_factors(rng):
    compiled = compile_network(TensorNetwork.random(balanced_tree(4), rng), ENCODING)
    for factor in (0.5, "3", True, float("nan")):
        with pytest.raises(InvalidInputError, match="a folding factor must be a number of at least 1"):
            folded(compiled, factor)
