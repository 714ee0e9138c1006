"""Starts without search: staircases of bond 2, products, trees."""

import numpy as np
import pytest

from qtnml import shallow, states
from qtnml.born import TreeState
from qtnml.errors import InvalidInputError
from qtnml.shallow.approximation import approximation_of
from qtnml.shallow.blocks import Blocks
from qtnml.shallow.layouts import brick_wall, staircase, tree
from qtnml.shallow.search import _joined
from qtnml.shallow.starts import first_layer, next_layer
from qtnml.shallow.target import Target
from qtnml.states import State
from qtnml.structure import site_chain


def random_state(count: int, bond: int, *, is_complex: bool = True, seed: int = 0) -> State:
    rng = np.random.default_rng(seed)
    return State(TreeState.random(site_chain([2] * count), bond, rng, is_complex=is_complex))


@pytest.mark.parametrize("is_complex", [False, True])
def test_a_chain_of_bond_two_is_one_staircase(is_complex: bool) -> None:
    state = random_state(7, 2, is_complex=is_complex)
    target = Target.of(state)
    blocks = Blocks(7, staircase(7, 1), "su4" if is_complex else "so4")
    found = approximation_of(target, blocks, first_layer("bond-2", blocks, target.tensors), "staircase")
    assert found.infidelity < 1e-12
    assert found.verify() < 1e-9


@pytest.mark.slow
def test_layers_of_bond_two_come_nearer_one_by_one() -> None:
    state = random_state(8, 6)
    target = Target.of(state)
    blocks = Blocks(8, staircase(8, 1), "su4")
    point = first_layer("bond-2", blocks, target.tensors)
    fidelities = [approximation_of(target, blocks, point, "").fidelity]
    nearest = state.truncated(2)
    assert fidelities[0] == pytest.approx(state.fidelity(nearest), abs=1e-10)
    for layers in range(2, 6):
        longer = Blocks(8, staircase(8, layers), "su4")
        new = longer.identity()
        left = next_layer(longer, point, target.tensors).whole
        new = new._replace(whole=np.concatenate([left, new.whole[len(left) :]]))
        point = _joined(longer, point, new, before=True)
        fidelities.append(approximation_of(target, longer, point, "").fidelity)
    assert (np.diff(fidelities) > 0).all()  # arXiv:1908.07958


@pytest.mark.parametrize("pairs", [staircase(6, 1), brick_wall(6, 2), tree(6, 1)])
def test_a_product_is_a_start_of_any_layout(pairs: tuple[tuple[int, int], ...]) -> None:
    product = random_state(6, 1)
    target = Target.of(product)
    blocks = Blocks(6, pairs, "su4")
    found = approximation_of(target, blocks, first_layer("product", blocks, target.tensors), "")
    assert found.infidelity < 1e-12


@pytest.mark.parametrize("count", [4, 7, 8])
@pytest.mark.parametrize("is_complex", [False, True])
def test_a_tree_of_bond_two_is_one_layer_of_the_tree(count: int, is_complex: bool) -> None:
    state = random_state(count, 5, is_complex=is_complex)
    target = Target.of(state)
    blocks = Blocks(count, tree(count, 1), "su4" if is_complex else "so4")
    found = approximation_of(target, blocks, first_layer("tree", blocks, target.tensors), "tree")
    assert found.fidelity == pytest.approx(state.fidelity(state.renormalised(2)), abs=1e-9)


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("start", "layout"),
    [("bond-2", "staircase"), ("product", "brick-wall"), ("tree", "tree")],
)
def test_the_search_begins_there(start: str, layout: str) -> None:
    state = states.ground_state(states.ising(8), max_bond=8)
    found = shallow.approximate(
        state,
        layers=2,
        layout=layout,
        start=start,  # type: ignore[arg-type]
        iterations=40,
        starts=1,
    )
    assert found.blocks.kind == "so4"
    assert found.infidelity < 0.2
    assert found.verify() < 1e-9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": "warm"}, "start must be one of"),
        ({"start": "tree"}, "layout 'tree'"),
        ({"start": "bond-2", "layout": "brick-wall"}, "layout 'staircase'"),
        ({"start": "product", "blocks": "cx"}, "whole blocks"),
        ({"start": "product", "blocks": "so4"}, "complex"),
    ],
)
def test_starts_that_do_not_fit_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        shallow.approximate(random_state(5, 3), layers=1, **settings)  # type: ignore[arg-type]
