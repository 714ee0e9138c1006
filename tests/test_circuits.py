"""The committed circuits are what their cards and models say."""

import json
from pathlib import Path

import numpy as np
import pytest
from qiskit import qasm3

from qtnml import get_backend, load_dataset, load_model

FOLDER = Path(__file__).parents[1] / "circuits"


@pytest.mark.filterwarnings("ignore::qtnml.errors.ClippedDataWarning")
@pytest.mark.parametrize("card", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_circuit_model_and_card_agree(card: Path) -> None:
    facts = json.loads(card.read_text())
    clf = load_model(card.with_suffix(".qtnml"))
    circuit = qasm3.loads(card.with_suffix(".qasm").read_text())
    assert circuit.num_qubits == facts["circuit"]["num_qubits"]
    assert circuit.count_ops()["cx"] == facts["circuit"]["two_qubit_gates"]
    data = load_dataset("digits", classes=facts["training"]["classes"], order="z")
    X = data.raw(data.X_test)
    assert clf.score(X, data.y_test) == pytest.approx(facts["training"]["test_accuracy"])
    by_name = {parameter.name: parameter for parameter in circuit.parameters}
    names = sorted(by_name, key=lambda name: int("".join(filter(str.isdigit, name))))
    bound = [
        circuit.assign_parameters({by_name[name]: angle for name, angle in zip(names, row, strict=True)})
        for row in clf.compile().angles(X[:4])
    ]
    np.testing.assert_allclose(get_backend("aer").probabilities(bound), clf.predict_proba(X[:4]), atol=1e-8)
