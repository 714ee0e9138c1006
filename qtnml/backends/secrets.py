"""Keeps tokens out of everything that is stored or shown."""

import os
import re

_SECRET_NAME = re.compile(
    r"token|secret|passw|pwd|(api|access|private).?key|^key$|credential|^auth|authorization", re.IGNORECASE
)
_ASSIGNED = re.compile(
    r"(?i)((?:token|secret|passw(?:or)?d|api[_-]?key|authorization|bearer)[\"']?\s*[=:]?\s*(?:bearer\s+|apikey\s+)?[\"']?)"
    r"([A-Za-z0-9_\-.+/=]{8,})"
)
_IN_URL = re.compile(r"(://[^/\s:@]*:)[^@\s/]+@")
_HIDDEN = "***"


def without_secrets(text: str) -> str:
    """A text with tokens, and the values of this process's secret variables, blotted out."""
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= 6:
            text = text.replace(value, _HIDDEN)
    text = _IN_URL.sub(rf"\1{_HIDDEN}@", text)
    return _ASSIGNED.sub(rf"\1{_HIDDEN}", text)


def cause_of(error: BaseException) -> BaseException | None:
    """The error to chain to one of ours: itself, or None if its text spells out a secret."""
    return error if without_secrets(str(error)) == str(error) else None


def is_secret(name: str) -> bool:
    """Whether an option of this name holds a secret."""
    return bool(_SECRET_NAME.search(name))
