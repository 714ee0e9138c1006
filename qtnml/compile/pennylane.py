"""A compiled circuit inside PennyLane: the same gates, resets and parameters, trainable in any QNode."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterExpression

from qtnml.arrays import Array, NDArray
from qtnml.compile.factorised import (
    Operation,
    measured_qubits,
    probabilities_of,
    projection,
    success_bits,
)
from qtnml.errors import InvalidInputError, MissingExtraError

if TYPE_CHECKING:
    from qtnml.compile.compiled import Compiled, CompiledCircuit


def _POSTSELECT() -> None:  # noqa: N802
    """Stands for a projection on |0> among gates."""


def _READ() -> None:  # noqa: N802
    """Stands for a read-out in the middle of a circuit."""


def _READ_AND_RESET() -> None:  # noqa: N802
    """Stands for a read-out after which the wire is |0>."""


@dataclass(frozen=True)
class _Angle:
    """constant + sum of factor * array[place] over terms (array, place, factor)."""

    constant: float
    terms: tuple[tuple[str, int, float], ...]

    def value(self, arrays: dict[str, Array]) -> Any:
        """A number, or one for each sample; differentiable in the arrays."""
        total: Any = self.constant
        for name, place, factor in self.terms:
            value = arrays[name][..., place]
            total = total + (value if factor == 1 else factor * value)
        return total


@dataclass(frozen=True)
class _Step:
    gate: Callable[..., Any] | None  # None resets
    wires: tuple[int, ...]
    angles: tuple[_Angle, ...]
    bit: int = -1  # that a read-out decides


@dataclass(frozen=True)
class PennyLaneCircuit:
    """A quantum function: call it inside a QNode, then measure the wires `measured`.

    Attributes:
        num_wires: Wires it acts on, 0, 1, ...
        measured: Wires of the outcome, most significant bit first: `qml.probs(wires=circuit.measured)`. Of a
            circuit that draws strings the wire of each bit; it is read in the middle, and the call returns
            what `qml.probs(op=...)` and `qml.sample(op=...)` take.
        weights: Trained weights, the default.
    """

    num_wires: int
    measured: tuple[int, ...]
    weights: NDArray
    _steps: tuple[_Step, ...]

    def __repr__(self) -> str:
        return (
            f"PennyLaneCircuit({self.num_wires} wires, {len(self.weights)} weights, measures {self.measured})"
        )

    def __call__(self, angles: Array | None = None, weights: Array | None = None) -> list[Any]:
        """Queue the gates; of a circuit that draws strings return the read-outs, bit 0 first.

        Args:
            angles: Data angles in radians, as `CompiledCircuit.angles` gives them: (data qubits,), or
                (samples, data qubits) on a device that broadcasts. A circuit that draws strings takes none.
            weights: Shape (weights,), of any of PennyLane's interfaces; trainable.
        """
        import pennylane as qml

        arrays = {"x": np.empty(0) if angles is None else angles}
        arrays["w"] = self.weights if weights is None else weights
        read: dict[int, Any] = {}
        for step in self._steps:
            if step.gate is None:
                qml.measure(step.wires[0], reset=True)
            elif step.gate is _POSTSELECT:
                qml.measure(step.wires[0], postselect=0)
            elif step.gate in (_READ, _READ_AND_RESET):
                read[step.bit] = qml.measure(step.wires[0], reset=step.gate is _READ_AND_RESET)
            else:
                step.gate(*(angle.value(arrays) for angle in step.angles), wires=step.wires)
        return [read[bit] for bit in sorted(read)]


def to_pennylane(compiled: "Compiled") -> PennyLaneCircuit:
    """See `Compiled.to_pennylane`."""
    circuit, draws = compiled.circuit, compiled.program.direction == "outward"
    steps = _with_resets_joined(_steps(circuit, reads=draws))
    return PennyLaneCircuit(
        circuit.num_qubits, tuple(measured_qubits(circuit)), compiled.weights, tuple(steps)
    )


def _with_resets_joined(steps: list[_Step]) -> list[_Step]:
    """A read-out and the reset that follows it as one, which takes one measurement instead of two."""
    found: list[_Step] = []
    last: dict[int, int] = {}  # of each wire the place of what happened to it last
    for step in steps:
        before = last.get(step.wires[0])
        if step.gate is None and before is not None and found[before].gate is _READ:
            found[before] = replace(found[before], gate=_READ_AND_RESET)
            continue
        for wire in step.wires:
            last[wire] = len(found)
        found.append(step)
    return found


def quantum_function(circuit: QuantumCircuit) -> Callable[[], Any]:
    """A bound Qiskit circuit, without its measurements, as a quantum function of no arguments."""
    steps = PennyLaneCircuit(circuit.num_qubits, (), np.empty(0), tuple(_steps(circuit)))
    return lambda: steps(np.empty(0))


def measured_wires(circuit: QuantumCircuit) -> tuple[int, ...]:
    """Wires measured into each classical bit, the last bit (the most significant) first."""
    return tuple(measured_qubits(circuit))


def pennylane_probabilities(compiled: "CompiledCircuit", angles: NDArray) -> NDArray:
    """Exact outcome probabilities of the PennyLane circuit, by its own matrices, at angles (samples, ...)."""
    circuit = to_pennylane(compiled)
    return probabilities_of(lambda part: _operations(circuit, part), circuit.measured, angles)


def _operations(circuit: PennyLaneCircuit, angles: NDArray) -> list[Operation]:
    """What the quantum function queues, as matrices of PennyLane's own."""
    qml = _pennylane()
    with qml.queuing.AnnotatedQueue() as queue:
        circuit(angles)
    operations = []
    for operation in qml.tape.QuantumScript.from_queue(queue).operations:
        wires = tuple(operation.wires)
        if getattr(operation, "postselect", None) == 0:
            operations.append(projection(wires))
        elif getattr(operation, "reset", None) is True:
            operations.append(Operation(wires, None))
        else:
            operations.append(Operation(wires, np.asarray(operation.matrix())))
    return operations


