import signal

import jax
import numpy as np
import pytest

from qtnml import TreeClassifier
from qtnml.ansatz import unitarity_error
from qtnml.contract import Model, Parameters
from qtnml.errors import TrainingError
from qtnml.structure import balanced_tree
from qtnml.train import CrossEntropy, EpochRecord, TrainingOptions, TrainingSet, train
from qtnml.train.records import merge_repeats
from qtnml.train.steps import run_steps

Problem = tuple[Model, Parameters, TrainingSet]


@pytest.fixture
def problem(rng: np.random.Generator) -> Problem:
    """Which of two features is larger, beside two that do not matter."""
    X = rng.random((300, 4))
    data = TrainingSet(X, (X[:, 0] > X[:, 1]).astype(int), np.ones(300))
    model = Model(balanced_tree(4))
    return model, model.start(rng), data


def run(problem: Problem, seed: int = 0, **options: object):
    model, start, data = problem
    chosen = {"epochs": 10, "batch_size": 32, **options}
    validation = TrainingSet(*(part[:60] for part in data))
    return train(
        model,
        start,
        TrainingSet(*(part[60:] for part in data)),
        TrainingOptions(**chosen),
        np.random.default_rng(seed),
        validation=validation,
    )


def test_learns_and_ends_exactly_unitary(problem: Problem) -> None:
    result = run(problem, epochs=30)
    assert result.history[-1].validation_accuracy > 0.93
    assert result.stopped == "finished"
    assert len(result.history) == 30
    assert max(unitarity_error(stack) for stack in result.parameters.nodes) < 1e-13
    assert result.parameters.nodes[0].dtype == np.complex128


def test_seed_decides_everything(problem: Problem) -> None:
    first, again, other = run(problem), run(problem), run(problem, seed=1)
    assert [r[:5] for r in first.history] == [r[:5] for r in again.history]
    np.testing.assert_array_equal(first.parameters.nodes[0], again.parameters.nodes[0])
    assert not np.array_equal(first.parameters.nodes[0], other.parameters.nodes[0])


def test_keeps_the_best_epoch(problem: Problem) -> None:
    result = run(problem, learning_rate=0.3)
    scores = [record.validation_loss for record in result.history]
    assert result.best_epoch == int(np.argmin(scores))


def test_early_stop(problem: Problem) -> None:
    result = run(problem, epochs=200, learning_rate=0.5, patience=3)
    assert result.stopped == "early"
    assert len(result.history) == result.best_epoch + 4


def test_patience_counts_full_batch_epochs_too(problem: Problem) -> None:
    """Improving every time, the least patience does not stop it."""
    model, start, data = problem
    options = TrainingOptions(15, batch_size=1000, learning_rate=0.01, patience=1)
    result = train(model, start, data, options, np.random.default_rng(0))
    losses = [record.loss for record in result.history]
    assert losses == sorted(losses, reverse=True)
    assert (result.stopped, len(losses)) == ("finished", 15)


def test_ctrl_c_returns_the_best_so_far(problem: Problem, interruptible: None) -> None:
    model, start, data = problem

    def interrupt(record: EpochRecord) -> None:
        if record.epoch == 3:
            signal.raise_signal(signal.SIGINT)

    rng = np.random.default_rng(0)
    result = train(model, start, data, TrainingOptions(10), rng, callback=interrupt)
    assert result.stopped == "interrupted"
    assert len(result.history) == 3
    assert result.best_epoch >= 0
    assert unitarity_error(result.parameters.nodes[0]) < 1e-13


def test_ctrl_c_within_a_homotopy_keeps_the_last_weights(problem: Problem, interruptible: None) -> None:
    model, start, data = problem

    def interrupt(record: EpochRecord) -> None:
        if record.epoch == 3:
            signal.raise_signal(signal.SIGINT)

    options = TrainingOptions(10, batch_size=64, homotopy=8)
    result = train(model, start, data, options, np.random.default_rng(0), callback=interrupt)
    assert (result.stopped, result.best_epoch) == ("interrupted", 2)
    assert not np.allclose(result.parameters.nodes[0], start.nodes[0], atol=1e-3)


def test_patience_begins_after_the_homotopy(problem: Problem) -> None:
    result = run(problem, epochs=12, homotopy=6, patience=2)
    assert len(result.history) > 8
    assert result.best_epoch >= 6


