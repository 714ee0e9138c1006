"""The package as a user meets it."""

import ast
import inspect
import pydoc
import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType

import jax
import numpy as np
import pytest

import qtnml
from qtnml.errors import ClippedDataWarning, warn_user
from qtnml.train import enable_compilation_cache

pytestmark = pytest.mark.portable


def test_public_names_resolve() -> None:
    for name in qtnml.__all__:
        found = getattr(qtnml, name)
        assert (found.__name__ if isinstance(found, ModuleType) else found.__module__).startswith("qtnml.")
    assert set(qtnml.__all__) <= set(dir(qtnml))
    with pytest.raises(AttributeError, match="module 'qtnml' has no attribute 'nothing'"):
        _ = qtnml.nothing


def test_warnings_point_at_the_user() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_user("look here", ClippedDataWarning)
    assert caught[0].filename == __file__


@pytest.mark.slow
def test_compilation_cache_is_used_when_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys, jax, jax.numpy as jnp, numpy as np\n"
        "from qtnml import TreeClassifier, enable_compilation_cache\n"
        "enable_compilation_cache(sys.argv[1])\n"
        "TreeClassifier(epochs=1).fit(np.eye(4), [0, 1, 0, 1])\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "xla")], check=True)
    assert any((tmp_path / "xla").iterdir())


def test_a_folder_that_jax_was_given_is_kept(tmp_path: Path) -> None:
    before = jax.config.values["jax_compilation_cache_dir"]
    try:
        jax.config.update("jax_compilation_cache_dir", str(tmp_path / "mine"))
        assert enable_compilation_cache() == tmp_path / "mine"
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def _imported(path: Path, *, at_call: bool) -> set[str]:
    """Modules of the package that a module imports, when it is imported itself or also when it is called."""
    found, open_ = set[str](), [ast.parse(path.read_text(encoding="utf-8"))]
    while open_:
        node = open_.pop()
        for child in ast.iter_child_nodes(node):
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            only_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            if only_types or (is_function and not at_call):
                continue
            if isinstance(child, ast.ImportFrom) and (child.module or "").startswith("qtnml"):
                found |= {str(child.module), *(f"{child.module}.{name.name}" for name in child.names)}
            open_.append(child)  # type: ignore[arg-type]
    return found


def _circles(*, at_call: bool) -> list[set[str]]:
    """Groups of modules that import each other, by paths of imports there and back."""
    root = Path(qtnml.__file__).parent
    places = {}
    for path in root.rglob("*.py"):
        name = ".".join(("qtnml", *path.relative_to(root).with_suffix("").parts))
        places[name.removesuffix(".__init__")] = path
    after = {name: _imported(path, at_call=at_call) & places.keys() - {name} for name, path in places.items()}
    reached = {name: set(others) for name, others in after.items()}
    grows = True
    while grows:
        grows = False
        for found in reached.values():
            more = set().union(*(reached[other] for other in found)) - found
            grows |= bool(more)
            found |= more
    rings = {frozenset(o for o in reached[n] if n in reached[o]) for n in reached if n in reached[n]}
    return [set(ring) for ring in rings]


def test_no_module_imports_itself_over_others() -> None:
    assert _circles(at_call=False) == []
    # Imports in functions: device noise of calibrations, and vendors' clients, wait until they are asked for.
    rooms = {name.split(".")[1] for ring in _circles(at_call=True) for name in ring}
    assert rooms <= {"noise", "backends"}


def test_help_tells_every_argument() -> None:
    for cls in (
        qtnml.TreeClassifier,
        qtnml.MPSRegressor,
        qtnml.AmplitudeTreeClassifier,
        qtnml.TreeBornMachine,
        qtnml.BornClassifier,
    ):
        told = pydoc.render_doc(cls, renderer=pydoc.plaintext)
        for name in inspect.signature(cls).parameters:
            assert re.search(rf"^ \|      {name}: \S", told, re.MULTILINE), (cls.__name__, name)
        assert "As for `TreeClassifier`" not in told
    assert "classes_: The labels" in qtnml.MPSClassifier.__doc__


def test_objects_show_themselves_in_a_few_lines() -> None:
    X = np.random.default_rng(0).integers(0, 2, (60, 16))
    clf = qtnml.TreeClassifier(2, epochs=1).fit(X, X[:, 0])
    born = qtnml.MPSBornMachine(4, epochs=1).fit(X)
    amplitudes = qtnml.AmplitudeMPSClassifier(3, epochs=1).fit(X, X[:, 0])
    compiled = clf.compile()
    shown = [
        *(clf.model_, clf.params_, clf.network_, compiled, compiled.bind(X[:3]), compiled.to_pennylane()),
        *(born.state_, born.compile(), amplitudes.model_),
    ]
    for thing in shown:
        assert len(repr(thing)) < 300, repr(thing)
    for thing in (compiled, compiled.report(), born.state_, born.compile(), amplitudes.model_.network):
        assert thing._repr_html_().startswith(("<table>", "<pre>"))
    assert "<pre>ln P = " in born.explain(X[0])._repr_html_()
