"""Trees of very many features: what is kept for each node must not grow with them."""

import tracemalloc

import numpy as np
import pytest

from qtnml.errors import InvalidInputError
from qtnml.structure import (
    Topology,
    Tree,
    balanced_tree,
    chain,
    chow_liu_tree,
    mps,
    site_chain,
    with_reuploads,
)
from qtnml.structure.information import level_mutual_information


def _peak(call) -> float:
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_chains_take_memory_in_proportion() -> None:
    for make in (
        lambda count: with_reuploads(mps(count), 0),
        lambda count: with_reuploads(mps(count), 1),
        lambda count: site_chain([2] * count).largest_bonds,
        lambda count: chain(count).num_below,
    ):
        small, large = (_peak(lambda n=n: make(n)) for n in (1000, 4000))  # noqa: B023
        assert large < 6 * small


def test_sites_below_are_those_of_the_wires(rng: np.random.Generator) -> None:
    for _ in range(20):
        wires, nodes, count = list(rng.permutation(9)), [], 9
        while len(wires) > 1:
            size = int(rng.integers(1, min(4, len(wires)) + 1))
            nodes.append(tuple(int(wires.pop()) for _ in range(size)))
            wires.insert(int(rng.integers(len(wires) + 1)), 9 + len(nodes) - 1)
            if len(nodes) > 30:
                nodes.append(tuple(int(w) for w in wires))
                break
        tree = Tree(count, tuple(nodes))
        below: list[tuple[int, ...]] = []
        for node in tree.nodes:
            parts = [(w,) if w < 9 else below[w - 9] for w in node]
            below.append(tuple(site for part in parts for site in part))
        assert tree.leaves_below == tuple(below)
        assert tree.num_below == tuple(map(len, below))
        assert tree.leaves_in_order == below[-1]


def test_reuploads_spread_over_the_features_below() -> None:
    topology = with_reuploads(balanced_tree(8, 1), 1)
    assert topology.nodes[-1].uploads == (0, 4)
    assert with_reuploads(balanced_tree(8, 1), 0) == balanced_tree(8, 1)


def test_what_would_not_fit_is_said_before() -> None:
    levels = np.zeros((2, 10_000), dtype=int)
    with pytest.raises(InvalidInputError, match="10,000 features takes matrices of 20,000 x 20,000 numbers"):
        level_mutual_information(levels, (2,) * 10_000)
    with pytest.raises(InvalidInputError, match="node 0 acts on 13 qubits, more than 12"):
        Topology.from_dict({"leaf_widths": [1, 2], "nodes": [[[0, 1], 10, 1]]})
    with pytest.raises(InvalidInputError, match="node 0 acts on 10{30}2 qubits"):
        Topology.from_dict({"leaf_widths": [10**31, 2], "nodes": [[[0, 1], 0, 1]]})
    for damaged in ({}, {"leaf_widths": 3, "nodes": []}, {"leaf_widths": [1], "nodes": [[1]]}):
        with pytest.raises(InvalidInputError, match="a topology has leaf_widths and nodes"):
            Topology.from_dict(damaged)


def test_booleans_and_lists_are_samples(rng: np.random.Generator) -> None:
    X = rng.random((30, 5)) > 0.5
    expected = chow_liu_tree(X.astype(float))
    assert chow_liu_tree(X) == expected
    assert chow_liu_tree(X.tolist()) == expected  # type: ignore[arg-type]
