"""Numbers on disk: one ZIP file of a JSON text and NumPy arrays, written atomically, never unpickled."""

import io
import itertools
import json
import math
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import ModelFileError, WriteError

MODEL = "qtnml-model"
CHECKPOINT = "qtnml-checkpoint"
MITIGATION = "qtnml-mitigation"
VERSION = 2
_numbers = itertools.count()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, nothing between.

    A link is followed; something that is not a regular file (a pipe, a device) is written as it is.

    Raises:
        WriteError: Nothing was written.
    """
    partial = None
    try:
        path = path.resolve()
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        # Names have a longest length in bytes, and this one is longer than the file's own.
        partial = path.with_name(f".{path.name[:40]}.{os.getpid()}.{next(_numbers)}.part")
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise WriteError(f"cannot write {path}: {reason}; choose another place") from error
    finally:
        if partial is not None:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def save_archive(
    path: Path, header: dict[str, Any], arrays: dict[str, NDArray], *, kind: str = MODEL
) -> None:
    """Write JSON types and arrays (of any dtype but object) to one file.

    Raises:
        ModelFileError: The header holds what JSON does not: NaN, infinity, an object.
        WriteError: Nothing was written.
    """
    try:
        text = json.dumps({"format": kind, "version": VERSION, **header}, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ModelFileError(
            f"settings or notes hold what a file cannot: {error}; change them first"
        ) from error
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.json", text)
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array, allow_pickle=False)
            archive.writestr(f"{name}.npy", member.getvalue())
    write_atomically(path, buffer.getvalue())


def _finite_number(text: str) -> float:
    """What JSON as we write it can hold: no NaN, no infinity, and nothing that becomes one."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number


def load_archive(path: Path, *, kind: str = MODEL) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """Read what `save_archive` wrote.

    Raises:
        ModelFileError: Missing, damaged or foreign file, or one of a newer format.
    """
    what = kind.removeprefix("qtnml-")
    try:
        with zipfile.ZipFile(path) as archive:
            header = json.loads(
                archive.read("model.json"), parse_constant=_finite_number, parse_float=_finite_number
            )
            arrays = {
                name.removesuffix(".npy"): np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
                for name in archive.namelist()
                if name.endswith(".npy")
            }
    except FileNotFoundError:
        raise ModelFileError(f"no {what} file {path}") from None
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # a hostile file can raise anything in the parsers above
        reason = f"{type(error).__name__}: {error}"
        raise ModelFileError(f"{path} is not a {what} file, or it is damaged ({reason})") from error
    if not isinstance(header, dict) or header.get("format") != kind:
        raise ModelFileError(f"{path} is not a {what} file: its header does not say {kind!r}")
    if header.get("version") != VERSION:
        raise ModelFileError(
            f"{path} has format version {header.get('version')!r}, this release reads {VERSION}; "
            "load it with a matching release of qtnml"
        )
    return header, arrays
