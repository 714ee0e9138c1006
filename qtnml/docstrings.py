"""Docstrings of estimators: every argument and attribute under `help(Class)`, written down once.

A docstring may say that some entries are "As for `Other`", or that "Arguments and attributes are those of
`Other`": `documented` puts the other class's entries in their place.
"""

import inspect
import re
import textwrap
from typing import TypeVar

_SECTIONS = ("Args", "Attributes")
_AS_FOR = re.compile(r"[Aa]s for\s+`(\w+)`")
_THOSE_OF = re.compile(r"Arguments and\s+attributes\s+are\s+those\s+of\s+`(\w+)`,?\s*")
_ENTRY = re.compile(r"^ {4}(\w+(?:, *\w+)*):((?:.|\n(?= {5}|\n {5}))*)", re.M)
_INDENT = "    "
_KNOWN: dict[str, dict[str, dict[str, str]]] = {}
T = TypeVar("T", bound=type)


def documented(cls: T) -> T:
    """Complete the docstring of a class; those it refers to must have been seen before."""
    cls.__doc__ = completed(cls.__name__, cls.__doc__ or "")
    return cls


def completed(name: str, doc: str) -> str:
    """The docstring of the class of that name with every argument and attribute."""
    doc = inspect.cleandoc(doc)
    sections = {section: entries(doc, section) for section in _SECTIONS}
    if (found := _THOSE_OF.search(doc)) is not None and found[1] in _KNOWN:
        own, source = sections, _KNOWN[found[1]]
        sections = {section: source[section] | own[section] for section in _SECTIONS}
    for section, told in sections.items():
        sections[section] = {key: _followed(key, text, section) for key, text in told.items()}
    _KNOWN[name] = sections
    return _written(doc, sections)


def _followed(key: str, text: str, section: str) -> str:
    """What an entry says, or the other class's of the same name."""
    found = _AS_FOR.match(text)
    if found is None or found[1] not in _KNOWN:
        return text
    told = _KNOWN[found[1]][section].get(key)
    if told is None:
        return text
    own = text[found.end() :].lstrip(" ;.,")
    return told if not own else f"{told} Here: {own}"


def entries(doc: str, section: str) -> dict[str, str]:
    """Name -> text of a section's entries; several names before one colon share its text."""
    found: dict[str, str] = {}
    for names, text in _ENTRY.findall(_part(doc, section)):
        found |= dict.fromkeys(re.findall(r"\w+", names), " ".join(text.split()))
    return found


def _part(doc: str, section: str) -> str:
    """Lines of a section, continuation lines of names joined."""
    found = re.search(rf"^{section}:\n((?:(?: {{4}}.*)?\n)*(?: {{4}}.*)?)", doc, re.M)
    if found is None:
        return ""
    # Names that go on over several lines stand before the first colon.
    lines, joined = found[1].splitlines(), list[str]()
    for line in lines:
        if joined and joined[-1].rstrip().endswith(",") and ":" not in joined[-1]:
            joined[-1] = f"{joined[-1].rstrip()} {line.strip()}"
        else:
            joined.append(line)
    return "\n".join(joined)


def _written(doc: str, sections: dict[str, dict[str, str]]) -> str:
    """The docstring with its sections, entry by entry, in the place of its own."""
    text = _THOSE_OF.sub("", doc) if any(sections.values()) else doc
    parts = [
        f"{name}:\n" + "\n".join(_entry(*item) for item in told.items())
        for name, told in sections.items()
        if told
    ]
    for name in _SECTIONS:
        text = re.sub(rf"^{name}:\n(?:(?: {{4}}.*)?\n)*(?: {{4}}.*)?", "", text, flags=re.M)
    head, mark, example = text.partition(">>>")
    return "\n\n".join([head.rstrip(), *parts, *([mark + example.rstrip()] if mark else [])]) + "\n"


def _entry(name: str, text: str) -> str:
    return textwrap.fill(f"{name}: {text}", 108, initial_indent=_INDENT, subsequent_indent=2 * _INDENT)
