"""Result of the compiler: a parameterised Qiskit circuit and how to bind it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.quantum_info import Operator, SparsePauliOp

from qtnml.ansatz import TensorNetwork
from qtnml.arrays import NDArray
from qtnml.compile.assemble import gates_on, node_angles
from qtnml.compile.certificate import circuit_probabilities, verify
from qtnml.compile.expected import LARGEST_MAP, Expected
from qtnml.compile.pennylane import PennyLaneCircuit, to_pennylane
from qtnml.compile.report import Report, report_on
from qtnml.compile.schedule import Schedule
from qtnml.encoding import Encoding, FeatureScaler, data_angles
from qtnml.errors import InvalidInputError, SamplerWarning, warn_user
from qtnml.gates import NodeGates
from qtnml.noise import NOISELESS, NoisyCircuit
from qtnml.program import (
    BoundCircuits,
    Device,
    GateTimes,
    Program,
    Read,
    Reset,
    TypicalTimes,
    estimated_success,
    timeline,
)
from qtnml.program.passes import passes_of
from qtnml.shown import facts_html
from qtnml.structure import Topology


@dataclass(frozen=True, eq=False, kw_only=True)
class Compiled(ABC):
    """Base of all compiled circuits: networks that take data in, and states that strings are drawn from.

    Attributes:
        program: Operations of the circuit. Parameters `w` are the angles of the nodes' gates.
        w: The weight parameters.
        weights: Trained values of `w`.
        schedule: Which qubits each node acts on, and when.
        infidelity: 1 - product over nodes of the fidelity of the gates to their node.
        nodes: Gates of each node, with their trained angles, in the direction of the circuit.
        topology: Tree of the network.
        device: Device it was compiled for, or None. With a device, the circuit acts on the device's own
            qubits.
        layout: On a device: initial physical qubit of each qubit of the schedule.
        method: How qubits were chosen.
        estimated_success: Probability that nothing goes wrong on the device; see `estimated_success`.
        expected: Exact outcome under the device's calibration. None if it was not computed or cannot be.
        passes: Names of the passes that rewrote the program; see `with_passes`.
    """

    program: Program
    w: ParameterVector
    weights: NDArray
    schedule: Schedule
    infidelity: float
    nodes: tuple[NodeGates, ...]
    topology: Topology
    device: Device | None = None
    layout: tuple[int, ...] | None = None
    method: str = "list scheduling"
    estimated_success: float | None = None
    expected: Expected | None = None
    passes: tuple[str, ...] = ()

    @cached_property
    def circuit(self) -> QuantumCircuit:
        """The Qiskit circuit, with free parameters."""
        return self.program.circuit()

    @cached_property
    def trained_circuit(self) -> QuantumCircuit:
        """The circuit with its trained weights bound."""
        return self._with_values(self.weights)

    def _with_values(self, weights: NDArray) -> QuantumCircuit:
        # Translation into a device's gates may have found that some angles have no effect.
        return self.circuit.assign_parameters(dict(zip(self.w, weights, strict=True)), strict=False)

    @cached_property
    def trained_program(self) -> Program:
        """The program with its trained weights bound."""
        return self.program.written_as(self.trained_circuit)

    @property
    def num_qubits(self) -> int:
        """Number of physical qubits."""
        return self.schedule.num_qubits

    @property
    def depth(self) -> int:
        """Longest path of gates, resets and measurements."""
        return int(self.circuit.depth())

    @property
    def two_qubit_gates(self) -> int:
        """Number of two-qubit gates: CX, or the gates of the ansatz."""
        return int(self.circuit.num_nonlocal_gates())

    @property
    def num_resets(self) -> int:
        """Number of mid-circuit resets."""
        return sum(isinstance(step, Reset) for step in self.program.steps)

    @property
    @abstractmethod
    def num_features(self) -> int:
        """Number of features of a sample."""

    def duration(self, times: GateTimes | None = None) -> float:
        """Duration in seconds, with the device's gate times or `TypicalTimes()`."""
        return timeline(self.program, times or self.device or TypicalTimes()).duration

    def report(self, times: GateTimes | None = None) -> Report:
        """Qubits, depth, gates, time and infidelity, level by level; prints as a table.

        Args:
            times: Gate times. By default those of the device it was compiled for, else `TypicalTimes()`.
        """
        return report_on(self, times)

    def to_pennylane(self) -> "PennyLaneCircuit":
        """The circuit as a quantum function for PennyLane, with resets and trainable weights.

        >>> circuit = compiled.to_pennylane()                        # doctest: +SKIP
        >>> @qml.qnode(qml.device("default.qubit"))                  # doctest: +SKIP
        ... def probabilities(angles, weights):
        ...     circuit(angles, weights)
        ...     return qml.probs(wires=circuit.measured)
        >>> probabilities(compiled.angles(X)[0], compiled.weights)   # doctest: +SKIP

        A generative circuit returns its read-outs: `return qml.probs(op=circuit(weights=weights))`.
        """
        return to_pennylane(self)

    def with_passes(self, passes: Any) -> Self:
        """The same circuit, rewritten to have fewer errors on a device; its result stays the same.

        Args:
            passes: Names or objects of `qtnml.program.passes`, one or several, applied in the given order:
                "skip-resets" (no reset after a check), "feed-forward" (flips that depend on the last
                read-out, instead of resets), "twirl" (random Paulis), "merge" (joins gates on one qubit; the
                weights are bound and can no longer be trained), "decouple" (pulses while qubits wait),
                "hold-reads" (delays that keep read-outs early).

        >>> compiled.with_passes(["merge", "hold-reads"])               # doctest: +SKIP
        """
        found = self
        for each in passes_of(passes):
            if each.binds_weights and len(found.w):
                bound: dict[str, Any] = {
                    "program": found.trained_program,
                    "w": ParameterVector("w", 0),
                    "weights": np.empty(0),
                }
                found = replace(found, **bound)
            program = each(found.program, found.device)
            found = replace(found, program=program, passes=(*found.passes, each.name), expected=None)
        if found.device is not None and found is not self:
            found = replace(found, estimated_success=estimated_success(found.circuit, found.device))
        return found

    def with_weights(self, weights: NDArray) -> Self:
        """The same circuit with other values of `w`; its infidelity is NaN (it was to the old network)."""
        return replace(self, weights=self._checked(weights), infidelity=float("nan"), expected=None)

    def node_matrices(self, weights: NDArray | None = None) -> list[NDArray]:
        """The unitary of each node's gates, its first qubit the most significant.

        Args:
            weights: Values of `w`; the trained ones by default.
        """
        weights = self.weights if weights is None else self._checked(weights)
        found, start = [], 0
        for gates in self.nodes:
            count = len(node_angles(gates.circuit))
            # A circuit whose weights are bound has none, and its nodes are as they were trained.
            angles = weights[start : start + count] if len(weights) else node_angles(gates.circuit)
            start += count
            bound = QuantumCircuit(gates.circuit.num_qubits)
            for gate in gates_on(gates.circuit, range(bound.num_qubits), list(angles)):
                bound.append(gate.instruction, gate.qubits)
            found.append(np.asarray(Operator(bound.reverse_bits()).data))
        return found

    def _checked(self, weights: NDArray) -> NDArray:
        weights = np.asarray(weights, dtype=np.float64)
        if not np.isfinite(weights).all():
            raise InvalidInputError("weights must be finite, got NaN or infinity")
        self._check_free(weights)
        if weights.shape != self.weights.shape:
            raise InvalidInputError(f"expected {len(self.weights)} weights, got shape {weights.shape}")
        return weights

    def _warn_of_resets(self) -> None:
        if self.num_resets:
            warn_user(
                "this circuit resets qubits in the middle, which Qiskit's StatevectorSampler simulates "
                "wrongly and silently: get_backend(sampler) checks a sampler, reuse_qubits=False needs no "
                "resets",
                SamplerWarning,
            )

    def _check_free(self, weights: NDArray) -> None:
        if not len(self.weights) and np.size(weights):
            raise InvalidInputError(
                "this circuit's weights are bound (the pass 'merge' needs numbers); set them, or train, "
                "before that pass"
            )

    def _repr_html_(self) -> str:
        return facts_html(type(self).__name__, self.report().rows())

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self._size()}{self.num_qubits} qubits, depth {self.depth}, "
            f"{self.two_qubit_gates} two-qubit gates, {self.num_resets} resets, {len(self.w)} weights, "
            f"infidelity {self.infidelity:.1e}{'' if self.device is None else f', for {self.device.name}'})"
        )

    def _size(self) -> str:
        return ""


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class CompiledCircuit(Compiled):
    """A network compiled into a circuit that takes data in.

    The outcome is the classical register `c` read as a binary number (bit 0 least significant).

    Attributes:
        x: Parameters of the data angles in radians, one per data qubit.
        encoding: Turns features in [0, 1] into data angles.
        encoding_parameters: The encoding's trained values.
        scaler: Scales a user's features to [0, 1]; None if they are already scaled.
        network: The compiled network; None after the weights have been changed.
        postselected: Whether discarded qubits are measured into a second register, `postselect`. Only shots
            in which it is 0 count. Read as one integer, a result below `num_outcomes` is an outcome; discard
            any other result.
    """

    x: ParameterVector
    encoding: Encoding
    encoding_parameters: tuple[NDArray, ...]
    scaler: FeatureScaler | None
    network: TensorNetwork | None
    postselected: bool = False

    @property
    def num_outcomes(self) -> int:
        """Number of outcomes of the measurement."""
        return int(2 ** len(self.schedule.measured))

    def angles(self, X: NDArray) -> NDArray:
        """Values of the parameters `x` for samples (samples, features): (samples, data qubits), radians."""
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != self.num_features:
            raise InvalidInputError(
                f"expected samples with {self.num_features} features, got shape {X.shape}"
            )
        scaled = X if self.scaler is None else self.scaler(X)
        return data_angles(self.encoding, scaled, self.encoding_parameters)

    @property
    def num_features(self) -> int:
        """Number of features of a sample."""
        return len(self.x) // self.encoding.qubits_per_feature

    def bind(self, X: NDArray) -> BoundCircuits:
        """One fully bound circuit per sample of `X` (samples, features), each made on request."""
        return self.bind_angles(self.angles(X))

    def bind_angles(self, angles: NDArray, weights: NDArray | None = None) -> BoundCircuits:
        """One fully bound circuit per row of data angles in radians, as `angles` returns them.

        Args:
            angles: Shape (samples, data qubits).
            weights: Values of `w` for each sample, shape (samples, weights), or for all samples, (weights,).
                The trained values by default.
        """
        angles = _finite(angles, len(self.x), "angles")
        if weights is None:
            return BoundCircuits(self.trained_circuit, tuple(self.x), angles)
        self._check_free(weights)
        weights = _finite(
            np.broadcast_to(weights, (len(angles), np.shape(weights)[-1])), len(self.w), "weights"
        )
        return BoundCircuits(self.circuit, (*self.x, *self.w), np.hstack([angles, weights]))

    def pub(self, X: NDArray, *, free_weights: bool = False) -> tuple[QuantumCircuit, BindingsArray]:
        """Samples as one primitive unified bloc (PUB) of a Qiskit sampler: `sampler.run([compiled.pub(X)])`.

        The sampler must handle resets correctly. Those of Aer and IBM do. Qiskit's `StatevectorSampler` draws
        all shots of a circuit with resets from one random state, without a warning. `get_backend(sampler)`
        checks this.

        Args:
            X: Shape (samples, features).
            free_weights: Leave the weights as parameters of the circuit, bound to their trained values in
                the array.
        """
        self._warn_of_resets()
        circuit = (self.circuit if free_weights else self.trained_circuit).copy()
        return circuit, self._values(circuit, X, free_weights=free_weights)

    def estimator_pub(
        self, X: NDArray, *, free_weights: bool = False
    ) -> tuple[QuantumCircuit, list[list[SparsePauliOp]], BindingsArray]:
        """Samples as one PUB of a Qiskit estimator: `estimator.run([compiled.estimator_pub(X)])`.

        Its expectations are <Z> of the outcome's qubits, the most significant first, shape (qubits, samples).
        For one qubit, P(0) = (1 + <Z>) / 2. Resets stay in the circuit; the estimator adds its own read-out.

        Args:
            X: Shape (samples, features).
            free_weights: As for `pub`.

        Raises:
            InvalidInputError: The circuit is post-selected. Only some of its shots count, which estimators
                do not support.
        """
        if self.postselected:
            raise InvalidInputError(
                "an estimator knows no post-selection; use pub(X) with a sampler, or a model with "
                "discard='trace'"
            )
        program = self.program if free_weights else self.trained_program
        unread = tuple(step for step in program.operations if not isinstance(step, Read))
        circuit = replace(program, operations=unread, registers=()).circuit()
        zs = [
            [SparsePauliOp.from_sparse_list([("Z", [qubit], 1.0)], circuit.num_qubits)]
            for qubit in program.measured
        ]
        return circuit, zs, self._values(circuit, X, free_weights=free_weights)

    def _values(self, circuit: QuantumCircuit, X: NDArray, *, free_weights: bool) -> BindingsArray:
        """Values of a circuit's parameters for samples."""
        angles = self.angles(X)
        values = dict(zip(self.x, angles.T, strict=True))
        if free_weights:
            weights = np.broadcast_to(self.weights[:, None], (len(self.w), len(angles)))
            values |= zip(self.w, weights, strict=True)
        # Translation into a device's gates may have found that some angles have no effect.
        used = [parameter for parameter in values if parameter in circuit.parameters]
        names = tuple(parameter.name for parameter in used)
        return BindingsArray({names: np.stack([values[p] for p in used], axis=-1)})

    def probabilities(self, X: NDArray) -> NDArray:
        """Exact outcome probabilities (samples, outcomes) of the circuit's gates, with resets.

        If the circuit is post-selected, they are conditional on success. A sample takes microseconds at any
        number of qubits: the gates of each node become one transfer map (see `qtnml.noise.NoisyCircuit`). If
        too many qubits are entangled at once, the simulation is gate by gate, in milliseconds.
        """
        angles = self.angles(X)
        try:
            return self._exact.evaluate(angles)[0]
        except InvalidInputError:
            return circuit_probabilities(self, angles)

    @cached_property
    def _exact(self) -> NoisyCircuit:
        """The circuit without noise."""
        return NoisyCircuit(self, NOISELESS, LARGEST_MAP)

    def verify(self, X: NDArray, *, sdk: Literal["qiskit", "pennylane"] = "qiskit") -> float:
        """Largest deviation of the circuit's outcome probabilities from the network's contraction.

        The circuit's own gates are simulated exactly, with resets, at any number of qubits (see
        `factorised`). Up to 8 qubits, Qiskit's dense state simulates them a second time. Both are compared
        with the contraction of the network.

        Args:
            X: Samples (samples, features).
            sdk: Which gates to simulate: those of the Qiskit circuit, or of the circuit in PennyLane.
        """
        return verify(self, X, sdk)

    def with_weights(self, weights: NDArray) -> Self:
        """The same circuit with other values of `w`; its infidelity is NaN (it was to the old network)."""
        return replace(super().with_weights(weights), network=None)


def _finite(values: NDArray, columns: int, what: str) -> NDArray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != columns or not np.isfinite(values).all():
        raise InvalidInputError(
            f"expected finite {what} of shape (samples, {columns}), got shape {values.shape}"
        )
    return values
