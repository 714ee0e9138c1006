"""Makes an encoding from its name."""

from collections.abc import Callable
from typing import Any

from qtnml.encoding.base import Encoding
from qtnml.encoding.rotations import AngleEncoding, MultiQubitEncoding, RationalEncoding
from qtnml.errors import InvalidInputError
from qtnml.registry import register

ENCODINGS: dict[str, Callable[[], Encoding]] = {
    "angle": AngleEncoding,
    "trainable-angle": lambda: AngleEncoding(trainable=True),
    "rational": RationalEncoding,
    "multi-qubit": MultiQubitEncoding,
}

for _class in (AngleEncoding, RationalEncoding, MultiQubitEncoding):
    register("encoding", _class)


def get_encoding(encoding: Any) -> Encoding:
    """Return the encoding called `encoding`; an encoding object is returned unchanged."""
    if isinstance(encoding, str) and encoding in ENCODINGS:
        return ENCODINGS[encoding]()
    needed = ("angles", "amplitudes", "gate", "check", "parameters", "is_real", "qubits_per_feature")
    if isinstance(encoding, str | type) or not all(hasattr(encoding, n) for n in needed):
        raise InvalidInputError(
            f"unknown encoding {encoding!r}; choose one of {sorted(ENCODINGS)} or pass an object that "
            "fulfils qtnml.encoding.check_encoding"
        )
    return encoding  # type: ignore[no-any-return]


def encoding_name(encoding: Encoding) -> str | None:
    """The name by which `get_encoding` finds this encoding; None for your own encodings."""
    return next((name for name, make in ENCODINGS.items() if make() == encoding), None)
