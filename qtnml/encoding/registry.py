"""Where the name of an encoding becomes the object."""

from qtnml.encoding.angle import AngleEncoding
from qtnml.errors import InvalidInputError

ENCODINGS = {AngleEncoding.name: AngleEncoding}


def get_encoding(name: str) -> AngleEncoding:
    """Return the encoding called `name`."""
    if name not in ENCODINGS:
        raise InvalidInputError(f"unknown encoding {name!r}; choose one of {sorted(ENCODINGS)}")
    return ENCODINGS[name]()
