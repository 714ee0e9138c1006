"""Turns blocks into gates, and the gates of a circuit into nodes of a chain that reuses its qubits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from qiskit import QuantumCircuit

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.gates import NodeGates, NodeShape, Synthesis, synthesize_node
from qtnml.gates.synthesis import append_rotation
from qtnml.shallow.blocks import Blocks, Point
from qtnml.shallow.layouts import entering
from qtnml.shallow.window import Window, window_of
from qtnml.structure import Node, Topology
from qtnml.structure.topology import MAX_NODE_QUBITS

_ANALYTIC, _FEWEST = Synthesis(method="analytic"), Synthesis()


@dataclass(frozen=True)
class _Turn:
    """A rotation of one place."""

    matrix: NDArray
    place: int


@dataclass(frozen=True)
class _CX:
    """A controlled NOT."""

    control: int
    target: int


def nodes_of(
    blocks: Blocks, point: Point, bits: Sequence[int], sites: Sequence[int]
) -> tuple[Topology, list[NodeGates]]:
    """A circuit as a tree of nodes from the leaves to the root, and the gates of each.

    A node holds the gates between the first new place that enters the window and the next one; qubits leave
    in the order in which they came. Rotations that meet are one gate.

    Args:
        blocks: The circuit.
        point: Its numbers.
        bits: Places of each site in turn along the chain: its qubits.
        sites: Number of the site at each turn.
    """
    window = window_of(blocks.num_places, blocks.pairs, forward=max(bits) > 1)
    groups = _groups(window, bits)
    order = list(range(len(bits)))[::-1] if window.is_reversed else list(range(len(bits)))
    starts = np.cumsum([0, *(bits[k] for k in order)])
    operations = _operations(blocks, point)
    pending: list[NDArray] = [np.eye(2, dtype=np.complex128) for _ in range(window.num_places)]
    nodes, gates = list[Node](), list[NodeGates]()
    for group in groups:
        circuit = QuantumCircuit(group.last - group.first)
        for gate in (gate for visit in group.visits for gate, _, _ in window.visits[visit].gates):
            for operation in operations[gate]:
                if isinstance(operation, _Turn):
                    place = window.turn(operation.place)
                    pending[place] = operation.matrix @ pending[place]
                    continue
                qubits = [window.turn(operation.control), window.turn(operation.target)]
                for place in qubits:
                    append_rotation(circuit, pending[place], place - group.first)
                    pending[place] = np.eye(2, dtype=np.complex128)
                circuit.cx(*(place - group.first for place in qubits))
        for visit in group.visits:
            append_rotation(circuit, pending[visit], visit - group.first)
        gates.append(NodeGates(circuit, np.eye(2**group.width), 0.0))
    for k, group in reversed(list(enumerate(groups))):
        leaves = [sites[order[j]] for j in range(len(order)) if starts[j] in group.visits]
        wire = () if k == len(groups) - 1 else (len(bits) + len(nodes) - 1,)
        nodes.append(Node((*leaves, *wire), 0, group.width))
    widths = [0] * len(bits)
    for site, count in zip(sites, bits, strict=True):
        widths[site] = count
    return Topology(tuple(widths), tuple(nodes)), gates[::-1]


@dataclass(frozen=True)
class _Group:
    """Visits of one node, whose qubits are the places from `first` to before `last`.

    The first `width` of them come from the node before. Places are counted from the start of the walk.
    """

    visits: range
    first: int
    last: int
    width: int


def _groups(window: Window, bits: Sequence[int]) -> list[_Group]:
    """Cut before each visit at which places enter, never within a site."""
    count = window.num_places
    entered, ends = 0, []
    for visit, now in enumerate(window.visits):
        reached = [window.turn(place) for gate, _, _ in now.gates for place in window.pairs[gate]]
        # One more than leaves, so that a wire is never empty.
        entered = min(count, max([entered, visit + 2, *(place + 1 for place in reached)]))
        ends.append(entered)
    whole = set(np.cumsum([0, *bits]).tolist())  # a site's qubits leave together
    starts = [v for v in range(count) if v == 0 or (ends[v] > ends[v - 1] and v in whole)]
    groups = []
    for start, end in zip(starts, [*starts[1:], count], strict=True):
        width = 1 if start == 0 else ends[start - 1] - start
        groups.append(_Group(range(start, end), start, ends[end - 1], width))
    return groups


def check_nodes(blocks: Blocks, bits: Sequence[int]) -> None:
    """Refuse a circuit whose nodes would be too wide, before it is optimised.

    Raises:
        InvalidInputError: More qubits are together than a node of a compiled circuit holds.
    """
    window = window_of(blocks.num_places, blocks.pairs, forward=max(bits) > 1)
    widest = max(group.last - group.first for group in _groups(window, bits))
    if widest > MAX_NODE_QUBITS:
        raise InvalidInputError(
            f"this layout holds {widest} qubits together, more than the {MAX_NODE_QUBITS} of a compiled "
            "node; take fewer layers, or gates between nearer sites"
        )


def _operations(blocks: Blocks, point: Point) -> list[list[_Turn | _CX]]:
    """Rotations and CX of each block, in order of time."""
    fresh = entering(blocks.num_places, blocks.pairs)
    found = []
    matrices = blocks.gates(point)
    for gate, pair in enumerate(blocks.pairs):
        if blocks.is_whole or fresh[gate].all():
            found.append(_synthesised(matrices[gate], pair, fresh[gate]))
            continue
        operations: list[_Turn | _CX] = [
            _Turn(point.before[place], place) for place, new in zip(pair, fresh[gate], strict=True) if new
        ]
        operations.append(_CX(*pair))
        if len(point.middle):
            operations += [_Turn(point.middle[gate, side], place) for side, place in enumerate(pair)]
            operations.append(_CX(*pair))
        operations += [_Turn(point.after[gate, side], place) for side, place in enumerate(pair)]
        found.append(operations)
    return found


def _synthesised(matrix: NDArray, pair: tuple[int, int], fresh: NDArray) -> list[_Turn | _CX]:
    """A whole block by the fewest CX; only columns that its inputs in |0> leave count."""
    if fresh[0] and not fresh[1]:
        matrix = matrix.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4)
        pair = pair[::-1]
    count = int(fresh.sum())
    # Without fresh inputs the Cartan form is the shortest there is.
    node = synthesize_node(matrix, NodeShape(2, 2, count, "fixed"), _FEWEST if count else _ANALYTIC)
    found = list[_Turn | _CX]()
    for instruction in node.circuit.data:
        qubits = [node.circuit.find_bit(bit).index for bit in instruction.qubits]
        if len(qubits) == 1:
            found.append(_Turn(np.asarray(instruction.operation.to_matrix()), pair[qubits[0]]))
        else:
            found.append(_CX(pair[qubits[0]], pair[qubits[1]]))
    return found
