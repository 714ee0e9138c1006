import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Parameter
from qiskit.primitives import BackendSamplerV2
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, pauli_error

from qtnml import TreeClassifier, get_backend
from qtnml.compile import BoundCircuits
from qtnml.data import Dataset
from qtnml.errors import JobError
from qtnml.ledger.identity import job_ids

AER = get_backend("aer")


def turned(angle: float, name: str = "one") -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1, name=name)
    circuit.ry(angle, 0)
    circuit.measure(0, 0)
    return circuit


def test_template_bound_circuit_and_free_weights_are_one_job(
    trained: TreeClassifier, small_digits: Dataset
) -> None:
    compiled = trained.compile()
    bound = compiled.bind(small_digits.X_test[:3])
    ids = job_ids(bound, AER)
    assert len(set(ids)) == 3
    assert job_ids(list(bound), AER) == ids
    free = compiled.bind_angles(compiled.angles(small_digits.X_test[:3]), compiled.weights)
    assert job_ids(free, AER) == ids
    assert job_ids(bound[1:2], AER) == ids[1:2]


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_ids_tell_angles_apart_at_twelve_digits(one: float, other: float) -> None:
    same = job_ids([turned(one)], AER) == job_ids([turned(other)], AER)
    assert same == (round(one, 12) == round(other, 12))


def test_what_counts_and_what_does_not() -> None:
    (plain,) = job_ids([turned(0.3)], AER)
    assert job_ids([turned(0.3, "another")], AER) == [plain]
    assert job_ids([turned(-0.0)], AER) == job_ids([turned(0.0)], AER)
    assert job_ids([turned(0.3)], AER, repeat=1) != [plain]
    assert job_ids([turned(0.3)], get_backend("aer", method="density_matrix")) != [plain]
    wider = QuantumCircuit(2, 1)
    wider.ry(0.3, 1)
    wider.measure(1, 0)
    assert job_ids([wider], AER) != [plain]


def test_expressions_are_evaluated() -> None:
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(1, 1)
    circuit.ry(2 * a - b, 0)
    circuit.measure(0, 0)
    values = np.array([[0.4, 0.5], [1.0, 0.1]])
    assert job_ids(BoundCircuits(circuit, (a, b), values), AER) == job_ids([turned(0.3), turned(1.9)], AER)


def test_matrices_and_control_flow_count() -> None:
    def conditional(angle: float) -> QuantumCircuit:
        circuit = QuantumCircuit(1, 2)
        circuit.measure(0, 0)
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.rx(angle, 0)
        circuit.measure(0, 1)
        return circuit

    def matrix(sign: int) -> QuantumCircuit:
        circuit = QuantumCircuit(1, 1)
        circuit.unitary(np.diag([1, sign]), 0)
        circuit.measure(0, 0)
        return circuit

    circuits = [conditional(0.1), conditional(0.2), matrix(1), matrix(-1)]
    assert len(set(job_ids(circuits, AER))) == 4
    assert job_ids([conditional(0.1), matrix(-1)], AER) == [job_ids(circuits, AER)[k] for k in (0, 3)]


def test_gates_of_somebodys_own_are_what_they_do() -> None:
    def own(kind: str) -> QuantumCircuit:
        definition = QuantumCircuit(1)
        getattr(definition, kind)(0)
        gate = Gate("mine", 1, [])
        gate.definition = definition
        circuit = QuantumCircuit(1, 1)
        circuit.append(gate, [0])
        circuit.measure(0, 0)
        return circuit

    def waiting(duration: int, unit: str) -> QuantumCircuit:
        circuit = QuantumCircuit(1, 1)
        circuit.delay(duration, 0, unit)
        circuit.measure(0, 0)
        return circuit

    def looped(times: int) -> QuantumCircuit:
        circuit = QuantumCircuit(1, 1)
        angle = Parameter("k")
        with circuit.for_loop(range(times), angle):
            circuit.rx(angle, 0)
        circuit.measure(0, 0)
        return circuit

    circuits = [own("x"), own("id"), waiting(100, "ns"), waiting(100, "ms"), looped(2), looped(3)]
    assert len(set(job_ids(circuits, AER))) == 6
    assert job_ids([own("x")], AER) == job_ids(circuits[:1], AER)


def test_devices_of_one_name_are_told_apart() -> None:
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(pauli_error([("X", 1.0)]), ["ry"])
    devices = [AerSimulator(), AerSimulator(noise_model=noise), AerSimulator(method="statevector")]
    made = [get_backend(device) for device in devices]
    made += [get_backend(BackendSamplerV2(backend=device)) for device in devices]
    assert len({job_ids([turned(0.3)], backend)[0] for backend in made}) == 6
    assert job_ids([turned(0.3)], get_backend(AerSimulator())) == job_ids([turned(0.3)], made[0])


def test_settings_must_be_plain() -> None:
    class Odd:
        name, capabilities, settings = "odd", AER.capabilities, {"when": object()}

    with pytest.raises(JobError, match="settings of backend 'odd' must be JSON types"):
        job_ids([turned(0.1)], Odd())  # type: ignore[arg-type]
