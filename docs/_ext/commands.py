"""The reference of the command line: what `--help` of every command prints, on one page."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from qtnml.cli import app as application

_WIDTH = "92"
_CALL = "import sys; from qtnml.cli import main; sys.argv[0] = 'qtnml'; main()"


def _commands() -> list[list[str]]:
    """Every command as the words that call it, groups before what is in them."""
    found: list[list[str]] = [[]]
    for command in application.registered_commands:
        found.append([_name(command)])
    for group in application.registered_groups:
        inner: Any = group.typer_instance
        name = str(group.name or inner.info.name)
        found += [[name], *([name, _name(command)] for command in inner.registered_commands)]
    return found


def _name(command: Any) -> str:
    return str(command.name or command.callback.__name__.replace("_", "-"))


def _help(words: list[str]) -> str:
    environment = os.environ | {"COLUMNS": _WIDTH, "TERM": "dumb", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _CALL, *words, "--help"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())


def write_page(app: Sphinx) -> None:
    """Write `reference/commands.md`, if something changed."""
    commands = _commands()
    with ThreadPoolExecutor(2) as pool:
        texts = list(pool.map(_help, commands))
    lines = ["# Commands", "", "Every command and option, as `--help` shows them.", ""]
    for words, text in zip(commands, texts, strict=True):
        lines += [f"## {' '.join(['qtnml', *words])}", "", "```text", text, "```", ""]
    path, whole = Path(app.srcdir) / "reference" / "commands.md", "\n".join(lines)
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text() != whole:
        path.write_text(whole)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", write_page)
    return {"parallel_read_safe": True}
