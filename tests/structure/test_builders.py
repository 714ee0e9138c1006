"""Chains, trees from parents, and the tree that data teach."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit.library import RYGate

from qtnml import MPSClassifier, TreeBornMachine, TreeClassifier, get_backend, load_model
from qtnml.compile import compile_model, minimal_order
from qtnml.contract import Model, dense_outcome_probabilities
from qtnml.contract.bloch_plan import contraction_plan
from qtnml.contract.plan import Chain
from qtnml.encoding import state_vectors
from qtnml.errors import InvalidInputError
from qtnml.structure import (
    Node,
    Topology,
    Tree,
    balanced,
    balanced_tree,
    chain,
    chow_liu_tree,
    from_brackets,
    mps,
    topology_from_parents,
    with_qubits,
    with_reuploads,
)
from qtnml.structure.information import mutual_information, spanning_tree
from tests.references import ENCODING


def agrees_with_the_referee(topology: Topology, rng: np.random.Generator) -> None:
    model = Model(topology)
    parameters = model.start(rng, scale=2.0)
    X = rng.random((3, topology.num_data_qubits))
    network = model.network(parameters)
    dense = [dense_outcome_probabilities(network, state_vectors(ENCODING, x)) for x in X]
    np.testing.assert_allclose(model.predict(parameters, X)[0], dense, atol=1e-12)
    np.testing.assert_allclose(model.apply(parameters, X), dense, atol=1e-12)


@pytest.mark.parametrize("leaf", ["data", "fresh"])
@pytest.mark.parametrize("bond_qubits", [1, 2, 3])
def test_chains(bond_qubits: int, leaf: str, rng: np.random.Generator) -> None:
    for num_data_qubits in (1, 2, 3, 4, 8):
        if leaf == "fresh" and num_data_qubits + bond_qubits > 9:
            continue
        topology = mps(num_data_qubits, bond_qubits, leaf=leaf)
        assert topology.num_data_qubits == num_data_qubits
        agrees_with_the_referee(topology, rng)
    assert minimal_order(mps(50, bond_qubits, leaf=leaf))[0] == bond_qubits + 1
    with pytest.raises(InvalidInputError, match=f"the root has {bond_qubits + 1} qubits and cannot keep"):
        mps(8, bond_qubits, leaf=leaf, root_qubits=bond_qubits + 2)


def test_a_chain_of_groups() -> None:
    tree = chain(10, order=[9, 8, 7, 6, 5, 4, 3, 2, 1, 0], group=4)
    assert tree.nodes == ((1, 0), (5, 4, 3, 2, 10), (9, 8, 7, 6, 11))
    assert chain(3, group=4).nodes == ((0, 1, 2),)
    for wrong in ({"group": 0}, {"group": True}, {"group": 2, "root": 1}, {"group": 2, "first": 2}):
        with pytest.raises(InvalidInputError, match="group must be a positive integer, and 1 where"):
            chain(6, **wrong)


def test_a_chain_is_one_scan() -> None:
    """784 sites take as many contraction steps as 64: first node, chain, last node."""
    for sites in (64, 784):
        steps = contraction_plan(mps(sites, 2)).plan.steps
        assert [type(step) is Chain for step in steps] == [False, True, False]
    assert not any(isinstance(step, Chain) for step in contraction_plan(balanced_tree(64)).plan.steps)


@st.composite
def parent_lists(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """A random rooted tree over up to 6 leaves with wires of 1 or 2 qubits."""
    leaves = draw(st.integers(2, 5))
    parents, open_wires, widths = (
        [-1] * leaves,
        list(range(leaves)),
        draw(st.lists(st.integers(1, 2), min_size=leaves, max_size=leaves)),
    )
    while len(open_wires) > 1:
        size = draw(st.integers(2, min(3, len(open_wires))))
        chosen = draw(st.permutations(open_wires))[:size]
        wire = len(parents)
        for child in chosen:
            parents[child] = wire
        parents.append(-1)
        widths.append(draw(st.integers(1, min(2, sum(widths[c] for c in chosen)))))
        open_wires = [w for w in open_wires if w not in chosen] + [wire]
    return parents, widths


@settings(max_examples=30, deadline=None)
@given(parent_lists(), st.integers(0, 1000))
def test_any_rooted_tree(tree: tuple[list[int], list[int]], seed: int) -> None:
    agrees_with_the_referee(topology_from_parents(*tree), np.random.default_rng(seed))


def test_wires_may_be_numbered_in_any_order(rng: np.random.Generator) -> None:
    """The root first; leaves keep their order among themselves."""
    topology = topology_from_parents(
        [-1, 0, 0, 1, 1, 2, 2], [1, 1, 2, 1, 1, 1, 1], fresh=[0, 1, 0, 0, 0, 0, 0]
    )
    assert topology.num_leaves == 4
    *lower, root = topology.nodes
    assert {(node.children, node.fresh, node.width) for node in lower} == {((0, 1), 1, 1), ((2, 3), 0, 2)}
    assert (root.fresh, root.width) == (0, 1)
    agrees_with_the_referee(topology, rng)


@pytest.mark.parametrize(
    ("parents", "widths", "fresh", "message"),
    [
        ([2, 2, -1], [1, 1], None, "one entry per wire"),
        ([2, 2, 2], [1, 1, 1], None, "-1 for exactly one root"),
        ([5, 2, -1], [1, 1, 1], None, "parents are wires 0 to 2"),
        ([2, 2, -1, 4, 3], [1] * 5, None, r"wires \[3, 4\] never reach the root"),
        ([2, 2, -1], [1, 1, 1], [1, 0, 0], "fresh must be 0 at leaves"),
        ([2, 2, -1], [1, 1, 3], None, "has 2 qubits and cannot keep 3"),
    ],
)
def test_impossible_parents(parents: list[int], widths: list[int], fresh: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        topology_from_parents(parents, widths, fresh=fresh)  # type: ignore[arg-type]


def test_mutual_information_of_known_distributions(rng: np.random.Generator) -> None:
    bits = rng.integers(0, 2, (50_000, 2)).astype(float)
    X = np.column_stack([bits[:, 0], bits[:, 0], bits[:, 1], np.ones(50_000)])
    information = mutual_information(X, levels=2)
    np.testing.assert_allclose(information[0, 1], np.log(2), atol=1e-3)
    np.testing.assert_allclose(information[0, 2], 0, atol=1e-3)
    np.testing.assert_allclose(information[3], 0, atol=1e-12)


def test_spanning_tree_is_the_heaviest(rng: np.random.Generator) -> None:
    """Against all spanning trees of five vertices (Cayley: 125, by Pruefer codes)."""
    weights = rng.random((5, 5))
    weights += weights.T
    best = 0.0
    for code in np.ndindex(5, 5, 5):
        degree = 1 + np.bincount(code, minlength=5)
        total, rest = 0.0, list(code)
        for vertex in rest:
            leaf = int(np.flatnonzero(degree == 1)[0])
            total += weights[leaf, vertex]
            degree[leaf] -= 1
            degree[vertex] -= 1
        last = np.flatnonzero(degree == 1)
        best = max(best, total + weights[last[0], last[1]])
    assert sum(weights[edge] for edge in spanning_tree(weights)) == pytest.approx(best)


def test_learnt_tree_joins_what_belongs_together(rng: np.random.Generator) -> None:
    """Pairs of equal features, shuffled: each pair shares a lowest node."""
    base = rng.random((2000, 4))
    X = np.concatenate([base, base], axis=1)
    order = rng.permutation(8)
    topology = chow_liu_tree(X[:, order])
    pairs = {frozenset(order[list(n.children)] % 4) for n in topology.nodes if max(n.children) < 8}
    assert pairs == {frozenset({k}) for k in range(4)}
    assert max(topology.tree.heights) == 3
    agrees_with_the_referee(topology, rng)
    with pytest.raises(InvalidInputError, match="at least two features"):
        chow_liu_tree(X[:, :1])


@pytest.mark.slow
def test_estimators_take_topologies(rng: np.random.Generator) -> None:
    X = rng.random((300, 6))
    y = (X[:, 0] > X[:, 5]).astype(int)
    own = topology_from_parents([6, 7, 7, 8, 8, 6, 9, 9, 10, 10, -1], [1] * 11)
    for topology in (own, "chow-liu"):
        clf = TreeClassifier(topology=topology, random_state=0).fit(X, y)
        assert clf.score(X, y) > 0.9
        assert clf.compile().infidelity < 1e-10
    assert MPSClassifier(2, epochs=2).fit(X, y).model_.topology == mps(6, 2)


@pytest.mark.sampled
@pytest.mark.parametrize("tree", [from_brackets([[0, [1, 2]], [3, 4, 5]]), balanced(6, arity=3)], ids=str)
def test_estimators_take_trees_without_widths(tree: Tree, tmp_path: Path, rng: np.random.Generator) -> None:
    X = rng.random((30, 6))
    clf = TreeClassifier(2, topology=tree, epochs=2, random_state=0).fit(X, X[:, 0] > X[:, 5])
    assert clf.model_.topology == with_qubits(tree, [1] * 6, 2)
    clf.save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert again.topology == tree
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    with pytest.raises(
        InvalidInputError, match="the topology has 6 leaves; 5 features in encoding 'angle' need 5"
    ):
        TreeClassifier(topology=tree).fit(X[:, :5], X[:, 0] > X[:, 1])
    born = TreeBornMachine(2, topology=tree, epochs=2, random_state=0).fit((X > 0.5).astype(int))
    assert born.state_.tree == tree
    born.save(tmp_path / "b")
    assert load_model(tmp_path / "b").topology == tree


@pytest.mark.slow
@pytest.mark.parametrize("layers", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "base",
    [balanced_tree(4), pytest.param(balanced_tree(3, 2, leaf="fresh"), marks=pytest.mark.slow), mps(5, 2)],
    ids=["V=1", "fresh", "mps"],
)
def test_reuploaded_data(base: Topology, layers: int, rng: np.random.Generator) -> None:
    """Contraction, dense referee and compiled circuit agree; the data gates stand inside the nodes."""
    topology = with_reuploads(base, layers)
    assert len(topology.nodes) == (layers + 1) * len(base.nodes)
    assert Topology.from_dict(topology.to_dict()) == topology
    model = Model(topology)
    parameters = model.start(rng, scale=2.0)
    X = rng.random((3, topology.num_data_qubits))
    found = model.predict(parameters, X)[0]
    np.testing.assert_allclose(model.apply(jax.tree.map(jnp.asarray, parameters), X), found, atol=1e-5)
    for x, row in zip(X, found, strict=True):
        gates = np.array([RYGate(np.pi * value).to_matrix() for value in x])
        dense = dense_outcome_probabilities(model.network(parameters), state_vectors(ENCODING, x), gates)
        np.testing.assert_allclose(row, dense, atol=1e-12)
    compiled = compile_model(model, parameters)
    uploads = sum(len(node.uploads) for node in topology.nodes)
    assert compiled.circuit.count_ops()["ry"] == topology.num_data_qubits + uploads
    np.testing.assert_allclose(get_backend("aer").probabilities(compiled.bind(X)), found, atol=1e-10)


@pytest.mark.slow
def test_reuploads_in_an_estimator(rng: np.random.Generator) -> None:
    X = rng.random((300, 2))
    y = (np.abs(X[:, 0] - 0.5) > 0.25).astype(int)  # a band: beyond one rotation and one node
    clf = TreeClassifier(reuploads=2, ansatz="brick-wall", random_state=0).fit(X, y)
    assert clf.score(X, y) > 0.95


def test_impossible_uploads() -> None:
    nodes = (Node((0, 1), 0, 2), Node((2,), 0, 1, (0,)))
    with pytest.raises(
        InvalidInputError, match="node 1 uploads on 1 of 2 qubits; re-uploading needs one data"
    ):
        Topology((1, 1), nodes)
    with pytest.raises(InvalidInputError, match=r"node 1 uploads data qubits \(0, 7\)"):
        Topology((1, 1), (nodes[0], Node((2,), 0, 1, (0, 7))))
