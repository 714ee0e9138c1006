"""The reference: a page for each package of qtnml, from its `__all__`; links by an object's short name."""

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any, get_origin

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

import qtnml

#: What each page is about, by package; `qtnml` itself comes first.
ROOMS = {
    "qtnml": "What most programs need",
    "models": "Estimators, and what they become on backends",
    "data": "Data sets, tables, pictures",
    "encoding": "From features to states",
    "structure": "Trees: connectivity and widths",
    "ansatz": "Unitaries of nodes",
    "train": "Losses, optimisers, the training loop",
    "contract": "Contraction: models as pure functions",
    "born": "Generative networks: likelihoods, samples, sweeps",
    "states": "Tensor-network states",
    "shallow": "Circuits of few gates for states",
    "graphs": "Structure search over general graphs",
    "gates": "Synthesis of gates",
    "compile": "Compiled circuits, export and import",
    "program": "Programs, scheduling and passes",
    "noise": "Exact noise",
    "backends": "Simulators and devices",
    "jobs": "Jobs, plans and prices",
    "ledger": "The ledger",
    "hybrid": "Training on backends",
    "mitigation": "Error mitigation",
    "explain": "Explanations",
    "plots": "Figures",
    "study": "Many trainings at once",
    "zoo": "Trained circuits in the repository",
    "errors": "Errors and warnings",
}
_OF_SKLEARN = "get_metadata_routing, set_fit_request, set_score_request, set_predict_request, \
set_partial_fit_request, set_inverse_transform_request, set_transform_request"


def _names(package: str) -> list[str]:
    """Public names that the page documents: those of the top level stand on its page alone."""
    if package == "qtnml":
        return sorted(name for name in qtnml.__all__ if not inspect.ismodule(getattr(qtnml, name)))
    module = import_module(f"qtnml.{package}")
    public = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items() if inspect.isclass(value) and not name.startswith("_")
    ]
    return sorted(name for name in public if name not in qtnml.__all__ and _is_at_home(package, module, name))


def _is_at_home(package: str, module: Any, name: str) -> bool:
    """Whether a name that several packages export is documented here: in the package that defines it."""
    defined = getattr(getattr(module, name), "__module__", None) or ""
    home = defined.split(".")[1] if defined.startswith("qtnml.") else package
    return home in (package, name) or name not in getattr(import_module(f"qtnml.{home}"), "__all__", [])


def _entry(module: Any, qualified: str, name: str) -> str:
    value = getattr(module, name)
    if inspect.isclass(value) and not get_origin(value):
        lines = [f".. autoclass:: {qualified}.{name}", "   :members:"]
        if not issubclass(value, BaseException | tuple):
            lines += ["   :inherited-members: BaseEstimator", f"   :exclude-members: {_OF_SKLEARN}"]
    elif callable(value) and not get_origin(value):
        lines = [f".. autofunction:: {qualified}.{name}"]
    else:
        lines = [f".. py:data:: {qualified}.{name}", "", f"   {_told(value)}"]
    return "\n".join(lines)


def _told(value: Any) -> str:
    """What a constant holds."""
    if isinstance(value, dict):
        return f"A dictionary of {', '.join(f'``{key!r}``' for key in value)}."
    return f"``{value!r}``"


def _page(package: str) -> str:
    qualified = "qtnml" if package == "qtnml" else f"qtnml.{package}"
    module = import_module(qualified)
    head = f"{qualified}: {ROOMS[package][0].lower()}{ROOMS[package][1:]}"
    summary = inspect.getdoc(module) or ""
    parts = [head, "=" * len(head), "", f".. module:: {qualified}", "", summary, ""]
    return "\n".join([*parts, *(f"{_entry(module, qualified, name)}\n" for name in _names(package))])


_TEXT_OF_SKLEARN = "As in scikit-learn."


def plain(_app: Sphinx, _what: str, _name: str, obj: Any, _options: Any, lines: list[str]) -> None:
    """Docstrings as they are written: a bar is a bar; of what scikit-learn brings, the first paragraph."""
    if (getattr(obj, "__module__", "") or "").startswith("sklearn."):
        end = lines.index("") if "" in lines else len(lines)
        lines[end:] = ["", _TEXT_OF_SKLEARN, ""]
        lines[:end] = [re.sub(r":\w+:`([^<`]*)(?:<[^`]*>)?`", r"\1", line) for line in lines[:end]]
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[number] = line.replace("|", r"\|")


def write_pages(app: Sphinx) -> None:
    """Write `reference/<package>.rst` for each package, only where something changed."""
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    for package in ROOMS:
        path, text = folder / f"{package}.rst", _page(package)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def link_by_short_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.Element
) -> nodes.Node | None:
    """Link `TreeClassifier`, `TreeClassifier.fit` or `qtnml.models.TreeClassifier` to its entry."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].removesuffix("()")
    objects = env.get_domain("py").objects
    parts = target.split(".")
    for ending in ([target] if target.startswith("qtnml.") else []) + [
        ".".join(parts[k:]) for k in range(len(parts)) if parts[k:]
    ]:
        found = {name for name in objects if name == ending or name.endswith(f".{ending}")}
        # A short name in lower case may be a method of anything: only whole words of the package count.
        found = {name for name in found if ending[:1].isupper() or "." in ending or name.count(".") <= 2}
        if len(found) > 1:
            short = sorted(found, key=lambda name: name.count("."))
            found = {short[0]} if short[0].count(".") < short[1].count(".") else set()
        if len(found) == 1 and (entry := objects[found.pop()]):
            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, target)
        if target.startswith("qtnml."):
            continue
        break
    return None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", plain)
    app.connect("missing-reference", link_by_short_name)
    return {"parallel_read_safe": True}
