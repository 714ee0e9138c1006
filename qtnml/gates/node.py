"""A node's unitary as gates, by the method with the fewest two-qubit gates for its shape.

Two qubits use the Cartan form, with at most 3 CX. Up to four qubits, and more if fresh inputs leave few
columns, use the numerical fit. It reaches the smallest possible count for generic nodes (57 CX for a node of
four qubits that keeps two; Qiskit's generic synthesis takes 95). Other nodes use Qiskit's Shannon
decomposition.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

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
_FITTED_QUBITS = 6
_FITTED_ANGLES, _FITTED_SIZE = 700, 3e7
_EXACT = 1e-6  # infidelity: rounding makes some 1e-12 of it
_FEW = 4  # two-qubit gates, up to which every number is tried


@dataclass(frozen=True)
class Synthesis:
    """Options of the synthesis of nodes into gates.

    Attributes:
        method: "auto": the fewest two-qubit gates, in at most seconds per node. "fitted": numerical fits at
            any size (minutes for a node of six qubits). "analytic": only Cartan and Shannon decompositions,
            in milliseconds.
        max_two_qubit_gates: Largest number of two-qubit gates in one node, fitted as well as possible; fewer
            if that is closer. None is exact.
        target_infidelity: Largest infidelity of one node's channel. The node gets the fewest gates found that
            reach it.
        pairs: Pairs of a node's qubits that the fit joins: "all", the neighbours of a "line", or given pairs.
        two_qubit_gate: "cx", "cz", "ecr" or "rzz".
        seed: Seed of the fits' random starts.
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
        if most is not None and not _is_count(most):
            raise InvalidInputError(
                f"max_two_qubit_gates must be an integer of at least 0 or None, got {most!r}"
            )
        target = self.target_infidelity
        if isinstance(target, bool) or not isinstance(target, float | int) or not 0 <= target < 1:
            raise InvalidInputError(f"target_infidelity must be in [0, 1), got {target!r}")
        if not _is_count(self.seed):
            raise InvalidInputError(f"seed must be an integer of at least 0, got {self.seed!r}")
        if self.pairs not in ("all", "line"):
            object.__setattr__(self, "pairs", _checked_pairs(self.pairs))
        if self.two_qubit_gate not in GATE_SETS:
            raise InvalidInputError(f"two_qubit_gate must be one of {GATE_SETS}, got {self.two_qubit_gate!r}")
        if self.method == "analytic" and self.approximate:
            raise InvalidInputError("analytic synthesis is exact; approximate with method='auto' or 'fitted'")

    @property
    def approximate(self) -> bool:
        """Whether a node may differ from its unitary."""
        return self.max_two_qubit_gates is not None or self.target_infidelity > 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 0


def _checked_pairs(pairs: Any) -> tuple[tuple[int, int], ...]:
    """Pairs of different qubits, lists (as read from a file) made tuples."""
    try:
        found = tuple((first, second) for first, second in pairs)
    except (TypeError, ValueError):
        found = ()
    if not found or not all(_is_count(a) and _is_count(b) and a != b for a, b in found):
        raise InvalidInputError(
            f"pairs must be 'all', 'line' or a tuple of pairs of different qubits, got {pairs!r}"
        )
    return found


@dataclass(frozen=True)
class NodeGates:
    """The gates of one node.

    Attributes:
        circuit: Gates with their angles.
        owed: Unitary (2**width, 2**width) on the kept wire that the node above still has to apply.
        infidelity: Infidelity of the channel; see `channel_infidelity`.
    """

    circuit: QuantumCircuit
    owed: NDArray
    infidelity: float


def synthesize_node(unitary: NDArray, shape: NodeShape, synthesis: Synthesis) -> NodeGates:
    """Gates of a unitary (2**m, 2**m), up to freedom that the rest of the network cannot observe.

    >>> fourier = np.exp(2j * np.pi * np.outer(range(8), range(8)) / 8) / np.sqrt(8)
    >>> node = synthesize_node(fourier, NodeShape(3, 1), Synthesis())
    >>> node.circuit.count_ops()["cx"] <= 12, node.infidelity < 1e-12
    (True, True)
    """
    unitary = np.ascontiguousarray(unitary, dtype=np.complex128)
    found = _synthesized(unitary.tobytes(), shape, synthesis)
    most = synthesis.max_two_qubit_gates
    if most is not None and _count(found.circuit) > most:
        raise InvalidInputError(
            f"no fit of a node on {shape.num_qubits} qubits with {most} two-qubit gates in seconds; take "
            "method='fitted', which may take minutes, or leave max_two_qubit_gates out"
        )
    return replace(_exact(found, shape, synthesis), circuit=found.circuit.copy())


def _exact(node: NodeGates, shape: NodeShape, synthesis: Synthesis | None) -> NodeGates:
    """A node whose gates are its unitary, unless they may differ.

    Raises:
        InvalidInputError: They differ.
    """
    may_differ = synthesis is not None and synthesis.approximate
    if may_differ or node.infidelity <= _EXACT:
        return node
    raise InvalidInputError(
        f"the gates of a node on {shape.num_qubits} qubits are not its unitary: infidelity "
        f"{node.infidelity:.2g}; an ansatz must prescribe the gates of its own unitary (see check_ansatz), "
        "a fit take method='auto'"
    )


