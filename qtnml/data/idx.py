"""The IDX format of the MNIST family: a magic number, sizes, raw values; gzipped or not."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.limits import unpacked_gzip
from qtnml.errors import DataError

_GZIP = b"\x1f\x8b"
_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_bytes(path: Path) -> bytes:
    """Read a file whole, unpacking gzip by its magic number (not by its name)."""
    try:
        content = path.read_bytes()
        return unpacked_gzip(content, path) if content[:2] == _GZIP else content
    except (OSError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}; check the file or fetch it again") from error


def parse_idx(content: bytes, source: str) -> NDArray:
    """Decode one IDX array; `source` names it in errors."""
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _DTYPES or content[3] == 0:
        raise DataError(f"{source} is not an IDX file (it begins with {content[:4].hex() or 'nothing'})")
    dtype, dims = np.dtype(_DTYPES[content[2]]), content[3]
    header = 4 + 4 * dims
    if len(content) < header:
        raise DataError(f"{source} ends inside its IDX header ({len(content)} bytes of {header})")
    shape = struct.unpack(f">{dims}I", content[4:header])
    expected = header + dtype.itemsize * int(np.prod(shape, dtype=object))
    if len(content) != expected:
        raise DataError(f"{source} has {len(content)} bytes where its IDX header promises {expected}")
    values = np.frombuffer(content, dtype, offset=header).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


def read_idx(path: Path) -> NDArray:
    """Read one IDX array from a file, gzipped or not."""
    return parse_idx(read_bytes(path), str(path))


def is_idx(path: Path) -> bool:
    """Whether a file begins like an IDX array, whatever its name."""
    if path.name.lower().endswith(("-ubyte", "-ubyte.gz", ".idx", ".idx.gz")):
        return True
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
        with gzip.open(path) if packed else path.open("rb") as content:
            start = content.read(4)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}; check the file or fetch it again") from error
    return len(start) == 4 and start[:2] == b"\0\0" and start[2] in _DTYPES and 1 <= start[3] <= 4
