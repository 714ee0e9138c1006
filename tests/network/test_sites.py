"""Trees of sites: numbering, walks, the bonds they can need, orders learnt from data."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtnml.errors import InvalidInputError
from qtnml.network.chow_liu import chow_liu_tree, level_mutual_information, mutual_information, seriation
from qtnml.network.sites import SiteTree, balanced_site_tree, site_chain, site_tree_of


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.randoms())
@settings(max_examples=40, deadline=None)
def test_every_tree_is_walked_over_each_edge_twice(dims: list[int], random) -> None:
    order = list(range(len(dims)))
    random.shuffle(order)
    for tree in (site_chain(dims, order), balanced_site_tree(dims, order)):
        assert SiteTree.from_dict(tree.to_dict()) == tree
        assert sorted(tree.sites_below[tree.root]) == list(range(len(dims)))
        tour = tree.tour
        assert len(tour) == 2 * (len(tree.nodes) - 1)
        assert {tuple(sorted(edge)) for edge in tour} == {
            (k, parent) for k, parent in enumerate(tree.parents[:-1])
        }
        if tour:
            assert tour[0][0] == tour[-1][1] == tree.root
            assert all(a[1] == b[0] for a, b in pairwise(tour))
        for k, below in enumerate(tree.sites_below):
            inside = np.prod([dims[site] for site in below], dtype=float)
            outside = np.prod(dims, dtype=float) / inside
            assert tree.largest_bonds[k] == min(inside, outside)


@pytest.mark.parametrize(
    ("dims", "nodes", "message"),
    [
        ((), ((0,),), "at least one site"),
        ((2, 0), ((0, 1),), "a site has 1 to 256 levels, got 0"),
        ((2, 2), ((0,),), "every wire but the root's must enter exactly one node"),
        ((2, 2), ((0, 1), (2, 2)), "every wire but the root's"),
        ((2, 2), ((0, 3), (1, 2)), "every wire but the root's"),
    ],
)
def test_what_is_no_tree_is_refused(dims: tuple[int, ...], nodes: tuple, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        SiteTree(dims, nodes)
    with pytest.raises(InvalidInputError, match="order must name each of 3 sites once"):
        site_chain([2, 2, 2], [0, 1, 1])


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
    tree = site_tree_of(chow_liu_tree(levels, information=information), (3,) * 8)
    assert tree.num_sites == 8
