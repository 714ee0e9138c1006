"""How results show themselves in a notebook: as tables of facts, or as the text they print."""

from collections.abc import Mapping, Sequence
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
    """Shows in a notebook what `print` shows, and at a prompt its first line."""

    def __repr__(self) -> str:
        first, _, rest = str(self).strip().partition("\n")
        return f"<{type(self).__name__}: {first.rstrip(':')}{' ... (print shows all)' if rest else ''}>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def rows_html(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """An HTML table of records with the same names."""
    names = "".join(f'<th style="{_STYLE}">{escape(str(name))}</th>' for name in rows[0])
    lines = "".join(
        "<tr>"
        + "".join(f'<td style="{_STYLE}">{escape(_short(value))}</td>' for value in row.values())
        + "</tr>"
        for row in rows
    )
    return f"<table><caption>{escape(title)}</caption><tr>{names}</tr>{lines}</table>"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def some(numbers: Any, most: int = 8) -> str:
    """The first of many numbers, for people."""
    shown = [str(number) for number in numbers[:most]]
    return ", ".join(shown) + (f", ... ({len(numbers)} in all)" if len(numbers) > most else "")
