"""A canonical state on a tree of sites as a circuit that draws strings: from the root to the leaves.

Every core is an isometry from its parent's wire to its own wires: a unitary on the wires' qubits, some of
which enter in |0>. A site is measured as soon as its node has run, so that its qubits can be reset and used
again: a matrix product state of bond 2**V draws any number of bits on V + 1 qubits (arXiv:1803.11537). The
gates are those of a post-selected classifier run backwards, with as few two-qubit gates.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, qasm3
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import Operator

from qtnml.arrays import NDArray
from qtnml.born import TreeState, log_likelihood
from qtnml.born.state import site_index
from qtnml.compile.assemble import gates_on, node_angles, outward
from qtnml.compile.nodes import OnNode, counted, remark_on_size
from qtnml.compile.schedule import Schedule, all_qubits, schedule_network
from qtnml.compile.strings import log_probabilities
from qtnml.errors import InvalidInputError
from qtnml.gates import NodeGates, NodeShape, Synthesis, synthesize_node
from qtnml.program import GateTimes, Program, TypicalTimes, timeline
from qtnml.program.qpy_bytes import qpy_bytes
from qtnml.shown import facts_html
from qtnml.storage import write_atomically
from qtnml.structure import Node, Topology
from qtnml.structure.sites import Sites
from qtnml.structure.tree import Tree

_MOST_QUBITS = 9  # of one node: half a million numbers


@dataclass(frozen=True, eq=False)
class GenerativeCircuit:
    """A circuit whose measured bits are strings of a state's law.

    Attributes:
        program: Gates of the nodes, resets and read-outs. Parameters `w` are the angles of the gates.
        w: The parameters.
        weights: Their trained values.
        schedule: Which qubits each node acts on; time runs backwards in it, from the leaves to the root.
        topology: Nodes as they were compiled: a node whose wire holds all its qubits is part of the one
            above.
        infidelity: 1 - product over nodes of the fidelity of the gates to the isometry.
        site_dims: Levels of each site; a site of k levels is measured in ceil(log2 k) bits, the first of
            which is the most significant.
        nodes: Gates of each node, in the direction of the circuit.
    """

    program: Program
    w: ParameterVector
    weights: NDArray
    schedule: Schedule
    topology: Topology
    infidelity: float
    site_dims: tuple[int, ...]
    nodes: tuple[QuantumCircuit, ...]

    @property
    def num_sites(self) -> int:
        """Sites of a string."""
        return len(self.site_dims)

    @cached_property
    def circuit(self) -> QuantumCircuit:
        """The program for Qiskit; its classical bits `c` are those of the sites."""
        return self.program.circuit()

    @property
    def num_qubits(self) -> int:
        """Physical qubits."""
        return self.schedule.num_qubits

    @property
    def depth(self) -> int:
        """Longest path of gates, resets and measurements."""
        return int(self.circuit.depth())

    @property
    def two_qubit_gates(self) -> int:
        """Number of gates on two qubits."""
        return int(self.circuit.num_nonlocal_gates())

    @property
    def num_resets(self) -> int:
        """Number of mid-circuit resets."""
        return int(self.circuit.count_ops().get("reset", 0))

    def duration(self, times: GateTimes | None = None) -> float:
        """Seconds, every operation as late as it can be, by default with `TypicalTimes()`."""
        return timeline(self.program, times or TypicalTimes()).duration

    @cached_property
    def trained_circuit(self) -> QuantumCircuit:
        """The circuit with its weights bound, ready to run."""
        return self.bound(self.weights)

    @cached_property
    def trained_program(self) -> Program:
        """The program with its trained weights bound."""
        return self.program.written_as(self.trained_circuit)

    def bound(self, weights: NDArray) -> QuantumCircuit:
        """The circuit with other values of `w`."""
        return self.circuit.assign_parameters(dict(zip(self.w, self._checked(weights), strict=True)))

    def with_weights(self, weights: NDArray) -> "GenerativeCircuit":
        """The same circuit with other values of `w` (its infidelity is to the old state: NaN)."""
        return replace(self, weights=self._checked(weights), infidelity=float("nan"))

    def _checked(self, weights: NDArray) -> NDArray:
        weights = np.asarray(weights, dtype=np.float64)
        if weights.shape != self.weights.shape or not np.isfinite(weights).all():
            raise InvalidInputError(
                f"expected {len(self.weights)} finite weights, got an array of shape {weights.shape}"
            )
        return weights

    @cached_property
    def site_bits(self) -> tuple[tuple[int, ...], ...]:
        """Classical bits of each site, the most significant first."""
        ends = list(accumulate(self.topology.leaf_widths))
        return tuple(
            tuple(range(end - 1, end - 1 - width, -1))
            for width, end in zip(self.topology.leaf_widths, ends, strict=True)
        )

    def levels(self, outcomes: Sequence[int]) -> NDArray:
        """Levels (outcomes, sites) of results: all classical bits read as a binary number, bit 0 least
        significant.

        A site whose bits stand for no level (k is no power of two, and gates or noise err) gets -1.
        """
        count = sum(self.topology.leaf_widths)
        if not len(outcomes):
            return np.empty((0, self.num_sites), dtype=np.int64)
        raw = b"".join(int(outcome).to_bytes((count + 7) // 8, "little") for outcome in outcomes)
        bits = np.frombuffer(raw, dtype=np.uint8).reshape(len(outcomes), -1)
        bits = np.unpackbits(bits, axis=1, bitorder="little")[:, :count]
        levels = np.empty((len(outcomes), self.num_sites), dtype=np.int64)
        for site, places in enumerate(self.site_bits):
            value = np.zeros(len(outcomes), dtype=np.int64)
            for place in places:
                value = 2 * value + bits[:, place]
            levels[:, site] = np.where(value < self.site_dims[site], value, -1)
        return levels

    def state(self, weights: NDArray | None = None) -> TreeState:
        """The state that the gates themselves prepare; its sites have 2**bits levels.

        Args:
            weights: Values of `w`; the trained ones by default.
        """
        weights = self.weights if weights is None else self._checked(weights)
        cores, start = [], 0
        for k, (node, gates) in enumerate(zip(self.topology.nodes, self.nodes, strict=True)):
            count = len(node_angles(gates))
            matrix = _matrix(_with_angles(gates, weights[start : start + count]))
            start += count
            is_root = k == len(self.nodes) - 1
            width = 0 if is_root else node.width
            columns = matrix[:, :: 2 ** (self.topology.num_qubits[k] - width)]
            legs = (2 ** self.topology.wire_width(wire) for wire in node.children)
            core = columns.T.reshape(-1, *legs)
            cores.append(core.real if np.abs(core.imag).max() < 1e-14 else core)
        dims = tuple(2**width for width in self.topology.leaf_widths)
        return TreeState(Sites(dims, self.topology.tree), tuple(cores))

    def export(self, path: str | os.PathLike[str], *, free_weights: bool = False) -> None:
        """Write the circuit as OpenQASM 3 (`.qasm`) or QPY (`.qpy`), atomically.

        Classical bits are the sites in order; a comment (or the metadata) tells the bits of each.
        """
        path = Path(path)
        circuit = (self.circuit if free_weights else self.trained_circuit).copy()
        if path.suffix == ".qasm":
            bits = json.dumps([list(bits) for bits in self.site_bits])
            head = f"// draws strings; bits of each site, the most significant first: {bits}\n"
            content = (head + qasm3.dumps(circuit)).encode()
        elif path.suffix == ".qpy":
            circuit.metadata = {"qtnml": {"site_bits": [list(bits) for bits in self.site_bits]}}
            content = qpy_bytes(circuit)
        else:
            raise InvalidInputError(f"cannot tell the circuit format of {path}; end it in .qasm or .qpy")
        write_atomically(path, content)

    def verify(self, state: TreeState, X: NDArray) -> float:
        """Largest deviation of ln P of strings (samples, sites) between the circuit and a state, nats.

        The circuit itself is simulated, gate by gate, with its resets and read-outs (see
        `qtnml.compile.strings`); strings impossible under both count as equal.

        Raises:
            InvalidInputError: The circuit resets what it still needs, or does not read each bit once.
        """
        wanted = log_likelihood(state, X)
        own = log_probabilities(self.trained_circuit, self._bits(site_index(state.sites, X)))
        both = np.isneginf(own) & np.isneginf(wanted)
        return float(np.abs(np.where(both, 0.0, own - wanted)).max(initial=0.0))

    def _bits(self, levels: NDArray) -> NDArray:
        """Classical bits (strings, bits) that stand for levels: the inverse of `levels`."""
        bits = np.empty((len(levels), sum(self.topology.leaf_widths)), dtype=np.int64)
        for site, places in enumerate(self.site_bits):
            for shift, place in enumerate(reversed(places)):
                bits[:, place] = levels[:, site] >> shift & 1
        return bits

    def _repr_html_(self) -> str:
        facts = {
            "sites": self.num_sites,
            "qubits": self.num_qubits,
            "depth": self.depth,
            "two-qubit gates": self.two_qubit_gates,
            "resets": self.num_resets,
            "weights": len(self.w),
            "infidelity": f"{self.infidelity:.1e}",
        }
        return facts_html("GenerativeCircuit", facts)

    def __repr__(self) -> str:
        return (
            f"GenerativeCircuit({self.num_sites} sites on {self.num_qubits} qubits, depth {self.depth}, "
            f"{self.two_qubit_gates} two-qubit gates, {self.num_resets} resets, {len(self.w)} weights, "
            f"infidelity {self.infidelity:.1e})"
        )


def compile_state(
    state: TreeState,
    *,
    reuse_qubits: bool = True,
    num_qubits: int | None = None,
    synthesis: Synthesis | None = None,
    on_node: OnNode | None = None,
) -> GenerativeCircuit:
    """Compile a state into a circuit that draws its strings.

    Args:
        state: Bonds are padded to powers of two, and isometries completed by what takes the fewest gates.
        reuse_qubits: Measure a site as soon as it can be, then reset its qubits and use them again.
        num_qubits: With reuse, the most physical qubits; the more, the less deep. None takes the fewest.
        synthesis: How nodes become gates; by default exactly, with the fewest two-qubit gates.
        on_node: Called with the nodes synthesised so far and their number.

    >>> from qtnml.structure.sites import site_chain
    >>> state = TreeState.random(site_chain([2] * 20), 2, np.random.default_rng(0))
    >>> compiled = compile_state(state)
    >>> compiled.num_qubits, compiled.verify(state, np.ones((1, 20))) < 1e-9
    (2, True)
    """
    if num_qubits is not None and not reuse_qubits:
        raise InvalidInputError(f"num_qubits={num_qubits} needs reuse_qubits=True; leave one of them out")
    if synthesis is not None and not isinstance(synthesis, Synthesis):
        raise InvalidInputError(f"synthesis must be a qtnml.Synthesis, got {synthesis!r}")
    synthesis = synthesis or Synthesis()
    topology, unitaries = circuit_tree(state)
    found = _synthesized(topology, unitaries, synthesis)
    nodes = list(counted(found, len(unitaries), on_node))
    durations = [max(1, node.circuit.depth()) for node in nodes]
    schedule = schedule_network(
        topology, num_qubits if reuse_qubits else all_qubits(topology), durations, 1.0
    )
    gates = [node.circuit for node in nodes]
    weights = np.array([angle for node in gates for angle in node_angles(node)])
    w = ParameterVector("w", len(weights))
    compiled = GenerativeCircuit(
        program=outward(topology, schedule, gates, w),
        w=w,
        weights=weights,
        schedule=schedule,
        topology=topology,
        infidelity=float(1.0 - np.prod([1.0 - node.infidelity for node in nodes])),
        site_dims=state.sites.dims,
        nodes=tuple(gates),
    )
    remark_on_size(compiled.two_qubit_gates)
    return compiled


def circuit_tree(state: TreeState) -> tuple[Topology, list[NDArray]]:
    """A state as a tree of unitaries, from the leaves to the root, every site a leaf.

    A post-selected network: W = <0|_let-go U is the conjugate of the (padded) core; the root counts where
    its one kept qubit is 0 as well. A node that keeps all its qubits is multiplied into the node above.
    """
    tree = state.tree
    widths = [max(1, _bits(dim)) for dim in state.sites.dims]
    wire_of: dict[int, tuple[tuple[int, ...], NDArray]] = {}
    nodes, unitaries = list[Node](), list[NDArray]()
    number: dict[int, int] = {}
    for k, (core, legs) in enumerate(zip(state.cores, tree.nodes, strict=True)):
        wires, tensor = _opened(tree, core, legs, wire_of, widths, number)
        size, is_root = sum(widths[wire] for wire in wires), k == tree.root
        width = 1 if is_root else max(1, _bits(core.shape[0]))
        if size > _MOST_QUBITS:
            raise InvalidInputError(
                f"a node of this state takes {size} qubits, more than {_MOST_QUBITS}; truncate its bonds "
                f"first (the largest is {max(state.bond_dims, default=1)})"
            )
        rows = tensor.reshape(core.shape[0], -1).conj()
        if width == size and not is_root:
            square = _completed(rows, 2**size, 1).conj()
            shape = (2**width, *(2 ** widths[wire] for wire in wires))
            wire_of[tree.num_leaves + k] = wires, square.reshape(shape)
            continue
        nodes.append(Node(wires, 0, width))
        unitaries.append(_completed(rows, 2**size, 2 ** (size - width)))
        number[tree.num_leaves + k] = len(widths)
        widths.append(width)
    return Topology(tuple(widths[: tree.num_leaves]), tuple(nodes)), unitaries


def _opened(
    tree: Tree,
    core: NDArray,
    legs: tuple[int, ...],
    merged: dict[int, tuple[tuple[int, ...], NDArray]],
    widths: list[int],
    number: dict[int, int],
) -> tuple[tuple[int, ...], NDArray]:
    """Wires of a node and its core over them, padded; nodes below that keep everything are multiplied in."""
    tensor, wires = core, list[int]()
    axis = 1
    for leg in legs:
        if leg in merged:
            inner, square = merged.pop(leg)
            used = square[: tensor.shape[axis]]
            tensor = np.tensordot(tensor, used, (axis, 0))
            tensor = np.moveaxis(
                tensor, range(tensor.ndim - len(inner), tensor.ndim), range(axis, axis + len(inner))
            )
            wires += inner
            axis += len(inner)
            continue
        wire = leg if leg < tree.num_leaves else number[leg]
        padding = [(0, 0)] * tensor.ndim
        padding[axis] = (0, 2 ** widths[wire] - tensor.shape[axis])
        tensor = np.pad(tensor, padding)
        wires.append(wire)
        axis += 1
    return tuple(wires), tensor


def _bits(dim: int) -> int:
    return (dim - 1).bit_length()


def _completed(rows: NDArray, size: int, stride: int) -> NDArray:
    """A unitary (size, size) with these orthonormal rows at 0, stride, 2 stride, ..., real if they are."""
    count = len(rows)
    basis, _ = np.linalg.qr(np.hstack([rows.conj().T, np.eye(size, dtype=rows.dtype)]))
    others = basis[:, count:size].conj().T
    unitary = np.empty((size, size), dtype=rows.dtype)
    places = np.arange(0, size, stride)[:count]
    unitary[places] = rows
    unitary[np.setdiff1d(np.arange(size), places)] = others
    return unitary


def _synthesized(
    topology: Topology, unitaries: Sequence[NDArray], synthesis: Synthesis
) -> Iterator[NodeGates]:
    """Gates of every node in the direction of the circuit.

    What comes first on a wire moves to the end of the node above.
    """
    owed: list[NDArray] = [np.eye(2**width) for width in topology.leaf_widths]
    for k, (node, unitary) in enumerate(zip(topology.nodes, unitaries, strict=True)):
        below: NDArray = np.eye(1)
        for wire in node.children:
            below = np.kron(below, owed[wire])
        wanted, size = unitary @ below, topology.num_qubits[k]
        if k == len(unitaries) - 1:
            yield synthesize_node(wanted.conj().T, NodeShape(size, size, size, "fixed"), synthesis)
            return
        gates = synthesize_node(wanted, NodeShape(size, node.width, 0, "wire", postselected=True), synthesis)
        owed.append(gates.owed)
        yield replace(gates, circuit=gates.circuit.inverse())


def _matrix(circuit: QuantumCircuit) -> NDArray:
    return np.asarray(Operator(circuit.reverse_bits()).data)


def _with_angles(circuit: QuantumCircuit, angles: Any) -> QuantumCircuit:
    """The same gates with other angles."""
    found = QuantumCircuit(circuit.num_qubits)
    for gate in gates_on(circuit, range(circuit.num_qubits), list(angles)):
        found.append(gate.instruction, gate.qubits)
    return found
