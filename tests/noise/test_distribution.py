"""The distribution of any circuit against a branching density matrix, and Aer's under noise."""

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.quantum_info import DensityMatrix, Operator, Statevector
from scipy.stats import chisquare

from qtnml import get_backend
from qtnml.ansatz import TensorNetwork
from qtnml.backends import run_circuits
from qtnml.compile import compile_network
from qtnml.encoding import AngleEncoding
from qtnml.errors import BackendError, InvalidInputError
from qtnml.noise import CircuitDistribution, DeviceNoise
from qtnml.structure import balanced_tree

NOISE = DeviceNoise(
    t1=30e-6,
    t2=20e-6,
    one_qubit_time=35e-9,
    two_qubit_time=300e-9,
    one_qubit_error=2e-3,
    two_qubit_error=0.02,
    reset_time=1e-6,
    readout_time=1e-6,
    reset_error=0.03,
    readout_error=(0.02, 0.05),
    start_error=0.04,
)
ONE = np.empty((1, 0))


def branching(circuit: QuantumCircuit) -> np.ndarray:
    """Probabilities of all classical bits without noise, every branch of every measurement followed."""
    branches = {0: DensityMatrix.from_label("0" * circuit.num_qubits)}
    for instruction in circuit.data:
        qubits = [circuit.find_bit(q).index for q in instruction.qubits]
        name = instruction.operation.name
        found: dict[int, DensityMatrix] = {}
        for bits, rho in branches.items():
            if name == "measure":
                bit = circuit.find_bit(instruction.clbits[0]).index
                for value in (0, 1):
                    projector = Operator(np.diag([1.0 - value, float(value)]))
                    part = DensityMatrix(rho.data).evolve(projector, qubits)
                    key = bits & ~(1 << bit) | value << bit
                    found[key] = part if key not in found else found[key] + part
            elif name == "reset":
                lowered = Operator(np.array([[0.0, 1.0], [0.0, 0.0]]))
                kept = Operator(np.diag([1.0, 0.0]))
                found[bits] = rho.evolve(kept, qubits) + rho.evolve(lowered, qubits)
            elif name in ("barrier", "delay"):
                found[bits] = rho
            else:
                found[bits] = rho.evolve(Operator(instruction.operation), qubits)
        branches = found
    table = np.zeros(2**circuit.num_clbits)
    for bits, rho in branches.items():
        table[bits] = np.trace(rho.data).real
    return table


def random_circuit(rng: np.random.Generator, num_qubits: int, num_bits: int, steps: int) -> QuantumCircuit:
    """Gates, resets, delays and measurements in any order; bits may be read twice or never."""
    circuit = QuantumCircuit(num_qubits, num_bits)
    for _ in range(steps):
        kind = rng.choice(
            ["u", "cx", "rzz", "measure", "reset", "delay", "barrier"], p=[0.3, 0.3, *[0.08] * 5]
        )
        a, b = rng.choice(num_qubits, 2, replace=False).tolist()
        if kind == "u":
            circuit.u(*rng.uniform(0, 6, 3), a)
        elif kind == "cx":
            circuit.cx(a, b)
        elif kind == "rzz":
            circuit.rzz(rng.uniform(0, 6), a, b)
        elif kind == "measure":
            circuit.measure(a, int(rng.integers(num_bits)))
        elif kind == "reset":
            circuit.reset(a)
        elif kind == "delay":
            circuit.delay(100, a, unit="ns")
        else:
            circuit.barrier()
    circuit.measure(0, 0)
    return circuit


