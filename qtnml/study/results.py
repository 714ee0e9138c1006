"""Results on disk: one JSON line per finished task, appended and never rewritten."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from qtnml.errors import DataError, InvalidInputError, WriteError


def task_key(settings: dict[str, Any]) -> str:
    """Key of a task: a hash of its settings, the same on every machine.

    >>> task_key({"b": 1, "a": [2]}) == task_key({"a": [2], "b": 1})
    True
    """
    try:
        text = json.dumps(settings, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"settings of a task must be JSON types ({error}), got {settings!r}"
        ) from error
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_BEGINNING = '{"key": "'


class ResultsFile:
    """A file of JSON lines {"key", "settings", "result"}.

    A line that a crash cut off counts as not written. If several lines have the same key, the last one
    counts.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def read(self) -> dict[str, dict[str, Any]]:
        """Results by key; empty if there is no file.

        Raises:
            DataError: A line in the middle is not a result.
        """
        if not self.path.exists():
            return {}
        try:
            *lines, cut_short = self.path.read_text(encoding="utf-8").split("\n")
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {error.strerror}; choose another file") from error
        except UnicodeDecodeError:
            lines, cut_short = [], "binary"
        if not (cut_short.startswith(_BEGINNING) or _BEGINNING.startswith(cut_short)):
            raise DataError(f"{self.path} holds no results of a study; choose another file")
        results = {}
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                record = json.loads(line)
                results[record["key"]] = dict(record["result"])
            except (ValueError, TypeError, KeyError) as error:
                raise DataError(
                    f"line {number} of {self.path} is not a result of a study; move the file away, or "
                    "remove the line"
                ) from error
        return results

    def append(self, settings: dict[str, Any], result: dict[str, Any]) -> None:
        """Add one result and wait until it is on disk."""
        record = {"key": task_key(settings), "settings": settings, "result": result}
        line = json.dumps(record, allow_nan=False) + "\n"
        try:
            with self.path.open("ab") as file:
                self._cut_broken_line(file)
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise WriteError(f"cannot write {self.path}: {error.strerror}; choose another place") from error

    def _cut_broken_line(self, file: BinaryIO) -> None:
        """Remove what a crash left of a last line."""
        content = self.path.read_bytes()
        if content and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)
