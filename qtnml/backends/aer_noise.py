"""A device's noise on the qubits that a circuit uses, for Aer."""

import math
from collections.abc import Collection
from functools import lru_cache
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, QuantumRegister
from qiskit.circuit import Delay
from qiskit.transpiler import PassManager
from qiskit_aer.noise import NoiseModel, RelaxationNoisePass

from qtnml.arrays import NDArray
from qtnml.backends.translation import active_qubits


def noise_on_active_qubits(circuit: QuantumCircuit, device: Any) -> tuple[QuantumCircuit, NoiseModel]:
    """A translated circuit on its active qubits alone, and the errors of its gates and read-out there.

    Relaxation of idle qubits is written into the circuit, after its delays. Aer takes seconds to read the
    noise of a hundred qubits for every call, and milliseconds for that of the few a tree needs.

    Args:
        circuit: In the gates and on the qubits of the device.
        device: A Qiskit backend with gate errors and times.
    """
    active = sorted(circuit.find_bit(qubit).index for qubit in active_qubits(circuit))
    places = {qubit: place for place, qubit in enumerate(active)}
    small = QuantumCircuit(QuantumRegister(len(active), "q"), *circuit.cregs)
    for instruction in circuit.data:
        qubits = [circuit.find_bit(q).index for q in instruction.qubits]
        if set(qubits) <= places.keys():
            small.append(instruction.operation, [places[q] for q in qubits], instruction.clbits)
    times = [_relaxation_times(device, qubit) for qubit in active]
    # The pass does not convert the units of delays by itself.
    idle = RelaxationNoisePass(
        [t1 for t1, _ in times], [t2 for _, t2 in times], dt=getattr(device, "dt", None), op_types=Delay
    )
    return PassManager([idle]).run(small), _errors_on(device, places)


def errors_on_qubits(device: Any, qubits: Collection[int]) -> NoiseModel:
    """Errors of gates and read-out on some of a device's qubits."""
    return _errors_on(device, {qubit: qubit for qubit in qubits})


def _relaxation_times(device: Any, qubit: int) -> tuple[float, float]:
    given = device.target.qubit_properties
    known = None if given is None else given[qubit]
    t1, t2 = (getattr(known, name, None) or math.inf for name in ("t1", "t2"))
    return t1, min(t2, 2 * t1)


def _errors_on(device: Any, places: dict[int, int]) -> NoiseModel:
    whole = _all_errors(device)
    chosen = NoiseModel(basis_gates=whole.basis_gates)
    for name, errors in whole._local_quantum_errors.items():  # Aer has no public way to read them
        for qubits, error in errors.items():
            if set(qubits) <= places.keys():
                chosen.add_quantum_error(error, name, [places[q] for q in qubits], warnings=False)
    for (qubit,), error in whole._local_readout_errors.items():
        if qubit in places:
            chosen.add_readout_error(error, [places[qubit]], warnings=False)
    return chosen


@lru_cache(maxsize=4)
def _all_errors(device: Any) -> NoiseModel:
    return NoiseModel.from_backend(device)


def misread(probabilities: NDArray, qubits: list[int], noise_model: NoiseModel) -> NDArray:
    """Outcome probabilities (..., 2**bits) after read-out errors; `qubits` in the order of the bits."""
    found = probabilities.reshape(-1, *[2] * len(qubits))
    for bit, qubit in enumerate(qubits):
        error = noise_model._local_readout_errors.get((qubit,), noise_model._default_readout_error)
        if error is not None:
            axis = found.ndim - 1 - bit  # bit 0 is the last digit
            confusion = np.asarray(error.probabilities)  # [true, read]
            found = np.moveaxis(np.tensordot(found, confusion, axes=(axis, 0)), -1, axis)
    return found.reshape(probabilities.shape)
