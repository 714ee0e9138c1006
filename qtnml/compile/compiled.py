"""What the compiler returns: a parameterised Qiskit circuit and how to bind it."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

from qtnml.arrays import NDArray
from qtnml.compile.schedule import Schedule
from qtnml.encoding import Encoding, FeatureScaler, data_angles
from qtnml.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class CompiledCircuit:
    """A network as a circuit.

    Attributes:
        circuit: The encoding's gates (`ry`), those of the nodes (`u`, `cx`, or the ansatz's own), `reset`
            and a final measurement into classical bits `c`. Parameters `x` are the data angles in
            radians, one per data qubit, `w` every angle of the nodes' gates. Read as a binary number
            (bit 0 least significant), `c` is the outcome.
        x: The data parameters, one per data qubit.
        w: The weight parameters.
        weights: Trained values of `w`.
        schedule: Which qubits each node acts on, and when.
        infidelity: 1 - product over nodes of the fidelity of the gates' channel to the network's.
        encoding: Turns features in [0, 1] into data angles.
        encoding_parameters: The encoding's trained values.
        scaler: Turns a user's features into [0, 1]; None if they are there already.
    """

    circuit: QuantumCircuit
    x: ParameterVector
    w: ParameterVector
    weights: NDArray
    schedule: Schedule
    infidelity: float
    encoding: Encoding
    encoding_parameters: tuple[NDArray, ...] = ()
    scaler: FeatureScaler | None = None

    @property
    def num_qubits(self) -> int:
        """Physical qubits."""
        return self.schedule.num_qubits

    @property
    def depth(self) -> int:
        """Longest path of gates, resets and the measurement."""
        return int(self.circuit.depth())

    @property
    def two_qubit_gates(self) -> int:
        """Number of gates on two qubits: CX, or those of the ansatz."""
        return int(self.circuit.num_nonlocal_gates())

    @property
    def num_resets(self) -> int:
        """Number of mid-circuit resets."""
        return self.schedule.num_resets

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
        """Features of a sample."""
        return len(self.x) // self.encoding.qubits_per_feature

    @cached_property
    def trained_circuit(self) -> QuantumCircuit:
        """The circuit with its trained weights bound and its data angles `x` free."""
        return self.circuit.assign_parameters(dict(zip(self.w, self.weights, strict=True)))

    def bind(self, X: NDArray) -> list[QuantumCircuit]:
        """One fully bound circuit per sample of shape (samples, features)."""
        return self.bind_angles(self.angles(X))

    def bind_angles(self, angles: NDArray) -> list[QuantumCircuit]:
        """One fully bound circuit per row of data angles in radians, as `angles` returns them."""
        template = self.trained_circuit
        return [template.assign_parameters(dict(zip(self.x, row, strict=True))) for row in angles]

    def with_weights(self, weights: NDArray) -> "CompiledCircuit":
        """The same circuit with other values of `w` (its infidelity is to the old network: NaN)."""
        weights = np.asarray(weights, dtype=np.float64)
        if weights.shape != self.weights.shape:
            raise InvalidInputError(f"expected {len(self.weights)} weights, got shape {weights.shape}")
        return replace(self, weights=weights, infidelity=float("nan"))

    def __repr__(self) -> str:
        return (
            f"CompiledCircuit({self.num_qubits} qubits, depth {self.depth}, {self.two_qubit_gates} CX, "
            f"{self.num_resets} resets, {len(self.w)} weights, infidelity {self.infidelity:.1e})"
        )
