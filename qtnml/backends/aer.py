"""Qiskit Aer: shots and exact probabilities on the local machine."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.exceptions import QiskitError
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
        check_shots(shots, seed)
        job_id = f"aer-{next(self._numbers)}"
        self._jobs[job_id] = [
            (places, self._start(method, [circuits[k] for k in places], shots=shots, seed_simulator=seed))
            for method, places in self._by_method(circuits, _sampling_method).items()
        ]
        return job_id

    def fetch(self, job_id: str) -> list[Counts]:
        """Wait for a job and return the counts of each circuit; a job can be fetched once."""
        if job_id not in self._jobs:
            raise BackendError(f"no job {job_id!r} on this backend, or it was fetched before")
        counts: dict[int, Counts] = {}
        for places, job in self._jobs.pop(job_id):
            result = _finished(job)
            for number, place in enumerate(places):
                found = result.get_counts(number)
                counts[place] = {int(bits.replace(" ", ""), 2): n for bits, n in found.items()}
        return [counts[place] for place in sorted(counts)]

    def run(self, circuits: Sequence[QuantumCircuit], *, shots: int, seed: int | None = None) -> list[Counts]:
        """Submit and fetch."""
        return self.fetch(self.submit(circuits, shots=shots, seed=seed))

    def probabilities(self, circuits: Sequence[QuantumCircuit]) -> NDArray:
        """Exact outcome probabilities, shape (circuits, outcomes).

        Raises:
            BackendError: A circuit with resets on more than 13 qubits, or with anything after a
                measurement.
        """
        check_circuits(circuits)
        if len({circuit.num_clbits for circuit in circuits}) > 1:
            raise BackendError(
                "circuits of one call must measure the same number of bits; call once for each"
            )
        exact: dict[int, NDArray] = {}
        for method, places in self._by_method(circuits, _exact_method).items():
            result = _finished(self._start(method, [_saving_probabilities(circuits[k]) for k in places]))
            exact |= {place: result.data(k)["probabilities"] for k, place in enumerate(places)}
        rows = [exact[place] for place in sorted(exact)]
        return np.array(rows) if rows else np.empty((0, 0))

    def _by_method(
        self, circuits: Sequence[QuantumCircuit], choose: Callable[[QuantumCircuit], str]
    ) -> dict[str, list[int]]:
        """Places of the circuits that run by each method; one set by the user is used where it is exact."""
        groups: dict[str, list[int]] = {}
        for place, circuit in enumerate(circuits):
            method = choose(circuit)
            if self._method is not None:
                if choose is _exact_method and _has_reset(circuit) and self._method != "density_matrix":
                    raise BackendError(
                        f"method {self._method!r} samples resets and has no exact probabilities of them; "
                        "use method=None or 'density_matrix'"
                    )
                method = self._method
            groups.setdefault(method, []).append(place)
        return groups

    def _start(self, method: str, circuits: list[QuantumCircuit], **options: Any) -> Any:
        try:
            simulator = AerSimulator(method=method, **_speed_options(method, circuits) | self._options)
            return simulator.run(circuits, **options)
        except QiskitError as error:
            raise BackendError(f"Aer refused to run: {error.message}") from error


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
        qubits = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
        name = instruction.operation.name
        if name == "measure":
            qubit_of_bit[circuit.find_bit(instruction.clbits[0]).index] = qubits[0]
        elif name != "barrier" and (instruction.clbits or set(qubits) & set(qubit_of_bit.values())):
            raise BackendError(
                f"exact probabilities need all measurements at the end, but {name!r} follows one or depends "
                "on one; use shots"
            )
        else:
            saving.append(instruction)
    if len(qubit_of_bit) < circuit.num_clbits:
        raise BackendError(
            f"exact probabilities need every classical bit measured, got {len(qubit_of_bit)} of "
            f"{circuit.num_clbits}; use shots, or remove the unused bits"
        )
    saving.save_probabilities([qubit_of_bit[bit] for bit in sorted(qubit_of_bit)])
    return saving


def _finished(job: Any) -> Any:
    try:
        result = job.result()
    except QiskitError as error:
        raise BackendError(f"Aer could not run the circuits: {error.message}") from error
    if not result.success:
        raise BackendError(f"Aer could not run the circuits: {result.status}")
    return result
