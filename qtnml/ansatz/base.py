"""Node ansaetze: what the numbers of a node are, its unitary, and its gates.

An ansatz has two faces, `unitary` for the contraction and `gates` for the compiler, and
`check_ansatz` compares them. Parameters of all nodes on m qubits stand in one stack: of rank 3 they
are matrices (training moves them on their manifold), of rank 2 they are real angles.
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
    """How a node on m qubits is parameterised. Implementations are frozen and hashable.

    One that prescribes gates may have a method `operations(parameters, num_qubits)` as well: qubits and
    matrices (count, 2**k, 2**k) of every gate, in the order of `gates`. Training under noise then acts
    between them.

    Attributes:
        name: Short and unique.
        prescribes_gates: `gates` is a circuit of the ansatz's own, to be kept gate by gate; otherwise the
            compiler synthesises the unitary itself, after a neighbour's rotations are multiplied in.
    """

    name: ClassVar[str]
    prescribes_gates: ClassVar[bool]

    def num_parameters(self, num_qubits: int) -> int:
        """Real parameters of a node on m qubits."""

    def start(self, normal: Normal, count: int, num_qubits: int, scale: float) -> Array:
        """First parameters of `count` nodes, spread by `scale`: (count, d, d) or (count, angles)."""

    def unitary(self, parameters: Array, num_qubits: int) -> Array:
        """Unitaries (count, 2**m, 2**m) of a stack; pure NumPy or JAX. Qubit 0 is the most significant."""

    def gates(self, parameters: NDArray, num_qubits: int) -> SynthesizedNode:
        """One node as gates, up to a global phase."""

    def project(self, parameters: NDArray) -> NDArray:
        """The nearest valid parameters, in double precision."""


@dataclass(frozen=True)
class FullUnitary:
    """Any unitary; the parameters are the matrices themselves."""

    name: ClassVar[str] = "full"
    prescribes_gates: ClassVar[bool] = False

    def num_parameters(self, num_qubits: int) -> int:
        """4**m - 1."""
        return int(4**num_qubits - 1)

    def start(self, normal: Normal, count: int, num_qubits: int, scale: float) -> Array:
        """`exp(i scale H)` with H from the Gaussian unitary ensemble of norm about 1.

        A small `scale` keeps what the tree sees close to the data at the start; a large one approaches
        Haar-random nodes, whose signal dies with depth.
        """
        dim = 2**num_qubits
        real, imag = normal((count, dim, dim)), normal((count, dim, dim))
        matrices = real + 1j * imag
        xp = namespace(matrices)
        hermitian = (matrices + xp.conj(xp.swapaxes(matrices, 1, 2))) / (2 * np.sqrt(2 * dim))
        return exp_i(scale * hermitian)

    def unitary(self, parameters: Array, num_qubits: int) -> Array:  # noqa: ARG002
        """The parameters."""
        return parameters

    def gates(self, parameters: NDArray, num_qubits: int) -> SynthesizedNode:  # noqa: ARG002
        """The whole unitary; the compiler, which knows what can be seen of it, needs fewer gates."""
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
        """d (d - 1) / 2 for d = 2**m."""
        dim = int(2**num_qubits)
        return dim * (dim - 1) // 2

    def start(self, normal: Normal, count: int, num_qubits: int, scale: float) -> Array:
        """`exp(scale A)` with A antisymmetric and Gaussian, of norm about 1."""
        dim = 2**num_qubits
        matrices = normal((count, dim, dim))
        xp = namespace(matrices)
        return exp_i(-0.5j * scale * (matrices - xp.swapaxes(matrices, 1, 2)) / np.sqrt(dim)).real

    def unitary(self, parameters: Array, num_qubits: int) -> Array:  # noqa: ARG002
        """The parameters, as complex numbers."""
        return parameters + 0j

    def gates(self, parameters: NDArray, num_qubits: int) -> SynthesizedNode:  # noqa: ARG002
        """The whole unitary, as for `FullUnitary`."""
        return synthesize(parameters)

    def project(self, parameters: NDArray) -> NDArray:
        """Polar factors."""
        return np.ascontiguousarray(project_to_unitary(parameters).real)


@dataclass(frozen=True)
class HermitianExponential:
    """exp(i H), the parameters being the elements of H (arXiv:1803.11537, section V).

    The d * d real parameters R of a node make H = (R + R^T) / 2 + i (R - R^T) / 2; the trace of H is a
    global phase.
    """

    name: ClassVar[str] = "hermitian"
    prescribes_gates: ClassVar[bool] = False

    def num_parameters(self, num_qubits: int) -> int:
        """4**m."""
        return int(4**num_qubits)

    def start(self, normal: Normal, count: int, num_qubits: int, scale: float) -> Array:
        """H of norm about `scale`, as for the full unitary."""
        dim = 2**num_qubits
        spread: float = scale / np.sqrt(2 * dim)
        return spread * normal((count, dim * dim))

    def unitary(self, parameters: Array, num_qubits: int) -> Array:
        """exp(i H)."""
        xp, dim = namespace(parameters), 2**num_qubits
        matrices = parameters.reshape(-1, dim, dim)
        flipped = xp.swapaxes(matrices, 1, 2)
        return exp_i(0.5 * (matrices + flipped) + 0.5j * (matrices - flipped))

    def gates(self, parameters: NDArray, num_qubits: int) -> SynthesizedNode:
        """The whole exponential, as for `FullUnitary`."""
        return synthesize(np.asarray(self.unitary(parameters[None], num_qubits))[0])

    def project(self, parameters: NDArray) -> NDArray:
        """Any real numbers are valid."""
        return np.asarray(parameters, dtype=np.float64)


@lru_cache(maxsize=64)
def generic_two_qubit_gates(ansatz: Any, shape: NodeShape) -> int:
    """CX (or other two-qubit) gates that the compiler spends on a generic node, counted on a random one."""
    rng, size = np.random.default_rng(0), shape.num_qubits
    parameters = np.asarray(ansatz.start(lambda dims: rng.normal(size=dims), 1, size, 1.0))
    if ansatz.prescribes_gates:
        return int(ansatz.gates(parameters[0], size).circuit.num_nonlocal_gates())
    unitary = np.asarray(ansatz.unitary(parameters, size))[0]
    return int(synthesize_node(unitary, shape, Synthesis()).circuit.num_nonlocal_gates())


def check_ansatz(ansatz: NodeAnsatz, num_qubits: int, rng: np.random.Generator) -> None:
    """The contract every ansatz fulfils, ours or yours, on nodes of m qubits.

    Unitaries are unitary, the gates are the same unitary up to a phase, JAX and NumPy agree, `project`
    leaves valid parameters as they are.

    Raises:
        InvalidInputError: The first promise that is broken.
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
