"""A tree on lines of qubits, where every gate joins neighbours.

A subtree is evaluated on a line like an arithmetic expression on a stack. Its wires lie end to end. A node
acts on the wires at the top, and leaves the qubits it keeps at the place of the lowest. So no SWAP is needed
on a line with as many qubits as the depth-first order needs (Sethi and Ullman, J. ACM 17, 715, 1970: 7 for 64
leaves at V=1). A tree that is cut into several subtrees takes several such *lanes* side by side. The nodes
above the cut join the bottoms of lanes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qtnml.ansatz import TensorNetwork
from qtnml.ansatz.tensor_network import stacking
from qtnml.compile.schedule import Apply, Prepare, Schedule
from qtnml.structure import Topology


@dataclass(frozen=True)
class Lane:
    """A subtree on a line.

    Attributes:
        wire: Its root's wire.
        positions: Places of the line, bottom first, numbered through all lanes.
    """

    wire: int
    positions: range


@dataclass(frozen=True)
class Arrangement:
    """Lanes, and what happens on them.

    Attributes:
        lanes: In the order of the tree.
        schedule: Operations on positions.
        joins: Nodes above the cut, each with the positions of its qubits.
    """

    lanes: tuple[Lane, ...]
    schedule: Schedule
    joins: tuple[Apply, ...]


def stack_needs(topology: Topology) -> tuple[int, ...]:
    """Of each wire the length of a line its subtree is evaluated on, children in their order."""
    needs = list(topology.leaf_widths)
    for k, node in enumerate(topology.nodes):
        needs.append(_need(topology, k, node.children, needs))
    return tuple(needs)


def _need(topology: Topology, k: int, children: Sequence[int], needs: Sequence[int]) -> int:
    below, widest = 0, topology.num_qubits[k]
    for wire in children:
        widest = max(widest, below + needs[wire])
        below += topology.wire_width(wire)
    return widest


def in_stack_order(network: TensorNetwork) -> TensorNetwork:
    """The same network, children in the order that needs the shortest line; not where data enter again."""
    topology = network.topology
    needs, nodes, unitaries = list(topology.leaf_widths), [], []
    for k, (node, unitary) in enumerate(zip(topology.nodes, network.node_unitaries(), strict=True)):
        order = list(range(len(node.children)))
        if not node.uploads:
            order.sort(key=lambda j: topology.wire_width(node.children[j]) - needs[node.children[j]])
        children = tuple(node.children[j] for j in order)
        nodes.append(replace(node, children=children))
        unitaries.append(_with_inputs_in(order, unitary, topology, k))
        needs.append(_need(topology, k, children, needs))
    ordered = Topology(topology.leaf_widths, tuple(nodes))
    stacks = tuple(np.stack([unitaries[k] for k in members]) for _, members in stacking(ordered))
    return TensorNetwork(ordered, stacks)


def _with_inputs_in(order: list[int], unitary: np.ndarray, topology: Topology, k: int) -> np.ndarray:
    """Columns for child wires in another order."""
    node = topology.nodes[k]
    dims = [2 ** topology.wire_width(wire) for wire in node.children] + [2**node.fresh]
    split = unitary.reshape(-1, *dims)
    return np.ascontiguousarray(split.transpose(0, *(1 + j for j in order), len(dims)).reshape(unitary.shape))


def possible_lengths(topology: Topology) -> list[int]:
    """Lengths of lanes that give different cuts, the longest (a single lane) first."""
    return sorted({need for need in stack_needs(topology) if need >= 1}, reverse=True)


def arrange(topology: Topology, length: int, *, reuse_qubits: bool = True) -> Arrangement:
    """Cut the tree into lanes of at most `length` qubits each, children evaluated in their order."""
    needs = stack_needs(topology)
    builder = _Builder(topology, reuse_qubits)
    lanes = []
    for wire in _cut(topology, needs, length):
        positions = range(builder.width, builder.width + needs[wire])
        builder.width += needs[wire]
        builder.evaluate(wire, positions.start)
        lanes.append(Lane(wire, positions))
    joins = [builder.join(k) for k in range(len(topology.nodes)) if k not in builder.done]
    root = builder.held[topology.num_leaves + len(topology.nodes) - 1]
    return Arrangement(tuple(lanes), Schedule(builder.width, tuple(builder.operations), root), tuple(joins))


def _cut(topology: Topology, needs: Sequence[int], length: int) -> list[int]:
    """Wires of the largest subtrees that fit a lane, in the order of the tree."""
    found, pending = [], [topology.num_leaves + len(topology.nodes) - 1]
    while pending:
        wire = pending.pop()
        if needs[wire] <= length or wire < topology.num_leaves:
            found.append(wire)
        else:
            pending.extend(reversed(topology.nodes[wire - topology.num_leaves].children))
    return found


class _Builder:
    """Writes the operations down."""

    def __init__(self, topology: Topology, reuse_qubits: bool) -> None:
        self._topology, self._reuse = topology, reuse_qubits
        self.width = 0
        self.held: dict[int, tuple[int, ...]] = {}
        self.operations: list[Prepare | Apply] = []
        self.done: set[int] = set()
        self._used: set[int] = set()
        self._let_go: list[int] = []

    def evaluate(self, wire: int, base: int) -> None:
        """A subtree on the line that begins at `base`; without recursion, because chains are deep."""
        topology = self._topology
        pending: list[tuple[int, int, bool]] = [(wire, base, False)]
        while pending:
            wire, base, is_ready = pending.pop()
            if wire < topology.num_leaves:
                qubits = tuple(range(base, base + topology.leaf_widths[wire]))
                self.operations.append(Prepare(wire, qubits, self._dirty(qubits)))
                self.held[wire] = qubits
            elif is_ready:
                self._apply(wire - topology.num_leaves, range(base, base + self._size(wire)))
            else:
                pending.append((wire, base, True))
                later = []
                for child in topology.nodes[wire - topology.num_leaves].children:
                    later.append((child, base, False))
                    base += topology.wire_width(child)
                pending.extend(reversed(later))

    def join(self, k: int) -> Apply:
        """A node above the cut, on the wires of its children wherever they lie."""
        node = self._topology.nodes[k]
        qubits = [qubit for wire in node.children for qubit in self.held[wire]]
        for _ in range(node.fresh):
            if self._let_go and self._reuse:
                qubits.append(self._let_go.pop())
            else:
                qubits.append(self.width)
                self.width += 1
        return self._apply(k, qubits)

    def _size(self, wire: int) -> int:
        return self._topology.num_qubits[wire - self._topology.num_leaves]

    def _apply(self, k: int, qubits: Sequence[int]) -> Apply:
        node = self._topology.nodes[k]
        fresh = qubits[len(qubits) - node.fresh :]
        operation = Apply(k, tuple(qubits), self._dirty(fresh))
        self.operations.append(operation)
        self.done.add(k)
        for wire in node.children:
            del self.held[wire]
        self.held[self._topology.num_leaves + k] = tuple(qubits[: node.width])
        self._used.update(qubits)
        self._let_go.extend(qubits[node.width :])
        return operation

    def _dirty(self, qubits: Sequence[int]) -> tuple[int, ...]:
        return tuple(qubit for qubit in qubits if qubit in self._used)
