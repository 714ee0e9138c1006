"""Random topologies, small enough for the dense referee."""

import numpy as np
from hypothesis import strategies as st

from qtnml.structure import Node, Topology, balanced_tree


def random_tree(num_leaves: int, rng: np.random.Generator) -> Topology:
    """Any shape (one to three children), wires of one to three qubits, fresh qubits here and there."""
    widths = rng.integers(1, 4, num_leaves).tolist()
    leaves, nodes, loose = tuple(widths), list[Node](), list(range(num_leaves))
    while len(loose) > 1 or not nodes:
        count = min(len(loose), int(rng.choice([1, 2, 2, 2, 3])))
        count = max(count, 2) if len(nodes) > num_leaves and len(loose) > 1 else count
        children = tuple(rng.permutation(loose)[:count].tolist())
        fresh = int(rng.choice([0, 0, 1, 2]))
        inputs = sum(widths[child] for child in children) + fresh
        nodes.append(Node(children, fresh, int(rng.integers(1, min(3, inputs) + 1))))
        loose = [wire for wire in loose if wire not in children] + [len(widths)]
        widths.append(nodes[-1].width)
    return Topology(leaves, tuple(nodes))


@st.composite
def small_trees(draw: st.DrawFn, max_qubits: int = 8) -> Topology:
    """Balanced trees of every bond width and leaf rule on at most `max_qubits` qubits."""
    bond_qubits, leaf = draw(st.integers(1, 3)), draw(st.sampled_from(["data", "fresh"]))
    most = max_qubits if leaf == "data" else max_qubits // bond_qubits
    num_features = draw(st.integers(1, max(1, most)))
    narrow = balanced_tree(num_features, bond_qubits, leaf=leaf)
    root = draw(st.integers(1, narrow.num_qubits[-1]))
    return balanced_tree(num_features, bond_qubits, leaf=leaf, root_qubits=root)
