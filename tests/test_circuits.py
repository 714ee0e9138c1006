"""The committed circuits are what their cards and models say, and what does not fit is found."""

import json
import re
import shutil
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit, qasm3

from qtnml import get_backend, load_dataset, load_model
from qtnml.cli import main
from qtnml.errors import CircuitFileError
from qtnml.zoo import DrawingCheck, check_circuit, default_folder, gate_difference, read_card, read_cards

FOLDER = Path(__file__).parents[1] / "circuits"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
QUICK = ["digits_3v5_4x4_tree_v1_5q", "digits_3v5_4x4_wall_cz_8q", "iris_mps_v2_3q", "digits_born_mps_d2_2q"]


def check(name: str, samples: int) -> None:
    result = check_circuit(FOLDER, name, samples=samples)
    assert result.passed, result
    assert result.gate_difference <= 2e-9
    if isinstance(result, DrawingCheck):
        assert result.likelihood > -np.log(2) * read_card(FOLDER, name)["resources"]["features"]
    else:
        assert result.accuracy > 0.9


@pytest.mark.sampled
@pytest.mark.parametrize("name", QUICK)
def test_circuits_fit(name: str) -> None:
    check(name, 5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_circuit_fits(name: str) -> None:
    check(name, 5)


def test_the_zoo_is_what_its_readme_says() -> None:
    assert len(NAMES) >= 10
    readme = (FOLDER / "README.md").read_text()
    for card in read_cards(FOLDER):
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{card['name']}`"))
        resources = card["resources"]
        for value in (resources["qubits"], resources["depth"], resources["resets"]):
            assert f"| {value:,} |" in row
        for suffix in (".qtnml", ".qasm", ".qpy"):
            assert (FOLDER / f"{card['name']}{suffix}").is_file()


def test_a_qasm_file_alone_is_enough() -> None:
    """Read by Qiskit without this package; fed by the names of its inputs."""
    name = "digits_3v5_4x4_tree_v1_5q"
    circuit = qasm3.loads((FOLDER / f"{name}.qasm").read_text())
    clf = load_model(FOLDER / f"{name}.qtnml")
    data = load_dataset("digits", classes=(3, 5), order="z", size=4)
    X = data.raw(data.X_test)[:4]
    inputs = {parameter.name: parameter for parameter in circuit.parameters}
    bound = [
        circuit.assign_parameters({inputs[f"_x_{k}_"]: angle for k, angle in enumerate(row)})
        for row in clf.compile().angles(X)
    ]
    np.testing.assert_allclose(get_backend("aer").probabilities(bound), clf.predict_proba(X), atol=1e-8)


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    for path in FOLDER.glob("digits_3v5_4x4_tree_v1_5q.*"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_what_does_not_fit_is_found(zoo: Path) -> None:
    name = "digits_3v5_4x4_tree_v1_5q"
    qasm = (zoo / f"{name}.qasm").read_text()
    number = re.search(r"[uU]\((-?\d\.\d+)", qasm)[1]  # type: ignore[index]
    changed = qasm.replace(number, f"{float(number) + 1e-6:.17g}", 1)
    old, new = (sha256(t[t.index("OPENQASM") :].encode()).hexdigest() for t in (qasm, changed))
    (zoo / f"{name}.qasm").write_text(changed.replace(old, new))
    result = check_circuit(zoo, name, samples=1)
    assert 1e-7 < result.gate_difference < 1e-5
    assert not result.passed
    assert result.deviation < 1e-9
    card = json.loads((zoo / f"{name}.json").read_text())
    card["accuracy"]["exact"] -= 0.1
    (zoo / f"{name}.json").write_text(json.dumps(card))
    (zoo / f"{name}.qasm").write_text(qasm)
    assert not check_circuit(zoo, name, samples=1).passed


def test_cards_that_are_none(zoo: Path) -> None:
    with pytest.raises(CircuitFileError, match=r"no circuit 'x' in .*; there are \['digits_3v5_4x4_"):
        read_card(zoo, "x")
    (zoo / "bad.json").write_text("{}")
    with pytest.raises(CircuitFileError, match=r"bad\.json is damaged"):
        read_cards(zoo)
    with pytest.raises(CircuitFileError, match="no circuit cards in .*; name the folder with --folder"):
        read_cards(zoo / "empty")
    assert default_folder() == FOLDER
    for entry in ("resources", "compile", "accuracy", "data"):
        for value in ({}, 5):
            card = read_card(FOLDER, "iris_tree_v1_4q") | {entry: value}
            (zoo / "iris_tree_v1_4q.json").write_text(json.dumps(card))
            with pytest.raises(CircuitFileError, match=r"iris_tree_v1_4q\.json is damaged"):
                read_card(zoo, "iris_tree_v1_4q")


def test_gate_difference_of_other_circuits() -> None:
    first, second = QuantumCircuit(2), QuantumCircuit(2)
    first.ry(0.1, 0)
    second.ry(0.1 + 1e-5, 0)
    assert gate_difference(first, second) == pytest.approx(1e-5)
    second.cx(0, 1)
    assert gate_difference(first, second) == np.inf
    first.cx(1, 0)
    assert gate_difference(first, second) == np.inf


def test_command_line(zoo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    name = "digits_3v5_4x4_tree_v1_5q"

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["qtnml", "circuits", *map(str, arguments), "--folder", str(zoo)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0), capsys.readouterr().out

    assert run("list", "--json")[1].count('"name"') == 1
    assert "188" not in run("show", name)[1]
    status, out = run("check", name, "--samples", 2, "--json")
    assert (status, json.loads(out)["checks"][0]["passed"]) == (0, True)
    card = json.loads((zoo / f"{name}.json").read_text())
    card["accuracy"]["exact"] = 0.5
    (zoo / f"{name}.json").write_text(json.dumps(card))
    assert run("check", name, "--samples", 2)[0] == 1
    shutil.copy(FOLDER / "iris_tree_v1_4q.qtnml", zoo / f"{name}.qtnml")
    assert run("check", name, "--samples", 2)[0] == 2
