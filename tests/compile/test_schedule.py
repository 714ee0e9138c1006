import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtnml.compile import Schedule, depth_first_order, schedule_network
from qtnml.compile.schedule import Prepare
from qtnml.network import Topology, balanced_tree
from tests.network.strategies import small_trees


@pytest.mark.parametrize("bond_qubits", [1, 2])
@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5])
def test_papers_qubit_counts(bond_qubits: int, levels: int) -> None:
    """V log2(2N/V) for data leaves, V (log2 N + 1) for fresh ones (arXiv:1803.11537)."""
    leaves = 2**levels
    data = balanced_tree(leaves * bond_qubits, bond_qubits)
    assert depth_first_order(data)[0] == bond_qubits * (levels + 1)
    fresh = balanced_tree(leaves, bond_qubits, leaf="fresh")
    assert depth_first_order(fresh)[0] == bond_qubits * (levels + 1)


def test_64_pixels_take_7_and_12_qubits() -> None:
    assert schedule_network(balanced_tree(64, 1), reuse_qubits=True).num_qubits == 7
    assert schedule_network(balanced_tree(64, 2), reuse_qubits=True).num_qubits == 12
    assert schedule_network(balanced_tree(64, 1), reuse_qubits=False).num_qubits == 64


@given(small_trees(max_qubits=40), st.booleans())
def test_every_schedule_is_sound(topology: Topology, reuse: bool) -> None:
    """Replay: a qubit is free when taken, held when used, and reset exactly when used before."""
    schedule = schedule_network(topology, reuse_qubits=reuse)
    held: dict[int, tuple[int, ...]] = {}
    used: set[int] = set()
    for operation in schedule.operations:
        busy = {qubit for qubits in held.values() for qubit in qubits}
        if isinstance(operation, Prepare):
            new = operation.qubits
            wire, kept = operation.leaf, operation.qubits
        else:
            node = topology.nodes[operation.node]
            inputs = [qubit for child in node.children for qubit in held.pop(child)]
            assert list(operation.qubits[: len(inputs)]) == inputs
            new = operation.qubits[len(inputs) :]
            assert len(new) == node.fresh
            wire, kept = topology.num_leaves + operation.node, operation.qubits[: node.width]
        assert not busy & set(new)
        assert set(operation.resets) == used & set(new)
        used |= set(new)
        held[wire] = kept
    assert list(held.values()) == [schedule.measured]
    assert used == set(range(schedule.num_qubits))
    assert reuse or schedule.num_resets == 0


def test_order_puts_the_wider_subtree_first() -> None:
    """Three leaves: the pair first, then the single one, on two qubits."""
    assert depth_first_order(balanced_tree(3)) == (2, (0, 1, 3, 2, 4))
    assert isinstance(schedule_network(balanced_tree(3), reuse_qubits=True), Schedule)
