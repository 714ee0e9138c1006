"""Where the name of an ansatz becomes the object."""

from collections.abc import Callable
from typing import Any

from qtnml.errors import InvalidInputError
from qtnml.network.ansatz import FullUnitary, HermitianExponential, NodeAnsatz, Orthogonal
from qtnml.network.brick_wall import BrickWall

ANSAETZE: dict[str, Callable[[], NodeAnsatz]] = {
    "full": FullUnitary,
    "orthogonal": Orthogonal,
    "hermitian": HermitianExponential,
    "brick-wall": BrickWall,
}


def get_ansatz(ansatz: Any) -> NodeAnsatz:
    """Return the ansatz called `ansatz`; an ansatz object passes through."""
    if isinstance(ansatz, str) and ansatz in ANSAETZE:
        return ANSAETZE[ansatz]()
    needed = ("num_parameters", "start", "unitary", "gates", "project", "prescribes_gates")
    if isinstance(ansatz, str | type) or not all(hasattr(ansatz, n) for n in needed):
        raise InvalidInputError(
            f"unknown ansatz {ansatz!r}; choose one of {sorted(ANSAETZE)} or pass an object that fulfils "
            "qtnml.network.check_ansatz"
        )
    return ansatz  # type: ignore[no-any-return]