def own_gates(node: SynthesizedNode, unitary: NDArray, shape: NodeShape, synthesis: Synthesis) -> NodeGates:
    """Gates that an ansatz prescribes, translated if a two-qubit gate other than CX is requested."""
    circuit = _whole(node, shape)
    most = synthesis.max_two_qubit_gates
    if most is not None and _count(circuit) > most:
        raise InvalidInputError(
            f"the ansatz prescribes {_count(circuit)} two-qubit gates for a node, more than "
            f"max_two_qubit_gates={most}; choose a shallower ansatz, or leave max_two_qubit_gates out"
        )
    if synthesis.two_qubit_gate != "cx":
        circuit = _translated(circuit, synthesis.two_qubit_gate)
    # Nothing is owed to the node above, whose gates are its own as well.
    infidelity = channel_infidelity(unitary, _matrix(circuit), shape)
    return _exact(NodeGates(circuit, np.eye(2**shape.width), infidelity), shape, None)


@lru_cache(maxsize=2048)
def _synthesized(content: bytes, shape: NodeShape, synthesis: Synthesis) -> NodeGates:
    dim = 2**shape.num_qubits
    unitary = np.frombuffer(content, dtype=np.complex128).reshape(dim, dim)
    found = [_finished(*made, unitary, shape) for made in _candidates(unitary, shape, synthesis)]
    best = min(found, key=lambda node: _count(node.circuit))
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
    if synthesis.method == "auto" and shape.num_qubits > _FITTED_QUBITS:
        return None  # more angles than are fitted, which takes minutes to find out
    rng = np.random.default_rng(synthesis.seed)
    cycle = _pairs(synthesis, shape.num_qubits)
    skeleton = generic_skeleton(shape, cycle, bool(np.abs(unitary.imag).max() < REAL_TOLERANCE))
    generic = len(skeleton.pairs)
    if synthesis.max_two_qubit_gates is not None:
        skeleton = skeleton.last(synthesis.max_two_qubit_gates)
    size = skeleton.num_angles * 4**shape.num_qubits * len(shape.columns)
    if synthesis.method == "auto" and (skeleton.num_angles > _FITTED_ANGLES or size > _FITTED_SIZE):
        return None
    starts = 1 if size > _FITTED_SIZE / 10 else 4
    if synthesis.target_infidelity > 0:
        fit = _fewest(unitary, shape, skeleton, synthesis.target_infidelity, rng, starts)
        if len(skeleton.pairs) < generic or _infidelity(fit) <= synthesis.target_infidelity:
            return fit
    elif len(skeleton.pairs) < generic:
        return _best(unitary, shape, skeleton, rng, starts)
    return fit_exactly(unitary, shape, cycle, rng)


def _pairs(synthesis: Synthesis, num_qubits: int) -> tuple[tuple[int, int], ...]:
    if synthesis.pairs == "all":
        return all_pairs(num_qubits)
    if synthesis.pairs == "line":
        return line_pairs(num_qubits)
    reached = {0}
    for _ in range(num_qubits):
        reached |= {qubit for pair in synthesis.pairs if reached & set(pair) for qubit in pair}
    if reached != set(range(num_qubits)):
        raise InvalidInputError(
            f"pairs {synthesis.pairs} do not join the {num_qubits} qubits of a node, 0 to {num_qubits - 1}"
        )
    return synthesis.pairs


def _best(
    unitary: NDArray, shape: NodeShape, skeleton: Skeleton, rng: np.random.Generator, starts: int
) -> Fit:
    """With at most a skeleton's gates: near the identity a CX too many does harm."""
    most = len(skeleton.pairs)
    counts = {*range(min(most, _FEW) + 1), most // 2, most - 1, most} if most else {0}
    fits = (fit_best(unitary, shape, skeleton.last(number), rng, starts) for number in sorted(counts))
    return min(fits, key=lambda fit: fit.residual)


def _fewest(
    unitary: NDArray,
    shape: NodeShape,
    skeleton: Skeleton,
    infidelity: float,
    rng: np.random.Generator,
    starts: int,
) -> Fit:
    """The fewest of a skeleton's last gates that reach an infidelity; the best fit if none do.

    A few are tried one by one, where the infidelity may rise with their number; the others by bisection.
    """
    few, high = min(_FEW, len(skeleton.pairs)), len(skeleton.pairs)
    best = None
    for number in range(few + 1):
        fit = fit_best(unitary, shape, skeleton.last(number), rng, starts)
        if _infidelity(fit) <= infidelity:
            return fit
        best = fit if best is None or fit.residual < best.residual else best
    low = few
    while high - low > 1:
        middle = (low + high) // 2
        fit = fit_best(unitary, shape, skeleton.last(middle), rng, starts)
        if _infidelity(fit) <= infidelity:
            best, high = fit, middle
        else:
            low = middle
    if best is not None and _infidelity(best) <= infidelity:
        return best
    return _best(unitary, shape, skeleton, rng, starts)


def _infidelity(fit: Fit) -> float:
    return 1 - (1 - fit.residual) ** 2


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
