"""Parameter-shift rules: exact derivatives from the circuit itself, at shifted angles.

A gate exp(-i t G) makes every probability a trigonometric polynomial in t. Its frequencies are the
differences of eigenvalues of G. Its derivative is a sum of values at shifted points, twice as many as there
are frequencies (arXiv:1811.11184; for several frequencies arXiv:2107.12390).
"""

import math
from dataclasses import dataclass

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterExpression

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError

#: Of each gate's parameters: the frequency unit, and how many multiples of it occur.
_FREQUENCIES: dict[str, tuple[tuple[float, int], ...]] = {
    "rx": ((1.0, 1),), "ry": ((1.0, 1),), "rz": ((1.0, 1),), "p": ((1.0, 1),), "u1": ((1.0, 1),),
    "u": ((1.0, 1),) * 3, "u3": ((1.0, 1),) * 3, "u2": ((1.0, 1),) * 2,
    "rxx": ((1.0, 1),), "ryy": ((1.0, 1),), "rzz": ((1.0, 1),), "rzx": ((1.0, 1),), "cp": ((1.0, 1),),
    "crx": ((0.5, 2),), "cry": ((0.5, 2),), "crz": ((0.5, 2),),
    "r": ((1.0, 1), (1.0, 2)),  # its axis turns with the second: Rz(phi) Rx(theta) Rz(-phi)
}  # fmt: skip


@dataclass(frozen=True)
class ShiftRule:
    """Shift rule f'(t) = sum of coefficient * f(t + shift), in radians.

    Attributes:
        terms: Pair (coefficient, shift) of each point; empty if the parameter has no effect.
    """

    terms: tuple[tuple[float, float], ...]

    @classmethod
    def equidistant(cls, unit: float, count: int) -> "ShiftRule":
        """The rule for frequencies unit, 2 unit, ..., count unit. It has 2 * count points.

        >>> ShiftRule.equidistant(1.0, 1).terms == ((0.5, math.pi / 2), (-0.5, -math.pi / 2))
        True
        """
        terms = []
        for point in range(1, 2 * count + 1):
            angle = (2 * point - 1) * math.pi / (2 * count)
            sign = 1 if point % 2 else -1
            coefficient = unit * sign / (4 * count * math.sin(angle / 2) ** 2)
            wrapped = angle - 2 * math.pi if angle > math.pi else angle
            terms.append((round(coefficient, 15), wrapped / unit))
        return cls(tuple(terms))


def shift_rules(circuit: QuantumCircuit, parameters: list[Parameter]) -> list[ShiftRule]:
    """A shift rule for each parameter; a parameter may occur any number of times.

    Raises:
        InvalidInputError: A parameter enters a gate without a rule, or not as an integer multiple.
    """
    found: dict[Parameter, list[tuple[float, int]]] = {parameter: [] for parameter in parameters}
    for instruction in circuit.data:
        name = instruction.operation.name
        for place, value in enumerate(instruction.operation.params):
            if not isinstance(value, ParameterExpression):
                continue
            for parameter in value.parameters & found.keys():
                if name not in _FREQUENCIES:
                    raise InvalidInputError(
                        f"gate {name!r} has no parameter-shift rule here; use SPSA, or other gates"
                    )
                unit, count = _FREQUENCIES[name][place]
                found[parameter].append((unit * _slope(value, parameter), count))
    return [_rule(parameter, occurrences) for parameter, occurrences in found.items()]


def _slope(value: ParameterExpression, parameter: Parameter) -> float:
    slope = 1.0 if isinstance(value, Parameter) else value.gradient(parameter)
    if isinstance(slope, ParameterExpression):
        raise InvalidInputError(f"{parameter.name} enters a gate as {value}, not in proportion; use SPSA")
    return abs(float(slope))


def _rule(parameter: Parameter, occurrences: list[tuple[float, int]]) -> ShiftRule:
    """Frequencies of a product of gates are sums of the gates' frequencies."""
    if not occurrences:
        return ShiftRule(())
    unit = min(unit for unit, _ in occurrences)
    highest = sum(own * count for own, count in occurrences) / unit
    if any(abs(own / unit - round(own / unit)) > 1e-12 for own, _ in occurrences):
        raise InvalidInputError(
            f"{parameter.name} enters gates with frequencies {[own for own, _ in occurrences]}, which are no "
            "multiples of each other; use SPSA"
        )
    return ShiftRule.equidistant(unit, round(highest))


def shifted(weights: NDArray, place: int, rule: ShiftRule) -> list[NDArray]:
    """The points of a rule for one weight."""
    points = []
    for _, shift in rule.terms:
        point = weights.copy()
        point[place] += shift
        points.append(point)
    return points
