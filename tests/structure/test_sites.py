"""Trees of sites: numbering, walks, the bonds they can need, orders learnt from data."""

import ast
import itertools
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from qtnml.errors import InvalidInputError
from qtnml.structure import (
    Sites,
    Tree,
    balanced_site_tree,
    chain,
    chow_liu,
    chow_liu_tree,
    from_brackets,
    site_chain,
)
from qtnml.structure.information import level_mutual_information, mutual_information, seriation, spanning_tree


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.randoms())
@settings(max_examples=40, deadline=None)
def test_every_tree_is_walked_over_each_edge_twice(dims: list[int], random) -> None:
    order = list(range(len(dims)))
    random.shuffle(order)
    for sites in (
        site_chain(dims, order),
        balanced_site_tree(dims, order),
        balanced_site_tree(dims, order, arity=3),
    ):
        assert Sites.from_dict(sites.to_dict()) == sites
        tree = sites.tree
        assert Tree.from_dict(tree.to_dict()) == tree
        again = from_brackets(ast.literal_eval(tree.brackets()))  # nodes may be numbered otherwise
        assert again.brackets() == tree.brackets()
        assert sorted(tree.leaves_below[tree.root]) == list(range(len(dims)))
        tour = tree.tour
        assert len(tour) == 2 * (len(tree.nodes) - 1)
        assert {tuple(sorted(edge)) for edge in tour} == {
            (k, parent) for k, parent in enumerate(tree.parents[:-1])
        }
        if tour:
            assert tour[0][0] == tour[-1][1] == tree.root
            assert all(a[1] == b[0] for a, b in pairwise(tour))
        for k, below in enumerate(tree.leaves_below):
            inside = np.prod([dims[site] for site in below], dtype=float)
            outside = np.prod(dims, dtype=float) / inside
            assert sites.largest_bonds[k] == min(inside, outside)


@pytest.mark.parametrize(
    ("leaves", "nodes", "message"),
    [
        (0, ((0,),), "at least one leaf"),
        (2, ((0,),), r"wires \[1\] lead nowhere"),
        (2, ((0, 1), (2, 2)), "node 1 cannot take wire 2: it is used"),
        (2, ((0, 3), (1, 2)), "node 0 cannot take wire 3: it is used or does not exist yet"),
        (2, ((0, 1), ()), "node 1 needs a child"),
        (2, ((0, True),), "wires are integers, got a boolean"),
    ],
)
def test_what_is_no_tree_is_refused(leaves: int, nodes: tuple, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Tree(leaves, nodes)


def test_what_is_no_tree_of_sites_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="a site has 1 to 256 levels, got 0"):
        Sites((2, 0), chain(2))
    with pytest.raises(InvalidInputError, match="a tree of 2 leaves needs as many dimensions, got 3"):
        Sites((2, 2, 2), chain(2))
    with pytest.raises(InvalidInputError, match="order must name each of 3 leaves once"):
        site_chain([2, 2, 2], [0, 1, 1])


@pytest.mark.parametrize(
    ("nested", "message"),
    [
        ([[0, 1], [1, 2]], r"must name each leaf from 0 once, got \[0, 1, 1, 2\]"),
        ([[0, 2]], "must name each leaf from 0 once"),
        ([[0, 1], []], r"non-empty list of leaves and lists, got \[\]"),
        ([0, "1"], "hold leaves .integers. and brackets, got '1'"),
        (3, "non-empty list of leaves and lists, got 3"),
    ],
)
def test_brackets_that_are_no_tree_are_refused(nested: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        from_brackets(nested)


def test_deep_brackets_need_no_recursion() -> None:
    tree = chain(5000)
    nested: list = [4999]
    for leaf in reversed(range(4999)):
        nested = [leaf, nested]
    assert from_brackets(nested) == tree


def test_mutual_information_of_levels_and_an_order_by_it(rng: np.random.Generator) -> None:
    # A hidden chain: each column copies the one before it, mostly; then the columns are shuffled.
    columns = [rng.integers(0, 3, 4000)]
    for _ in range(7):
        noise = rng.integers(0, 3, 4000)
        columns.append(np.where(rng.random(4000) < 0.8, columns[-1], noise))
    hidden = rng.permutation(8)
    levels = np.stack(columns, axis=1)[:, hidden]
    information = level_mutual_information(levels, (3,) * 8)
    np.testing.assert_allclose(information, mutual_information(levels.astype(float), 3), atol=1e-12)
    found = hidden[seriation(information)].tolist()
    assert found in (list(range(8)), list(range(8))[::-1])
    assert chow_liu(information) == chow_liu_tree(levels, information=information).tree


def test_the_spanning_tree_is_the_heaviest_of_all(rng: np.random.Generator) -> None:
    """Against all spanning trees of five vertices; weights of zero are edges as well."""
    weights = np.triu(np.round(rng.random((5, 5)), 1), 1)
    weights[0] = 0
    weights += weights.T
    edges = list(itertools.combinations(range(5), 2))
    totals = [
        sum(weights[edge] for edge in some)
        for some in itertools.combinations(edges, 4)
        if connected_components(csr_array((np.ones(4), np.transpose(some)), (5, 5)), directed=False)[0] == 1
    ]
    found = spanning_tree(weights)
    assert len(found) == 4
    assert sum(weights[edge] for edge in found) == pytest.approx(max(totals))
