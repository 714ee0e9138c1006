"""The exact noisy contraction against Aer's density matrix."""

from dataclasses import replace

import numpy as np
import pytest

from qtnml import MPSClassifier, TreeClassifier, TreeRegressor, get_backend
from qtnml.ansatz import BrickWall, TensorNetwork
from qtnml.backends.ibm import fake_device
from qtnml.compile import compile_network
from qtnml.errors import InvalidInputError
from qtnml.noise import (
    DeviceNoise,
    NoisyCircuit,
    amplitude_damping,
    bit_flip,
    dephasing,
    depolarizing,
    from_kraus,
    over_rotation,
    phase_damping,
    thermal_relaxation,
)
from qtnml.structure import balanced_tree, mps, with_reuploads
from tests.references import ENCODING, PhaseEncoding

EVERYTHING = DeviceNoise(
    t1=100e-6,
    t2=80e-6,
    one_qubit_time=35e-9,
    two_qubit_time=170e-9,
    reset_time=1e-6,
    readout_time=1e-6,
    one_qubit_error=1e-3,
    two_qubit_error=1e-2,
    reset_error=0.02,
    readout_error=(0.03, 0.05),
    excited_population=0.03,
)


def on_aer(compiled, noise, X):
    return get_backend("aer", noise=noise).probabilities(compiled.bind(X))


def per_qubit(noise: DeviceNoise, num_qubits: int, rng: np.random.Generator) -> DeviceNoise:
    """Every qubit its own."""
    return replace(
        noise,
        t1=tuple(rng.uniform(50e-6, 100e-6, num_qubits)),
        t2=tuple(rng.uniform(20e-6, 90e-6, num_qubits)),
        readout_error=tuple(map(tuple, rng.uniform(0, 0.1, (num_qubits, 2)))),
    )


TREES = {
    "tree": balanced_tree(8),
    "tree V=2": balanced_tree(4, 2),
    "fresh leaves": balanced_tree(4, 2, leaf="fresh"),
    "two root qubits": balanced_tree(4, root_qubits=2),
    "three leaves": balanced_tree(3, 2, root_qubits=2),
    "chain": mps(8),
    "chain V=2": mps(4, 2, leaf="fresh", root_qubits=2),
    "data uploaded again": with_reuploads(balanced_tree(8), 1),
}


@pytest.mark.sampled
@pytest.mark.parametrize("reuse_qubits", [True, False])
@pytest.mark.parametrize("name", TREES)
def test_every_kind_of_tree(name, reuse_qubits, rng):
    topology = TREES[name]
    network = TensorNetwork.random(topology, rng, scale=1.0)
    compiled = compile_network(network, ENCODING, reuse_qubits=reuse_qubits)
    noise = per_qubit(EVERYTHING, compiled.num_qubits, rng)
    X = rng.uniform(size=(3, topology.num_data_qubits))
    ours = NoisyCircuit(compiled, noise).probabilities(X)
    np.testing.assert_allclose(ours, on_aer(compiled, noise, X), atol=1e-10)
    assert np.abs(ours - compiled.probabilities(X)).max() > 1e-3  # and it is not nothing


KRAUS = np.linalg.qr(np.random.default_rng(3).normal(size=(12, 4, 2)) @ [1, 1j])[0].reshape(3, 4, 4)
CHANNELS = {
    "amplitude damping": {"one_qubit_channel": amplitude_damping(0.1)},
    "damping on pairs": {"two_qubit_channel": amplitude_damping(0.1, 0.2)},
    "phase damping": {"one_qubit_channel": phase_damping(0.2)},
    "dephasing": {"two_qubit_channel": dephasing(0.2)},
    "depolarizing": {"one_qubit_channel": depolarizing(0.05)},
    "depolarizing pairs": {"two_qubit_channel": depolarizing(0.1, 2)},
    "bit flip": {"one_qubit_channel": bit_flip(0.1)},
    "relaxation": {"one_qubit_channel": thermal_relaxation(1e-4, 1e-4, 1e-5, 0.1)},
    "over-rotation": {"one_qubit_channel": over_rotation("X", 0.2)},
    "over-rotated pairs": {"two_qubit_channel": over_rotation("Z", 0.2)},
    "Kraus operators": {"two_qubit_channel": from_kraus(KRAUS)},
    "read-out": {"readout_error": (0.1, 0.2)},
    "resets": {"reset_error": 0.2},
    "waiting": {"t1": 50e-6, "t2": 70e-6, "two_qubit_time": 1e-6, "reset_time": 3e-6},
}


