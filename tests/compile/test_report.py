import json
import math

import numpy as np
import pytest
from qiskit import QuantumCircuit

from qtnml.ansatz import TensorNetwork
from qtnml.compile import compile_network
from qtnml.program.timing import TypicalTimes, timeline, two_qubit_depth
from qtnml.structure import balanced_tree, mps
from tests.references import ENCODING


def test_report_counts_what_is_there() -> None:
    network = TensorNetwork.random(balanced_tree(16, 2), np.random.default_rng(0), scale=2.0)
    compiled = compile_network(network, ENCODING)
    report = compiled.report()
    assert (report.features, report.qubits, report.resets) == (16, 8, 8)
    assert [level.nodes for level in report.levels] == [4, 2, 1]
    assert sum(level.two_qubit_gates for level in report.levels) == report.two_qubit_gates == 6 * 57 + 32
    assert report.gates["cx"] == report.two_qubit_gates
    assert report.two_qubit_depth < report.depth
    assert report.depth_over_bound >= 1
    assert json.loads(report.to_json())["levels"][0]["nodes"] == 4
    text = str(report)
    assert "level 1" in text
    assert "4 node(s), 228 two-qubit gates" in text
    assert report.estimated_success is None


def test_what_is_not_known_is_null() -> None:
    network = TensorNetwork.random(balanced_tree(4), np.random.default_rng(0), scale=2.0)
    compiled = compile_network(network, ENCODING)
    changed = compiled.with_weights(compiled.weights + 0.1).report()
    assert json.loads(changed.to_json())["infidelity"] is None
    assert changed.levels == ()


def test_equal_levels_are_one_row() -> None:
    network = TensorNetwork.random(mps(12), np.random.default_rng(0), scale=2.0)
    report = compile_network(network, ENCODING).report()
    assert "levels 1 to 10   1 node(s), 3 two-qubit gates" in str(report)
    assert report.depth_over_bound == 1.0


def test_no_schedule_beats_its_bound() -> None:
    network = TensorNetwork.random(balanced_tree(32), np.random.default_rng(0), scale=2.0)
    over = [compile_network(network, ENCODING, num_qubits=k).report().depth_over_bound for k in (6, 12, 32)]
    assert min(over) >= 1
    assert over[-1] == pytest.approx(1.0)


def test_time_of_a_circuit_by_hand() -> None:
    """Gates as late as they can be; waiting counts only between a qubit's first use and its reset."""
    circuit = QuantumCircuit(3, 1)
    circuit.ry(0.1, 0)
    circuit.cx(0, 1)
    circuit.ry(0.2, 2)
    circuit.reset(1)
    circuit.ry(0.3, 1)
    circuit.cx(0, 1)
    circuit.cx(0, 2)
    circuit.measure(0, 0)
    times = TypicalTimes(one_qubit=1, two_qubit=2, reset=10, readout=20)
    line = timeline(circuit, times)
    assert line.duration == 1 + 2 + 10 + 1 + 2 + 2 + 20
    # Qubit 0 waits for reset and rotation; 1 is reset, then let go; 2 is prepared as late as possible.
    assert line.idle == (11, 0, 0)
    assert two_qubit_depth(circuit) == 3


def test_what_is_finished_is_read_at_once() -> None:
    """A qubit waits after its read-out, where it does no harm, unless it is used again."""
    circuit = QuantumCircuit(2, 3)
    circuit.ry(0.1, 0)
    circuit.cx(0, 1)
    circuit.ry(0.2, 0)
    circuit.measure(0, 0)
    for _ in range(50):
        circuit.ry(0.1, 1)
    circuit.measure(1, 1)
    times = TypicalTimes(one_qubit=1, two_qubit=2, reset=10, readout=20)
    line = timeline(circuit, times)
    assert line.duration == 1 + 2 + 50 + 20
    assert line.idle == (0, 0)
    circuit.x(0)
    circuit.cx(1, 0)
    circuit.measure(0, 2)
    line = timeline(circuit, times)
    # Turned at 3, read at 4, free at 24, turned just before the gate that follows the other's read-out at 73.
    assert line.duration == 1 + 2 + 50 + 20 + 2 + 20
    assert line.idle == (48, 0)
    assert line.waits[3] == (48,)
    assert sum(map(sum, line.waits)) == 48


def test_an_idle_wire_waits(rng: np.random.Generator) -> None:
    """In the tree on the fewest qubits the first wires wait for the others; in a chain none does much."""
    tree = compile_network(TensorNetwork.random(balanced_tree(16), rng), ENCODING).report()
    wide = compile_network(
        TensorNetwork.random(balanced_tree(16), rng), ENCODING, reuse_qubits=False
    ).report()
    assert sum(tree.idle) > 10 * sum(wide.idle) >= 0
    assert tree.duration > wide.duration
    assert not math.isnan(tree.depth_over_bound)
