"""A device's coupling map around a line of its qubits."""

from typing import Any

from qtnml.errors import InvalidInputError
from qtnml.program.device import device_of

_TRIES = 200_000


def line_on(given: Any, length: int) -> tuple[list[tuple[int, int]], str]:
    """Joined pairs of places 0, 1, ... of a line of qubits on a device, and the device's name.

    Raises:
        InvalidInputError: It is no device, or has no line of so many qubits.
    """
    if isinstance(given, str):
        raise InvalidInputError(
            "layout must be 'staircase', 'brick-wall', 'parallel-sequential', 'tree', pairs, a function or "
            f"a device, got {given!r}"
        )
    device = device_of(given)
    neighbours: dict[int, set[int]] = {qubit: set() for qubit in range(device.num_qubits)}
    for qargs in device.target.qargs or ():
        if qargs is not None and len(qargs) == 2:
            first, second = qargs
            neighbours[first].add(second)
            neighbours[second].add(first)
    line = _line(neighbours, length)
    if line is None:
        raise InvalidInputError(f"device {device.name!r} has no line of {length} joined qubits")
    place = {qubit: k for k, qubit in enumerate(line)}
    edges = [(place[a], place[b]) for a in line for b in neighbours[a] if b in place and place[a] < place[b]]
    return edges, f"edges of {device.name}"


def _line(neighbours: dict[int, set[int]], length: int) -> list[int] | None:
    """A path of so many qubits, depth first, to the neighbour with the fewest ways on."""
    tries = 0
    for start in sorted(neighbours, key=lambda qubit: len(neighbours[qubit])):
        path, on_path = [start], {start}
        options = [sorted(neighbours[start], key=lambda q: len(neighbours[q]))]
        while options:
            tries += 1
            if len(path) == length:
                return path
            if tries > _TRIES:
                return None
            if options[-1]:
                following = options[-1].pop(0)
                if following in on_path:
                    continue
                path.append(following)
                on_path.add(following)
                ways = {q: len(neighbours[q] - on_path) for q in neighbours[following]}
                options.append(sorted(neighbours[following] - on_path, key=ways.__getitem__))
            else:
                options.pop()
                on_path.discard(path.pop())
        if length == 1:
            return [start]
    return None
