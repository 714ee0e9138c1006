"""The README's Python runs as printed."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.filterwarnings("ignore::qtnml.errors.ClippedDataWarning")
def test_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile("\n".join(blocks), str(README), "exec"), names)
    assert (tmp_path / "model.qtnml").is_file()
    assert names["compiled"].num_qubits == 12  # type: ignore[attr-defined]
    assert names["mps"].compile().num_qubits == 3  # type: ignore[attr-defined]


def test_pictures_and_links_exist() -> None:
    text = README.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        assert (README.parent / target).exists(), target
