"""The reference of the command line, made from the commands themselves: a page, a table for each panel."""

import re
from pathlib import Path
from typing import Any

import typer
from sphinx.application import Sphinx

from qtnml.cli import app as application


def _cell(text: str) -> str:
    """Help as a cell of a table; rich's escapes go."""
    return " ".join(str(text or "").replace("\\[", "[").split()).replace("|", "\\|").replace("<", "&lt;")


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    names = [*parameter.opts, *parameter.secondary_opts]
    kind = "" if parameter.is_flag else f" {parameter.metavar or parameter.type.name.upper()}"
    return ", ".join(f"`{name}`" for name in names) + (f" `{kind.strip()}`" if kind else "").replace(
        "|", "\\|"
    )


def _help(parameter: Any) -> str:
    text = _cell(getattr(parameter, "help", ""))
    default = getattr(parameter, "default", None)
    is_told = "[default" in text or "(default" in text or not getattr(parameter, "show_default", True)
    if parameter.param_type_name == "option" and default not in (None, (), []) and not is_told:
        text += f" Default: `{default}`." if not parameter.is_flag else ""
    return text.replace("[default: ", "Default: ").removesuffix("]") if "[default: " in text else text


def _of_command(name: str, command: Any) -> list[str]:
    paragraphs = re.split(r"\n\n+", command.help or "")
    lines = [f"### {name}", ""]
    for paragraph in paragraphs:
        head, mark, example = paragraph.partition("Example: ")
        lines += [_plain(head), ""] if head.strip() else []
        lines += ["```text", example.strip(), "```", ""] if mark else []
    panels: dict[str, list[Any]] = {}
    for parameter in command.params:
        if not getattr(parameter, "hidden", False) and parameter.name != "help":
            panel = getattr(parameter, "rich_help_panel", None)
            usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
            panels.setdefault(panel or usual, []).append(parameter)
    for panel in sorted(
        panels,
        key=lambda each: ["Arguments", "Options"].index(each) if each in ("Arguments", "Options") else 9,
    ):
        lines += [f"| {panel} | |", "|---|---|"]
        lines += [f"| {_names(parameter)} | {_help(parameter)} |" for parameter in panels[panel]]
        lines.append("")
    return lines


def _plain(text: str) -> str:
    return text.replace("\\[", "[").replace("<", "&lt;")


def write_page(app: Sphinx) -> None:
    """Write `reference/commands.md`, if something changed."""
    root: Any = typer.main.get_command(application)
    lines = ["# Commands", "", "Every command and option, as `qtnml COMMAND --help` shows them.", ""]
    for name in root.list_commands(None):
        command = root.get_command(None, name)
        inner = getattr(command, "commands", None)
        lines += [f"## qtnml {name}", ""]
        if inner is None:
            lines += _of_command(f"qtnml {name}", command)[2:]
            continue
        lines += [_plain(command.help or ""), ""]
        for each in inner:
            lines += _of_command(f"qtnml {name} {each}", inner[each])
    path, text = Path(app.srcdir) / "reference" / "commands.md", "\n".join(lines)
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", write_page)
    return {"parallel_read_safe": True}
