from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Measure, Parameter, Reset
from qiskit.circuit.library import CXGate, RZGate, SXGate
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.transpiler import CouplingMap, InstructionProperties, Target
from qiskit_aer import AerSimulator
from scipy.stats import norm

from qtnml import TreeClassifier, get_backend
from qtnml.ansatz import BrickWall, FullUnitary, TensorNetwork
from qtnml.backends import exact_probabilities
from qtnml.born import TreeState, log_likelihood
from qtnml.born.sampling import sample
from qtnml.compile import CompiledCircuit, compile_model, compile_network, compile_state, minimal_order
from qtnml.compile.circuit import network_source
from qtnml.compile.lanes import arrange, in_stack_order, possible_lengths, stack_needs
from qtnml.compile.on_device import by_qiskit, in_lanes
from qtnml.compile.on_device import candidates as compared
from qtnml.compile.schedule import Prepare
from qtnml.compile.source import NetworkSource
from qtnml.contract import Model, Parameters
from qtnml.errors import InvalidInputError
from qtnml.gates import Synthesis
from qtnml.noise import DeviceNoise, NoisyCircuit, NoisyGenerativeCircuit
from qtnml.program import Program
from qtnml.program.device import device_of, estimated_success
from qtnml.structure import Topology, balanced_tree, mps, site_chain, with_reuploads
from tests.references import ENCODING, network_outcomes
from tests.structure.strategies import small_trees

HEAVY_HEX = GenericBackendV2(57, coupling_map=CouplingMap.from_heavy_hex(5), seed=1)


def random_network(topology: Topology, seed: int = 0) -> TensorNetwork:
    return TensorNetwork.random(topology, np.random.default_rng(seed), scale=2.0)


def couplings(circuit: QuantumCircuit) -> set[tuple[int, int]]:
    pairs = [tuple(sorted(circuit.find_bit(b).index for b in i.qubits)) for i in circuit.data]
    return {pair for pair in pairs if len(pair) == 2}


@settings(max_examples=60, deadline=None)
@given(small_trees(max_qubits=12), st.data())
def test_lanes_use_neighbours_and_lose_no_wire(topology: Topology, data: st.DataObject) -> None:
    """Replayed step by step: inputs are where the node looks for them, and in a row inside a lane."""
    network = in_stack_order(random_network(topology))
    topology = network.topology
    length = data.draw(st.sampled_from(possible_lengths(topology)))
    arrangement = arrange(topology, length)
    joins, held = {join.node for join in arrangement.joins}, {}
    dirty: set[int] = set()
    for operation in arrangement.schedule.operations:
        if isinstance(operation, Prepare):
            fresh, held[operation.leaf] = operation.qubits, operation.qubits
        else:
            node = topology.nodes[operation.node]
            inputs = tuple(q for wire in node.children for q in held.pop(wire))
            assert operation.qubits[: len(inputs)] == inputs
            fresh = operation.qubits[len(inputs) :]
            held[topology.num_leaves + operation.node] = operation.qubits[: node.width]
            if operation.node not in joins:
                first = operation.qubits[0]
                assert operation.qubits == tuple(range(first, first + len(operation.qubits)))
        assert set(operation.resets) == dirty & set(fresh)
        others = [q for wire, qubits in held.items() for q in qubits]
        assert len(others) == len(set(others))
        dirty |= set(operation.qubits)
    assert list(held.values()) == [arrangement.schedule.measured]
    assert all(len(lane.positions) <= max(length, *topology.leaf_widths) for lane in arrangement.lanes)


@settings(max_examples=30, deadline=None)
@given(small_trees(max_qubits=8), st.integers(0, 100))
def test_stack_order_changes_no_outcome(topology: Topology, seed: int) -> None:
    network = random_network(topology, seed)
    X = np.random.default_rng(seed).random((2, topology.num_data_qubits))
    ordered = in_stack_order(network)
    np.testing.assert_allclose(network_outcomes(ordered, X), network_outcomes(network, X), atol=1e-12)
    assert minimal_order(topology)[0] <= max(stack_needs(ordered.topology)) <= max(stack_needs(topology))


