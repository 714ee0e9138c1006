import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Operator, Statevector
from qiskit.transpiler import CouplingMap

from qtnml import TreeClassifier
from qtnml.ansatz import TensorNetwork
from qtnml.backends.translation import Translation, Translator
from qtnml.compile import BoundCircuits, compile_network
from qtnml.encoding import AngleEncoding
from qtnml.program.rotations import without_symbolic_phases
from qtnml.structure import balanced_tree


def device(gates: list[str]) -> GenericBackendV2:
    """A line of qubits."""
    return GenericBackendV2(6, [*gates, "reset"], coupling_map=CouplingMap.from_line(6), seed=1)


@pytest.mark.parametrize("gates", [["rz", "sx", "x", "cz"], ["r", "cz"], ["u", "cx"], ["rx", "rz", "cz"]])
def test_hundreds_of_free_weights_are_translated(gates: list[str], rng: np.random.Generator) -> None:
    network = TensorNetwork.random(balanced_tree(16), rng)
    compiled = compile_network(network, AngleEncoding())
    translator = Translator(device(gates), Translation(optimization_level=1))
    X = rng.random((1, 16))
    circuits = compiled.bind_angles(compiled.angles(X), compiled.weights)
    (group,) = translator.groups(circuits)
    assert group.template.num_parameters == len(compiled.w) + 16
    assert set(group.template.count_ops()) <= {*gates, "measure", "reset"}
    assert translator.translated(circuits.template) is group.template  # once


@pytest.mark.parametrize("gates", [["rz", "sx", "x", "cz"], ["r", "cz"]])
def test_rewritten_rotations_are_the_same(gates: list[str], rng: np.random.Generator) -> None:
    w = ParameterVector("w", 5)
    circuit = QuantumCircuit(2)
    circuit.u(w[0], w[1], w[2], 0)
    circuit.ry(w[3], 1)
    circuit.cx(0, 1)
    circuit.u(w[4], 0.3, -0.2, 1)
    values = rng.normal(size=5)
    rewritten = without_symbolic_phases(circuit, device(gates).target)
    assert Operator(rewritten.assign_parameters(values)).equiv(Operator(circuit.assign_parameters(values)))


def test_native_circuits_are_left_alone() -> None:
    native = QuantumCircuit(6, 1)
    native.sx(3)
    native.cz(3, 4)
    native.measure(3, 0)
    translator = Translator(device(["rz", "sx", "x", "cz"]))
    assert translator.translated(native) is native
    apart = native.copy()
    apart.cz(0, 5)  # not neighbours
    assert translator.translated(apart) is not apart


def test_a_device_circuit_and_its_values_belong_together(
    trained: TreeClassifier, rng: np.random.Generator
) -> None:
    """Translation may drop parameters and reorder them; the columns must follow."""
    a, b = ParameterVector("a", 2)
    template = QuantumCircuit(1, 1)
    template.rz(b, 0)  # no effect on |0>
    template.rx(a, 0)
    template.measure(0, 0)
    circuits = BoundCircuits(template, (b, a), np.array([[0.3, 1.1]]))
    (group,) = Translator(device(["rz", "sx", "x", "cz"])).groups(circuits)
    (bound,) = group.circuits()
    bound.remove_final_measurements()
    state = Statevector(bound)
    qubit = next(iter({bound.find_bit(q).index for gate in bound.data for q in gate.qubits}))
    assert state.probabilities([qubit])[1] == pytest.approx(np.sin(0.55) ** 2)
