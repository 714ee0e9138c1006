"""Given circuits as starts: all of their gates are optimised together (AQC, arXiv:2301.08609).

For example, a target evolved by many fine Trotter steps is approximated by a circuit of few coarse steps.
Their overlap is large from the start.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.shallow.approximation import Approximation, approximation_of
from qtnml.shallow.blocks import Blocks
from qtnml.shallow.extension import extension_pairs
from qtnml.shallow.target import Target
from qtnml.shallow.window import Pair
from qtnml.states import Hamiltonian
from qtnml.states.circuits import gates_of_circuit
from qtnml.states.evolution import trotter_steps


def trotter_circuit(
    hamiltonian: Hamiltonian, time: float, steps: int, *, order: int = 2, initial: Sequence[int] | None = None
) -> QuantumCircuit:
    """Circuit of exp(-i H t) on a product state, by a product formula of two-qubit unitaries.

    Args:
        hamiltonian: A Hamiltonian with as many sites as the circuit has qubits.
        time: t.
        steps: Number of steps of the formula; see `qtnml.states.evolve`.
        order: Order of the formula: 1, 2 or 4.
        initial: Bits of the initial state; all 0 by default.
    """
    circuit = QuantumCircuit(hamiltonian.num_sites)
    bits = [0] * hamiltonian.num_sites if initial is None else np.atleast_1d(initial).tolist()
    if len(bits) != hamiltonian.num_sites or not all(bit in (0, 1) for bit in bits):
        raise InvalidInputError(f"initial is {hamiltonian.num_sites} bits, got {initial!r}")
    for qubit, bit in enumerate(bits):
        if bit:
            circuit.x(qubit)
    for (first, second), gate in trotter_steps(hamiltonian, time, steps, order=order):
        # Qiskit's first qubit is the least significant.
        circuit.unitary(gate, [second, first])
    return circuit


def from_circuit(state: Any, circuit: QuantumCircuit, *, max_bond: int | None = None) -> Approximation:
    """A given circuit as an approximation of a state; `refine` optimises all of its gates.

    Consecutive gates on the same pair of qubits become one block of SU(4). Rotations become part of the block
    next to them.

    Args:
        state: State to approximate: a `State`, a `TreeState` or a fitted Born machine.
        circuit: Bound gates on one and two qubits, no measurements. Qubit k is site k; if sites have several
            qubits, the qubits are their bits, the most significant first.
        max_bond: Largest bond of the chain that a tree becomes.

    Raises:
        InvalidInputError: The circuit has a different number of qubits, free parameters, measurements, or
            gates on more than two qubits.
    """
    target = Target.of(state, max_bond)
    pairs, gates = blocks_of(circuit, _places(target))
    return _with_blocks(target, pairs, gates, "own circuit")


def extended(approximation: Approximation, more: Any, state: Any = None) -> Approximation:
    """Append more gates to an approximation, optionally for another target state.

    The gates may be more time steps (arXiv:2301.08609). Or they start at the identity and are then trained on
    a loss other than the fidelity (arXiv:2208.13673): `refine(longer, objective=...)`.

    Args:
        approximation: Approximation to extend. Its blocks become "su4" if they are of another kind.
        more: A circuit, as for `from_circuit`; or the places of gates at the identity: "all" pairs of qubits
            that no gate joins yet, "neighbours", a device (its edges around a line), or pairs of qubits.
        state: State to approximate from now on; by default the same as before.
    """
    target = approximation.target if state is None else Target.of(state)
    if target.num_places != approximation.target.num_places:
        raise InvalidInputError(
            f"the new state has {target.num_places} qubits, the circuit {approximation.target.num_places}"
        )
    places = _places(target)
    if isinstance(more, QuantumCircuit):
        pairs, gates = blocks_of(more, places)
    else:
        qubits = approximation.target.qubits
        linked = [(qubits[a], qubits[b]) for a, b in approximation.blocks.pairs]
        wanted = extension_pairs(more, target.num_places, linked)
        pairs = [(places[a], places[b]) for a, b in wanted]
        gates = np.tile(np.eye(4, dtype=complex), (len(pairs), 1, 1))
    before = approximation.blocks.gates(approximation.point)
    both = np.concatenate([before.astype(np.complex128), gates])
    # The new chain may have its qubits in another order.
    qubits = approximation.target.qubits
    moved = tuple((places[qubits[a]], places[qubits[b]]) for a, b in approximation.blocks.pairs)
    return _with_blocks(target, (*moved, *pairs), both, approximation.layout)


def _places(target: Target) -> list[int]:
    """Place of each qubit."""
    places = [0] * target.num_places
    for place, qubit in enumerate(target.qubits):
        places[qubit] = place
    return places


def _with_blocks(target: Target, pairs: Sequence[Pair], gates: NDArray, layout: str) -> Approximation:
    blocks = Blocks(target.num_places, tuple(pairs), "su4")
    point = blocks.identity()._replace(whole=np.asarray(gates, np.complex128))
    return approximation_of(target, blocks, point, layout)


def blocks_of(circuit: QuantumCircuit, places: Sequence[int]) -> tuple[list[Pair], NDArray]:
    """Places and unitaries (gates, 4, 4) of a circuit's blocks, in order of time."""
    found = gates_of_circuit(circuit)
    if circuit.num_qubits != len(places):
        raise InvalidInputError(f"the circuit has {circuit.num_qubits} qubits, the state {len(places)}")
    pairs, gates = list[Pair](), list[NDArray]()
    last: dict[int, int] = {}  # block that a place met last
    waiting: dict[int, NDArray] = {}  # rotations of places that have met none yet
    for matrix, qubits in found:
        on = [places[qubit] for qubit in qubits]
        if len(on) == 1:
            if on[0] in last:
                block = last[on[0]]
                gates[block] = _beside(matrix, pairs[block].index(on[0])) @ gates[block]
            else:
                waiting[on[0]] = matrix @ waiting.get(on[0], np.eye(2))
            continue
        first, second = on
        known = last.get(first)
        if known is not None and known == last.get(second):
            if pairs[known] != (first, second):
                matrix = matrix.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4)
            gates[known] = matrix @ gates[known]
            continue
        entering = np.kron(waiting.pop(first, np.eye(2)), waiting.pop(second, np.eye(2)))
        pairs.append((first, second))
        gates.append(matrix @ entering)
        last[first] = last[second] = len(gates) - 1
    if waiting:
        alone = sorted(waiting)
        raise InvalidInputError(
            f"the qubits of places {alone} meet no two-qubit gate; a start joins all qubits"
        )
    return pairs, np.array(gates).reshape(-1, 4, 4)


def _beside(turn: NDArray, side: int) -> NDArray:
    return np.kron(turn, np.eye(2)) if side == 0 else np.kron(np.eye(2), turn)
