"""Born machines as shallow circuits: `compile(approximate=...)`, on backends and on the command line."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from qtnml import MPSBornMachine, shallow
from qtnml.cli.app import app
from qtnml.errors import InvalidInputError


@pytest.fixture(scope="module")
def born() -> MPSBornMachine:
    bits = (
        np.random.default_rng(0).integers(2, size=(40, 1))
        ^ np.tril(np.ones((6, 6), int))[:, :][np.random.default_rng(1).integers(6, size=40)]
    )
    return MPSBornMachine(max_bond=4, random_state=0, epochs=20, validation_fraction=0.0).fit(bits)


@pytest.mark.slow
def test_so_many_gates_or_such_a_fidelity(born: MPSBornMachine) -> None:
    few = born.compile(approximate=10)
    assert few.two_qubit_gates <= 10
    assert few.infidelity > 0
    near = born.compile(approximate=0.95, reuse_qubits=False)
    assert near.infidelity <= 0.05
    assert near.num_resets == 0
    found = shallow.approximate(born, layers=2, iterations=50)
    assert born.compile(approximate=found).two_qubit_gates == found.two_qubit_gates


@pytest.mark.slow
def test_it_is_drawn_from_and_trained_on_a_backend(born: MPSBornMachine) -> None:
    measured = born.to_backend("exact", approximate=10, jobs=False)
    assert measured.compiled.two_qubit_gates <= 10
    assert measured.sample(20).shape == (20, 6)


def test_what_was_found_before_is_taken(born: MPSBornMachine) -> None:
    found = shallow.approximate(born, layers=1, iterations=20, starts=1)
    compiled = born.compile(approximate=found)
    assert compiled.two_qubit_gates == found.two_qubit_gates
    assert compiled.infidelity == found.infidelity


def test_what_cannot_be_meant(born: MPSBornMachine) -> None:
    for wanted in (True, 1.5, "60", -0.1):
        with pytest.raises(InvalidInputError, match="approximate is a number of two-qubit gates"):
            born.compile(approximate=wanted)  # type: ignore[arg-type]
    other = MPSBornMachine(max_bond=2, random_state=0, epochs=2).fit(np.eye(6, dtype=int)[[0, 1, 2, 3] * 5])
    with pytest.raises(InvalidInputError, match="of another state"):
        born.compile(approximate=shallow.approximate(other, layers=1, iterations=5))


@pytest.mark.slow
def test_the_command_line(born: MPSBornMachine, tmp_path: Path) -> None:
    path = tmp_path / "model.qtnml"
    born.save(path)
    arguments = ["compile", str(path), "--approximate", "10", "-o", str(tmp_path / "a.qasm"), "--json"]
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0, found.output
    assert "OPENQASM 3" in (tmp_path / "a.qasm").read_text()
    refused = CliRunner().invoke(app, ["compile", str(path), "--approximate", "many"])
    assert refused.exit_code != 0
