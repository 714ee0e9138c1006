"""Model files of every earlier version are read, and answer as they did."""

from pathlib import Path

import numpy as np
import pytest

from qtnml import load_model
from tests.golden.make import answers

pytestmark = pytest.mark.portable

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*/*.qtnml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_answers_as_it_did(path: Path) -> None:
    model = load_model(path)
    expected = np.load(path.parent / "answers.npz")[path.stem]
    np.testing.assert_allclose(answers(path.stem, model), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_is_saved_again(path: Path, tmp_path: Path) -> None:
    model = load_model(path)
    model.save(tmp_path / "again.qtnml")
    again = load_model(tmp_path / "again.qtnml")
    assert repr(again) == repr(model)
    np.testing.assert_array_equal(answers(path.stem, again), answers(path.stem, model))
