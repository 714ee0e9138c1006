import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtnml.ansatz import TensorNetwork
from qtnml.compile import compile_network
from qtnml.contract import Model
from qtnml.errors import InvalidInputError
from qtnml.structure import Node, Topology, balanced_tree
from tests.references import ENCODING


@given(st.integers(1, 200), st.integers(1, 3), st.sampled_from(["data", "fresh"]))
def test_trees_of_any_size(num_features: int, bond_qubits: int, leaf: str) -> None:
    tree = balanced_tree(num_features, bond_qubits, leaf=leaf)
    assert tree.num_data_qubits == num_features
    assert [f for features in tree.leaf_qubits for f in features] == list(range(num_features))
    assert len(tree.nodes) == max(1, tree.num_leaves - 1)
    assert max(tree.tree.heights) == max(1, (tree.num_leaves - 1).bit_length())
    assert all(node.width <= bond_qubits for node in tree.nodes)
    assert max(tree.num_qubits) <= 2 * bond_qubits
    assert Topology.from_dict(tree.to_dict()) == tree
    assert hash(Topology.from_dict(tree.to_dict())) == hash(tree)


def test_narrower_last_leaf() -> None:
    tree = balanced_tree(7, 3)
    assert tree.leaf_widths == (3, 3, 1)
    assert [node.children for node in tree.nodes] == [(0, 1), (3, 2)]
    assert tree.num_qubits == (6, 4)


def test_fresh_leaves_bring_their_qubits_with_the_node() -> None:
    tree = balanced_tree(3, 2, leaf="fresh")
    assert tree.leaf_widths == (1, 1, 1)
    assert [node.fresh for node in tree.nodes] == [2, 1]
    assert tree.num_qubits == (4, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_data_qubits": 0}, "at least one data qubit, got 0"),
        ({"num_data_qubits": 4, "bond_qubits": 0}, "bond_qubits must be 1 to 3, got 0"),
        ({"num_data_qubits": 4, "bond_qubits": 9}, "bond_qubits must be 1 to 3, got 9.*18 qubits"),
        ({"num_data_qubits": 4, "leaf": "root"}, "leaf must be 'data' or 'fresh', got 'root'"),
        ({"num_data_qubits": 4, "root_qubits": 3}, "the root has 2 qubits and cannot keep root_qubits=3"),
        ({"num_data_qubits": 4, "root_qubits": 0}, "cannot keep root_qubits=0"),
    ],
)
def test_impossible_trees(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        balanced_tree(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("leaves", "nodes", "message"),
    [
        ((), (), "at least one leaf and one node"),
        ((1, 0), (Node((0, 1), 0, 1),), "leaf widths must be positive"),
        ((1, 1), (Node((0, 0), 0, 1),), "cannot take wire 0"),
        ((1, 1), (Node((0, 2), 0, 1),), "cannot take wire 2"),
        ((1, 1, 1), (Node((0, 1), 0, 1), Node((1, 2), 0, 1)), "cannot take wire 1"),
        ((1, 1, 1), (Node((0, 1), 0, 1),), r"wires \[2\] lead nowhere"),
        ((1, 1), (Node((0, 1), 0, 3),), "has 2 qubits and cannot keep 3"),
        ((1, 1), (Node((), 0, 1),), "needs a child"),
    ],
)
def test_malformed_topologies(leaves: tuple[int, ...], nodes: tuple[Node, ...], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Topology(leaves, nodes)


def test_network_shapes_and_parameters(rng: np.random.Generator) -> None:
    network = TensorNetwork.random(balanced_tree(7, 3), rng)
    assert [stack.shape for stack in network.unitaries] == [(1, 16, 16), (1, 64, 64)]
    assert Model(network.topology).num_parameters == 255 + 4095
    assert [matrix.shape[0] for matrix in network.node_unitaries()] == [64, 16]
    with pytest.raises(InvalidInputError, match=r"needs unitaries of shapes .*got \[\(1, 64, 64\)\]"):
        compile_network(TensorNetwork(network.topology, network.unitaries[1:]), ENCODING)
