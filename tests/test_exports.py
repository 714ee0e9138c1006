"""The recipes of docs/howto/exports.md, each run by the toolkit it is for, against exact probabilities."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.vendor, pytest.mark.filterwarnings("ignore")]
TEXT = (Path(__file__).parents[1] / "docs" / "howto" / "exports.md").read_text()


def blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def start() -> dict[str, Any]:
    """What the first block defines."""
    names: dict[str, Any] = {}
    exec(blocks(TEXT)[0], names)
    return names


@pytest.mark.parametrize(
    ("title", "package"),
    [("pytket", "pytket.extensions.quantinuum"), ("Cirq", "cirq"), ("CUDA-Q", "cudaq")],
)
def test_the_recipe_gives_the_right_probability(title: str, package: str) -> None:
    pytest.importorskip(package)
    names = start()
    section = TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    (block,) = blocks(section)
    exec(block, names)
    p = names["compiled"].probabilities(names["X"][:1])[0, 1]
    error = np.sqrt(p * (1 - p) / names["shots"])
    assert abs(names["frequency"] - p) < 5 * error


def test_cuda_q_still_samples_resets_wrongly() -> None:
    """When this fails, the table can say yes."""
    cudaq = pytest.importorskip("cudaq")
    names = start()
    (circuit,) = names["compiled"].bind(names["X"][:1])
    cudaq.set_target("qpp-cpu")
    cudaq.set_random_seed(1)
    found = cudaq.sample(cudaq.contrib.from_qiskit(circuit), shots_count=20_000).probability("1")
    p = names["compiled"].probabilities(names["X"][:1])[0, 1]
    assert abs(found - p) > 5 * np.sqrt(p * (1 - p) / 20_000)
