"""Limits on the unpacked size of files: sizes in headers and in gzip data are checked, not trusted."""

import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import DataError
from qtnml.storage import largest_file

_BLOCK = 2**20


def unpacked_gzip(content: bytes, path: Path) -> bytes:
    """The bytes that a gzip file holds.

    Raises:
        DataError: Damaged, or more than `largest_file`.
    """
    parts, total, most = list[bytes](), 0, largest_file()
    rest = content
    while rest:
        unpacker = zlib.decompressobj(wbits=31)
        while rest and not unpacker.eof:
            part = unpacker.decompress(rest, _BLOCK)
            total += len(part)
            if total > most:
                raise too_large(path, f"more than {most:,} bytes")
            parts.append(part)
            rest = unpacker.unconsumed_tail
        if not unpacker.eof:
            raise DataError(f"cannot read {path}: it ends in the middle; check the file or fetch it again")
        rest = unpacker.unused_data
    return b"".join(parts)


def check_unpacked(archive: zipfile.ZipFile, names: list[str], path: Path) -> None:
    """Refuse members of a ZIP file whose directory says that they are too large together."""
    total = sum(archive.getinfo(name).file_size for name in names)
    if total > largest_file():
        raise too_large(path, f"{total:,} bytes")


def too_large(path: Path, size: str) -> DataError:
    """What is said of a file that unpacks to too much."""
    return DataError(
        f"{path} unpacks to {size}; if that is right, set the environment variable QTNML_LARGEST_FILE to "
        f"more bytes (it allows {largest_file():,})"
    )


def read_npy(path: Path) -> NDArray:
    """The array of an `.npy` file.

    Raises:
        DataError: Missing, damaged, of objects, or smaller than its header says.
    """
    try:
        return np.array(np.lib.format.open_memmap(path, mode="r"))
    except MemoryError:
        raise DataError(f"{path} does not fit in memory; take a part of it") from None
    except (OSError, ValueError, EOFError, SyntaxError, TypeError, tokenize.TokenError) as error:
        raise DataError(f"cannot read {path}: {error}; save it with numpy.save and no objects") from error


def read_npz(path: Path) -> dict[str, NDArray]:
    """The arrays of an `.npz` file by name.

    Raises:
        DataError: Missing, damaged, of objects, or unpacked larger than `largest_file`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            check_unpacked(archive, names, path)
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except DataError:
        raise
    except MemoryError:
        raise DataError(f"{path} does not fit in memory; take a part of it") from None
    except Exception as error:  # a damaged archive raises whatever its parsers do
        raise DataError(f"cannot read {path}: {error}; save it with numpy.savez and no objects") from error
