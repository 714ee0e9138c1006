import signal

import jax
import numpy as np
import pytest

from qtnml.contract import outcome_probabilities
from qtnml.encoding import AngleEncoding
from qtnml.errors import TrainingError
from qtnml.network import TensorNetwork, balanced_tree, unitarity_error
from qtnml.train import CrossEntropy, EpochRecord, TrainingOptions, TrainingSet, train
from qtnml.train.records import merge_repeats

ENCODING = AngleEncoding()


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[TensorNetwork, TrainingSet]:
    """Which of two features is larger, beside two that do not matter."""
    X = rng.random((300, 4))
    data = TrainingSet(X, (X[:, 0] > X[:, 1]).astype(int), np.ones(300))
    return TensorNetwork.random(balanced_tree(4), rng), data


def run(problem: tuple[TensorNetwork, TrainingSet], seed: int = 0, **options: object):
    network, data = problem
    chosen = {"epochs": 10, "batch_size": 32, **options}
    validation = TrainingSet(*(part[:60] for part in data))
    return train(
        network,
        ENCODING,
        TrainingSet(*(part[60:] for part in data)),
        TrainingOptions(**chosen),
        np.random.default_rng(seed),
        validation=validation,
    )


def test_learns_and_ends_exactly_unitary(problem: tuple[TensorNetwork, TrainingSet]) -> None:
    result = run(problem, epochs=30)
    assert result.history[-1].validation_accuracy > 0.93
    assert result.stopped == "finished"
    assert len(result.history) == 30
    assert max(unitarity_error(stack) for stack in result.network.unitaries) < 1e-13
    assert result.network.unitaries[0].dtype == np.complex128


def test_seed_decides_everything(problem: tuple[TensorNetwork, TrainingSet]) -> None:
    first, again, other = run(problem), run(problem), run(problem, seed=1)
    assert [r[:5] for r in first.history] == [r[:5] for r in again.history]
    np.testing.assert_array_equal(first.network.unitaries[0], again.network.unitaries[0])
    assert not np.array_equal(first.network.unitaries[0], other.network.unitaries[0])


def test_keeps_the_best_epoch(problem: tuple[TensorNetwork, TrainingSet]) -> None:
    result = run(problem, learning_rate=0.3)
    scores = [record.validation_loss for record in result.history]
    assert result.best_epoch == int(np.argmin(scores))


def test_early_stop(problem: tuple[TensorNetwork, TrainingSet]) -> None:
    result = run(problem, epochs=200, learning_rate=0.5, patience=3)
    assert result.stopped == "early"
    assert len(result.history) == result.best_epoch + 4


def test_patience_counts_full_batch_epochs_too(problem: tuple[TensorNetwork, TrainingSet]) -> None:
    """Improving every time, the least patience does not stop it."""
    network, data = problem
    options = TrainingOptions(15, batch_size=1000, learning_rate=0.01, patience=1)
    result = train(network, ENCODING, data, options, np.random.default_rng(0))
    losses = [record.loss for record in result.history]
    assert losses == sorted(losses, reverse=True)
    assert (result.stopped, len(losses)) == ("finished", 15)


def test_ctrl_c_returns_the_best_so_far(problem: tuple[TensorNetwork, TrainingSet]) -> None:
    network, data = problem

    def interrupt(record: EpochRecord) -> None:
        if record.epoch == 3:
            signal.raise_signal(signal.SIGINT)

    rng = np.random.default_rng(0)
    result = train(network, ENCODING, data, TrainingOptions(10), rng, on_epoch=interrupt)
    assert result.stopped == "interrupted"
    assert len(result.history) == 3
    assert result.best_epoch >= 0
    assert unitarity_error(result.network.unitaries[0]) < 1e-13


