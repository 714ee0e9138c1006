"""Training of Born machines: gradients, sweeps, growth, and runs that are killed."""

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qtnml.born import TreeState, finite_logs, log_likelihood, mean_nll
from qtnml.contract import Parameters
from qtnml.errors import ModelFileError, TrainingError
from qtnml.structure.sites import balanced_site_tree, site_chain
from qtnml.train import Checkpoint, RiemannianAdam, SweepOptions, SweepTraining, isometric_cores, riemannian
from qtnml.train.born_gradient import train_born_by_gradient
from qtnml.train.born_loop import Strings, sweep_state, train_born
from qtnml.train.born_model import BornModel
from qtnml.train.born_structure import GreedyGrowth, grow_bonds
from qtnml.train.objectives import LogLikelihood
from qtnml.train.records import drawn_by_weight
from qtnml.train.sweeps import growth_gains
from tests.born.trees import TREES


def bars_and_stripes(rows: int, columns: int) -> np.ndarray:
    """Pictures of full rows, and of full columns, as strings."""
    bars = [np.repeat([list(map(int, f"{k:0{rows}b}"))], columns, 0).T.ravel() for k in range(2**rows)]
    stripes = [np.tile(list(map(int, f"{k:0{columns}b}")), rows) for k in range(2**columns)]
    return np.unique([*bars, *stripes], axis=0)


def data_on(sites, rng: np.random.Generator, count: int = 30) -> tuple[np.ndarray, np.ndarray]:
    X = np.stack([rng.integers(0, dim, count) for dim in sites.dims], axis=1)
    weights = rng.random(count)
    return X, weights / weights.sum()


@pytest.mark.sampled
@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("is_complex", [False, True])
def test_gradient_is_that_of_the_likelihood(
    name: str, is_complex: bool, x64: None, rng: np.random.Generator
) -> None:
    sites = TREES[name]
    state = TreeState.random(sites, 3, rng, is_complex=is_complex)
    X, weights = data_on(sites, rng)
    model, parameters = BornModel.of(state)

    def loss(parameters: Parameters) -> jax.Array:
        return -jnp.sum(weights * jnp.asarray(model.outcomes(parameters, jnp.asarray(X))[0]))

    nll, found = jax.jit(jax.value_and_grad(loss))(jax.tree.map(jnp.asarray, parameters))
    gradients = model.network.cores(found.nodes)
    assert nll == pytest.approx(-weights @ log_likelihood(state, X), abs=1e-6)
    for k, (core, gradient) in enumerate(zip(state.cores, gradients, strict=True)):
        direction = rng.normal(size=core.shape) + (1j * rng.normal(size=core.shape) if is_complex else 0)

        def moved(step: float, k: int = k, direction: np.ndarray = direction) -> float:
            cores = list(state.cores)
            cores[k] = cores[k] + step * direction
            return -float(weights @ log_likelihood(TreeState(sites, tuple(cores)), X))

        slope = (moved(1e-6) - moved(-1e-6)) / 2e-6
        assert np.sum(gradient * direction).real == pytest.approx(slope, rel=1e-4, abs=1e-4)


@pytest.mark.sampled
@pytest.mark.parametrize("name", ["chain", "balanced", "sites at inner nodes", "one node"])
@pytest.mark.parametrize("is_complex", [False, True])
def test_sweeps_and_gradient_lower_the_nll(name: str, is_complex: bool, rng: np.random.Generator) -> None:
    sites = TREES[name]
    X, weights = data_on(sites, rng)
    strings, first = Strings(X, weights), TreeState.random(sites, 4, rng, is_complex=is_complex)
    state, before = first, -float(weights @ log_likelihood(first, X))
    for sites in (2, 1):
        for _ in range(10):
            options = SweepOptions(max_bond=4, max_angle=0.3, sites=sites, precision="double")  # type: ignore[arg-type]
            state, nll, dropped = sweep_state(state, strings, options)
            state.check()
            assert nll == pytest.approx(-weights @ log_likelihood(state, X), abs=1e-9)
            if sites == 1:  # nothing is truncated, so nothing gets worse
                assert nll <= before + 1e-9
                assert dropped == 0
            before = nll
    assert before < -float(weights @ log_likelihood(first, X)) - 0.3
    assert max(state.bond_dims, default=1) <= 4
    strings = Strings.of(X, weights)
    result = train_born_by_gradient(first, strings, rng, epochs=60, learning_rate=0.1, precision="double")
    result.state.check()
    assert strings.nll(result.state) < -float(weights @ log_likelihood(first, X)) - 0.3
    assert strings.nll(result.state) == pytest.approx(min(r.loss for r in result.history), abs=1e-2)


