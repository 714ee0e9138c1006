"""Generative circuits trained on a backend: losses and their gradients, exactly and from shots."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qtnml import JobStore, MPSBornMachine, get_backend
from qtnml.backends import Capabilities
from qtnml.born import TreeState, log_likelihood
from qtnml.compile import GenerativeCircuit, compile_state
from qtnml.errors import BackendError, InvalidInputError, ModelFileError
from qtnml.hybrid import CMAES, MMD, ClippedNLL, HybridTraining, Where, train_generative_on_backend
from qtnml.hybrid.generative import GenerativeObjective, Sample, get_generative_loss, sample_of
from qtnml.models import BackendBornMachine
from qtnml.structure.sites import site_chain
from tests.born.trees import all_strings

STRINGS = all_strings((2,) * 4)


@pytest.fixture
def compiled(rng: np.random.Generator) -> GenerativeCircuit:
    return compile_state(TreeState.random(site_chain([2] * 4), 2, rng, is_complex=True))


@pytest.fixture
def data(rng: np.random.Generator) -> np.ndarray:
    return STRINGS[rng.choice(16, 200, p=rng.dirichlet(np.ones(16)))]


class Exact(GenerativeObjective):
    """Probabilities in the place of counts."""

    def drawn(self, points):
        distributions = (np.exp(log_likelihood(self.compiled.state(point), STRINGS)) for point in points)
        return [Sample(STRINGS, 1e9 * distribution) for distribution in distributions]


def test_mmd_is_the_sum_over_all_pairs(data: np.ndarray, rng: np.random.Generator) -> None:
    loss, other = MMD(bandwidths=(0.7, 2.0)), STRINGS[rng.integers(0, 16, 50)]

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        h = np.sum(x != y)
        return float(np.exp(-h / 1.4) + np.exp(-h / 4.0)) / 2

    def mean(first: np.ndarray, second: np.ndarray, *, different: bool) -> float:
        values = [
            kernel(x, y)
            for i, x in enumerate(first)
            for j, y in enumerate(second)
            if not (different and i == j)
        ]
        return float(np.mean(values))

    wanted = mean(other, other, different=True) - 2 * mean(other, data, different=False)
    wanted += mean(data, data, different=True)
    assert loss.value(sample_of(other), sample_of(data)) == pytest.approx(wanted, abs=1e-12)
    # Unbiased: between samples of one distribution it is zero on average, and not above it.
    both = [
        loss.value(sample_of(STRINGS[rng.integers(0, 16, 30)]), sample_of(STRINGS[rng.integers(0, 16, 30)]))
        for _ in range(200)
    ]
    assert abs(np.mean(both)) < 5 * np.std(both) / np.sqrt(200)


def test_clipped_nll(data: np.ndarray) -> None:
    loss = ClippedNLL(floor=0.01)
    drawn = sample_of(STRINGS[[0, 0, 0, 1]])
    counts = {tuple(row): int(n) for row, n in zip(*np.unique(data, axis=0, return_counts=True), strict=True)}
    seen = {tuple(STRINGS[0]): 0.75, tuple(STRINGS[1]): 0.25}
    wanted = -sum(n * np.log(max(seen.get(row, 0.0), 0.01)) for row, n in counts.items()) / len(data)
    assert loss.value(drawn, sample_of(data)) == pytest.approx(wanted)


@pytest.mark.parametrize("loss", [MMD(), ClippedNLL(floor=1e-6)])
def test_shift_gradient_is_exact(loss, compiled: GenerativeCircuit, data: np.ndarray) -> None:
    objective = Exact(compiled, sample_of(data), loss, lambda *_: [])
    chosen = np.array([0, 3, len(compiled.weights) - 1])
    found, value = objective.shift_gradient(compiled.weights, chosen, [])
    assert value == pytest.approx(objective.losses([compiled.weights])[0])
    for place, slope in zip(chosen, found, strict=True):
        step = 1e-4 * np.eye(len(compiled.weights))[place]
        plus, minus = objective.losses([compiled.weights + step, compiled.weights - step])
        assert slope == pytest.approx((plus - minus) / 2e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "loss"),
    [("spsa", "mmd"), ("averaged-spsa", "clipped-nll"), ("parameter-shift", "mmd"), ("cma-es", "mmd")],
)
def test_training_comes_back(
    optimizer: str, loss: str, compiled: GenerativeCircuit, rng: np.random.Generator
) -> None:
    # Without reuse Aer draws all shots at once.
    compiled = compile_state(compiled.state(), reuse_qubits=False)
    distribution = np.exp(log_likelihood(compiled.state(), STRINGS))
    data = STRINGS[rng.choice(16, 500, p=distribution)]
    away = compiled.with_weights(compiled.weights + 0.25 * rng.normal(size=len(compiled.weights)))
    steps = {"spsa": 60, "averaged-spsa": 25, "parameter-shift": 6, "cma-es": 25}[optimizer]
    how = HybridTraining(optimizer=optimizer, loss=loss, steps=steps, batch_size=500, random_state=0)
    where = Where(get_backend("exact"), JobStore("sqlite://"), shots=1000)
    result = train_generative_on_backend(away, data, where, how)
    before, after = (
        float(distribution @ (np.log(distribution) - log_likelihood(circuit.state(), STRINGS)))
        for circuit in (away, result.compiled)
    )
    assert after < 0.6 * before  # Kullback-Leibler divergence to the distribution of the data
    assert len(result.history) == steps
    assert result.shots == result.circuits * 1000


@pytest.mark.parametrize(
    "optimizer", ["spsa", CMAES(separable=False, population=5), CMAES(separable=True, population=5)]
)
def test_a_killed_training_goes_on(
    optimizer: Any, compiled: GenerativeCircuit, data: np.ndarray, tmp_path: Path
) -> None:
    path, store = tmp_path / "g.ckpt", JobStore("sqlite://")
    where = Where(get_backend("exact"), store, shots=200)
    options = {"batch_size": 50, "random_state": 0, "checkpoint": path, "resume": True, "tail": 0.0}
    options["optimizer"] = optimizer
    train_generative_on_backend(compiled, data, where, HybridTraining(steps=3, **options))  # type: ignore[arg-type]
    resumed = train_generative_on_backend(compiled, data, where, HybridTraining(steps=6, **options))  # type: ignore[arg-type]
    whole = train_generative_on_backend(
        compiled,
        data,
        where,
        HybridTraining(steps=6, batch_size=50, random_state=0, tail=0.0, optimizer=optimizer),
    )
    assert len(resumed.history) == 6
    np.testing.assert_allclose(resumed.compiled.weights, whole.compiled.weights, atol=1e-12)
    with pytest.raises(ModelFileError, match="belongs to a training with other data"):
        train_generative_on_backend(compiled, data[:-1], where, HybridTraining(steps=6, **options))  # type: ignore[arg-type]


def test_a_born_machine_on_a_backend(rng: np.random.Generator) -> None:
    X = np.repeat(rng.integers(0, 2, size=(80, 1)), 5, axis=1)
    born = MPSBornMachine(2, random_state=0).fit(X)
    store = JobStore("sqlite://", max_shots=20_000)
    how = HybridTraining(steps=2, batch_size=30, random_state=0)
    machine = born.to_backend("exact", shots=300, jobs=store, training=how)
    assert machine.plan(1000).shots == 1000
    drawn = machine.sample(1000, random_state=0)
    assert drawn.shape == (1000, 5)
    assert (drawn == drawn[:, :1]).all()  # five equal bits
    assert 0.3 < drawn[:, 0].mean() < 0.7
    again = machine.sample(1000, random_state=0)
    assert not np.array_equal(again, drawn)  # every call draws anew
    same = born.to_backend("exact", shots=300, jobs=store, training=how)  # the script, started again
    assert same.plan(1000).shots == 0  # stored: it costs nothing
    assert np.array_equal(same.sample(1000, random_state=0), drawn)
    assert np.array_equal(same.sample(1000, random_state=0), again)
    assert store.bought_shots == 2000
    assert machine.score(X) == pytest.approx(born.score(X), abs=1e-6)
    assert machine.plan_fit(X).shots == 2 * 2 * 300
    machine.fit(X)
    assert len(machine.history_) == 2
    assert not np.array_equal(machine.trained.weights, machine.compiled.weights)
    assert machine.sample(50).shape == (50, 5)
    with pytest.raises(InvalidInputError, match="n_samples must be an integer of at least 1, got 0"):
        machine.sample(0)
    with pytest.raises(InvalidInputError, match="missing values cannot be used here"):
        machine.score([[np.nan] * 5])


def test_bad_settings(compiled: GenerativeCircuit) -> None:
    for make, message in (
        (lambda: MMD(bandwidths=(0.0,)), "bandwidths must be positive numbers"),
        (lambda: ClippedNLL(floor=2), "floor must be above 0 and below 1"),
        (lambda: get_generative_loss("cross-entropy"), "a generative circuit has no loss 'cross-entropy'"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            make()

    class NoResets:
        name, settings = "none", {}

        capabilities = Capabilities(resets=False)
        submit = status = fetch = cancel = find = staticmethod(lambda *_: None)

    machine = BackendBornMachine(None, compiled, NoResets())  # type: ignore[arg-type]
    with pytest.raises(BackendError, match=r"use to_backend\(\.\.\., reuse_qubits=False\)"):
        machine.sample(1)