def test_ctrl_c_before_the_first_epoch_is_passed_on(
    problem: tuple[TensorNetwork, TrainingSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("qtnml.train.loop._Run.epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(problem)


def test_one_full_batch_step_is_kept(problem: tuple[TensorNetwork, TrainingSet]) -> None:
    """Its record shows the loss before the step, the weights are those after it."""
    network, data = problem
    options = TrainingOptions(1, batch_size=1000)
    result = train(network, ENCODING, data, options, np.random.default_rng(0))
    assert result.best_epoch == 0
    assert np.abs(result.network.unitaries[0] - network.unitaries[0]).max() > 1e-3


def test_kept_weights_are_those_of_the_best_epoch(problem: tuple[TensorNetwork, TrainingSet]) -> None:
    """Their loss, computed anew by NumPy, is the best one in the history, with and without hold-out."""
    network, data = problem
    held_out = run(problem, learning_rate=0.5)
    for result, part, score in (
        (held_out, slice(0, 60), held_out.history[held_out.best_epoch].validation_loss),
        (
            full := train(network, ENCODING, data, TrainingOptions(9, 1000, 0.5), np.random.default_rng(0)),
            slice(None),
            full.history[full.best_epoch + 1].loss if full.best_epoch < 8 else None,
        ),
    ):
        p = outcome_probabilities(result.network, ENCODING, data.X[part])
        sharp = p**8 / (p**8).sum(axis=1, keepdims=True)
        loss = -np.log(sharp[np.arange(len(p)), data.y[part]]).mean()
        if score is not None:
            assert loss == pytest.approx(score, rel=1e-3)
        assert loss <= min(r.score for r in result.history) * 1.001


def test_no_epochs_returns_the_start(problem: tuple[TensorNetwork, TrainingSet]) -> None:
    result = run(problem, epochs=0)
    np.testing.assert_allclose(result.network.unitaries[0], problem[0].unitaries[0], atol=1e-6)
    assert result.best_epoch == -1


def test_diverging_loss_is_an_error(problem: tuple[TensorNetwork, TrainingSet]) -> None:
    class Broken(CrossEntropy):
        def __call__(self, probabilities: jax.Array, labels: jax.Array) -> jax.Array:
            return super().__call__(probabilities, labels) * np.inf

    with pytest.raises(TrainingError, match="the loss became (inf|nan) in epoch 1; lower the learning rate"):
        run(problem, loss=Broken())


def test_weights_act_like_repetition(problem: tuple[TensorNetwork, TrainingSet], x64: None) -> None:
    network, data = problem
    weights = np.random.default_rng(3).integers(1, 4, len(data.y))
    weighted = merge_repeats(TrainingSet(data.X, data.y, weights.astype(float)))
    repeated = TrainingSet(*(np.repeat(part, weights, axis=0) for part in data))
    merged = merge_repeats(repeated)
    for one, other in zip(weighted, merged, strict=True):
        np.testing.assert_array_equal(one, other)
    one, other = (
        train(network, ENCODING, d, TrainingOptions(5, batch_size=1000), np.random.default_rng(0))
        for d in (weighted, repeated)
    )
    np.testing.assert_allclose(one.history[-1].loss, other.history[-1].loss, rtol=1e-9)


def test_padding_changes_nothing(problem: tuple[TensorNetwork, TrainingSet], x64: None) -> None:
    """A full batch of 300 samples is the same alone and in a buffer of 512."""
    network, data = problem
    losses = [
        train(network, ENCODING, data, TrainingOptions(3, batch_size=size), np.random.default_rng(0))
        for size in (300, 512)
    ]
    for other in losses[1:]:
        np.testing.assert_allclose(other.history[-1].loss, losses[0].history[-1].loss, rtol=1e-12)


def test_precision_follows_the_users_choice(problem: tuple[TensorNetwork, TrainingSet], x64: None) -> None:
    assert run(problem, epochs=1).optimizer_state.first[0].dtype == np.complex128


def test_library_leaves_jax_alone(problem: tuple[TensorNetwork, TrainingSet]) -> None:
    before = dict(jax.config.values)
    assert run(problem, epochs=1).optimizer_state.first[0].dtype == np.complex64
    assert dict(jax.config.values) == before
