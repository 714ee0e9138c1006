"""The test that must never break: network = dense state vector of its circuit = counts within 5 sigma."""

import numpy as np
import pytest
from qiskit.quantum_info import Statevector

from qtnml import TreeClassifier, get_backend
from qtnml.contract import dense_outcome_probabilities
from qtnml.data import Dataset
from qtnml.encoding import AngleEncoding, state_vectors


@pytest.mark.sampled
@pytest.mark.parametrize(("size", "bond_qubits"), [((2, 4), 1), ((2, 4), 2), ((3, 2), 3)])
def test_one_model_four_readings(digits: Dataset, size: tuple[int, int], bond_qubits: int) -> None:
    from qtnml import load_dataset

    data = load_dataset("digits", size=size, classes=(0, 1))
    clf = TreeClassifier(bond_qubits, epochs=8, feature_range=(0, 1), random_state=1)
    clf.fit(data.X_train, data.y_train)
    X = data.X_test[:3]
    contracted = clf.predict_proba(X)

    dense = [dense_outcome_probabilities(clf.network_, state_vectors(AngleEncoding(), x)) for x in X]
    np.testing.assert_allclose(contracted, dense, atol=1e-12)

    unrolled = clf.compile(reuse_qubits=False)
    (measured,) = unrolled.schedule.measured
    for circuit, row in zip(unrolled.bind(X), contracted, strict=True):
        circuit.remove_final_measurements()
        np.testing.assert_allclose(Statevector(circuit).probabilities([measured]), row, atol=1e-12)

    shots = 20_000
    for reuse in (True, False):
        counts = get_backend("aer").run(clf.compile(reuse_qubits=reuse).bind(X), shots=shots, seed=7)
        for count, row in zip(counts, contracted, strict=True):
            sigma = np.sqrt(shots * row[1] * (1 - row[1]))
            assert abs(count.get(1, 0) - shots * row[1]) < 5 * sigma
