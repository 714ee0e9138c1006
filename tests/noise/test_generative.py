"""Generative circuits under noise: exact probabilities against Aer's density matrix, samples too."""

import numpy as np
import pytest

from qtnml import get_backend
from qtnml.backends import run_circuits
from qtnml.born import TreeState, log_likelihood
from qtnml.born.distribution import TreeDistribution
from qtnml.compile import GenerativeCircuit, compile_state
from qtnml.errors import InvalidInputError
from qtnml.noise import DeviceNoise, Instruction, NoisyGenerativeCircuit, groups, over_rotation
from qtnml.structure import Sites, Tree, balanced_site_tree, site_chain
from tests.born.trees import all_strings, p_value

NOISE = DeviceNoise(
    t1=20e-6,
    t2=15e-6,
    one_qubit_time=35e-9,
    two_qubit_time=300e-9,
    one_qubit_error=1e-3,
    two_qubit_error=0.02,
    reset_time=1e-6,
    readout_time=1e-6,
    reset_error=0.03,
    readout_error=(0.02, 0.05),
)
CASES = {
    "chain": (site_chain([2] * 6), 2),
    "wide chain": (site_chain([2] * 6), 4),
    "levels": (site_chain([2, 3, 2, 2], [1, 0, 2, 3]), 2),
    "tree": (balanced_site_tree([2] * 6), 2),
}


def outcomes(compiled: GenerativeCircuit, strings: np.ndarray) -> np.ndarray:
    """The integer each string of bits is read as."""
    found = np.zeros(len(strings), dtype=int)
    for site, bits in enumerate(compiled.site_bits):
        for k, bit in enumerate(bits):
            found |= ((strings[:, site] >> (len(bits) - 1 - k)) & 1) << bit
    return found


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("noise", ["device", "more"])
def test_equals_aer(case: str, noise: str, rng: np.random.Generator) -> None:
    sites, bond = CASES[case]
    state = TreeState.random(sites, bond, rng, is_complex=True)
    given = NOISE
    if noise == "more":
        given = DeviceNoise(
            t1=30e-6, two_qubit_time=1e-7, one_qubit_channel=over_rotation("Z", 0.1), readout_error=0.03
        )
    compiled = compile_state(state, reuse_qubits=False)
    distribution = NoisyGenerativeCircuit(compiled, given).distribution
    strings = all_strings(distribution.sites.dims)
    found = np.exp(distribution.log_probability(strings))
    assert found.sum() == pytest.approx(1, abs=1e-10)
    aer = get_backend("aer", noise=given).probabilities([compiled.trained_circuit])[0]  # type: ignore[attr-defined]
    np.testing.assert_allclose(found, aer[outcomes(compiled, strings)], atol=1e-10)


@pytest.mark.parametrize("case", ["chain", "levels", "tree"])
def test_reused_qubits_follow_the_distribution(case: str, rng: np.random.Generator) -> None:
    sites, bond = CASES[case]
    state = TreeState.random(sites, bond, rng)
    compiled = compile_state(state)
    assert compiled.num_resets
    noisy = NoisyGenerativeCircuit(compiled, NOISE)
    dims = noisy.distribution.sites.dims
    strings = all_strings(dims)
    distribution = np.exp(noisy.distribution.log_probability(strings)).reshape(dims)
    counts = run_circuits(get_backend("aer", noise=NOISE), [compiled.trained_circuit], shots=8192, seed=5)[0]
    numbers = {int(k): row for k, row in zip(outcomes(compiled, strings), strings, strict=True)}
    drawn = np.array([numbers[k] for k, n in counts.items() for _ in range(n)])
    assert p_value(drawn, distribution) > 1e-4
    assert p_value(noisy.distribution.sample(rng, 8192), distribution) > 1e-4
    valid = distribution[tuple(slice(dim) for dim in sites.dims)]
    assert noisy.lost_mass == pytest.approx(1 - valid.sum(), abs=1e-12)
    assert p_value(noisy.sample(rng, 4096), valid / valid.sum()) > 1e-4
    kept = noisy.log_likelihood(all_strings(sites.dims))
    np.testing.assert_allclose(np.exp(kept), (valid / valid.sum()).ravel(), atol=1e-12)


