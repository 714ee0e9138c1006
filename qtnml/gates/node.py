"""A node's unitary as gates: the method with the fewest two-qubit gates for its shape.

Two qubits: the Cartan form, at most 3 CX. Up to four, and more where fresh inputs leave few columns: the
numerical fit, which reaches the count below which generic nodes cannot be made (57 CX for a node of four
qubits that keeps two; Qiskit's generic synthesis takes 95). Otherwise Qiskit's Shannon decomposition.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.quantum_info import Operator
from threadpoolctl import threadpool_limits

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.gates.fidelity import channel_infidelity
from qtnml.gates.fitting import (
    REAL_TOLERANCE,
    Fit,
    all_pairs,
    fit_best,
    fit_exactly,
    generic_skeleton,
    line_pairs,
)
from qtnml.gates.shape import NodeShape
from qtnml.gates.skeleton import Skeleton
from qtnml.gates.synthesis import SynthesizedNode, append_rotation, merge_rotations, synthesize

GATE_SETS = ("cx", "cz", "ecr", "rzz")
# A fit of more unknowns, or on larger matrices (unknowns times their size), takes longer than seconds a node.
_FITTED_ANGLES, _FITTED_SIZE = 700, 3e7


@dataclass(frozen=True)
class Synthesis:
    """How nodes become gates.

    Attributes:
        method: "auto": the fewest two-qubit gates in at most seconds a node. "fitted": numerically
            whatever the size (minutes for a node of six qubits). "analytic": Cartan and Shannon
            decompositions only, in milliseconds.
        max_two_qubit_gates: The most in one node, fitted as well as they can be. None is exact.
        target_infidelity: The most of one node's channel; as few gates as reach it.
        pairs: Which qubits of a node the fit joins: "all", the neighbours of a "line", or these.
        two_qubit_gate: "cx", "cz", "ecr" or "rzz".
        seed: Of the fits' random starts.
    """

    method: Literal["auto", "fitted", "analytic"] = "auto"
    max_two_qubit_gates: int | None = None
    target_infidelity: float = 0.0
    pairs: Literal["all", "line"] | tuple[tuple[int, int], ...] = "all"
    two_qubit_gate: Literal["cx", "cz", "ecr", "rzz"] = "cx"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in ("auto", "fitted", "analytic"):
            raise InvalidInputError(f"method must be 'auto', 'fitted' or 'analytic', got {self.method!r}")
        most = self.max_two_qubit_gates
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 0):
            raise InvalidInputError(
                f"max_two_qubit_gates must be an integer of at least 0 or None, got {most!r}"
            )
        if not 0 <= self.target_infidelity < 1:
            raise InvalidInputError(f"target_infidelity must be in [0, 1), got {self.target_infidelity!r}")
        if self.pairs not in ("all", "line") and not isinstance(self.pairs, tuple):
            raise InvalidInputError(
                f"pairs must be 'all', 'line' or a tuple of pairs of qubits, got {self.pairs!r}"
            )
        if self.two_qubit_gate not in GATE_SETS:
            raise InvalidInputError(f"two_qubit_gate must be one of {GATE_SETS}, got {self.two_qubit_gate!r}")
        if self.method == "analytic" and self.approximate:
            raise InvalidInputError("analytic synthesis is exact; approximate with method='auto' or 'fitted'")

    @property
    def approximate(self) -> bool:
        """Whether a node may differ from its unitary."""
        return self.max_two_qubit_gates is not None or self.target_infidelity > 0


@dataclass(frozen=True)
class NodeGates:
    """One node as gates.

    Attributes:
        circuit: Gates with their angles.
        owed: Unitary (2**width, 2**width) on the kept wire that is still to come, for the node above.
        infidelity: Of the channel: see `channel_infidelity`.
    """

    circuit: QuantumCircuit
    owed: NDArray
    infidelity: float


def synthesize_node(unitary: NDArray, shape: NodeShape, synthesis: Synthesis) -> NodeGates:
    """Gates of a unitary (2**m, 2**m), up to what its surroundings cannot see.

    >>> fourier = np.exp(2j * np.pi * np.outer(range(8), range(8)) / 8) / np.sqrt(8)
    >>> node = synthesize_node(fourier, NodeShape(3, 1), Synthesis())
    >>> node.circuit.count_ops()["cx"] <= 12, node.infidelity < 1e-12
    (True, True)
    """
    unitary = np.ascontiguousarray(unitary, dtype=np.complex128)
    return _synthesized(unitary.tobytes(), shape, synthesis)


def own_gates(node: SynthesizedNode, unitary: NDArray, shape: NodeShape, synthesis: Synthesis) -> NodeGates:
    """Gates that an ansatz prescribes, kept as they are in the gate set "cx"."""
    circuit = _whole(node, shape)
    if synthesis.two_qubit_gate != "cx":
        circuit = _translated(circuit, synthesis.two_qubit_gate)
    # Nothing is owed to the node above, whose gates are its own as well.
    return NodeGates(circuit, np.eye(2**shape.width), channel_infidelity(unitary, _matrix(circuit), shape))


@lru_cache(maxsize=4096)
def _synthesized(content: bytes, shape: NodeShape, synthesis: Synthesis) -> NodeGates:
    dim = 2**shape.num_qubits
    unitary = np.frombuffer(content, dtype=np.complex128).reshape(dim, dim)
    found = [_finished(*made, unitary, shape) for made in _candidates(unitary, shape, synthesis)]
    best = min(found, key=lambda node: node.circuit.num_nonlocal_gates())
    if synthesis.two_qubit_gate != "cx":
        return _finished(_translated(best.circuit, synthesis.two_qubit_gate), best.owed, unitary, shape)
    return best


def _candidates(
    unitary: NDArray, shape: NodeShape, synthesis: Synthesis
) -> list[tuple[QuantumCircuit, NDArray | None]]:
    """Circuits, each with a unitary on the kept wire that follows it."""
    found: list[tuple[QuantumCircuit, NDArray | None]] = []
    if synthesis.method != "fitted" or shape.num_qubits < 2:
        exact = synthesize(unitary)
        if synthesis.max_two_qubit_gates is None or _count(exact.circuit) <= synthesis.max_two_qubit_gates:
            found.append((_whole(exact, shape), None))
    if shape.postselected:
        fit = _fitted(unitary.conj().T, shape.adjoint, synthesis) if shape.num_qubits > shape.width else None
        if fit is not None:
            found.append((fit.skeleton.circuit(fit.angles, shape.num_qubits).inverse(), None))
    elif shape.num_qubits > 1 and (fit := _fitted(unitary, shape, synthesis)) is not None:
        frame = fit.frame.real if fit.skeleton.real else fit.frame
        owed = shape.kept_factor(frame) if shape.output == "wire" else None
        found.append((fit.skeleton.circuit(fit.angles, shape.width), owed))
    return found or [(_whole(synthesize(unitary), shape), None)]


def _fitted(unitary: NDArray, shape: NodeShape, synthesis: Synthesis) -> Fit | None:
    """The numerical fit, or None where it is not wanted, takes too long or did not become exact."""
    if synthesis.method == "analytic" or (
        shape == NodeShape(2, 1) and not synthesis.approximate  # the Cartan form cannot be beaten
    ):
        return None
    # Matrices are small: a second thread gains nothing, and costs much beside other processes.
    with threadpool_limits(1 if shape.num_qubits <= 4 else None):
        return _fit(unitary, shape, synthesis)


def _fit(unitary: NDArray, shape: NodeShape, synthesis: Synthesis) -> Fit | None:
    rng = np.random.default_rng(synthesis.seed)
    cycle = _pairs(synthesis, shape.num_qubits)
    skeleton = generic_skeleton(shape, cycle, bool(np.abs(unitary.imag).max() < REAL_TOLERANCE))
    generic = len(skeleton.pairs)
    if synthesis.max_two_qubit_gates is not None:
        skeleton = skeleton.last(synthesis.max_two_qubit_gates)
    size = skeleton.num_angles * 4**shape.num_qubits * len(shape.columns)
    if synthesis.method == "auto" and (skeleton.num_angles > _FITTED_ANGLES or size > _FITTED_SIZE):
        return None
    if synthesis.target_infidelity > 0:
        return _fewest(unitary, shape, skeleton, synthesis.target_infidelity, rng)
    if len(skeleton.pairs) < generic:
        return fit_best(unitary, shape, skeleton, rng)
    return fit_exactly(unitary, shape, cycle, rng)


def _pairs(synthesis: Synthesis, num_qubits: int) -> tuple[tuple[int, int], ...]:
    if isinstance(synthesis.pairs, tuple):
        return synthesis.pairs
    return all_pairs(num_qubits) if synthesis.pairs == "all" else line_pairs(num_qubits)


def _fewest(
    unitary: NDArray, shape: NodeShape, skeleton: Skeleton, infidelity: float, rng: np.random.Generator
) -> Fit:
    """By bisection, the fewest of a skeleton's last gates that reach an infidelity; all if none do."""
    low, high = -1, len(skeleton.pairs)
    best = None
    while high - low > 1:
        middle = (low + high) // 2
        fit = fit_best(unitary, shape, skeleton.last(middle), rng)
        if 1 - (1 - fit.residual) ** 2 <= infidelity:
            best, high = fit, middle
        else:
            low = middle
    return best or fit_best(unitary, shape, skeleton, rng)


