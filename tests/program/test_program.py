"""A program says what each operation is, and is written to Qiskit and read back without loss."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector

from qtnml.ansatz import TensorNetwork
from qtnml.born import TreeState
from qtnml.compile import compile_network, compile_state
from qtnml.errors import InvalidInputError
from qtnml.gates import Synthesis
from qtnml.program import Barrier, Check, Encode, Gate, Node, Program, Read, Reset, Wait
from qtnml.structure import Topology, balanced_tree, mps, site_chain, with_reuploads
from tests.references import ENCODING
from tests.structure.strategies import small_trees


def kinds(program: Program) -> list[str]:
    return [type(operation).__name__ for operation in program.operations]


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(small_trees(max_qubits=8), st.booleans(), st.integers(0, 100))
def test_of_any_tree(topology: Topology, postselected: bool, seed: int) -> None:
    """One Encode for each data qubit, one Node for each node, a Reset where a qubit is used again."""
    network = TensorNetwork.random(topology, np.random.default_rng(seed))
    discard = "postselect" if postselected else "trace"
    # What gates nodes become does not matter here, and a fit of six qubits takes minutes.
    quick = Synthesis("analytic")
    program = compile_network(network, ENCODING, discard=discard, synthesis=quick).program  # type: ignore[arg-type]
    encoded = [op.place for op in program.operations if isinstance(op, Encode)]
    uploads = [place for node in topology.nodes for place in node.uploads]
    assert sorted(encoded) == sorted([*range(topology.num_data_qubits), *uploads])
    nodes = [op for op in program.operations if isinstance(op, Node)]
    assert sorted(op.number for op in nodes) == list(range(len(topology.nodes)))
    for node in nodes:
        assert {q for gate in node.gates for q in gate.qubits} <= set(node.qubits)
    checks = sum(isinstance(op, Check) for op in program.operations)
    discarded = sum(topology.num_qubits) - sum(node.width for node in topology.nodes)
    assert checks == (discarded if postselected else 0)
    assert sum(isinstance(op, Read) for op in program.operations) == topology.root_qubits
    used: set[int] = set()
    for step in program.steps:
        if isinstance(step, Reset):
            assert step.qubits[0] in used
        used.update(step.qubits)


@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("topology", [balanced_tree(8), mps(5, 2), with_reuploads(balanced_tree(4), 1)])
def test_written_and_read_it_is_the_same(topology: Topology, reuse: bool, rng: np.random.Generator) -> None:
    compiled = compile_network(TensorNetwork.random(topology, rng), ENCODING, reuse_qubits=reuse)
    program = compiled.program
    again = Program.read(program.circuit(), compiled.x).outlined(program.outline())
    assert kinds(again) == kinds(program)
    assert again.registers == program.registers
    assert again.circuit() == program.circuit()
    bound = compiled.trained_program
    assert kinds(bound) == kinds(program)
    assert not any(
        angle.parameters - set(compiled.x)
        for step in bound.steps
        if isinstance(step, Gate | Encode)
        for angle in step.instruction.params
        if hasattr(angle, "parameters")
    )


def test_strings_run_outward(rng: np.random.Generator) -> None:
    compiled = compile_state(TreeState.random(site_chain([2, 3, 2]), 2, rng))
    program = compiled.program
    assert program.direction == "outward"
    assert sorted(op.bit for op in program.operations if isinstance(op, Read)) == [0, 1, 2, 3]
    again = Program.read(program.circuit(), direction="outward").outlined(program.outline())
    assert kinds(again) == kinds(program)


def test_what_any_circuit_consists_of() -> None:
    x = ParameterVector("x", 2)
    circuit = QuantumCircuit(3, 2)
    circuit.ry(x[1], 0)
    circuit.rz(2 * x[0], 1)
    circuit.cx(0, 1)
    circuit.barrier()
    circuit.delay(100, 2, unit="ns")
    circuit.measure(0, 1)
    circuit.reset(0)
    program = Program.read(circuit, x)
    assert kinds(program) == ["Encode", "Encode", "Gate", "Barrier", "Wait", "Read", "Reset"]
    assert [op.place for op in program.operations if isinstance(op, Encode)] == [1, 0]
    assert len(program.steps) == 6
    assert not any(isinstance(step, Barrier) for step in program.steps)
    assert program.measured == (0,)
    assert isinstance(program.steps[3], Wait)
    assert program.circuit() == circuit or program.circuit().data == circuit.data


def test_what_does_not_fit(rng: np.random.Generator) -> None:
    compiled = compile_network(TensorNetwork.random(balanced_tree(4), rng), ENCODING)
    program = compiled.program
    shorter = compiled.trained_circuit.copy()
    shorter.data = shorter.data[:-1]
    with pytest.raises(InvalidInputError, match="does not consist of the program's operations"):
        program.written_as(shorter)
    longer = compiled.trained_circuit.copy()
    longer.barrier()
    with pytest.raises(InvalidInputError, match="more operations than the program"):
        program.written_as(longer)
    other = QuantumCircuit(2)
    other.rx(Parameter("a"), 0)
    with pytest.raises(InvalidInputError, match="does not consist"):
        program.written_as(other)
    plain = Program.read(program.circuit(), compiled.x)
    outline = program.outline()
    for damaged in ([[0, 0, [0], 99]], [[outline[0][0], 0, [7], outline[0][3]]]):
        with pytest.raises(ValueError, match="not its circuit's"):
            plain.outlined(damaged)