def test_ctrl_c_before_the_first_epoch_is_passed_on(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("qtnml.train.steps.GradientStep.epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(problem)


def test_one_full_batch_step_is_kept(problem: Problem) -> None:
    """Its record shows the loss before the step, the weights are those after it."""
    model, start, data = problem
    options = TrainingOptions(1, batch_size=1000)
    result = train(model, start, data, options, np.random.default_rng(0))
    assert result.best_epoch == 0
    assert np.abs(result.parameters.nodes[0] - start.nodes[0]).max() > 1e-3


def test_kept_weights_are_those_of_the_best_epoch(problem: Problem) -> None:
    """Their loss, computed anew by NumPy, is the best one in the history, with and without hold-out."""
    model, start, data = problem
    held_out = run(problem, learning_rate=0.5)
    for result, part, score in (
        (held_out, slice(0, 60), held_out.history[held_out.best_epoch].validation_loss),
        (
            full := train(model, start, data, TrainingOptions(9, 1000, 0.5), np.random.default_rng(0)),
            slice(None),
            full.history[full.best_epoch + 1].loss if full.best_epoch < 8 else None,
        ),
    ):
        p = model.predict(result.parameters, data.X[part])[0]
        sharp = p**8 / (p**8).sum(axis=1, keepdims=True)
        loss = -np.log(sharp[np.arange(len(p)), data.y[part]]).mean()
        if score is not None:
            assert loss == pytest.approx(score, rel=1e-3)
        assert loss <= min(r.score for r in result.history) * 1.001


def test_no_epochs_returns_the_start(problem: Problem) -> None:
    result = run(problem, epochs=0)
    np.testing.assert_allclose(result.parameters.nodes[0], problem[1].nodes[0], atol=1e-6)
    assert result.best_epoch == -1


def test_diverging_loss_is_an_error(problem: Problem) -> None:
    class Broken(CrossEntropy):
        def __call__(self, probabilities: jax.Array, labels: jax.Array) -> jax.Array:
            return super().__call__(probabilities, labels) * np.inf

    with pytest.raises(
        TrainingError, match=r"diverged in epoch 1 \(loss (inf|nan)\); lower the learning rate"
    ):
        run(problem, loss=Broken())


def test_weights_act_like_repetition(problem: Problem, x64: None) -> None:
    model, start, data = problem
    weights = np.random.default_rng(3).integers(1, 4, len(data.y))
    weighted = merge_repeats(TrainingSet(data.X, data.y, weights.astype(float)))
    repeated = TrainingSet(*(np.repeat(part, weights, axis=0) for part in data))
    merged = merge_repeats(repeated)
    for one, other in zip(weighted, merged, strict=True):
        np.testing.assert_array_equal(one, other)
    one, other = (
        train(model, start, d, TrainingOptions(5, batch_size=1000), np.random.default_rng(0))
        for d in (weighted, repeated)
    )
    np.testing.assert_allclose(one.history[-1].loss, other.history[-1].loss, rtol=1e-9)


def test_padding_changes_nothing(problem: Problem, x64: None) -> None:
    """A full batch of 300 samples is the same alone and in a buffer of 512."""
    model, start, data = problem
    losses = [
        train(model, start, data, TrainingOptions(3, batch_size=size), np.random.default_rng(0))
        for size in (300, 512)
    ]
    for other in losses[1:]:
        np.testing.assert_allclose(other.history[-1].loss, losses[0].history[-1].loss, rtol=1e-9)


def test_precision_follows_the_users_choice(problem: Problem, x64: None) -> None:
    assert run(problem, epochs=1).optimizer_state.mu.nodes[0].dtype == np.complex128


def test_fits_of_similar_size_compile_once(rng: np.random.Generator) -> None:
    """Whatever their number of samples, seed, rate and epochs, as far as they are padded alike."""
    before = run_steps._cache_size()
    for rows, rate, epochs in ((1100, 0.03, 2), (1500, 0.01, 3), (2000, 0.1, 2), (1100, 0.03, 2)):
        X = rng.random((rows, 8))
        clf = TreeClassifier(epochs=epochs, learning_rate=rate, batch_size=250, validation_fraction=0.0)
        clf.fit(X, X[:, 0] > X[:, 1])
        assert clf.n_iter_ == epochs
    assert run_steps._cache_size() == before + 1
    few = TreeClassifier(epochs=1, batch_size=250, validation_fraction=0.0).fit(
        X[:900], X[:900, 0] > X[:900, 1]
    )
    assert few.n_iter_ == 1
    assert run_steps._cache_size() == before + 2  # padded to 1,024 instead of 2,048


def test_library_leaves_jax_alone(problem: Problem) -> None:
    before = dict(jax.config.values)
    assert run(problem, epochs=1).optimizer_state.mu.nodes[0].dtype == np.complex64
    assert dict(jax.config.values) == before