@pytest.mark.parametrize("topology", [balanced_tree(64), balanced_tree(16, 2), mps(20), mps(12, 2)], ids=repr)
def test_a_lane_takes_the_fewest_qubits(topology: Topology) -> None:
    assert max(stack_needs(topology)) == minimal_order(topology)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("topology", "gates"), [(balanced_tree(32), 30 * 3 + 2), (mps(12, 2), 116), (balanced_tree(8, 2), 146)]
)
def test_one_lane_needs_no_swap_on_a_line(topology: Topology, gates: int) -> None:
    """On a bare line of just enough qubits."""
    width = minimal_order(topology)[0]
    line = GenericBackendV2(width, coupling_map=CouplingMap.from_line(width), seed=2, noise_info=False)
    compiled = compile_network(random_network(topology), ENCODING, target=line)
    assert (compiled.two_qubit_gates, compiled.num_qubits) == (gates, width)
    assert compiled.method == "1 lane(s)"
    assert sorted(compiled.layout or ()) == list(range(width))
    X = np.random.default_rng(0).random((3, topology.num_data_qubits))
    assert compiled.verify(X) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{}, {"num_qubits": 12}, {"reuse_qubits": False}])
def test_on_a_heavy_hexagon(arguments: dict) -> None:
    network = random_network(balanced_tree(32))
    compiled = compile_network(network, ENCODING, target=HEAVY_HEX, **arguments)
    assert couplings(compiled.circuit) <= {tuple(sorted(edge)) for edge in HEAVY_HEX.coupling_map.get_edges()}
    assert set(compiled.circuit.count_ops()) <= {"rz", "sx", "x", "cx", "reset", "measure"}
    X = np.random.default_rng(0).random((2, 32))
    assert compiled.verify(X) < 1e-10
    assert compiled.num_qubits <= arguments.get("num_qubits", 57)
    if arguments:
        assert bool(compiled.num_resets) == arguments.get("reuse_qubits", True)
    moved = compiled.with_weights(compiled.weights + 0.2)
    assert moved.bind(X)[0].num_parameters == 0
    assert moved.trained_circuit != compiled.trained_circuit
    report = compiled.report()
    assert report.device == HEAVY_HEX.name
    assert report.estimated_success == compiled.estimated_success
    assert len(report.idle) == compiled.num_qubits
    assert f"on {HEAVY_HEX.name} (" in str(report)


def candidates(network: TensorNetwork, device: Any) -> list[CompiledCircuit]:
    source = NetworkSource(
        network=network,
        own=(None,) * len(network.topology.nodes),
        encoding=ENCODING,
        encoding_parameters=(),
        scaler=None,
    )
    synthesis = Synthesis(two_qubit_gate=device.two_qubit_gate)
    how = {"reuse_qubits": True, "most": device.num_qubits}
    return [*in_lanes(source, device, synthesis, **how), *by_qiskit(source, device, synthesis, **how)]


def on_aer(compiled: CompiledCircuit, noise: DeviceNoise, X: np.ndarray) -> np.ndarray:
    """Aer's density matrix of the qubits that a circuit uses."""
    circuit = compiled.circuit
    used = sorted({circuit.find_bit(q).index for entry in circuit.data for q in entry.qubits})
    small = QuantumCircuit(len(used), circuit.num_clbits)
    for entry in circuit.data:
        qubits = [used.index(circuit.find_bit(q).index) for q in entry.qubits]
        small.append(entry.operation, qubits, [circuit.find_bit(c).index for c in entry.clbits])
    moved = replace(compiled, program=Program.read(small, compiled.x))
    return exact_probabilities(get_backend("aer", noise=noise.on(used)), moved.bind(X))


@pytest.mark.slow
def test_the_chosen_circuit_decides_best_as_aer_sees_it() -> None:
    """All candidates on Aer: none that the exact distribution knows agrees more often with the network."""
    network = random_network(balanced_tree(8), seed=3)
    X = np.random.default_rng(0).random((20, 8))
    ideal = network_outcomes(network, X).argmax(axis=1)
    chosen = compile_network(network, ENCODING, target=HEAVY_HEX, samples=X)
    assert chosen.expected is not None
    noise = DeviceNoise.from_backend(HEAVY_HEX)
    seen = on_aer(chosen, noise, X)
    np.testing.assert_allclose(seen, NoisyCircuit(chosen, noise).probabilities(X), atol=1e-10)
    assert chosen.expected.agreement == np.mean(seen.argmax(axis=1) == ideal)
    rates = []
    for candidate in candidates(network, device_of(HEAVY_HEX)):
        found = on_aer(candidate, noise, X)
        margin = 2 * found[np.arange(20), ideal] - 1
        rates.append(np.mean(norm.cdf(margin * np.sqrt(1024 / (1 - margin**2)))))
    assert chosen.expected.decided >= max(rates) - 0.006
    assert max(rates) > min(rates) + 0.01  # the choice matters


