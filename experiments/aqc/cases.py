"""Evolutions that IBM's tutorials compress, from their formulas: targets of many steps, starts of few.

Sources: the tutorial and the how-to of qiskit-addon-aqc-tensor (a ring of ten Ising spins), and "Approximate
quantum compilation for time evolution circuits" of Qiskit's documentation (chains with random couplings).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit.library import PauliEvolutionGate
from qiskit.quantum_info import SparsePauliOp
from qiskit.synthesis import SuzukiTrotter


@dataclass(frozen=True)
class Case:
    """One evolution.

    Attributes:
        name: Of its row.
        hamiltonian: Its terms in the order in which the formula takes them.
        time: Of the evolution.
        steps: Of the target.
        few: Steps of the start.
        initial: Bits of the first state.
        published: Fidelities before and after optimisation as printed there; None where none is.
    """

    name: str
    hamiltonian: Callable[[], SparsePauliOp]
    time: float
    steps: int
    few: int
    initial: tuple[int, ...]
    published: tuple[float | None, float]

    def circuit(self, steps: int) -> QuantumCircuit:
        """So many second-order steps on the first state."""
        operator = self.hamiltonian()
        circuit = QuantumCircuit(len(self.initial))
        for qubit, bit in enumerate(self.initial):
            if bit:
                circuit.x(qubit)
        formula = PauliEvolutionGate(operator, time=self.time, synthesis=SuzukiTrotter(reps=steps))
        evolution = QuantumCircuit(len(self.initial))
        evolution.append(formula, range(len(self.initial)))
        return circuit.compose(evolution.decompose())


def ring() -> SparsePauliOp:
    """Ten spins: sum Z Z + 0.4 sum X."""
    even = [("ZZ", [k, k + 1], 1.0) for k in range(0, 10, 2)]
    odd = [("ZZ", [0, 9], 1.0), *(("ZZ", [k, k + 1], 1.0) for k in range(1, 8, 2))]
    fields = [("X", [k], 0.4) for k in range(10)]
    return SparsePauliOp.from_sparse_list([*even, *odd, *fields], num_qubits=10)


def chain(count: int) -> SparsePauliOp:
    """sum J/2 (X X + Y Y + 2 Z Z), J = 1/2 + numbers of NumPy's old generator, seed 0; even pairs first."""
    strengths = np.random.RandomState(0).rand(count - 1) + 0.5
    pairs = [*range(0, count - 1, 2), *range(1, count - 1, 2)]
    terms = [
        (letters, [first, first + 1], share * strength)
        for first, strength in zip(pairs, strengths, strict=True)
        for letters, share in (("XX", 0.5), ("YY", 0.5), ("ZZ", 1.0))
    ]
    return SparsePauliOp.from_sparse_list(terms, num_qubits=count)


def neel(count: int) -> tuple[int, ...]:
    """0101..."""
    return tuple(k % 2 for k in range(count))


CASES = [
    Case("Ising ring 10, t = 4", ring, 4.0, 45, 5, (0,) * 10, (None, 0.9997101)),
    Case("Ising ring 10, t = 0.4", ring, 0.4, 8, 2, (0,) * 10, (0.99983895, 0.99999844)),
    Case("random XXZ 10", lambda: chain(10), 0.2, 32, 1, neel(10), (0.998246, 0.99994898)),
    Case("random XXZ 50", lambda: chain(50), 0.2, 32, 1, neel(50), (None, 0.99972965)),
]
