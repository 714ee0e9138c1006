"""A device's noise on the active qubits against Aer's own way, which takes all of them."""

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error

from qtnml import TreeClassifier, get_backend
from qtnml.backends import exact_probabilities, run_circuits
from qtnml.backends.ibm import fake_device
from qtnml.data import Dataset
from qtnml.errors import BackendError

pytest.importorskip("qiskit_ibm_runtime")
SHOTS = 20_000


@pytest.mark.slow
def test_active_qubits_give_what_the_whole_device_gives(
    trained: TreeClassifier, small_digits: Dataset
) -> None:
    backend = get_backend("aer", noise="fake:torino", transpiler_seed=3)
    circuits = trained.compile().bind(small_digits.X_test[:2])
    exact = exact_probabilities(backend, circuits)
    ideal = exact_probabilities(get_backend("aer"), circuits)
    assert np.abs(exact - ideal).max() > 0.005  # there is noise
    np.testing.assert_allclose(exact.sum(axis=1), 1.0, atol=1e-9)
    # Qiskit and Aer alone: the same translation, scheduled with its idle times, all 133 qubits' noise.
    template = backend.simulator._translator.translated(circuits.template)  # type: ignore[attr-defined]
    noise = NoiseModel.from_backend(fake_device("fake:torino"))
    simulator = AerSimulator(method="density_matrix", noise_model=noise, seed_simulator=5)
    bound = [
        template.assign_parameters({p: row[k] for k, p in enumerate(circuits.parameters)})
        for row in circuits.values
    ]
    counts = simulator.run(bound, shots=SHOTS).result().get_counts()
    found = np.array([[each.get(bits, 0) / SHOTS for bits in ("0", "1")] for each in counts])
    assert (np.abs(found - exact) < 5 * np.sqrt(exact * (1 - exact) / SHOTS)).all()
    ours = run_circuits(backend, circuits, shots=SHOTS, seed=1)
    sampled = np.array([[each.get(k, 0) / SHOTS for k in (0, 1)] for each in ours])
    assert (np.abs(sampled - exact) < 5 * np.sqrt(exact * (1 - exact) / SHOTS)).all()


def test_a_model_of_the_users_own(trained: TreeClassifier) -> None:
    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(0.1, 1), ["x"])
    model.add_all_qubit_readout_error(ReadoutError([[0.9, 0.1], [0.2, 0.8]]))
    backend = get_backend("aer", noise=model)
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.measure([0, 1], [0, 1])
    one = 0.95 * 0.8 + 0.05 * 0.1  # qubit 0 is flipped with 1 - 0.1/2, and read with its error
    expected = np.kron([0.9, 0.1], [1 - one, one])
    np.testing.assert_allclose(exact_probabilities(backend, [circuit])[0], expected, atol=1e-9)
    (counts,) = run_circuits(backend, [circuit], shots=SHOTS, seed=0)
    found = np.array([counts.get(k, 0) / SHOTS for k in range(4)])
    assert (np.abs(found - expected) < 5 * np.sqrt(expected * (1 - expected) / SHOTS)).all()
    assert backend.settings["noise"].startswith("NoiseModel ")
    other = NoiseModel()
    assert get_backend("aer", noise=other).settings != backend.settings


@pytest.mark.slow
def test_chosen_qubits_are_used(trained: TreeClassifier, small_digits: Dataset) -> None:
    circuits = trained.compile().bind(small_digits.X_test[:1])
    chosen = get_backend("aer", noise="fake:torino", qubits=(22, 21, 23, 24, 25))
    assert chosen.settings == {"noise": "fake:torino", "qubits": [22, 21, 23, 24, 25]}
    assert chosen.target is None  # type: ignore[attr-defined]
    worse, best = (exact_probabilities(get_backend("aer", noise="fake:torino", **how), circuits)
                   for how in ({"qubits": (22, 21, 23, 24, 25)}, {}))  # fmt: skip
    ideal = trained.predict_proba(small_digits.X_test[:1])
    assert np.abs(worse - ideal).max() > np.abs(best - ideal).max()
    with pytest.raises(BackendError, match="qubits must be different numbers"):
        get_backend("aer", noise="fake:torino", qubits=(1, 1, 2, 3, 4))
    with pytest.raises(BackendError, match="cannot translate the circuit"):
        exact_probabilities(get_backend("aer", noise="fake:torino", qubits=(1, 2, 3, 4, 999)), circuits)


def test_what_is_no_noise() -> None:
    for name in ("aer", "exact"):
        with pytest.raises(BackendError, match="noise must be a DeviceNoise, a Qiskit backend or a name"):
            get_backend(name, noise=0.1)
    with pytest.raises(BackendError, match="noise must be a DeviceNoise, a Qiskit backend or a name"):
        get_backend("exact", noise=NoiseModel())
    with pytest.raises(BackendError, match="no snapshot 'torino'"):
        get_backend("aer", noise="torino")
    wide = transpile(QuantumCircuit(14, 1), basis_gates=["x"])
    wide.x(range(14))
    wide.measure(0, 0)
    with pytest.raises(BackendError, match="resets or noise need a density matrix; 14 qubits"):
        exact_probabilities(get_backend("aer", noise=NoiseModel()), [wide])
