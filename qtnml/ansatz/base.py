"""Node ansaetze: they map trainable parameters of a node to a unitary and to a gate sequence.

An ansatz has two parts, `unitary` for the contraction and `gates` for the compiler; `check_ansatz` compares
them. The parameters of all nodes on m qubits are in one stack. Parameters of rank 3 are matrices (training
moves them on their manifold). Parameters of rank 2 are real angles.
"""

from collections.abc import Callable, Hashable
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Protocol

import numpy as np
from qiskit.quantum_info import Operator

from qtnml.ansatz.expm import exp_i
from qtnml.ansatz.unitaries import project_to_unitary, unitarity_error
from qtnml.arrays import Array, NDArray, namespace
from qtnml.errors import InvalidInputError
from qtnml.gates import NodeShape, Synthesis, SynthesizedNode, synthesize, synthesize_node

Normal = Callable[[tuple[int, ...]], Array]
"""Draws standard normal numbers of a shape: of NumPy or JAX, as the caller likes."""


class NodeAnsatz(Hashable, Protocol):
    """Parameterisation of a node on m qubits. Implementations are frozen and hashable.

    An ansatz that prescribes gates may also have a method `operations(parameters, num_qubits)`. It returns
    qubits and matrices (count, 2**k, 2**k) of every gate, in the order of `gates`. In training under noise,
    the noise then acts between them.

    Attributes:
        name: A short, unique name.
        prescribes_gates: Whether `gates` is the ansatz's own circuit, which is kept gate by gate. Otherwise
            the compiler synthesises the unitary, after a neighbour's rotations are multiplied in.
    """

    name: ClassVar[str]
    prescribes_gates: ClassVar[bool]

    def num_parameters(self, num_qubits: int) -> int:
        """Number of real parameters of a node on m qubits."""

    def start(self, normal: Normal, count: int, num_qubits: int, scale: float) -> Array:
        """Initial parameters of `count` nodes, spread by `scale`: (count, d, d) or (count, angles)."""

    def unitary(self, parameters: Array, num_qubits: int) -> Array:
        """Unitaries (count, 2**m, 2**m) of a stack; pure NumPy or JAX. Qubit 0 is the most significant."""

    def gates(self, parameters: NDArray, num_qubits: int) -> SynthesizedNode:
        """The gates of one node, up to a global phase."""

    def project(self, parameters: NDArray) -> NDArray:
        """The nearest valid parameters, in double precision."""


@dataclass(frozen=True)
class FullUnitary:
    """Any unitary; the parameters are the matrices themselves."""

    name: ClassVar[str] = "full"
    prescribes_gates: ClassVar[bool] = False

    def num_parameters(self, num_qubits: int) -> int:
        """Number of parameters, 4**m - 1."""
        return int(4**num_qubits - 1)

    def start(self, normal: Normal, count: int, num_qubits: int, scale: float) -> Array:
        """Initial matrices `exp(i scale H)`, with H from the Gaussian unitary ensemble of norm about 1.

        With a small `scale`, nodes start near the identity and change the data little. A large `scale`
        approaches Haar-random nodes, whose signal vanishes with depth.
        """
        dim = 2**num_qubits
        real, imag = normal((count, dim, dim)), normal((count, dim, dim))
        matrices = real + 1j * imag
        xp = namespace(matrices)
        hermitian = (matrices + xp.conj(xp.swapaxes(matrices, 1, 2))) / (2 * np.sqrt(2 * dim))
        return exp_i(scale * hermitian)

    def unitary(self, parameters: Array, num_qubits: int) -> Array:  # noqa: ARG002
        """The parameters, which are the unitaries."""
        return parameters

    def gates(self, parameters: NDArray, num_qubits: int) -> SynthesizedNode:  # noqa: ARG002
        """The whole unitary as one gate. The compiler knows what is observable and needs fewer gates."""
        return synthesize(parameters)

    def project(self, parameters: NDArray) -> NDArray:
        """Polar factors."""
        return project_to_unitary(parameters)


@dataclass(frozen=True)
class Orthogonal:
    """Real unitaries of determinant 1: 2 CX on two qubits instead of 3, and half the parameters."""

    name: ClassVar[str] = "orthogonal"
    prescribes_gates: ClassVar[bool] = False

    def num_parameters(self, num_qubits: int) -> int:
        """Number of parameters, d (d - 1) / 2 for d = 2**m."""
        dim = int(2**num_qubits)
        return dim * (dim - 1) // 2

    def start(self, normal: Normal, count: int, num_qubits: int, scale: float) -> Array:
        """Initial matrices `exp(scale A)`, with A antisymmetric and Gaussian, of norm about 1."""
        dim = 2**num_qubits
        matrices = normal((count, dim, dim))
        xp = namespace(matrices)
        return exp_i(-0.5j * scale * (matrices - xp.swapaxes(matrices, 1, 2)) / np.sqrt(dim)).real

    def unitary(self, parameters: Array, num_qubits: int) -> Array:  # noqa: ARG002
        """The parameters, as complex numbers."""
        return parameters + 0j

    def gates(self, parameters: NDArray, num_qubits: int) -> SynthesizedNode:  # noqa: ARG002
        """The whole unitary as one gate, as for `FullUnitary`."""
        return synthesize(parameters)

    def project(self, parameters: NDArray) -> NDArray:
        """Polar factors."""
        return np.ascontiguousarray(project_to_unitary(parameters).real)


