"""How results show themselves in a notebook: as tables of facts, or as the text they print."""

from collections.abc import Mapping
from html import escape
from typing import Any

_STYLE = "text-align:left;vertical-align:top"


def facts_html(title: str, facts: Mapping[str, Any]) -> str:
    """A small HTML table: one row for each fact."""
    rows = "".join(
        f'<tr><th style="{_STYLE}">{escape(name)}</th><td style="{_STYLE}">{escape(str(value))}</td></tr>'
        for name, value in facts.items()
    )
    return f"<table><caption>{escape(title)}</caption>{rows}</table>"


class PrintedHtml:
    """Shows in a notebook what `print` shows."""

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def some(numbers: Any, most: int = 8) -> str:
    """The first of many numbers, for people."""
    shown = [str(number) for number in numbers[:most]]
    return ", ".join(shown) + (f", ... ({len(numbers)} in all)" if len(numbers) > most else "")