def _whole(node: SynthesizedNode, shape: NodeShape) -> QuantumCircuit:
    """With the last rotations of the qubits whose state matters afterwards."""
    circuit = node.circuit.copy()
    for qubit in range(shape.num_qubits if shape.postselected else shape.width):
        append_rotation(circuit, node.last[qubit], qubit)
    return circuit


def _finished(circuit: QuantumCircuit, owed: NDArray | None, unitary: NDArray, shape: NodeShape) -> NodeGates:
    """With the last rotations of a wire moved into what is owed."""
    owed = np.eye(2**shape.width) if owed is None else owed
    if shape.output == "wire":
        node = merge_rotations(circuit)
        circuit = node.circuit
        for rotation, qubit in zip(node.last, range(shape.width), strict=False):
            owed = owed @ np.kron(np.kron(np.eye(2**qubit), rotation), np.eye(2 ** (shape.width - 1 - qubit)))
        if shape.postselected:
            for qubit in range(shape.width, shape.num_qubits):
                append_rotation(circuit, node.last[qubit], qubit)
    built = np.kron(owed, np.eye(2 ** (shape.num_qubits - shape.width))) @ _matrix(circuit)
    return NodeGates(circuit, owed, channel_infidelity(unitary, built, shape))


def _translated(circuit: QuantumCircuit, two_qubit_gate: str) -> QuantumCircuit:
    return transpile(circuit, basis_gates=["u", two_qubit_gate], optimization_level=1)


def _matrix(circuit: QuantumCircuit) -> NDArray:
    return np.asarray(Operator(circuit.reverse_bits()).data)


def _count(circuit: QuantumCircuit) -> int:
    return int(circuit.num_nonlocal_gates())