@pytest.mark.parametrize("topology", [balanced_tree(8), mps(6, 2)], ids=["tree", "chain"])
@pytest.mark.parametrize("name", CHANNELS)
def test_every_channel(name, topology, rng):
    compiled = compile_network(TensorNetwork.random(topology, rng, scale=1.0), ENCODING)
    noise = DeviceNoise(**CHANNELS[name])
    X = rng.uniform(size=(2, topology.num_data_qubits))
    ours = NoisyCircuit(compiled, noise).probabilities(X)
    np.testing.assert_allclose(ours, on_aer(compiled, noise, X), atol=1e-10)
    assert np.abs(ours - compiled.probabilities(X)).max() > 1e-4


@pytest.fixture(scope="module")
def tree64(digits):
    return TreeClassifier(feature_range=(0, 1), epochs=30, random_state=0).fit(digits.X_train, digits.y_train)


def test_the_seven_qubit_circuit_of_64_pixels(tree64, digits):
    compiled = tree64.compile()
    noise = per_qubit(EVERYTHING, compiled.num_qubits, np.random.default_rng(0))
    X = digits.X_test[:10]
    ours = tree64.predict_proba(X, noise=noise, reuse_qubits=True)
    assert compiled.num_qubits == 7
    np.testing.assert_allclose(ours, on_aer(compiled, noise, X), atol=1e-8)


@pytest.mark.slow
def test_a_trained_tree_of_two_qubit_wires(small_digits):
    clf = TreeClassifier(2, feature_range=(0, 1), epochs=30, random_state=0)
    clf.fit(small_digits.X_train, small_digits.y_train)
    compiled, X = clf.compile(), small_digits.X_test[:10]
    ours = NoisyCircuit(compiled, EVERYTHING).probabilities(X)
    np.testing.assert_allclose(ours, on_aer(compiled, EVERYTHING, X), atol=1e-8)


def test_without_noise_it_is_the_contraction_at_64_qubits(tree64, digits):
    X = digits.X_test[:20]
    expected = tree64.predict_proba(X)
    for reuse_qubits in (True, False):
        ours = tree64.predict_proba(X, noise=DeviceNoise(), reuse_qubits=reuse_qubits)
        np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_waiting_costs_more_on_fewer_qubits(tree64, digits):
    noise = DeviceNoise(t1=50e-6, t2=50e-6, two_qubit_time=70e-9, reset_time=1e-6)
    margins = [
        np.abs(
            tree64.predict_proba(digits.X_test, noise=noise, reuse_qubits=True, num_qubits=k)[:, 0] - 0.5
        ).mean()
        for k in (7, 16, 64)
    ]
    assert margins[0] < margins[1] < margins[2]


@pytest.mark.parametrize("reuse_qubits", [True, False])
def test_post_selected_circuits(reuse_qubits, rng):
    """Renormalised probabilities, and the probability that a shot counts, read-out errors included."""
    network = TensorNetwork.random(balanced_tree(4), rng, scale=1.0)
    compiled = compile_network(network, ENCODING, reuse_qubits=reuse_qubits, discard="postselect")
    noise = replace(EVERYTHING, readout_time=0.0)
    noisy, X = NoisyCircuit(compiled, noise), rng.uniform(size=(2, 4))
    shots = 20_000
    counts = get_backend("aer", noise=noise).run(compiled.bind(X), shots=shots, seed=1)
    for row, success, count in zip(noisy.probabilities(X), np.exp(noisy.log_success(X)), counts, strict=True):
        accepted = sum(n for outcome, n in count.items() if outcome < 2)
        assert abs(accepted / shots - success) < 5 * np.sqrt(success * (1 - success) / shots)
        sigma = np.sqrt(row[1] * row[0] / accepted)
        assert abs(count.get(1, 0) / accepted - row[1]) < 5 * sigma


def test_an_encoding_of_ones_own(rng):
    network = TensorNetwork.random(balanced_tree(4), rng, scale=1.0)
    compiled = compile_network(network, PhaseEncoding())
    X = rng.uniform(size=(3, 4))
    np.testing.assert_allclose(
        NoisyCircuit(compiled, EVERYTHING).probabilities(X), on_aer(compiled, EVERYTHING, X), atol=1e-10
    )


