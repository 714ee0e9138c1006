"""Circuits on any pairs against dense vectors gate by gate; losses against their definitions."""

import numpy as np
import pytest

from qtnml import states
from qtnml.errors import InvalidInputError
from qtnml.shallow import vector
from qtnml.shallow.blocks import Blocks, Kind, Point
from tests.shallow.slopes import loss_and_slope
from tests.shallow.test_engine import dense

PAIRS = ((0, 3), (1, 2), (4, 1), (4, 5), (0, 5), (2, 0), (3, 5))


@pytest.fixture(params=["su4", "so4", "two-cx", "cx"])
def circuit(request: pytest.FixtureRequest) -> tuple[Blocks, Point]:
    kind: Kind = request.param
    blocks = Blocks(6, PAIRS, kind)
    return blocks, blocks.start(np.random.default_rng(0), 0.7)


@pytest.mark.sampled
def test_energies_of_any_pairs(circuit: tuple[Blocks, Point]) -> None:
    blocks, point = circuit
    hamiltonian = states.xxz(6, anisotropy=0.4, field=0.3, periodic=True)
    objective = vector.energy(blocks, hamiltonian)
    wanted = dense(6, PAIRS, blocks.gates(point))
    np.testing.assert_allclose(objective.vector(point), wanted, atol=1e-13)
    loss, is_right = loss_and_slope(objective, blocks, point)
    assert loss == pytest.approx((wanted.conj() @ hamiltonian.matrix() @ wanted).real, abs=1e-12)
    assert is_right


@pytest.mark.sampled
def test_divergences_and_discrepancies(circuit: tuple[Blocks, Point]) -> None:
    blocks, point = circuit
    strings = np.random.default_rng(2).integers(2, size=(20, 6))
    probabilities = np.abs(dense(6, PAIRS, blocks.gates(point))) ** 2
    frequencies = np.bincount(strings @ 2 ** np.arange(5, -1, -1), minlength=64) / 20
    loss, is_right = loss_and_slope(vector.divergence(blocks, strings), blocks, point)
    there = frequencies > 0
    wanted = (frequencies[there] * np.log(frequencies[there] / probabilities[there])).sum()
    assert loss == pytest.approx(wanted, abs=1e-10)
    assert is_right
    loss, is_right = loss_and_slope(vector.discrepancy(blocks, strings, widths=[0.5, 2.0]), blocks, point)
    index = np.arange(64)
    distance = np.array([[bin(a ^ b).count("1") for b in index] for a in index])
    kernel = (np.exp(-distance / 1.0) + np.exp(-distance / 4.0)) / 2
    difference = probabilities - frequencies
    assert loss == pytest.approx(difference @ kernel @ difference, abs=1e-12)
    assert is_right


def test_pairs_that_are_not_joined() -> None:
    found = vector.all_unlinked(5, [(1, 0), (1, 2), (2, 3), (3, 4)])
    assert sorted(found) == [(0, 2), (0, 3), (0, 4), (1, 3), (1, 4), (2, 4)]


def test_bad_circuits() -> None:
    with pytest.raises(InvalidInputError, match="2 to 20 qubits, got 21"):
        vector.energy(Blocks(21, ((0, 1),), "cx"), states.ising(21))
    with pytest.raises(InvalidInputError, match="of 4 sites, the circuit of 6"):
        vector.energy(Blocks(6, PAIRS, "cx"), states.ising(4))
    with pytest.raises(InvalidInputError, match="expected bits of shape"):
        vector.divergence(Blocks(6, PAIRS, "cx"), np.ones((3, 5)))