def test_missing_values_are_summed_over(rng: np.random.Generator) -> None:
    state = TreeState.random(Sites((2, 2, 2, 2), Tree(4, ((0, 1), (2, 3), (4, 5)))), 2, rng)
    noisy = NoisyGenerativeCircuit(compile_state(state), NOISE)
    distribution = np.exp(noisy.log_likelihood(all_strings((2,) * 4))).reshape((2,) * 4)
    found = np.exp(noisy.log_likelihood(np.array([[1, np.nan, 0, -1]])))
    assert found[0] == pytest.approx(distribution[1, :, 0, :].sum(), abs=1e-12)


def test_without_noise_it_is_the_state(rng: np.random.Generator) -> None:
    state = TreeState.random(site_chain([2] * 100), 2, rng)
    noisy = NoisyGenerativeCircuit(compile_state(state), DeviceNoise())
    X = rng.integers(0, 2, size=(5, 100))
    np.testing.assert_allclose(noisy.log_likelihood(X), log_likelihood(state, X), atol=1e-6)
    assert noisy.sample(rng, 3).shape == (3, 100)


def test_errors(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    state = TreeState.random(site_chain([2] * 4), 2, rng)
    with pytest.raises(InvalidInputError, match=r"noise must be a qtnml\.noise\.DeviceNoise, got 0\.1"):
        NoisyGenerativeCircuit(compile_state(state), 0.1)  # type: ignore[arg-type]
    noisy = NoisyGenerativeCircuit(compile_state(state), NOISE)
    with pytest.raises(InvalidInputError, match="expected strings of 4 sites"):
        noisy.log_likelihood(np.zeros((1, 3)))
    with pytest.raises(InvalidInputError, match="levels are integers from 0"):
        noisy.log_likelihood(np.full((1, 4), 2))
    monkeypatch.setattr(groups, "_LARGEST_MAP", 32)
    with pytest.raises(InvalidInputError, match="truncate a Born machine's bonds"):
        _ = NoisyGenerativeCircuit(compile_state(state), NOISE).distribution


def test_instructions_of_a_device(rng: np.random.Generator) -> None:
    state = TreeState.random(site_chain([2] * 4), 2, rng)
    slow = DeviceNoise(
        instructions=(Instruction("cx", (0, 1), 1e-6, 0.1), Instruction("cx", (1, 0), 1e-6, 0.1))
    )
    noisy = NoisyGenerativeCircuit(compile_state(state), slow)
    strings = all_strings((2,) * 4)
    exact = np.exp(log_likelihood(state, strings))
    assert np.abs(np.exp(noisy.log_likelihood(strings)) - exact).max() > 1e-3


def test_what_is_lost_costs_no_time(rng: np.random.Generator) -> None:
    """Almost every shot has a site without a level: samples are drawn given that none has."""
    state = TreeState.random(site_chain([5] * 12), 2, rng)
    noisy = NoisyGenerativeCircuit(compile_state(state), DeviceNoise(readout_error=0.3))
    assert noisy.lost_mass > 0.95
    assert (noisy.sample(rng, 20) < 5).all()


def test_deep_trees_in_any_order_of_wires(rng: np.random.Generator) -> None:
    nodes = ((0,), *((1200 + k, k + 1) for k in range(1199)))  # the bond stands before the site
    distribution = TreeDistribution(
        Sites((2,) * 1200, Tree(1200, nodes)), tuple(np.full((1, *[1] * (len(w) - 1), 2), 0.5) for w in nodes)
    )
    assert distribution.sample(rng, 4).shape == (4, 1200)
