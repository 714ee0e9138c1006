"""Folding adds noise on purpose: nodes run forwards, backwards and forwards again."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qtnml.compile.compiled import Compiled
from qtnml.errors import InvalidInputError
from qtnml.program import Barrier, Gate, Node, Operation


@dataclass(frozen=True, eq=False)
class Folded:
    """A circuit with the same effect and more gates.

    Attributes:
        compiled: The folded circuit, with the same parameters and weights.
        factor: Its number of two-qubit gates divided by that of the original.
    """

    compiled: Any
    factor: float


def folded(compiled: Compiled, factor: float) -> Folded:
    """Fold node blocks, U -> U (U^+ U)**n, before their qubits are discarded and reset (arXiv:2005.10921).

    If the factor is not odd, some nodes, spread evenly, are folded once more than the others. The data gates,
    the resets and the read-out stay unchanged, so their noise is not extrapolated. Noise of waiting is
    extrapolated as far as it grows with the gates. In a circuit for a device each two-qubit gate is folded
    instead, since translation has mixed the nodes' gates.

    Args:
        compiled: Any compiled circuit.
        factor: Folding factor, at least 1.
    """
    is_number = isinstance(factor, int | float | np.integer | np.floating) and not isinstance(factor, bool)
    if not (is_number and 1 <= factor < math.inf):
        raise InvalidInputError(f"a folding factor must be a number of at least 1, got {factor!r}")
    if factor == 1:
        return Folded(compiled, 1.0)
    program = compiled.program
    kind = Node if any(isinstance(operation, Node) for operation in program.operations) else Gate
    places = [k for k, op in enumerate(program.operations) if isinstance(op, kind) and _num_pairs(op)]
    repeats = dict(zip(places, _times(len(places), (factor - 1) / 2), strict=True))
    operations = [part for k, op in enumerate(program.operations) for part in _folded(op, repeats.get(k, 0))]
    found = replace(program, operations=tuple(operations))
    before, after = (sum(map(_num_pairs, each.operations)) for each in (program, found))
    # What the network is does not change, and what its nodes' gates were is not asked any more.
    return Folded(replace(compiled, program=found, nodes=()), after / before if before else 1.0)


def _num_pairs(operation: Operation) -> int:
    """Gates on two qubits."""
    gates = operation.gates if isinstance(operation, Node) else (operation,)
    return sum(isinstance(gate, Gate) and len(gate.qubits) == 2 for gate in gates)


def _folded(operation: Operation, repeats: int) -> list[Operation]:
    """U (U^+ U)**repeats, kept from being joined by barriers where it is a node."""
    if not repeats:
        return [operation]
    if isinstance(operation, Gate):
        return [operation, *[_inverse(operation), operation] * repeats]
    assert isinstance(operation, Node)
    back = replace(operation, gates=tuple(map(_inverse, reversed(operation.gates))))
    barrier = Barrier(tuple(sorted({qubit for gate in operation.gates for qubit in gate.qubits})))
    again: list[Operation] = [barrier, back, barrier, operation]
    return [operation, *again * repeats]


def _inverse(gate: Gate) -> Gate:
    return Gate(gate.instruction.inverse(), gate.qubits)


def _times(groups: int, mean: float) -> list[int]:
    """Integers whose sum is nearest to groups * mean, spread evenly."""
    return [math.floor((k + 1) * mean + 0.5) - math.floor(k * mean + 0.5) for k in range(groups)]
