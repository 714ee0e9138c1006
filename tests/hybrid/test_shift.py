import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library import XXPlusYYGate
from qiskit.quantum_info import Statevector

from qtnml.errors import InvalidInputError
from qtnml.hybrid import ShiftRule, shift_rules
from qtnml.hybrid.shift import shifted


def expectation(circuit: QuantumCircuit, values: np.ndarray) -> float:
    state = Statevector(circuit.assign_parameters(values))
    return float(state.probabilities([0])[1])


def derivative(circuit: QuantumCircuit, values: np.ndarray, place: int) -> tuple[float, float]:
    """By the shift rule, and by central differences of high order."""
    rule = shift_rules(circuit, list(circuit.parameters))[place]
    points = shifted(values, place, rule)
    exact = sum(c * expectation(circuit, point) for (c, _), point in zip(rule.terms, points, strict=True))
    step = 1e-3
    around = [expectation(circuit, values + k * step * np.eye(len(values))[place]) for k in (-2, -1, 1, 2)]
    return exact, float((around[0] - 8 * around[1] + 8 * around[2] - around[3]) / (12 * step))


@pytest.mark.parametrize(
    ("gate", "angles", "terms"),
    [
        ("rx", 1, 2), ("ry", 1, 2), ("rz", 1, 2), ("p", 1, 2), ("u", 3, 2), ("rxx", 1, 2), ("ryy", 1, 2),
        ("rzz", 1, 2), ("rzx", 1, 2), ("cp", 1, 2), ("crx", 1, 4), ("cry", 1, 4), ("crz", 1, 4),
    ],
)  # fmt: skip
def test_rules_are_exact_for_every_gate(gate: str, angles: int, terms: int, rng: np.random.Generator) -> None:
    parameters = ParameterVector("w", angles)
    circuit = QuantumCircuit(2)
    for qubit in (0, 1):
        circuit.u(*rng.normal(size=3), qubit)
    circuit.cx(0, 1)
    two = gate not in ("rx", "ry", "rz", "p", "u")
    getattr(circuit, gate)(*parameters, *((1, 0) if two else (0,)))
    circuit.u(*rng.normal(size=3), 0)
    circuit.cx(1, 0)
    circuit.u(*rng.normal(size=3), 0)
    for place in range(angles):
        exact, numeric = derivative(circuit, rng.normal(size=angles), place)
        assert abs(exact - numeric) < 1e-9
        assert len(shift_rules(circuit, list(parameters))[place].terms) == terms


def test_a_parameter_that_occurs_often(rng: np.random.Generator) -> None:
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(2)
    circuit.ry(a, 0)
    circuit.rx(2 * a + b, 1)
    circuit.crz(b, 0, 1)
    circuit.cx(1, 0)
    circuit.rx(a - 0.3, 0)
    circuit.r(0.7, b, 0)
    for place in (0, 1):
        exact, numeric = derivative(circuit, rng.normal(size=2), place)
        assert abs(exact - numeric) < 1e-9
    rule_a, _ = shift_rules(circuit, [a, b])
    assert len(rule_a.terms) == 2 * (1 + 2 + 1)


def test_no_effect_no_rule() -> None:
    circuit = QuantumCircuit(1)
    circuit.x(0)
    assert shift_rules(circuit, [Parameter("w")]) == [ShiftRule(())]


def test_gates_without_a_rule() -> None:
    w = Parameter("w")
    squared, odd, strange = QuantumCircuit(2), QuantumCircuit(2), QuantumCircuit(2)
    squared.rx(w * w, 0)
    odd.rx(w, 0)
    odd.rx(0.7 * w, 0)
    strange.append(XXPlusYYGate(w), [0, 1])
    with pytest.raises(InvalidInputError, match="not in proportion; use SPSA"):
        shift_rules(squared, [w])
    with pytest.raises(InvalidInputError, match="no multiples of each other"):
        shift_rules(odd, [w])
    with pytest.raises(InvalidInputError, match="gate 'xx_plus_yy' has no parameter-shift rule here"):
        shift_rules(strange, [w])
