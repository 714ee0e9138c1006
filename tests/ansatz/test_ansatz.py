"""Every node ansatz, ours or a user's, through one contract; its gates in a compiled circuit."""

import numpy as np
import pytest

from qtnml import TreeClassifier, get_backend
from qtnml.ansatz import (
    BrickWall,
    FullUnitary,
    HermitianExponential,
    Orthogonal,
    check_ansatz,
    generic_two_qubit_gates,
    get_ansatz,
)
from qtnml.ansatz.registry import ANSAETZE
from qtnml.compile import compile_model
from qtnml.contract import Model
from qtnml.data import Dataset
from qtnml.encoding import AngleEncoding
from qtnml.errors import InvalidInputError
from qtnml.gates import NodeShape, Synthesis
from qtnml.structure import balanced_tree

ALL = [
    FullUnitary(),
    Orthogonal(),
    HermitianExponential(),
    *(BrickWall(depth, "cx", rotations) for depth in (1, 4) for rotations in ("u", "ry")),
    BrickWall(3, "cz", "ry"),
    BrickWall(2, "rzz", "u"),
]


@pytest.mark.parametrize("num_qubits", [1, 2, 3, 4])
@pytest.mark.parametrize("ansatz", ALL, ids=str)
def test_every_ansatz_keeps_the_contract(ansatz: object, num_qubits: int, rng: np.random.Generator) -> None:
    check_ansatz(ansatz, num_qubits, rng)


def test_the_contract_is_enforced(rng: np.random.Generator) -> None:
    class WrongGates(BrickWall):
        def gates(self, parameters, num_qubits):
            return super().gates(parameters + 0.1, num_qubits)

    class NotUnitary(HermitianExponential):
        def unitary(self, parameters, num_qubits):
            return 2 * super().unitary(parameters, num_qubits)

    with pytest.raises(InvalidInputError, match="gates and unitary differ"):
        check_ansatz(WrongGates(), 2, rng)
    with pytest.raises(InvalidInputError, match="does not return unitaries on 2 qubits"):
        check_ansatz(NotUnitary(), 2, rng)


@pytest.mark.parametrize(
    ("ansatz", "gates", "parameters"),
    [
        ("full", [0, 3, 57], [3, 15, 255]),
        ("orthogonal", [0, 2, 54], [1, 6, 120]),
        ("hermitian", [0, 3, 57], [4, 16, 256]),
        ("brick-wall", [0, 3, 5], [3, 24, 42]),
    ],
)
def test_two_qubit_gates_and_parameters(ansatz: str, gates: list[int], parameters: list[int]) -> None:
    chosen = get_ansatz(ansatz)
    assert [generic_two_qubit_gates(chosen, NodeShape(m, (m + 1) // 2)) for m in (1, 2, 4)] == gates
    assert [chosen.num_parameters(m) for m in (1, 2, 4)] == parameters


@pytest.mark.parametrize(
    ("depth", "entangler", "rotations"), [(0, "cx", "u"), (2, "swap", "u"), (2, "cx", "rx")]
)
def test_impossible_walls(depth: int, entangler: str, rotations: str) -> None:
    with pytest.raises(InvalidInputError, match="a brick wall's depth|entangler must be"):
        BrickWall(depth, entangler, rotations)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bond_qubits", "ansatz"),
    [
        *((1, name) for name in ANSAETZE),
        (1, BrickWall(2, "rzz", "ry")),
        (2, BrickWall(3, "cz", "u")),
        (2, "hermitian"),
    ],
    ids=str,
)
def test_trained_circuit_is_the_contraction(ansatz: object, bond_qubits: int, small_digits: Dataset) -> None:
    """Trained by the same loop, compiled into its own gates, the same probabilities; and the gate count."""
    X, y = small_digits.X_train[:, :8], small_digits.y_train
    clf = TreeClassifier(bond_qubits, ansatz=ansatz, epochs=3, feature_range=(0, 1), random_state=0)
    clf.fit(X, y)
    compiled = clf.compile()
    assert compiled.two_qubit_gates == clf.model_.two_qubit_gates
    exact = get_backend("aer").probabilities(compiled.bind(X[:3]))
    np.testing.assert_allclose(exact, clf.predict_proba(X[:3]), atol=1e-10)
    assert clf.history_[-1].loss < clf.history_[0].loss
    if isinstance(ansatz, BrickWall):
        assert ansatz.entangler in compiled.circuit.count_ops()


@pytest.mark.parametrize("gate", ["cz", "rzz"])
def test_prescribed_gates_in_another_gate_set(gate: str) -> None:
    model = Model(balanced_tree(8, 2), AngleEncoding(), BrickWall(3))
    compiled = compile_model(
        model,
        model.start(np.random.default_rng(0)),
        synthesis=Synthesis(two_qubit_gate=gate),  # type: ignore[arg-type]
    )
    assert set(compiled.circuit.count_ops()) <= {"u", "ry", gate, "reset", "measure"}
    assert compiled.infidelity < 1e-12
    assert compiled.verify(np.random.default_rng(1).random((2, 8))) < 1e-10