@dataclass(frozen=True)
class HermitianExponential:
    """Unitaries exp(i H), parameterised by the elements of H (arXiv:1803.11537, section V).

    The d * d real parameters R of a node make H = (R + R^T) / 2 + i (R - R^T) / 2. The trace of H is a global
    phase.
    """

    name: ClassVar[str] = "hermitian"
    prescribes_gates: ClassVar[bool] = False

    def num_parameters(self, num_qubits: int) -> int:
        """Number of parameters, 4**m."""
        return int(4**num_qubits)

    def start(self, normal: Normal, count: int, num_qubits: int, scale: float) -> Array:
        """Initial H of norm about `scale`, as for the full unitary."""
        dim = 2**num_qubits
        spread: float = scale / np.sqrt(2 * dim)
        return spread * normal((count, dim * dim))

    def unitary(self, parameters: Array, num_qubits: int) -> Array:
        """The unitaries exp(i H)."""
        xp, dim = namespace(parameters), 2**num_qubits
        matrices = parameters.reshape(-1, dim, dim)
        flipped = xp.swapaxes(matrices, 1, 2)
        return exp_i(0.5 * (matrices + flipped) + 0.5j * (matrices - flipped))

    def gates(self, parameters: NDArray, num_qubits: int) -> SynthesizedNode:
        """The whole exponential as one gate, as for `FullUnitary`."""
        return synthesize(np.asarray(self.unitary(parameters[None], num_qubits))[0])

    def project(self, parameters: NDArray) -> NDArray:
        """Any real numbers are valid."""
        return np.asarray(parameters, dtype=np.float64)


@lru_cache(maxsize=64)
def generic_two_qubit_gates(ansatz: Any, shape: NodeShape) -> int:
    """Number of CX (or other two-qubit) gates of a generic node, counted by compiling a random one."""
    rng, size = np.random.default_rng(0), shape.num_qubits
    parameters = np.asarray(ansatz.start(lambda dims: rng.normal(size=dims), 1, size, 1.0))
    if ansatz.prescribes_gates:
        return int(ansatz.gates(parameters[0], size).circuit.num_nonlocal_gates())
    unitary = np.asarray(ansatz.unitary(parameters, size))[0]
    return int(synthesize_node(unitary, shape, Synthesis()).circuit.num_nonlocal_gates())


def check_ansatz(ansatz: NodeAnsatz, num_qubits: int, rng: np.random.Generator) -> None:
    """Check the contract of every ansatz, built in or your own, on nodes of m qubits.

    Unitaries are unitary. The gates are the same unitary up to a phase. JAX and NumPy agree. `project` does
    not change valid parameters.

    Raises:
        InvalidInputError: A check failed; the error names the first one.
    """
    import jax.numpy as jnp

    if copy(ansatz) != ansatz or hash(copy(ansatz)) != hash(ansatz):
        raise InvalidInputError(
            f"{ansatz.name}: differs from its own copy; make it a frozen dataclass, which compares by value"
        )
    count, dim = 3, 2**num_qubits
    start = ansatz.start(lambda shape: rng.normal(size=shape), count, num_qubits, 1.0)
    parameters = ansatz.project(np.asarray(start))
    if parameters.shape != start.shape or parameters.ndim not in (2, 3):
        raise InvalidInputError(f"{ansatz.name}: parameters of shape {parameters.shape} are no stack")
    if not np.abs(parameters - start).max() < 1e-12:
        raise InvalidInputError(f"{ansatz.name}: project moves parameters that are valid already")
    unitaries = np.asarray(ansatz.unitary(parameters, num_qubits))
    if unitaries.shape != (count, dim, dim) or not unitarity_error(unitaries) < 1e-12:
        raise InvalidInputError(f"{ansatz.name}: `unitary` does not return unitaries on {num_qubits} qubits")
    for row, unitary in zip(parameters, unitaries, strict=True):
        node = ansatz.gates(row, num_qubits)
        last: NDArray = np.eye(1)
        for rotation in node.last:
            last = np.kron(last, rotation)
        built = last @ Operator(node.circuit.reverse_bits()).data
        overlap = abs(np.trace(built.conj().T @ unitary)) / dim
        if not abs(overlap - 1) < 1e-12:
            raise InvalidInputError(f"{ansatz.name}: gates and unitary differ (overlap {overlap:.6g})")
    if hasattr(ansatz, "operations"):
        _check_operations(ansatz, parameters, unitaries, num_qubits)
    in_jax = np.asarray(ansatz.unitary(jnp.asarray(parameters), num_qubits))
    if not np.abs(in_jax - unitaries).max() < 1e-4:
        raise InvalidInputError(f"{ansatz.name}: JAX and NumPy differ")


def _check_operations(ansatz: Any, parameters: NDArray, unitaries: NDArray, num_qubits: int) -> None:
    """The operations multiply to the unitary, and are those of the gates."""
    operations = ansatz.operations(parameters, num_qubits)
    circuit = ansatz.gates(parameters[0], num_qubits).circuit
    where = [tuple(circuit.find_bit(bit).index for bit in gate.qubits) for gate in circuit.data]
    if [qubits for qubits, _ in operations] != where:
        raise InvalidInputError(f"{ansatz.name}: operations and gates act on different qubits")
    dim, count = 2**num_qubits, len(parameters)
    product = np.tile(np.eye(dim, dtype=np.complex128), (count, 1, 1)).reshape(count, *[2] * num_qubits, dim)
    for qubits, matrices in operations:
        axes, ends = [1 + q for q in qubits], list(range(1, 1 + len(qubits)))
        moved = np.moveaxis(product, axes, ends)
        flat = np.asarray(matrices) @ moved.reshape(count, 2 ** len(qubits), -1)
        product = np.moveaxis(flat.reshape(moved.shape), ends, axes)
    if not np.abs(product.reshape(count, dim, dim) - unitaries).max() < 1e-12:
        raise InvalidInputError(f"{ansatz.name}: operations do not multiply to the unitary")
