"""What README and docs print runs as printed: Python, command lines, links."""

import re
import shlex
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import qtnml

ROOT = Path(__file__).parents[1]
_PAGES = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")))
#: Built from other files, or checked where a vendor's client is installed.
_BUILT = ("docs/results/", "docs/copied/", "docs/reference/", "docs/_build/", "docs/README.md")
PAGES = [page for page in _PAGES if not page.startswith(_BUILT)]
VENDORS = {"docs/howto/exports.md": "## pytket"}
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)\s]*)?\)")


def text_of(page: str) -> str:
    """A page's text, as far as it runs here."""
    text = (ROOT / page).read_text()
    return text.split(VENDORS[page])[0] if page in VENDORS else text


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def has_code(page: str) -> bool:
    text = text_of(page)
    return bool(blocks(text, "python") or any("qtnml " in block for block in blocks(text, "sh")))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if has_code(page)])
def test_a_page_runs_as_printed(
    page: str,
    run: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QTNML_JOBS", str(tmp_path / "own.sqlite"))
    text = text_of(page)
    if code := "\n".join(blocks(text, "python")):
        exec(compile(code, page, "exec"), {"__name__": "page"})
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    for line in lines:
        if line.startswith("qtnml "):
            with warnings.catch_warnings():  # a command tells its user, and goes on
                warnings.simplefilter("default", UserWarning)
                status, out, err = run(*shlex.split(line, comments=True)[1:])
            assert status == 0, f"{line}\n{out}\n{err}"


@pytest.mark.parametrize("page", PAGES)
def test_links_inside_lead_to_files(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    built = {"docs/reference/commands.md"}
    for target in LINK.findall(text):
        path = (ROOT / page).parent / target
        assert path.exists() or str(path.resolve().relative_to(ROOT)) in built, target


def test_every_name_of_the_top_level_has_a_page() -> None:
    text = "\n".join((ROOT / page).read_text() for page in PAGES)
    missing = [
        name for name in qtnml.__all__ if f"qtnml.{name}`" not in text and f"qtnml.{name}>" not in text
    ]
    assert not missing, missing


def test_the_readme_is_short() -> None:
    words: list[Any] = (ROOT / "README.md").read_text().split()
    assert len(words) <= 600


def test_the_citation_is_of_this_version() -> None:
    assert f"\nversion: {qtnml.__version__}\n" in (ROOT / "CITATION.cff").read_text()
