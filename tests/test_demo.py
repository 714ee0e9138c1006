import json
import sys
from pathlib import Path

import pytest

from qtnml import cli


def test_demo_prints_one_json_object_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("qtnml.train.enable_compilation_cache", lambda: None)
    arguments = ["qtnml", "demo", "--json", "--images", "8", "--out", str(tmp_path / "pictures")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    result = json.loads(capfd.readouterr().out)
    assert set(result) == {
        "test_accuracy",
        "shots_accuracy",
        "max_probability_error",
        "num_qubits",
        "num_qubits_reuse",
        "two_qubit_gates",
        "depth",
        "seconds",
    }
    assert result["test_accuracy"] > 0.95
    assert result["max_probability_error"] < 1e-5
    assert (result["num_qubits"], result["num_qubits_reuse"], result["two_qubit_gates"]) == (64, 7, 188)
    assert all(seconds >= 0 for seconds in result["seconds"].values())
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == ["circuit.png", "confusion.png", "digits.png", "training.png"]
