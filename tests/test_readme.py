"""The README's Python and command lines run as printed."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow  # a minute and a half: `.ci/run` runs them on their own

README = Path(__file__).parents[1] / "README.md"


def test_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile("\n".join(blocks), str(README), "exec"), names)
    assert (tmp_path / "model.qtnml").is_file()
    assert names["compiled"].num_qubits == 12  # type: ignore[attr-defined]
    assert names["mps"].compile().num_qubits == 3  # type: ignore[attr-defined]


def test_command_lines_run(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    records = pd.DataFrame(
        {
            "id": [f"R{row}" for row in range(80)],
            "age": rng.integers(20, 60, 80),
            "kind": rng.choice(["a", "b"], 80),
            "label": rng.choice(["no", "yes"], 80),
        }
    )
    records.to_csv("records.csv", index=False)
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("qtnml ")]
    assert len(lines) > 10
    for line in lines:
        status, out, err = run(*shlex.split(line, comments=True)[1:])
        assert status == 0, f"{line}\n{out}\n{err}"
    for name in (
        "model.qtnml",
        "mps.qtnml",
        "model.qasm",
        "model.png",
        "predictions.csv",
        "noise.png",
        "noise.csv",
    ):
        assert (tmp_path / name).stat().st_size > 0


def test_pictures_and_links_exist() -> None:
    text = README.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        assert (README.parent / target).exists(), target


def test_examples_of_the_documentation_run() -> None:
    found = {}
    for page in ("shallow.md", "densities.md", "graphs.md"):
        text = (README.parent / "docs" / page).read_text()
        blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        names: dict[str, Any] = {}
        exec(compile("\n".join(blocks), page, "exec"), names)
        found |= names
    assert found["better"].fidelity > found["start"].fidelity
    assert found["found"].network.ranks == {(0, 1): 2, (1, 2): 3, (2, 3): 2}
    assert found["born"].score(found["test"]) > -found["born"].independent_nll_ + 0.9
    assert found["mixture"].score(found["test"]) > -found["born"].independent_nll_
