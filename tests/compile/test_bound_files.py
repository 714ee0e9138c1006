"""Circuits with nothing left free, read by Qiskit's own readers and run."""

from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit, qasm2, qasm3, qpy

from qtnml import MPSBornMachine, TreeClassifier, get_backend
from qtnml.compile import export_bound
from qtnml.errors import InvalidInputError

X = np.random.default_rng(0).random((60, 4))


@pytest.fixture(scope="module")
def clf() -> TreeClassifier:
    return TreeClassifier(epochs=2, random_state=0).fit(X, X[:, 0] + X[:, 2] > 1)


def read(path: Path, version: int) -> QuantumCircuit:
    return (qasm2.load if version == 2 else qasm3.load)(str(path))


@pytest.mark.parametrize("version", [2, 3])
def test_each_sample_is_a_file_with_the_right_probabilities(
    clf: TreeClassifier, tmp_path: Path, version: int
) -> None:
    files = export_bound(clf.compile(), tmp_path / "bound.qasm", X[:2], qasm_version=version)
    assert [file.name for file in files] == ["bound-0.qasm", "bound-1.qasm"]
    circuits = [read(file, version) for file in files]
    assert not any(circuit.parameters for circuit in circuits)
    found = get_backend("aer").probabilities(circuits)
    np.testing.assert_allclose(found, clf.predict_proba(X[:2]), atol=1e-9)


def test_one_sample_is_the_file_itself_and_qpy_holds_all(clf: TreeClassifier, tmp_path: Path) -> None:
    assert export_bound(clf.compile(), tmp_path / "one.qasm", X[:1]) == [tmp_path / "one.qasm"]
    assert export_bound(clf.compile(), tmp_path / "all.qpy", X[:3]) == [tmp_path / "all.qpy"]
    with (tmp_path / "all.qpy").open("rb") as file:
        circuits = qpy.load(file)
    np.testing.assert_allclose(
        get_backend("aer").probabilities(circuits), clf.predict_proba(X[:3]), atol=1e-9
    )


def test_a_circuit_that_draws_has_no_inputs(tmp_path: Path) -> None:
    bits = np.array([[0, 0, 1], [1, 1, 0]] * 20)
    compiled = MPSBornMachine(2, random_state=0).fit(bits).compile()
    (file,) = export_bound(compiled, tmp_path / "drawn.qasm", qasm_version=2)
    assert qasm2.load(str(file)).num_qubits == compiled.num_qubits
    with pytest.raises(InvalidInputError, match="no inputs; leave X out"):
        export_bound(compiled, tmp_path / "drawn.qasm", bits)


def test_bad_input_is_refused_before_anything_is_written(clf: TreeClassifier, tmp_path: Path) -> None:
    compiled = clf.compile()
    with pytest.raises(InvalidInputError, match="give the samples to bind"):
        export_bound(compiled, tmp_path / "a.qasm")
    with pytest.raises(InvalidInputError, match="end it in .qasm or .qpy"):
        export_bound(compiled, tmp_path / "a.txt", X[:1])
    with pytest.raises(InvalidInputError, match="must be 2 or 3, got 4"):
        export_bound(compiled, tmp_path / "a.qasm", X[:1], qasm_version=4)
    assert not list(tmp_path.iterdir())
