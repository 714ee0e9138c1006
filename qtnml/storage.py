"""Numbers on disk: one ZIP file of a JSON text and NumPy arrays, written atomically, never unpickled."""

import io
import itertools
import json
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
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
_LARGEST_FILE = 2**31  # bytes
_numbers = itertools.count()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, nothing between.

    The permissions of a file that was there are kept. A link is followed; something that is not a regular
    file (a pipe, a device) is written as it is.

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
            if path.exists():  # what nobody else may read stays so
                partial.chmod(path.stat().st_mode & 0o777)
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


def save_figure(figure: Any, path: Path, *, dpi: int = 120) -> None:
    """Write a matplotlib figure in the format of the path's ending (.png, .svg, .pdf), atomically.

    Raises:
        WriteError: Nothing was written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix.removeprefix(".").lower(), dpi=dpi)
    write_atomically(path, buffer.getvalue())


def save_archive(
    path: Path, header: dict[str, Any], arrays: dict[str, NDArray], *, kind: str = MODEL
) -> None:
    """Write JSON types and arrays (of any dtype but object) to one file.

    Raises:
        ModelFileError: The header holds what JSON does not: NaN, infinity, an object.
        WriteError: Nothing was written.
    """
    write_atomically(path, archive_bytes(header, arrays, kind=kind))


def archive_bytes(header: dict[str, Any], arrays: dict[str, NDArray], *, kind: str = MODEL) -> bytes:
    """JSON types and arrays as `save_archive` writes them.

    Raises:
        ModelFileError: The header holds what JSON does not.
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
    return buffer.getvalue()


def _finite_number(text: str) -> float:
    """What JSON as we write it can hold: no NaN, no infinity, and nothing that becomes one."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number


class Arrays(Mapping[str, NDArray]):
    """The arrays of an archive by name, each unpacked when it is first asked for.

    What nobody asks for is never unpacked, and nothing is larger than its own bytes.

    Args:
        archive: A ZIP file, open.
    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members = {
            name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")
        }
        self._unpacked: dict[str, NDArray] = {}

    def __getitem__(self, name: str) -> NDArray:
        if name not in self._unpacked:
            self._unpacked[name] = _array_in(_content(self._archive, self._members[name]))
        return self._unpacked[name]

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


def arrays_under(arrays: Mapping[str, NDArray], prefix: str) -> dict[str, NDArray]:
    """The arrays whose names begin so, without the beginning."""
    return {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    size, most = archive.getinfo(name).file_size, largest_file()
    if size > most:
        raise ModelFileError(
            f"{name} unpacks to {size:,} bytes; if that is right, set the environment variable "
            f"QTNML_LARGEST_FILE to more (it allows {most:,})"
        )
    return archive.read(name)


def _array_in(content: bytes) -> NDArray:
    """The array of the bytes of an `.npy` file, which must be as many as its header says."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, is_fortran, dtype = readers[version](stream)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"an array of shape {shape} and type {dtype} does not fit its {len(content)} bytes")
    flat = np.frombuffer(content, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if is_fortran else "C").copy()


def largest_file() -> int:
    """Bytes that one file, or one array of an archive, may unpack to: $QTNML_LARGEST_FILE, or 2 GiB."""
    text = os.environ.get("QTNML_LARGEST_FILE", "")
    return int(text) if text.isdecimal() else _LARGEST_FILE


def load_archive(path: Path, *, kind: str = MODEL) -> tuple[dict[str, Any], Mapping[str, NDArray]]:
    """Read what `save_archive` wrote; arrays are unpacked when they are asked for.

    Raises:
        ModelFileError: Missing, damaged or foreign file, or one of a newer format.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelFileError(f"no {kind.removeprefix('qtnml-')} file {path}") from None
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error
    return read_archive(content, str(path), kind=kind)


def read_archive(
    content: bytes, path: str, *, kind: str = MODEL
) -> tuple[dict[str, Any], Mapping[str, NDArray]]:
    """What `archive_bytes` made; `path` is for messages.

    Raises:
        ModelFileError: Damaged or foreign content, or of a newer format.
    """
    what = kind.removeprefix("qtnml-")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        header = json.loads(
            _content(archive, "model.json"), parse_constant=_finite_number, parse_float=_finite_number
        )
        arrays = Arrays(archive)
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