def test_single_precision_finds_the_same_way(rng: np.random.Generator) -> None:
    sites = site_chain([2] * 12)
    strings = Strings.of(bars_and_stripes(4, 3), np.ones(22))
    start = TreeState.random(sites, 2, rng)
    double, single = (
        train_born(start, strings, SweepTraining(epochs=5, precision=p), np.random.default_rng(0))  # type: ignore[arg-type]
        for p in ("double", "single")
    )
    assert double.history[-1].loss == pytest.approx(single.history[-1].loss, abs=1e-3)


def test_bars_and_stripes_are_learnt_to_the_last_nat(rng: np.random.Generator) -> None:
    sites, strings = site_chain([2] * 12), Strings.of(bars_and_stripes(4, 3), np.ones(22))
    training = SweepTraining(epochs=60, max_bond=8, learning_rate=0.5, precision="double")
    start = TreeState.random(sites, 8, rng, is_complex=True)
    result = train_born(start, strings, training, rng)
    assert strings.nll(result.state) < 3.0915  # ln 22 = 3.0910
    assert len(result.history) == 60
    result.state.check()


def test_bonds_grow_where_they_are_needed(rng: np.random.Generator) -> None:
    # Sites 0 and 1 are one bit, and so are 4 and 5; the others are independent.
    X = rng.integers(0, 2, size=(400, 6))
    X[:, 1], X[:, 5] = X[:, 0], X[:, 4]
    strings = Strings.of(X, np.ones(len(X)))
    sites = site_chain([2] * 6)
    vectors = [np.sqrt([1 - p, p]) for p in X.mean(axis=0)]
    start = TreeState.product(sites, vectors)
    options = SweepOptions(steps=4, max_angle=0.5, precision="double")
    gains = growth_gains(start.cores, strings.batch(sites), LogLikelihood(strings.weights), options)
    # Node k is site 5 - k: the bonds above sites 1 and 5.
    assert set(np.argsort(-gains)[:2]) == {0, 4}
    training = SweepTraining(max_bond=4, learning_rate=0.3, precision="double")
    state, records, interrupted = grow_bonds(
        start, strings, strings, training, GreedyGrowth(share=0.2, rounds=8), rng
    )
    assert not interrupted
    assert state.bond_dims[0] == state.bond_dims[4] == 2
    assert records[-1].num_parameters == state.num_parameters or records[-1].nll >= records[-2].nll
    assert strings.nll(state) < strings.nll(start) - 1.2  # two bits less one: 2 ln 2 = 1.39


def test_repeats_are_weights_and_batches_are_drawn(rng: np.random.Generator) -> None:
    X = np.array([[0, 1], [1, 1], [0, 1]])
    strings = Strings.of(X, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(strings.X, [[0, 1], [1, 1]])
    np.testing.assert_allclose(strings.weights, [4 / 6, 2 / 6])
    part = strings.drawn(1, rng)
    assert part.weights.tolist() == [1.0]


def test_early_stop_keeps_the_best(rng: np.random.Generator) -> None:
    sites = site_chain([2] * 8)
    noise = [Strings.of(rng.integers(0, 2, size=(40, 8)), np.ones(40)) for _ in range(2)]
    training = SweepTraining(epochs=50, max_bond=8, learning_rate=0.5, patience=3)
    result = train_born(TreeState.random(sites, 2, rng), noise[0], training, rng, validation=noise[1])
    scores = [record.validation_loss for record in result.history]
    assert result.stopped == "early"
    # The first state explains noise best, and is kept.
    assert result.best_epoch == -1
    assert result.score < min(scores)
    assert noise[1].nll(result.state) == pytest.approx(result.score, abs=1e-9)
    slow = SweepTraining(epochs=50, max_bond=8, learning_rate=0.02, patience=3)
    result = train_born(TreeState.random(sites, 2, rng), noise[0], slow, rng, validation=noise[1])
    scores = [record.validation_loss for record in result.history]
    assert result.best_epoch == int(np.argmin(scores)) < len(scores) - 1
    assert noise[1].nll(result.state) == pytest.approx(min(scores), abs=1e-9)


KILLED = """
import os, signal, sys
import numpy as np
from qtnml import MPSBornMachine

def die(record):
    if record.epoch == 5:  # the file holds four epochs
        os.kill(os.getpid(), signal.SIGKILL)
X = np.random.default_rng(0).integers(0, 2, size=(120, 10))
MPSBornMachine(4, method=sys.argv[2], epochs=9, batch_size=50, random_state=1, validation_fraction=0.5,
               checkpoint=sys.argv[1], resume=True, callback=die).fit(X)
"""


@pytest.mark.parametrize("method", ["sweeps", pytest.param("gradient", marks=pytest.mark.slow)])
def test_killed_and_resumed_is_never_killed(method: str, tmp_path: Path) -> None:
    from qtnml import MPSBornMachine

    path = tmp_path / "born.ckpt"
    command = [sys.executable, "-c", KILLED, str(path), method]
    assert subprocess.run(command, check=False).returncode == -9
    X = np.random.default_rng(0).integers(0, 2, size=(120, 10))
    options = {"method": method, "epochs": 9, "batch_size": 50, "random_state": 1, "validation_fraction": 0.5}
    resumed = MPSBornMachine(4, **options, checkpoint=path, resume=True).fit(X)  # type: ignore[arg-type]
    whole = MPSBornMachine(4, **options).fit(X)  # type: ignore[arg-type]
    assert [record[:5] for record in resumed.history_] == [record[:5] for record in whole.history_]
    for ours, theirs in zip(resumed.state_.cores, whole.state_.cores, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ModelFileError, match="belongs to a run with other data, model or settings"):
        MPSBornMachine(5, **options, checkpoint=path, resume=True).fit(X)  # type: ignore[arg-type]
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ModelFileError, match="damaged"):
        MPSBornMachine(4, **options, checkpoint=path, resume=True).fit(X)  # type: ignore[arg-type]


