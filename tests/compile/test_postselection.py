"""Circuits of post-selected models: fewer gates, and shots that do not count."""

from pathlib import Path
from typing import Any

import numpy as np
import pennylane as qml
import pytest
from qiskit.quantum_info import Operator, random_unitary

from qtnml import TreeClassifier, get_backend
from qtnml.ansatz import BrickWall, FullUnitary
from qtnml.compile import CompiledCircuit, compile_model, export_circuit, import_circuit
from qtnml.contract import Model
from qtnml.data import Dataset
from qtnml.encoding import AngleEncoding
from qtnml.gates import NodeShape, Synthesis, channel_infidelity, synthesize_node
from qtnml.structure import Topology, balanced_tree, mps


def compiled_model(topology: Topology, ansatz: Any = None, **arguments: Any) -> CompiledCircuit:
    model = Model(topology, AngleEncoding(), ansatz or FullUnitary(), "postselect")
    return compile_model(model, model.start(np.random.default_rng(0), scale=1.0), **arguments)


@pytest.mark.parametrize(
    ("shape", "cx"),
    [
        (NodeShape(2, 1, postselected=True), 2),
        (NodeShape(3, 2, postselected=True), 10),
        (NodeShape(4, 2, postselected=True), 26),
        (NodeShape(4, 1, 0, "measured", postselected=True), 13),
    ],
)
def test_isometries_take_fewer_gates(shape: NodeShape, cx: int) -> None:
    wanted = random_unitary(2**shape.num_qubits, seed=3).data
    node = synthesize_node(wanted, shape, Synthesis())
    assert node.circuit.count_ops()["cx"] <= cx
    built = np.kron(node.owed, np.eye(2 ** (shape.num_qubits - shape.width)))
    built = built @ Operator(node.circuit.reverse_bits()).data
    assert channel_infidelity(wanted, built, shape) < 1e-12
    rows, found = wanted[shape.rows], built[shape.rows]
    phase = np.vdot(found, rows) / abs(np.vdot(found, rows))
    assert np.abs(found * phase - rows).max() < 1e-10


@pytest.mark.parametrize("sdk", ["qiskit", "pennylane"])
@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize(
    "topology", [balanced_tree(8), mps(6, 2), balanced_tree(6, 2), balanced_tree(4, 2, leaf="fresh")]
)
def test_circuit_equals_contraction(topology: Topology, reuse: bool, sdk: Any) -> None:
    compiled = compiled_model(topology, reuse_qubits=reuse)
    assert compiled.verify(np.random.default_rng(1).random((3, topology.num_data_qubits)), sdk=sdk) < 1e-10


@pytest.mark.parametrize("gate", ["cz", "rzz"])
@pytest.mark.parametrize("ansatz", [FullUnitary(), BrickWall(2)])
def test_gate_sets_and_own_gates(gate: Any, ansatz: Any) -> None:
    compiled = compiled_model(balanced_tree(8), ansatz, synthesis=Synthesis(two_qubit_gate=gate))
    assert compiled.verify(np.random.default_rng(1).random((3, 8))) < 1e-10


def test_a_tree_saves_a_third_of_its_gates() -> None:
    model = Model(balanced_tree(16), discard="postselect")
    compiled = compile_model(model, model.start(np.random.default_rng(0), scale=1.0))
    assert compiled.two_qubit_gates == model.two_qubit_gates <= 15 * 2
    assert compiled.circuit.count_ops()["measure"] == 15 + 1


@pytest.mark.slow
def test_shots_that_count(small_digits: Dataset) -> None:
    """Frequencies on Aer, among the shots that count, are the model's probabilities."""
    X, y = small_digits.X_train[:, :4], small_digits.y_train
    clf = TreeClassifier(discard="postselect", epochs=5, feature_range=(0, 1), random_state=0).fit(X, y)
    shots = 20_000
    measured = clf.to_backend("aer", shots=shots).predict_proba(X[:5])
    expected, success = clf.predict_proba(X[:5]), clf.success_probability(X[:5])
    spread = np.sqrt(expected * (1 - expected) / (shots * success[:, None]))
    assert (np.abs(measured - expected) < 5 * spread + 1e-3).all()


def test_no_shot_counts() -> None:
    """Nothing is known then: every class is as likely."""
    from qtnml.models.readout import class_probabilities, counts_to_outcomes

    outcomes = counts_to_outcomes([{2: 10, 6: 3}, {0: 5, 1: 15, 7: 80}], 2)
    assert outcomes.tolist() == [[0, 0], [0.25, 0.75]]
    assert class_probabilities(outcomes, 2)[0].tolist() == [[0.5, 0.5], [0.25, 0.75]]


@pytest.mark.parametrize("suffix", [".qpy", ".qasm"])
def test_files_come_back(tmp_path: Path, suffix: str) -> None:
    compiled = compiled_model(balanced_tree(8))
    export_circuit(compiled, tmp_path / f"c{suffix}", free_weights=True)
    loaded = import_circuit(tmp_path / f"c{suffix}")
    X = np.random.default_rng(1).random((3, 8))
    assert loaded.postselected
    np.testing.assert_allclose(loaded.probabilities(X), compiled.probabilities(X), atol=1e-12)


def test_pennylane_postselects() -> None:
    compiled = compiled_model(balanced_tree(4), reuse_qubits=False)
    circuit = compiled.to_pennylane()

    @qml.qnode(qml.device("default.qubit"))
    def probabilities(angles: Any) -> Any:
        circuit(angles)
        return qml.probs(wires=circuit.measured)

    X = np.random.default_rng(1).random((1, 4))
    np.testing.assert_allclose(probabilities(compiled.angles(X)[0]), compiled.probabilities(X)[0], atol=1e-10)


def test_aer_samples_it() -> None:
    compiled = compiled_model(balanced_tree(4))
    counts = get_backend("aer").run(compiled.bind(np.full((1, 4), 0.4)), shots=100, seed=0)[0]
    assert sum(counts.values()) == 100
    assert max(counts) < 2 ** (1 + 3)