@pytest.mark.parametrize("seed", range(40))
def test_any_circuit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    circuit = random_circuit(rng, 3, int(rng.integers(1, 5)), 20)
    found = CircuitDistribution(circuit, (), DeviceNoise()).probabilities(ONE)[0]
    np.testing.assert_allclose(found, branching(circuit), atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_many_bits_go_backwards(seed: int) -> None:
    rng = np.random.default_rng(seed)
    circuit = random_circuit(rng, 3, 8, 25)
    circuit.reset(1)
    circuit.h(1)
    circuit.cx(1, 0)
    circuit.measure([0, 1, 2], [7, 6, 5])
    found = CircuitDistribution(circuit, (), DeviceNoise()).probabilities(ONE)[0]
    np.testing.assert_allclose(found, branching(circuit), atol=1e-12)


@pytest.mark.sampled
@pytest.mark.parametrize("seed", range(6))
def test_under_noise_it_is_aers(seed: int) -> None:
    """Aer has no exact probabilities of measurements in the middle; its shots follow ours."""
    rng = np.random.default_rng(seed)
    circuit = random_circuit(rng, 3, 3, 20)
    expected = CircuitDistribution(circuit, (), NOISE).probabilities(ONE)[0]
    assert expected.sum() == pytest.approx(1, abs=1e-12)
    shots = 20_000
    counts = run_circuits(get_backend("aer", noise=NOISE), [circuit], shots=shots, seed=seed)[0]
    seen = np.array([counts.get(k, 0) for k in range(len(expected))])
    likely = expected * shots > 5
    rest = [seen[~likely].sum()], [expected[~likely].sum() * shots]
    if rest[1][0] < 1:
        assert rest[0][0] < 20
        rest = [], []
    observed = np.concatenate([seen[likely], rest[0]])
    wanted = np.concatenate([expected[likely] * shots, rest[1]])
    assert chisquare(observed, wanted * observed.sum() / wanted.sum()).pvalue > 1e-4


@pytest.mark.parametrize("seed", range(6))
def test_under_noise_it_is_aers_exactly(seed: int) -> None:
    """Read at the end alone."""
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(4, 4)
    for _ in range(15):
        a, b = rng.choice(4, 2, replace=False).tolist()
        circuit.u(*rng.uniform(0, 6, 3), a)
        circuit.cx(a, b)
        if rng.random() < 0.2:
            circuit.reset(b)
    order = rng.permutation(4).tolist()
    circuit.measure(range(4), order)
    found = CircuitDistribution(circuit, (), NOISE).probabilities(ONE)[0]
    aer = get_backend("aer", noise=NOISE).probabilities([circuit])[0]  # type: ignore[attr-defined]
    np.testing.assert_allclose(found, aer, atol=1e-10)


def test_data_and_weights_apart(rng: np.random.Generator) -> None:
    """Columns of data are contracted together, columns of weights bound: as each circuit by itself."""
    compiled = compile_network(TensorNetwork.random(balanced_tree(8), rng), AngleEncoding())
    X = rng.random((6, 8))
    weights = rng.uniform(0, 6, (6, len(compiled.w)))
    weights[3:] = weights[:3]
    circuits = compiled.bind_angles(compiled.angles(X), weights)
    distribution = CircuitDistribution(circuits.template, circuits.parameters, NOISE)
    found = distribution.probabilities(circuits.values)
    for k, circuit in enumerate(circuits):
        np.testing.assert_allclose(
            found[k], CircuitDistribution(circuit, (), NOISE).probabilities(ONE)[0], atol=1e-12
        )


def test_a_parameter_in_two_places(rng: np.random.Generator) -> None:
    """One that turns a fresh qubit and is in a gate of several parameters as well is no data."""
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(2, 2)
    circuit.ry(a, 0)
    circuit.ry(2 * b, 1)
    circuit.cx(0, 1)
    circuit.u(a, b, 0.3, 1)
    circuit.rx(a + 2 * b - 1, 0)
    circuit.rx(a * b, 1)
    circuit.rzz(b, 0, 1)
    circuit.h([0, 1])
    circuit.measure([0, 1], [0, 1])
    values = rng.uniform(0, 3, (4, 2))
    found = CircuitDistribution(circuit, (a, b), DeviceNoise()).probabilities(values)
    for row, value in zip(found, values, strict=True):
        bound = circuit.assign_parameters({a: value[0], b: value[1]})
        np.testing.assert_allclose(row, branching(bound), atol=1e-12)


def test_checks(rng: np.random.Generator) -> None:
    """Shots that fail a post-selection are counted, and those that pass have the conditional distribution."""
    network = TensorNetwork.random(balanced_tree(4), rng)
    compiled = compile_network(network, AngleEncoding(), discard="postselect")
    X = rng.random((3, 4))
    found = CircuitDistribution(*distribution_of(compiled, X)[:2], DeviceNoise()).probabilities(
        distribution_of(compiled, X)[2]
    )
    for row, circuit in zip(found, compiled.bind(X), strict=True):
        expected = branching(circuit)
        np.testing.assert_allclose(row[:2], expected[:2], atol=1e-12)
        assert row[2] == pytest.approx(1 - expected[:2].sum(), abs=1e-12)
        assert row[3:].sum() == 0


def distribution_of(compiled, X):  # type: ignore[no-untyped-def]
    circuits = compiled.bind(X)
    return circuits.template, circuits.parameters, circuits.values


@pytest.mark.parametrize("reuse", [True, False])
def test_at_any_size(reuse: bool, rng: np.random.Generator) -> None:
    compiled = compile_network(
        TensorNetwork.random(balanced_tree(256), rng), AngleEncoding(), reuse_qubits=reuse
    )
    X = rng.random((2, 256))
    exact = get_backend("exact")
    np.testing.assert_allclose(
        exact.probabilities(compiled.bind(X)),
        compiled.probabilities(X),
        atol=1e-10,  # type: ignore[attr-defined]
    )


def test_what_it_refuses(rng: np.random.Generator) -> None:
    exact = get_backend("exact")
    dense = QuantumCircuit(30, 30)
    for k in range(29):
        dense.cx(k, k + 1)
        dense.ry(0.3, k)
    for k in range(0, 29):
        dense.cx((7 * k + 3) % 30, (11 * k + 5) % 30) if (7 * k + 3) % 30 != (11 * k + 5) % 30 else None
    dense.measure(range(30), range(30))
    with pytest.raises(BackendError, match="entangled at once"):
        run_circuits(exact, [dense], shots=10)
    asked = QuantumCircuit(QuantumRegister(1, "q"), ClassicalRegister(1, "c"))
    asked.h(0)
    asked.measure(0, 0)
    with asked.if_test((asked.clbits[0], 1)):
        asked.h(0)
    with pytest.raises(BackendError, match="if_else"):
        run_circuits(exact, [asked], shots=10)
    wide = QuantumCircuit(3, 1)
    wide.ccx(0, 1, 2)
    wide.measure(2, 0)
    with pytest.raises(BackendError, match="one or two qubits"):
        run_circuits(exact, [wide], shots=10)
    many = QuantumCircuit(1, 20)
    many.measure(0, 19)
    with pytest.raises(InvalidInputError, match="draw shots"):
        CircuitDistribution(many, (), DeviceNoise()).probabilities(ONE)
    with pytest.raises(BackendError, match="takes no detail"):
        get_backend("exact:fast")


@pytest.mark.parametrize("turns", [(0.5, 0.2), (0.0, 0.0)])
def test_an_angle_that_enters_several_times_in_a_row(turns: tuple[float, float]) -> None:
    """Gates between two uploads of one angle count: by matrices, or refused, never dropped."""
    a = Parameter("a")
    circuit = QuantumCircuit(1, 1)
    circuit.ry(a, 0)
    for turn in turns:
        circuit.rx(turn, 0)
        circuit.ry(a, 0)
    circuit.measure(0, 0)
    bound = circuit.remove_final_measurements(inplace=False).assign_parameters([0.3])
    wanted = Statevector(bound).probabilities()
    try:
        found = CircuitDistribution(circuit, (a,), DeviceNoise()).probabilities(np.array([[0.3]]))[0]
    except InvalidInputError:
        return
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_gates_between_a_wire_and_an_upload_on_it() -> None:
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(2, 1)
    circuit.ry(a, 0)
    circuit.ry(b, 1)
    circuit.cx(0, 1)
    circuit.rx(0.4, 0)
    circuit.rz(0.7, 1)
    circuit.ry(a, 0)
    circuit.rx(0.3, 1)
    circuit.ry(b, 1)
    circuit.cx(0, 1)
    circuit.measure(1, 0)
    bound = circuit.remove_final_measurements(inplace=False).assign_parameters({a: 0.3, b: 0.9})
    wanted = Statevector(bound).probabilities([1])
    found = CircuitDistribution(circuit, (a, b), DeviceNoise()).probabilities(np.array([[0.3, 0.9]]))[0]
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_checks_that_lead_to_no_outcome() -> None:
    """How often they pass is not in the outcome's tree: read like other bits, or refused; never left out."""
    circuit = QuantumCircuit(
        QuantumRegister(2), ClassicalRegister(1, "c"), ClassicalRegister(1, "postselect")
    )
    circuit.h(0)
    circuit.measure([0, 1], [0, 1])
    noise = DeviceNoise(readout_error=0.1)
    found = CircuitDistribution(circuit, (), noise).probabilities(np.empty((1, 0)))[0]
    np.testing.assert_allclose(found, [0.45, 0.45, 0.05, 0.05], atol=1e-12)
    a = Parameter("a")
    with_data = QuantumCircuit(*circuit.qregs, *circuit.cregs)
    with_data.ry(a, 0)
    with_data.measure([0, 1], [0, 1])
    with pytest.raises(InvalidInputError, match="joined with nothing that is read"):
        CircuitDistribution(with_data, (a,), noise).probabilities(np.array([[0.3]]))


def _flipped(*steps: str) -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2)
    for step in steps:
        if step == "h":
            circuit.h(0)
        elif step[0] == "m":
            circuit.measure(int(step[1]), int(step[2]))
        else:
            with circuit.if_test((circuit.clbits[int(step[2])], 1)):
                circuit.x(int(step[1]))
    return circuit


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (("h",), "measures nothing"),
        (("h", "x00", "m00"), "knows an 'if_else' on bit 0 only where the bit is read once, before it"),
        (("h", "m00", "x11"), "knows an 'if_else' on bit 1"),
        (("h", "m00", "x00", "h", "m00"), "knows an 'if_else' on bit 0"),
        (("h", "m00", "x00", "x10", "m11"), "knows an 'if_else' on bit 0"),
    ],
)
def test_flips_that_are_refused(steps: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        CircuitDistribution(_flipped(*steps), (), DeviceNoise(readout_error=0.1)).probabilities(
            np.empty((1, 0))
        )


def test_a_flip_of_another_qubit_by_an_older_bit() -> None:
    """Read qubit 0, then flip qubit 1 by it: both bits err on their own."""
    distribution = CircuitDistribution(_flipped("h", "m00", "x10", "m11"), (), DeviceNoise(readout_error=0.1))
    found = distribution.probabilities(np.empty((1, 0)))[0]
    np.testing.assert_allclose(found, [0.45, 0.05, 0.05, 0.45], atol=1e-12)