def test_interrupted_training_returns_the_best_so_far(rng: np.random.Generator, interruptible: None) -> None:
    sites, strings = site_chain([2] * 6), Strings.of(rng.integers(0, 2, size=(30, 6)), np.ones(30))

    def stop(record) -> None:
        if record.epoch == 3:
            raise KeyboardInterrupt

    start = TreeState.random(sites, 2, rng)
    result = train_born(start, strings, SweepTraining(epochs=9), rng, callback=stop)
    assert result.stopped == "interrupted"
    assert len(result.history) == 3


def test_what_is_not_finite_ends_training(rng: np.random.Generator) -> None:
    sites, strings = balanced_site_tree([2] * 6), Strings.of(rng.integers(0, 2, size=(30, 6)), np.ones(30))
    start = TreeState.random(sites, 2, rng)
    broken = TreeState(sites, (np.full_like(start.cores[0], np.nan), *start.cores[1:]))
    with pytest.raises(TrainingError, match="diverged in epoch 1"):
        train_born_by_gradient(broken, strings, rng, epochs=2)


def test_checkpoints_only_replace_checkpoints(rng: np.random.Generator, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    strings = Strings.of(rng.integers(0, 2, size=(30, 6)), np.ones(30))
    start = TreeState.random(site_chain([2] * 6), 2, rng)
    with pytest.raises(ModelFileError, match="is not a checkpoint file"):
        train_born(start, strings, SweepTraining(epochs=2), rng, checkpoint=Checkpoint(path))
    assert path.read_text() == "mine"


@pytest.mark.sampled
@pytest.mark.parametrize("method", ["sweeps", "gradient"])
def test_batches_stand_for_weights(method: str) -> None:
    """Half of all rows are one string: batches of unique strings must not forget that."""
    rng = np.random.default_rng(0)
    X = np.vstack([np.zeros((1500, 12), int), rng.integers(0, 2, (1500, 12))])
    strings = Strings.of(X, np.ones(len(X)))
    assert len(strings.X) > 800
    sites = site_chain([2] * 12)
    start = TreeState.random(sites, 4, rng, is_complex=True)
    if method == "sweeps":
        training = SweepTraining(epochs=30, max_bond=4, batch_size=400, learning_rate=0.2)
        state = train_born(start, strings, training, rng).state
    else:
        settings = {"epochs": 30, "batch_size": 400, "learning_rate": 0.2}
        state = train_born_by_gradient(start, strings, rng, **settings).state  # type: ignore[arg-type]
    assert np.exp(log_likelihood(state, np.zeros((1, 12))))[0] == pytest.approx(0.5, abs=0.08)


def test_one_repeated_row_changes_a_batch_by_one_row(rng: np.random.Generator) -> None:
    X = np.unique(rng.integers(0, 2, (3000, 14)), axis=0)
    for rows in (X, np.vstack([X, X[:1]])):
        strings = Strings.of(rows, np.ones(len(rows)))
        drawn = strings.drawn(1000, rng)
        assert 998 <= len(drawn.X) <= 1000  # without repetition but for the row that is there twice
    counts = sum(drawn_by_weight(np.array([1.0, 2.0, 5.0, 0.5]), 2, rng) for _ in range(4000))
    np.testing.assert_allclose(counts / 4000, np.array([1, 2, 5, 0.5]) * 2 / 8.5, atol=0.03)


@pytest.mark.sampled
@pytest.mark.parametrize("method", ["sweeps", "gradient"])
def test_nll_of_long_strings_is_told_as_it_is(method: str, rng: np.random.Generator) -> None:
    """800 fair bits have 555 nats: nothing on the way may cap that."""
    strings = Strings.of(rng.integers(0, 2, (20, 800)), np.ones(20))
    start = TreeState.random(site_chain([2] * 800), 2, rng)
    if method == "sweeps":
        training = SweepTraining(epochs=2, max_bond=2, precision="double")
        result = train_born(start, strings, training, rng, validation=strings)
    else:
        result = train_born_by_gradient(start, strings, rng, epochs=2, precision="double", validation=strings)
    for record in result.history:
        assert record.validation_loss is not None
        if method == "sweeps":  # measured after the sweep, as validation is
            assert record.loss == pytest.approx(record.validation_loss, rel=1e-9)
        assert record.loss > 300


def test_impossible_strings_have_one_floor() -> None:
    logs = np.array([-np.inf, -700.0, -800.0 * 708 - 1])
    np.testing.assert_array_equal(finite_logs(logs, 800), [-708.0 * 800, -700.0, -708.0 * 800])
    assert mean_nll(logs[:2], np.array([1.0, 3.0]), 2) == pytest.approx((2 * 708 + 3 * 700) / 4)


@pytest.mark.sampled
@pytest.mark.parametrize("rate", [0.01, 0.3, 0.8, 1.2, 1.57])
@pytest.mark.parametrize("is_complex", [False, True])
def test_a_step_of_any_length_keeps_cores_isometric(
    rate: float, is_complex: bool, x64: None, rng: np.random.Generator
) -> None:
    sites = TREES["balanced"]
    state = TreeState.random(sites, 4, rng, is_complex=is_complex)
    model, parameters = BornModel.of(state)
    adam = RiemannianAdam(matrices="isometric")
    parameters = jax.tree.map(jnp.asarray, parameters)
    moments, everything = adam.init(parameters), np.array(list(itertools.product(*map(range, sites.dims))))
    X, weights = data_on(sites, rng)

    @jax.jit
    def step(parameters: Parameters, moments: Any) -> Any:
        def loss(parameters: Parameters) -> jax.Array:
            return -jnp.sum(weights * jnp.asarray(model.outcomes(parameters, jnp.asarray(X))[0]))

        return adam.update(jax.grad(loss)(parameters), moments, parameters, rate)

    for _ in range(3):
        parameters, moments = step(parameters, moments)
        moved = TreeState(sites, tuple(map(np.asarray, model.network.cores(parameters.nodes))))
        assert np.exp(log_likelihood(moved, everything)).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.sampled
@pytest.mark.parametrize(
    "inner", [optax.adam(0.1), optax.sgd(0.5), optax.lion(0.03), optax.adamw(0.1)], ids=range(4)
)
def test_any_optax_transformation_stays_on_the_manifold(
    inner: Any, x64: None, rng: np.random.Generator
) -> None:
    """Isometric cores pulled towards others, from far away; unitaries are tested with their own optimiser."""
    target, start = (TreeState.random(site_chain([2] * 5), 3, rng, is_complex=True) for _ in range(2))
    wanted = [jnp.asarray(core)[None] for core in target.cores]
    cores = [jnp.asarray(core)[None] for core in start.cores]
    optimizer = riemannian(inner, manifolds=isometric_cores)

    def distance(cores: list[jax.Array]) -> jax.Array:
        return sum(jnp.sum(jnp.abs(a - b) ** 2) for a, b in zip(cores, wanted, strict=True))  # type: ignore[return-value]

    @jax.jit
    def step(cores: list[jax.Array], state: Any) -> Any:
        updates, state = optimizer.update(jax.grad(distance)(cores), state, cores)
        return optax.apply_updates(cores, updates), state

    state, before = optimizer.init(cores), float(distance(cores))
    for _ in range(150):
        cores, state = step(cores, state)
    for core in cores:
        rows = np.asarray(core).reshape(core.shape[1], -1)
        np.testing.assert_allclose(rows @ rows.conj().T, np.eye(len(rows)), atol=1e-6)
    assert float(distance(cores)) < 0.05 * before


def test_growth_can_be_interrupted(
    rng: np.random.Generator, interruptible: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = rng.integers(0, 2, size=(200, 6))
    X[:, 1], X[:, 3], X[:, 5] = X[:, 0], X[:, 2], X[:, 4]
    strings = Strings.of(X, np.ones(200))
    start = TreeState.product(site_chain([2] * 6), [np.sqrt([0.5, 0.5])] * 6)
    rounds: list[int] = []

    def stop(record) -> None:
        rounds.append(record.round)
        if record.round == 2:
            raise KeyboardInterrupt

    state, records, interrupted = grow_bonds(
        start, strings, strings, SweepTraining(max_bond=4), GreedyGrowth(share=0.1), rng, stop
    )
    assert interrupted
    assert rounds == [1, 2]
    assert len(records) == 2
    state.check()
