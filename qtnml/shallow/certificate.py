"""The fidelity of the Qiskit circuit, computed independently: gate by gate on a matrix product state."""

from collections.abc import Sequence

import numpy as np
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.states.chains import overlap
from qtnml.states.evolution import MovingChain

_CUTOFF = 1e-14


def fidelity_of(circuit: QuantumCircuit, tensors: Sequence[NDArray], place_of_bit: Sequence[int]) -> float:
    """|<target|circuit>|**2 of a circuit that draws strings, its measurements left out.

    Nothing is taken from how the circuit was found: every instruction is applied to a matrix product state
    whose bonds grow as they must, and a qubit that was reset is a new one.

    Args:
        circuit: Bound gates, measurements and resets, on which each classical bit is read once.
        tensors: Target, (left bond, 2, right bond) of each place.
        place_of_bit: Place that each classical bit is read from.

    Raises:
        InvalidInputError: It acts on a qubit after it was read, without a reset.
    """
    lines, reads = _lines(circuit)
    if len(reads) != len(tensors):
        raise InvalidInputError(f"the circuit reads {len(reads)} bits, the target has {len(tensors)} places")
    place_of = {line: place_of_bit[bit] for bit, line in reads.items()}
    moving = MovingChain.zeros(len(tensors), cutoff=_CUTOFF)
    for matrix, on in lines:
        places = [place_of[line] for line in on]
        if len(places) == 1:
            moving.apply_one(matrix, places[0])
        else:
            moving.apply(matrix, *places)
    return abs(overlap(tensors, moving.tensors)) ** 2


def _lines(circuit: QuantumCircuit) -> tuple[list[tuple[NDArray, tuple[int, ...]]], dict[int, int]]:
    """Gates on lines, of which a reset begins a new one, and the line of each classical bit."""
    line_of = list(range(circuit.num_qubits))
    count, read = circuit.num_qubits, set[int]()
    gates, reads = list[tuple[NDArray, tuple[int, ...]]](), dict[int, int]()
    for instruction in circuit.data:
        qubits = [circuit.find_bit(bit).index for bit in instruction.qubits]
        name = instruction.operation.name
        if name == "barrier":
            continue
        if name == "reset":
            line_of[qubits[0]], count = count, count + 1
            continue
        on = tuple(line_of[qubit] for qubit in qubits)
        if read & set(on):
            raise InvalidInputError(f"qubit {qubits[0]} is used after it was read, without a reset")
        if name == "measure":
            reads[circuit.find_bit(instruction.clbits[0]).index] = on[0]
            read.add(on[0])
            continue
        # Qiskit's first qubit is the least significant.
        matrix = np.asarray(Operator(instruction.operation).reverse_qargs().data)
        gates.append((matrix, on))
    return gates, reads