def test_a_circuit_that_draws_strings_is_chosen_by_their_likelihood() -> None:
    state = TreeState.random(site_chain([2] * 8), 2, np.random.default_rng(0))
    chosen = compile_state(state, target=HEAVY_HEX)
    assert chosen.device is not None
    assert chosen.expected is not None
    strings = sample(state, np.random.default_rng(1), 100)
    assert chosen.verify(state, strings) < 1e-9
    noise = DeviceNoise.from_backend(HEAVY_HEX)
    lost = np.mean(
        log_likelihood(state, strings) - NoisyGenerativeCircuit(chosen, noise).log_likelihood(strings)
    )
    assert chosen.expected.excess_nll == pytest.approx(lost, abs=0.15)
    fewest = compile_state(state, target=HEAVY_HEX, num_qubits=2)
    assert fewest.num_qubits == 2
    assert fewest.expected.excess_nll >= chosen.expected.excess_nll
    assert "strings less likely by" in str(chosen.report())
    assert compile_state(state, target=HEAVY_HEX, num_qubits=2, samples=strings).expected is not None
    with pytest.raises(InvalidInputError, match="samples must hold at least one string"):
        compile_state(state, target=HEAVY_HEX, samples=strings[:0])
    network = random_network(balanced_tree(4))
    for wrong in (np.zeros((3, 5)), np.zeros((0, 4)), np.zeros(4)):
        with pytest.raises(InvalidInputError, match=r"samples must have shape \(samples, 4\)"):
            compile_network(network, ENCODING, target=HEAVY_HEX, samples=wrong)
    assert chosen.report().to_dict()["expected"]["excess_nll"] == chosen.expected.excess_nll


def test_own_gates_and_uploads_on_a_device() -> None:
    model = Model(with_reuploads(balanced_tree(8), 1), ENCODING, BrickWall(2))
    compiled = compile_model(model, model.start(np.random.default_rng(0)), target=HEAVY_HEX)
    assert compiled.verify(np.random.default_rng(0).random((2, 8))) < 1e-10


@pytest.mark.slow
def test_an_estimator_compiles_for_a_device(trained: TreeClassifier, small_digits: Any) -> None:
    compiled = trained.compile(target=HEAVY_HEX, synthesis=Synthesis("analytic"))
    assert compiled.verify(small_digits.X_test[:2]) < 1e-10
    assert trained.compile(target=HEAVY_HEX.target).device is not None


def bare_target(*, reset: bool = False, error: float | None = 0.01) -> Target:
    target = Target(num_qubits=3)
    properties = InstructionProperties(duration=1e-7, error=error)
    for gate in (RZGate(Parameter("a")), SXGate()):
        target.add_instruction(
            gate, {(q,): InstructionProperties(duration=1e-8, error=0.0) for q in range(3)}
        )
    target.add_instruction(CXGate(), {(0, 1): properties, (1, 2): properties})
    target.add_instruction(Measure(), {(q,): InstructionProperties(error=0.0) for q in range(3)})
    if reset:
        target.add_instruction(Reset(), {(q,): None for q in range(3)})
    return target


def test_a_device_in_parts_and_one_that_joins_all() -> None:
    """Only a part of three qubits holds the circuit; an ideal simulator leaves all qubits where they are."""
    network = random_network(balanced_tree(4))
    X = np.random.default_rng(0).random((2, 4))
    parts = GenericBackendV2(5, coupling_map=CouplingMap([[0, 1], [2, 3], [3, 4]]), seed=0)
    compiled = compile_network(network, ENCODING, target=parts)
    assert set(compiled.layout or ()) == {2, 3, 4}
    assert compiled.verify(X) < 1e-10
    ideal = compile_network(network, ENCODING, target=AerSimulator())
    assert ideal.verify(X) < 1e-10
    assert ideal.two_qubit_gates == 8


def test_a_single_node_needs_no_reset() -> None:
    compiled = compile_network(random_network(balanced_tree(2)), ENCODING, target=bare_target())
    assert (compiled.num_qubits, compiled.num_resets) == (2, 0)


