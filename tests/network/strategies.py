"""Random topologies, small enough for the dense referee."""

from hypothesis import strategies as st

from qtnml.network import Topology, balanced_tree


@st.composite
def small_trees(draw: st.DrawFn, max_qubits: int = 8) -> Topology:
    """Balanced trees of every bond width and leaf rule on at most `max_qubits` qubits."""
    bond_qubits, leaf = draw(st.integers(1, 3)), draw(st.sampled_from(["data", "fresh"]))
    most = max_qubits if leaf == "data" else max_qubits // bond_qubits
    num_features = draw(st.integers(1, max(1, most)))
    narrow = balanced_tree(num_features, bond_qubits, leaf=leaf)
    root = draw(st.integers(1, narrow.num_qubits[-1]))
    return balanced_tree(num_features, bond_qubits, leaf=leaf, root_qubits=root)
