"""Which physical qubits each leaf and node acts on, in which order, and what is reset in between."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from qtnml.network.topology import Topology


@dataclass(frozen=True)
class Prepare:
    """Reset `resets`, then encode the leaf's features on `qubits`."""

    leaf: int
    qubits: tuple[int, ...]
    resets: tuple[int, ...]


@dataclass(frozen=True)
class Apply:
    """Reset `resets` (fresh qubits used before), then run the node's gates on `qubits`."""

    node: int
    qubits: tuple[int, ...]
    resets: tuple[int, ...]


@dataclass(frozen=True)
class Schedule:
    """Operations in order; `measured` are the root's kept qubits."""

    num_qubits: int
    operations: tuple[Prepare | Apply, ...]
    measured: tuple[int, ...]

    @property
    def num_resets(self) -> int:
        """Number of reset operations."""
        return sum(len(operation.resets) for operation in self.operations)


def depth_first_order(topology: Topology) -> tuple[int, tuple[int, ...]]:
    """Least number of qubits of any depth-first order, and that order of wires.

    The child that occupies the most qubits beyond what it leaves behind goes first (Sethi and
    Ullman, 1970). For data leaves with N/V a power of two this needs V log2(2N/V) qubits
    (arXiv:1803.11537), with fresh leaves V (log2 N + 1).
    """
    needs = list(topology.leaf_widths)
    orders: list[tuple[int, ...]] = [(leaf,) for leaf in range(topology.num_leaves)]
    for k, node in enumerate(topology.nodes):
        children = sorted(
            node.children, key=lambda wire: needs[wire] - topology.wire_width(wire), reverse=True
        )
        held, peak = 0, topology.num_qubits[k]
        for wire in children:
            peak = max(peak, held + needs[wire])
            held += topology.wire_width(wire)
        needs.append(peak)
        below = tuple(w for wire in children for w in orders[wire])
        orders.append((*below, topology.num_leaves + k))
    return needs[-1], orders[-1]


def schedule_network(topology: Topology, *, reuse_qubits: bool) -> Schedule:
    """Assign physical qubits.

    With reuse, wires are visited depth first and a qubit that was let go is reset when it is needed
    again, never before. Without, every data and fresh qubit is a physical qubit of its own.
    """
    if reuse_qubits:
        num_qubits, order = depth_first_order(topology)
    else:
        num_qubits = topology.num_data_qubits + sum(node.fresh for node in topology.nodes)
        order = tuple(range(topology.num_leaves + len(topology.nodes)))
    pool, operations = _QubitPool(num_qubits), list[Prepare | Apply]()
    held: dict[int, tuple[int, ...]] = {}
    for wire in order:
        if wire < topology.num_leaves:
            qubits, resets = pool.take(topology.leaf_widths[wire])
            operations.append(Prepare(wire, qubits, resets))
            held[wire] = qubits
            continue
        node = topology.nodes[wire - topology.num_leaves]
        fresh, resets = pool.take(node.fresh)
        qubits = (*_joined(held, node.children), *fresh)
        operations.append(Apply(wire - topology.num_leaves, qubits, resets))
        held[wire] = qubits[: node.width]
        pool.release(qubits[node.width :], again=reuse_qubits)
    return Schedule(num_qubits, tuple(operations), held[order[-1]])


def _joined(held: dict[int, tuple[int, ...]], wires: tuple[int, ...]) -> Iterator[int]:
    for wire in wires:
        yield from held.pop(wire)


class _QubitPool:
    """Unused qubits first, then the one let go longest ago, which needs a reset."""

    def __init__(self, num_qubits: int) -> None:
        self._unused = deque(range(num_qubits))
        self._used = deque[int]()

    def take(self, count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return (qubits, those of them to reset)."""
        qubits = [self._unused.popleft() for _ in range(min(count, len(self._unused)))]
        resets = [self._used.popleft() for _ in range(count - len(qubits))]
        return (*qubits, *resets), tuple(resets)

    def release(self, qubits: tuple[int, ...], *, again: bool) -> None:
        """Let qubits go, to be used again or not."""
        if again:
            self._used.extend(qubits)
