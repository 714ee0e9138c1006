"""Fewest qubits against exhaustive search, and schedules replayed in time."""

import heapq
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtnml.compile import all_qubits, depth_bound, minimal_order, schedule_network
from qtnml.compile.order import Remaining, peak
from qtnml.compile.schedule import Prepare, Schedule
from qtnml.errors import InvalidInputError
from qtnml.structure import Node, Topology, balanced_tree, mps
from tests.structure.strategies import random_tree, small_trees

# A = ((3, 3) -> 1, leaf 2) -> 3, B = (3, 1) -> 3, root (A, B) -> 2.
NOT_DEPTH_FIRST = Topology(
    (3, 3, 2, 3, 1), (Node((0, 1), 0, 1), Node((5, 2), 0, 3), Node((3, 4), 0, 3), Node((6, 7), 0, 2))
)


def fewest_by_search(topology: Topology, finished: frozenset[int] = frozenset()) -> int:
    """Least peak over all orders, a search over sets of finished wires; beyond what is held already."""
    count = topology.num_leaves + len(topology.nodes)
    children = [()] * topology.num_leaves + [node.children for node in topology.nodes]
    fresh = [0] * topology.num_leaves + [node.fresh for node in topology.nodes]
    net = [topology.wire_width(w) - sum(map(topology.wire_width, children[w])) for w in range(count)]
    needed = [sum(1 << child for child in children[w]) for w in range(count)]
    start = sum(1 << wire for wire in finished)
    best, queue = {start: 0}, [(0, 0, start)]
    while queue:
        highest, level, done = heapq.heappop(queue)
        if done == (1 << count) - 1:
            return highest
        if best[done] < highest:
            continue
        for wire in range(count):
            if done >> wire & 1 or needed[wire] & ~done:
                continue
            reached = max(highest, level + max(fresh[wire], net[wire]))
            following = done | 1 << wire
            if reached < best.get(following, 1 << 30):
                best[following] = reached
                heapq.heappush(queue, (reached, level + net[wire], following))
    raise AssertionError


def binary_shapes(num_leaves: int) -> Iterator[tuple]:
    """Nested pairs, larger half first."""
    if num_leaves == 1:
        yield ()
    for left in range(num_leaves - 1, (num_leaves - 1) // 2, -1):
        yield from itertools.product(binary_shapes(left), binary_shapes(num_leaves - left))


def tree_of(shape: tuple, widths: tuple[int, ...]) -> Topology | None:
    """The shape with these widths, leaves first; None where a node would keep more than it has."""
    leaves, nodes, num_leaves = itertools.count(), list[Node](), (len(widths) + 1) // 2

    def wire(part: tuple) -> int:
        if not part:
            return next(leaves)
        children = (wire(part[0]), wire(part[1]))
        nodes.append(Node(children, 0, widths[num_leaves + len(nodes)]))
        return num_leaves + len(nodes) - 1

    wire(shape)
    for node in nodes:
        if node.width > sum(widths[child] for child in node.children):
            return None
    return Topology(widths[:num_leaves], tuple(nodes))


def is_minimal(topology: Topology) -> bool:
    """The count is the search's, and the order keeps to it."""
    count, order = minimal_order(topology)
    level = highest = 0
    for wire in order:
        node = None if wire < topology.num_leaves else topology.nodes[wire - topology.num_leaves]
        width = topology.wire_width(wire)
        inputs = 0 if node is None else sum(map(topology.wire_width, node.children))
        highest = max(highest, level + max(width - inputs, 0 if node is None else node.fresh))
        level += width - inputs
    return count == highest == fewest_by_search(topology)


@pytest.mark.parametrize("bond_qubits", [1, 2, 3])
@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5])
def test_papers_qubit_counts(bond_qubits: int, levels: int) -> None:
    """V log2(2N/V) for data leaves, V (log2 N + 1) for fresh ones, V + 1 for a chain (arXiv:1803.11537)."""
    leaves = 2**levels
    assert minimal_order(balanced_tree(leaves * bond_qubits, bond_qubits))[0] == bond_qubits * (levels + 1)
    assert minimal_order(balanced_tree(leaves, bond_qubits, leaf="fresh"))[0] == bond_qubits * (levels + 1)
    assert minimal_order(mps(leaves + bond_qubits, bond_qubits))[0] == bond_qubits + 1


def test_where_depth_first_is_not_minimal() -> None:
    assert minimal_order(NOT_DEPTH_FIRST)[0] == 6
    assert schedule_network(NOT_DEPTH_FIRST).num_qubits == 6
    assert is_minimal(NOT_DEPTH_FIRST)