def _steps(circuit: QuantumCircuit, *, reads: bool = False) -> list[_Step]:
    qml = _pennylane()
    gates = {
        "u": qml.U3, "ry": qml.RY, "rz": qml.RZ, "rx": qml.RX, "sx": qml.SX, "x": qml.PauliX,
        "cx": qml.CNOT, "cz": qml.CZ, "ecr": qml.ECR, "rzz": qml.IsingZZ, "swap": qml.SWAP,
        "h": qml.Hadamard, "p": qml.PhaseShift, "y": qml.PauliY, "z": qml.PauliZ, "s": qml.S, "t": qml.T,
    }  # fmt: skip
    checks = success_bits(circuit)
    steps = []
    for instruction in circuit.data:
        name = instruction.operation.name
        wires = tuple(circuit.find_bit(bit).index for bit in instruction.qubits)
        if name == "measure" and instruction.clbits[0] in checks:
            steps.append(_Step(_POSTSELECT, wires, ()))
        elif name == "measure" and reads:
            steps.append(_Step(_READ, wires, (), circuit.find_bit(instruction.clbits[0]).index))
        elif name in ("measure", "barrier", "delay", "id"):
            continue
        elif name in ("reset", "if_else"):  # a flip by the bit that was just read is the same
            steps.append(_Step(None, wires, ()))
        elif name in gates:
            steps.append(_Step(gates[name], wires, tuple(map(_angle, instruction.operation.params))))
        else:
            raise InvalidInputError(
                f"gate {name!r} has no PennyLane counterpart here; compile into one of {sorted(gates)}"
            )
    return steps


def _angle(parameter: Any) -> _Angle:
    """A parameter of a gate: a number, or linear in the circuit's parameters."""
    if not isinstance(parameter, ParameterExpression) or not parameter.parameters:
        return _Angle(float(parameter), ())
    free = sorted(parameter.parameters, key=lambda p: (p.vector.name, p.index))
    terms = tuple((p.vector.name, p.index, float(parameter.gradient(p))) for p in free)
    return _Angle(float(parameter.bind(dict.fromkeys(free, 0.0))), terms)


def _pennylane() -> Any:
    try:
        import pennylane
    except ImportError as error:
        raise MissingExtraError("PennyLane is not installed; pip install 'qtnml[pennylane]'") from error
    return pennylane