def test_success_by_hand() -> None:
    """Two gates of error 0.01; without T1 and T2 waiting costs nothing."""
    circuit = QuantumCircuit(3)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    device = device_of(bare_target())
    assert estimated_success(circuit, device) == pytest.approx(0.99**2)
    assert device.neighbours == ((1,), (0, 2), (1,))
    assert device_of(bare_target(error=1.0)).neighbours == ((), (), ())
    circuit.cx(2, 1)  # known in the other direction
    assert estimated_success(circuit, device) == pytest.approx(0.99**3)


def test_relaxation_by_hand() -> None:
    device = device_of(HEAVY_HEX)
    t1, t2 = HEAVY_HEX.target.qubit_properties[0].t1, HEAVY_HEX.target.qubit_properties[0].t2
    expected = 0.5 - np.exp(-1e-5 / t1) / 6 - np.exp(-1e-5 / t2) / 3
    assert device.relaxation_error(0, 1e-5) == pytest.approx(expected)
    assert device.relaxation_error(0, 0.0) == pytest.approx(0.0, abs=1e-15)


def test_devices_that_cannot() -> None:
    network = random_network(balanced_tree(4))
    with pytest.raises(InvalidInputError, match=r"target must be a Qiskit backend .*, got 'torino'"):
        compile_network(network, ENCODING, target="torino")
    with pytest.raises(InvalidInputError, match="has no reset, and 4 qubits are needed without"):
        compile_network(network, ENCODING, target=bare_target())
    small = random_network(balanced_tree(3))
    with pytest.raises(InvalidInputError, match=r"has no reset to reuse qubits with; compile with reuse"):
        compile_network(small, ENCODING, target=bare_target())
    with pytest.raises(InvalidInputError, match=r"needs 4 qubits without reuse, and device .* allows 3"):
        compile_network(network, ENCODING, target=bare_target(reset=True), reuse_qubits=False)
    with pytest.raises(InvalidInputError, match="this network needs 6 qubits, and num_qubits allows 5"):
        compile_network(random_network(balanced_tree(32)), ENCODING, target=HEAVY_HEX, num_qubits=5)
    for wrong in (0, 3.5, "3", True):
        with pytest.raises(InvalidInputError, match="num_qubits must be an integer from 3 to 4, got"):
            compile_network(network, ENCODING, target=HEAVY_HEX, num_qubits=wrong)  # type: ignore[arg-type]
    apart = GenericBackendV2(4, coupling_map=CouplingMap([[0, 1], [2, 3]]), seed=0)
    with pytest.raises(InvalidInputError, match="no joined part of it holds the 3 qubits"):
        compile_network(network, ENCODING, target=apart)
    empty = Target(num_qubits=3)
    empty.add_instruction(SXGate())
    with pytest.raises(InvalidInputError, match="this target has none of the two-qubit gates"):
        compile_network(network, ENCODING, target=empty)


def test_where_all_qubits_are_joined_nothing_is_routed() -> None:
    """As in an ion trap: the two-qubit gates are those of the network, on the qubits that err least."""
    network = TensorNetwork.random(balanced_tree(8), np.random.default_rng(0))
    made = GenericBackendV2(
        10,
        basis_gates=["rzz", "rx", "ry", "rz", "reset"],
        coupling_map=CouplingMap.from_full(10),
        noise_info=True,
        seed=1,
    )
    target = made.target
    for qubits in list(target["rzz"]):
        good = set(qubits) <= {2, 3, 5, 7, 8, 9}
        target.update_instruction_properties(
            "rzz", qubits, InstructionProperties(duration=1e-6, error=1e-3 if good else 0.1)
        )
    plain = compile_network(network, ENCODING)
    compiled = compile_network(network, ENCODING, target=made, num_qubits=6)
    assert compiled.device is not None
    assert compiled.device.joins_all
    assert compiled.two_qubit_gates == plain.two_qubit_gates
    assert set(compiled.layout or ()) <= {2, 3, 5, 7, 8, 9}
    X = np.random.default_rng(1).random((5, 8))
    np.testing.assert_allclose(compiled.probabilities(X), plain.probabilities(X), atol=1e-12)
    assert compiled.expected is not None
    widths = {each.num_qubits for each in candidates_for(network, made)}
    assert {min(widths), max(widths)} == {plain.num_qubits, 8}


def candidates_for(network: TensorNetwork, device: Any) -> list[Any]:
    model = Model(network.topology, ENCODING, FullUnitary())
    parameters = Parameters(network.unitaries, ENCODING.parameters(8))
    source = network_source(model, parameters)
    return compared(source, device_of(device), Synthesis(), reuse_qubits=True, most=10)
