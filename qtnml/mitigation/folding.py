"""More noise on purpose: nodes run forth, back and forth again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qtnml.compile import CompiledCircuit
from qtnml.compile.blocks import blocks
from qtnml.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class Folded:
    """A circuit that does the same with more gates.

    Attributes:
        compiled: With the same parameters and weights.
        factor: Its number of gates on two qubits over that of the original.
    """

    compiled: CompiledCircuit
    factor: float


def folded(compiled: CompiledCircuit, factor: float) -> Folded:
    """U -> U (U^+ U)**n for node blocks, before their qubits are discarded and reset (arXiv:2005.10921).

    Where the factor is not odd, some nodes, spread evenly, are folded once more than the others. The data
    gates, the resets and the read-out stay as they are: their noise is not extrapolated, waiting is as far
    as it grows with the gates. In a circuit for a device each gate on two qubits is folded instead:
    translation has mixed the nodes' gates.

    Args:
        compiled: Any compiled circuit.
        factor: From 1.
    """
    is_number = isinstance(factor, int | float | np.integer | np.floating) and not isinstance(factor, bool)
    if not (is_number and 1 <= factor < math.inf):
        raise InvalidInputError(f"a folding factor must be a number of at least 1, got {factor!r}")
    if factor == 1:
        return Folded(compiled, 1.0)
    if compiled.device is None and compiled.nodes:
        rows = [block.gates for block in blocks(compiled) if block.node is not None]
        rows = [each for each in rows if _num_pairs(compiled.circuit, each)]
        circuit = _with_folded(compiled.circuit, rows, factor, barriers=True)
    else:
        pairs = [k for k, i in enumerate(compiled.circuit.data) if _is_pair(i)]
        circuit = _with_folded(compiled.circuit, [range(k, k + 1) for k in pairs], factor, barriers=False)
    before = compiled.circuit.num_nonlocal_gates()
    achieved = circuit.num_nonlocal_gates() / before if before else 1.0
    # What the network is does not change, and what its nodes' gates were is not asked any more.
    return Folded(replace(compiled, circuit=circuit, nodes=()), float(achieved))


def _is_pair(instruction: Any) -> bool:
    return len(instruction.qubits) == 2 and instruction.operation.name != "barrier"


def _num_pairs(circuit: QuantumCircuit, rows: range) -> int:
    return sum(_is_pair(circuit.data[row]) for row in rows)


def _with_folded(
    circuit: QuantumCircuit, groups: Sequence[range], factor: float, *, barriers: bool
) -> QuantumCircuit:
    """Each group of consecutive instructions repeated as often as the factor asks for."""
    times = _times(len(groups), (factor - 1) / 2)
    starts = {rows.start: (rows, n) for rows, n in zip(groups, times, strict=True) if n}
    found, row = circuit.copy_empty_like(), 0
    while row < len(circuit.data):
        rows, repeats = starts.get(row, (range(row, row + 1), 0))
        block = [circuit.data[k] for k in rows]
        qubits = sorted({bit for i in block for bit in i.qubits}, key=lambda bit: circuit.find_bit(bit).index)
        for instruction in block:
            found.append(instruction)
        for _ in range(repeats):
            if barriers:
                found.barrier(qubits)
            for instruction in reversed(block):
                found.append(instruction.operation.inverse(), instruction.qubits)
            if barriers:
                found.barrier(qubits)
            for instruction in block:
                found.append(instruction)
        row = rows.stop
    return found


def _times(groups: int, mean: float) -> list[int]:
    """Integers whose sum is nearest to groups * mean, spread evenly."""
    return [math.floor((k + 1) * mean + 0.5) - math.floor(k * mean + 0.5) for k in range(groups)]
