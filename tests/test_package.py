"""The package as a user meets it."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import qtnml
from qtnml.errors import ClippedDataWarning, warn_user

pytestmark = pytest.mark.portable


def test_public_names_resolve() -> None:
    for name in qtnml.__all__:
        assert getattr(qtnml, name).__module__.startswith("qtnml.")
    assert set(qtnml.__all__) <= set(dir(qtnml))
    with pytest.raises(AttributeError, match="module 'qtnml' has no attribute 'nothing'"):
        _ = qtnml.nothing


def test_warnings_point_at_the_user() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_user("look here", ClippedDataWarning)
    assert caught[0].filename == __file__


def test_compilation_cache_is_used_when_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys, jax, jax.numpy as jnp, numpy as np\n"
        "from qtnml import TreeClassifier, enable_compilation_cache\n"
        "enable_compilation_cache(sys.argv[1])\n"
        "TreeClassifier(epochs=1).fit(np.eye(4), [0, 1, 0, 1])\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "xla")], check=True)
    assert any((tmp_path / "xla").iterdir())