@pytest.mark.parametrize("num_leaves", [2, 3, 4])
def test_every_small_tree_is_minimal(num_leaves: int) -> None:
    for shape in binary_shapes(num_leaves):
        for widths in itertools.product((1, 2, 3), repeat=2 * num_leaves - 1):
            topology = tree_of(shape, widths)
            assert topology is None or is_minimal(topology)


def test_random_trees_are_minimal(rng: np.random.Generator) -> None:
    for _ in range(300):
        assert is_minimal(random_tree(int(rng.integers(2, 7)), rng))


@pytest.mark.slow
def test_many_more_trees_are_minimal(rng: np.random.Generator) -> None:
    for shape in binary_shapes(5):
        for widths in itertools.product((1, 2, 3), repeat=9):
            topology = tree_of(shape, widths)
            assert topology is None or is_minimal(topology)
    for _ in range(5000):
        assert is_minimal(random_tree(int(rng.integers(6, 10)), rng))


def test_what_is_left_in_the_middle_is_minimal(rng: np.random.Generator) -> None:
    """The scheduler asks for it: subtrees that end lower than they begin come first."""
    for _ in range(200):
        topology = random_tree(int(rng.integers(2, 6)), rng)
        order = minimal_order(topology)[1]
        finished = order[: int(rng.integers(len(order)))]
        remaining = Remaining(topology)
        for wire in finished:
            remaining.finish(wire)
        assert peak(remaining.to_root()) == fewest_by_search(topology, frozenset(finished))


def replayed(topology: Topology, schedule: Schedule, durations: list[float]) -> float:
    """A qubit is free when taken, held when used, reset exactly when used before; time of the end."""
    held: dict[int, tuple[int, ...]] = {}
    used: set[int] = set()
    free_at = [0.0] * schedule.num_qubits
    for operation in schedule.operations:
        busy = {qubit for qubits in held.values() for qubit in qubits}
        if isinstance(operation, Prepare):
            new, wire, kept = operation.qubits, operation.leaf, operation.qubits
        else:
            node = topology.nodes[operation.node]
            inputs = [qubit for child in node.children for qubit in held.pop(child)]
            assert list(operation.qubits[: len(inputs)]) == inputs
            new = operation.qubits[len(inputs) :]
            assert len(new) == node.fresh
            wire, kept = topology.num_leaves + operation.node, operation.qubits[: node.width]
            end = max(free_at[q] for q in operation.qubits) + durations[operation.node]
            for qubit in operation.qubits:
                free_at[qubit] = end
        assert not busy & set(new)
        assert set(operation.resets) == used & set(new)
        used |= set(new)
        held[wire] = kept
    assert list(held.values()) == [schedule.measured]
    return max(free_at)


@given(small_trees(max_qubits=40), st.integers(0, 100), st.integers(0, 2**16))
def test_every_schedule_is_sound(topology: Topology, share: int, seed: int) -> None:
    """For any number of qubits between the fewest and all."""
    least, most = minimal_order(topology)[0], all_qubits(topology)
    num_qubits = least + (most - least) * share // 100
    durations = np.random.default_rng(seed).uniform(1, 9, len(topology.nodes)).tolist()
    schedule = schedule_network(topology, num_qubits, durations)
    assert schedule.num_qubits == num_qubits
    assert replayed(topology, schedule, durations) >= depth_bound(topology, num_qubits, durations) - 1e-9


def test_random_trees_are_scheduled_on_the_fewest_qubits(rng: np.random.Generator) -> None:
    for _ in range(200):
        topology = random_tree(int(rng.integers(2, 12)), rng)
        replayed(topology, schedule_network(topology), [1.0] * len(topology.nodes))


def test_more_qubits_less_depth() -> None:
    """64 leaves, 63 nodes: 6 deep on all qubits."""
    topology = balanced_tree(64)
    depths = []
    for num_qubits in (7, 8, 11, 16, 32, 64):
        schedule = schedule_network(topology, num_qubits)
        depths.append(replayed(topology, schedule, [1.0] * 63))
    assert depths[0] <= 33
    assert depths[-1] == 6
    assert depths == sorted(depths, reverse=True)
    assert schedule.num_resets == 0


@pytest.mark.parametrize(("topology", "fewest"), [(balanced_tree(64), 7), (balanced_tree(64, 2), 12)])
def test_limits(topology: Topology, fewest: int) -> None:
    assert schedule_network(topology).num_qubits == fewest
    assert schedule_network(topology, 1000).num_qubits == 64
    message = f"this network needs {fewest} to 64 qubits, got num_qubits={fewest - 1}"
    with pytest.raises(InvalidInputError, match=message):
        schedule_network(topology, fewest - 1)
    with pytest.raises(
        InvalidInputError, match=f"num_qubits must be an integer from {fewest} to 64, got 9.5"
    ):
        schedule_network(topology, 9.5)  # type: ignore[arg-type]
