"""Expectation values of products of operators against the whole vector."""

import numpy as np
import pytest

from qtnml.born import TreeState, expectation
from qtnml.errors import InvalidInputError
from tests.born.trees import TREES, dense


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("is_complex", [False, True])
def test_expectations_against_the_whole_vector(name: str, is_complex: bool, rng: np.random.Generator) -> None:
    sites = TREES[name]
    state = TreeState.random(sites, 3, rng, is_complex=is_complex)
    psi = dense(state)
    assert expectation(state, {}) == 1
    for chosen in ([0], [len(sites.dims) - 1], list(range(0, len(sites.dims), 2))):
        operators = {
            site: rng.normal(size=(sites.dims[site],) * 2) + 1j * rng.normal(size=(sites.dims[site],) * 2)
            for site in chosen
        }
        moved = psi
        for site, operator in operators.items():
            moved = np.moveaxis(np.tensordot(operator, moved, (1, site)), 0, site)
        assert expectation(state, operators) == pytest.approx(np.vdot(psi, moved), abs=1e-12)  # type: ignore[arg-type]


def test_operators_that_do_not_fit(rng: np.random.Generator) -> None:
    state = TreeState.random(TREES["chain"], 2, rng)
    with pytest.raises(InvalidInputError, match="sites are integers from 0 to 4, got 9"):
        expectation(state, {9: "Z"})
    with pytest.raises(InvalidInputError, match="an operator is a matrix, 'X', 'Y' or 'Z', got 'H'"):
        expectation(state, {0: "H"})
    with pytest.raises(InvalidInputError, match="its operator has shape"):
        expectation(state, {0: np.eye(7)})
