"""Configuration of Sphinx; `docs/README.md` says how to build."""

import os
import sys
from pathlib import Path

import qtnml

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "qtnml"
author = "the qtnml developers"
copyright = "2026, the qtnml developers"
version = release = qtnml.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "rooms",
    "copied",
    "commands",
]
# Off: cells that do not run have no language yet; short names in docstrings that several classes have.
suppress_warnings = ["myst-nb.lexer", "ref.python"]
exclude_patterns = ["_build", "README.md"]
html_theme = "furo"
html_title = f"qtnml {release}"
html_theme_options = {"navigation_with_keys": True}

# Docstrings are Google's style; single backticks make code, and a link where they name an object.
default_role = "py:obj"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 90
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3
# Notebooks are text and run at every build; QTNML_DOCS_EXECUTE=off leaves them out while one writes.
nb_execution_mode = os.environ.get("QTNML_DOCS_EXECUTE", "cache")
nb_execution_timeout = 240
nb_execution_raise_on_error = True
nb_merge_streams = True
copybutton_exclude = ".linenos, .gp, .go"
