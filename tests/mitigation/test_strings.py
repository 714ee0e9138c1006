"""Marginals of Born machines: as the state says without noise, and brought back towards it under noise."""

import numpy as np
import pytest
from qiskit.providers.fake_provider import GenericBackendV2

from qtnml import MPSBornMachine, get_backend, load_model
from qtnml.errors import InvalidInputError
from qtnml.jobs import JobStore
from qtnml.noise import DeviceNoise, NoisyGenerativeCircuit

READOUT = DeviceNoise(readout_error=((0.05, 0.12), (0.1, 0.02), (0.03, 0.08)))
GATES = DeviceNoise(two_qubit_error=0.004)


@pytest.fixture(scope="module")
def born() -> MPSBornMachine:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, (200, 1))
    X = np.hstack([first, first ^ (rng.random((200, 5)) < 0.2)])
    return MPSBornMachine(4, random_state=0, epochs=15).fit(X)


def exact(born: MPSBornMachine, sites: list[int], noise: DeviceNoise | None = None) -> np.ndarray:
    """By summing over all strings."""
    strings = np.stack(np.unravel_index(np.arange(64), [2] * 6), axis=1)
    if noise is None:
        logs = born.score_samples(strings)
    else:
        logs = NoisyGenerativeCircuit(born.compile(), noise).log_likelihood(strings)
    table = np.exp(logs).reshape([2] * 6)
    kept = table.sum(axis=tuple(k for k in range(6) if k not in sites))
    order = np.argsort(np.argsort(sites))
    return np.asarray(np.transpose(kept, order))


@pytest.mark.parametrize("sites", [[0], [3, 1], [5, 0, 2]])
def test_without_noise(born: MPSBornMachine, sites: list[int]) -> None:
    found = born.to_backend("exact", shots=100_000, jobs=False).marginal(sites)
    wanted = exact(born, sites)
    assert found.probabilities.shape == wanted.shape
    np.testing.assert_array_less(np.abs(found.raw - wanted.ravel()), 5 * found.errors + 1e-6)
    assert (found.factors, found.calibration_shots, found.shots) == ((1.0,), 0, 100_000)


def test_readout_is_undone(born: MPSBornMachine) -> None:
    backend = get_backend("exact", noise=READOUT)
    machine = born.to_backend(backend, shots=200_000, jobs=False, mitigation="readout")
    sites = [0, 4]
    found = machine.marginal(sites)
    np.testing.assert_allclose(found.raw, exact(born, sites, READOUT).ravel(), atol=0.01)
    off = np.abs(found.raw - exact(born, sites).ravel()).max()
    assert off > 0.03
    assert np.abs(found.quasi - exact(born, sites).ravel()).max() < 0.15 * off
    assert found.calibration_shots == 2 * 4 * 200_000
    assert "for the read-out" in str(found)


def test_gates_are_extrapolated(born: MPSBornMachine) -> None:
    backend = get_backend("exact", noise=GATES)
    machine = born.to_backend(backend, shots=200_000, jobs=False, mitigation="zne")
    sites = [0, 5]
    found = machine.marginal(sites)
    wanted = exact(born, sites).ravel()
    assert np.abs(found.quasi - wanted).max() < 0.5 * np.abs(found.raw - wanted).max()
    assert found.factors == pytest.approx((1.0, 3.0, 5.0), abs=0.3)


@pytest.mark.slow
def test_errors_are_those_of_repeated_runs(born: MPSBornMachine) -> None:
    machine = born.to_backend(
        get_backend("exact", noise=READOUT), shots=1000, jobs=False, mitigation="readout"
    )
    runs = [machine.marginal([0, 3]) for _ in range(60)]
    spread = np.std([each.quasi for each in runs], axis=0)
    assert np.mean([each.errors for each in runs], axis=0) == pytest.approx(spread, rel=0.3)


def test_on_a_device_and_in_files(born: MPSBornMachine, tmp_path) -> None:
    pairs = [[a, b] for a in range(5) for b in (a - 1, a + 1) if 0 <= b < 5]
    backend = GenericBackendV2(5, coupling_map=pairs, seed=1)
    jobs = JobStore(tmp_path / "jobs.sqlite")
    machine = born.to_backend(backend, shots=500, jobs=jobs, mitigation="readout")
    assert machine.compiled.device is not None
    first = machine.marginal([0, 1])
    bought = jobs.bought_shots
    assert bought == 500 + 2 * 2000
    np.testing.assert_array_equal(machine.marginal([0, 1]).quasi, first.quasi)
    assert jobs.bought_shots == bought  # asked for again, it costs nothing
    machine.set_params(backend="exact").save(tmp_path / "m.qtnml")
    assert load_model(tmp_path / "m.qtnml").mitigation == "readout"


def test_bad_input(born: MPSBornMachine) -> None:
    machine = born.to_backend("exact", shots=10, jobs=False)
    with pytest.raises(InvalidInputError, match="give at least one site, none of them twice, got "):
        machine.marginal([1, 1])
    with pytest.raises(InvalidInputError, match="sites must be 0 to 5, got 6"):
        machine.marginal([0, 6])
    for odd in (None, "a", ["b"], [0.5], [True]):
        with pytest.raises(InvalidInputError, match="features are given by their numbers, got "):
            machine.marginal(odd)
    with pytest.raises(InvalidInputError, match="n_samples must be an integer of at least 1, got 3.5"):
        machine.plan(3.5)
    with pytest.raises(InvalidInputError, match="shots must be an integer of at least 1, got 0"):
        machine.marginal([0], shots=0)
    with pytest.raises(InvalidInputError, match="strings take mitigation 'readout'"):
        machine.set_params(mitigation="learned").marginal([0])
    wide = MPSBornMachine(2, random_state=0, epochs=2).fit(np.random.default_rng(0).integers(0, 2, (50, 14)))
    with pytest.raises(InvalidInputError, match="have 14 bits .* at most 12 bits at once"):
        wide.to_backend("exact", jobs=False).marginal(range(14))
