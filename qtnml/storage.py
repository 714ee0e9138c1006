"""Numbers on disk: one ZIP file of a JSON text and NumPy arrays, written atomically, never unpickled."""

import io
import json
import os
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import ModelFileError

FORMAT = "qtnml-model"
VERSION = 1


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, nothing between."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise ModelFileError(f"cannot write {path}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)  # mkstemp's own mode is for secrets
        Path(name).replace(path)
    except OSError as error:
        raise ModelFileError(f"cannot write {path}: {error.strerror}") from error
    finally:
        Path(name).unlink(missing_ok=True)


def save_archive(path: Path, header: dict[str, Any], arrays: dict[str, NDArray]) -> None:
    """Write JSON types and arrays (of any dtype but object) to one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        text = json.dumps({"format": FORMAT, "version": VERSION, **header}, indent=1, allow_nan=False)
        archive.writestr("model.json", text)
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array, allow_pickle=False)
            archive.writestr(f"{name}.npy", member.getvalue())
    write_atomically(path, buffer.getvalue())


def load_archive(path: Path) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """Read what `save_archive` wrote.

    Raises:
        ModelFileError: Missing, damaged or foreign file, or one of a newer format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            header = json.loads(archive.read("model.json"))
            arrays = {
                name.removesuffix(".npy"): np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
                for name in archive.namelist()
                if name.endswith(".npy")
            }
    except FileNotFoundError:
        raise ModelFileError(f"no model file {path}") from None
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError) as error:
        raise ModelFileError(f"{path} is not a model file, or it is damaged: {error}") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ModelFileError(f"{path} is not a model file: its header does not say {FORMAT!r}")
    if header.get("version") != VERSION:
        raise ModelFileError(
            f"{path} has format version {header.get('version')!r}, this release reads {VERSION}; "
            "load it with a matching release of qtnml"
        )
    return header, arrays
