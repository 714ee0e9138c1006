"""Pages of the repository that the documentation shows too: the experiments' READMEs, circuits, changes.

Pages link to files where they lie in the repository, so that links work there as well; here such links lead
to the copy, and those to files that no page shows become plain code.
"""

import re
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
#: Files of the repository -> pages, below docs/.
PAGES = {
    "README.md": "copied/readme.txt",  # included by the first page, no page itself
    "circuits/README.md": "copied/circuits.md",
    "CHANGELOG.md": "copied/changelog.md",
    "CONTRIBUTING.md": "copied/contributing.md",
    "SECURITY.md": "copied/security.md",
    "experiments/README.md": "results/index.md",
}
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#)([^)\s]+)\)")
_SHOWN = (".md", ".png")


def _sources() -> dict[Path, Path]:
    """Every file that is copied, and its place below docs/."""
    found = {ROOT / name: Path(place) for name, place in PAGES.items() if (ROOT / name).exists()}
    for folder in sorted((ROOT / "experiments").iterdir()):
        for path in sorted(folder.glob("*")) if (folder / "README.md").exists() else ():
            if path.suffix in _SHOWN:
                name = "index.md" if path.name == "README.md" else path.name
                found[path] = Path("results", folder.name, name)
    return found


def _relinked(text: str, here: Path, docs: Path, places: dict[Path, Path]) -> str:
    """A page's text whose links lead to pages of the documentation."""

    def link(match: re.Match[str]) -> str:
        mark, label, address = match.groups()
        file, _, anchor = address.partition("#")
        target = (here.parent / file).resolve()
        if target.is_dir() and (target / "README.md").exists():
            target /= "README.md"
        place = docs / places[target] if target in places else target
        if not place.is_relative_to(docs) or not (target.exists() or place.exists()):
            return label if mark or label.startswith("`") else f"`{label}`"
        # By way of the document's root, which works from everywhere.
        away = "/" + place.relative_to(docs).as_posix() + (f"#{anchor}" if anchor else "")
        return f"{mark}[{label}]({away})"

    fenced = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if k % 2 else _LINK.sub(link, part) for k, part in enumerate(fenced))


def copy_pages(app: Sphinx) -> None:
    """Copy what changed; a list of all experiments stands under the page of results."""
    docs, places = Path(app.srcdir), _sources()
    for source, place in places.items():
        target = docs / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix != ".md":
            if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
                shutil.copy2(source, target)
            continue
        text = _relinked(source.read_text(), source, docs, places)
        if place.suffix == ".txt":
            pass
        elif place.name == "index.md" or place.parent.name == "copied":
            text += _hidden(sorted(_below(place, places)))
        else:
            text = f"# {place.parent.name}: {place.stem}\n\n{text}" if not text.startswith("# ") else text
        if not target.exists() or target.read_text() != text:
            target.write_text(text)


def _below(place: Path, places: dict[Path, Path]) -> list[str]:
    """Pages right under an index, relative to it."""
    if place == Path("results/index.md"):
        return [f"{other.parent.name}/index" for other in places.values() if other.name == "index.md"][1:]
    if place.name != "index.md":
        return []
    siblings = (other for other in places.values() if other.parent == place.parent)
    return [other.stem for other in siblings if other.suffix == ".md" and other != place]


def _hidden(pages: list[str]) -> str:
    return "\n\n```{toctree}\n:hidden:\n" + "\n".join(pages) + "\n```\n" if pages else ""


def relink(app: Sphinx, name: str, source: list[str]) -> None:
    """Lead the links of a page of the documentation to copies."""
    docs = Path(app.srcdir)
    page = docs / f"{name}.md"
    if page.exists() and not name.startswith(("results/", "copied/")):
        source[0] = _relinked(source[0], page, docs, _sources())


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", copy_pages)
    app.connect("source-read", relink)
    return {"parallel_read_safe": True}
