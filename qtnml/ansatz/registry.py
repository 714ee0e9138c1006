"""Makes an ansatz from its name."""

from collections.abc import Callable
from typing import Any

from qtnml.ansatz.base import FullUnitary, HermitianExponential, NodeAnsatz, Orthogonal
from qtnml.ansatz.brick_wall import BrickWall
from qtnml.errors import InvalidInputError
from qtnml.registry import register

ANSAETZE: dict[str, Callable[[], NodeAnsatz]] = {
    "full": FullUnitary,
    "orthogonal": Orthogonal,
    "hermitian": HermitianExponential,
    "brick-wall": BrickWall,
}

for _class in (FullUnitary, Orthogonal, HermitianExponential, BrickWall):
    register("ansatz", _class)


def get_ansatz(ansatz: Any) -> NodeAnsatz:
    """Return the ansatz called `ansatz`; an ansatz object is returned unchanged."""
    if isinstance(ansatz, str) and ansatz in ANSAETZE:
        return ANSAETZE[ansatz]()
    needed = ("num_parameters", "start", "unitary", "gates", "project", "prescribes_gates")
    if isinstance(ansatz, str | type) or not all(hasattr(ansatz, n) for n in needed):
        raise InvalidInputError(
            f"unknown ansatz {ansatz!r}; choose one of {sorted(ANSAETZE)} or pass an object that fulfils "
            "qtnml.ansatz.check_ansatz"
        )
    return ansatz  # type: ignore[no-any-return]
