import json
import re
from pathlib import Path

import numpy as np
import openqasm3
import pytest
from qiskit import QuantumCircuit, qpy
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.transpiler import CouplingMap

from qtnml import TreeClassifier, get_backend
from qtnml.ansatz import BrickWall
from qtnml.compile import CompiledCircuit, compile_model, export_circuit, import_circuit
from qtnml.contract import Model
from qtnml.encoding import FeatureScaler, MultiQubitEncoding
from qtnml.errors import CircuitFileError, InvalidInputError
from qtnml.gates import Synthesis
from qtnml.structure import balanced_tree, mps
from tests.references import PhaseEncoding


def compiled_model(
    seed: int = 0, *, topology: object = None, encoding: object = None, **arguments: object
) -> CompiledCircuit:
    model = Model(topology or balanced_tree(4), encoding or MultiQubitEncoding())  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)
    scaler = FeatureScaler.fixed((-1, 3), model.num_features)
    return compile_model(model, model.start(rng, scale=2.0), scaler=scaler, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".qpy", ".qasm"])
@pytest.mark.parametrize("free_weights", [True, False])
@pytest.mark.parametrize("gate", ["cx", "ecr"])
def test_files_come_back(tmp_path: Path, suffix: str, free_weights: bool, gate: str) -> None:
    compiled = compiled_model(topology=mps(6, 2), synthesis=Synthesis(two_qubit_gate=gate))
    path = tmp_path / f"circuit{suffix}"
    export_circuit(compiled, path, free_weights=free_weights)
    loaded = import_circuit(path)
    assert len(loaded.w) == (len(compiled.w) if free_weights else 0)
    assert loaded.schedule == compiled.schedule
    assert loaded.topology == compiled.topology
    X = np.random.default_rng(1).uniform(-1, 3, (3, compiled.num_features))
    np.testing.assert_array_equal(loaded.angles(X), compiled.angles(X))
    backend = get_backend("aer")
    expected = backend.probabilities(compiled.bind(X))
    np.testing.assert_allclose(backend.probabilities(loaded.bind(X)), expected, atol=1e-12)
    if free_weights:
        moved = loaded.with_weights(loaded.weights + 0.1)
        again = backend.probabilities(compiled.with_weights(compiled.weights + 0.1).bind(X))
        np.testing.assert_allclose(backend.probabilities(moved.bind(X)), again, atol=1e-12)
    with pytest.raises(InvalidInputError, match="no network to compare with"):
        loaded.verify(X)
    assert loaded.report().levels == ()


def test_openqasm_passes_an_independent_parser(tmp_path: Path) -> None:
    """The reference parser of the language, not Qiskit's: same gates, same inputs."""
    compiled = compiled_model(topology=balanced_tree(8), encoding=PhaseEncoding())
    export_circuit(compiled, tmp_path / "circuit.qasm", free_weights=True)
    program = openqasm3.parse((tmp_path / "circuit.qasm").read_text())
    kinds = [type(statement).__name__ for statement in program.statements]
    counts = compiled.circuit.count_ops()
    assert kinds.count("QuantumReset") == counts["reset"]
    assert kinds.count("QuantumMeasurementStatement") == counts["measure"]
    gates = [s.name.name for s in program.statements if isinstance(s, openqasm3.ast.QuantumGate)]
    assert gates.count("cx") == counts["cx"]
    assert kinds.count("IODeclaration") == len(compiled.x) + len(compiled.w)


def test_own_encodings_are_passed_again(tmp_path: Path) -> None:
    compiled = compiled_model(encoding=PhaseEncoding())
    export_circuit(compiled, tmp_path / "own.qpy")
    with pytest.raises(InvalidInputError, match="encoding is your own; pass it as encoding="):
        import_circuit(tmp_path / "own.qpy")
    assert import_circuit(tmp_path / "own.qpy", encoding=PhaseEncoding()).num_features == 4


