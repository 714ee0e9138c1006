"""Losses of what circuits prepare against dense vectors; sweeps that never fall."""

import numpy as np
import pytest

from qtnml import shallow, states
from qtnml.errors import InvalidInputError
from qtnml.shallow import objectives
from qtnml.shallow.blocks import Blocks, Kind, Point
from qtnml.shallow.layouts import brick_wall, staircase
from qtnml.shallow.optimise import lbfgs
from qtnml.shallow.search import stacked
from qtnml.shallow.sweeps import polar_sweeps
from tests.shallow.slopes import loss_and_slope
from tests.shallow.test_engine import dense, random_state

LAYOUTS = {"staircase": staircase(6, 2), "reversed": staircase(6, 2)[::-1], "brick wall": brick_wall(6, 3)}


@pytest.fixture(params=[(name, kind) for name in LAYOUTS for kind in ("so4", "two-cx")], ids=str)
def circuit(request: pytest.FixtureRequest) -> tuple[Blocks, Point]:
    name, kind = request.param
    blocks = Blocks(6, LAYOUTS[name], kind)
    return blocks, blocks.start(np.random.default_rng(0), 0.7)


@pytest.mark.sampled
def test_energies(circuit: tuple[Blocks, Point]) -> None:
    blocks, point = circuit
    vector = dense(6, blocks.pairs, blocks.gates(point))
    hamiltonian = states.xxz(6, couplings=[1, 2, 0.5, 1, -1], anisotropy=0.3, field=0.4)
    loss, is_right = loss_and_slope(objectives.energy(blocks, hamiltonian), blocks, point)
    wanted = (vector.conj() @ hamiltonian.matrix() @ vector).real / 6
    assert loss == pytest.approx(wanted, abs=1e-12)
    assert is_right


@pytest.mark.sampled
def test_distances_of_reduced_states(circuit: tuple[Blocks, Point]) -> None:
    blocks, point = circuit
    vector = dense(6, blocks.pairs, blocks.gates(point))
    own, target = states.from_vector(vector), random_state(6, 3)
    loss, is_right = loss_and_slope(objectives.local_distance(blocks, target.chain().tensors), blocks, point)
    parts = [np.abs(own.reduced([k, k + 1]) - target.reduced([k, k + 1])) ** 2 for k in range(5)]
    assert loss == pytest.approx(np.sum(parts) / 10, abs=1e-12)
    assert is_right
    at_own = objectives.local_distance(blocks, own.chain().tensors)
    assert loss_and_slope(at_own, blocks, point)[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.sampled
def test_likelihoods(circuit: tuple[Blocks, Point]) -> None:
    blocks, point = circuit
    vector = dense(6, blocks.pairs, blocks.gates(point))
    strings = np.random.default_rng(2).integers(2, size=(9, 6))
    strings = np.concatenate([strings, strings[:3]])
    loss, is_right = loss_and_slope(objectives.likelihood(blocks, strings), blocks, point)
    probabilities = np.abs(vector[strings @ 2 ** np.arange(5, -1, -1)]) ** 2
    assert loss == pytest.approx(-np.log(probabilities).mean() / 6, abs=1e-12)
    assert is_right


def test_an_energy_is_trained_down_to_the_ground_state() -> None:
    hamiltonian = states.ising(6, field=1.2)
    blocks = Blocks(6, staircase(6, 2), "so4")
    objective = objectives.energy(blocks, hamiltonian)
    starts = stacked([blocks.start(np.random.default_rng(seed), 0.3) for seed in range(3)])
    found = lbfgs(objective, starts, blocks.dimension, iterations=200)
    exact = np.linalg.eigvalsh(hamiltonian.matrix())[0]
    assert 6 * found.losses.min() == pytest.approx(exact, abs=1e-3)
    assert 6 * found.losses.min() >= exact - 1e-10


@pytest.mark.slow
def test_a_circuit_is_refined_on_another_loss() -> None:
    hamiltonian = states.ising(6, field=1.2)
    rough = states.ground_state(hamiltonian, max_bond=2)
    found = shallow.approximate(rough, layers=2, iterations=20, starts=1)
    refined = shallow.refine(found, 150, objective=objectives.energy(found.blocks, hamiltonian))
    before, after = (each.state().expectation(hamiltonian).real for each in (found, refined))
    exact = np.linalg.eigvalsh(hamiltonian.matrix())[0]
    assert exact - 1e-9 <= after < before
    assert after == pytest.approx(exact, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["su4", "so4"])
def test_sweeps_never_fall(kind: Kind) -> None:
    state = random_state(8, 4, is_complex=kind == "su4")
    for pairs in (staircase(8, 2), brick_wall(8, 3), staircase(8, 2)[::-1]):
        blocks = Blocks(8, pairs, kind)
        points = stacked([blocks.start(np.random.default_rng(seed), 0.5) for seed in range(2)])
        found = polar_sweeps(blocks, state.chain().tensors, points, iterations=15, tolerance=0.0)
        assert (np.diff(found.history, axis=0) <= 1e-13).all()
        assert (found.losses < found.history[0] - 1e-3).all()
        best = Point(*(part[0] for part in found.points))
        gates = blocks.gates(best)
        fidelity = abs(np.vdot(state.to_vector(), dense(8, pairs, gates))) ** 2
        assert -np.log(fidelity) / 8 == pytest.approx(found.losses[0], abs=1e-10)
        if kind == "so4":
            np.testing.assert_allclose(np.linalg.det(gates), 1, atol=1e-10)


def test_bad_objectives() -> None:
    blocks = Blocks(6, staircase(6, 1), "cx")
    with pytest.raises(InvalidInputError, match="of 5 sites, the circuit of 6"):
        objectives.energy(blocks, states.ising(5))
    with pytest.raises(InvalidInputError, match="joins no neighbours"):
        objectives.energy(blocks, states.ising(6, periodic=True))
    with pytest.raises(InvalidInputError, match="expected bits of shape"):
        objectives.likelihood(blocks, np.full((2, 6), 2))
    with pytest.raises(InvalidInputError, match="more than the 8"):
        objectives.energy(Blocks(12, staircase(12, 9), "so4"), states.ising(12))
    with pytest.raises(InvalidInputError, match="sweeps replace whole gates"):
        polar_sweeps(blocks, None, stacked([blocks.identity()]), iterations=1)  # type: ignore[arg-type]