@pytest.mark.slow
def test_a_circuit_for_a_device_under_its_calibration(tree64, digits):
    """Aer's own path: Qiskit's schedule and relaxation pass, delays rounded to the device's clock."""
    device = fake_device("fake:torino")
    compiled = tree64.compile(target=device, num_qubits=7)
    noisy = NoisyCircuit(compiled, DeviceNoise.from_backend(device))
    X = digits.X_test[:3]
    np.testing.assert_allclose(noisy.probabilities(X), on_aer(compiled, device, X), atol=1e-6)
    named = tree64.predict_proba(X, noise="fake:torino", reuse_qubits=True, num_qubits=7)
    np.testing.assert_allclose(named, noisy.probabilities(X), atol=1e-12)


def test_what_hangs_together_too_widely_is_refused(trained, small_digits, rng):
    """Routing by SWAPs ties wires together; here any three qubits are too many."""
    compiled = compile_network(TensorNetwork.random(balanced_tree(4, 2), rng), ENCODING)
    with pytest.raises(InvalidInputError, match=r"are entangled at once .* run it on Aer"):
        NoisyCircuit(compiled, EVERYTHING, 4**4).probabilities(rng.uniform(size=(1, 4)))
    narrow = NoisyCircuit(trained.compile(), EVERYTHING, 4**4)
    assert narrow.probabilities(small_digits.X_test[:1]).shape == (1, 2)


def test_nodes_without_entanglement(rng):
    """A qubit whose gates join it to nothing leaves the tree, and its feature with it."""
    topology = balanced_tree(4)
    network = TensorNetwork(topology, (np.tile(np.eye(4, dtype=complex), (3, 1, 1)),))
    compiled = compile_network(network, ENCODING)
    X = rng.uniform(size=(3, 4))
    ours = NoisyCircuit(compiled, EVERYTHING).probabilities(X)
    np.testing.assert_allclose(ours, on_aer(compiled, EVERYTHING, X), atol=1e-10)
    assert NoisyCircuit(compiled, EVERYTHING).tree.topology.num_leaves == 1


@pytest.mark.slow
@pytest.mark.parametrize("noise", [EVERYTHING, dephasing(0.2)], ids=["device", "channel"])
def test_estimators_answer_under_noise(noise, small_digits):
    X, y = small_digits.X_train[:80], small_digits.y_train[:80]
    quick = {"epochs": 5, "random_state": 0, "feature_range": (0, 1)}
    for estimator in (
        TreeClassifier(ansatz=BrickWall(2), **quick).fit(X, y),
        MPSClassifier(discard="postselect", **quick).fit(X[:, :4], y),
    ):
        if noise is not EVERYTHING and estimator.discard == "postselect":
            with pytest.raises(InvalidInputError, match="needs discard='trace'"):
                estimator.predict_proba(X[:, :4], noise=noise)
            continue
        part = X[:, : estimator.n_features_in_]
        proba = estimator.predict_proba(part, noise=noise)
        np.testing.assert_allclose(proba.sum(axis=1), 1)
        assert np.abs(proba - estimator.predict_proba(part)).max() > 1e-3
        assert estimator.score(part, y, noise=noise) == np.mean(estimator.predict(part, noise=noise) == y)
        assert estimator.lost_mass(part, noise=noise).max() < 1e-9
    regressor = TreeRegressor(**quick).fit(X, X.mean(axis=1))
    assert np.abs(regressor.predict(X, noise=noise) - regressor.predict(X)).max() > 1e-3
    assert regressor.score(X, X.mean(axis=1), noise=noise) < 1


def test_bad_noise_is_one_clear_error(trained, small_digits):
    X = small_digits.X_test[:2]
    for noise in (0.1, "thermal", TreeClassifier):
        with pytest.raises((InvalidInputError, RuntimeError), match=r"noise must be|no snapshot"):
            trained.predict_proba(X, noise=noise)
    with pytest.raises(InvalidInputError, match="without noise all circuits of a model answer alike"):
        trained.predict_proba(X, reuse_qubits=True)
    with pytest.raises(InvalidInputError, match="a channel acts between the layers"):
        trained.predict_proba(X, noise=dephasing(0.1), reuse_qubits=True)
    with pytest.raises(InvalidInputError, match="has values for 2 qubits, the circuit has 16"):
        trained.predict_proba(X, noise=DeviceNoise(t1=(1e-4, 1e-4), t2=1e-4), reuse_qubits=False)
    with pytest.raises(InvalidInputError, match="acts on one qubit"):
        trained.predict_proba(X, noise=depolarizing(0.1, 2))