def test_files_that_are_no_circuits(tmp_path: Path) -> None:
    compiled = compiled_model()
    export_circuit(compiled, tmp_path / "good.qpy")
    content = (tmp_path / "good.qpy").read_bytes()
    (tmp_path / "cut.qpy").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.qpy").write_bytes(b"")
    (tmp_path / "cut.qasm").write_text("OPENQASM 3.0; gate")
    for name in ("cut.qpy", "empty.qpy", "cut.qasm"):
        with pytest.raises(
            CircuitFileError,
            match=f"{name} (is damaged or no circuit file.*export it again|was not written by qtnml)",
        ):
            import_circuit(tmp_path / name)
    with pytest.raises(CircuitFileError, match="cannot read .*: No such file"):
        import_circuit(tmp_path / "missing.qpy")
    with pytest.raises(
        InvalidInputError, match=r"cannot tell the circuit format of .*; end it in \.qasm or \.qpy"
    ):
        import_circuit(tmp_path / "circuit.json")
    with (tmp_path / "foreign.qpy").open("wb") as file:
        qpy.dump(QuantumCircuit(1), file)
    with pytest.raises(CircuitFileError, match="was not written by qtnml; read it with qiskit.qpy"):
        import_circuit(tmp_path / "foreign.qpy")


def test_newer_formats_and_inconsistent_facts(tmp_path: Path) -> None:
    export_circuit(compiled_model(), tmp_path / "circuit.qasm", free_weights=True)
    text = (tmp_path / "circuit.qasm").read_text()
    (tmp_path / "newer.qasm").write_text(text.replace('"format": 1', '"format": 2'))
    with pytest.raises(CircuitFileError, match="has format 2, this version reads 1; update qtnml"):
        import_circuit(tmp_path / "newer.qasm")
    (tmp_path / "short.qasm").write_text(re.sub(r'"data_qubits": \d+', '"data_qubits": 1', text))
    with pytest.raises(CircuitFileError, match="is damaged .*its data qubits are not its topology's"):
        import_circuit(tmp_path / "short.qasm")


def test_a_gate_less_is_noticed(tmp_path: Path) -> None:
    export_circuit(compiled_model(), tmp_path / "circuit.qasm")
    lines = (tmp_path / "circuit.qasm").read_text().splitlines(keepends=True)
    place = next(k for k, line in enumerate(lines) if line.startswith("cx"))
    (tmp_path / "circuit.qasm").write_text("".join(lines[:place] + lines[place + 1 :]))
    with pytest.raises(CircuitFileError, match="its gates are not those that were written"):
        import_circuit(tmp_path / "circuit.qasm")


@pytest.mark.parametrize("suffix", [".qpy", ".qasm"])
def test_circuits_of_a_device_come_back(tmp_path: Path, suffix: str) -> None:
    line = GenericBackendV2(4, coupling_map=CouplingMap.from_line(4), seed=2)
    compiled = compiled_model(topology=balanced_tree(8), target=line)
    export_circuit(compiled, tmp_path / f"c{suffix}", free_weights=True)
    X = np.random.default_rng(1).uniform(-1, 3, (3, compiled.num_features))
    found = import_circuit(tmp_path / f"c{suffix}").probabilities(X)
    np.testing.assert_allclose(found, compiled.probabilities(X), atol=1e-12)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("weights", ["a"]),
        ("scaler", "ab"),
        ("schedule", [99, [], []]),
        ("encoding", "nosuch"),
        ("topology", {"leaf_widths": [1]}),
        ("encoding_parameters", [[1.0]]),
    ],
)
def test_hostile_headers(tmp_path: Path, entry: str, value: object) -> None:
    path = tmp_path / "circuit.qasm"
    export_circuit(compiled_model(), path)
    lines = path.read_text().splitlines(keepends=True)
    place = next(k for k, line in enumerate(lines) if line.startswith("// qtnml: "))
    facts = json.loads(lines[place].removeprefix("// qtnml: ")) | {entry: value}
    lines[place] = f"// qtnml: {json.dumps(facts)}\n"
    path.write_text("".join(lines))
    with pytest.raises(CircuitFileError, match=r"circuit\.qasm is damaged"):
        import_circuit(path)


def test_brick_walls_and_estimators_come_back(tmp_path: Path, trained: TreeClassifier) -> None:
    export_circuit(trained.compile(), tmp_path / "tree.qpy")
    assert import_circuit(tmp_path / "tree.qpy").num_qubits == 5
    model = Model(balanced_tree(4), MultiQubitEncoding(), BrickWall(2, "rzz", "ry"))
    compiled = compile_model(model, model.start(np.random.default_rng(0)))
    export_circuit(compiled, tmp_path / "wall.qasm")
    assert import_circuit(tmp_path / "wall.qasm").circuit.count_ops()["rzz"] == compiled.two_qubit_gates
