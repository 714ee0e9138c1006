"""Qiskit Aer: shots and exact probabilities on the local machine."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

from qtnml.arrays import NDArray
from qtnml.backends.base import Capabilities, Counts, check_circuits, check_shots
from qtnml.errors import BackendError

# Largest registers that each method is used for (16 bytes per amplitude; a density matrix has 4**n).
_DENSITY_MATRIX_SAMPLED = 10  # beyond, one trajectory per shot is cheaper than 4**n amplitudes
_DENSITY_MATRIX_EXACT = 13
_STATEVECTOR = 24


class AerBackend:
    """Aer with the method chosen by circuit.

    Circuits with resets run as a density matrix where that is small, which takes one pass for all
    shots; wide circuits without resets run as a matrix product state.

    Args:
        method: An Aer method to use for every circuit; None chooses.
        options: More options of `AerSimulator`, such as `device="GPU"`.
    """

    name = "aer"
    capabilities = Capabilities(resets=True, exact=True)

    def __init__(self, method: str | None = None, **options: Any) -> None:
        self._method = method
        self._options = options
        self._jobs: dict[str, Any] = {}
        self._numbers = itertools.count(1)

    def __repr__(self) -> str:
        return f"AerBackend(method={self._method!r})"

    def submit(self, circuits: Sequence[QuantumCircuit], *, shots: int, seed: int | None = None) -> str:
        """Start a job over all circuits and return its id at once."""
        check_circuits(circuits)
        check_shots(shots)
        job_id = f"aer-{next(self._numbers)}"
        if not circuits:
            self._jobs[job_id] = None
            return job_id
        method = self._method or max(map(_sampling_method, circuits), key=_METHODS.index)
        simulator = AerSimulator(method=method, **_speed_options(method, circuits) | self._options)
        self._jobs[job_id] = simulator.run(list(circuits), shots=shots, seed_simulator=seed)
        return job_id

    def fetch(self, job_id: str) -> list[Counts]:
        """Wait for a job and return the counts of each circuit; a job can be fetched once."""
        if job_id not in self._jobs:
            raise BackendError(f"no job {job_id!r} on this backend, or it was fetched before")
        job = self._jobs.pop(job_id)
        if job is None:
            return []
        result = _checked(job.result())
        counts = [result.get_counts(k) for k in range(len(result.results))]
        return [{int(bits.replace(" ", ""), 2): n for bits, n in c.items()} for c in counts]

    def run(self, circuits: Sequence[QuantumCircuit], *, shots: int, seed: int | None = None) -> list[Counts]:
        """Submit and fetch."""
        return self.fetch(self.submit(circuits, shots=shots, seed=seed))

    def probabilities(self, circuits: Sequence[QuantumCircuit]) -> NDArray:
        """Exact outcome probabilities, shape (circuits, outcomes).

        Raises:
            BackendError: A circuit with resets on more than 13 qubits.
        """
        check_circuits(circuits)
        if not circuits:
            return np.empty((0, 0))
        method = self._method or max(map(_exact_method, circuits), key=_METHODS.index)
        simulator = AerSimulator(method=method, **_speed_options(method, circuits) | self._options)
        result = _checked(simulator.run([_saving_probabilities(c) for c in circuits]).result())
        return np.array([result.data(k)["probabilities"] for k in range(len(circuits))])


_METHODS = ("density_matrix", "statevector", "matrix_product_state")


def _speed_options(method: str, circuits: Sequence[QuantumCircuit]) -> dict[str, Any]:
    """Run circuits side by side, and fuse the gates of a node, whatever the circuit's width.

    Aer by itself fuses from 14 qubits on. Measured: the density matrix of the 7-qubit tree at V=1
    is 2 times faster with fusion over two qubits; with nodes on four qubits, fusion over four makes
    its density matrix 2 and its state vector 10 times faster than fusion over two.
    """
    gates = circuits[0].count_ops()
    wide_nodes = gates.get("cx", 0) > 10 * gates.get("ry", 0)
    width = 4 if wide_nodes or method == "statevector" else 2
    return {"max_parallel_experiments": 0, "fusion_threshold": 1, "fusion_max_qubit": width}


def _has_reset(circuit: QuantumCircuit) -> bool:
    return bool(circuit.count_ops().get("reset", 0))


def _sampling_method(circuit: QuantumCircuit) -> str:
    if circuit.num_qubits > _STATEVECTOR:
        return "matrix_product_state"
    if _has_reset(circuit) and circuit.num_qubits <= _DENSITY_MATRIX_SAMPLED:
        return "density_matrix"
    return "statevector"


def _exact_method(circuit: QuantumCircuit) -> str:
    if _has_reset(circuit):
        if circuit.num_qubits > _DENSITY_MATRIX_EXACT:
            raise BackendError(
                f"exact probabilities of a circuit with resets need a density matrix; {circuit.num_qubits} "
                f"qubits are more than {_DENSITY_MATRIX_EXACT}; use shots, or compile with reuse_qubits=False"
            )
        return "density_matrix"
    return "statevector" if circuit.num_qubits <= _STATEVECTOR else "matrix_product_state"


def _saving_probabilities(circuit: QuantumCircuit) -> QuantumCircuit:
    """Replace the final measurement by the exact probabilities of its outcomes."""
    qubit_of_bit: dict[int, int] = {}
    saving = circuit.copy_empty_like()
    for instruction in circuit.data:
        if instruction.operation.name == "measure":
            bit = circuit.find_bit(instruction.clbits[0]).index
            qubit_of_bit[bit] = circuit.find_bit(instruction.qubits[0]).index
        else:
            saving.append(instruction)
    saving.save_probabilities([qubit_of_bit[bit] for bit in sorted(qubit_of_bit)])
    return saving


def _checked(result: Any) -> Any:
    if not result.success:
        raise BackendError(f"Aer could not run the circuits: {result.status}")
    return result
